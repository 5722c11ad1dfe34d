"""Tasks are claimed and kept."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, update

from dali.clock import NowMs
from tests.support.stored import (
    events,
    job_of,
    run_job,
    set_job,
    set_task,
    states,
    take,
)
from uws.job import LANES, Row
from uws.phase import Phase
from uws.store.claims import UNREADABLE, Claims, Hold
from uws.store.jobs import Jobs
from uws.store.upkeep import Upkeep
from uws.tables import TaskRow

HOUR_MS = 3_600_000


def test_tasks_are_claimed_in_order_and_the_first_starts_the_job(
    jobs: Jobs, claims: Claims, engine: Engine
) -> None:
    job_id = run_job(jobs, rows=4, per_task=2, owner="ada")
    first, second = take(claims), take(claims)
    assert [row.n for row in first.rows + second.rows] == [0, 1, 2, 3]
    assert first.rows[0] == Row(0, "r0", {"n": 0})
    assert (first.started, second.started) == (True, False)
    assert (first.owner, first.job_type, first.lane) == ("ada", "toy", "low")
    assert (first.fence, first.attempts, first.kills) == (1, 1, 0)
    job = job_of(jobs, job_id)
    assert job.phase is Phase.EXECUTING
    assert job.started_ms is not None
    assert claims.claim(LANES) is None
    assert [kind for _, kind, _ in events(engine, job_id)] == ["phase", "phase"]


def test_the_first_lane_goes_first_and_others_are_left(jobs: Jobs, claims: Claims) -> None:
    low, high = run_job(jobs), run_job(jobs, lane="high")
    assert claims.claim(("high",)).job_id == high  # type: ignore[union-attr]
    assert claims.claim(("high",)) is None
    assert claims.claim(LANES).job_id == low  # type: ignore[union-attr]


def test_f26_a_task_is_claimed_once(jobs: Jobs, engine: Engine) -> None:
    run_job(jobs, rows=20)
    start = threading.Barrier(8)

    def claim_all(name: int) -> list[int]:
        claims = Claims(engine, str(name), 30.0)
        start.wait()
        # Somebody else may have taken the last task of every job that was seen.
        return [claim.task_id for _ in range(12) if (claim := claims.claim(LANES)) is not None]

    with ThreadPoolExecutor(8) as pool:
        taken = [task for tasks in pool.map(claim_all, range(8)) for task in tasks]
    assert len(taken) == len(set(taken)) == 20


def test_one_that_is_put_off_waits(jobs: Jobs, claims: Claims, upkeep: Upkeep, engine: Engine) -> None:
    run_job(jobs)
    set_task(engine, not_before_ms=NowMs() + HOUR_MS)
    assert claims.claim(LANES) is None
    assert upkeep.claimable("low", 9) == 0
    set_task(engine, not_before_ms=NowMs() - 1)
    assert upkeep.claimable("low", 9) == 1
    assert take(claims)


def test_what_a_worker_has_of_its_task(jobs: Jobs, claims: Claims, engine: Engine) -> None:
    job_id = run_job(jobs)
    claim = take(claims)
    assert claims.look(claim) is claims.renew(claim) is Hold.HELD
    jobs.end(job_id, Phase.ABORTED)
    assert claims.look(claim) is claims.renew(claim) is Hold.ENDED
    claims.drop(claim)
    assert states(engine) == ["dropped"]
    assert claims.look(claim) is claims.renew(claim) is Hold.LOST


def test_f47_a_job_is_overdue_by_the_clock_of_the_database(
    jobs: Jobs, claims: Claims, upkeep: Upkeep, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = run_job(jobs)
    claim = take(claims)
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert claims.look(claim) is Hold.HELD
    set_job(engine, job_id, started_ms=NowMs() - 601_000)
    assert claims.look(claim) is Hold.OVERDUE
    jobs.change_duration(job_id, 700)
    assert claims.look(claim) is Hold.HELD
    assert upkeep.overdue() == []
    jobs.change_duration(job_id, 600)
    assert upkeep.overdue() == [(job_id, Phase.ABORTED)]
    assert claims.look(claim) is Hold.ENDED
    error = job_of(jobs, job_id).error
    assert error is not None
    assert "longer than its execution duration" in error.message


def test_without_a_duration_it_is_never_overdue(jobs: Jobs, claims: Claims, engine: Engine) -> None:
    job_id = run_job(jobs)
    claim = take(claims)
    jobs.change_duration(job_id, 0)
    set_job(engine, job_id, started_ms=1)
    assert claims.look(claim) is Hold.HELD


@pytest.mark.parametrize("rows", [[[0, "r0", {}, "new"]], [[0]], [1], 1], ids=str)
def test_one_that_cannot_be_read_ends_its_job_and_keeps_nobody(
    rows: object, jobs: Jobs, claims: Claims, engine: Engine
) -> None:
    """Another version of the program may have written it."""
    broken, other = run_job(jobs), run_job(jobs)
    with engine.execution_options(writes=True).begin() as connection:
        connection.execute(update(TaskRow).where(TaskRow.job_id == broken).values(rows=rows))
    assert take(claims).job_id == other
    assert claims.claim(LANES) is None
    ended = job_of(jobs, broken)
    assert (ended.phase, ended.error) == (Phase.ERROR, UNREADABLE)
    assert [seq for seq, _, _ in events(engine, broken)] == list(range(1, ended.event_seq + 1))
