"""Workers split jobs in their child, which may fail, crash, or be told to stop at that."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from tests.support.shop import SETTINGS, Shop, both
from tests.support.toy_list import splits
from uws.job import Counts, Job
from uws.phase import Phase
from uws.runner import Child
from uws.store.ledger import Ledger
from uws.tables import TaskRow


def run(shop: Shop, **parameters: object) -> Job:
    return shop.run(kind="list", **parameters)


@both
def test_a_list_is_split_and_done(shop: Shop) -> None:
    job = run(shop, ROWS=30, PER_TASK=4, DO="ok,refused,fail,crash_once,outside", BYTES=100)
    assert (job.phase, job.counts) == (Phase.COMPLETED, Counts(30, done=12, empty=6, failed=12))
    rows = Ledger(shop.engine).page(job.job_id)
    assert [(row.row, row.label) for row in rows] == [(n, f"t{n}") for n in range(30)]
    assert [row.verdict for row in rows[:5]] == ["ok", "refused", "failed", "ok", "no_overlap"]
    assert all(row.facts["n"] == row.row for row in rows)
    assert rows[0].seconds > 0
    assert not list((shop.folder / "results").rglob("*.work"))
    shop.check(job)


def test_rows_that_crash_are_told_by_their_names(shop: Shop) -> None:
    job = run(shop, ROWS=2, DO="ok,crash")
    poison = Ledger(shop.engine).page(job.job_id)[1]
    assert (poison.label, poison.verdict, poison.facts) == ("t1", "poison", {"n": 1})
    assert poison.attempts > 0


@pytest.mark.parametrize(
    ("word", "times", "message"),
    [
        ("crash", 2, "Error: the splitting of the job made the program crash twice (SIGKILL)"),
        ("unavailable", 3, "ServiceUnavailable: the images are elsewhere."),
        ("usage", 1, "UsageError: line 3 is no target."),
    ],
)
def test_a_split_that_cannot_be_done_ends_the_job(word: str, times: int, message: str, shop: Shop) -> None:
    job = run(shop, SPLIT=word)
    assert job.phase is Phase.ERROR
    assert job.error is not None
    assert (job.error.message, splits(shop.folder)) == (message, times)
    assert shop.files() == set()


@pytest.mark.parametrize("word", ["crash_once", "flaky"])
def test_a_split_is_tried_again(word: str, shop: Shop) -> None:
    job = run(shop, SPLIT=word, ROWS=3)
    assert (job.phase, job.counts, splits(shop.folder)) == (Phase.COMPLETED, Counts(3, done=3), 2)


def test_a_split_that_takes_too_long_ends_the_job(shop: Shop) -> None:
    shop.settings = replace(SETTINGS, split_limit_s=0.3)
    job = run(shop, SPLIT="wait")
    assert job.error is not None
    assert job.error.message == "Error: the splitting of the job took longer than the limit of 0.3 s"


def test_a_split_may_take_longer_than_a_row(shop: Shop) -> None:
    shop.settings = replace(SETTINGS, row_limit_s=0.3)
    job_id = shop.submit(kind="list", SPLIT="wait", ROWS=2)
    began: list[float] = []

    def until() -> bool:
        if splits(shop.folder):
            began.append(time.monotonic())
            if began[-1] - began[0] > 4 * shop.settings.row_limit_s:
                (shop.folder / "go").touch()
        return shop.has_ended(job_id)

    shop.work(until)
    assert shop.job(job_id).counts == Counts(2, done=2)
    assert splits(shop.folder) == 1


@both
def test_f04_a_drained_worker_gives_back_the_split(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has written by then is left, and made anew by the next worker."""
    job_id = shop.submit(kind="list", SPLIT="wait", ROWS=4)
    drain = Child.drain

    def drain_then_release(child: Child) -> None:
        drain(child)
        (shop.folder / "go").touch()

    monkeypatch.setattr(Child, "drain", drain_then_release)
    shop.work(lambda: splits(shop.folder))
    assert shop.tasks(TaskRow.kind, TaskRow.state) == [("split", "done"), ("split", "queued")]
    assert shop.tasks(TaskRow.attempts)[1] == (0,), "it is not held against it"
    assert not list((shop.folder / "results").rglob("*.work"))
    monkeypatch.undo()
    shop.work(lambda: shop.has_ended(job_id))
    assert shop.job(job_id).counts == Counts(4, done=4)
    assert shop.tasks(TaskRow.kind, TaskRow.state) == [
        ("split", "done"),
        ("split", "done"),
        ("heavy", "done"),
    ]


def test_light_rows_have_less_memory(shop: Shop) -> None:
    shop.settings = replace(SETTINGS, memory_bytes=4 << 30, light_memory_bytes=1 << 30)
    light = run(shop, KIND="light", DO="allocate,ok", ROWS=2, PER_TASK=1)
    assert light.counts == Counts(2, done=1, failed=1)
    assert shop.messages(light)[0] == "Error: the row needs more memory than the limit of 1024 MiB"
    heavy = run(shop, KIND="heavy", DO="allocate", ROWS=1)
    assert shop.messages(heavy)[0] == "Error: the row needs more memory than the limit of 4096 MiB"
