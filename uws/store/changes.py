"""What has changed of jobs since a moment, and what happened to one of them.

Each change has an event, which is written in the transaction that makes it; its moment is that of the
statement, so a change may come to light somewhat later. Numbers of events of one job come to light in their
order: whoever takes one holds the job until the end of the transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Engine, and_, func, select, union

from dali.clock import now_ms
from uws.job import Job
from uws.store.listing import COLUMNS, brief_of
from uws.tables import EventRow, JobRow


class Owned(NamedTuple):
    """A job, and whose it is."""

    job_id: str
    owner: str


@dataclass(frozen=True, slots=True)
class Changed:
    """A job as it is now, without its parameters.

    Parameters
    ----------
    job
        The job.
    is_gone
        It was destroyed.
    changed_ms
        When that, or whatever else happened to it last, happened.
    """

    job: Job
    is_gone: bool
    changed_ms: int


@dataclass(frozen=True, slots=True)
class Happened:
    """An event of a job; moments are milliseconds since 1970."""

    seq: int
    at_ms: int
    kind: str
    data: Mapping[str, Any]


class Changes:
    """Tells what has changed in the database.

    Parameters
    ----------
    engine
        Its database.
    """

    def __init__(self, engine: Engine) -> None:
        self._reading = engine.execution_options(single_reads=True)

    def now_ms(self) -> int:
        """Ask for the time."""
        with self._reading.connect() as connection:
            return now_ms(connection)

    def since(self, moment_ms: int) -> list[Owned]:
        """List the jobs of which something has changed since a moment."""
        recent = union(
            select(EventRow.job_id).where(EventRow.at_ms >= moment_ms),
            select(JobRow.job_id).where(JobRow.created_ms >= moment_ms),
        )
        return self._owned(JobRow.job_id.in_(recent.scalar_subquery()))

    def among(self, job_ids: Collection[str]) -> list[Owned]:
        """Tell whose jobs are, of those that are there."""
        return self._owned(JobRow.job_id.in_(job_ids))

    def named(self, job_ids: Collection[str]) -> list[Changed]:
        """Tell how jobs are, those first that have not changed for the longest time."""
        last = and_(EventRow.job_id == JobRow.job_id, EventRow.seq == JobRow.event_seq)
        changed_ms = func.coalesce(EventRow.at_ms, JobRow.created_ms)
        statement = (
            select(*COLUMNS, changed_ms.label("changed_ms"))
            .select_from(JobRow)
            .outerjoin(EventRow, last)
            .where(JobRow.hidden.is_(False), JobRow.job_id.in_(job_ids))
        )
        with self._reading.connect() as connection:
            rows = [row._asdict() for row in connection.execute(statement)]
        found = [Changed(brief_of(row), row["gone_ms"] is not None, row["changed_ms"]) for row in rows]
        return sorted(found, key=lambda one: (one.changed_ms, one.job.job_id))

    def events(self, job_id: str, after: int, limit: int) -> Sequence[Happened]:
        """Tell what happened to a job after an event, in its order."""
        statement = (
            select(EventRow.seq, EventRow.at_ms, EventRow.kind, EventRow.data)
            .where(EventRow.job_id == job_id, EventRow.seq > after)
            .order_by(EventRow.seq)
            .limit(limit)
        )
        with self._reading.connect() as connection:
            return [
                Happened(seq, at_ms, kind, data or {})
                for seq, at_ms, kind, data in connection.execute(statement)
            ]

    def _owned(self, condition: ColumnElement[bool]) -> list[Owned]:
        # Whose they are is looked at elsewhere: SQLite would rather go through all jobs of an owner.
        statement = select(JobRow.job_id, JobRow.owner).where(JobRow.hidden.is_(False), condition)
        with self._reading.connect() as connection:
            return [Owned(*row) for row in connection.execute(statement)]
