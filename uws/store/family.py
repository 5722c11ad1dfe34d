"""Jobs made of others: what is finished is taken over, what is missing is done.

A job that takes over results refers to the files of its parent, and of those to whose files the parent
refers. The table `kept` says so: they stay, and what the database has of these jobs, until none refers to
them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    and_,
    case,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from dali.clock import NowMs
from uws.job import Lane, RowStatus
from uws.jobtype import TaskPlan
from uws.phase import TERMINAL, Phase
from uws.store.inserts import insert_split, insert_tasks
from uws.store.rows import rows_of, take_number, tell
from uws.tables import JobRow, KeptRow, ResultRow, TaskRow, UploadRow

#: Tasks that are in memory at a time; each may have thousands of rows.
TASKS_AT_ONCE = 16

_TERMINAL = [phase.value for phase in TERMINAL]
_FINISHED = [RowStatus.DONE.value, RowStatus.EMPTY.value]
#: What a job has of its parent.
_SAME = (
    *("type", "owner", "actor", "run_id", "lane", "hidden", "rank", "share", "parallel"),
    *("shared_with", "sources", "notify", "parameters", "packaged"),
)


@dataclass(frozen=True, slots=True)
class Born:
    """A job that was made of another: what it has to do.

    Parameters
    ----------
    lane
        Of its tasks.
    tasks
        How many there are; a split is one.
    """

    lane: Lane
    tasks: int


class NothingMissing(Exception):
    """There is nothing to do of a job, or it is not there: nothing is to be committed."""


def make_child(
    connection: Connection, parent_id: str, child_id: str, execution_duration_s: int, destruction_s: int
) -> Born:
    """Do the work of `Jobs.retry` in a transaction that is there.

    Raises
    ------
    NothingMissing
        Instead of None.
    """
    parent = _parent(connection, parent_id)
    if parent is None:
        raise NothingMissing
    _insert(connection, parent, child_id, execution_duration_s, destruction_s)
    _hold(connection, parent_id, child_id)
    split = _unfinished_split(connection, parent_id)
    if split is not None:
        insert_split(connection, child_id, parent["owner"], split)
        born = Born("high", 1)
    else:
        born = _take_over(connection, parent, child_id)
    if not born.tasks:
        raise NothingMissing
    tell(connection, child_id, 1, "phase", {"phase": Phase.QUEUED.value, "parent": parent_id})
    if (seq := take_number(connection, parent_id)) is not None:
        tell(connection, parent_id, seq, "retry", {"child": child_id})
    return born


def is_held() -> ColumnElement[bool]:
    """Whether another job refers to the files of a job."""
    return exists().where(KeptRow.job_id == JobRow.job_id)


def _parent(connection: Connection, job_id: str) -> RowMapping | None:
    """Read a job that has ended, and see that it stays as it is."""
    statement = (
        select(*JobRow.__table__.columns)
        .where(JobRow.job_id == job_id, JobRow.gone_ms.is_(None), JobRow.phase.in_(_TERMINAL))
        .with_for_update()
    )
    return connection.execute(statement).mappings().one_or_none()


def _insert(
    connection: Connection, parent: RowMapping, child_id: str, execution_duration_s: int, destruction_s: int
) -> None:
    connection.execute(
        insert(JobRow).values(
            {name: parent[name] for name in _SAME}
            | {
                "job_id": child_id,
                "parent_id": parent["job_id"],
                "phase": Phase.QUEUED.value,
                "created_ms": NowMs(),
                "queued_ms": NowMs(),
                "turn_ms": NowMs(),
                "destruction_ms": NowMs() + destruction_s * 1000,
                "execution_duration_s": execution_duration_s,
                "total": parent["total"],
                "seconds": parent["seconds"],
                "event_seq": 1,
            }
        )
    )
    columns = [column for column in UploadRow.__table__.columns if column.name != "job_id"]
    connection.execute(
        insert(UploadRow).from_select(
            ["job_id", *(column.name for column in columns)],
            select(literal(child_id), *columns).where(UploadRow.job_id == parent["job_id"]),
        )
    )


def _hold(connection: Connection, parent_id: str, child_id: str) -> None:
    """Have the files of the parent kept, and those that it refers to itself."""
    connection.execute(insert(KeptRow).values(job_id=parent_id, holder_id=child_id))
    connection.execute(
        insert(KeptRow).from_select(
            ["job_id", "holder_id"],
            select(KeptRow.job_id, literal(child_id)).where(KeptRow.holder_id == parent_id),
        )
    )


def _unfinished_split(connection: Connection, job_id: str) -> dict[str, Any] | None:
    """Say what a job was to be split by, if that has not come about: it comes with one commit, or not."""
    split = connection.execute(
        select(TaskRow.common).where(TaskRow.job_id == job_id, TaskRow.kind == "split").limit(1)
    ).one_or_none()
    if split is None:
        return None
    is_done = or_(
        exists().where(TaskRow.job_id == job_id, TaskRow.kind != "split"),
        exists().where(ResultRow.job_id == job_id),
    )
    return None if connection.execute(select(is_done)).scalar() else split[0] or {}


def _take_over(connection: Connection, parent: RowMapping, child_id: str) -> Born:
    """Copy the ledger as far as it is finished, and make tasks of the rows that are not."""
    parent_id = parent["job_id"]
    tasks, missing = _copy_untouched(connection, parent_id, child_id)

    def counted() -> Iterator[TaskPlan]:
        nonlocal tasks, missing
        for task in _missing(connection, parent_id):
            tasks, missing = tasks + 1, missing + len(task.rows)
            yield task

    insert_tasks(connection, child_id, parent["owner"], parent["lane"], counted())
    if not tasks:
        return Born(parent["lane"], 0)
    columns = [column for column in ResultRow.__table__.columns if column.name != "job_id"]
    connection.execute(
        insert(ResultRow).from_select(
            ["job_id", *(column.name for column in columns)],
            select(literal(child_id), *columns).where(ResultRow.job_id == parent_id, _is_finished()),
        )
    )
    counts = _counts(connection, child_id)
    total = counts.pop("total") + missing
    seconds = parent["seconds"] and parent["seconds"] * missing / max(1, total)
    connection.execute(
        update(JobRow)
        .where(JobRow.job_id == child_id)
        .values(
            total=total,
            seconds=seconds,
            quote_ms=None if seconds is None else NowMs() + int(seconds * 1000),
            **counts,
        )
    )
    return Born(parent["lane"], tasks)


def _is_finished() -> ColumnElement[bool]:
    """Whether nothing is to be done of a row: it came to something, or was refused before it was a task's."""
    return or_(ResultRow.status.in_(_FINISHED), ResultRow.attempts == 0)


def _copy_untouched(connection: Connection, parent_id: str, child_id: str) -> tuple[int, int]:
    """Copy the tasks that nobody has begun; return how many there are, and how many rows these have."""
    same = [getattr(TaskRow, name) for name in ("lane", "owner", "n", "rows", "row_count", "kind", "common")]
    is_one = and_(TaskRow.job_id == parent_id, TaskRow.kind != "split", _is_untouched())
    connection.execute(
        insert(TaskRow).from_select(
            ["job_id", "state", *(column.name for column in same)],
            select(literal(child_id), literal("queued"), *same).where(is_one).order_by(TaskRow.task_id),
        )
    )
    found = select(func.count(), func.coalesce(func.sum(TaskRow.row_count), 0))
    tasks, rows = connection.execute(found.where(TaskRow.job_id == child_id)).one()
    return int(tasks), int(rows)


def _is_untouched() -> ColumnElement[bool]:
    """Whether a task was never claimed, and has no rows of another that was: such ones wait for a moment."""
    return and_(TaskRow.fence == 0, TaskRow.not_before_ms == 0)


def _missing(connection: Connection, job_id: str) -> Iterator[TaskPlan]:
    """Make tasks of the rows that are not finished of those that were begun, grouped as they were.

    There may be very many rows, and nobody else can write to SQLite meanwhile: only tasks are read that are
    not finished as a whole.
    """
    finished = select(ResultRow.row, ResultRow.task_id).where(
        ResultRow.job_id == job_id, ResultRow.part == 0, _is_finished()
    )
    over: set[int] = set()
    counts: Counter[int] = Counter()
    for row, task_id in connection.execute(finished):
        over.add(row)
        counts[task_id] += 1
    begun = connection.execute(
        select(TaskRow.task_id, TaskRow.row_count)
        .where(TaskRow.job_id == job_id, TaskRow.kind != "split", ~_is_untouched())
        .order_by(TaskRow.task_id)
    )
    task_ids = [task_id for task_id, row_count in begun if counts[task_id] < row_count]
    for start in range(0, len(task_ids), TASKS_AT_ONCE):
        for task in _tasks(connection, task_ids[start : start + TASKS_AT_ONCE]):
            rows = tuple(row for row in rows_of(task.rows) if row.n not in over)
            # Rows that were tried again have tasks of their own, which come later.
            over.update(row.n for row in rows)
            if rows:
                yield TaskPlan(rows, task.common or {}, task.kind)


def _tasks(connection: Connection, task_ids: Collection[int]) -> Collection[Any]:
    statement = (
        select(TaskRow.rows, TaskRow.common, TaskRow.kind)
        .where(TaskRow.task_id.in_(task_ids))
        .order_by(TaskRow.task_id)
    )
    return connection.execute(statement).all()


def _counts(connection: Connection, job_id: str) -> dict[str, int]:
    """Count what a job has taken over, as its columns do."""

    def rows(status: RowStatus) -> Any:
        is_one = (ResultRow.part == 0) & (ResultRow.status == status.value)
        return func.count(case((is_one, 1))).label(status.value)

    statement = select(
        func.count(case((ResultRow.part == 0, 1))).label("total"),
        *(rows(status) for status in RowStatus),
        func.coalesce(func.sum(case((ResultRow.container != "", ResultRow.size), else_=0)), 0).label(
            "bytes_out"
        ),
    ).where(ResultRow.job_id == job_id)
    found = connection.execute(statement).mappings().one()
    return {name: int(value) for name, value in found.items()}
