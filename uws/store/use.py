"""What jobs need and have used: told to whoever keeps count of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, and_, case, func, or_, select

from uws.job import RowStatus
from uws.pace import PACE
from uws.phase import ACTIVE
from uws.quota import Need
from uws.tables import JobRow, ResultRow, TaskRow

_ACTIVE = [phase.value for phase in ACTIVE]


@dataclass(frozen=True, slots=True)
class TaskUse:
    """What a task came to.

    Parameters
    ----------
    kind
        Of its work, as `uws.pace` has it; "" if it did not say.
    rows, failed
        How many gave files, and how many could not be made.
    sources
        What its rows were made of, counted row by row.
    bytes, seconds
        Of files, and of work.
    ended_ms
        When it ended.
    """

    kind: str
    rows: int
    failed: int
    sources: int
    bytes: int
    seconds: float
    ended_ms: int | None


@dataclass(frozen=True, slots=True)
class JobUse:
    """What a job that has ended has used.

    Parameters
    ----------
    tasks
        Those that came to something; what it took over from another job is not its own.
    bytes
        Of everything it refers to.
    is_gone
        Whether it was destroyed.
    wait_s
        From when it was queued until it was begun.
    """

    owner: str
    actor: str
    hidden: bool
    is_gone: bool
    bytes: int
    wait_s: float
    tasks: tuple[TaskUse, ...]


class Uses:
    """Tells what jobs have used.

    Parameters
    ----------
    engine
        Database of the jobs.
    sources
        Name of the fact of a row that lists, with spaces, what it was made of; rows without it were made of
        one.
    """

    def __init__(self, engine: Engine, sources: str) -> None:
        self._reading = engine.execution_options(single_reads=True)
        self._sources = sources

    def ended(self, job_ids: Collection[str]) -> Mapping[str, JobUse]:
        """Tell what those have used that have ended."""
        statement = select(
            JobRow.job_id,
            JobRow.owner,
            JobRow.actor,
            JobRow.hidden,
            JobRow.gone_ms,
            JobRow.bytes_out,
            JobRow.queued_ms,
            JobRow.started_ms,
        ).where(JobRow.job_id.in_(job_ids), or_(JobRow.phase.not_in(_ACTIVE), JobRow.gone_ms.is_not(None)))
        with self._reading.connect() as connection:
            jobs = connection.execute(statement).all()
            tasks = self._tasks(connection, [job.job_id for job in jobs])
        return {
            job.job_id: JobUse(
                job.owner,
                job.actor,
                job.hidden,
                job.gone_ms is not None,
                job.bytes_out,
                max(0, (job.started_ms or 0) - (job.queued_ms or 0)) / 1000 if job.started_ms else 0.0,
                tuple(tasks.get(job.job_id, ())),
            )
            for job in jobs
        }

    def needs(self, job_ids: Collection[str]) -> Mapping[str, Need]:
        """Tell what those need that have not ended, by what is known now."""
        with self._reading.connect() as connection:
            return dict(_needs(connection, JobRow.job_id.in_(job_ids)))

    def known(self, job_ids: Collection[str]) -> set[str]:
        """Name those that the database has, gone or not."""
        with self._reading.connect() as connection:
            return set(connection.execute(select(JobRow.job_id).where(JobRow.job_id.in_(job_ids))).scalars())

    def live(self, job_ids: Collection[str]) -> set[str]:
        """Name those that are not gone."""
        statement = select(JobRow.job_id).where(JobRow.job_id.in_(job_ids), JobRow.gone_ms.is_(None))
        with self._reading.connect() as connection:
            return set(connection.execute(statement).scalars())

    def _tasks(self, connection: Connection, job_ids: Collection[str]) -> Mapping[str, list[TaskUse]]:
        """Sum up the ledgers of jobs by their own tasks."""
        kind = func.coalesce(TaskRow.common[PACE][0].as_string(), TaskRow.rows[0][2][PACE][0].as_string(), "")
        tasks = {
            task.task_id: task
            for task in connection.execute(
                select(TaskRow.task_id, TaskRow.ended_ms, kind.label("kind")).where(
                    TaskRow.job_id.in_(job_ids), TaskRow.kind != "split", TaskRow.fence > 0
                )
            )
        }
        is_row, is_done = ResultRow.part == 0, ResultRow.status == RowStatus.DONE.value
        is_failed = ResultRow.status.in_((RowStatus.FAILED.value, RowStatus.POISON.value))
        sums = (
            select(
                ResultRow.job_id,
                ResultRow.task_id,
                func.count(case((and_(is_row, is_done), 1))).label("rows"),
                func.count(case((and_(is_row, is_failed), 1))).label("failed"),
                _sum(and_(is_row, is_done), self._made_of()).label("sources"),
                _sum(ResultRow.container != "", ResultRow.size).label("bytes"),
                _sum(is_row, ResultRow.seconds).label("seconds"),
            )
            .where(ResultRow.job_id.in_(job_ids), ResultRow.attempts > 0)
            .group_by(ResultRow.job_id, ResultRow.task_id)
        )
        found: dict[str, list[TaskUse]] = {}
        for row in connection.execute(sums):
            if (task := tasks.get(row.task_id)) is not None:
                use = TaskUse(
                    task.kind,
                    row.rows,
                    row.failed,
                    int(row.sources),
                    int(row.bytes),
                    float(row.seconds),
                    task.ended_ms,
                )
                found.setdefault(row.job_id, []).append(use)
        return found

    def _made_of(self) -> ColumnElement[Any]:
        names = func.coalesce(ResultRow.facts[self._sources].as_string(), "")
        return 1 + func.length(names) - func.length(func.replace(names, " ", ""))


def needed(connection: Connection, job_id: str) -> Need:
    """Tell what a job needs that is about to be run, in its transaction."""
    ((_, need),) = _needs(connection, JobRow.job_id == job_id)
    return need


def _needs(connection: Connection, which: ColumnElement[bool]) -> Iterable[tuple[str, Need]]:
    statement = select(
        JobRow.job_id,
        JobRow.total,
        (JobRow.done + JobRow.empty + JobRow.failed + JobRow.poison).label("ended"),
        JobRow.seconds,
        JobRow.estimate,
        JobRow.bytes_out,
        JobRow.hidden,
        JobRow.phase,
        JobRow.parent_id,
    ).where(which, JobRow.phase.in_(_ACTIVE), JobRow.gone_ms.is_(None))
    for job in connection.execute(statement).all():
        # What another job has finished, or a split has refused, is not made.
        is_all = job.phase != "QUEUED" and not job.parent_id
        rows = job.total - (0 if is_all else job.ended)
        size = max(job.bytes_out, int((job.estimate or {}).get("bytes", 0)))
        yield job.job_id, Need(rows, job.seconds or 0.0, size, job.hidden)


def _sum(condition: ColumnElement[bool], value: Any) -> Any:
    return func.coalesce(func.sum(case((condition, value), else_=0)), 0)
