"""Whose turn it is."""

from __future__ import annotations

from itertools import pairwise

import pytest
from sqlalchemy import Engine, select, update

from dali.clock import NowMs
from tests.support.stored import all_of, finish, job_of, run_job, set_job, take
from uws.job import LANES
from uws.store.claims import Claims
from uws.store.jobs import Jobs
from uws.store.turns import BEST_JOBS
from uws.tables import JobRow, TaskRow


def test_it_is_the_turn_of_those_of_whom_less_runs(jobs: Jobs, claims: Claims) -> None:
    for _ in range(3):
        run_job(jobs, rows=2, owner="ada")
    run_job(jobs, rows=9, owner="bob")
    owners = [take(claims).owner for _ in range(6)]
    assert owners[0] == "ada"
    assert sorted(owners[:2]) == sorted(owners[2:4]) == sorted(owners[4:6]) == ["ada", "bob"]


def test_among_equals_the_small_job_goes_first_then_the_older(jobs: Jobs, claims: Claims) -> None:
    large, small = run_job(jobs, rows=3, owner="ada"), run_job(jobs, rows=1, owner="bob")
    assert take(claims).job_id == small
    assert take(claims).job_id == large


def test_a_share_is_what_one_is_entitled_to(jobs: Jobs, claims: Claims, engine: Engine) -> None:
    ada, bob = run_job(jobs, rows=9, owner="ada"), run_job(jobs, rows=9, owner="bob")
    set_job(engine, ada, share=3.0)
    owners = [take(claims).owner for _ in range(8)]
    assert owners.count("ada") == 6
    assert bob


def test_who_has_waited_goes_before_the_better_rank(jobs: Jobs, claims: Claims, engine: Engine) -> None:
    waiting, better = run_job(jobs, owner="ada"), run_job(jobs, owner="bob")
    set_job(engine, waiting, rank=2)
    assert take(claims).job_id == better
    better = run_job(jobs, owner="bob")
    set_job(engine, waiting, turn_ms=NowMs() - 200_000)
    assert take(claims).job_id == waiting
    assert take(claims).job_id == better


def test_f66_a_large_job_that_was_there_first_does_not_keep_others_waiting(
    jobs: Jobs, claims: Claims, engine: Engine
) -> None:
    """However long ago it was queued: it has had its turns since."""
    large = run_job(jobs, rows=50, owner="ada")
    set_job(engine, large, queued_ms=NowMs() - 3_600_000, created_ms=NowMs() - 3_600_000)
    take(claims)
    small = [run_job(jobs, owner=owner) for owner in ("bob", "cid", "ada")]
    assert [take(claims).job_id for _ in range(4)] == [*small, large]


def test_f66_a_large_job_gets_a_turn_while_small_ones_come_all_the_time(
    jobs: Jobs, claims: Claims, engine: Engine
) -> None:
    """Also where all are the same owner's, such as nobody's."""
    large = run_job(jobs, rows=50)
    waiting = [run_job(jobs) for _ in range(3)]
    assert take(claims).job_id == waiting[0]
    set_job(engine, large, turn_ms=NowMs() - 70_000)
    assert [take(claims).job_id for _ in range(3)] == [large, *waiting[1:]], "one task, not all"


def test_those_who_have_waited_take_turns(jobs: Jobs, claims: Claims, engine: Engine) -> None:
    ids = [run_job(jobs, rows=rows) for rows in (5, 4, 3)]
    with engine.execution_options(writes=True).begin() as connection:
        for n, job_id in enumerate(ids):
            long_ago = NowMs() - 300_000 + 1000 * n
            connection.execute(update(JobRow).where(JobRow.job_id == job_id).values(turn_ms=long_ago))
    assert [take(claims).job_id for _ in range(3)] == ids


def test_a_flood_of_old_jobs_does_not_keep_another_owner_waiting(
    jobs: Jobs, claims: Claims, engine: Engine
) -> None:
    flood = [run_job(jobs, owner="ada") for _ in range(6)]
    for job_id in flood:
        set_job(engine, job_id, turn_ms=NowMs() - 3_600_000, queued_ms=NowMs() - 3_600_000)
    take(claims)
    late = run_job(jobs, rows=3, owner="bob")
    assert take(claims).job_id == late


def test_a_turn_is_noted_now_and_then(jobs: Jobs, claims: Claims, engine: Engine) -> None:
    job_id = run_job(jobs, rows=9)

    def turn_ms() -> int:
        with engine.connect() as connection:
            return connection.execute(select(JobRow.turn_ms)).scalar_one() or 0

    take(claims)
    first = turn_ms()
    take(claims)
    assert turn_ms() == first
    set_job(engine, job_id, turn_ms=first - 20_000)
    take(claims)
    assert turn_ms() >= first


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
def test_f34_tasks_that_are_locked_for_long_keep_nobody_from_those_behind_them(
    jobs: Jobs, engine: Engine
) -> None:
    for _ in range(BEST_JOBS + 2):
        run_job(jobs)
    claims = Claims(engine, "me", 30.0)
    with engine.begin() as elsewhere:
        locked = select(TaskRow.task_id).order_by(TaskRow.task_id).limit(BEST_JOBS).with_for_update()
        assert len(elsewhere.execute(locked).all()) == BEST_JOBS
        free = [take(claims), take(claims)]
        assert claims.claim(LANES) is None
    for one, other in pairwise(free):
        assert one.job_id != other.job_id
    for claim in free:
        claims.settle(claim, all_of(claim), finish)
        assert job_of(jobs, claim.job_id).counts.ended == 1
    assert take(claims)
