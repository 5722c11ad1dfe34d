"""The whole service, over HTTP, while what it needs fails."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support.cluster import until
from tests.support.redis import OwnRedis, own_redis
from tests.support.server import Served, serve
from tests.support.service import did, environ_of, index_all, settings_of, write_surveys

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

TIMEOUT_S = 60
SMALL = {"ID": did("tiny/g/a"), "CIRCLE": "150 0 0.0027"}
LARGE = {"ID": did("tiny/g/a")}
ENDED = {"COMPLETED", "ERROR", "ABORTED"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("failing") / "service"
    write_surveys(folder)
    index_all(settings_of(folder))
    return folder


@pytest.fixture
def redis() -> Iterator[OwnRedis]:
    with own_redis() as server:
        yield server


@pytest.fixture
def served(folder: Path, redis: OwnRedis) -> Iterator[Served]:
    environ = {
        **environ_of(folder),
        "FOUNTAIN_JOBS__REDIS_URL": redis.url,
        "FOUNTAIN_SYNC__MAX_PIXELS": "40000",
        "FOUNTAIN_SYNC__INLINE_PIXELS": "20000",
    }
    with serve(folder, environ, "--port", "0") as served:
        until(lambda: "<vosi:available>true" in get(served, "availability").text, 60, served.log.read_text)
        yield served


def get(served: Served, path: str, **query: str) -> requests.Response:
    return requests.get(f"{served.url}/{path}", query, timeout=TIMEOUT_S)


def submit(served: Served, **values: str) -> str:
    answer = requests.post(
        f"{served.url}/async", {**values, "PHASE": "RUN"}, timeout=TIMEOUT_S, allow_redirects=False
    )
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"]


def phase_at_the_end(job: str) -> str:
    until(lambda: requests.get(f"{job}/phase", timeout=TIMEOUT_S).text in ENDED)
    return requests.get(f"{job}/phase", timeout=TIMEOUT_S).text


def test_sync_is_unaffected_while_redis_hangs(served: Served, redis: OwnRedis) -> None:
    expected = get(served, "sync", **SMALL).content
    assert get(served, "sync", **LARGE).status_code == 200  # a worker makes it
    redis.freeze()
    try:
        until_s = time.monotonic() + 10
        while time.monotonic() < until_s:
            answer = get(served, "sync", **SMALL)
            assert answer.status_code == 200
            assert answer.content == expected
        refused = get(served, "sync", **LARGE)
        assert refused.status_code == 503
        assert "Retry-After" in refused.headers
        assert "/async" in refused.text, "what can be done instead"
        job = submit(served, **SMALL)
    finally:
        redis.thaw()
    assert phase_at_the_end(job) == "COMPLETED"


def test_f17_redis_comes_back_empty(served: Served, redis: OwnRedis) -> None:
    redis.kill()
    job = submit(served, **SMALL)
    assert get(served, "sync", **SMALL).status_code == 200
    redis.start()
    assert phase_at_the_end(job) == "COMPLETED"
    until(lambda: get(served, "sync", **LARGE).status_code == 200, 30, served.log.read_text)


def test_f70_a_machine_that_loses_power_goes_on_with_its_jobs(folder: Path, redis: OwnRedis) -> None:
    """Everything is killed while jobs run; the next start does what was left."""
    environ = {**environ_of(folder), "FOUNTAIN_JOBS__LEASE_S": "2", "FOUNTAIN_JOBS__RENEW_S": "0.5"}
    environ |= {"FOUNTAIN_JOBS__RECONCILE_S": "0.5", "FOUNTAIN_JOBS__REDIS_URL": redis.url}
    circles = "&".join(f"CIRCLE=150+0+{0.002 + number / 1e6:.6f}" for number in range(400))
    with serve(folder, environ, "--port", "0") as served:
        answer = requests.post(
            f"{served.url}/async",
            f"ID={did('tiny/g/a')}&PHASE=RUN&{circles}",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            timeout=TIMEOUT_S,
            allow_redirects=False,
        )
        path = answer.headers["Location"].removeprefix(served.url)
        until(lambda: get(served, f"{path[1:]}/phase").text == "EXECUTING", 60, served.log.read_text)
        served.stop(signal.SIGKILL)
        redis.kill()
    redis.start()
    with serve(folder, environ, "--port", "0") as served:
        assert phase_at_the_end(f"{served.url}{path}") == "COMPLETED"
        document = get(served, path[1:]).text
        assert 'total="400" done="400"' in document
        assert document.count("<uws:result ") == 400
