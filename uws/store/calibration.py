"""Estimates beside what came of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, select

from uws.pace import Histogram
from uws.phase import Phase
from uws.tables import JobRow, PaceRow


@dataclass(frozen=True, slots=True)
class Compared:
    """A job that was done; times are seconds from when it was queued.

    Parameters
    ----------
    p50_s, p90_s
        By which it should have ended as likely as not, and nine times of ten.
    took_s
        When it ended.
    waited_s
        When it began.
    """

    job_id: str
    type: str
    owner: str
    rows: int
    ended_ms: int
    p50_s: float
    p90_s: float
    took_s: float
    waited_s: float

    @property
    def ratio(self) -> float:
        """Actual time to the expected one."""
        return self.took_s / max(self.p50_s, 0.001)


@dataclass(frozen=True, slots=True)
class PaceLine:
    """What was learned of one kind of work: ratios of actual to predicted times.

    Parameters
    ----------
    weight
        How many runs it is worth: older ones count for less.
    middle, p90
        Ratio that half of them stay below, and nine of ten.
    """

    key: str
    runs: int
    weight: float
    middle: float
    p90: float
    at_ms: int


class Calibration:
    """What the database has of estimates.

    Parameters
    ----------
    engine
        Of the jobs.
    """

    def __init__(self, engine: Engine) -> None:
        self._reading = engine.execution_options(single_reads=True)

    def compared(self, most: int) -> Sequence[Compared]:
        """List the jobs that were done, the last ones first, of which something was expected."""
        statement = (
            select(
                JobRow.job_id,
                JobRow.type,
                JobRow.owner,
                JobRow.total,
                JobRow.queued_ms,
                JobRow.started_ms,
                JobRow.ended_ms,
                JobRow.estimate,
            )
            .where(
                JobRow.phase == Phase.COMPLETED.value, JobRow.gone_ms.is_(None), JobRow.estimate.is_not(None)
            )
            .order_by(JobRow.created_ms.desc(), JobRow.job_id.desc())
            .limit(most)
        )
        found = []
        with self._reading.connect() as connection:
            for job_id, kind, owner, rows, queued, started, ended, estimate in connection.execute(statement):
                if None in (queued, started, ended) or not {"p50_s", "p90_s"} <= estimate.keys():
                    continue
                times = (
                    estimate["p50_s"],
                    estimate["p90_s"],
                    (ended - queued) / 1000,
                    (started - queued) / 1000,
                )
                found.append(Compared(job_id, kind, owner, rows, ended, *times))
        return found

    def paces(self) -> Sequence[PaceLine]:
        """List what was learned of speeds, by kind of work."""
        statement = select(PaceRow.key, PaceRow.runs, PaceRow.weights, PaceRow.at_ms).order_by(PaceRow.key)
        lines = []
        with self._reading.connect() as connection:
            for key, runs, weights, at_ms in connection.execute(statement):
                histogram = Histogram(runs, {int(number): weight for number, weight in weights.items()})
                total = sum(histogram.weights.values())
                lines.append(
                    PaceLine(key, runs, total, histogram.quantile(0.5), histogram.quantile(0.9), at_ms)
                )
        return lines
