"""A Redis of one's own for a test: real, on a socket in a short folder, and easily hurt."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis

START_S = 20


class OwnRedis:
    """A server that keeps nothing on disk.

    Parameters
    ----------
    folder
        For its socket; its path must be short (108 bytes).
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.path = folder / "redis.sock"
        self.url = f"unix://{self.path}"

    @property
    def pid(self) -> int:
        """Of the running server."""
        assert self._process is not None
        return self._process.pid

    def client(self) -> Redis:
        """Connect to it, around the code that is tested."""
        return Redis(unix_socket_path=str(self.path))

    def start(self, *options: str) -> None:
        """Start it, empty, and wait until it answers."""
        program = shutil.which("valkey-server") or shutil.which("redis-server")
        if program is None:
            pytest.skip("there is no redis-server to test with")
        arguments = ["--port", "0", "--unixsocket", str(self.path), "--save", "", "--appendonly", "no"]
        self.path.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [program, *arguments, *options],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + START_S
        while not is_answering(self.path):
            assert self._process.poll() is None, "redis-server did not start"
            assert time.monotonic() < deadline, "redis-server does not answer"
            time.sleep(0.01)

    def stop(self) -> None:
        """Have it end in an orderly way."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once; its socket stays behind."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Have it hang: connections are taken, but nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Have it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def restart_empty(self) -> None:
        """Kill it, and start one that knows nothing at the same place."""
        self.kill()
        self.start()

    def _end(self, how: int) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            self._process.send_signal(signal.SIGCONT)
            self._process.wait(START_S)


@contextmanager
def own_redis(*options: str) -> Iterator[OwnRedis]:
    """Run a server until the block ends."""
    with tempfile.TemporaryDirectory(prefix="redis-", dir="/tmp") as folder:
        server = OwnRedis(Path(folder))
        server.start(*options)
        try:
            yield server
        finally:
            server.kill()


def is_answering(path: Path) -> bool:
    """Whether a server answers at a socket."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(1)
        try:
            line.connect(str(path))
            line.sendall(b"PING\r\n")
            return line.recv(7) == b"+PONG\r\n"
        except OSError:
            return False
