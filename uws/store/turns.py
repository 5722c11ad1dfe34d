"""Whose turn it is: which job the next task is taken of."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, Select, case, exists, func, literal, or_, select, update

from dali.clock import NowMs
from uws.job import Lane
from uws.store.rows import IS_RUNNABLE
from uws.tables import JobRow, LaneRow, TaskRow

#: So many of the best jobs are tried for a task; another worker may take the last one of each.
BEST_JOBS = 10
#: For each such time without a turn a job counts as of the next better rank; after the first it goes before
#: small ones.
AGEING_MS = 60_000
#: A turn is written down if the last one was so long ago: not each time, as that is one more write.
TURN_MS = 10_000
#: After so many tasks of one rank, a worker takes one of another, if there is one: a fifth is for the others,
#: whoever floods the queue.
MOST_OF_A_RANK = 4
#: With each task, earlier ones count so much less for how much their owners had of a worker.
FADING = 0.9
#: What counts less than this is forgotten.
LEAST = 0.05


class Served:
    """Whom one worker has served lately.

    What runs now tells who has how much of many workers; of one it tells nothing, as it has no task when it
    asks for the next.
    """

    def __init__(self) -> None:
        self._tasks: dict[str, float] = {}
        self._rank = -1
        self._in_a_row = 0

    def note(self, owner: str, rank: int) -> None:
        """Note that a task was claimed of a job of this owner and rank."""
        faded = {name: tasks * FADING for name, tasks in self._tasks.items()}
        self._tasks = {name: tasks for name, tasks in faded.items() if tasks >= LEAST}
        self._tasks[owner] = self._tasks.get(owner, 0.0) + 1.0
        self._in_a_row = self._in_a_row + 1 if rank == self._rank else 1
        self._rank = rank

    @property
    def tasks(self) -> Mapping[str, float]:
        """How many tasks each owner had, older ones counting less."""
        return self._tasks

    @property
    def enough_of(self) -> int | None:
        """Rank of which it is not the turn, if there are others."""
        return self._rank if self._in_a_row >= MOST_OF_A_RANK else None


def best_jobs(
    lane: Lane, but: Collection[str] = (), served: Served | None = None, ended: int = 0
) -> Select[str]:
    """Jobs that have a task to claim, in the order in which it is their turn.

    Rank decides, then which owner has less of the workers, for what he is entitled to, then size. Jobs of
    owners who have nothing of the workers rise in rank, up to the best, the longer they wait. Among jobs of
    one owner, and of owners who have the same, those that have waited go before small ones: for one task,
    after which they wait anew. So nobody waits for ever, whoever was there first does not keep the workers
    to himself, and neither does who sends the most jobs.

    Parameters
    ----------
    lane
        Of the tasks. In one that is paused there is nothing to claim.
    but
        Jobs that have been tried.
    served
        Whom the worker has served lately.
    ended
        A task of the worker that is over, though the database does not know yet: its owner does not have it.
    """
    served = served or Served()
    busy, in_hand = _running_by(TaskRow.owner, ended), _running_by(TaskRow.job_id)
    tasks: Any = func.coalesce(busy.c.tasks, 0)
    if served.tasks:
        lately = {owner: literal(round(count, 3)) for owner, count in served.tasks.items()}
        tasks = tasks + case(lately, value=JobRow.owner, else_=literal(0.0))
    waited_ms = NowMs() - JobRow.turn_ms
    risen = waited_ms // AGEING_MS
    has_waited = waited_ms > AGEING_MS
    statement = (
        select(JobRow.job_id)
        .outerjoin(busy, busy.c.key == JobRow.owner)
        .outerjoin(in_hand, in_hand.c.key == JobRow.job_id)
        .where(
            IS_RUNNABLE,
            JobRow.gone_ms.is_(None),
            exists().where(TaskRow.job_id == JobRow.job_id, *claimable(lane)),
            or_(JobRow.parallel == 0, func.coalesce(in_hand.c.tasks, 0) < JobRow.parallel),
            ~is_paused(lane),
        )
        .order_by(
            *(() if served.enough_of is None else (case((JobRow.rank == served.enough_of, 1), else_=0),)),
            case((tasks > 0, JobRow.rank), (JobRow.rank > risen, JobRow.rank - risen), else_=0),
            tasks / JobRow.share,
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


def is_paused(lane: Lane) -> Any:
    """Whether nothing is claimed in a lane."""
    return exists().where(LaneRow.lane == lane, LaneRow.paused_ms.is_not(None))


def is_full(connection: Connection, job_id: str) -> bool:
    """Whether as many tasks of a job run as may at a time; others who ask this of it wait."""
    most = connection.execute(
        select(JobRow.parallel).where(JobRow.job_id == job_id).with_for_update()
    ).scalar_one()
    running = select(func.count()).where(TaskRow.job_id == job_id, TaskRow.state == "running")
    return bool(most) and connection.execute(running).scalar_one() >= most


def _running_by(column: Any, but: int = 0) -> Any:
    return (
        select(column.label("key"), func.count().label("tasks"))
        .where(TaskRow.state == "running", TaskRow.task_id != but)
        .group_by(column)
        .subquery()
    )
