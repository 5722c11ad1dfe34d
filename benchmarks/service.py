"""Cutouts through the index, and over HTTP, against a ready file sent by the same server."""

from __future__ import annotations

import multiprocessing
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import numpy as np
from astropy.wcs import WCS
from sqlalchemy import Engine

from accounts.audit import OPERATOR
from accounts.people import Identity
from benchmarks.cutouts import POSITIONS, SIDE, SIZE, boxes, make_tiles, sky_header, with_cutout2d
from benchmarks.table import Row, paired_ms
from config.accounts import make_accounts
from config.app import Parts, assemble
from config.database import prepare
from config.server import WARM_UP_AFTER_S
from config.settings import Settings, load_settings
from dali.parameters import Parameters
from surveys.index.ingest import index_survey
from surveys.sky.sphere import ra_dec_deg
from surveys.sky.wcs import CelestialWcs

DECLARATION = """
title = "A large tile"
kind = "coadd"
root = "{root}"
pixel_scale = 0.2628
[bands]
r = {{ em_min_m = 5.5e-7, em_max_m = 7e-7 }}
[layers.image]
path = "plain.fits"
"""
FOUNTAIN = str(Path(sys.executable).with_name("fountain"))
# Many connections and rounds: how they fall to the processes of a server is a matter of luck.
ROUND_S = 1.0
ROUNDS = 15
SETTLE_S = WARM_UP_AFTER_S + 5.0
#: More places than anything about one request is kept for.
PLACES = 512
CONNECTIONS = 8


def rows(folder: Path) -> Iterator[Row]:
    """Measure; `folder` keeps the tiles."""
    tiles = make_tiles(folder)
    parts = make_service(folder)
    token = _member(load_settings(bench_environment(folder)), parts.engine)
    yield _plan_and_execute(parts, tiles["plain"])
    parts.engine.dispose()
    yield from _over_http(folder, tiles["plain"], token)


def make_service(folder: Path) -> Parts:
    """Make a service of the tiles in a folder, which are made and indexed where they are not yet."""
    make_tiles(folder)
    parts = assemble(load_settings(bench_environment(folder)))
    prepare(parts.engine)
    for survey in parts.surveys:
        if survey.name in ("bench", "closed"):
            index_survey(parts.engine, survey)
    return parts


def bench_environment(folder: Path) -> dict[str, str]:
    """Write the declaration of the survey, and say where all of it is."""
    for name in ("data", "declarations"):
        (folder / name).mkdir(exist_ok=True)
    declaration = DECLARATION.format(root=folder)
    (folder / "declarations" / "bench.toml").write_text(declaration)
    closed = declaration.replace("[bands]", 'access = { groups = ["members"] }\n[bands]')
    (folder / "declarations" / "closed.toml").write_text(closed)
    return {
        "FOUNTAIN_DATA__FOLDER": str(folder / "data"),
        "FOUNTAIN_SURVEYS__DECLARATIONS": str(folder / "declarations"),
        "FOUNTAIN_LOG__LEVEL": "warning",
        # There is a rate, and it is looked at, but nobody reaches it.
        "FOUNTAIN_QUOTAS__RATE": "user=60_000_000",
    }


def _queries(did: str, count: int = POSITIONS) -> list[dict[str, str]]:
    """Circles whose pixel boxes have `SIZE` pixels, at random positions in the tile."""
    text = "".join(str(card) for card in sky_header().cards)
    wcs = CelestialWcs.from_text(text, 0, 1, SIDE, SIDE)
    radius = (SIZE - 1.5) / 2 * abs(WCS(sky_header()).wcs.cd[0][0])
    queries = []
    for box in boxes(count, SIZE):
        ra, dec = ra_dec_deg(wcs.to_sky(box.x0 + (SIZE - 1) / 2, box.y0 + (SIZE - 1) / 2))
        queries.append({"ID": did, "CIRCLE": f"{float(ra):.8f} {float(dec):.8f} {radius:.8f}"})
    return queries


def _plan_and_execute(parts: Parts, tile: Path) -> Row:
    parameters = [Parameters.from_pairs(query.items()) for query in _queries(did_of("bench/r/plain"))]

    def ours(run: int) -> bytes:
        sent = parts.sync.cut(parts.sync.ask(parameters[run % POSITIONS]))
        return b"".join(sent.chunks or ())

    took = paired_ms(ours, with_cutout2d(tile, SIZE), 600, 20)
    return Row(
        f"float32: parse, plan and execute {SIZE}x{SIZE}", *took, "ms", "astropy Cutout2D", "faster", 15.0
    )


def _member(settings: Settings, engine: Engine) -> str:
    """Make an account that may see what is closed, and give a token of it."""
    accounts = make_accounts(settings, engine)
    account = accounts.people.add(Identity("local", "bench"), by=OPERATOR)
    accounts.people.join(account.name, "members", by=OPERATOR)
    return accounts.tokens.make(account.name, "bench", frozenset(("read",)), by=OPERATOR).text


def did_of(dataset: str) -> str:
    """Make the identifier of a dataset."""
    return f"ivo://unregistered.invalid/soda-fountain?{dataset}"


def paths_of(dataset: str) -> list[str]:
    """Make requests of small cutouts."""
    return [
        "/sync?" + "&".join(f"{name}={quote(value)}" for name, value in query.items())
        for query in _queries(did_of(dataset), PLACES)
    ]


def _over_http(folder: Path, tile: Path, token: str) -> Iterator[Row]:
    image, band = paths_of("bench/r/plain"), paths_of("bench/r")
    closed, shown = paths_of("closed/r/plain"), f"Authorization: Bearer {token}\r\n"
    views = [f"/astropy/{number}" for number in range(POSITIONS)]
    ready = folder / "ready.fits"
    environment = os.environ | bench_environment(folder)
    rates: dict[str, list[float]] = {}
    with serving([FOUNTAIN, "serve", "--port"], environment) as ours:
        ready.write_bytes(_Connection(ours).get(image[0]))
        command = [sys.executable, "-m", "benchmarks.ready_file", str(ready), str(tile)]
        with serving(command, environment) as peer:
            time.sleep(SETTLE_S)
            asked = {
                "image": (ours, image, ""),
                "known": (ours, closed, shown),
                "band": (ours, band, ""),
                "ready": (peer, ["/sync"], ""),
            }
            for number in range(ROUNDS):
                for kind, (address, paths, header) in asked.items():
                    rates.setdefault(kind, []).append(_rate(address, paths, header))
                if number % 3 == 0:
                    rates.setdefault("astropy", []).append(_rate(peer, views))
    medians = {kind: float(np.median(several)) for kind, several in rates.items()}
    for kind, name, goal in (("image", "image", 0.8), ("band", "survey band", 0.45)):
        what = f"HTTP: {SIZE}x{SIZE} cutouts by {name}, {CONNECTIONS} connections"
        yield Row(what, medians[kind], medians["ready"], "/s", "send_file", "rate", goal)
        if kind == "image":
            yield Row(what, medians[kind], medians["astropy"], "/s", "a plain astropy view", "rate", 12.0)
    # Of as many connections, time and rate are the same but for a factor.
    times = [1000 * CONNECTIONS / medians[kind] for kind in ("known", "image")]
    what = f"HTTP: {SIZE}x{SIZE} cutouts of a closed survey, with a token, {CONNECTIONS} connections"
    yield Row(what, *times, "ms", "nobody known, open", "within", 1.15)


@contextmanager
def serving(command: list[str], environment: dict[str, str]) -> Iterator[tuple[str, int]]:
    """Run a server on a free port, from when it answers until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = ("127.0.0.1", int(free.getsockname()[1]))
    process = subprocess.Popen([*command, str(address[1])], env=environment, stdout=subprocess.DEVNULL)
    try:
        _wait_for(address, process)
        yield address
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(address: tuple[str, int], process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError), socket.create_connection(address):
            return
        time.sleep(0.05)
    raise RuntimeError(f"no server came up on port {address[1]}")


def _rate(address: tuple[str, int], paths: Sequence[str], header: str = "") -> float:
    """Answers per second over `CONNECTIONS` connections that are kept open, each in a process of its own."""
    context = multiprocessing.get_context("fork")
    counts = context.Queue()
    start = context.Barrier(CONNECTIONS)

    def client(shift: int) -> None:
        connection, done, turn = _Connection(address), 0, shift
        connection.get(paths[turn % len(paths)], header)
        start.wait()
        until = time.perf_counter() + ROUND_S
        while time.perf_counter() < until:
            connection.get(paths[turn % len(paths)], header)
            done, turn = done + 1, turn + 1
        counts.put(done)

    processes = [context.Process(target=client, args=(17 * number,)) for number in range(CONNECTIONS)]
    for process in processes:
        process.start()
    total: int = sum(counts.get() for _ in processes)
    for process in processes:
        process.join()
    return total / ROUND_S


class _Connection:
    """The least a client can do, so that the server and not the client is measured."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.create_connection(address)
        self._buffer = bytearray(1 << 20)

    def get(self, path: str, header: str = "") -> bytes:
        self._socket.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n".encode())
        view, filled, size, end = memoryview(self._buffer), 0, -1, 0
        while size < 0 or filled < end + size:
            count = self._socket.recv_into(view[filled:])
            if count == 0:
                raise ConnectionError("the server closed the connection")
            filled += count
            if size < 0 and (end := self._buffer.find(b"\r\n\r\n", 0, filled) + 4) > 3:
                head = bytes(view[:end]).lower()
                if not head.startswith(b"http/1.1 200"):
                    raise ConnectionError(head.decode())
                size = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
        return bytes(view[end : end + size])
