"""Lists are split, and done, while workers are killed: no row is lost, none is doubled."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.test_kills import kill_at_random
from tests.support.cluster import cluster, until
from tests.support.redis import OwnRedis, own_redis
from tests.support.toy_list import splits
from uws.job import Counts
from uws.phase import Phase
from uws.store.ledger import Ledger

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]


@pytest.fixture
def redis() -> Iterator[OwnRedis]:
    with own_redis() as server:
        yield server


@pytest.mark.parametrize("what", ["worker", "child", "frozen"])
def test_a_split_is_killed_in_the_middle(
    what: str, tmp_path: Path, database_url: str, redis: OwnRedis
) -> None:
    with cluster(tmp_path, database_url, redis.url) as made:
        job = made.submit(kind="list", SPLIT="wait", ROWS=200, DO="ok,refused", PER_TASK=20, FOLDER=tmp_path)
        until(lambda: splits(tmp_path) == 1, told=made.told)
        victim = made.processes[0]
        (child,) = [pid for pid in made.children_of(victim) if _is_python(pid)][-1:]
        match what:
            case "worker":
                made.kill(victim)
                made.start_worker()
            case "child":
                os.kill(child, signal.SIGKILL)
            case "frozen":
                victim.send_signal(signal.SIGSTOP)
                made.start_worker()
        until(lambda: splits(tmp_path) == 2, 60, made.told)
        (tmp_path / "go").touch()
        if what == "frozen":
            victim.send_signal(signal.SIGCONT)
        (job,) = made.wait(job.job_id)
        made.check()
        assert (job.phase, job.counts) == (Phase.COMPLETED, Counts(200, done=100, failed=100))
        assert [row.row for row in Ledger(made.engine).stream(job.job_id)] == list(range(200))


def test_lists_survive_kills_at_random(tmp_path: Path, database_url: str, redis: OwnRedis) -> None:
    seed = int(os.environ.get("FOUNTAIN_TEST_SEED", "20261121"))
    dice = random.Random(seed)
    with cluster(tmp_path, database_url, redis.url, workers=2) as made:
        jobs = [
            made.submit(kind="list", ROWS=120, DO="slow,refused,ok,outside", PER_TASK=7).job_id
            for _ in range(6)
        ]
        for _ in range(15):
            time.sleep(dice.uniform(0.0, 0.2))  # the moment is what is random here
            with suppress(ProcessLookupError):
                kill_at_random(made, dice)
        ended = made.wait(*jobs, patience_s=200)
        made.check()
        for job in ended:
            assert job.counts.total == 120 == job.counts.ended, (seed, job)
            assert job.counts.empty == 30
            rows = [row.row for row in Ledger(made.engine).stream(job.job_id)]
            assert rows == list(range(120)), seed


def _is_python(pid: int) -> bool:
    try:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
