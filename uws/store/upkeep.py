"""What time does: leases end, jobs run out, are destroyed and forgotten. Two at once do no harm."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Engine, and_, case, delete, exists, func, insert, select, text, update

from dali.clock import NowMs, now_ms
from uws.job import Claim, Counts, JobError, Lane, RowStatus, Settlement, ended_by_engine
from uws.jobtype import Ending
from uws.phase import RUNNABLE, TERMINAL, Phase
from uws.store.claims import UNREADABLE, is_overdue
from uws.store.family import is_held
from uws.store.jobs import destroyed
from uws.store.rows import IS_RUNNABLE, rows_of, tell, written_error
from uws.store.settling import LostClaim, drop, settle
from uws.tables import JobRow, LaneRow, ResultRow, TallyRow, TaskRow, UploadRow, WorkerRow

#: Of jobs that are over at the same time, so many are dealt with in a transaction.
BATCH = 100
#: Rows of a ledger that are removed in a transaction.
FORGOTTEN_AT_ONCE = 10_000
GAVE_UP = "Error: this was tried {attempts} times, and each time the worker was lost"

#: SQLite and PostgreSQL share this syntax, SQLAlchemy has a construct for each.
_COUNT = text(
    "INSERT INTO tally (name, label, value) VALUES (:name, :label, :amount)"
    " ON CONFLICT (name, label) DO UPDATE SET value = tally.value + excluded.value"
)
_RUNNABLE = [phase.value for phase in RUNNABLE]


@dataclass(frozen=True, slots=True)
class LaneState:
    """A lane as those see it who look after the service.

    Parameters
    ----------
    queued, running
        Tasks.
    late
        Of those running, those whose lease has ended.
    oldest_wait_s
        Since the oldest job with a queued task was queued.
    """

    queued: int
    running: int
    late: int
    oldest_wait_s: float


class Upkeep:
    """What the reconciler asks of the database.

    Parameters
    ----------
    engine
        Database of the jobs.
    """

    def __init__(self, engine: Engine) -> None:
        self._reading = engine.execution_options(single_reads=True)
        self._writing = engine.execution_options(writes=True)

    def reclaim(
        self, max_attempts: int, back_off_s: float, finish: Callable[[str], Callable[[Counts], Ending]]
    ) -> list[tuple[str, Phase]]:
        """Queue the tasks again whose leases have ended, or give them up; return the jobs that ended so."""
        late = and_(TaskRow.state == "running", TaskRow.lease_until_ms < NowMs())
        with self._reading.connect() as connection:
            if connection.execute(select(TaskRow.task_id).where(late).limit(1)).scalar() is None:
                return []
        with self._writing.begin() as connection:
            connection.execute(
                update(TaskRow)
                .where(late, TaskRow.attempts < max_attempts)
                .values(
                    state="queued",
                    worker_id="",
                    lease_until_ms=None,
                    not_before_ms=NowMs() + math.ceil(back_off_s * 1000) * (TaskRow.attempts - 1),
                    note="the worker was lost",
                )
            )
        with self._reading.connect() as connection:
            lost = connection.execute(
                select(*TaskRow.__table__.columns, JobRow.type)
                .join(JobRow, JobRow.job_id == TaskRow.job_id)
                .where(late, TaskRow.attempts >= max_attempts)
            ).all()
        phases = [(task.job_id, self._give_up(task, finish(task.type))) for task in lost]
        return [(job_id, phase) for job_id, phase in phases if phase in TERMINAL]

    def overdue(self) -> list[tuple[str, Phase]]:
        """Abort the jobs that have run longer than they may; return them and their phase (section 2.1.4)."""
        error = JobError("Error: the job ran longer than its execution duration")
        late = and_(
            IS_RUNNABLE,  # so that the index of those is used, not all jobs looked at
            JobRow.phase == Phase.EXECUTING.value,
            JobRow.gone_ms.is_(None),
            is_overdue(),
        )
        with self._reading.connect() as connection:
            found = connection.execute(select(JobRow.job_id).where(late).limit(BATCH)).scalars().all()
        changes = {
            "phase": Phase.ABORTED.value,
            "ended_ms": NowMs(),
            "error": written_error(error),
        }
        return self._end_all(found, late, "phase", changes)

    def destroy_due(self) -> list[tuple[str, Phase]]:
        """Destroy the jobs whose destruction has come; return them and their phases (section 2.1.5)."""
        due = and_(JobRow.gone_ms.is_(None), JobRow.destruction_ms <= NowMs())
        with self._reading.connect() as connection:
            # In the order of the index, so that the many are not looked at whose time has not come.
            statement = select(JobRow.job_id).where(due).order_by(JobRow.destruction_ms).limit(BATCH)
            found = connection.execute(statement).scalars().all()
        return self._end_all(found, due, "destroyed", destroyed())

    def to_forget(self, grace_s: float) -> list[str]:
        """Jobs gone for so long that their files may go; call `forget` when those are removed.

        Those to whose files another job refers stay.
        """
        statement = (
            select(JobRow.job_id)
            .where(JobRow.gone_ms <= NowMs() - math.ceil(grace_s * 1000), ~is_held())
            .order_by(JobRow.gone_ms)
            .limit(BATCH)
        )
        with self._reading.connect() as connection:
            return list(connection.execute(statement).scalars())

    def forget(self, job_id: str, at_once: int = FORGOTTEN_AT_ONCE) -> None:
        """Remove whatever the database has of a job that is gone.

        Its ledger goes in parts of `at_once` rows: nobody else can write to SQLite meanwhile.
        """
        is_gone = exists().where(JobRow.job_id == job_id, JobRow.gone_ms.is_not(None))
        of_job = ResultRow.job_id == job_id
        first = select(func.min(ResultRow.row)).where(of_job).scalar_subquery()
        some = delete(ResultRow).where(of_job, ResultRow.row < first + at_once, is_gone)
        while True:
            with self._writing.begin() as connection:
                if connection.execute(some).rowcount > 0:
                    continue
                # Tasks before their job, as everywhere.
                connection.execute(delete(TaskRow).where(TaskRow.job_id == job_id, is_gone))
                connection.execute(delete(JobRow).where(JobRow.job_id == job_id, JobRow.gone_ms.is_not(None)))
                return

    def known_jobs(self, job_ids: Sequence[str]) -> set[str]:
        """Those of `job_ids` the database has, gone ones too."""
        with self._reading.connect() as connection:
            return set(connection.execute(select(JobRow.job_id).where(JobRow.job_id.in_(job_ids))).scalars())

    def containers(self, job_id: str) -> set[str]:
        """Containers and uploads that a job names; whoever holds its files names no others of them."""
        containers = select(ResultRow.container).distinct().where(ResultRow.job_id == job_id)
        uploads = select(UploadRow.stored).where(UploadRow.job_id == job_id)
        with self._reading.connect() as connection:
            return set(connection.execute(containers.union_all(uploads)).scalars()) - {""}

    def running(self, job_id: str) -> list[tuple[int, int]]:
        """Tasks of a job that are in hand, with the fences of their claims."""
        statement = select(TaskRow.task_id, TaskRow.fence).where(
            TaskRow.job_id == job_id, TaskRow.state == "running"
        )
        with self._reading.connect() as connection:
            return [(task_id, fence) for task_id, fence in connection.execute(statement)]

    def beat(
        self,
        worker_id: str,
        host: str,
        pid: int,
        lanes: Sequence[Lane],
        memory_bytes: int | None = None,
        task_id: int | None = None,
    ) -> str:
        """Say that a worker lives, what memory it holds, and what it has in hand; return what it is told."""
        told = {"memory_bytes": memory_bytes, "task_id": task_id}
        with self._writing.begin() as connection:
            wanted = connection.execute(
                update(WorkerRow)
                .where(WorkerRow.worker_id == worker_id)
                .values(seen_ms=NowMs(), **told)
                .returning(WorkerRow.wanted)
            ).scalar()
            if wanted is None:
                now = now_ms(connection)
                connection.execute(
                    insert(WorkerRow).values(
                        worker_id=worker_id,
                        host=host,
                        pid=pid,
                        lanes=" ".join(lanes),
                        started_ms=now,
                        seen_ms=now,
                        **told,
                    )
                )
            return wanted or ""

    def leave(self, worker_id: str) -> None:
        """Say that a worker has ended."""
        with self._writing.begin() as connection:
            connection.execute(delete(WorkerRow).where(WorkerRow.worker_id == worker_id))

    def forget_workers(self, silent_s: float) -> None:
        """Remove workers not heard of for so long."""
        with self._writing.begin() as connection:
            connection.execute(delete(WorkerRow).where(WorkerRow.seen_ms < NowMs() - int(silent_s * 1000)))

    def live_workers(self, lane: Lane, within_s: float) -> int:
        """Count the workers that serve a lane, take tasks, and were heard of within so many seconds."""
        statement = select(WorkerRow.lanes).where(
            WorkerRow.seen_ms >= NowMs() - int(within_s * 1000), WorkerRow.wanted == ""
        )
        with self._reading.connect() as connection:
            return sum(lane in lanes.split() for lanes in connection.execute(statement).scalars())

    def pauses(self) -> dict[str, str]:
        """Tell the lanes that are paused, and why."""
        statement = select(LaneRow.lane, LaneRow.reason).where(LaneRow.paused_ms.is_not(None))
        with self._reading.connect() as connection:
            return {found.lane: found.reason for found in connection.execute(statement)}

    def count(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Add to what is counted, by name and label."""
        # In one order, so that two workers do not wait for each other.
        amounts = [
            {"name": name, "label": label, "amount": amount}
            for (name, label), amount in sorted(counts.items())
        ]
        if amounts:
            with self._writing.begin() as connection:
                connection.execute(_COUNT, amounts)

    def counted(self) -> dict[tuple[str, str], int]:
        """Give what all workers have counted, by name and label."""
        with self._reading.connect() as connection:
            found = connection.execute(select(TallyRow.name, TallyRow.label, TallyRow.value))
            return {(name, label): value for name, label, value in found}

    def claimable(self, lane: Lane, most: int) -> int:
        """Count the tasks that could be claimed, up to `most`."""
        some = (
            select(TaskRow.task_id)
            .join(JobRow, JobRow.job_id == TaskRow.job_id)
            .where(
                TaskRow.state == "queued",
                TaskRow.lane == lane,
                TaskRow.not_before_ms <= NowMs(),
                JobRow.phase.in_(_RUNNABLE),
                JobRow.gone_ms.is_(None),
            )
            .limit(most)
            .subquery()
        )
        with self._reading.connect() as connection:
            return connection.execute(select(func.count()).select_from(some)).scalar_one()

    def lane_state(self, lane: Lane) -> LaneState:
        """Count what waits and runs in a lane, and how long the oldest waits."""
        live = and_(
            TaskRow.lane == lane,
            JobRow.job_id == TaskRow.job_id,
            JobRow.phase.in_(_RUNNABLE),
            JobRow.gone_ms.is_(None),
        )
        queued = select(func.count(), func.min(JobRow.queued_ms), NowMs()).where(
            live, TaskRow.state == "queued"
        )
        is_late = TaskRow.lease_until_ms < NowMs()
        running = select(func.count(), func.count(case((is_late, 1)))).where(live, TaskRow.state == "running")
        with self._reading.connect() as connection:
            count, oldest_ms, now = connection.execute(queued).one()
            in_hand, late = connection.execute(running).one()
        return LaneState(count, in_hand, late, (now - (oldest_ms or now)) / 1000)

    def _end_all(
        self, job_ids: Sequence[str], condition: ColumnElement[bool], kind: str, changes: dict[str, Any]
    ) -> list[tuple[str, Phase]]:
        phases = [(job_id, self._end(job_id, condition, kind, changes)) for job_id in job_ids]
        return [(job_id, phase) for job_id, phase in phases if phase is not None]

    def _end(
        self, job_id: str, condition: ColumnElement[bool], kind: str, changes: dict[str, Any]
    ) -> Phase | None:
        """Change a job if the condition holds still, and tell of it; return its phase."""
        with self._writing.begin() as connection:
            found = connection.execute(
                update(JobRow)
                .where(JobRow.job_id == job_id, condition)
                .values(event_seq=JobRow.event_seq + 1, **changes)
                .returning(JobRow.event_seq, JobRow.phase)
            ).one_or_none()
            if found is None:
                return None
            tell(connection, job_id, found.event_seq, kind, {"phase": found.phase})
        return Phase(found.phase)

    def _give_up(self, task: Any, finish: Callable[[Counts], Ending]) -> Phase | None:
        """Have the rows of a task fail; return the phase of its job, None if that has ended before."""
        phase: Phase | None = None
        try:
            rows = rows_of(task.rows)
        except (ValueError, TypeError):
            rows = ()
            changes = {"phase": Phase.ERROR.value, "ended_ms": NowMs(), "error": written_error(UNREADABLE)}
            phase = self._end(task.job_id, and_(IS_RUNNABLE), "phase", changes)
        claim = Claim(
            task.task_id,
            task.job_id,
            task.type,
            task.owner,
            task.lane,
            task.worker_id,
            task.fence,
            task.attempts,
            task.kills,
            rows,
            kind=task.kind,
            common=task.common or {},
        )
        message = GAVE_UP.format(attempts=claim.attempts)
        reports = tuple(ended_by_engine(row, RowStatus.FAILED, message) for row in rows)
        try:
            with self._writing.begin() as connection:
                return settle(connection, claim, Settlement(reports), finish)
        except LostClaim:
            drop(self._writing, claim)
            return phase
