"""What a service says beforehand that a list will come to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from config.batch.faults import BatchFault, NotThere
from config.batch.service import Pairs, Service


@dataclass(frozen=True, slots=True)
class RowFault:
    """What is wrong with a row: its number, the line of the file if it has lines, and the sentence."""

    row: int
    line: int | None
    reason: str
    is_warning: bool

    @property
    def place(self) -> str:
        """Where to look for it."""
        return f"row {self.row}" if self.line is None else f"row {self.row} (line {self.line})"


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a list will come to; numbers that the service does not tell are None.

    Parameters
    ----------
    targets
        Rows of the table.
    total, ok, warned, rejected
        Cutouts that are asked for, one or several for each target, as they are judged.
    verdicts
        Rows by footprint verdict.
    faults, more_faults
        The first of them, and how many more there are.
    images, cutouts, size
        Images touched, files made, and their bytes.
    p50_s, p90_s, runs
        When the job will have ended, as half and nine tenths of `runs` earlier ones would have.
    start_s, position
        When it will begin, and how many jobs are before it.
    expiry
        When results go, as it was written.
    refused
        Why there would be no job; "" if there would be one.
    """

    targets: int | None = None
    total: int | None = None
    ok: int | None = None
    warned: int | None = None
    rejected: int | None = None
    verdicts: Mapping[str, int] | None = None
    faults: tuple[RowFault, ...] = ()
    more_faults: int = 0
    images: int | None = None
    cutouts: int | None = None
    size: int | None = None
    p50_s: float | None = None
    p90_s: float | None = None
    runs: int | None = None
    start_s: float | None = None
    position: int | None = None
    expiry: str = ""
    refused: str = ""


def ask_estimate(service: Service, pairs: Pairs, file: Path) -> Estimate | None:
    """Ask for an estimate; None of a service that gives none.

    Raises
    ------
    BatchFault
        If the request is wrong, or the service does not answer.
    """
    try:
        answer = service.post(f"{service.url}/estimate", pairs, file)
    except NotThere as fault:
        # What the request names may be what is not there; that is told by a sentence of its own.
        if "/estimate" in str(fault):
            return None
        raise
    return read_estimate(answer.content)


def read_estimate(content: bytes) -> Estimate:
    """Read the document of an estimate.

    Raises
    ------
    BatchFault
        If it is none.
    """
    try:
        told = json.loads(content)
        rows, seconds, queue = told["rows"], told.get("seconds") or {}, told.get("queue") or {}
        return Estimate(
            targets=rows.get("targets"),
            total=rows.get("total"),
            ok=rows.get("ok"),
            warned=rows.get("warned"),
            rejected=rows.get("rejected"),
            verdicts=told.get("verdicts") or None,
            faults=tuple(_fault(fault) for fault in told.get("faults", ())),
            more_faults=told.get("more_faults", 0),
            images=told.get("images"),
            cutouts=told.get("cutouts"),
            size=told.get("bytes"),
            p50_s=seconds.get("p50"),
            p90_s=seconds.get("p90"),
            runs=seconds.get("runs"),
            start_s=_start_s(queue, seconds),
            position=queue.get("position"),
            expiry=told.get("expiry") or "",
            refused=_refused(told),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BatchFault(
            "the estimate of the service cannot be read; --yes --no-estimate goes without"
        ) from error


def _fault(told: Mapping[str, Any]) -> RowFault:
    return RowFault(told["row"], told.get("line"), told["reason"], told.get("kind") == "warning")


def _start_s(queue: Mapping[str, Any], seconds: Mapping[str, Any]) -> float | None:
    """Seconds until the start, by the clock of the service: its end is `p90` from its now."""
    if not queue.get("start") or not queue.get("end") or seconds.get("p90") is None:
        return None
    start, end = (datetime.fromisoformat(queue[name]) for name in ("start", "end"))
    return max(0.0, float(seconds["p90"]) - (end - start).total_seconds())


def _refused(told: Mapping[str, Any]) -> str:
    refused, nearest = told.get("refused"), told.get("nearest")
    if not refused:
        return ""
    sentence = " ".join(part for part in (refused.get("sentence"), refused.get("fix")) if part)
    if nearest:
        sentence += f" Nearest: {', '.join(f'{name}={value}' for name, value in nearest.items())}."
    return sentence
