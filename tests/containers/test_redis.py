"""The users of Redis, by the real server: the service may what its bell does, and nothing else."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError
from redis.retry import Retry

from tests.containers.support import CONTAINERS, make_secrets, program, redis
from uws.bell import Bell
from uws.phase import Phase

PATIENCE_S = 20


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_secrets(tmp_path_factory.mktemp("redis") / "secrets")


@pytest.fixture(scope="module")
def port(secrets: Path) -> Iterator[int]:
    with redis(secrets.parent, secrets) as port:
        yield port


@pytest.fixture
def password(secrets: Path) -> str:
    return (secrets / "redis-password").read_text()


def test_the_bell_rings_under_these_rights(port: int, password: str) -> None:
    url = f"redis://fountain:{password}@127.0.0.1:{port}/0"
    bell, stop, heard = Bell(url, PATIENCE_S), threading.Event(), threading.Semaphore(0)
    faults: list[BaseException] = []

    def work() -> None:
        try:
            Bell(url).serve(["high", "low"], heard.release, stop)
        except BaseException as error:
            faults.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    listener = bell.listen()
    try:
        assert bell.check() is None
        assert listener.next(PATIENCE_S) is None  # connected
        assert bell.ring("high", 2)
        assert bell.top_up("low", 1)
        for _ in range(3):
            assert heard.acquire(timeout=PATIENCE_S), faults
        assert bell.depth("low") == 0
        bell.tell("a1", Phase.EXECUTING)
        assert listener.next(PATIENCE_S) == ("a1", Phase.EXECUTING)
    finally:
        stop.set()
        worker.join()
        listener.close()
        bell.close()
    assert faults == []


def test_nobody_comes_in_without_the_password(port: int) -> None:
    for credentials in ({}, {"password": ""}, {"username": "fountain", "password": "PASSWORD_SHA256"}):
        with (
            Redis(port=port, driver_info=None, retry=Retry(NoBackoff(), 0), **credentials) as stranger,
            pytest.raises(AuthenticationError),
        ):
            stranger.set("uws:check", 1)


@pytest.mark.parametrize(
    "forbidden",
    [
        ("CONFIG", "GET", "*"),
        ("CONFIG", "SET", "dir", "/tmp"),
        ("EVAL", "return redis.call('FLUSHALL')", "0"),
        ("SCRIPT", "LOAD", "return 1"),
        ("FUNCTION", "LIST"),
        ("FLUSHALL",),
        ("FLUSHDB",),
        ("KEYS", "*"),
        ("SCAN", "0"),
        ("SHUTDOWN", "NOSAVE"),
        ("REPLICAOF", "example.org", "6379"),
        ("MODULE", "LIST"),
        ("MONITOR",),
        ("CLIENT", "KILL", "TYPE", "normal"),
        ("ACL", "LIST"),
        ("SAVE",),
        ("MIGRATE", "example.org", "6379", "rq:queues", "0", "1000"),
        ("GET", "rq:queues"),
        ("SET", "others", "1"),
        ("RPUSH", "others", "1"),
        ("HGET", "others", "data"),
        ("PUBLISH", "others", "1"),
        ("SUBSCRIBE", "others"),
        ("PSUBSCRIBE", "*"),
    ],
    ids=" ".join,
)
def test_the_service_may_nothing_else(port: int, password: str, forbidden: tuple[str, ...]) -> None:
    with (
        Redis(port=port, username="fountain", password=password, driver_info=None) as client,
        pytest.raises(NoPermissionError),
    ):
        client.execute_command(*forbidden)


def test_the_file_as_it_comes_lets_nobody_in(tmp_path: Path) -> None:
    command = [
        program("redis-server"),
        "--port",
        "0",
        "--save",
        "",
        "--aclfile",
        str(CONTAINERS / "redis-users.acl"),
    ]
    refused = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert refused.returncode != 0


def test_secrets_are_made_once_and_kept_from_others(tmp_path: Path) -> None:
    folder = make_secrets(tmp_path / "one")
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert set(before) == {
        "links-secret",
        "postgres-password",
        "redis-password",
        "redis-users.acl",
        "settings.toml",
        "tls.crt",
        "tls.key",
    }
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {file.name: file.read_bytes() for file in make_secrets(folder).iterdir()} == before
    others = make_secrets(tmp_path / "two")
    assert all((others / name).read_bytes() != content for name, content in before.items())
