"""What clients do with jobs."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from tests.support.stored import (
    job_of,
    new_job,
    plan,
    run_job,
    states,
)
from uws.job import LANES, Counts, JobError, Parameter
from uws.phase import Phase
from uws.store.claims import Claims
from uws.store.jobs import Jobs


def test_a_job_is_stored_as_it_came(jobs: Jobs) -> None:
    parameters = (Parameter("ID", "a"), Parameter("ID", "b"), Parameter("UPLOAD", "x", by_reference=True))
    fault = JobError("UsageError: no.", "more", transient=True)
    made = jobs.create(
        new_job("ada", run_id="mine", parameters=parameters, fault=fault, estimate={"p90_s": 2.0})
    )
    found = job_of(jobs, made.job_id)
    assert found == made
    assert (found.phase, found.owner, found.run_id) == (Phase.PENDING, "ada", "mine")
    assert found.parameters == parameters
    assert found.fault == fault
    assert found.destruction_ms - found.created_ms == pytest.approx(3_600_000, abs=1000)
    assert found.estimate == {"p90_s": 2.0}
    assert (found.quote_ms or 0) - found.created_ms == pytest.approx(2000, abs=100)


def test_run_makes_tasks_in_the_same_step(jobs: Jobs, engine: Engine) -> None:
    job_id = run_job(jobs, rows=5, per_task=2)
    job = job_of(jobs, job_id)
    assert (job.phase, job.counts, job.lane) == (Phase.QUEUED, Counts(5), "low")
    assert states(engine) == ["queued"] * 3
    assert not jobs.start(job_id, plan(5))


def test_a_job_without_rows_is_completed(jobs: Jobs) -> None:
    job = jobs.create(new_job(), plan(0))
    assert job.phase is Phase.COMPLETED
    assert job.ended_ms is not None


def test_an_error_ends_it_at_once(jobs: Jobs, claims: Claims) -> None:
    job = jobs.create(new_job(), JobError("UsageError: no."))
    assert (job.phase, job.error) == (Phase.ERROR, JobError("UsageError: no."))
    assert claims.claim(LANES) is None


def test_terminal_is_terminal(jobs: Jobs) -> None:
    job_id = run_job(jobs)
    assert jobs.end(job_id, Phase.ABORTED)
    ended = job_of(jobs, job_id)
    assert not jobs.end(job_id, Phase.ERROR, JobError("Error: no"))
    assert not jobs.start(job_id, plan(1))
    assert not jobs.change_duration(job_id, 5)
    assert not jobs.change_parameters(job_id, (), "", None, None)
    assert job_of(jobs, job_id) == ended


def test_destroyed_is_gone_at_once(jobs: Jobs, claims: Claims) -> None:
    job_id = run_job(jobs)
    assert jobs.destroy(job_id)
    assert not jobs.destroy(job_id)
    assert jobs.get(job_id) is None
    assert jobs.look([job_id]) == {}
    assert claims.claim(LANES) is None
