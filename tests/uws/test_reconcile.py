"""The reconciler: lost tasks, overdue and destroyed jobs, rings, files nobody knows."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from sqlalchemy import Engine, update
from sqlalchemy.exc import OperationalError

from dali.clock import NowMs
from tests.support.databases import postgresql, sqlite
from tests.support.toy import toy_rows, toy_settings, toy_types
from uws.bell import Bell
from uws.containers import ContainerWriter
from uws.job import LANES, Claim, Lane, NewJob, RowReport, RowStatus, Settlement
from uws.jobtype import File, JobPlan
from uws.phase import Phase
from uws.reconcile import ORPHAN_AGE_S, Reconciler
from uws.results import ResultStore
from uws.settings import JobSettings
from uws.store.claims import Claims
from uws.store.jobs import Jobs
from uws.store.upkeep import Upkeep
from uws.tables import JobRow, TaskRow
from uws.verdict import finish_with

PATIENCE_S = 30.0


@dataclass
class Place:
    """Whatever a reconciler looks after."""

    engine: Engine
    folder: Path
    bell: Bell
    settings: JobSettings

    @cached_property
    def jobs(self) -> Jobs:
        return Jobs(self.engine)

    @cached_property
    def upkeep(self) -> Upkeep:
        return Upkeep(self.engine)

    @cached_property
    def claims(self) -> Claims:
        return Claims(self.engine, "me", 30.0)

    @cached_property
    def results(self) -> ResultStore:
        return ResultStore(str(self.folder / "results"), self.folder / "spool")

    def reconciler(self, **changes: Any) -> Reconciler:
        parts: dict[str, Any] = {"upkeep": self.upkeep, "results": self.results, "bell": self.bell, **changes}
        return Reconciler(types=toy_types(), settings=self.settings, **parts)

    def submit(self, rows: int = 1, lane: Lane = "high") -> str:
        plan = JobPlan([[row] for row in toy_rows(("ok",), rows)], lane, 1.0)
        return self.jobs.create(NewJob(token_hex(16), "toy", "", "", (), 600, 3600), plan).job_id

    def claim(self) -> Claim:
        claim = self.claims.claim(LANES)
        assert claim is not None
        return claim

    def write(self, claim: Claim) -> tuple[RowReport, ...]:
        """Write and publish a container, as a worker does."""
        path = self.results.spool(claim)
        writer = ContainerWriter(path)
        reports = tuple(
            RowReport(
                row.n,
                row.result_id,
                RowStatus.DONE,
                files=(writer.add(File(row.result_id, "it.bin", "application/octet-stream", [b"it"])),),
            )
            for row in claim.rows
        )
        writer.seal()
        return self.results.publish(claim, path, reports)

    def settle(self, claim: Claim) -> Phase:
        return self.claims.settle(claim, Settlement(self.write(claim)), finish_with(toy_types())("toy"))

    def files(self) -> set[str]:
        return {name for job_id in self.results.jobs() for name, _ in self.results.objects(job_id)}

    def age(self, seconds: float = ORPHAN_AGE_S + 60) -> None:
        """Make every container as old."""
        then = time.time() - seconds
        for path in (self.folder / "results").rglob("*.zip"):
            os.utime(path, (then, then))

    def set_job(self, job_id: str, **values: Any) -> None:
        with self.engine.execution_options(writes=True).begin() as connection:
            connection.execute(update(JobRow).where(JobRow.job_id == job_id).values(**values))

    def set_tasks(self, **values: Any) -> None:
        with self.engine.execution_options(writes=True).begin() as connection:
            connection.execute(update(TaskRow).values(**values))


@pytest.fixture(params=["sqlite"])
def place(request: pytest.FixtureRequest, tmp_path: Path, redis_url: str) -> Iterator[Place]:
    database = (
        sqlite(tmp_path)
        if request.param == "sqlite"
        else postgresql(request.getfixturevalue("postgresql_url"))
    )
    bell = Bell(redis_url)
    with database as engine:
        yield Place(engine, tmp_path, bell, toy_settings(max_attempts=2, back_off_s=0.0, grace_s=3600))
    bell.close()


both = pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)


@both
def test_lost_tasks_go_on_and_are_given_up_in_the_end(place: Place) -> None:
    ear = place.bell.listen()
    assert ear.next(0) is None
    job_id = place.submit()
    reconciler = place.reconciler()
    for attempt in (1, 2):
        assert place.claim().attempts == attempt
        place.set_tasks(lease_until_ms=NowMs() - 1)
        reconciler.once()
    job = place.jobs.get(job_id)
    assert job is not None
    assert job.phase is Phase.ERROR
    assert ear.next(PATIENCE_S) == (job_id, Phase.ERROR)
    ear.close()


@both
def test_jobs_end_when_their_time_has_come(place: Place) -> None:
    ear = place.bell.listen()
    assert ear.next(0) is None
    late, due = place.submit(), place.submit()
    for _ in range(2):
        place.claim()
    place.set_job(late, started_ms=1)
    place.set_job(due, destruction_ms=1)
    place.reconciler().once()
    assert place.jobs.look([late, due]).keys() == {late}
    assert place.jobs.look([late])[late].phase is Phase.ABORTED
    assert {ear.next(PATIENCE_S), ear.next(PATIENCE_S)} == {(late, Phase.ABORTED), (due, Phase.ABORTED)}
    ear.close()


@both
def test_f64_files_go_after_a_time_of_grace_and_the_job_with_them(place: Place) -> None:
    job_id, other = place.submit(), place.submit()
    for _ in range(2):
        place.settle(place.claim())
    assert place.jobs.destroy(job_id)
    place.reconciler().once()
    assert len(place.files()) == 2, "a download may go on"
    place.set_job(job_id, gone_ms=NowMs() - 3_601_000)
    place.reconciler().once()
    assert {name.partition("/")[0] for name in place.files()} == {other}
    assert place.upkeep.known_jobs([job_id, other]) == {other}
    assert list(place.results.jobs()) == [other]


@pytest.fixture
def quiet(place: Place) -> Place:
    """Take away rings that other tests have left."""
    from redis import Redis

    url = place.bell._url
    with Redis(unix_socket_path=url.removeprefix("unix://")) as client:
        client.flushall()
    return place


def test_f18_there_are_as_many_rings_as_tasks_and_workers(quiet: Place) -> None:
    place, reconciler = quiet, quiet.reconciler()
    place.submit(rows=5)
    place.submit(rows=1, lane="low")
    reconciler.once()
    assert (place.bell.depth("high"), place.bell.depth("low")) == (0, 0), "there are no workers"
    for name in "abc":
        place.upkeep.beat(name, "host", 1, LANES)
    for _ in range(2):
        reconciler.once()
        assert (place.bell.depth("high"), place.bell.depth("low")) == (3, 1)


class TestOrphans:
    @both
    def test_f08_a_container_that_no_row_names_is_removed_when_it_is_old(self, place: Place) -> None:
        place.submit(rows=2)
        named, orphan = place.claim(), place.claim()
        place.settle(named)
        place.write(orphan)
        place.set_tasks(state="queued")
        place.reconciler().once()
        assert len(place.files()) == 2, "it may be about to be named"
        place.age()
        place.reconciler().once()
        assert place.files() == place.upkeep.containers(named.job_id)

    def test_one_of_a_claim_that_goes_on_stays(self, place: Place) -> None:
        place.submit()
        claim = place.claim()
        reports = place.write(claim)
        place.age()
        place.reconciler().once()
        assert len(place.files()) == 1
        finish = finish_with(toy_types())("toy")
        assert place.claims.settle(claim, Settlement(reports), finish) is Phase.COMPLETED

    def test_files_of_jobs_that_nobody_knows_are_removed(self, place: Place) -> None:
        place.submit()
        claim = replace(place.claim(), job_id="unknown")
        place.write(claim)
        place.reconciler().once()
        assert len(place.files()) == 1
        place.age()
        place.reconciler().once()
        assert list(place.results.jobs()) == []

    def test_they_are_looked_for_now_and_then(self, place: Place) -> None:
        reconciler = place.reconciler()
        reconciler.once()
        place.submit()
        place.write(replace(place.claim(), job_id="unknown"))
        place.age()
        reconciler.once()
        assert len(place.files()) == 1


class BrokenResults(ResultStore):
    """A store that has gone away."""

    def jobs(self) -> Iterator[str]:
        raise OSError("the store is gone")

    def remove_job(self, job_id: str) -> None:
        raise OSError("the store is gone")


class BrokenUpkeep(Upkeep):
    """A database that fails at first, at two of its questions."""

    is_broken = True

    def overdue(self) -> list[tuple[str, Phase]]:
        if self.is_broken:
            raise OperationalError("overdue", {}, Exception("the server is gone"))
        return super().overdue()


def test_a_step_that_fails_does_not_keep_the_others_and_is_told_once(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    upkeep = BrokenUpkeep(place.engine)
    store = BrokenResults(str(place.folder / "results"), place.folder / "spool")
    reconciler = place.reconciler(upkeep=upkeep, results=store)
    gone, due = place.submit(), place.submit()
    place.jobs.destroy(gone)
    place.set_job(gone, gone_ms=1)
    place.set_job(due, destruction_ms=1)
    for _ in range(3):
        reconciler.once()
    assert place.jobs.get(due) is None
    assert place.upkeep.known_jobs([gone]) == {gone}, "its files are there still"
    told = [record.getMessage() for record in caplog.records if record.name == "uws.trouble"]
    assert [text.partition(" fails")[0] for text in told] == [
        "ending overdue jobs",
        "forgetting jobs",
        "looking for orphans",
    ]
    upkeep.is_broken = False
    reconciler.once()
    assert caplog.records[-1].getMessage() == "ending overdue jobs works again"


@both
def test_f57_two_at_once_do_no_harm(place: Place) -> None:
    ids = [place.submit() for _ in range(8)]
    for _ in ids:
        place.claim()
    place.set_tasks(lease_until_ms=NowMs() - 1, attempts=2)
    start = threading.Barrier(2)

    def reconcile(_: int) -> None:
        reconciler = place.reconciler()
        start.wait()
        for _ in range(3):
            reconciler.once()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(reconcile, range(2)))
    for job_id in ids:
        assert len(place.jobs.results(job_id)) == 1
        job = place.jobs.get(job_id)
        assert job is not None
        assert (job.phase, job.event_seq) == (Phase.ERROR, 4)


class HangingResults(ResultStore):
    """Files cannot be removed, and that takes for ever."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.is_asked, self.may_go_on = threading.Event(), threading.Event()

    def remove_job(self, job_id: str) -> None:
        self.is_asked.set()
        self.may_go_on.wait(PATIENCE_S)


def test_f46_a_store_that_hangs_keeps_no_lost_task_from_being_taken_back(place: Place) -> None:
    place.settings = replace(place.settings, reconcile_s=0.01)
    store = HangingResults(str(place.folder / "results"), place.folder / "spool")
    gone, lost = place.submit(), place.submit()
    place.jobs.destroy(gone)
    place.set_job(gone, gone_ms=1)
    stop = threading.Event()
    thread = threading.Thread(target=place.reconciler(results=store).run, args=(stop,))
    thread.start()
    try:
        assert store.is_asked.wait(PATIENCE_S)
        assert place.claim().job_id == lost
        place.set_tasks(lease_until_ms=NowMs() - 1)
        end = time.monotonic() + PATIENCE_S
        while place.claims.claim(LANES) is None:
            assert time.monotonic() < end
            time.sleep(0.01)
    finally:
        stop.set()
        store.may_go_on.set()
        thread.join(PATIENCE_S)
    assert not thread.is_alive()


def test_it_goes_on_until_it_is_told_to_stop(place: Place) -> None:
    place.settings = replace(place.settings, reconcile_s=0.01)
    stop = threading.Event()
    thread = threading.Thread(target=place.reconciler().run, args=(stop,))
    thread.start()
    try:
        due = place.submit()
        place.set_job(due, destruction_ms=1)
        end = time.monotonic() + PATIENCE_S
        while place.jobs.get(due) is not None:
            assert time.monotonic() < end
            time.sleep(0.01)
    finally:
        stop.set()
        thread.join(PATIENCE_S)
    assert not thread.is_alive()
