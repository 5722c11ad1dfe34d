"""The disk is full, or gone."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import cluster, until
from tests.support.redis import own_redis
from uws.phase import Phase

pytestmark = [pytest.mark.faults, pytest.mark.timeout(200)]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "results"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("file systems cannot be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_rows_wait_for_space_and_go_on_when_there_is_some(
    tmp_path: Path, database_url: str, small_disk: Path
) -> None:
    ballast = small_disk / "ballast"
    with own_redis() as redis, cluster(tmp_path, database_url, redis.url) as made:
        ballast.write_bytes(bytes(900_000))
        job = made.submit(DO="ok", ROWS=3, PER_TASK=3, BYTES=60_000)
        until(lambda: "could not be written" in made.told(), told=made.told)
        assert made.job(job.job_id).phase is Phase.EXECUTING
        ballast.unlink()
        (job,) = made.wait(job.job_id)
        assert job.phase is Phase.COMPLETED
        assert job.counts.done == 3
        made.check()
