"""Redis dies, forgets, hangs, and says what is not true: nothing is lost."""

from __future__ import annotations

import json
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import cluster, until
from tests.support.redis import OwnRedis, own_redis
from tests.support.toy import times, toy_types
from uws.phase import Phase
from uws.reconcile import Reconciler

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]


@pytest.fixture
def redis() -> Iterator[OwnRedis]:
    with own_redis() as server:
        yield server


def test_redis_killed_and_started_empty_loses_nothing(
    tmp_path: Path, database_url: str, redis: OwnRedis
) -> None:
    with cluster(tmp_path, database_url, redis.url, workers=2) as made:
        jobs = [made.submit(DO="slow", ROWS=20, PER_TASK=1).job_id for _ in range(3)]
        until(lambda: made.job(jobs[0]).counts.ended > 0, told=made.told)
        redis.kill()
        jobs.append(made.submit(DO="ok").job_id)  # taken although nobody can be rung
        redis.start()
        back = time.monotonic()
        until(lambda: made.job(jobs[-1]).phase is not Phase.QUEUED, 30, made.told)
        assert time.monotonic() - back < 10, "this is promised"
        assert {job.phase for job in made.wait(*jobs)} == {Phase.COMPLETED}
        made.check()


def test_a_flush_in_the_middle_of_a_run_loses_nothing(
    tmp_path: Path, database_url: str, redis: OwnRedis
) -> None:
    with cluster(tmp_path, database_url, redis.url, workers=2) as made:
        jobs = [made.submit(DO="slow", ROWS=20, PER_TASK=1).job_id for _ in range(3)]
        until(lambda: made.job(jobs[0]).counts.ended > 0, told=made.told)
        redis.client().flushall()
        assert {job.phase for job in made.wait(*jobs)} == {Phase.COMPLETED}
        made.check()


def test_jobs_are_taken_and_done_while_redis_hangs(
    tmp_path: Path, database_url: str, redis: OwnRedis
) -> None:
    with cluster(tmp_path, database_url, redis.url) as made:
        redis.freeze()
        try:
            start = time.monotonic()
            job = made.submit(DO="ok")
            assert time.monotonic() - start < 5, "nobody waits for a Redis that hangs"
            (job,) = made.wait(job.job_id)  # workers look for themselves
        finally:
            redis.thaw()
        assert job.phase is Phase.COMPLETED
        made.check()


def test_fifty_rings_for_one_task_do_it_once(tmp_path: Path, database_url: str, redis: OwnRedis) -> None:
    rows = tmp_path / "rows"
    rows.mkdir()
    with cluster(tmp_path, database_url, redis.url, workers=2) as made:
        job = made.submit(DO="slow", FOLDER=rows)
        assert made.bell.ring("high", 50)
        made.wait(job.job_id)
        until(lambda: made.bell.depth("high") == 0, told=made.told)
        assert times(rows, 0) == 1
        made.check()


def test_a_forged_job_is_refused_and_the_worker_lives(
    tmp_path: Path, database_url: str, redis: OwnRedis
) -> None:
    canary = tmp_path / "canary"
    with cluster(tmp_path, database_url, redis.url) as made:
        client = redis.client()
        worker = made.processes[0]
        call = json.dumps(["os.system", None, [f"touch {canary}"], {}]).encode()
        forged = {
            "named": zlib.compress(call),
            "pickled": b"cos\nsystem\n(S'touch canary'\ntR.",
            "bomb": zlib.compress(bytes(64 << 20)),
            "plain": call,
        }
        for name, data in forged.items():
            fields = {
                "data": data,
                "origin": "high",
                "created_at": "2026-11-21T00:00:00Z",
                "status": "queued",
            }
            client.hset(f"rq:job:{name}", mapping=fields)  # type: ignore[arg-type]
            client.rpush("rq:queue:high", name)
        job = made.submit(DO="ok")
        made.wait(job.job_id)
        until(lambda: client.llen("rq:queue:high") == 0, told=made.told)
        assert worker.poll() is None, made.told()
        assert not canary.exists()
        made.check()


def test_two_reconcilers_at_once_do_no_harm(tmp_path: Path, database_url: str, redis: OwnRedis) -> None:
    with cluster(tmp_path, database_url, redis.url, workers=2) as made:
        made.start_reconciler()
        mine = Reconciler(made.upkeep, made.results, made.bell, toy_types(), made.settings)
        stop = threading.Event()
        runs = [threading.Thread(target=mine.run, args=(stop,)) for _ in range(2)]
        for run in runs:
            run.start()
        try:
            jobs = [made.submit(DO="slow,crash_once,ok", ROWS=12, PER_TASK=3, FOLDER=tmp_path).job_id]
            jobs += [made.submit(DO="slow", ROWS=10, PER_TASK=1).job_id for _ in range(3)]
            made.kill(made.processes[0])
            assert {job.phase for job in made.wait(*jobs)} == {Phase.COMPLETED}
        finally:
            stop.set()
            for run in runs:
                run.join()
        made.check()
