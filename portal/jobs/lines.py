"""How a job reads in a table of jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from portal import figures
from portal.words import gettext as _
from uws.moment import parse_moment
from uws.phase import ACTIVE, Phase

_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Line:
    """A job as a row of the table; texts are in the language of the page, moments as JSON has them.

    Parameters
    ----------
    name
        Its label, or the beginning of its id.
    ends, place
        When it ends, or how long it took; where it waits.
    expires
        When it is removed, from now on; `is_soon` if that is within a day.
    can
        What may be done to it: of abort, retry, unlink and change.
    """

    job_id: str = ""
    name: str = ""
    phase: Phase = Phase.UNKNOWN
    surveys: str = ""
    total: int = 0
    done: int = 0
    empty: int = 0
    failed: int = 0
    size: str = ""
    created: str = ""
    ends: str = ""
    ends_at: str = ""
    place: str = ""
    expires: str = ""
    expires_at: str = ""
    is_soon: bool = False
    problem: str = ""
    owner: str = ""
    shared_with: str = ""
    link: str = ""
    can: str = ""

    @property
    def ended(self) -> int:
        """Rows of which something became."""
        return self.done + self.empty + self.failed


def line_of(job: Mapping[str, Any], now_ms: int) -> Line:
    """Write a job, as the list of jobs tells it, for people."""
    phase = Phase(job["phase"])
    ends, ends_at = _ends(job, now_ms)
    left_s = _seconds(now_ms, job["destruction"])
    return Line(
        job_id=job["id"],
        name=job["label"] or job["id"][:8],
        phase=phase,
        surveys=", ".join(job["surveys"]),
        total=job["total"],
        done=job["done"],
        empty=job["empty"],
        failed=job["failed"] + job["poison"],
        size=figures.size(job["bytes"]) if job["bytes"] else "",
        created=job["created"],
        ends=ends,
        ends_at=ends_at,
        place=_place(job, phase),
        expires=_("in {time}").format(time=figures.duration(max(0.0, left_s))),
        expires_at=job["destruction"],
        is_soon=left_s < _DAY_S,
        problem=(job["error"] or {}).get("message", ""),
        owner="" if job["mine"] else job["owner"] or "",
        shared_with=", ".join(job["sharedWith"]),
        link=_("link until {day}").format(day=job["link"]["until"][:10]) if job["link"] else "",
        can=" ".join(can_be_done(job, phase)) if job["may"]["change"] else "",
    )


def can_be_done(job: Mapping[str, Any], phase: Phase) -> tuple[str, ...]:
    """Tell what can be done to a job by whoever may change it."""
    always = ("change", "unlink") if job["link"] else ("change",)
    if phase in ACTIVE:
        return (*always, "abort")
    missing = job["total"] - job["done"] - job["empty"]
    is_partial = phase is not Phase.COMPLETED or missing > 0
    return (*always, "retry") if is_partial else always


def _ends(job: Mapping[str, Any], now_ms: int) -> tuple[str, str]:
    if job["ended"] is not None:
        if job["started"] is None:
            return "", job["ended"]
        took_s = _seconds(parse_moment(job["started"]), job["ended"])
        return _("took {time}").format(time=figures.duration(took_s)), job["ended"]
    if job["expectedEnd"] is None:
        return "", ""
    left_s = max(1.0, _seconds(now_ms, job["expectedEnd"]))
    return _("in {time}").format(time=figures.duration(left_s)), job["expectedEnd"]


def _place(job: Mapping[str, Any], phase: Phase) -> str:
    place = job["place"]
    if phase is not Phase.QUEUED or place is None:
        return ""
    return _("place {n} of {all}").format(n=place["position"], all=place["jobs"])


def _seconds(from_ms: int, until: str) -> float:
    return (parse_moment(until) - from_ms) / 1000
