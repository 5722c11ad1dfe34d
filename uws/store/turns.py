"""Whose turn it is: which job the next task is taken of."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from sqlalchemy import Connection, Select, and_, case, exists, func, literal, or_, select, update

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
#: What of a worker's time may go to one rank while others wait: the rest is for these, whoever floods it.
MOST_OF_TIME = 0.8
#: Work of a worker counts for half after so many seconds.
HALF_LIFE_S = 30.0
#: A task counts as no longer than this; a worker may have been frozen.
LONGEST_S = 60.0
#: A task of another worker that runs counts as so many seconds of this one's work.
USUAL_S = 2.0
#: Owners for whom less was done, in seconds, count as not served.
LEAST_S = 0.01


class Served:
    """Whom one worker has served lately, and for how long.

    What runs now tells who has how much of many workers; of one it tells nothing, as it has no task when it
    asks for the next. And tasks are of different lengths: a share is one of time.

    Parameters
    ----------
    clock
        Gives the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seconds: dict[str, float] = {}
        self._by_rank: dict[int, float] = {}
        self._in_hand: tuple[str, int] | None = None
        self._at = clock()

    def begin(self, owner: str, rank: int) -> None:
        """Note that a task was claimed of a job of this owner and rank."""
        self._in_hand = (owner, rank)
        self._at = self._clock()

    def end(self) -> None:
        """Note that the task in hand, if there is one, is over."""
        if self._in_hand is None:
            return
        now = self._clock()
        past_s, (owner, rank) = now - self._at, self._in_hand
        self._at, self._in_hand = now, None
        fading = 0.5 ** (past_s / HALF_LIFE_S)
        faded = {name: seconds * fading for name, seconds in self._seconds.items()}
        self._seconds = {name: seconds for name, seconds in faded.items() if seconds >= LEAST_S}
        self._by_rank = {number: seconds * fading for number, seconds in self._by_rank.items()}
        took_s = min(past_s, LONGEST_S)
        self._seconds[owner] = self._seconds.get(owner, 0.0) + took_s
        self._by_rank[rank] = self._by_rank.get(rank, 0.0) + took_s

    @property
    def seconds(self) -> Mapping[str, float]:
        """What was done for each owner."""
        return self._seconds

    @property
    def enough_for(self) -> int:
        """Rank of which it is not the turn, if there are others; -1 where none has had too much."""
        most_s = MOST_OF_TIME * sum(self._by_rank.values())
        return next((rank for rank, seconds in self._by_rank.items() if seconds >= most_s > 0.0), -1)


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
    busy, in_hand = _running(TaskRow.owner, but=ended), _running(TaskRow.owner, TaskRow.job_id)
    tasks: Any = func.coalesce(busy.c.tasks, 0)
    if served.seconds:
        lately = {owner: literal(round(seconds / USUAL_S, 4)) for owner, seconds in served.seconds.items()}
        tasks = tasks + case(lately, value=JobRow.owner, else_=literal(0.0))
    waited_ms = NowMs() - JobRow.turn_ms
    risen = waited_ms // AGEING_MS
    has_waited = waited_ms > AGEING_MS
    statement = (
        select(JobRow.job_id)
        .outerjoin(busy, busy.c.owner == JobRow.owner)
        .outerjoin(in_hand, and_(in_hand.c.owner == JobRow.owner, in_hand.c.job_id == JobRow.job_id))
        .where(
            IS_RUNNABLE,
            JobRow.gone_ms.is_(None),
            exists().where(TaskRow.job_id == JobRow.job_id, *claimable(lane)),
            or_(JobRow.parallel == 0, func.coalesce(in_hand.c.tasks, 0) < JobRow.parallel),
            ~is_paused(lane),
        )
        .order_by(
            case((JobRow.rank == served.enough_for, 1), else_=0),
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
    job = connection.execute(
        select(JobRow.parallel, JobRow.owner).where(JobRow.job_id == job_id).with_for_update()
    ).one()
    running = select(func.count()).where(
        TaskRow.owner == job.owner, TaskRow.job_id == job_id, TaskRow.state == "running"
    )
    return bool(job.parallel) and connection.execute(running).scalar_one() >= job.parallel


def _running(*columns: Any, but: int = 0) -> Any:
    """Count running tasks. By owner first, as their index has them: SQLite would look at all tasks else."""
    return (
        select(*columns, func.count().label("tasks"))
        .where(TaskRow.state == "running", TaskRow.task_id != but)
        .group_by(*columns)
        .subquery()
    )
