"""Live connections: how soon news are there, what many of them cost others, and what they leave behind."""

from __future__ import annotations

import os
import re
import secrets
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.jobs import RATE_PER_S, p95_ms
from benchmarks.service import FOUNTAIN, SETTLE_S, bench_environment, make_service, paths_of, serving
from benchmarks.table import Row
from config.jobs import redis_url
from config.settings import load_settings
from uws.bell import Bell
from uws.job import NewJob
from uws.phase import Phase
from uws.store.jobs import Jobs

CLIENTS = 200
EVENTS = 200
PATIENCE_S = 30.0
#: The first clients need all of them; what is left after others is not theirs.
FEW_THREADS = {"FOUNTAIN_SERVER__THREADS": "32", "FOUNTAIN_JOBS__MAX_WAITERS": "16"}
#: A stream that was told something has this in it.
_SEQ = re.compile(rb'"seq":(\d+),"at"')


def rows(folder: Path) -> Iterator[Row]:
    """Measure; `folder` has the tiles and the index of `benchmarks.service`, or gets them."""
    environment = bench_environment(folder) | FEW_THREADS
    settings = load_settings(environment)
    parts = make_service(folder)
    jobs, bell = Jobs(parts.engine), Bell(redis_url(settings))
    job_id = jobs.create(NewJob(secrets.token_hex(16), "soda", "", "", (), 3600, 3600)).job_id
    with serving([FOUNTAIN, "serve", "--port"], os.environ | environment) as address:
        time.sleep(SETTLE_S)
        paths = paths_of("bench/r/plain")
        idle = p95_ms(address, paths)
        for _ in range(2):  # threads that connections are taken by are there for all that follow
            with _clients(address, job_id, 2 * CLIENTS) as clients:
                clients.settle()
            before = _cost(address)
        with _clients(address, job_id) as clients:
            clients.settle()
            delays = _delays(clients, jobs, bell, job_id)
        after = _cost(address)
        with _clients(address, job_id) as clients:
            clients.settle()
            stop = threading.Event()
            happening = threading.Thread(target=_happen, args=(stop, jobs, bell, job_id))
            happening.start()
            busy = p95_ms(address, paths)
            stop.set()
            happening.join()
    bell.close()
    parts.engine.dispose()
    what = f"p95 of news, from the commit of an event to each of {CLIENTS} clients"
    yield Row(what, float(np.percentile(delays, 95)), None, "ms", "", "below", 1000.0)
    what = f"p95 of sync at {RATE_PER_S:g}/s beside {CLIENTS} live connections, against none"
    yield Row(what, busy / idle, None, "times", "", "below", 1.5)
    left_mb = max(0.0, after[0] - before[0]) / 1e6
    yield Row(f"Memory that {CLIENTS} live connections leave behind", left_mb, None, "MB", "", "below", 16.0)
    left = max(0, after[1] - before[1])
    yield Row(f"Threads that {CLIENTS} live connections leave behind", left, None, "", "", "below", 1.0)


class _Clients:
    """Clients that read whatever they are told, in one thread."""

    def __init__(self, address: tuple[str, int], job_id: str, count: int) -> None:
        self._count = count
        self._lines = []
        self._seen = threading.Condition()
        self._last: dict[socket.socket, tuple[int, float]] = {}
        self._is_over = False
        request = (
            f"GET /async/{job_id}/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
        )
        for _ in range(count):
            line = socket.create_connection(address)
            line.sendall(request.encode())
            self._lines.append(line)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def settle(self) -> None:
        """Wait until all are there."""
        with self._seen:
            assert self._seen.wait_for(lambda: len(self._last) == self._count, PATIENCE_S)

    def wait(self, seq: int) -> list[float]:
        """Wait until all have heard of an event; tell when each has."""
        with self._seen:
            assert self._seen.wait_for(
                lambda: all(last[0] >= seq for last in self._last.values()), PATIENCE_S
            ), "news were lost"
            return [at for _, at in self._last.values()]

    def close(self) -> None:
        """Go away."""
        self._is_over = True
        self._thread.join()
        for line in self._lines:
            line.close()

    def _read(self) -> None:
        with selectors.DefaultSelector() as selector:
            for line in self._lines:
                selector.register(line, selectors.EVENT_READ)
            while not self._is_over:
                for key, _ in selector.select(0.1):
                    assert isinstance(key.fileobj, socket.socket)
                    told, now = key.fileobj.recv(65536), time.perf_counter()
                    assert told, "a stream has ended"
                    found = [int(seq) for seq in _SEQ.findall(told)]
                    if found or b"event: job" in told:
                        with self._seen:
                            self._last[key.fileobj] = max(found, default=0), now
                            self._seen.notify_all()


@contextmanager
def _clients(address: tuple[str, int], job_id: str, count: int = CLIENTS) -> Iterator[_Clients]:
    clients = _Clients(address, job_id, count)
    try:
        yield clients
    finally:
        clients.close()


def _delays(clients: _Clients, jobs: Jobs, bell: Bell, job_id: str) -> list[float]:
    """Let things happen, as workers do; tell how long each client waited for each (ms)."""
    delays = []
    for number in range(EVENTS):
        time.sleep(0.01 * (number % 20))
        jobs.tell(job_id, "rows", {"ended": number, "total": EVENTS})
        committed = time.perf_counter()
        bell.tell(job_id, Phase.PENDING)
        seq = jobs.look([job_id])[job_id].event_seq
        delays += [1e3 * (at - committed) for at in clients.wait(seq)]
    return delays


def _happen(stop: threading.Event, jobs: Jobs, bell: Bell, job_id: str) -> None:
    while not stop.wait(1.0):
        jobs.tell(job_id, "rows", {"ended": 1, "total": 2})
        bell.tell(job_id, Phase.PENDING)


def _cost(address: tuple[str, int]) -> tuple[float, int]:
    """Memory (bytes) and threads of all processes that serve, once nobody is connected."""
    until = time.monotonic() + PATIENCE_S
    seen = []
    while time.monotonic() < until:
        pids = _serving(address[1])
        threads = sum(len(os.listdir(f"/proc/{pid}/task")) for pid in pids)
        size = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
        seen.append((float(size * os.sysconf("SC_PAGE_SIZE")), threads))
        if len(seen) > 20 and seen[-1][1] == seen[-20][1]:  # for two seconds nothing has ended any more
            break
        time.sleep(0.1)
    return seen[-1]


def _serving(port: int) -> list[int]:
    """List the processes that have the socket on which a port is served."""
    line = next(
        row.split()
        for row in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if row.split()[1].endswith(f":{port:04X}") and row.split()[3] == "0A"
    )
    wanted, found = f"socket:[{line[9]}]", []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            files = [os.readlink(file) for file in (process / "fd").iterdir()]
        except OSError:
            continue
        if wanted in files:
            found.append(int(process.name))
    return found
