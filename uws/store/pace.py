"""What was learned of speeds, in the database: counted by workers, asked by whoever predicts."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, Engine, and_, case, delete, exists, func, or_, select, text, update

from dali.clock import NowMs, now_ms
from uws.forecast import Queue, Workload
from uws.job import Lane
from uws.pace import (
    HALF_LIFE,
    JOB_HALF_LIFE,
    Expected,
    Histogram,
    Known,
    expectation_of,
    expectation_of_all,
    is_of_jobs,
)
from uws.store.rows import IS_RUNNABLE, rows_of
from uws.tables import JobRow, PaceRow, TaskRow, WorkerRow

#: Keys that are kept; of more, those go first of which nothing was heard for longest.
MOST_KEYS = 2000
#: So long what was read is used again.
KEPT_S = 5.0
#: How large tasks are that a split makes.
USUAL_TASK_S = 2.0

#: SQLite and PostgreSQL share this syntax, SQLAlchemy has a construct for each.
_NEW = text("INSERT INTO pace (key, runs, weights, at_ms) VALUES (:key, 0, '{}', 0) ON CONFLICT DO NOTHING")


@dataclass(frozen=True, slots=True)
class Ran:
    """How long a job waited and ran, in seconds, and of what both had been predicted (`uws.forecast`)."""

    waited_s: float
    ran_s: float
    wait_s: float
    delay_s: float
    workers: int
    work: Workload


@dataclass(frozen=True, slots=True)
class Tasks:
    """A job, and what its tasks say of themselves; `split` is that which makes the others."""

    job_type: str
    lane: Lane
    rank: int
    rows: int
    seconds: float | None
    tasks: tuple[Expected, ...]
    split: Expected | None


class Paces:
    """Histograms in the database.

    Parameters
    ----------
    engine
        Of the jobs.
    kept_s
        So long what was read is used again.
    """

    def __init__(self, engine: Engine, kept_s: float = KEPT_S) -> None:
        self._reading = engine.execution_options(single_reads=True)
        self._writing = engine.execution_options(writes=True)
        self._kept_s = kept_s
        self._lock = threading.Lock()
        self._known: Known = MappingProxyType({})
        self._read_at = float("-inf")

    def known(self) -> Known:
        """Give what was learned so far, up to some seconds ago."""
        with self._lock:
            if time.monotonic() - self._read_at >= self._kept_s:
                self._known = self._read()
                self._read_at = time.monotonic()
            return self._known

    def count(self, seen: Mapping[str, Sequence[float]]) -> None:
        """Add runs to what is known: ratios by key."""
        with self._writing.begin() as connection:
            # In one order, so that two workers do not wait for each other.
            keys = sorted(seen)
            connection.execute(_NEW, [{"key": key} for key in keys])
            found = connection.execute(
                select(PaceRow.key, PaceRow.runs, PaceRow.weights)
                .where(PaceRow.key.in_(keys))
                .order_by(PaceRow.key)
                .with_for_update()
            ).all()
            at_ms = now_ms(connection)
            for key, runs, weights in found:
                grown = _histogram(runs, weights).with_ratios(seen[key], _half_life(key))
                connection.execute(
                    update(PaceRow)
                    .where(PaceRow.key == key)
                    .values(runs=grown.runs, weights=_written(grown), at_ms=at_ms)
                )
            _forget_some(connection)

    def job(self, job_id: str) -> Ran | None:
        """Tell how long a job took; None of one of which nothing was predicted, or that was not done."""
        statement = select(JobRow.queued_ms, JobRow.started_ms, JobRow.ended_ms, JobRow.estimate).where(
            JobRow.job_id == job_id, JobRow.phase == "COMPLETED", JobRow.estimate.is_not(None)
        )
        with self._reading.connect() as connection:
            found = connection.execute(statement).one_or_none()
        if found is None or None in found[:3] or "work" not in found.estimate:
            return None
        queued, started, ended, estimate = found
        return Ran(
            waited_s=(started - queued) / 1000,
            ran_s=(ended - started) / 1000,
            wait_s=estimate["wait_s"],
            delay_s=estimate["delay_s"],
            workers=estimate["workers"],
            work=Workload.from_json(estimate["work"]),
        )

    def tasks(self, job_id: str) -> Tasks:
        """List what the tasks of a job say of themselves that are not over: nothing unless all of them do."""
        columns = (JobRow.type, JobRow.lane, JobRow.rank, JobRow.total, JobRow.seconds, JobRow.packaged)
        job = select(*columns).where(JobRow.job_id == job_id)
        waiting = (
            select(TaskRow.task_id, TaskRow.kind, TaskRow.common, TaskRow.row_count)
            .where(TaskRow.job_id == job_id, TaskRow.state.in_(("queued", "running")))
            .order_by(TaskRow.task_id)  # a split was there before the others
        )
        tasks: list[Expected] = []
        split: Expected | None = None
        with self._reading.connect() as connection:
            kind, lane, rank, rows, seconds, packaged = connection.execute(job).one()
            for task in connection.execute(waiting).all():
                if task.kind == "split":
                    split = expectation_of_all(1, task.common or {})
                elif (one := _expectation(connection, task, may_read=not packaged)) is not None:
                    tasks.append(one)
                else:
                    tasks.clear()
                    break
        return Tasks(kind, "high" if lane == "high" else "low", rank, rows, seconds, tuple(tasks), split)

    def expect(self, job_id: str, estimate: Mapping[str, Any], work_s: float) -> None:
        """Say anew what is expected of a job that waits, or has begun; times are counted from now."""
        p50_s, p90_s = estimate["p50_s"], estimate["p90_s"]
        with self._writing.begin() as connection:
            now = now_ms(connection)
            found = connection.execute(
                select(JobRow.queued_ms, JobRow.started_ms, JobRow.estimate).where(
                    JobRow.job_id == job_id, IS_RUNNABLE
                )
            ).one_or_none()
            if found is None or found.queued_ms is None:
                return
            if found.estimate is not None and "work" not in found.estimate:  # the job type knows better
                return
            past_s = (now - found.queued_ms) / 1000
            told = {**estimate, "p50_s": round(past_s + p50_s, 3), "p90_s": round(past_s + p90_s, 3)}
            if found.started_ms is None:
                told["start_s"] = round(past_s + estimate["start_s"], 3)
            else:
                waited_s = (found.started_ms - found.queued_ms) / 1000
                told |= {
                    "start_s": waited_s,
                    "delay_s": past_s - waited_s + estimate["wait_s"] + estimate["delay_s"],
                    "wait_s": 0.0,  # that is over: nothing is learned of it
                }
            connection.execute(
                update(JobRow)
                .where(JobRow.job_id == job_id, IS_RUNNABLE)
                .values(estimate=told, seconds=work_s, quote_ms=now + int(p90_s * 1000))
            )

    def queue(
        self, lane: Lane, total: int, configured: int, within_s: float, but: str = "", rank: int = 0
    ) -> Queue:
        """Tell what goes before a job of `total` rows that would be queued now.

        Parameters
        ----------
        lane, total
            Of the job.
        configured
            How many workers there should be, for the time before the first of them is heard of.
        within_s
            A worker lives that was heard of within so many seconds.
        but
            A job that does not count.
        rank
            Of the job.

        Notes
        -----
        In the order of `uws.store.turns.best_jobs` as far as it can be foreseen: who has which tasks in hand
        when it comes to that, cannot.
        """
        goes_before = and_(
            or_(JobRow.rank < rank, and_(JobRow.rank == rank, JobRow.total <= total)), JobRow.job_id != but
        )
        with self._reading.connect() as connection:
            lanes = list(connection.execute(_live_lanes(within_s)).scalars())
            before = _waiting(connection, lane, goes_before)
            urgent = _waiting(connection, "high") if lane == "low" else _NOBODY
            in_hand, task_s = _in_hand(connection, but)
        serving = sum(lane in served for served in lanes)
        workers = serving or max(1, configured)
        held = max(0, in_hand - before.in_hand - urgent.in_hand)
        wait_s = before.until_free_s(workers, held + urgent.in_hand, task_s)
        everybody = max(workers, len(lanes))
        urgent_s = urgent.until_free_s(everybody, held + before.in_hand, task_s) if urgent.jobs else 0.0
        return Queue(before.jobs, wait_s, workers, serving, urgent_s)

    def _read(self) -> Known:
        with self._reading.connect() as connection:
            found = connection.execute(select(PaceRow.key, PaceRow.runs, PaceRow.weights)).all()
        return MappingProxyType({key: _histogram(runs, weights) for key, runs, weights in found})


def _expectation(connection: Connection, task: Any, *, may_read: bool) -> Expected | None:
    """Read what a task says of itself, or its rows do where it says nothing.

    They are looked at only if they `may_read`: those of packages are very many.
    """
    if task.common or not may_read:
        return expectation_of_all(task.row_count, task.common or {})
    rows = connection.execute(select(TaskRow.rows).where(TaskRow.task_id == task.task_id)).scalar_one()
    return expectation_of(rows_of(rows), {})


def _forget_some(connection: Connection) -> None:
    """Keep the table small, whatever keys there ever were."""
    kept = select(PaceRow.key).order_by(PaceRow.at_ms.desc(), PaceRow.key).limit(MOST_KEYS)
    count = connection.execute(select(func.count()).select_from(PaceRow)).scalar_one()
    if count > MOST_KEYS:
        connection.execute(delete(PaceRow).where(PaceRow.key.not_in(kept)))


def _half_life(key: str) -> float:
    return JOB_HALF_LIFE if is_of_jobs(key) else HALF_LIFE


def _histogram(runs: int, weights: Mapping[str, float]) -> Histogram:
    return Histogram(runs, {int(number): weight for number, weight in weights.items()})


def _written(histogram: Histogram) -> dict[str, Any]:
    return {str(number): round(weight, 4) for number, weight in sorted(histogram.weights.items())}


def _left_s() -> Any:
    """Seconds of work, of one worker, that a job has left."""
    ended = JobRow.done + JobRow.empty + JobRow.failed + JobRow.poison
    share = case((JobRow.total > 0, 1.0 - ended * 1.0 / JobRow.total), else_=1.0)
    return func.coalesce(func.sum(func.coalesce(JobRow.seconds, 0.0) * share), 0.0)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Jobs in a lane: their tasks that wait and those in hand, and the seconds of work that are left."""

    jobs: int = 0
    queued: float = 0.0
    in_hand: int = 0
    left_s: float = 0.0

    def until_free_s(self, workers: int, held: int, task_s: float) -> float:
        """Tell how long it takes until one of some workers is free, of whom others hold some.

        `task_s`: how long the tasks take that are in hand; each is somewhere in the middle.
        """
        tasks = self.queued + self.in_hand
        if tasks + held < workers:
            return 0.0
        if tasks < workers:
            return task_s / 2 / workers
        return self.left_s / workers * (tasks - workers + 1) / tasks


_NOBODY = _Waiting()


def _waiting(connection: Connection, lane: Lane, *conditions: Any) -> _Waiting:
    """Count what waits in a lane, of jobs that meet some conditions."""
    jobs = and_(_waits_in(lane), *conditions)
    count, left_s = connection.execute(select(func.count(), _left_s()).where(jobs)).one()
    if not count:
        return _NOBODY
    queued, in_hand = (
        connection.execute(
            select(func.count())
            .select_from(TaskRow)
            .join(JobRow, JobRow.job_id == TaskRow.job_id)
            .where(jobs, TaskRow.state == state)
        ).scalar_one()
        for state in ("queued", "running")
    )
    # What has not been split yet is more than the one task that it has.
    is_split = exists().where(
        TaskRow.job_id == JobRow.job_id, TaskRow.kind == "split", TaskRow.state.in_(("queued", "running"))
    )
    unsplit_s = connection.execute(select(_left_s()).where(jobs, is_split)).scalar_one()
    return _Waiting(count, queued + unsplit_s / USUAL_TASK_S, in_hand, left_s)


def _in_hand(connection: Connection, but: str) -> tuple[int, float]:
    """Count the tasks in hand, but for those of a job, and tell how long they take, on average."""
    of_job = JobRow.seconds * TaskRow.row_count / JobRow.total
    task_s = case(
        (or_(JobRow.seconds.is_(None), JobRow.total == 0), USUAL_TASK_S),
        (of_job > USUAL_TASK_S, USUAL_TASK_S),
        else_=of_job,
    )
    statement = (
        select(func.count(), func.coalesce(func.avg(task_s), 0.0))
        .select_from(TaskRow)
        .join(JobRow, JobRow.job_id == TaskRow.job_id)
        .where(TaskRow.state == "running", TaskRow.job_id != but)
    )
    count, seconds = connection.execute(statement).one()
    return count, float(seconds)


def _waits_in(lane: Lane) -> Any:
    return and_(IS_RUNNABLE, JobRow.lane == lane, JobRow.gone_ms.is_(None))


def _live_lanes(within_s: float) -> Any:
    return select(WorkerRow.lanes).where(
        WorkerRow.seen_ms >= NowMs() - int(within_s * 1000), WorkerRow.wanted == ""
    )
