"""Jobs: from submission to completion, the engine's own cost, quick documents, many who wait."""

from __future__ import annotations

import http.client
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import numpy as np
from flask import Flask
from sqlalchemy import insert

from benchmarks.service import FOUNTAIN, SETTLE_S, bench_environment, did_of, paths_of, serving
from benchmarks.table import Row
from config.database import make_engine, prepare
from dali.caller import Caller
from tests.support.cluster import Cluster, cluster, job_settings
from tests.support.redis import own_redis
from uws.tables import JobRow
from uws.views import make_blueprint

ENDED = ("COMPLETED", "ERROR", "ABORTED")
JOBS = 40
ROWS, ROWS_OF_A_TASK = 10_000, 100
STORED_JOBS = 100_000
DOCUMENTS = 200
WAITERS = 200
RATE_PER_S = 20.0
LOAD_S = 20.0
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def rows(folder: Path) -> Iterator[Row]:
    """Measure; `folder` has the tiles and the index of `benchmarks.service`."""
    with serving([FOUNTAIN, "serve", "--port"], bench_environment(folder)) as address:
        time.sleep(SETTLE_S)
        yield _submit_to_completed(address)
        yield _sync_beside_waiters(address)
    yield _engine_overhead(folder)
    yield from _documents(folder)


def _submit_to_completed(address: tuple[str, int]) -> Row:
    spent = []
    for run in range(JOBS + 5):
        start = time.perf_counter()
        _run_job(address, run)
        spent.append(1e3 * (time.perf_counter() - start))
    what = "Job of one small cutout, from submission to COMPLETED, HTTP with WAIT"
    return Row(what, statistics.median(spent[5:]), None, "ms", "", "below", 150.0)


def _run_job(address: tuple[str, int], run: int) -> None:
    connection = http.client.HTTPConnection(*address)
    values = {"ID": did_of("bench/r/plain"), **_circle(run), "PHASE": "RUN"}
    connection.request("POST", "/async", urlencode(values), FORM)
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 303, answer.status
    path, phase = urlsplit(str(answer.headers["Location"])).path, "QUEUED"
    while phase not in ENDED:
        connection.request("GET", f"{path}?WAIT=10&PHASE={phase}")
        text = connection.getresponse().read().decode()
        phase = text.partition("<uws:phase>")[2].partition("<")[0]
    assert phase == "COMPLETED", text
    connection.close()


def _circle(run: int) -> dict[str, str]:
    path = paths_of("bench/r/plain")[run % 50]
    return {"POS": "CIRCLE " + path.partition("CIRCLE=")[2].replace("%20", " ")}


def _sync_beside_waiters(address: tuple[str, int]) -> Row:
    """Compare the 95th percentile of sync cutouts at a fixed rate with and without clients in WAIT."""
    paths = paths_of("bench/r/plain")
    idle = p95_ms(address, paths)
    with ExitStack() as stack:
        for connection in _waiting(address):
            stack.callback(connection.close)
        busy = p95_ms(address, paths)
    what = f"p95 of sync at {RATE_PER_S:g}/s beside {WAITERS} clients in WAIT, against none"
    return Row(what, busy / idle, None, "times", "", "below", 1.5)


def _waiting(address: tuple[str, int]) -> Iterator[http.client.HTTPConnection]:
    asking = http.client.HTTPConnection(*address)
    asking.request("POST", "/async", urlencode({"ID": did_of("bench/r/plain"), **_circle(0)}), FORM)
    answer = asking.getresponse()
    answer.read()
    assert answer.status == 303, answer.status
    path = urlsplit(str(answer.headers["Location"])).path
    for _ in range(WAITERS):
        connection = http.client.HTTPConnection(*address)
        connection.request("GET", f"{path}?WAIT=60")
        yield connection


def p95_ms(address: tuple[str, int], paths: Sequence[str]) -> float:
    """Ask at a fixed rate, each request in its own time, so that a slow one delays none after it."""
    spent, lock = [], threading.Lock()

    def ask(path: str) -> None:
        start = time.perf_counter()
        connection = http.client.HTTPConnection(*address)
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
        connection.close()
        with lock:
            spent.append(1e3 * (time.perf_counter() - start))

    begin, threads = time.perf_counter(), []
    for number in range(int(RATE_PER_S * LOAD_S)):
        time.sleep(max(0.0, begin + number / RATE_PER_S - time.perf_counter()))
        threads.append(threading.Thread(target=ask, args=(paths[number % len(paths)],)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    return float(np.percentile(spent, 95))


def _engine_overhead(folder: Path) -> Row:
    with _toy_cluster(folder / "overhead") as made:
        made.wait(made.submit(ROWS=ROWS_OF_A_TASK, PER_TASK=ROWS_OF_A_TASK).job_id)  # it is warm now
        worker = made.processes[0]
        before = _cpu_s(made, worker)
        made.wait(made.submit(ROWS=ROWS, PER_TASK=ROWS_OF_A_TASK).job_id)
        spent = _cpu_s(made, worker) - before
    what = f"Engine: {ROWS:,} trivial rows in tasks of {ROWS_OF_A_TASK}, CPU of worker and its process"
    return Row(what, spent, None, "s", "", "below", 3.0)


@contextmanager
def _toy_cluster(folder: Path) -> Iterator[Cluster]:
    folder.mkdir()
    url = f"sqlite:///{folder / 'jobs.db'}"
    engine = make_engine(url)
    prepare(engine)
    engine.dispose()
    with own_redis() as redis, cluster(folder, url, redis.url, 1, job_settings(max_rows=ROWS)) as made:
        yield made


def _cpu_s(made: Cluster, worker: subprocess.Popen[bytes]) -> float:
    """Seconds of processor time of a worker and the processes it has started."""
    ticks = 0
    for pid in (worker.pid, *made.children_of(worker)):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / 100.0


def _documents(folder: Path) -> Iterator[Row]:
    """Ask for documents where many jobs are stored."""
    made = Cluster(folder / "documents", f"sqlite:///{folder / 'documents.db'}", "unix:///nowhere")
    made.folder.mkdir()
    prepare(made.engine)
    _store_jobs(made)
    app = Flask("documents")
    blueprint = make_blueprint(
        made.service,
        "toy",
        lambda: "http://localhost",
        lambda: Caller("somebody"),
        results=made.results,
        settings=made.settings,
    )
    app.register_blueprint(blueprint)
    client = app.test_client()
    for what, path in (
        ("Job document", "/async/{job_id}"),
        ("List of jobs, LAST=100", "/async?LAST=100"),
    ):
        spent = []
        for run in range(DOCUMENTS):
            url = path.format(job_id=_job_id(run * 479 % STORED_JOBS))
            start = time.perf_counter()
            answer = client.get(url)
            spent.append(1e3 * (time.perf_counter() - start))
            assert answer.status_code == 200, answer.text
        median = statistics.median(spent)
        yield Row(f"{what}, {STORED_JOBS:,} jobs stored", median, None, "ms", "", "below", 5.0)
    made.stop()


def _store_jobs(made: Cluster) -> None:
    now_ms = int(time.time() * 1000)
    stored = [
        {
            "job_id": _job_id(number),
            "type": "toy",
            "owner": "somebody",
            "phase": "COMPLETED",
            "run_id": "",
            "lane": "low",
            "hidden": False,
            "created_ms": now_ms - 1000 * (STORED_JOBS - number),
            "started_ms": now_ms,
            "ended_ms": now_ms,
            "destruction_ms": now_ms + 604_800_000,
            "execution_duration_s": 3600,
            "parameters": [["ROWS", "1", False]],
        }
        for number in range(STORED_JOBS)
    ]
    with made.engine.execution_options(writes=True).begin() as connection:
        connection.execute(insert(JobRow), stored)


def _job_id(number: int) -> str:
    return f"{number:032x}"
