"""What failed lately: rows, and whole jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, select, text

from dali.clock import NowMs
from uws.phase import Phase
from uws.store.rows import error_of
from uws.tables import JobRow, ResultRow

#: As the index of such rows has it, to the letter: SQLite takes it for no other spelling.
HAS_FAILED = text("result.status IN ('failed', 'poison')")


@dataclass(frozen=True, slots=True)
class Failure:
    """A row that failed, or a job that ended badly.

    Parameters
    ----------
    kind
        `row`; `crash`, a row that brought its process down and was set aside; `job`, all of a job.
    owner
        Of the job.
    row, label
        Number and name of the row; None and "" of a job.
    message
        As its owner was told.
    """

    kind: str
    job_id: str
    owner: str
    row: int | None
    label: str
    message: str
    at_ms: int


class Failures:
    """Failures in the database.

    Parameters
    ----------
    engine
        Of the jobs.
    """

    def __init__(self, engine: Engine) -> None:
        self._reading = engine.execution_options(single_reads=True)

    def rows(self, within_s: float, most: int) -> Sequence[Failure]:
        """List the rows that failed within so many seconds, the last ones first, `most` of them."""
        statement = (
            select(
                ResultRow.status,
                ResultRow.job_id,
                JobRow.owner,
                ResultRow.row,
                ResultRow.label,
                ResultRow.message,
                ResultRow.created_ms,
            )
            .join(JobRow, JobRow.job_id == ResultRow.job_id)
            .where(HAS_FAILED, ResultRow.created_ms >= NowMs() - int(within_s * 1000))
            .order_by(ResultRow.created_ms.desc())
            .limit(most)
        )
        with self._reading.connect() as connection:
            return [
                Failure("crash" if status == "poison" else "row", job_id, owner, row, label, message, at_ms)
                for status, job_id, owner, row, label, message, at_ms in connection.execute(statement)
            ]

    def jobs(self, within_s: float, most: int) -> Sequence[Failure]:
        """List the jobs made within so many seconds that ended in ERROR, the last ones first."""
        statement = (
            select(JobRow.job_id, JobRow.owner, JobRow.error, JobRow.ended_ms, JobRow.created_ms)
            .where(
                JobRow.created_ms >= NowMs() - int(within_s * 1000),
                JobRow.phase == Phase.ERROR.value,
                JobRow.gone_ms.is_(None),
            )
            .order_by(JobRow.created_ms.desc(), JobRow.job_id.desc())
            .limit(most)
        )
        found = []
        with self._reading.connect() as connection:
            for job_id, owner, written, ended_ms, created_ms in connection.execute(statement):
                error = error_of(written)
                message = "Error: no reason was told" if error is None else error.message
                found.append(Failure("job", job_id, owner, None, "", message, ended_ms or created_ms))
        return found
