"""Workers stop, or let go of a task: told to, because its job has ended, or since it is in other hands."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from sqlalchemy import update

from tests.support.shop import SETTINGS, Shop, both
from tests.support.toy import Toy, times
from uws.job import LANES, Counts
from uws.phase import Phase
from uws.runner import Child
from uws.store.claims import Claims
from uws.tables import TaskRow

pytestmark = pytest.mark.faults


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
