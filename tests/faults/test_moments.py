"""Workers die, or hang, at the worst moments."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.support.cluster import Cluster, cluster, job_settings, until
from tests.support.redis import OwnRedis, own_redis
from tests.support.toy import times
from uws.job import Job
from uws.phase import Phase
from uws.tables import TaskRow

pytestmark = [pytest.mark.faults, pytest.mark.timeout(200)]

SETTINGS = job_settings(lease_s=1.0, renew_s=0.2)


@pytest.fixture
def redis() -> Iterator[OwnRedis]:
    with own_redis() as server:
        yield server


def outlived(made: Cluster, moment: str, **parameters: object) -> tuple[subprocess.Popen[bytes], Job]:
    """Have a worker begin a job and die at a moment, and another one go on; return the first, and the job."""
    first = made.start_worker(moment=moment)
    job_id = made.submit(DO="ok", ROWS=2, FOLDER=made.folder, **parameters).job_id
    until(lambda: first.poll() is not None, told=made.told)
    made.processes.remove(first)
    made.start_worker()
    (job,) = made.wait(job_id)
    return first, job


@pytest.mark.parametrize(
    ("moment", "runs", "attempts"),
    [
        pytest.param("claimed", 1, 2, id="f07-after-the-claim"),
        pytest.param("published", 2, 2, id="f08-before-the-commit"),
        pytest.param("committed", 1, 1, id="f09-after-the-commit"),
    ],
)
def test_death_at_a_moment(
    moment: str, runs: int, attempts: int, tmp_path: Path, database_url: str, redis: OwnRedis
) -> None:
    with cluster(tmp_path, database_url, redis.url, workers=0, settings=SETTINGS) as made:
        first, job = outlived(made, moment)
        assert first.returncode == -signal.SIGKILL
        assert (job.phase, job.counts.done) == (Phase.COMPLETED, 2)
        assert [times(tmp_path, n) for n in range(2)] == [runs] * 2
        with made.engine.connect() as connection:
            assert connection.execute(select(TaskRow.attempts)).scalars().all() == [attempts]
        left = len(list(made.results.objects(job.job_id)))
        assert left == (2 if moment == "published" else 1), "what was not committed is found by its age"
        made.check()


def test_f10_death_while_a_container_is_written(tmp_path: Path, database_url: str, redis: OwnRedis) -> None:
    with cluster(tmp_path, database_url, redis.url, settings=SETTINGS) as made:
        writing = made.processes[0]
        job_id = made.submit(DO="ok,wait", ROWS=2, BYTES=3_000_000, FOLDER=tmp_path).job_id
        until(lambda: times(tmp_path, 1) == 1, told=made.told)
        ((half, _),) = made.results.objects(job_id)
        assert (tmp_path / "results" / half).stat().st_size > 2_000_000
        made.kill(writing)
        (tmp_path / "go").touch()
        made.start_worker()
        (job,) = made.wait(job_id)
        assert (job.phase, job.counts.done) == (Phase.COMPLETED, 2)
        assert half not in {result.container for result in made.jobs.results(job_id)}
        made.check()


def test_f46_a_worker_that_hangs_with_a_task_in_hand_ends_itself(
    tmp_path: Path, database_url: str, redis: OwnRedis
) -> None:
    """Its heart beats on: nobody else would ever get the task."""
    settings = job_settings(lease_s=0.25, renew_s=0.05)
    with cluster(tmp_path, database_url, redis.url, workers=0, settings=settings) as made:
        first, job = outlived(made, "hangs")
        assert first.returncode == os.EX_SOFTWARE
        assert "hangs, and ends itself" in made.told()
        assert (job.phase, job.counts.done) == (Phase.COMPLETED, 2)
        made.check()
