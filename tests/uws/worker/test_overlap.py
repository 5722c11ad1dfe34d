"""A worker writes down what became of a task while its child has the next one in hand."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.shop import PATIENCE_S, SETTINGS, Shop, both
from tests.support.toy import Toy, times
from uws.job import Claim, Counts
from uws.pen import Done
from uws.phase import Phase
from uws.results import ResultStore
from uws.store.claims import Hold
from uws.tables import TaskRow
from uws.verdict import Answer, Died

pytestmark = pytest.mark.faults

Held = Callable[[Callable[[], object]], None]


@pytest.fixture
def hold_first(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Held:
    """Have the first task that is published wait there until a condition holds."""
    publish = ResultStore.publish

    def hold(until: Callable[[], object]) -> None:
        seen: list[Claim] = []

        def publish_later(self: ResultStore, claim: Claim, *others: Any) -> Any:
            seen.append(claim)
            end = time.monotonic() + PATIENCE_S
            while len(seen) == 1 and not until():
                assert time.monotonic() < end, "it did not come about"
                time.sleep(0.01)
            return publish(self, claim, *others)

        monkeypatch.setattr(ResultStore, "publish", publish_later)

    return hold


@both
def test_the_next_task_is_begun_before_the_last_one_is_written_down(shop: Shop, hold_first: Held) -> None:
    hold_first(lambda: times(shop.folder, 1))
    job = shop.run(ROWS=4, PER_TASK=1)
    assert (job.phase, job.counts) == (Phase.COMPLETED, Counts(4, done=4))
    assert [times(shop.folder, n) for n in range(4)] == [1] * 4
    shop.check(job)


def test_no_third_task_is_claimed_before_the_first_is_written_down(shop: Shop, hold_first: Held) -> None:
    waited: list[float] = []

    def until() -> bool:
        if times(shop.folder, 1, "done"):
            waited.append(time.monotonic())
        return bool(waited) and waited[-1] - waited[0] > 0.5

    hold_first(until)
    job_id = shop.submit(ROWS=3, PER_TASK=1)
    states: list[Any] = []

    def ended() -> bool:
        if waited and not states:
            states.extend(shop.tasks(TaskRow.state))
        return shop.has_ended(job_id)

    shop.work(ended)
    assert states == [("running",), ("running",), ("queued",)]
    assert shop.job(job_id).counts == Counts(3, done=3)


@both
def test_both_claims_are_renewed(shop: Shop, hold_first: Held) -> None:
    shop.settings = replace(SETTINGS, lease_s=1.0, renew_s=0.1)
    began: list[float] = []

    def until() -> bool:
        if times(shop.folder, 1):
            began.append(time.monotonic())
            assert shop.upkeep.reclaim(3, 0.0, lambda name: Toy().finish) == []
        return bool(began) and began[-1] - began[0] > 2.5

    hold_first(until)
    job_id = shop.submit(ROWS=2, PER_TASK=1, DO="ok,wait")

    def ended() -> bool:
        if shop.job(job_id).counts.done == 1:
            (shop.folder / "go").touch()
        return shop.has_ended(job_id)

    shop.work(ended)
    assert shop.tasks(TaskRow.attempts) == [(1,), (1,)]
    assert shop.job(job_id).counts == Counts(2, done=2)


@both
def test_abort_ends_both(shop: Shop, hold_first: Held) -> None:
    job_id = shop.submit(ROWS=2, PER_TASK=1, DO="ok,wait")
    hold_first(lambda: times(shop.folder, 1) and shop.jobs.end(job_id, Phase.ABORTED))
    shop.work(lambda: shop.tasks(TaskRow.state) == [("dropped",)] * 2)
    assert shop.jobs.results(job_id) == []
    assert shop.files() == set()


@pytest.mark.faults
def test_a_row_that_crashes_meanwhile_is_settled_after_it(shop: Shop, hold_first: Held) -> None:
    hold_first(lambda: times(shop.folder, 1))
    job = shop.run(ROWS=3, PER_TASK=1, DO="ok,crash,ok")
    assert job.counts == Counts(3, done=2, poison=1)
    assert times(shop.folder, 1) == 2
    shop.check(job)


@both
def test_one_that_is_told_to_stop_meanwhile_writes_down_both(shop: Shop, hold_first: Held) -> None:
    hold_first(lambda: times(shop.folder, 1, "done"))
    job_id = shop.submit(ROWS=3, PER_TASK=1, DO="ok,wait,ok")

    def until() -> bool:
        (shop.folder / "go").touch()
        return times(shop.folder, 1) > 0

    shop.work(until)
    assert shop.job(job_id).counts.done in (2, 3), "the last one may have been begun before the signal came"
    assert ("running",) not in shop.tasks(TaskRow.state)
    shop.check(shop.job(job_id))


@pytest.mark.parametrize(
    ("changes", "ended", "can_wait"),
    [
        ({}, Answer(()), True),
        ({"attempts": 2}, Answer(()), False),
        ({"kind": "split"}, Answer(()), False),
        ({}, Died(0, "SIGKILL"), False),
    ],
)
def test_what_may_bring_the_worker_down_is_written_down_alone(
    changes: dict[str, Any], ended: Answer | Died, can_wait: bool
) -> None:
    claim = replace(Claim(1, "job", "toy", "", "low", "me", 1, 1, 0, ()), **changes)
    assert Done(claim, Path("it.zip"), ended, Hold.HELD, 1.0, False).can_wait is can_wait
