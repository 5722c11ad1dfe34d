"""Estimates beside what came of them: whether users are told the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from markupsafe import Markup

from portal.admin.area import Area
from portal.admin.asked import Asked
from portal.admin.charts import Dot, scatter
from portal.words import gettext as _
from uws.store.calibration import Calibration, Compared, PaceLine

JOBS = 500
#: The middle of actual to expected times should lie between these.
GOOD = (0.5, 2.0)


@dataclass(frozen=True, slots=True)
class EstimatesShown:
    """How good estimates were.

    Parameters
    ----------
    middle
        Of actual to expected times, half are below this; None where nothing was done.
    within_p50, within_p90
        Share of jobs that ended by then: 0.5 and 0.9 are right.
    is_good
        Whether the middle is where it should be.
    jobs
        The last ones that were done.
    paces
        What was learned, by kind of work.
    chart
        Picture of the jobs.
    """

    middle: float | None
    within_p50: float | None
    within_p90: float | None
    is_good: bool
    jobs: tuple[Compared, ...]
    paces: tuple[PaceLine, ...]
    chart: Markup = field(default=Markup(), repr=False)


def estimates_area(calibration: Calibration) -> Area:
    """Make the area."""

    def look(asked: Asked) -> EstimatesShown:
        jobs = calibration.compared(asked.whole("jobs", JOBS, 1, 5000))
        return shown(jobs, calibration.paces())

    return Area("estimates", "Estimates", look, asks=("jobs",))


def shown(jobs: Sequence[Compared], paces: Sequence[PaceLine]) -> EstimatesShown:
    """Sum up what came of estimates."""
    middle = median(job.ratio for job in jobs) if jobs else None
    dots = [Dot(job.p50_s, job.took_s, f"{job.job_id}: {job.rows} rows") for job in jobs]
    return EstimatesShown(
        middle,
        sum(job.took_s <= job.p50_s for job in jobs) / len(jobs) if jobs else None,
        sum(job.took_s <= job.p90_s for job in jobs) / len(jobs) if jobs else None,
        middle is None or GOOD[0] <= middle <= GOOD[1],
        tuple(jobs),
        tuple(paces),
        scatter(dots, _("expected"), _("took")) if dots else Markup(),
    )
