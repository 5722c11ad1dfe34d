"""/metrics: what is counted, by several processes and by workers, and that its labels are few."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from threading import Thread

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine

from config import metrics
from config.logs import Answered
from config.metrics import JobWatch, Metrics, share
from tests.support.counting import count_here, count_without_room, share_here
from tests.support.databases import sqlite
from tests.support.service import did, make_service
from uws.bell import Bell
from uws.job import Lane, NewJob, Row, RowReport, RowStatus, Settlement, Stored
from uws.jobtype import Ending, JobPlan
from uws.phase import Phase
from uws.store.claims import Claims
from uws.store.jobs import Jobs
from uws.store.upkeep import Upkeep
from uws.tally import Counted, Tally
from uws.waiting import Waiting
from vosi.availability import Check, Monitor

ASKED = {"ID": did("tiny/g/a"), "CIRCLE": "150 0 0.005"}

#: Value of each sample by name and labels.
Found = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def read(text: str) -> Found:
    """Parse what /metrics says; each family and each sample is there once."""
    families = list(text_string_to_metric_families(text))
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    samples = [
        ((sample.name, tuple(sorted(sample.labels.items()))), sample.value)
        for family in families
        for sample in family.samples
    ]
    found = dict(samples)
    assert len(found) == len(samples)
    return found


def scrape(client: FlaskClient) -> Found:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    assert answer.headers["Cache-Control"] == "no-store"
    return read(answer.text)


def sample(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return name, tuple(sorted(labels.items()))


def labels_of(found: Found, name: str, label: str) -> set[str]:
    return {dict(labels)[label] for key, labels in found if key == name}


@pytest.fixture
def own(tmp_path: Path) -> Flask:
    """A service that nobody else asks."""
    return make_service(tmp_path / "service")


def test_requests_and_cutouts_are_counted(own: Flask) -> None:
    client = own.test_client()
    size = len(client.get("/sync", query_string=ASKED, buffered=True).data)
    client.get("/sync", query_string=ASKED, buffered=True)
    client.post("/sync", data=ASKED, buffered=True)
    client.head("/sync", query_string=ASKED, buffered=True)
    nowhere = {**ASKED, "CIRCLE": "10 10 0.001"}
    assert client.get("/sync", query_string=nowhere, buffered=True).status_code == 204
    assert client.get("/sync", buffered=True).status_code == 400
    found = scrape(client)
    ok = {"endpoint": "/sync", "method": "GET", "status": "2xx"}
    assert found[sample("fountain_requests_total", **ok)] == 3
    assert found[sample("fountain_requests_total", **{**ok, "status": "4xx"})] == 1
    assert found[sample("fountain_request_seconds_count", endpoint="/sync", method="GET")] == 4
    assert found[sample("fountain_request_seconds_sum", endpoint="/sync", method="GET")] > 0
    assert found[sample("fountain_cutouts_total", via="sync")] == 3
    assert found[sample("fountain_cutout_bytes_total", via="sync")] == 3 * size
    assert found[sample("fountain_response_bytes_total", endpoint="/sync")] > 3 * size
    assert found[sample("fountain_available")] == 0
    assert found[sample("fountain_up", part="database")] == 1
    assert found[sample("fountain_up", part="workers of low")] == 0
    habit = {"ra": "150", "dec": "0", "survey": "tiny/g", "size": "20px", "format": "fits"}
    client.get("/cutout", query_string=habit, buffered=True)
    assert scrape(client)[sample("fountain_cutouts_total", via="sync")] == 4


def test_labels_are_few_whatever_is_asked(own: Flask) -> None:
    client = own.test_client()
    for number in range(50):
        client.get(f"/no/such/{number}", buffered=True)
        client.get(f"/tables/name{number}", buffered=True)
        client.open("/sync", method=f"METHOD{number}", buffered=True)
        client.open(f"/{number}", method=f"M{number}", buffered=True)
        client.get('/%00%ff"\n\\', query_string={"x": "y"}, buffered=True)
    client.delete("/sync", buffered=True)
    found = scrape(client)
    rules = {rule.rule for rule in own.url_map.iter_rules()}
    assert labels_of(found, "fountain_requests_total", "endpoint") <= rules | {"none"}
    assert "/tables/<name>" in labels_of(found, "fountain_requests_total", "endpoint")
    assert labels_of(found, "fountain_requests_total", "method") <= {"GET", "DELETE", "other"}
    assert (
        found[sample("fountain_requests_total", endpoint="/tables/<name>", method="GET", status="4xx")] == 50
    )


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_http_10_read_only(client: FlaskClient, method: str) -> None:
    assert client.open("/metrics", method=method).status_code == 405


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the processes of this test count together."""
    monkeypatch.setenv(metrics.FOLDER, "")  # put back as it was
    share(tmp_path / "metrics")
    return Path(os.environ[metrics.FOLDER])


def count_in_processes(counts: list[int]) -> list[Found]:
    """Count in one process after the other, all of which live until the last has counted."""
    context = multiprocessing.get_context("spawn")
    pools = [ProcessPoolExecutor(1, context) for _ in counts]
    try:
        told = [pool.submit(count_here, count).result() for pool, count in zip(pools, counts, strict=True)]
    finally:
        for pool in pools:
            pool.shutdown()
    assert len({pid for pid, _ in told}) == len(counts)
    return [read(text) for _, text in told]


@pytest.mark.faults
def test_processes_count_together(shared: Path) -> None:
    cutouts = sample("fountain_cutouts_total", via="sync")
    latencies = sample("fountain_request_seconds_count", endpoint="/sync", method="GET")
    waiting = sample("fountain_waiting")
    first, second = count_in_processes([3, 4])
    assert (first[cutouts], first[latencies], first[waiting]) == (3, 3, 1)
    assert (second[cutouts], second[latencies], second[waiting]) == (7, 7, 2)
    files = sorted(shared.iterdir())
    # Who takes the place of a process that ended counts on, in its files; what that had in hand is gone.
    third, fourth = count_in_processes([5, 6])
    assert third[cutouts] == 12
    assert (fourth[cutouts], fourth[latencies], fourth[waiting]) == (18, 18, 2)
    assert sorted(shared.iterdir()) == files


def test_a_service_empties_its_folder_and_leaves_that_of_others(tmp_path: Path, shared: Path) -> None:
    (shared / "counter_0.db").write_bytes(b"old")
    share(tmp_path / "metrics")
    assert Path(os.environ[metrics.FOLDER]) != shared
    assert (shared / "counter_0.db").exists()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as pool:
        first = Path(pool.submit(share_here, tmp_path / "others").result())
    (first / "counter_0.db").write_bytes(b"old")
    share(tmp_path / "others")
    assert Path(os.environ[metrics.FOLDER]) == first
    assert not (first / "counter_0.db").exists()


@pytest.mark.faults
def test_a_full_disk_stops_no_process(shared: Path) -> None:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        found = read(pool.submit(count_without_room).result())
    assert found[sample("fountain_requests_total", endpoint="none", method="GET", status="4xx")] == 1


def test_what_does_not_answer_is_told() -> None:
    own = Metrics(Monitor((Check(lambda: "gone", "disk"), Check(lambda: None, "tape")), 60))
    found = read(generate_latest(own).decode())
    assert found[sample("fountain_available")] == 0
    assert found[sample("fountain_up", part="disk")] == 0
    assert found[sample("fountain_up", part="tape")] == 1


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with sqlite(tmp_path) as made:
        yield made


def queue_job(engine: Engine, lane: Lane, tasks: int) -> str:
    rows = [[Row(n, f"r{n}")] for n in range(tasks)]
    job_id = f"job-{lane}"
    new = NewJob(job_id, "toy", "", "", (), execution_duration_s=0, destruction_s=600)
    Jobs(engine).create(new, JobPlan(rows, lane, 1.0))
    return job_id


def test_jobs_and_workers_are_told(engine: Engine) -> None:
    queue_job(engine, "high", 3)
    queue_job(engine, "low", 5)
    upkeep, claims, tally = Upkeep(engine), Claims(engine, "worker-1", 30), Tally()
    upkeep.beat("worker-1", "here", 1, ("high", "low"))
    upkeep.beat("worker-2", "there", 2, ("high",))
    done, held = claims.claim(("high",)), claims.claim(("high",))
    assert done is not None
    assert held is not None
    files = tuple(
        Stored(name, f"{name}.fits", "application/fits", 0, 2880, 0, "", "job-high/1.1.zip") for name in "ab"
    )
    settlement = Settlement((RowReport(0, "r0", RowStatus.DONE, files=files),))
    claims.settle(done, settlement, lambda counts: Ending())
    tally.settled(settlement)
    tally.add(Counted.CHILD_DEATHS, "SIGSEGV")
    tally.store(upkeep.count)

    own = Metrics(Monitor((), 60), JobWatch(upkeep, 60))
    own.request(Answered("GET", "/healthz", 200, 3, 0.1))
    found = read(generate_latest(own).decode())
    for lane, queued, running, workers in (("high", 1, 1, 2), ("low", 5, 0, 1)):
        assert found[sample("fountain_queue_depth", lane=lane)] == queued
        assert found[sample("fountain_tasks_running", lane=lane)] == running
        assert found[sample("fountain_tasks_late", lane=lane)] == 0
        assert found[sample("fountain_workers", lane=lane)] == workers
        assert found[sample("fountain_oldest_wait_seconds", lane=lane)] >= 0
    assert found[sample("fountain_rows_total", status="done")] == 1
    assert found[sample("fountain_tasks_total")] == 1
    assert found[sample("fountain_child_deaths_total", cause="SIGSEGV")] == 1
    # One family for both ways to a cutout.
    assert found[sample("fountain_cutouts_total", via="job")] == 2
    assert found[sample("fountain_cutouts_total", via="sync")] == 0
    assert found[sample("fountain_cutout_bytes_total", via="job")] == 5760


def test_a_task_that_nobody_takes_back_is_told(engine: Engine) -> None:
    queue_job(engine, "low", 2)
    claims = Claims(engine, "worker-1", 0)
    assert claims.claim(("low",)) is not None
    watch = JobWatch(Upkeep(engine), 60)
    deadline = time.monotonic() + 20
    # Its lease ends with the millisecond in which it was given.
    while (figures := watch.ask()).lanes["low"].late == 0:
        assert time.monotonic() < deadline
    assert (figures.lanes["low"].running, figures.lanes["low"].queued) == (1, 1)


def test_waiting_requests_are_counted(engine: Engine, tmp_path: Path) -> None:
    job_id = queue_job(engine, "low", 1)
    own = Metrics(Monitor((), 60))
    bell = Bell(f"unix://{tmp_path}/none.sock")
    waiting = Waiting(Jobs(engine), bell, 10)
    waiting.watch(own.waiting.set)

    def counted() -> float:
        return read(generate_latest(own).decode())[sample("fountain_waiting")]

    threads = [Thread(target=waiting.wait, args=(job_id, Phase.QUEUED, 60)) for _ in range(3)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 20
    while counted() < 3:
        assert time.monotonic() < deadline
    waiting.close()
    for thread in threads:
        thread.join()
    assert counted() == 0
    bell.close()


def test_a_database_that_is_gone_takes_only_the_jobs_along(engine: Engine, tmp_path: Path) -> None:
    queue_job(engine, "low", 1)
    engine.dispose()
    for file in tmp_path.glob("fountain.db*"):
        file.unlink()
    (tmp_path / "fountain.db").mkdir()
    own = Metrics(Monitor((), 60), JobWatch(Upkeep(engine), 60))
    found = read(generate_latest(own).decode())
    assert found[sample("fountain_available")] == 1
    assert not [name for name, _ in found if name in ("fountain_queue_depth", "fountain_rows_total")]
