"""What failed lately, grouped by cause."""

from __future__ import annotations

from dataclasses import dataclass

from portal.admin.area import Area
from portal.admin.asked import Asked
from uws.causes import Cause, grouped
from uws.store.failures import Failures

#: So many rows, and jobs, are looked at: the last ones.
MOST_SEEN = 10_000
HOURS = 24
MOST_HOURS = 24 * 90


@dataclass(frozen=True, slots=True)
class FailuresShown:
    """Failures of some hours.

    Parameters
    ----------
    rows, jobs
        How many rows failed, and how many jobs ended in ERROR.
    is_all
        Whether all were looked at; else there are more of them, which were longer ago.
    causes
        The most frequent one first.
    """

    hours: int
    rows: int
    jobs: int
    is_all: bool
    causes: tuple[Cause, ...]


def failures_area(failures: Failures, most: int = MOST_SEEN) -> Area:
    """Make the area; of rows and of jobs `most` are looked at."""

    def look(asked: Asked) -> FailuresShown:
        hours = asked.whole("hours", HOURS, 1, MOST_HOURS)
        rows, jobs = failures.rows(hours * 3600.0, most), failures.jobs(hours * 3600.0, most)
        is_all = len(rows) < most and len(jobs) < most
        return FailuresShown(hours, len(rows), len(jobs), is_all, tuple(grouped([*rows, *jobs])))

    return Area("failures", "Failures", look, asks=("hours",))
