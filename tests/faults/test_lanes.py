"""Small work does not wait behind large work."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cluster import cluster, until
from tests.support.redis import own_redis
from uws.phase import Phase

pytestmark = [pytest.mark.faults, pytest.mark.timeout(200)]


def test_a_small_job_starts_at_once_while_ten_thousand_tasks_wait(tmp_path: Path, database_url: str) -> None:
    with own_redis() as redis, cluster(tmp_path, database_url, redis.url, workers=2) as made:
        made.start_worker("high")
        until(lambda: made.upkeep.live_workers("high", 60) == 3, told=made.told)
        made.wait(*(made.submit(DO="slow").job_id for _ in range(6)))  # all are warm
        large = made.submit(DO="slow", ROWS=10_000, PER_TASK=1, LANE="low")
        until(lambda: made.job(large.job_id).counts.ended > 0, told=made.told)
        for _ in range(5):
            (small,) = made.wait(made.submit(DO="ok").job_id)
            assert small.phase is Phase.COMPLETED
            assert small.started_ms is not None
            assert small.started_ms - small.created_ms < 1000, "this is promised"
        assert made.job(large.job_id).counts.ended < 9_000, "the large one goes on"
        made.service.abort(made.job(large.job_id))
        made.check()
