"""Jobs of everybody, for those who look after the service: filtered, and read page by page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Engine, func, select, tuple_

from uws.phase import Phase
from uws.store.rows import error_of
from uws.store.search import contains, has_words, key_of, parse_key
from uws.tables import EventRow, JobRow, TaskRow

#: Of one job so many of its events and tasks are told: the last ones.
MOST_TOLD = 50


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which jobs; those meet all of it that are listed.

    Parameters
    ----------
    owner
        Part of the name of the owner, in any case; ``-`` is somebody unknown.
    phases
        One of these; none is any.
    words
        Part of its identifier, its run id or its parameters, in any case.
    since_ms, until_ms
        When it was made: from the first moment on, and before the second.
    hidden
        Those too that nobody sees: large cutouts of ``/sync``.
    """

    owner: str = ""
    phases: tuple[Phase, ...] = ()
    job_type: str = ""
    words: str = ""
    since_ms: int | None = None
    until_ms: int | None = None
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class JobLine:
    """A job in the list of all; moments are milliseconds since 1970."""

    job_id: str
    type: str
    owner: str
    actor: str
    phase: Phase
    run_id: str
    lane: str
    rank: int
    share: float
    parallel: int
    hidden: bool
    created_ms: int
    queued_ms: int | None
    started_ms: int | None
    ended_ms: int | None
    destruction_ms: int
    total: int
    done: int
    empty: int
    failed: int
    poison: int
    bytes_out: int
    error: str

    @property
    def ended_rows(self) -> int:
        """Rows of which something became."""
        return self.done + self.empty + self.failed + self.poison

    @property
    def key(self) -> str:
        """Where the next page begins."""
        return key_of(self.created_ms, self.job_id)


@dataclass(frozen=True, slots=True)
class JobPage:
    """Jobs, the newest first; `after` is the key of the next page, "" where there is none."""

    jobs: tuple[JobLine, ...]
    after: str


@dataclass(frozen=True, slots=True)
class EventLine:
    """Something that happened to a job."""

    seq: int
    at_ms: int
    kind: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TaskLine:
    """A task of a job that is not done."""

    task_id: int
    lane: str
    state: str
    rows: int
    attempts: int
    kills: int
    worker_id: str
    note: str


class Everybody:
    """Jobs of all owners in the database.

    Parameters
    ----------
    engine
        Its database.
    """

    def __init__(self, engine: Engine) -> None:
        self._reading = engine.execution_options(single_reads=True)

    def page(self, wanted: Wanted, limit: int, after: str = "") -> JobPage:
        """List jobs from the one on that follows the key `after`.

        Raises
        ------
        UsageError
            If that is no key.
        """
        statement = select(*_COLUMNS).where(*_conditions(wanted))
        if after:
            # The first of these is in the second; it is by that the index is read.
            created_ms, job_id = parse_key(after)
            statement = statement.where(
                JobRow.created_ms <= created_ms,
                tuple_(JobRow.created_ms, JobRow.job_id) < (created_ms, job_id),
            )
        statement = statement.order_by(JobRow.created_ms.desc(), JobRow.job_id.desc()).limit(limit + 1)
        with self._reading.connect() as connection:
            found = [_line(row._mapping) for row in connection.execute(statement)]
        return JobPage(tuple(found[:limit]), found[limit - 1].key if len(found) > limit else "")

    def phases(self) -> Mapping[Phase, int]:
        """Count the jobs that are there, by phase; hidden ones are left out."""
        statement = (
            select(JobRow.phase, func.count())
            .where(JobRow.gone_ms.is_(None), JobRow.hidden.is_(False))
            .group_by(JobRow.phase)
            .order_by(JobRow.phase)
        )
        with self._reading.connect() as connection:
            return {Phase(phase): count for phase, count in connection.execute(statement)}

    def types(self) -> Sequence[str]:
        """Name the types of jobs that are there."""
        statement = select(JobRow.type).where(JobRow.gone_ms.is_(None)).distinct().order_by(JobRow.type)
        with self._reading.connect() as connection:
            return list(connection.execute(statement).scalars())

    def events(self, job_id: str) -> Sequence[EventLine]:
        """Tell what happened to a job, the last event first."""
        statement = (
            select(EventRow.seq, EventRow.at_ms, EventRow.kind, EventRow.data)
            .where(EventRow.job_id == job_id)
            .order_by(EventRow.seq.desc())
            .limit(MOST_TOLD)
        )
        with self._reading.connect() as connection:
            return [
                EventLine(seq, at_ms, kind, data or {})
                for seq, at_ms, kind, data in connection.execute(statement)
            ]

    def tasks(self, job_id: str) -> Sequence[TaskLine]:
        """Tell of the tasks of a job that are not done, in their order."""
        statement = (
            select(
                TaskRow.task_id,
                TaskRow.lane,
                TaskRow.state,
                TaskRow.row_count,
                TaskRow.attempts,
                TaskRow.kills,
                TaskRow.worker_id,
                TaskRow.note,
            )
            .where(TaskRow.job_id == job_id, TaskRow.state.in_(("queued", "running")))
            .order_by(TaskRow.n)
            .limit(MOST_TOLD)
        )
        with self._reading.connect() as connection:
            return [TaskLine(*row) for row in connection.execute(statement)]


_NAMES = [name for name in JobLine.__dataclass_fields__ if name != "error"]
_COLUMNS = [*(getattr(JobRow, name) for name in _NAMES), JobRow.error]


def _line(found: Mapping[Any, Any]) -> JobLine:
    error = error_of(found["error"])
    values = {name: found[name] for name in _NAMES}
    values["phase"] = Phase(found["phase"])
    return JobLine(**values, error="" if error is None else error.message)


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [JobRow.gone_ms.is_(None)]
    if not wanted.hidden:
        conditions.append(JobRow.hidden.is_(False))
    if wanted.owner == "-":
        conditions.append(JobRow.owner == "")
    elif wanted.owner:
        conditions.append(contains(JobRow.owner, wanted.owner))
    if wanted.phases:
        conditions.append(JobRow.phase.in_([phase.value for phase in wanted.phases]))
    if wanted.job_type:
        conditions.append(JobRow.type == wanted.job_type)
    if wanted.words:
        conditions.append(has_words(wanted.words))
    if wanted.since_ms is not None:
        conditions.append(JobRow.created_ms >= wanted.since_ms)
    if wanted.until_ms is not None:
        conditions.append(JobRow.created_ms < wanted.until_ms)
    return conditions
