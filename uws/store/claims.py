"""What workers do with tasks: claim one, keep it, settle it. Nothing is written without the claim's fence."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, and_, select, update

from dali.clock import NowMs
from uws.job import Claim, Counts, JobError, Lane, Parameter, Settlement, Upload
from uws.jobtype import Ending
from uws.phase import Phase
from uws.store.inserts import uploads_of
from uws.store.jobs import Jobs
from uws.store.rows import parameters_of, rows_of, tell
from uws.store.settling import drop, of_claim, settle
from uws.store.turns import BEST_JOBS, Served, best_jobs, claimable, is_full, note_turn
from uws.tables import JobRow, TaskRow

#: A worker looks so often for jobs whose tasks are not all in other hands.
MOST_LOOKS = 5
UNREADABLE = JobError("Error: the plan of the job cannot be read", "Another version of the program made it.")

_log = logging.getLogger(__name__)


class Hold(Enum):
    """What a worker has of the task it claimed."""

    HELD = "held"
    LOST = "lost"  # another one may have it
    ENDED = "ended"  # its job was aborted, destroyed, or ended otherwise
    OVERDUE = "overdue"  # its job has run longer than it may


class _Started(NamedTuple):
    """What of a job matters to who claims a task of it; whether it was QUEUED before."""

    job_type: str
    owner: str
    rank: int
    actor: str
    parallel: int
    is_first: bool


class Claims:
    """Tasks in the database, as one worker sees them.

    Parameters
    ----------
    engine
        Their database.
    worker_id
        Who claims.
    lease_s
        So long a claim holds without being renewed.
    clock
        By which it is measured how long tasks take, in seconds.
    """

    def __init__(
        self,
        engine: Engine,
        worker_id: str,
        lease_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._reading = engine.execution_options(single_reads=True)
        self._writing = engine.execution_options(writes=True)
        self._jobs = Jobs(engine)
        self._worker_id = worker_id
        self._lease_ms = math.ceil(lease_s * 1000)
        self._served = Served(clock)

    def claim(self, lanes: Sequence[Lane], ended: Claim | None = None) -> Claim | None:
        """Take the next task of the first lane that has one; None if nothing can be claimed.

        `ended`: a task that is over, though that is not written down yet: it does not count as running.
        """
        self._served.end()
        for lane in lanes:
            if (claim := self._claim_in(lane, ended)) is not None:
                return claim
        return None

    def look(self, claim: Claim) -> Hold:
        """See whether the task is still in hand, without writing."""
        statement = (
            select(TaskRow.fence, TaskRow.state, JobRow.phase, JobRow.gone_ms, is_overdue().label("overdue"))
            .join(JobRow, JobRow.job_id == TaskRow.job_id)
            .where(TaskRow.task_id == claim.task_id)
        )
        with self._reading.connect() as connection:
            found = connection.execute(statement).one_or_none()
        return _hold(claim, found)

    def renew(self, claim: Claim) -> Hold:
        """Lengthen the lease."""
        with self._writing.begin() as connection:
            held = connection.execute(
                of_claim(claim).values(lease_until_ms=NowMs() + self._lease_ms).returning(TaskRow.task_id)
            ).scalar()
        return Hold.LOST if held is None else self.look(claim)

    def is_settled(self, claim: Claim) -> bool:
        """See whether the task was settled under this claim: a commit may succeed and its answer be lost."""
        statement = select(TaskRow.task_id).where(
            TaskRow.task_id == claim.task_id, TaskRow.state == "done", TaskRow.fence == claim.fence
        )
        with self._reading.connect() as connection:
            return connection.execute(statement).scalar() is not None

    def settle(self, claim: Claim, settlement: Settlement, finish: Callable[[Counts], Ending]) -> Phase:
        """Commit what became of the task, in one transaction; return the phase of its job after that.

        Parameters
        ----------
        claim
            The task.
        settlement
            Rows that ended, and rows to be done again; together all rows of the task.
        finish
            Decides how the job ends when these were its last rows.

        Raises
        ------
        LostClaim
            The fence, or the job's phase, is not what it was: nothing was written.
        """
        with self._writing.begin() as connection:
            return settle(connection, claim, settlement, finish)

    def drop(self, claim: Claim) -> None:
        """Let go of a task whose job has ended: nobody does it any more."""
        drop(self._writing, claim)

    def _claim_in(self, lane: Lane, ended: Claim | None) -> Claim | None:
        tried: list[str] = []
        for _ in range(MOST_LOOKS):
            with self._reading.connect() as connection:
                wanted = best_jobs(lane, tried, self._served, 0 if ended is None else ended.task_id)
                jobs = connection.execute(wanted).scalars().all()
            for job_id in jobs:
                try:
                    claim = self._claim_of(job_id, lane)
                except (ValueError, TypeError):
                    _log.exception("the rows of a task cannot be read", extra={"job_id": job_id})
                    self._jobs.end(job_id, Phase.ERROR, UNREADABLE)
                    continue
                if claim is not None:
                    self._served.begin(claim.owner, claim.rank)
                    return claim
            if len(jobs) < BEST_JOBS:
                break
            # Others have taken, or hold locked, the last task of each: there are more jobs.
            tried += jobs
        return None

    def _claim_of(self, job_id: str, lane: Lane) -> Claim | None:
        with self._writing.begin() as connection:
            task = connection.execute(
                select(TaskRow.task_id)
                .where(TaskRow.job_id == job_id, *claimable(lane))
                .order_by(TaskRow.n)
                .limit(1)
                .with_for_update(skip_locked=True)
            ).scalar()
            if task is None:
                return None
            started = self._start(connection, job_id)
            if started is None:
                return None
            if started.parallel and is_full(connection, job_id):
                return None
            note_turn(connection, job_id)
            taken = connection.execute(
                update(TaskRow)
                .where(TaskRow.task_id == task)
                .values(
                    state="running",
                    fence=TaskRow.fence + 1,
                    attempts=TaskRow.attempts + 1,
                    worker_id=self._worker_id,
                    started_ms=NowMs(),
                    lease_until_ms=NowMs() + self._lease_ms,
                )
                .returning(
                    TaskRow.fence,
                    TaskRow.attempts,
                    TaskRow.kills,
                    TaskRow.rows,
                    TaskRow.kind,
                    TaskRow.common,
                )
            ).one()
            asked = self._asked(connection, job_id) if taken.kind == "split" else ((), ())
        return Claim(
            task_id=task,
            job_id=job_id,
            job_type=started.job_type,
            owner=started.owner,
            lane=lane,
            worker_id=self._worker_id,
            fence=taken.fence,
            attempts=taken.attempts,
            kills=taken.kills,
            rows=rows_of(taken.rows),
            started=started.is_first,
            rank=started.rank,
            actor=started.actor,
            kind=taken.kind,
            common=taken.common or {},
            parameters=asked[0],
            uploads=asked[1],
        )

    def _asked(self, connection: Connection, job_id: str) -> tuple[tuple[Parameter, ...], tuple[Upload, ...]]:
        """Read what a job was made of."""
        written = connection.execute(select(JobRow.parameters).where(JobRow.job_id == job_id)).scalar_one()
        return parameters_of(written), tuple(uploads_of(connection, job_id))

    def _start(self, connection: Connection, job_id: str) -> _Started | None:
        """Have a job EXECUTING; return None if it has ended."""
        begun = connection.execute(
            update(JobRow)
            .where(JobRow.job_id == job_id, JobRow.phase == Phase.QUEUED.value, JobRow.gone_ms.is_(None))
            .values(
                phase=Phase.EXECUTING.value,
                started_ms=NowMs(),
                turn_ms=NowMs(),
                event_seq=JobRow.event_seq + 1,
            )
            .returning(JobRow.event_seq)
        ).scalar()
        if begun is not None:
            tell(connection, job_id, begun, "phase", {"phase": Phase.EXECUTING.value})
        found = connection.execute(
            select(JobRow.type, JobRow.owner, JobRow.rank, JobRow.actor, JobRow.parallel).where(
                JobRow.job_id == job_id, JobRow.phase == Phase.EXECUTING.value, JobRow.gone_ms.is_(None)
            )
        ).one_or_none()
        return None if found is None else _Started(*found, begun is not None)


def is_overdue() -> ColumnElement[bool]:
    """Whether a job has run longer than it may."""
    return and_(
        JobRow.execution_duration_s > 0,
        JobRow.started_ms + JobRow.execution_duration_s * 1000 < NowMs(),
    )


def _hold(claim: Claim, found: Any) -> Hold:
    if found is None or found.state != "running" or found.fence != claim.fence:
        return Hold.LOST
    if found.phase != Phase.EXECUTING.value or found.gone_ms is not None:
        return Hold.ENDED
    return Hold.OVERDUE if found.overdue else Hold.HELD
