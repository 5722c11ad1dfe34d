"""The order of jobs that wait, as it is foreseen, against the one in which they are claimed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.databases import sqlite
from tests.support.stored import all_of, finish, new_job, plan, set_job
from uws.job import LANES
from uws.queue.order import in_order
from uws.store.claims import Claims
from uws.store.jobs import Jobs
from uws.store.queues import QueueStore, Waiting

NOW_MS = 1_800_000_000_000


def waiting(name: str, owner: str = "ada", rank: int = 3, share: float = 1.0, total: int = 1) -> Waiting:
    return Waiting(name, owner, rank, share, total, NOW_MS, NOW_MS, NOW_MS)


def names(jobs: list[Waiting]) -> list[str]:
    return [job.job_id for job in jobs]


def test_class_then_who_has_less_then_size() -> None:
    jobs = [
        waiting("nobody", owner="", rank=4),
        waiting("ada-large", total=9),
        waiting("ada-small"),
        waiting("bob-large", owner="bob", total=500),
        waiting("cid", owner="cid"),
        waiting("first", owner="system", rank=0, total=100),
    ]
    found = names(in_order(jobs, {"cid": 1}, NOW_MS))
    assert found == ["first", "ada-small", "bob-large", "cid", "ada-large", "nobody"]


def test_a_larger_share_has_more_of_the_first_places() -> None:
    jobs = [
        waiting(f"{owner}{n}", owner, share=share)
        for owner, share in (("a", 3.0), ("b", 1.0))
        for n in range(8)
    ]
    assert [job.owner for job in in_order(jobs, {}, NOW_MS)][:8].count("a") == 6


def test_who_waits_rises_unless_its_owner_is_served() -> None:
    old = waiting("old", rank=4, owner="")._replace(turn_ms=NOW_MS - 190_000)
    young = waiting("young", rank=3, total=0)
    assert names(in_order([young, old], {}, NOW_MS)) == ["old", "young"]
    assert names(in_order([young, old], {"": 1}, NOW_MS)) == ["young", "old"]


@pytest.mark.parametrize("seed", range(5))
def test_jobs_are_claimed_in_this_order(seed: int, tmp_path: Path) -> None:
    """By a new worker each time, which knows as little of the past as the order does."""
    chance = random.Random(seed)
    with sqlite(tmp_path) as engine:
        jobs = Jobs(engine)
        for _ in range(20):
            new = new_job(chance.choice(["ada", "bob", "cid"]), rank=chance.randint(0, 2))
            jobs.create(new, plan(chance.randint(1, 4), per_task=4))
        store = QueueStore(engine, 30.0)
        while (seen := store.look()).lanes["low"].waiting:
            first = in_order(seen.lanes["low"].waiting, seen.busy, seen.now_ms)[0]
            claim = Claims(engine, "me", 30.0).claim(LANES)
            assert claim is not None
            assert claim.job_id == first.job_id
            if chance.random() < 0.5:
                Claims(engine, "me", 30.0).settle(claim, all_of(claim), finish)
            if chance.random() < 0.3 and (rest := store.look().lanes["low"].waiting):
                set_job(engine, rest[-1].job_id, turn_ms=rest[-1].turn_ms - 150_000)
