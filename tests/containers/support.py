"""The folder ``containers/``: its files, changed to run on one machine, and the programs they are for."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parent.parent.parent
CONTAINERS = REPOSITORY / "containers"
PUBLIC_NAME = "cutouts.example.org"
PATIENCE_S = 60


def program(name: str) -> str:
    """Path of a program; the test is skipped where it is not installed."""
    found = shutil.which(name, path="/usr/local/sbin:/usr/sbin:/sbin") or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def make_secrets(folder: Path) -> Path:
    """Make secrets by the script that administrators run."""
    program("openssl")
    command = [str(CONTAINERS / "make-secrets.sh"), str(folder), PUBLIC_NAME]
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_S)
    return folder


def compose() -> Any:
    """Read the compose file."""
    return yaml.safe_load((CONTAINERS / "compose.yaml").read_text())


def replaced(text: str, changes: Mapping[str, str]) -> str:
    """Replace what must be there."""
    for old, new in changes.items():
        assert old in text, f"{old} is not in the text any more"
        text = text.replace(old, new)
    return text


def free_port() -> int:
    """A port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def until(holds: Callable[[], object], told: Callable[[], str]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, told()
        time.sleep(0.02)


def is_open(port: int) -> bool:
    """Whether somebody listens at a port."""
    with socket.socket() as line:
        line.settimeout(1)
        return line.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def started(
    command: Sequence[str], log: Path, *, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the block ends."""
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=env, cwd=cwd)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def redis(folder: Path, secrets: Path) -> Iterator[int]:
    """Run Redis by the command of the compose file; give its port."""
    _, *arguments = compose()["services"]["redis"]["command"]
    port, log = free_port(), folder / "redis.log"
    users = "/run/secrets/redis-users.acl"
    assert users in arguments
    arguments = [str(secrets / "redis-users.acl") if word == users else word for word in arguments]
    own = ["--bind", "127.0.0.1", "--port", str(port)]
    with started([program("redis-server"), *arguments, *own], log, cwd=folder) as process:
        until(lambda: is_open(port) or process.poll() is not None, lambda: "Redis does not listen")
        assert process.poll() is None, log.read_text()
        yield port


@contextmanager
def nginx(folder: Path, secrets: Path, servers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Run nginx by its file before the web servers at these ports; give its ports, plain and TLS."""
    plain, secure = free_port(), free_port()
    text = (CONTAINERS / "nginx.conf").read_text()
    changes = {f"web-{n}:8080": f"127.0.0.1:{port}" for n, port in enumerate(servers, 1)}
    changes |= {"listen 8080": f"listen 127.0.0.1:{plain}", "listen 8443": f"listen 127.0.0.1:{secure}"}
    changes["/run/secrets"] = str(secrets)
    own = folder / "nginx.conf"
    own.write_text(replaced(text, changes))
    # The user is no setting of the file, which is for nginx without root; these tests may be run by root.
    command = [program("nginx"), "-p", str(folder), "-c", str(own), "-g", "daemon off;" + user_of_nginx()]
    log = folder / "nginx.log"
    with started(command, log) as process:
        until(lambda: is_open(secure) or process.poll() is not None, lambda: "nginx does not listen")
        assert process.poll() is None, log.read_text()
        yield plain, secure


def user_of_nginx() -> str:
    """What root adds, so that nginx can write where the tests may."""
    return " user root;" if os.geteuid() == 0 else ""
