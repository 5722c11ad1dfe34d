"""Whose turn it is: which job the next task is taken of."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Select, case, exists, func, select, update

from dali.clock import NowMs
from uws.job import Lane
from uws.store.rows import IS_RUNNABLE
from uws.tables import JobRow, TaskRow

#: So many of the best jobs are tried for a task; another worker may take the last one of each.
BEST_JOBS = 10
#: For each such time without a turn a job counts as of the next better rank; after the first it goes before
#: small ones.
AGEING_MS = 60_000
#: A turn is written down if the last one was so long ago: not each time, as that is one more write.
TURN_MS = 10_000


def best_jobs(lane: Lane, but: Collection[str] = ()) -> Select[str]:
    """Jobs that have a task to claim, in the order in which it is their turn.

    Rank decides, then of which owner less runs, then size. Who waits for a turn rises in rank up to the best,
    and goes before small jobs then: for one task, after which it waits anew. So nobody waits for ever, and a
    job that was there first does not keep the workers to itself.

    Parameters
    ----------
    lane
        Of the tasks.
    but
        Jobs that have been tried.
    """
    busy = (
        select(TaskRow.owner, func.count().label("tasks"))
        .where(TaskRow.state == "running")
        .group_by(TaskRow.owner)
        .subquery()
    )
    waited_ms = NowMs() - JobRow.turn_ms
    risen = waited_ms // AGEING_MS
    has_waited = waited_ms > AGEING_MS
    statement = (
        select(JobRow.job_id)
        .outerjoin(busy, busy.c.owner == JobRow.owner)
        .where(
            IS_RUNNABLE,
            JobRow.gone_ms.is_(None),
            exists().where(TaskRow.job_id == JobRow.job_id, *claimable(lane)),
        )
        .order_by(
            case((JobRow.rank > risen, JobRow.rank - risen), else_=0),
            func.coalesce(busy.c.tasks, 0) / JobRow.share,
            case((has_waited, 0), else_=1),
            case((has_waited, JobRow.turn_ms), else_=JobRow.total),
            JobRow.created_ms,
            JobRow.job_id,
        )
        .limit(BEST_JOBS)
    )
    return statement.where(JobRow.job_id.not_in(but)) if but else statement


def note_turn(connection: Connection, job_id: str) -> None:
    """Write down that a job had its turn, unless that is known, or somebody else is at the job."""
    due = select(JobRow.job_id).where(JobRow.job_id == job_id, JobRow.turn_ms < NowMs() - TURN_MS)
    connection.execute(
        update(JobRow)
        .where(JobRow.job_id.in_(due.with_for_update(skip_locked=True).scalar_subquery()))
        .values(turn_ms=NowMs())
    )


def claimable(lane: Lane) -> tuple[Any, ...]:
    """Conditions for a task to be claimed now, if its job may run."""
    return TaskRow.lane == lane, TaskRow.state == "queued", TaskRow.not_before_ms <= NowMs()
