"""What /availability says when something that jobs need is not there: real Redis, database and folders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, update

from config.health import job_checks, service_checks
from surveys.index.catalog import Catalog
from tests.support.databases import sqlite
from tests.support.redis import OwnRedis, own_redis
from uws.bell import Bell
from uws.job import LANES
from uws.results import ResultStore
from uws.store.queues import QueueStore
from uws.store.upkeep import Upkeep
from uws.tables import WorkerRow
from vosi.availability import Availability, Monitor

ALIVE_S = 30.0
WELL = ("accepting requests",)


class House:
    """All that jobs need, where it can be hurt."""

    def __init__(self, folder: Path, engine: Engine, redis: OwnRedis) -> None:
        self.folder = folder
        self.engine = engine
        self.redis = redis
        self.upkeep = Upkeep(engine)
        self.bell = Bell(redis.url)
        self.upkeep.beat("worker", "here", 1, LANES)

    def look(self, reserve_bytes: int = 0) -> Availability:
        """Look anew."""
        results = ResultStore(
            str(self.folder / "results"), self.folder / "spool", reserve_bytes=reserve_bytes
        )
        checks = [
            *service_checks(self.engine, Catalog(self.engine, ()), ()),
            *job_checks(self.upkeep, results, self.bell, ALIVE_S),
        ]
        return Monitor(checks, 0).look()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with sqlite(tmp_path) as engine, own_redis() as redis:
        made = House(tmp_path, engine, redis)
        yield made
        made.bell.close()


def test_vosi_05_all_is_well(house: House) -> None:
    found = house.look()
    assert (found.available, found.notes) == (True, WELL)
    assert found.parts == dict.fromkeys(
        ("database", "workers of high", "workers of low", "pauses", "results", "Redis"), True
    )


def test_vosi_05_a_queue_without_workers(house: House) -> None:
    house.upkeep.leave("worker")
    house.upkeep.beat("other", "there", 2, ("high",))
    found = house.look()
    assert not found.available
    assert found.notes == ("no worker serves the queue low: its jobs wait; /sync goes on",)
    house.upkeep.beat("third", "there", 3, ("low",))
    assert house.look().available


def test_vosi_05_a_queue_that_is_paused_is_told_and_no_fault(house: House) -> None:
    queues = QueueStore(house.engine, ALIVE_S)
    queues.pause("low", "local:admin", "disks are moved")
    found = house.look()
    assert found.available
    assert found.notes == (*WELL, "the queue low is paused (disks are moved): jobs wait")
    assert not found.parts["pauses"]
    queues.resume("low")
    assert house.look().notes == WELL


def test_vosi_05_a_worker_not_heard_of(house: House) -> None:
    with house.engine.execution_options(writes=True).begin() as connection:
        connection.execute(update(WorkerRow).values(seen_ms=WorkerRow.seen_ms - 2 * ALIVE_S * 1000))
    found = house.look()
    assert not found.available
    assert len(found.notes) == 2
    house.upkeep.beat("worker", "here", 1, LANES)
    assert house.look().available


def test_vosi_05_redis_is_missed_but_not_needed(house: House) -> None:
    house.redis.kill()
    found = house.look()
    assert found.available
    silent = "the queue (Redis) does not answer: jobs begin some seconds later"
    assert found.notes == (*WELL, f"{silent}; /sync goes on, but for large cutouts")
    assert not found.parts["Redis"]


@pytest.mark.faults
def test_vosi_05_redis_that_hangs_keeps_nobody(house: House) -> None:
    house.redis.freeze()
    found = house.look()
    assert found.available
    assert not found.parts["Redis"]


def test_vosi_05_results_that_cannot_be_stored(house: House) -> None:
    assert house.look().available
    for name in ("results", "spool"):
        folder = house.folder / name
        if folder.exists():
            folder.rename(house.folder / f"{name}.away")
        folder.write_text("no folder")
    found = house.look()
    assert not found.available
    assert found.notes == ("results cannot be stored",)


def test_vosi_05_no_room_for_results(house: House) -> None:
    found = house.look(reserve_bytes=1 << 60)
    assert not found.available
    assert found.notes == (
        "results have too little room: no job is taken; /sync goes on, but for large cutouts",
    )


def test_vosi_05_a_database_that_is_gone_is_said_once(house: House) -> None:
    house.engine.dispose()
    for file in house.folder.glob("fountain.db*"):
        file.unlink()
    (house.folder / "fountain.db").mkdir()
    found = house.look()
    assert not found.available
    assert found.notes == ("the database does not answer",)
