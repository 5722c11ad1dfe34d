"""What waits and runs, and what those who look after the service do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Engine, delete, exists, func, select, text, update

from dali.clock import NowMs, now_ms
from uws.job import LANES, Lane
from uws.store.rows import IS_RUNNABLE, tell
from uws.tables import JobRow, LaneRow, TaskRow, WorkerRow

#: So many jobs that wait are looked at, of each lane: the first ones by class and age.
MOST_SEEN = 10_000

#: SQLite and PostgreSQL share this syntax, SQLAlchemy has a construct for each.
_PAUSE = text(
    "INSERT INTO lane (lane, paused_ms, account, reason) VALUES (:lane, :now, :account, :reason)"
    " ON CONFLICT (lane) DO UPDATE SET paused_ms = coalesce(lane.paused_ms, excluded.paused_ms),"
    " account = excluded.account, reason = excluded.reason"
)


class Waiting(NamedTuple):
    """A job none of whose tasks is worked on. Moments are milliseconds since 1970."""

    job_id: str
    owner: str
    rank: int
    share: float
    total: int
    created_ms: int
    queued_ms: int
    turn_ms: int
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Pause:
    """A lane in which nothing is claimed: since when, by whose order, and why."""

    since_ms: int
    account: str
    reason: str


@dataclass(frozen=True, slots=True)
class LaneQueue:
    """A lane.

    Parameters
    ----------
    waiting
        Jobs with tasks in it, none of which runs; hidden ones too.
    running
        Tasks of it that run.
    workers, busy
        Those that serve it, and take tasks; and of these, those that have one, of whatever lane.
    pause
        If it is paused.
    """

    waiting: tuple[Waiting, ...]
    running: int
    workers: int
    busy: int
    pause: Pause | None


@dataclass(frozen=True, slots=True)
class Queues:
    """All lanes at a moment, and the running tasks of each owner."""

    lanes: Mapping[Lane, LaneQueue]
    busy: Mapping[str, int]
    now_ms: int


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A worker, as it told of itself last. Moments are milliseconds since 1970.

    Parameters
    ----------
    memory_bytes
        That it holds, with the process that works on pixels.
    task_id, job_id
        In hand; None and "" if there is none.
    wanted
        `drain`: it takes no further task; `stop`: it is about to end; "" otherwise.
    silent_s
        Since it was heard of.
    """

    worker_id: str
    host: str
    pid: int
    lanes: tuple[str, ...]
    started_ms: int
    silent_s: float
    memory_bytes: int | None
    task_id: int | None
    job_id: str
    wanted: str


class QueueStore:
    """Lanes and workers in the database.

    Parameters
    ----------
    engine
        Database of the jobs.
    within_s
        A worker lives that was heard of within so many seconds.
    """

    def __init__(self, engine: Engine, within_s: float) -> None:
        self._reading = engine.execution_options(single_reads=True)
        self._writing = engine.execution_options(writes=True)
        self._within_s = within_s

    def look(self) -> Queues:
        """See what waits and runs now."""
        with self._reading.connect() as connection:
            now = now_ms(connection)
            running = connection.execute(
                select(TaskRow.owner, TaskRow.lane, func.count())
                .where(TaskRow.state == "running")
                .group_by(TaskRow.owner, TaskRow.lane)
            ).all()
            pauses = {
                found.lane: Pause(found.paused_ms, found.account, found.reason)
                for found in connection.execute(
                    select(*LaneRow.__table__.columns).where(LaneRow.paused_ms.is_not(None))
                )
            }
            has_task = WorkerRow.worker_id.in_(select(TaskRow.worker_id).where(TaskRow.state == "running"))
            crew = connection.execute(
                select(WorkerRow.lanes, has_task).where(
                    WorkerRow.seen_ms >= now - int(self._within_s * 1000), WorkerRow.wanted == ""
                )
            ).all()
            workers = Counter(lane for lanes, _ in crew for lane in lanes.split())
            at_work = Counter(lane for lanes, is_busy in crew if is_busy for lane in lanes.split())
            lanes = {
                lane: LaneQueue(
                    tuple(Waiting(*found) for found in connection.execute(_waiting(lane))),
                    sum(count for _, of, count in running if of == lane),
                    workers[lane],
                    at_work[lane],
                    pauses.get(lane),
                )
                for lane in LANES
            }
        busy: Counter[str] = Counter()
        for owner, _, count in running:
            busy[owner] += count
        return Queues(lanes, busy, now)

    def again_ms(self, job_id: str) -> int | None:
        """Tell when a job that waits may be tried again; None if it may be now."""
        statement = select(func.min(TaskRow.not_before_ms), NowMs()).where(
            TaskRow.job_id == job_id, TaskRow.state == "queued"
        )
        with self._reading.connect() as connection:
            soonest, now = connection.execute(statement).one()
        return soonest if soonest is not None and soonest > now else None

    def pause(self, lane: Lane, account: str, reason: str) -> None:
        """Have nothing claimed in a lane; tasks in hand go on."""
        with self._writing.begin() as connection:
            told = {"lane": lane, "now": now_ms(connection), "account": account, "reason": reason}
            connection.execute(_PAUSE, told)

    def resume(self, lane: Lane) -> bool:
        """Have tasks claimed in a lane again; False if it was not paused."""
        with self._writing.begin() as connection:
            return connection.execute(delete(LaneRow).where(LaneRow.lane == lane)).rowcount > 0

    def prioritise(
        self,
        job_id: str,
        *,
        rank: int | None = None,
        share: float | None = None,
        parallel: int | None = None,
    ) -> bool:
        """Give a job another rank, share or limit of tasks at a time; False if it has ended, or is gone."""
        told = {"rank": rank, "share": share, "parallel": parallel}
        changes = {name: value for name, value in told.items() if value is not None}
        with self._writing.begin() as connection:
            seq = connection.execute(
                update(JobRow)
                .where(
                    JobRow.job_id == job_id,
                    JobRow.phase.in_(("PENDING", "QUEUED", "EXECUTING")),
                    JobRow.gone_ms.is_(None),
                )
                .values(event_seq=JobRow.event_seq + 1, **changes)
                .returning(JobRow.event_seq)
            ).scalar()
            if seq is not None:
                tell(connection, job_id, seq, "priority", changes)
        return seq is not None

    def workers(self) -> list[WorkerState]:
        """List the workers, the oldest first."""
        statement = (
            select(*WorkerRow.__table__.columns, TaskRow.job_id, NowMs().label("now_ms"))
            .outerjoin(TaskRow, TaskRow.task_id == WorkerRow.task_id)
            .order_by(WorkerRow.started_ms, WorkerRow.worker_id)
        )
        with self._reading.connect() as connection:
            return [
                WorkerState(
                    found.worker_id,
                    found.host,
                    found.pid,
                    tuple(found.lanes.split()),
                    found.started_ms,
                    max(0, found.now_ms - found.seen_ms) / 1000,
                    found.memory_bytes,
                    found.task_id,
                    found.job_id or "",
                    found.wanted,
                )
                for found in connection.execute(statement)
            ]

    def order(self, worker_id: str, wanted: str) -> bool:
        """Tell a worker what to do: `drain`, `stop`, or "" to go on; False if there is none of this name."""
        with self._writing.begin() as connection:
            return (
                connection.execute(
                    update(WorkerRow).where(WorkerRow.worker_id == worker_id).values(wanted=wanted)
                ).rowcount
                > 0
            )


def _waiting(lane: Lane) -> Any:
    return (
        select(
            JobRow.job_id,
            JobRow.owner,
            JobRow.rank,
            JobRow.share,
            JobRow.total,
            JobRow.created_ms,
            func.coalesce(JobRow.queued_ms, JobRow.created_ms),
            func.coalesce(JobRow.turn_ms, JobRow.created_ms),
            JobRow.hidden,
        )
        .where(
            IS_RUNNABLE,
            JobRow.gone_ms.is_(None),
            exists().where(TaskRow.job_id == JobRow.job_id, TaskRow.lane == lane, TaskRow.state == "queued"),
            JobRow.job_id.not_in(select(TaskRow.job_id).where(TaskRow.state == "running")),
        )
        .order_by(JobRow.rank, JobRow.queued_ms)
        .limit(MOST_SEEN)
    )
