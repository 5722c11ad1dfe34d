"""Whoever asks for much does not keep those waiting who ask for little."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from dali.caller import Caller
from tests.support.cluster import Cluster, cluster, until
from tests.support.redis import own_redis
from uws.job import Job
from uws.phase import Phase

pytestmark = [pytest.mark.faults, pytest.mark.timeout(200)]

ADA, BOB = Caller("local:ada"), Caller("local:bob")
#: The promise, in seconds, of 19 in 20 jobs.
PROMISED_S = 10.0
SMALL_JOBS = 20


def waits_s(made: Cluster, job_ids: list[str]) -> list[float]:
    """How long jobs waited, the shortest time first."""
    jobs = made.wait(*job_ids)
    assert all(job.phase is Phase.COMPLETED for job in jobs)
    return sorted(((job.started_ms or 0) - (job.queued_ms or 0)) / 1000 for job in jobs)


def test_f66_one_row_jobs_do_not_wait_behind_a_hundred_thousand_rows(
    tmp_path: Path, database_url: str
) -> None:
    """20 ms a row, two seconds a task, all in one queue: with two workers a task ends each second."""
    with own_redis() as redis, cluster(tmp_path, database_url, redis.url, workers=2) as made:
        large = made.submit(ADA, DO="stub", ROWS=100_000, PER_TASK=100, LANE="low")
        until(lambda: in_hand(made, large) >= 2, told=made.told)
        small = []
        for _ in range(SMALL_JOBS):
            small.append(made.submit(BOB, DO="stub", LANE="low").job_id)
            time.sleep(0.3)  # people come one after the other
        waited = waits_s(made, small)
        assert waited[int(0.95 * SMALL_JOBS) - 1] < PROMISED_S, f"{waited}\n{made.told()}"
        assert made.job(large.job_id).counts.ended < 90_000, "the large one goes on"
        made.service.abort(made.job(large.job_id))
        made.check()


def test_f66_nor_behind_a_hundred_jobs_of_one_owner(tmp_path: Path, database_url: str) -> None:
    with own_redis() as redis, cluster(tmp_path, database_url, redis.url, workers=1) as made:
        flood = [made.submit(ADA, DO="stub", ROWS=50, LANE="low") for _ in range(100)]
        until(lambda: made.job(flood[0].job_id).phase is not Phase.QUEUED, told=made.told)
        small = [made.submit(BOB, DO="stub", ROWS=60, LANE="low").job_id for _ in range(3)]
        assert waits_s(made, small)[-1] < PROMISED_S
        assert any(made.job(job.job_id).phase is Phase.QUEUED for job in flood)
        for job in flood:
            if made.job(job.job_id).phase in (Phase.QUEUED, Phase.EXECUTING):
                made.jobs.end(job.job_id, Phase.ABORTED)
        made.check()


def in_hand(made: Cluster, job: Job) -> int:
    """Tasks of a job that are worked on."""
    return len(made.upkeep.running(job.job_id))
