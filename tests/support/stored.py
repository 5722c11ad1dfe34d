"""Jobs in a database, and the tasks of these, each in a line."""

from __future__ import annotations

from dataclasses import replace
from secrets import token_hex
from typing import Any

from sqlalchemy import Engine, select, update

from uws.job import (
    LANES,
    Claim,
    Counts,
    Job,
    JobError,
    Lane,
    NewJob,
    Row,
    RowReport,
    RowStatus,
    Settlement,
)
from uws.jobtype import Ending, JobPlan
from uws.phase import Phase
from uws.store.claims import Claims
from uws.store.jobs import Jobs
from uws.tables import EventRow, JobRow, TaskRow


def finish(counts: Counts) -> Ending:
    if counts.failed == counts.total:
        return Ending(Phase.ERROR, JobError("Error: every row failed"))
    return Ending()


def plan(rows: int, per_task: int = 1, lane: Lane = "low") -> JobPlan:
    made = [Row(n, f"r{n}", {"n": n}) for n in range(rows)]
    return JobPlan([made[start : start + per_task] for start in range(0, rows, per_task)], lane, 1.0)


def new_job(owner: str = "", **changes: Any) -> NewJob:
    return replace(NewJob(token_hex(16), "toy", owner, "", (), 600, 3600), **changes)


def run_job(jobs: Jobs, rows: int = 1, owner: str = "", lane: Lane = "low", per_task: int = 1) -> str:
    return jobs.create(new_job(owner), plan(rows, per_task, lane)).job_id


def take(claims: Claims, *lanes: Lane) -> Claim:
    claim = claims.claim(lanes or LANES)
    assert claim is not None
    return claim


def all_of(claim: Claim, status: RowStatus = RowStatus.EMPTY) -> Settlement:
    return Settlement(tuple(RowReport(row.n, row.result_id, status, "Error: so") for row in claim.rows))


def job_of(jobs: Jobs, job_id: str) -> Job:
    found = jobs.get(job_id)
    assert found is not None
    return found


def events(engine: Engine, job_id: str) -> list[tuple[int, str, Any]]:
    statement = (
        select(EventRow.seq, EventRow.kind, EventRow.data)
        .where(EventRow.job_id == job_id)
        .order_by(EventRow.seq)
    )
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(statement)]


def states(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.execute(select(TaskRow.state).order_by(TaskRow.task_id)).scalars())


def set_task(engine: Engine, **values: Any) -> None:
    with engine.execution_options(writes=True).begin() as connection:
        connection.execute(update(TaskRow).values(**values))


def set_job(engine: Engine, job_id: str, **values: Any) -> None:
    with engine.execution_options(writes=True).begin() as connection:
        connection.execute(update(JobRow).where(JobRow.job_id == job_id).values(**values))
