"""What became of a task is committed, once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine

from dali.clock import NowMs
from tests.support.stored import (
    all_of,
    events,
    finish,
    job_of,
    run_job,
    set_task,
    states,
    take,
)
from uws.job import LANES, Counts, JobError, Retry, RowReport, RowStatus, Settlement, Stored
from uws.jobtype import Ending
from uws.phase import Phase
from uws.store.claims import Claims, Hold
from uws.store.jobs import Jobs
from uws.store.settling import LostClaim
from uws.store.upkeep import Upkeep


def test_the_last_rows_end_the_job(jobs: Jobs, claims: Claims, engine: Engine) -> None:
    job_id = run_job(jobs, rows=2)
    first, second = take(claims), take(claims)
    assert claims.settle(second, all_of(second), finish) is Phase.EXECUTING
    assert not claims.is_settled(first)
    assert claims.settle(first, all_of(first, RowStatus.FAILED), finish) is Phase.COMPLETED
    assert claims.is_settled(first)
    job = job_of(jobs, job_id)
    assert (job.phase, job.counts) == (Phase.COMPLETED, Counts(2, empty=1, failed=1))
    assert job.ended_ms is not None
    assert [of.result_id for of in jobs.results(job_id)] == ["r0", "r1"]
    assert job.event_seq == 5
    told = events(engine, job_id)
    assert [seq for seq, _, _ in told] == [1, 2, 3, 4, 5], "numbered without a gap"
    assert told[3][1:] == ("rows", {"ended": 2, "total": 2})


def test_the_type_decides_how(jobs: Jobs, claims: Claims) -> None:
    job_id = run_job(jobs)
    claim = take(claims)
    assert claims.settle(claim, all_of(claim, RowStatus.FAILED), finish) is Phase.ERROR
    assert job_of(jobs, job_id).error == JobError("Error: every row failed")
    job_id, ending = run_job(jobs), Ending(Phase.ERROR, JobError("Error: no"), as_row=True)
    claim = take(claims)
    report = RowReport(0, "r0", RowStatus.FAILED, "Error: no such image", transient=True)
    assert claims.settle(claim, Settlement((report,)), lambda _: ending) is Phase.ERROR
    assert job_of(jobs, job_id).error == JobError("Error: no such image", transient=True)


def test_files_are_in_the_ledger(jobs: Jobs, claims: Claims, upkeep: Upkeep) -> None:
    job_id = run_job(jobs)
    claim = take(claims)
    files = tuple(
        Stored(f"r0-{part}", f"{part}.fits", "application/fits", 64, 10, 7, "abc", f"{job_id}/1.1.zip")
        for part in range(2)
    )
    claims.settle(claim, Settlement((RowReport(0, "r0", RowStatus.DONE, "", files),)), finish)
    first, second = jobs.results(job_id)
    assert (first.result_id, first.part, second.result_id, second.part) == ("r0-0", 0, "r0-1", 1)
    assert (first.container, first.offset, first.size, first.crc32, first.sha256) == (
        f"{job_id}/1.1.zip",
        64,
        10,
        7,
        "abc",
    )
    assert job_of(jobs, job_id).bytes_out == 20
    assert upkeep.containers(job_id) == {f"{job_id}/1.1.zip"}


def test_rows_to_be_done_again_are_a_task_of_their_own(jobs: Jobs, claims: Claims, engine: Engine) -> None:
    run_job(jobs, rows=3, per_task=3)
    claim = take(claims)
    reports = (RowReport(1, "r1", RowStatus.EMPTY, "NoOverlap"),)
    retries = (Retry((claim.rows[0],), 2, 1, note="SIGSEGV"), Retry((claim.rows[2],), 0, delay_s=3600))
    assert claims.settle(claim, Settlement(reports, retries), finish) is Phase.EXECUTING
    assert states(engine) == ["done", "queued", "queued"]
    again = take(claims)
    assert again.rows == (claim.rows[0],)
    assert (again.attempts, again.kills, again.fence) == (3, 1, 1)
    assert again.task_id != claim.task_id, "no container of another claim has its name"
    assert claims.claim(LANES) is None


@pytest.mark.parametrize("how", ["taken back", "claimed again", "aborted", "destroyed", "settled"])
def test_f06_who_has_lost_the_task_writes_nothing(
    how: str, jobs: Jobs, claims: Claims, upkeep: Upkeep, engine: Engine
) -> None:
    job_id = run_job(jobs)
    claim = take(claims)
    match how:
        case "taken back" | "claimed again":
            set_task(engine, lease_until_ms=NowMs() - 1)
            assert upkeep.reclaim(3, 0.0, lambda name: finish) == []
            if how == "claimed again":
                assert take(claims).fence == claim.fence + 1
        case "aborted":
            jobs.end(job_id, Phase.ABORTED)
        case "destroyed":
            jobs.destroy(job_id)
        case "settled":
            claims.settle(claim, all_of(claim), finish)
    before = events(engine, job_id), states(engine), jobs.results(job_id), jobs.get(job_id)
    with pytest.raises(LostClaim):
        claims.settle(claim, all_of(claim, RowStatus.FAILED), finish)
    assert (events(engine, job_id), states(engine), jobs.results(job_id), jobs.get(job_id)) == before
    assert claims.is_settled(claim) == (how == "settled")


def test_what_cannot_be_written_is_not_written_in_part(jobs: Jobs, claims: Claims, engine: Engine) -> None:
    run_job(jobs, rows=2, per_task=2)
    claim = take(claims)
    twice = (RowReport(0, "r0", RowStatus.EMPTY, "a"), RowReport(1, "r0", RowStatus.EMPTY, "b"))
    with pytest.raises(Exception, match=r"(?i)unique"):
        claims.settle(claim, Settlement(twice), finish)
    assert claims.look(claim) is Hold.HELD
    assert jobs.results(claim.job_id) == []
    assert claims.settle(claim, all_of(claim), finish) is Phase.COMPLETED


def test_many_rows_at_once(jobs: Jobs, claims: Claims) -> None:
    job_id = run_job(jobs, rows=4500, per_task=4500)
    claim = take(claims)
    assert claims.settle(claim, all_of(claim), finish) is Phase.COMPLETED
    assert len(jobs.results(job_id)) == 4500


def test_tasks_settled_at_once_lose_no_count(jobs: Jobs, claims: Claims, engine: Engine) -> None:
    job_id = run_job(jobs, rows=12)
    held = [take(claims) for _ in range(12)]
    with ThreadPoolExecutor(6) as pool:
        phases = list(pool.map(lambda claim: claims.settle(claim, all_of(claim), finish), held))
    assert phases.count(Phase.COMPLETED) == 1
    job = job_of(jobs, job_id)
    assert job.counts.empty == 12
    assert [seq for seq, _, _ in events(engine, job_id)] == list(range(1, job.event_seq + 1))
