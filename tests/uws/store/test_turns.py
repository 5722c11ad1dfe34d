"""Whose turn it is."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import pytest
from sqlalchemy import Engine, insert, select, update

from dali.clock import NowMs
from tests.support.stored import all_of, finish, job_of, new_job, plan, run_job, set_job, take
from uws.job import LANES, Claim
from uws.phase import Phase
from uws.store.claims import Claims
from uws.store.jobs import Jobs
from uws.store.turns import BEST_JOBS, best_jobs
from uws.tables import JobRow, LaneRow, TaskRow


@dataclass
class Clock:
    """Of a worker: a task takes `seconds` of it."""

    seconds: float = 1.0
    now: float = 0.0

    def __call__(self) -> float:
        """Go on at each look; there is one when a task begins, and one when it ends."""
        self.now += self.seconds
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def claims(engine: Engine, clock: Clock) -> Claims:
    return Claims(engine, "me", 30.0, clock)


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


def test_one_worker_serves_owners_in_turn_whoever_was_there_first(
    jobs: Jobs, claims: Claims, engine: Engine
) -> None:
    """It has no task when it asks for the next: what runs now tells it nothing."""
    for _ in range(20):
        set_job(engine, run_job(jobs, owner="ada"), turn_ms=NowMs() - 3_600_000)
    assert [done(claims).owner for _ in range(2)] == ["ada", "ada"]
    for _ in range(3):
        run_job(jobs, rows=2, owner="bob")
    assert [done(claims).owner for _ in range(6)].count("bob") >= 3


def test_one_worker_gives_owners_what_they_are_entitled_to(
    jobs: Jobs, claims: Claims, engine: Engine
) -> None:
    set_job(engine, run_job(jobs, rows=90, owner="ada"), share=3.0)
    run_job(jobs, rows=90, owner="bob")
    owners = [done(claims).owner for _ in range(40)]
    assert owners.count("ada") == pytest.approx(30, abs=2)


def test_those_who_are_served_do_not_rise_over_others(jobs: Jobs, claims: Claims, engine: Engine) -> None:
    """A flood of jobs that have waited for long is of one who is served all the time."""
    for _ in range(9):
        set_job(engine, run_job(jobs, owner="ada"), rank=3, turn_ms=NowMs() - 3_600_000)
    assert done(claims).owner == "ada"
    late = run_job(jobs, rows=5, owner="bob")
    set_job(engine, late, rank=3)
    assert done(claims).job_id == late


def test_f67_a_flood_of_the_first_rank_leaves_a_fifth_for_others(
    jobs: Jobs, claims: Claims, engine: Engine
) -> None:
    for _ in range(4):
        set_job(engine, run_job(jobs, rows=20, owner="system"), rank=0)
    for owner, rank in (("ada", 3), ("", 4)):
        set_job(engine, run_job(jobs, rows=20, owner=owner), rank=rank)
    owners = [done(claims).owner for _ in range(50)]
    assert owners[:3] == ["system", "ada", "system"]
    assert owners.count("system") == pytest.approx(40, abs=1)


def test_shares_are_of_time_and_not_of_tasks(jobs: Jobs, claims: Claims, clock: Clock) -> None:
    """Small jobs of one owner do not each wait for a long task of another."""
    run_job(jobs, rows=99, owner="ada")
    clock.seconds = 0.05
    assert done(claims).owner == "ada"
    clock.now += 2.0
    for _ in range(12):
        run_job(jobs, owner="bob")
        assert done(claims).owner == "bob"


def test_no_task_of_a_claim_is_looked_for_among_all(engine: Engine, claims: Claims) -> None:
    """With a million tasks that wait, this is the difference between a millisecond and a second."""
    if engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL's plans depend on what is in the tables")
    written = best_jobs("low").compile(engine, compile_kwargs={"literal_binds": True})
    with engine.connect() as connection:
        plan_ = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {written}").all()
    looked = [line[3] for line in plan_ if "task" in line[3]]
    assert looked
    assert all("ix_task_running" in line or "ix_task_queued" in line for line in looked), looked


def test_nothing_is_claimed_in_a_lane_that_is_paused(jobs: Jobs, claims: Claims, engine: Engine) -> None:
    low, high = run_job(jobs, lane="low"), run_job(jobs, lane="high")
    with engine.execution_options(writes=True).begin() as connection:
        connection.execute(insert(LaneRow).values(lane="high", paused_ms=NowMs()))
    assert take(claims).job_id == low
    assert claims.claim(LANES) is None
    with engine.execution_options(writes=True).begin() as connection:
        connection.execute(update(LaneRow).values(paused_ms=None))
    assert take(claims).job_id == high


def test_of_a_job_no_more_tasks_run_than_may(jobs: Jobs, claims: Claims) -> None:
    capped = jobs.create(new_job("ada", parallel=2), plan(9)).job_id
    first, second = take(claims), take(claims)
    assert claims.claim(LANES) is None
    other = run_job(jobs, rows=20, owner="ada")
    assert take(claims).job_id == other
    claims.settle(first, all_of(first), finish)
    assert take(claims).job_id == capped
    assert take(claims).job_id == other
    assert second.job_id == capped


def test_two_workers_at_once_do_not_go_beyond_what_a_job_may(jobs: Jobs, engine: Engine) -> None:
    job_id = jobs.create(new_job("ada", parallel=3), plan(40)).job_id
    workers = [Claims(engine, f"w{number}", 30.0) for number in range(8)]
    with ThreadPoolExecutor(len(workers)) as threads:
        claimed = list(threads.map(lambda worker: worker.claim(LANES), workers))
    assert sum(claim is not None for claim in claimed) == 3
    assert job_of(jobs, job_id).phase is Phase.EXECUTING


@pytest.mark.parametrize("workers", [1, 2, pytest.param(8, marks=pytest.mark.faults)])
def test_f66_small_jobs_of_others_wait_for_less_than_the_tasks_in_hand(
    jobs: Jobs, engine: Engine, workers: int
) -> None:
    """In rounds in each of which every worker does a task: no one-row job waits for more than a round.

    One worker for three owners is enough for one such job in three rounds.
    """
    run_job(jobs, rows=1000, owner="ada", per_task=1)
    crew = [Claims(engine, f"w{number}", 30.0, Clock()) for number in range(workers)]
    for round_ in range(24):
        small = None
        if workers > 1 or round_ % 3 == 0:
            small = run_job(jobs, owner=("bob", "cid")[round_ % 2])
        claimed = [take(claims) for claims in crew]
        assert small in (None, *(claim.job_id for claim in claimed)), f"in round {round_}"
        for claims, claim in zip(crew, claimed, strict=True):
            claims.settle(claim, all_of(claim), finish)


def done(claims: Claims) -> Claim:
    """Do the next task."""
    claim = take(claims)
    claims.settle(claim, all_of(claim), finish)
    return claim
