"""What time does to tasks and jobs."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, func, select, text, update

from dali.clock import NowMs
from tests.support.stored import (
    all_of,
    finish,
    job_of,
    run_job,
    set_job,
    set_task,
    states,
    take,
)
from uws.job import LANES
from uws.phase import Phase
from uws.store.claims import UNREADABLE, Claims
from uws.store.jobs import Jobs
from uws.store.upkeep import GAVE_UP, Upkeep
from uws.tables import EventRow, JobRow, ResultRow, TaskRow


def test_a_lost_task_is_queued_again_with_a_pause(
    jobs: Jobs, claims: Claims, upkeep: Upkeep, engine: Engine
) -> None:
    run_job(jobs)
    take(claims)
    assert upkeep.reclaim(3, 60.0, lambda name: finish) == []
    assert states(engine) == ["running"], "its lease has not ended"
    set_task(engine, lease_until_ms=NowMs() - 1)
    upkeep.reclaim(3, 60.0, lambda name: finish)
    assert take(claims).attempts == 2, "the first time there is no pause"
    set_task(engine, lease_until_ms=NowMs() - 1)
    upkeep.reclaim(3, 60.0, lambda name: finish)
    assert states(engine) == ["queued"]
    assert claims.claim(LANES) is None


def test_one_that_was_lost_too_often_is_given_up(
    jobs: Jobs, claims: Claims, upkeep: Upkeep, engine: Engine
) -> None:
    job_id = run_job(jobs, rows=2, per_task=2)
    for _ in range(3):
        assert upkeep.reclaim(3, 0.0, lambda name: finish) == []
        take(claims)
        set_task(engine, lease_until_ms=NowMs() - 1)
    assert upkeep.reclaim(3, 0.0, lambda name: finish) == [(job_id, Phase.ERROR)]
    assert [of.message for of in jobs.results(job_id)] == [GAVE_UP.format(attempts=3)] * 2
    assert upkeep.reclaim(3, 0.0, lambda name: finish) == []


def test_one_that_was_lost_too_often_and_cannot_be_read_ends_its_job(
    jobs: Jobs, claims: Claims, upkeep: Upkeep, engine: Engine
) -> None:
    broken, other = run_job(jobs), run_job(jobs)
    take(claims), take(claims)
    with engine.execution_options(writes=True).begin() as connection:
        connection.execute(
            update(TaskRow).where(TaskRow.job_id == broken).values(rows=[[0, "r0", {}, "new"]])
        )
    set_task(engine, lease_until_ms=NowMs() - 1, attempts=3)
    ended = upkeep.reclaim(3, 0.0, lambda name: finish)
    assert sorted(ended) == sorted([(broken, Phase.ERROR), (other, Phase.ERROR)])
    assert job_of(jobs, broken).error == UNREADABLE
    assert sorted(states(engine)) == ["done", "dropped"]
    assert upkeep.reclaim(3, 0.0, lambda name: finish) == []


def test_one_of_a_job_that_has_ended_is_dropped(
    jobs: Jobs, claims: Claims, upkeep: Upkeep, engine: Engine
) -> None:
    job_id = run_job(jobs)
    take(claims)
    jobs.end(job_id, Phase.ABORTED)
    set_task(engine, lease_until_ms=NowMs() - 1, attempts=3)
    assert upkeep.reclaim(3, 0.0, lambda name: finish) == []
    assert states(engine) == ["dropped"]
    assert jobs.results(job_id) == []


def test_f57_two_at_once_take_a_task_back_once(
    jobs: Jobs, claims: Claims, upkeep: Upkeep, engine: Engine
) -> None:
    ids = [run_job(jobs) for _ in range(6)]
    for _ in ids:
        take(claims)
    set_task(engine, lease_until_ms=NowMs() - 1, attempts=3)
    start = threading.Barrier(2)

    def reclaim(_: int) -> Sequence[tuple[str, Phase]]:
        start.wait()
        return upkeep.reclaim(3, 0.0, lambda name: finish)

    with ThreadPoolExecutor(2) as pool:
        ended = [job_id for some in pool.map(reclaim, range(2)) for job_id, _ in some]
    assert sorted(ended) == sorted(ids)
    assert all(len(jobs.results(job_id)) == 1 for job_id in ids)


def test_a_job_is_destroyed_when_its_time_has_come(jobs: Jobs, upkeep: Upkeep, engine: Engine) -> None:
    due, later = run_job(jobs), run_job(jobs)
    assert upkeep.destroy_due() == []
    set_job(engine, due, destruction_ms=NowMs() - 1)
    assert upkeep.destroy_due() == [(due, Phase.ABORTED)]
    assert jobs.get(due) is None
    assert jobs.get(later) is not None
    assert upkeep.destroy_due() == []


@pytest.mark.parametrize("column", ["destruction_ms", "gone_ms"])
def test_jobs_whose_time_has_come_are_found_by_an_index(column: str, upkeep: Upkeep, engine: Engine) -> None:
    asked: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        asked.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    upkeep.destroy_due() if column == "destruction_ms" else upkeep.to_forget(60)
    event.remove(engine, "before_cursor_execute", note)
    statement, parameters = asked[-1]
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            assert [row[-1] for row in plan if f"({column}<?)" in row[-1]]
        else:
            # There are too few jobs here for an index to be worth while.
            connection.execute(text("SET LOCAL enable_seqscan = off"))
            plan = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
            assert [row[0] for row in plan if f"Index Cond: ({column} <=" in row[0]]


def test_it_is_forgotten_after_a_time_of_grace(
    jobs: Jobs, claims: Claims, upkeep: Upkeep, engine: Engine
) -> None:
    job_id, other = run_job(jobs), run_job(jobs, rows=2)
    claim = take(claims)
    claims.settle(claim, all_of(claim), finish)
    assert claim.job_id == job_id
    jobs.destroy(job_id)
    assert upkeep.to_forget(3600) == []
    set_job(engine, job_id, gone_ms=NowMs() - 3_601_000)
    assert upkeep.to_forget(3600) == [job_id]
    assert upkeep.known_jobs([job_id, other, "nobody"]) == {job_id, other}
    upkeep.forget(job_id)
    assert upkeep.known_jobs([job_id, other]) == {other}
    with engine.connect() as connection:
        for table in (JobRow, TaskRow, EventRow, ResultRow):
            left = connection.execute(select(table.job_id)).scalars().all()
            assert set(left) <= {other}, table


def test_nothing_is_forgotten_that_is_not_gone(jobs: Jobs, upkeep: Upkeep, engine: Engine) -> None:
    job_id = run_job(jobs)
    upkeep.forget(job_id)
    assert jobs.get(job_id) is not None
    assert states(engine) == ["queued"]


def test_a_large_ledger_is_forgotten_in_parts(
    jobs: Jobs, claims: Claims, upkeep: Upkeep, engine: Engine
) -> None:
    job_id = run_job(jobs, rows=7, per_task=7)
    claim = take(claims)
    claims.settle(claim, all_of(claim), finish)
    jobs.destroy(job_id)
    left: list[int] = []

    def look(connection: Connection) -> None:
        left.append(connection.execute(select(func.count()).select_from(ResultRow)).scalar_one())

    event.listen(engine, "commit", look)
    upkeep.forget(job_id, at_once=3)
    assert left == [4, 1, 0, 0], "others may write after each"
    assert upkeep.known_jobs([job_id]) == set()
    event.remove(engine, "commit", look)


def test_workers_are_known_while_they_are_heard(upkeep: Upkeep, engine: Engine) -> None:
    upkeep.beat("one", "host", 1, ("high", "low"))
    upkeep.beat("two", "host", 2, ("high",))
    upkeep.beat("one", "host", 1, ("high", "low"))
    assert (upkeep.live_workers("high", 60), upkeep.live_workers("low", 60)) == (2, 1)
    upkeep.leave("one")
    assert upkeep.live_workers("low", 60) == 0
    upkeep.forget_workers(60)
    assert upkeep.live_workers("high", 60) == 1
    upkeep.forget_workers(-1)
    assert upkeep.live_workers("high", 60) == 0


def test_what_waits_and_runs(jobs: Jobs, claims: Claims, upkeep: Upkeep) -> None:
    run_job(jobs, rows=5)
    claim = take(claims)
    assert upkeep.claimable("low", 9) == 4
    assert upkeep.claimable("low", 2) == 2
    assert upkeep.claimable("high", 9) == 0
    assert upkeep.running(claim.job_id) == [(claim.task_id, claim.fence)]
    state = upkeep.lane_state("low")
    assert (state.queued, state.running) == (4, 1)
    assert state.oldest_wait_s >= 0
