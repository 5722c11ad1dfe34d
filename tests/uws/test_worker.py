"""A worker with its child: real database, Redis and files; the signals are real too."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from sqlalchemy import Engine, select, update
from sqlalchemy.exc import OperationalError

from dali.parameters import Parameters
from tests.support.databases import postgresql, sqlite
from tests.support.redis import own_redis
from tests.support.toy import Toy, content, times, toy_settings, toy_types
from uws.bell import Bell
from uws.job import LANES, Caller, Counts, Job, NewJob, RowStatus
from uws.phase import TERMINAL, Phase
from uws.results import ResultStore
from uws.runner import Child
from uws.settings import JobSettings
from uws.store.claims import Claims
from uws.store.clock import NowMs
from uws.store.jobs import Jobs
from uws.store.upkeep import Upkeep
from uws.tables import EventRow, TaskRow
from uws.worker import UNRECORDED, Worker

PATIENCE_S = 90.0


@dataclass
class Shop:
    """Whatever a worker needs, and one in this very process."""

    engine: Engine
    folder: Path
    redis_url: str
    settings: JobSettings

    @cached_property
    def jobs(self) -> Jobs:
        return Jobs(self.engine)

    @cached_property
    def upkeep(self) -> Upkeep:
        return Upkeep(self.engine)

    @cached_property
    def results(self) -> ResultStore:
        return ResultStore(str(self.folder / "results"), self.folder / "spool")

    @cached_property
    def bell(self) -> Bell:
        return Bell(self.redis_url)

    def submit(self, *, seconds: int = 0, **parameters: object) -> str:
        """Have a job queued; nobody is rung."""
        values = {name: (str(value),) for name, value in {"FOLDER": self.folder, **parameters}.items()}
        toy = Toy()
        plan = toy.plan(toy.parse(Parameters(values), Caller()))
        return self.jobs.create(NewJob(token_hex(16), "toy", "", "", (), seconds, 3600), plan).job_id

    def job(self, job_id: str) -> Job:
        found = self.jobs.get(job_id)
        assert found is not None
        return found

    def has_ended(self, *job_ids: str) -> bool:
        return all(self.job(job_id).phase in TERMINAL for job_id in job_ids)

    def work(self, until: Callable[[], object], *, signals: int = 1) -> Worker:
        """Run a worker until the condition holds, then have it stop, by so many signals.

        Tasks that wait for their next attempt are rung for, as the reconciler does.
        """
        worker = Worker(self.engine, toy_types, self.results, self.bell, self.settings, LANES)
        faults: list[str] = []

        def supervise() -> None:
            end = time.monotonic() + PATIENCE_S
            while not until():
                if time.monotonic() > end:
                    faults.append("it did not come about")
                    break
                time.sleep(0.02)
                self.bell.top_up("high", 1)
            for _ in range(signals):
                os.kill(os.getpid(), signal.SIGTERM)

        before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
        supervisor = threading.Thread(target=supervise)
        supervisor.start()
        try:
            worker.run()
        finally:
            supervisor.join()
            for number, handler in zip((signal.SIGTERM, signal.SIGINT), before, strict=True):
                signal.signal(number, handler)
        assert faults == []
        return worker

    def run(self, **parameters: object) -> Job:
        """Have a job done."""
        job_id = self.submit(**parameters)
        self.work(lambda: self.has_ended(job_id))
        return self.job(job_id)

    def messages(self, job: Job) -> dict[int, str]:
        return {result.row: result.message for result in self.jobs.results(job.job_id)}

    def tasks(self, *columns: Any) -> list[Any]:
        with self.engine.connect() as connection:
            found = connection.execute(select(*columns).order_by(TaskRow.task_id)).all()
        return [tuple(row) for row in found]

    def files(self) -> set[str]:
        """Containers there are."""
        return {name for job_id in self.results.jobs() for name, _ in self.results.objects(job_id)}

    def check(self, job: Job) -> None:
        """Assert that files and ledger agree, and that events are numbered without a gap."""
        results = self.jobs.results(job.job_id)
        assert {of.container for of in results if of.container} == {
            name for name in self.files() if name.startswith(job.job_id)
        }
        for of in results:
            if of.container:
                assert b"".join(self.results.read(of)) == content(of.result_id, of.size)
        with self.engine.connect() as connection:
            seqs = connection.execute(select(EventRow.seq).where(EventRow.job_id == job.job_id)).scalars()
            assert sorted(seqs) == list(range(1, job.event_seq + 1))


SETTINGS = toy_settings(
    memory_bytes=1 << 30, back_off_s=0.05, lease_s=10.0, renew_s=0.2, drain_s=3.0, results_reserve_bytes=0
)


@pytest.fixture(params=["sqlite"])
def shop(request: pytest.FixtureRequest, tmp_path: Path, redis_url: str) -> Iterator[Shop]:
    if request.param == "sqlite":
        database = sqlite(tmp_path)
    else:
        database = postgresql(request.getfixturevalue("pg_server"))
    with database as engine:
        made = Shop(engine, tmp_path, redis_url, SETTINGS)
        yield made
        made.bell.close()


both = pytest.mark.parametrize("shop", ["sqlite", "postgresql"], indirect=True)


@both
def test_a_job_is_done(shop: Shop) -> None:
    job = shop.run(ROWS=25, PER_TASK=10, DO="ok,empty,fail,raise,ok", BYTES=3000)
    assert (job.phase, job.counts) == (Phase.COMPLETED, Counts(25, done=10, empty=5, failed=10))
    assert job.bytes_out == 30_000
    assert len(shop.files()) == 3, "one container for each task"
    assert [of.row for of in shop.jobs.results(job.job_id)] == list(range(25))
    assert shop.messages(job)[3] == "Error: the row failed for an unexpected reason (ValueError)"
    shop.check(job)
    assert shop.upkeep.counted()["rows", "done"] == 10
    assert shop.upkeep.live_workers("low", 60) == 0, "it has left"


def test_phases_are_told(shop: Shop) -> None:
    ear = shop.bell.listen()
    assert ear.next(0) is None
    job = shop.run(ROWS=4, PER_TASK=2, DO="fail")
    told = [said for _ in range(8) if (said := ear.next(0.1)) is not None]
    assert told == [(job.job_id, Phase.EXECUTING), (job.job_id, Phase.ERROR)]
    ear.close()


def test_a_ring_is_answered(shop: Shop) -> None:
    made: list[str] = []

    def until() -> bool:
        if not made and shop.upkeep.live_workers("high", 60):
            made.append(shop.submit())
        return bool(made) and shop.has_ended(*made)

    shop.work(until)
    assert shop.job(made[0]).phase is Phase.COMPLETED


def test_f19_jobs_go_on_without_redis_and_rings_are_heard_when_it_is_back(tmp_path: Path) -> None:
    with own_redis() as redis, sqlite(tmp_path) as engine:
        redis.kill()
        shop = Shop(engine, tmp_path, redis.url, SETTINGS)
        first = shop.submit()
        later: list[str] = []

        def until() -> bool:
            if not later and shop.has_ended(first):
                redis.start()
                later.append(shop.submit())
            return bool(later) and shop.has_ended(*later)

        shop.work(until)
        assert shop.job(first).phase is shop.job(later[0]).phase is Phase.COMPLETED
        shop.bell.close()


@pytest.mark.faults
@both
def test_f11_f12_f13_bad_rows_fail_with_their_reasons_and_the_job_goes_on(shop: Shop) -> None:
    job = shop.run(ROWS=6, DO="ok,segfault,allocate,crash,sigbus,ok")
    assert (job.phase, job.counts) == (Phase.COMPLETED, Counts(6, done=2, failed=1, poison=3))
    assert shop.messages(job) == {
        0: "",
        1: "Error: this row made the program crash twice (SIGSEGV)",
        2: "Error: the row needs more memory than the limit of 1024 MiB",
        3: "Error: this row made the program crash twice (SIGKILL)",
        4: "Error: this row made the program crash twice (SIGBUS)",
        5: "",
    }
    assert {n: times(shop.folder, n) for n in (1, 3, 4)} == {1: 2, 3: 2, 4: 2}
    shop.check(job)
    assert shop.upkeep.counted()["child_deaths", "SIGSEGV"] == 2


@pytest.mark.faults
def test_f12_a_row_that_crashes_once_is_done(shop: Shop) -> None:
    job = shop.run(ROWS=3, DO="ok,crash_once,ok")
    assert job.counts == Counts(3, done=3)
    shop.check(job)


@pytest.mark.faults
@pytest.mark.parametrize("word", ["loop", "deaf"])
def test_f14_f15_a_row_that_does_not_end_fails(shop: Shop, word: str) -> None:
    shop.settings = replace(SETTINGS, row_limit_s=0.5)
    job = shop.run(ROWS=3, DO=f"ok,{word},ok")
    assert job.counts == Counts(3, done=2, failed=1)
    assert shop.messages(job)[1] == "Error: the row took longer than the limit of 0.5 s"
    assert times(shop.folder, 1) == 1
    shop.check(job)


def test_what_may_pass_is_tried_again(shop: Shop) -> None:
    job = shop.run(ROWS=3, DO="ok,flaky,transient")
    assert job.counts == Counts(3, done=2, failed=1)
    assert shop.messages(job)[2] == "Error: not now"
    assert [times(shop.folder, n) for n in range(3)] == [1, 2, 3]
    shop.check(job)


@both
def test_f63_abort_stops_a_running_row(shop: Shop) -> None:
    job_id = shop.submit(ROWS=2, DO="ok,wait")
    aborted: list[float] = []

    def until() -> bool:
        if not aborted and times(shop.folder, 1):
            assert shop.jobs.end(job_id, Phase.ABORTED)
            aborted.append(time.monotonic())
        return ("dropped",) in shop.tasks(TaskRow.state)

    shop.work(until)
    assert times(shop.folder, 1, "done") == 0
    assert shop.jobs.results(job_id) == []
    assert shop.files() == set()
    assert shop.job(job_id).phase is Phase.ABORTED


def test_a_job_that_is_overdue_is_ended_by_its_worker(shop: Shop) -> None:
    ear = shop.bell.listen()
    assert ear.next(0) is None
    job_id = shop.submit(ROWS=2, DO="ok,wait", seconds=1)
    shop.work(lambda: ("dropped",) in shop.tasks(TaskRow.state))
    job = shop.job(job_id)
    assert job.phase is Phase.ABORTED
    assert job.error is not None
    assert "execution duration" in job.error.message
    assert shop.files() == set()
    told = [said for _ in range(8) if (said := ear.next(0.1)) is not None]
    assert told[-1] == (job_id, Phase.ABORTED)
    ear.close()


@both
def test_f04_f05_a_drained_worker_finishes_its_row_and_gives_back_the_others(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = shop.submit(ROWS=4, DO="ok,wait,ok,ok")
    drain = Child.drain

    def drain_then_release(child: Child) -> None:
        drain(child)
        (shop.folder / "go").touch()

    monkeypatch.setattr(Child, "drain", drain_then_release)
    shop.work(lambda: times(shop.folder, 1), signals=2)
    assert shop.job(job_id).counts == Counts(4, done=2)
    assert shop.job(job_id).phase is Phase.EXECUTING
    tasks = shop.tasks(TaskRow.state, TaskRow.attempts, TaskRow.note)
    assert tasks == [("done", 1, ""), ("queued", 0, "drained")]
    shop.check(shop.job(job_id))
    shop.work(lambda: shop.has_ended(job_id))
    assert shop.job(job_id).counts == Counts(4, done=4)
    assert [times(shop.folder, n) for n in range(4)] == [1] * 4, "nothing was done twice"
    shop.check(shop.job(job_id))


@pytest.mark.faults
def test_f04_a_row_that_takes_too_long_is_given_back_too(shop: Shop) -> None:
    shop.settings = replace(SETTINGS, drain_s=0.3)
    job_id = shop.submit(ROWS=2, DO="ok,wait")
    shop.work(lambda: times(shop.folder, 1))
    assert shop.tasks(TaskRow.state, TaskRow.attempts, TaskRow.kills) == [("done", 1, 0), ("queued", 0, 0)]
    assert shop.files() == set()
    (shop.folder / "go").touch()
    shop.work(lambda: shop.has_ended(job_id))
    assert shop.job(job_id).counts == Counts(2, done=2)
    shop.check(shop.job(job_id))


@both
def test_f06_who_has_lost_the_claim_writes_nothing(shop: Shop) -> None:
    job_id = shop.submit(ROWS=2, DO="ok,wait")
    other = Claims(shop.engine, "other", 60.0)
    taken: list[int] = []

    def until() -> bool:
        if not taken and times(shop.folder, 1):
            with shop.engine.execution_options(writes=True).begin() as connection:
                connection.execute(update(TaskRow).values(state="queued", lease_until_ms=None))
            claim = other.claim(LANES)
            assert claim is not None
            taken.append(claim.fence)
            # Late as it is, the first one now finishes.
            (shop.folder / "go").touch()
        return bool(taken) and ("lost_claims", "") in shop.upkeep.counted()

    shop.work(until)
    assert shop.tasks(TaskRow.state, TaskRow.fence, TaskRow.worker_id) == [("running", 2, "other")]
    assert shop.jobs.results(job_id) == []
    assert shop.files() == set()


def test_a_lease_is_renewed_while_the_row_goes_on(shop: Shop) -> None:
    shop.settings = replace(SETTINGS, lease_s=1.0, renew_s=0.1)
    job_id = shop.submit(DO="wait")
    began: list[float] = []

    def until() -> bool:
        if times(shop.folder, 0):
            began.append(time.monotonic())
            assert shop.upkeep.reclaim(3, 0.0, lambda name: Toy().finish) == []
            if began[-1] - began[0] > 2.5:
                (shop.folder / "go").touch()
        return shop.has_ended(job_id)

    shop.work(until)
    assert shop.tasks(TaskRow.attempts) == [(1,)]


@pytest.mark.faults
def test_f40_without_a_place_for_results_tasks_wait_and_go_on(shop: Shop) -> None:
    (shop.folder / "results").write_text("no folder")
    job_id = shop.submit(ROWS=2, DO="ok,empty")
    seen: list[Any] = []

    def until() -> bool:
        waiting = [task for task in shop.tasks(TaskRow.state, TaskRow.note, TaskRow.attempts) if task[1]]
        if not seen and len(waiting) > 3:
            seen.extend(waiting)
            (shop.folder / "results").unlink()
        return shop.has_ended(job_id)

    shop.work(until)
    assert {note for _, note, _ in seen} == {"storage"}
    assert max(attempts for _, _, attempts in seen) <= 1, "that is nobody's fault"
    assert shop.job(job_id).counts == Counts(2, done=1, empty=1)
    shop.check(shop.job(job_id))


@both
def test_what_cannot_be_recorded_fails(shop: Shop) -> None:
    job = shop.run(ROWS=2, DO="same")
    assert (job.phase, job.counts) == (Phase.ERROR, Counts(2, failed=2))
    assert shop.messages(job) == {0: UNRECORDED, 1: UNRECORDED}
    shop.check(job)


@both
def test_what_no_database_takes_is_left_out_of_messages(shop: Shop) -> None:
    job = shop.run(ROWS=2, DO="ok,odd")
    assert shop.messages(job) == {0: "", 1: "NoOverlap: ?  there"}
    shop.check(job)


class TestDatabase:
    """The database fails at a moment of the test's choosing."""

    def fail_once(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch, job_id: str, *, after: bool
    ) -> list[str]:
        """Have the commit of the job's rows fail, before or after it is done."""
        dialect = shop.engine.dialect
        commit = dialect.do_commit
        failed: list[str] = []

        def do_commit(connection: Any) -> None:
            cursor = connection.cursor()
            cursor.execute("SELECT count(*) FROM result")
            is_settled = cursor.fetchone()[0] > 0
            cursor.close()
            if after or failed or not is_settled:
                commit(connection)
            if is_settled and not failed:
                failed.append(job_id)
                raise OperationalError("commit", {}, Exception("the connection is gone"))

        monkeypatch.setattr(dialect, "do_commit", do_commit)
        return failed

    @pytest.mark.parametrize("after", [False, True])
    def test_f39_a_commit_that_fails_is_tried_again_and_counts_once(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch, after: bool
    ) -> None:
        job_id = shop.submit(ROWS=3)
        failed = self.fail_once(shop, monkeypatch, job_id, after=after)
        shop.work(lambda: failed and shop.has_ended(job_id))
        job = shop.job(job_id)
        assert job.counts == Counts(3, done=3)
        assert shop.tasks(TaskRow.attempts) == [(1,)]
        shop.check(job)

    def test_f30_a_worker_outlives_its_database(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        job_id = shop.submit(ROWS=3)
        asked: list[int] = []
        claim = Claims.claim

        def claim_later(self: Claims, lanes: Any) -> Any:
            asked.append(1)
            if len(asked) == 1:
                raise OperationalError("claim", {}, Exception("the server is gone"))
            return claim(self, lanes)

        monkeypatch.setattr(Claims, "claim", claim_later)

        shop.work(lambda: shop.has_ended(job_id))
        assert len(asked) > 1
        assert shop.job(job_id).counts == Counts(3, done=3)


def test_a_row_may_give_several_files(shop: Shop) -> None:
    job = shop.run(ROWS=2, FILES=3)
    results = shop.jobs.results(job.job_id)
    assert [(of.row, of.part) for of in results] == [(row, part) for row in range(2) for part in range(3)]
    assert {of.status for of in results} == {RowStatus.DONE}
    shop.check(job)


def test_tasks_put_off_are_left(shop: Shop) -> None:
    waiting, job_id = shop.submit(), shop.submit()
    with shop.engine.execution_options(writes=True).begin() as connection:
        connection.execute(
            update(TaskRow).where(TaskRow.job_id == waiting).values(not_before_ms=NowMs() + 3_600_000)
        )
    shop.work(lambda: shop.has_ended(job_id))
    assert shop.job(waiting).phase is Phase.QUEUED
