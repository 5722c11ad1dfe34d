"""What a request of the explorer comes to: planned as it would be made, and priced; no pixel is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from dali.errors import ProtocolError
from dali.parameters import Parameters
from portal.explore.state import Problem, problems_of
from portal.explore.wish import Pairs
from soda.estimate.service import Estimate
from soda.habits import outside
from soda.heavier import Client
from soda.service import Asked, Sent


class Estimates(Protocol):
    """Tells what a request would come to."""

    def estimate(self, parameters: Parameters, client: Client) -> Estimate:
        """Plan and price it."""


class Sync(Protocol):
    """Tells what may be had at once."""

    def ask(self, parameters: Parameters, client: Client) -> Asked:
        """Plan a cutout."""

    def describe(self, asked: Asked) -> Sent:
        """Tell name and size of a cutout."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a request comes to.

    Parameters
    ----------
    problems
        Why it is none, or none that is answered at once.
    by
        ``sync``: it is answered at once; ``async``: it takes a job; "" if neither does.
    width_px, height_px
        Of its pixels, as the survey has them; 0 where that is not known.
    size
        Bytes; 0 where that is not known.
    file_name
        "" where that is not known.
    p50_s, p90_s
        Seconds that it takes, as likely more as less, and nine times of ten at most.
    covered
        Share of the region that has data; None where that is not known.
    is_clipped, is_padded, is_resampled, inputs, remarks
        As `X-Cutout-…` tell.
    nearest
        The nearest request that is taken, as parameters.
    """

    problems: tuple[Problem, ...] = ()
    by: str = ""
    width_px: int = 0
    height_px: int = 0
    size: int = 0
    file_name: str = ""
    p50_s: float | None = None
    p90_s: float | None = None
    covered: float | None = None
    is_clipped: bool = False
    is_padded: bool = False
    is_resampled: bool = False
    inputs: int = 0
    remarks: tuple[str, ...] = ()
    nearest: Mapping[str, str | int] | None = None

    def told(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            "by": self.by,
            "width": self.width_px,
            "height": self.height_px,
            "bytes": self.size,
            "file_name": self.file_name,
            "seconds": None if self.p50_s is None else {"p50": self.p50_s, "p90": self.p90_s},
            "covered": self.covered,
            "clipped": self.is_clipped,
            "padded": self.is_padded,
            "resampled": self.is_resampled,
            "inputs": self.inputs,
            "remarks": list(self.remarks),
            "nearest": dict(self.nearest) if self.nearest else None,
        }


def outcome_of(
    pairs: Pairs, client: Client, estimates: Estimates, sync: Sync, region_field: str = ""
) -> Outcome:
    """Find out what a request comes to; what is said of its size is beside `region_field`."""
    parameters = Parameters.from_pairs(pairs)
    try:
        found = estimates.estimate(parameters, client)
    except ProtocolError as fault:
        return Outcome(tuple(problems_of(fault)))
    if found.refused is not None:
        return Outcome(_beside(region_field, problems_of(found.refused)), nearest=found.nearest or None)
    size = 0 if found.found is None else found.found.size
    fractions = () if found.found is None else found.found.fractions
    covered = None if not fractions or fractions[0] is None else float(fractions[0])
    try:
        asked = sync.ask(parameters, client)
    except ProtocolError as fault:
        problems = _beside(region_field, problems_of(fault))
        if found.outlook is None:
            return Outcome(problems)
        told = found.outlook.forecast
        times = round(told.p50_s, 3), round(told.p90_s, 3)
        return Outcome(problems, "async", size=size, p50_s=times[0], p90_s=times[1], covered=covered)
    if asked.is_empty:
        return Outcome(tuple(problems_of(outside(asked.request.cutout), "at")))
    sent = sync.describe(asked)
    box = asked.plan.grid
    seconds = None if found.outlook is None else round(found.outlook.forecast.run.seconds, 3)
    return Outcome(
        (),
        "sync",
        width_px=0 if box is None else box.width,
        height_px=0 if box is None else box.height,
        size=sent.size or size,
        file_name=sent.file_name,
        p50_s=seconds,
        p90_s=seconds,
        covered=covered,
        is_clipped=sent.facts.clipped,
        is_padded=sent.facts.padded,
        is_resampled=sent.facts.resampled,
        inputs=sent.facts.inputs,
        remarks=tuple(dict.fromkeys(sent.facts.remarks)),
    )


def problems_of_preview(pairs: Pairs, client: Client, sync: Sync) -> tuple[Problem, ...] | None:
    """Tell why there is no preview: None if there is one, nothing to tell where there is nothing to see."""
    try:
        return () if sync.ask(Parameters.from_pairs(pairs), client).is_empty else None
    except ProtocolError as fault:
        return tuple(problems_of(fault))


def _beside(region_field: str, problems: list[Problem]) -> tuple[Problem, ...]:
    """Put what is about no field beside the one that says how large; commands are offered otherwise."""
    return tuple(
        Problem(one.field or region_field, one.message, _without_commands(one.fix)) for one in problems
    )


def _without_commands(fix: str) -> str:
    return " ".join(line for line in fix.splitlines() if "curl " not in line)
