"""Workers that are told what to do through the database, and tell of themselves there."""

from __future__ import annotations

import os

import pytest
from sqlalchemy import select

from tests.support.shop import Shop, both
from tests.support.toy import times
from uws.job import Counts
from uws.phase import Phase
from uws.store.queues import QueueStore, WorkerState
from uws.tables import TaskRow, WorkerRow

pytestmark = pytest.mark.faults


def only_worker(shop: Shop) -> WorkerState | None:
    found = QueueStore(shop.engine, 30.0).workers()
    assert len(found) <= 1
    return found[0] if found else None


def last_beats(shop: Shop) -> list[int]:
    with shop.engine.connect() as connection:
        return list(connection.execute(select(WorkerRow.seen_ms)).scalars())


@both
def test_a_drained_worker_finishes_its_task_and_takes_no_other_until_it_is_resumed(shop: Shop) -> None:
    job_id = shop.submit(ROWS=6, DO="wait", PER_TASK=2)
    queues = QueueStore(shop.engine, 30.0)
    seen: list[str] = []
    left: list[tuple[str]] = []
    beats: set[int] = set()

    def until() -> bool:
        worker = only_worker(shop)
        if worker is None or not times(shop.folder, 0):
            return False
        beats.update(last_beats(shop))
        if not seen:
            assert queues.order(worker.worker_id, "drain")
            assert shop.upkeep.live_workers("high", 60) == 0, "it is not counted on"
            beats.clear()
            seen.append("told")
        elif seen == ["told"] and len(beats) > 3:  # it has heard of it with the one before the last
            (shop.folder / "0.go").touch()
            (shop.folder / "1.go").touch()
            seen.append("released")
        elif seen == ["told", "released"] and shop.job(job_id).counts.ended == 2 and worker.task_id is None:
            left.extend(shop.tasks(TaskRow.state))
            assert queues.order(worker.worker_id, "")
            (shop.folder / "go").touch()
            seen.append("resumed")
        return shop.has_ended(job_id)

    shop.work(until)
    assert seen == ["told", "released", "resumed"]
    assert left == [("done",), ("queued",), ("queued",)]
    assert shop.job(job_id).counts == Counts(6, done=6)
    assert [times(shop.folder, n) for n in range(6)] == [1] * 6, "nothing was done twice"
    shop.check(shop.job(job_id))


def test_a_worker_that_is_told_to_stop_ends_without_a_signal(shop: Shop) -> None:
    job_id = shop.submit(ROWS=4, DO="wait", PER_TASK=4)
    ordered: list[str] = []

    def until() -> bool:
        worker = only_worker(shop)
        if worker is not None and not ordered and times(shop.folder, 0):
            assert QueueStore(shop.engine, 30.0).order(worker.worker_id, "stop")
            ordered.append(worker.worker_id)
        return bool(ordered) and worker is None

    shop.work(until, signals=0)
    assert shop.job(job_id).phase is Phase.EXECUTING
    assert shop.tasks(TaskRow.state, TaskRow.note)[-1] == ("queued", "drained")


def test_a_worker_tells_of_its_memory_and_of_the_task_in_hand(shop: Shop) -> None:
    job_id = shop.submit(DO="wait")
    seen: list[WorkerState] = []

    def until() -> bool:
        worker = only_worker(shop)
        if worker is not None and worker.job_id and not seen:
            seen.append(worker)
            (shop.folder / "go").touch()
        return shop.has_ended(job_id)

    shop.work(until)
    (worker,) = seen
    assert (worker.job_id, worker.pid, worker.lanes) == (job_id, os.getpid(), ("high", "low"))
    assert worker.memory_bytes is not None
    assert worker.memory_bytes > 30_000_000, "of two processes that have numpy and SQLAlchemy"
