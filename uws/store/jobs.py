"""What clients do with jobs. A phase is only ever changed from the phase that was expected."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, case, delete, func, insert, select, update

from dali.caller import ANONYMOUS, Caller
from dali.clock import NowMs, now_ms
from uws.job import Job, JobError, JobRef, NewJob, Parameter, Result, ResultRef, RowStatus, Upload
from uws.jobtype import JobPlan, TaskPlan
from uws.phase import ACTIVE, TERMINAL, Phase
from uws.quota import NO_QUOTAS, Quotas
from uws.store.family import Born, NothingMissing, make_child
from uws.store.inserts import insert_split, insert_tasks, insert_uploads, upload_bytes, uploads_of
from uws.store.rows import (
    job_of,
    result_of,
    take_number,
    tell,
    written_error,
    written_parameters,
)
from uws.store.use import needed
from uws.tables import JobRow, ResultRow, UploadRow

_PHASES = [phase.value for phase in ACTIVE]


@dataclass(frozen=True, slots=True)
class Seen:
    """As much of a job as those need who wait for it."""

    phase: Phase
    event_seq: int


class Jobs:
    """Jobs in the database.

    Parameters
    ----------
    engine
        Its database.
    quotas
        Keeps count of what jobs need that are run here.
    """

    def __init__(self, engine: Engine, quotas: Quotas = NO_QUOTAS) -> None:
        self.engine = engine
        self._quotas = quotas
        self._reading = engine.execution_options(single_reads=True)
        self._writing = engine.execution_options(writes=True)

    def create(self, new: NewJob, start: JobPlan | JobError | None = None, caller: Caller = ANONYMOUS) -> Job:
        """Store a job; with `start` it is run in the same transaction: QUEUED, or in ERROR at once.

        Raises
        ------
        QuotaExceeded
            If `caller` may not run it; then there is no job.
        """
        with self._writing.begin() as connection:
            connection.execute(
                insert(JobRow).values(
                    job_id=new.job_id,
                    type=new.type,
                    owner=new.owner,
                    phase=Phase.PENDING.value,
                    run_id=new.run_id,
                    lane="low",
                    hidden=new.hidden,
                    created_ms=NowMs(),
                    destruction_ms=NowMs() + new.destruction_s * 1000,
                    quote_ms=_quote(new.estimate),
                    execution_duration_s=new.execution_duration_s,
                    parameters=written_parameters(new.parameters),
                    fault=written_error(new.fault),
                    seconds=new.seconds,
                    estimate=_written(new.estimate),
                    actor=new.actor,
                    rank=new.rank,
                    share=new.share,
                    parallel=new.parallel,
                    shared_with=list(new.shared_with) or None,
                    notify=_written(new.notify),
                )
            )
            insert_uploads(connection, new.job_id, new.uploads)
            if start is not None:
                self._start(connection, new.job_id, start, caller)
            return self._get(connection, new.job_id)

    def get(self, job_id: str) -> Job | None:
        """Return a job, None if there is none or it was destroyed."""
        with self._reading.connect() as connection:
            found = connection.execute(_live(job_id)).mappings().one_or_none()
        return None if found is None else job_of(found)

    def uploads(self, job_id: str) -> list[Upload]:
        """List the uploads of a job."""
        with self._reading.connect() as connection:
            return uploads_of(connection, job_id)

    def upload_bytes(self, owner: str) -> int:
        """Sum up the files that the jobs of an owner have with them."""
        with self._reading.connect() as connection:
            return upload_bytes(connection, owner)

    def look(self, job_ids: Collection[str]) -> dict[str, Seen]:
        """See the phases of jobs, of those that are there."""
        statement = select(JobRow.job_id, JobRow.phase, JobRow.event_seq).where(
            JobRow.job_id.in_(job_ids), JobRow.gone_ms.is_(None)
        )
        with self._reading.connect() as connection:
            found = connection.execute(statement).all()
        return {job_id: Seen(Phase(phase), seq) for job_id, phase, seq in found}

    def refs(
        self,
        owner: str | None,
        phases: Collection[Phase] = (),
        after_ms: int | None = None,
        last: int | None = None,
        limit: int | None = None,
        job_type: str | None = None,
    ) -> list[JobRef]:
        """List the jobs of an owner, of everybody if None, newest first.

        Notes
        -----
        Section 2.2.2.1: the filters hold together, then the newest `last` are taken.
        """
        statement = select(JobRow.job_id, JobRow.phase, JobRow.run_id, JobRow.owner, JobRow.created_ms).where(
            JobRow.gone_ms.is_(None), JobRow.hidden.is_(False)
        )
        if owner is not None:
            statement = statement.where(JobRow.owner == owner)
        if job_type is not None:
            statement = statement.where(JobRow.type == job_type)
        if phases:
            statement = statement.where(JobRow.phase.in_([phase.value for phase in phases]))
        if after_ms is not None:
            statement = statement.where(JobRow.created_ms > after_ms)
        statement = statement.order_by(JobRow.created_ms.desc(), JobRow.job_id.desc())
        most = min((number for number in (last, limit) if number is not None), default=None)
        if most is not None:
            statement = statement.limit(most)
        with self._reading.connect() as connection:
            found = connection.execute(statement).all()
        return [JobRef(row[0], Phase(row[1]), row[2], row[3], row[4]) for row in found]

    def change_parameters(
        self,
        job_id: str,
        parameters: Sequence[Parameter],
        run_id: str,
        fault: JobError | None,
        seconds: float | None,
        *,
        estimate: Mapping[str, Any] | None = None,
        seq: int | None = None,
        uploads: Iterable[Upload] = (),
    ) -> bool:
        """Replace the parameters and uploads of a PENDING job.

        False if it is none, or has changed since event `seq`.
        """
        changes = {
            "parameters": written_parameters(parameters),
            "run_id": run_id,
            "fault": written_error(fault),
            "seconds": seconds,
            "estimate": _written(estimate),
            "quote_ms": _quote(estimate),
        }
        with self._writing.begin() as connection:
            if self._changed(connection, job_id, (Phase.PENDING,), "parameters", changes, seq) is None:
                return False
            connection.execute(delete(UploadRow).where(UploadRow.job_id == job_id))
            insert_uploads(connection, job_id, uploads)
            return True

    def change_duration(self, job_id: str, seconds: int) -> bool:
        """Set the execution duration; False if the job has ended, or is gone."""
        return self._change(job_id, ACTIVE, "duration", execution_duration_s=seconds)

    def change_notices(self, job_id: str, notify: Mapping[str, Any] | None) -> bool:
        """Set who is told what becomes of a job; False if it is gone."""
        return self._change(job_id, (*ACTIVE, *TERMINAL), "notices", notify=_written(notify))

    def change_destruction(self, job_id: str, moment_ms: int, longest_s: int) -> bool:
        """Set when the job is destroyed: not before now, and not later than `longest_s` from now."""
        latest = NowMs() + longest_s * 1000
        clamped = case((latest < moment_ms, latest), else_=moment_ms)
        return self._change(job_id, (*ACTIVE, *TERMINAL), "destruction", destruction_ms=clamped)

    def change_sharing(self, job_id: str, groups: Sequence[str]) -> bool:
        """Set the groups that may see a job; False if it is gone."""
        return self._change(job_id, (*ACTIVE, *TERMINAL), "shared", shared_with=list(groups) or None)

    def change_link(self, job_id: str, hashed: str | None, until_ms: int | None) -> bool:
        """Set the link by which a job may be seen, None for none; False if the job is gone."""
        return self._change(job_id, (*ACTIVE, *TERMINAL), "link", link_sha256=hashed, link_until_ms=until_ms)

    def start(
        self,
        job_id: str,
        start: JobPlan | JobError,
        *,
        seq: int | None = None,
        caller: Caller = ANONYMOUS,
    ) -> bool:
        """Run a PENDING job: QUEUED with its tasks, or in ERROR at once.

        False if it is not PENDING, or has changed since event `seq`: the plan may be of other parameters.

        Raises
        ------
        QuotaExceeded
            If `caller` may not run it; it stays as it is.
        """
        with self._writing.begin() as connection:
            return self._start(connection, job_id, start, caller, seq)

    def end(self, job_id: str, phase: Phase, error: JobError | None = None) -> bool:
        """End an active job, in ABORTED or ERROR; False if it has ended already, or is gone.

        Its tasks are left as they are: those of a job that has ended are neither claimed nor committed.
        """
        return self._change(
            job_id, ACTIVE, "phase", phase=phase.value, ended_ms=NowMs(), error=written_error(error)
        )

    def retry(
        self,
        parent_id: str,
        child_id: str,
        execution_duration_s: int,
        destruction_s: int,
        caller: Caller = ANONYMOUS,
    ) -> Born | None:
        """Make a job, QUEUED, that does what is missing of one that has ended, and has what is finished.

        None if nothing is missing, or the parent is gone, or has not ended: there is no new job then.

        Raises
        ------
        QuotaExceeded
            If `caller` may not run it; then there is no new job either.
        """
        try:
            with self._writing.begin() as connection:
                born = make_child(connection, parent_id, child_id, execution_duration_s, destruction_s)
                self._quotas.reserve(connection, child_id, caller, needed(connection, child_id))
                return born
        except NothingMissing:
            return None

    def destroy(self, job_id: str) -> bool:
        """Have a job forgotten; False if it is already. One that is active is aborted."""
        return self._change(job_id, (*ACTIVE, *TERMINAL), "destroyed", **destroyed())

    def results(self, job_id: str) -> list[Result]:
        """List the results of a job, in their order."""
        statement = (
            select(*ResultRow.__table__.columns)
            .where(ResultRow.job_id == job_id)
            .order_by(ResultRow.row, ResultRow.part)
        )
        with self._reading.connect() as connection:
            return [result_of(found) for found in connection.execute(statement).mappings()]

    def failed_rows(self, job_id: str) -> int:
        """Count the rows of a job that failed when they were begun; others were refused before."""
        statement = select(func.count()).where(
            ResultRow.job_id == job_id,
            ResultRow.part == 0,
            ResultRow.attempts > 0,
            ResultRow.status.in_((RowStatus.FAILED.value, RowStatus.POISON.value)),
        )
        with self._reading.connect() as connection:
            return int(connection.execute(statement).scalar_one())

    def result_refs(self, job_id: str) -> list[ResultRef]:
        """List the results of a job, in their order, by what a document tells of them."""
        statement = (
            select(ResultRow.result_id, ResultRow.media_type, ResultRow.size)
            .where(ResultRow.job_id == job_id)
            .order_by(ResultRow.row, ResultRow.part)
        )
        with self._reading.connect() as connection:
            return [ResultRef(*found) for found in connection.execute(statement)]

    def result(self, job_id: str, result_id: str) -> Result | None:
        """Return a result of a job that is there."""
        statement = select(*ResultRow.__table__.columns).where(
            ResultRow.job_id == job_id, ResultRow.result_id == result_id
        )
        with self._reading.connect() as connection:
            found = connection.execute(statement).mappings().one_or_none()
        return None if found is None else result_of(found)

    def tell(self, job_id: str, kind: str, data: dict[str, Any]) -> None:
        """Write down that something happened to a job, such as a download."""
        with self._writing.begin() as connection:
            if (seq := take_number(connection, job_id)) is not None:
                tell(connection, job_id, seq, kind, data)

    def now_ms(self) -> int:
        """Ask for the time."""
        with self._reading.connect() as connection:
            return now_ms(connection)

    def _get(self, connection: Connection, job_id: str) -> Job:
        return job_of(connection.execute(_live(job_id)).mappings().one())

    def _start(
        self,
        connection: Connection,
        job_id: str,
        start: JobPlan | JobError,
        caller: Caller,
        seq: int | None = None,
    ) -> bool:
        if isinstance(start, JobError):
            changes: dict[str, Any] = {
                "phase": Phase.ERROR.value,
                "error": written_error(start),
                "fault": None,
                "ended_ms": NowMs(),
            }
        else:
            # A job without rows has nothing to wait for.
            ended = {} if start.has_work else {"started_ms": NowMs(), "ended_ms": NowMs()}
            changes = {
                "phase": (Phase.QUEUED if start.has_work else Phase.COMPLETED).value,
                "lane": start.lane,
                "queued_ms": NowMs(),
                "turn_ms": NowMs(),
                "total": start.total,
                "seconds": start.seconds,
                "quote_ms": _quote(start.estimate),
                "packaged": start.packaged,
                "sources": list(start.sources) or None,
                "estimate": _written(start.estimate),
                **ended,
            }
        owner = self._changed(connection, job_id, (Phase.PENDING,), "phase", changes, seq)
        if owner is None:
            return False
        if isinstance(start, JobPlan):
            insert_tasks(
                connection, job_id, owner, start.lane, (TaskPlan(tuple(rows)) for rows in start.tasks)
            )
            if start.split is not None:
                insert_split(connection, job_id, owner, start.split)
            if start.has_work:
                # Last, as others of the same owner wait from here to the commit.
                self._quotas.reserve(connection, job_id, caller, needed(connection, job_id))
        return True

    def _change(
        self, job_id: str, expected: Iterable[Phase], kind: str, seq: int | None = None, **changes: Any
    ) -> bool:
        with self._writing.begin() as connection:
            return self._changed(connection, job_id, expected, kind, changes, seq) is not None

    def _changed(
        self,
        connection: Connection,
        job_id: str,
        expected: Iterable[Phase],
        kind: str,
        changes: dict[str, Any],
        seq: int | None = None,
    ) -> str | None:
        """Change a job that is in an expected phase, and tell of it; return its owner, None if it is not.

        With `seq`, only if that was its last event.
        """
        found = connection.execute(
            update(JobRow)
            .where(
                JobRow.job_id == job_id,
                JobRow.gone_ms.is_(None),
                JobRow.phase.in_([phase.value for phase in expected]),
                *(() if seq is None else (JobRow.event_seq == seq,)),
            )
            .values(event_seq=JobRow.event_seq + 1, **changes)
            .returning(JobRow.event_seq, JobRow.phase, JobRow.owner)
        ).one_or_none()
        if found is None:
            return None
        tell(connection, job_id, found.event_seq, kind, {"phase": found.phase})
        owner: str = found.owner
        return owner


def destroyed() -> dict[str, Any]:
    """List the changes that have a job forgotten; one that is active is aborted."""
    is_active = JobRow.phase.in_(_PHASES)
    return {
        "gone_ms": NowMs(),
        "phase": case((is_active, Phase.ABORTED.value), else_=JobRow.phase),
        "ended_ms": case((is_active, NowMs()), else_=JobRow.ended_ms),
    }


def _live(job_id: str) -> Any:
    return select(*JobRow.__table__.columns).where(JobRow.job_id == job_id, JobRow.gone_ms.is_(None))


def _quote(estimate: Mapping[str, Any] | None) -> Any:
    """Moment by which nine of ten such jobs have ended."""
    return None if estimate is None else NowMs() + int(estimate["p90_s"] * 1000)


def _written(estimate: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if estimate is None else dict(estimate)
