"""How much the index has of a survey of alerts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from surveys.index.alerts.queries import from_json
from surveys.index.alerts.units import DAY
from surveys.survey import Survey


@dataclass(frozen=True, slots=True)
class LakeHoldings:
    """How much the index has of a survey of alerts.

    `alerts` are counted by the band, in the order declared, "" for those of none; `refused` counts the files
    of which something was refused; times are MJD, None without any alert.
    """

    alerts: Mapping[str, int]
    files: int
    refused: int
    first_mjd: float | None
    last_mjd: float | None
    last_modified: datetime | None


def count_held(survey: Survey, files: Sequence[Sequence[Any]], modified: datetime | None) -> LakeHoldings:
    """Sum up the files of a generation, as `surveys.index.alerts.queries.HELD` finds them."""
    counts = {band.label: 0 for band in survey.bands}
    refused = 0
    times: list[int] = []
    for bands, reasons, first, last, *_ in files:
        for label, count in from_json(bands):
            counts[label] = counts.get(label, 0) + count
        refused += bool(from_json(reasons))
        times += [time for time in (first, last) if time is not None]
    return LakeHoldings(
        counts,
        len(files),
        refused,
        min(times) / DAY if times else None,
        max(times) / DAY if times else None,
        modified,
    )
