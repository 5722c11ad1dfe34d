"""Workers do the tasks there are."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import update

from dali.clock import NowMs
from tests.support.databases import sqlite
from tests.support.redis import own_redis
from tests.support.shop import SETTINGS, Shop, both
from uws.job import Counts, RowStatus
from uws.phase import Phase
from uws.tables import TaskRow


@both
def test_a_job_is_done(shop: Shop) -> None:
    job = shop.run(ROWS=25, PER_TASK=10, DO="ok,empty,fail,raise,ok", BYTES=3000)
    assert (job.phase, job.counts) == (Phase.COMPLETED, Counts(25, done=10, empty=5, failed=10))
    assert job.bytes_out == 30_000
    assert len(shop.files()) == 3, "one container for each task"
    assert [of.row for of in shop.jobs.results(job.job_id)] == list(range(25))
    assert shop.messages(job)[3] == "Error: the row failed for an unexpected reason (ValueError)"
    shop.check(job)
    assert shop.upkeep.counted()["rows", "done"] == 10
    assert shop.upkeep.live_workers("low", 60) == 0, "it has left"


def test_phases_are_told(shop: Shop) -> None:
    ear = shop.bell.listen()
    assert ear.next(0) is None
    job = shop.run(ROWS=4, PER_TASK=2, DO="fail")
    told = [said for _ in range(8) if (said := ear.next(0.1)) is not None]
    assert told == [(job.job_id, Phase.EXECUTING)] * 2 + [(job.job_id, Phase.ERROR)]
    ear.close()


def test_a_ring_is_answered(shop: Shop) -> None:
    made: list[str] = []

    def until() -> bool:
        if not made and shop.upkeep.live_workers("high", 60):
            made.append(shop.submit())
        return bool(made) and shop.has_ended(*made)

    shop.work(until)
    assert shop.job(made[0]).phase is Phase.COMPLETED


@pytest.mark.faults
def test_f19_jobs_go_on_without_redis_and_rings_are_heard_when_it_is_back(tmp_path: Path) -> None:
    with own_redis() as redis, sqlite(tmp_path) as engine:
        redis.kill()
        shop = Shop(engine, tmp_path, redis.url, SETTINGS)
        first = shop.submit()
        later: list[str] = []

        def until() -> bool:
            if not later and shop.has_ended(first):
                redis.start()
                later.append(shop.submit())
            return bool(later) and shop.has_ended(*later)

        shop.work(until)
        assert shop.job(first).phase is shop.job(later[0]).phase is Phase.COMPLETED
        shop.bell.close()


def test_a_row_may_give_several_files(shop: Shop) -> None:
    job = shop.run(ROWS=2, FILES=3)
    results = shop.jobs.results(job.job_id)
    assert [(of.row, of.part) for of in results] == [(row, part) for row in range(2) for part in range(3)]
    assert {of.status for of in results} == {RowStatus.DONE}
    shop.check(job)


def test_tasks_put_off_are_left(shop: Shop) -> None:
    waiting, job_id = shop.submit(), shop.submit()
    with shop.engine.execution_options(writes=True).begin() as connection:
        connection.execute(
            update(TaskRow).where(TaskRow.job_id == waiting).values(not_before_ms=NowMs() + 3_600_000)
        )
    shop.work(lambda: shop.has_ended(job_id))
    assert shop.job(waiting).phase is Phase.QUEUED


def test_the_second_lane_gets_a_task_now_and_then(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much there is to do in the first one."""
    monkeypatch.setattr("uws.worker.TURN_S", 0.3)
    flood = shop.submit(ROWS=60, PER_TASK=1, DO="slow", LANE="high")
    job_id = shop.submit(LANE="low")
    shop.work(lambda: shop.has_ended(job_id))
    assert shop.job(flood).phase is Phase.EXECUTING
