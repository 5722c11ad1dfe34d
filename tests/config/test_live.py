"""Streams of the real server: handed over, drained, left; what it costs is given back."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests
from sqlalchemy import Engine

from config.database import make_engine
from tests.config.test_server import free_port
from tests.support.server import Served, serve
from tests.support.service import environ_of, index_all, settings_of, write_surveys
from tests.support.soda_jobs import until
from tests.support.streams import Reader, http_stream
from uws.job import NewJob
from uws.store.jobs import Jobs

pytestmark = pytest.mark.deployment

TIMEOUT_S = 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("live") / "service"
    write_surveys(folder)
    index_all(settings_of(folder))
    return folder


@pytest.fixture(scope="module")
def environ(folder: Path) -> dict[str, str]:
    return environ_of(folder, {"FOUNTAIN_SERVER__WORKERS": "1", "FOUNTAIN_SERVER__PORT": str(free_port())})


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[Engine]:
    engine = make_engine(settings_of(folder).data.engine_url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def jobs(engine: Engine) -> Jobs:
    return Jobs(engine)


@pytest.fixture(scope="module")
def served(folder: Path, environ: dict[str, str]) -> Iterator[Served]:
    with serve(folder, environ, "--no-workers") as served:
        yield served


def new_job(jobs: Jobs) -> str:
    return jobs.create(NewJob(secrets.token_hex(16), "soda", "", "", (), 60, 600)).job_id


def web_process(served: Served) -> int:
    """Process id of the only web process, which has most threads of those below the command."""
    found = [served.process.pid]
    for pid in found:
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return max(found, key=lambda pid: len(list(Path(f"/proc/{pid}/task").iterdir())))


def raw_stream(url: str, path: str, version: str = "1.1") -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    line = socket.create_connection((host, int(port)), TIMEOUT_S)
    line.sendall(f"GET {path} HTTP/{version}\r\nHost: {host}\r\nAccept: text/event-stream\r\n\r\n".encode())
    return line


def read_until(line: socket.socket, mark: bytes) -> bytes:
    data = b""
    while mark not in data:
        piece = line.recv(65536)
        assert piece, data
        data += piece
    return data


@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_a_stream_is_well_formed_to_its_end(served: Served, jobs: Jobs, version: str) -> None:
    job_id = new_job(jobs)
    line = raw_stream(served.url, f"/async/{job_id}/events", version)
    head, _, body = read_until(line, b"event: job").partition(b"\r\n\r\n")
    assert (b"Transfer-Encoding: chunked" in head) == (version == "1.1")
    assert b"Content-Type: text/event-stream" in head
    assert b"X-Accel-Buffering: no" in head
    jobs.tell(job_id, "download", {"result": "x"})
    body += read_until(line, b'"download"')
    jobs.destroy(job_id)
    while piece := line.recv(65536):
        body += piece
    line.close()
    if version == "1.1":
        whole, rest = b"", body
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            whole, rest = whole + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
        assert size == b"0"
        body = whole
    told = Reader(iter(()), body).rest()
    assert [one.name for one in told] == ["job", "event", "event", "end"]


def test_the_log_has_the_request_and_no_error(served: Served, jobs: Jobs) -> None:
    job_id = new_job(jobs)
    with http_stream(f"{served.url}/async/{job_id}/events") as stream:
        stream.next("job")

    def lines_of(path: str) -> list[dict[str, object]]:
        lines = [json.loads(line) for line in served.log.read_text().splitlines()]
        return [line for line in lines if line.get("path", "").startswith(path)]

    until(lambda: lines_of(f"/async/{job_id}/events"))
    lines = lines_of("")
    assert [line["status"] for line in lines_of(f"/async/{job_id}/events")] == [200]
    assert not [line for line in lines if line.get("level") in ("error", "critical")]


def test_two_hundred_clients_leave_no_thread_no_file_and_no_place(served: Served, jobs: Jobs) -> None:
    job_id, pid = new_job(jobs), web_process(served)
    paths = (f"/events?JOB={job_id}", f"/async/{job_id}/events")

    def visit() -> None:
        with ExitStack() as stack:
            streams = []
            for number in range(200):
                line = stack.enter_context(raw_stream(served.url, paths[number % 2]))
                read_until(line, b"id: ")
                streams.append(line)
            until(lambda: figure(served.url) == 200)
            jobs.tell(job_id, "download", {"result": "x"})
            for line in streams:
                read_until(line, b'"seq')
        until(lambda: figure(served.url) == 0)

    visit()
    threads, files, size = threads_of(pid), files_of(pid), memory_of(pid)
    visit()
    until(lambda: threads_of(pid) <= threads and files_of(pid) <= files)
    assert memory_of(pid) - size < 16 << 20


def figure(url: str) -> float:
    text = requests.get(f"{url}/metrics", timeout=TIMEOUT_S).text
    (line,) = [line for line in text.splitlines() if line.startswith("fountain_streams ")]
    return float(line.split()[1])


def threads_of(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def files_of(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def memory_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_restart_of_the_service_leaves_no_gap_and_tells_nothing_twice(
    folder: Path, jobs: Jobs, environ: dict[str, str]
) -> None:
    """A client reads while events happen all the time, and the service is stopped and started."""
    environ = {**environ, "FOUNTAIN_SERVER__PORT": str(free_port())}
    job_id, stop = new_job(jobs), threading.Event()

    def happen() -> None:
        while not stop.wait(0.01):
            jobs.tell(job_id, "download", {"result": "x"})

    happening = threading.Thread(target=happen)
    happening.start()
    seqs: list[int] = []
    states: list[int] = []
    places = {"one": "", "all": ""}
    try:
        for _ in range(3):
            with serve(folder, environ, "--no-workers") as served, ExitStack() as stack:
                one = stack.enter_context(
                    http_stream(
                        f"{served.url}/async/{job_id}/events?AFTER=0", {"Last-Event-ID": places["one"]}
                    )
                )
                all_ = stack.enter_context(
                    http_stream(f"{served.url}/events?JOB={job_id}", {"Last-Event-ID": places["all"]})
                )
                wanted = len(seqs) + 50
                while len(seqs) < wanted:
                    seqs.append(one.next("event").data["seq"])
                states.append(all_.next("job").data["seq"])
                states.append(all_.next("job").data["seq"])
                served.process.send_signal(signal.SIGTERM)
                seqs += [told.data["seq"] for told in one.rest() if told.name == "event"]
                states += [told.data["seq"] for told in all_.rest() if told.name == "job"]
                places = {"one": one.position, "all": all_.position}
                assert served.process.wait(TIMEOUT_S) == 0
    finally:
        stop.set()
        happening.join()
    assert seqs == list(range(1, len(seqs) + 1))
    assert states == sorted(set(states))
    assert len(seqs) >= 150
