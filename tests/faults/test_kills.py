"""Workers and their children are killed, frozen, and given rows that kill them."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.support.cluster import Cluster, cluster, job_settings, until
from tests.support.redis import OwnRedis, own_redis
from tests.support.toy import times
from uws.job import RowStatus
from uws.phase import TERMINAL, Phase
from uws.tables import TaskRow

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]

KILLS = 100
JOBS, TASKS_OF_A_JOB = 10, 50


@pytest.fixture
def redis() -> Iterator[OwnRedis]:
    with own_redis() as server:
        yield server


def ended_rows(made: Cluster, job_ids: list[str]) -> int:
    return sum(made.job(job_id).counts.ended for job_id in job_ids)


def kill_at_random(made: Cluster, dice: random.Random) -> str:
    """Kill a worker, its child, or both; a dead worker is replaced by another, as a supervisor does."""
    victim = dice.choice([process for process in made.processes if process is not made.processes[-1]])
    what = dice.choices(["child", "worker", "both"], [6, 2, 2])[0]
    children = made.children_of(victim)
    if what != "worker":
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    if what != "child":
        made.kill(victim)
        made.start_worker()
        made.processes.insert(0, made.processes.pop())  # the reconciler stays the last one
    return what


def test_a_hundred_kills_lose_no_row_and_double_none(
    tmp_path: Path, database_url: str, redis: OwnRedis
) -> None:
    seed = int(os.environ.get("FOUNTAIN_TEST_SEED", "20261121"))
    dice = random.Random(seed)
    with cluster(tmp_path, database_url, redis.url, workers=3) as made:
        jobs = [made.submit(DO="slow,ok", ROWS=2 * TASKS_OF_A_JOB, PER_TASK=2).job_id for _ in range(JOBS)]
        killed: Counter[str] = Counter()
        while killed.total() < KILLS:
            time.sleep(dice.uniform(0.0, 0.15))  # the moment is what is random here
            killed[kill_at_random(made, dice)] += 1
            if all(made.job(job_id).phase in TERMINAL for job_id in jobs):
                jobs.append(made.submit(DO="slow,ok", ROWS=2 * TASKS_OF_A_JOB, PER_TASK=2).job_id)
        ended = made.wait(*jobs, patience_s=200)
        made.check()
        for job in ended:
            assert job.phase is Phase.COMPLETED, (seed, job)
        assert sum(job.counts.done for job in ended) > 0.9 * ended_rows(made, jobs), "few are given up"


def test_rows_that_harm_their_process_fail_alone(tmp_path: Path, database_url: str, redis: OwnRedis) -> None:
    """Memory beyond the limit, a crash in C, a loop in C, a file truncated under its mapping, SIGKILL."""
    deeds = ("ok", "allocate", "segfault", "loop", "sigbus", "crash", "ok", "raise", "empty", "ok")
    settings = job_settings(row_limit_s=4.0, memory_bytes=1 << 30)
    with cluster(tmp_path, database_url, redis.url, settings=settings) as made:
        job = made.submit(DO=",".join(deeds), ROWS=len(deeds), PER_TASK=len(deeds))
        (job,) = made.wait(job.job_id)
        made.check()
        said = {result.row: (result.status, result.message) for result in made.jobs.results(job.job_id)}
    assert job.phase is Phase.COMPLETED
    for row, deed in enumerate(deeds):
        status, message = said[row]
        match deed:
            case "ok":
                assert status is RowStatus.DONE
            case "empty":
                assert status is RowStatus.EMPTY
            case "segfault" | "sigbus" | "crash":
                name = {"segfault": "SIGSEGV", "sigbus": "SIGBUS", "crash": "SIGKILL"}[deed]
                assert status is RowStatus.POISON
                assert name in message
            case "allocate":
                assert status is RowStatus.FAILED
                assert "memory" in message
            case "loop":
                assert status is RowStatus.FAILED
                assert "4 s" in message
            case _:
                assert status is RowStatus.FAILED
                assert "passwd" not in message


def test_a_frozen_worker_writes_nothing_when_it_wakes(
    tmp_path: Path, database_url: str, redis: OwnRedis
) -> None:
    rows = tmp_path / "rows"
    rows.mkdir()
    with cluster(tmp_path, database_url, redis.url) as made:
        frozen = made.processes[0]
        job = made.submit(DO="wait", FOLDER=rows)
        until(lambda: times(rows, 0) == 1, told=made.told)
        frozen.send_signal(signal.SIGSTOP)
        made.start_worker()
        until(lambda: times(rows, 0) == 2, told=made.told)  # its lease is over: another has the row
        (rows / "go").touch()  # both go on, and both finish the row
        (job,) = made.wait(job.job_id)
        until(lambda: times(rows, 0, "done") == 2, told=made.told)
        assert len(made.jobs.results(job.job_id)) == 1
        frozen.send_signal(signal.SIGCONT)
        after = made.submit(DO="ok", ROWS=20, PER_TASK=1)  # it works again, like any other
        made.wait(after.job_id)
        until(lambda: _containers(made, job.job_id) == 1, told=made.told)  # what it had made is removed
        assert len(made.jobs.results(job.job_id)) == 1
        assert made.job(job.job_id).counts.done == 1
        made.check()


def _containers(made: Cluster, job_id: str) -> int:
    return len(list(made.results.objects(job_id)))


def test_rows_of_a_dead_worker_are_taken_up_within_forty_seconds(
    tmp_path: Path, database_url: str, redis: OwnRedis
) -> None:
    """With the leases as they come, not with the short ones of the other tests."""
    rows = tmp_path / "rows"
    rows.mkdir()
    settings = job_settings(lease_s=30.0, renew_s=5.0, reconcile_s=5.0, back_off_s=2.0)
    with cluster(tmp_path, database_url, redis.url, settings=settings) as made:
        job = made.submit(DO="wait", FOLDER=rows)
        until(lambda: times(rows, 0) == 1, told=made.told)
        (rows / "go").touch()
        made.start_worker()
        until(lambda: made.upkeep.live_workers("high", 60) == 2, told=made.told)
        made.kill(made.processes[0])
        # The child may have finished the row, but nobody was there to write it down.
        killed = time.monotonic()
        made.wait(job.job_id, patience_s=60)
        with made.engine.connect() as connection:
            attempts, note = connection.execute(select(TaskRow.attempts, TaskRow.note)).one()
        if attempts > 1:
            assert note == "the worker was lost"
        assert time.monotonic() - killed < 40, "this is promised"
        made.check()


def test_a_worker_told_to_stop_leaves_its_rows_to_others(
    tmp_path: Path, database_url: str, redis: OwnRedis
) -> None:
    """SIGTERM, twice: the row in hand is finished or given back, and nothing is held against it."""
    rows = tmp_path / "rows"
    rows.mkdir()
    with cluster(tmp_path, database_url, redis.url) as made:
        leaving = made.processes[0]
        job = made.submit(DO="ok,wait,ok", ROWS=3, PER_TASK=3, FOLDER=rows)
        until(lambda: times(rows, 1) == 1, told=made.told)
        leaving.terminate()
        leaving.terminate()
        assert leaving.wait(20) == 0
        made.processes.remove(leaving)
        made.start_worker()
        until(lambda: times(rows, 1) == 2, told=made.told)
        (rows / "go").touch()
        (job,) = made.wait(job.job_id)
        assert job.counts.done == 3
        with made.engine.connect() as connection:
            assert max(connection.execute(select(TaskRow.attempts)).scalars()) == 1
        made.check()
