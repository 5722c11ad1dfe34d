"""What workers count reaches the database, once."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.support.databases import sqlite
from uws.job import Retry, Row, RowReport, RowStatus, Settlement, Stored
from uws.store.upkeep import Upkeep
from uws.tally import Counted, Tally


def stored(size: int) -> Stored:
    return Stored("r", "r.fits", "application/fits", 0, size, 0, "")


def test_a_settled_task_is_counted(tmp_path: Path) -> None:
    tally = Tally()
    tally.settled(
        Settlement(
            (
                RowReport(0, "a", RowStatus.DONE, files=(stored(10), stored(20))),
                RowReport(1, "b", RowStatus.DONE, files=(stored(3),)),
                RowReport(2, "c", RowStatus.EMPTY, "nothing"),
            ),
            (Retry((Row(3, "d"),)),),
        )
    )
    tally.add(Counted.CHILD_DEATHS, "SIGKILL")
    with sqlite(tmp_path) as engine:
        upkeep = Upkeep(engine)
        tally.store(upkeep.count)
        tally.store(upkeep.count)  # nothing new
        assert upkeep.counted() == {
            ("bytes", ""): 33,
            ("child_deaths", "SIGKILL"): 1,
            ("files", ""): 3,
            ("retries", ""): 1,
            ("rows", "done"): 2,
            ("rows", "empty"): 1,
            ("tasks", ""): 1,
        }


def test_many_workers_at_once_lose_nothing(engine: Engine) -> None:
    upkeep = Upkeep(engine)

    def work(_: int) -> None:
        tally = Tally()
        for _ in range(5):
            tally.add(Counted.ROWS, "done", 2)
            tally.add(Counted.TASKS)
            tally.store(upkeep.count)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert upkeep.counted() == {("rows", "done"): 80, ("tasks", ""): 40}


def test_what_could_not_be_stored_is_kept() -> None:
    tally = Tally()
    tally.add(Counted.TASKS)

    def fail(counts: Mapping[tuple[str, str], int]) -> None:
        tally.add(Counted.TASKS)  # counted by another thread meanwhile
        raise OSError("the database is away")

    with pytest.raises(OSError, match="away"):
        tally.store(fail)
    seen: list[Mapping[tuple[str, str], int]] = []
    tally.store(seen.append)
    assert seen == [{("tasks", ""): 2}]
