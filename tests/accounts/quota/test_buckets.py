"""How fast a client may go on."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

from accounts.quota.buckets import Buckets, Rate

RATE = Rate(60, 10.0)  # one in a second, ten at once


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def buckets(clock: Clock) -> Buckets:
    return Buckets(clock=clock)


def passed(buckets: Buckets, client: str = "ada", tries: int = 100, rate: Rate = RATE) -> int:
    return sum(buckets.take(client, rate) == 0 for _ in range(tries))


def test_a_burst_passes_then_the_rate(buckets: Buckets, clock: Clock) -> None:
    assert passed(buckets) == 10
    assert buckets.take("ada", RATE) == pytest.approx(1.0)
    clock.now += 3.5
    assert passed(buckets) == 3
    assert buckets.take("ada", RATE) == pytest.approx(0.5)
    clock.now += 1000
    assert passed(buckets) == 10


def test_who_waits_as_long_as_told_passes(buckets: Buckets, clock: Clock) -> None:
    passed(buckets)
    clock.now += buckets.take("ada", RATE)
    assert buckets.take("ada", RATE) == 0


def test_clients_do_not_slow_each_other(buckets: Buckets) -> None:
    assert (passed(buckets, "ada"), passed(buckets, "eve")) == (10, 10)


def test_what_costs_more_counts_more(buckets: Buckets, clock: Clock) -> None:
    buckets.charge("ada", RATE, 7)
    assert passed(buckets) == 3
    # Debts end: nobody is locked out by one request.
    buckets.charge("ada", RATE, 10_000)
    assert buckets.take("ada", RATE) == pytest.approx(11.0)
    clock.now += 11
    assert buckets.take("ada", RATE) == 0


def test_without_a_burst_one_at_a_time_passes(buckets: Buckets, clock: Clock) -> None:
    rate = Rate(60, 0.0)
    assert passed(buckets, rate=rate) == 1
    clock.now += 1.0
    assert passed(buckets, rate=rate) == 1


def test_a_clock_that_begins_anew_locks_nobody_out(buckets: Buckets, clock: Clock) -> None:
    passed(buckets)
    clock.now = 5.0
    assert passed(buckets) == 10


def _take_some(path: Path, count: int) -> None:
    os._exit(passed(Buckets(path), tries=count, rate=Rate(1, 600.0)))


def test_processes_share_what_there_is(tmp_path: Path) -> None:
    path = tmp_path / "data" / "rates"
    slow = Rate(1, 600.0)  # ten at once, and nothing more while this runs
    assert passed(Buckets(path), tries=4, rate=slow) == 4
    process = multiprocessing.get_context("fork").Process(target=_take_some, args=(path, 3))
    process.start()
    process.join(60)
    assert process.exitcode == 3
    assert passed(Buckets(path), rate=slow) == 3
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["rates"]


def test_a_file_of_another_size_is_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "rates"
    path.write_bytes(b"old")
    assert passed(Buckets(path)) == 10
