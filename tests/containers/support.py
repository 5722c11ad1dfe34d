"""The folder ``containers/``: its files, changed to run on one machine, and the programs they are for."""

from __future__ import annotations

import os
import selectors
import shutil
import socket
import ssl
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml
from urllib3 import BaseHTTPResponse, HTTPConnectionPool, HTTPSConnectionPool

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
    command: Sequence[str],
    log: Path,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    alone: bool = False,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the block ends; `alone` in a process group of its own."""
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=env, cwd=cwd, start_new_session=alone)
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


class Outside:
    """A client of the service behind nginx, which it knows by the public name.

    Parameters
    ----------
    plain, secure
        Ports of nginx.
    certificate
        What it trusts.
    """

    def __init__(self, plain: int, secure: int, certificate: Path) -> None:
        self.plain, self.secure = plain, secure
        self.base = f"https://{PUBLIC_NAME}:{secure}"
        self._certificate = certificate
        self._pool = HTTPSConnectionPool(
            "127.0.0.1",
            secure,
            maxsize=16,
            block=True,
            ca_certs=str(certificate),
            server_hostname=PUBLIC_NAME,
            assert_hostname=PUBLIC_NAME,
            timeout=PATIENCE_S,
            retries=False,
        )
        self._host = {"Host": f"{PUBLIC_NAME}:{secure}"}

    def get(
        self, path: str, parameters: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> BaseHTTPResponse:
        """Ask for a path, or for a URL of the service."""
        path = path.removeprefix(self.base) + (f"?{urlencode(parameters)}" if parameters else "")
        return self._pool.urlopen("GET", path, headers={**self._host, **(headers or {})}, redirect=False)

    def stream(self, path: str, headers: Mapping[str, str]) -> BaseHTTPResponse:
        """Ask for a path whose answer is read as it comes."""
        told = {**self._host, **headers}
        return self._pool.urlopen("GET", path, headers=told, redirect=False, preload_content=False)

    def post(self, path: str, body: bytes) -> BaseHTTPResponse:
        """Send a form."""
        headers = {**self._host, "Content-Type": "application/x-www-form-urlencoded"}
        path = path.removeprefix(self.base)
        return self._pool.urlopen("POST", path, body=body, headers=headers, redirect=False)

    def plainly(self, method: str, path: str) -> BaseHTTPResponse:
        """Ask without TLS."""
        headers = {"Host": PUBLIC_NAME}
        with HTTPConnectionPool("127.0.0.1", self.plain, retries=False, timeout=PATIENCE_S) as pool:
            return pool.urlopen(method, path, headers=headers, redirect=False)

    def at_once(self, path: str, count: int, until: int | None = None) -> Counter[int]:
        """Ask for a path on many connections; count the statuses, up to the first that is `until`."""
        statuses: Counter[int] = Counter()
        with ExitStack() as lines, selectors.DefaultSelector() as waiting:
            for _ in range(count):
                waiting.register(lines.enter_context(self.line()), selectors.EVENT_READ)
            request = f"GET {path} HTTP/1.1\r\nHost: {PUBLIC_NAME}\r\nConnection: close\r\n\r\n".encode()
            for key in list(waiting.get_map().values()):
                key.fileobj.sendall(request)
            while waiting.get_map() and not (until and statuses[until]):
                answered = waiting.select(PATIENCE_S)
                assert answered, "no answer"
                for key, _ in answered:
                    waiting.unregister(key.fileobj)
                    statuses[int(key.fileobj.recv(64).split()[1])] += 1
        return statuses

    def line(self) -> ssl.SSLSocket:
        """Open a bare connection."""
        context = ssl.create_default_context(cafile=str(self._certificate))
        line = socket.create_connection(("127.0.0.1", self.secure), PATIENCE_S)
        return context.wrap_socket(line, server_hostname=PUBLIC_NAME)
