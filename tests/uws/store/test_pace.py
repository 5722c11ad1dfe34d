"""What is learned of speeds, in the database; queues, and what jobs are told when they are made."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, func, select

from tests.support.stored import run_job, set_job
from uws.job import LANES
from uws.pace import JOB, bin_of, job_key
from uws.store import pace
from uws.store.claims import Claims
from uws.store.jobs import Jobs
from uws.store.pace import Paces
from uws.store.upkeep import Upkeep
from uws.tables import PaceRow


@pytest.fixture
def paces(engine: Engine) -> Paces:
    return Paces(engine, kept_s=0.0)


def test_what_is_counted_is_known(paces: Paces) -> None:
    assert paces.known() == {}
    paces.count({"a": [1.0, 4.0], "a/b": [4.0]})
    paces.count({"a": [4.0]})
    known = paces.known()
    assert known.keys() == {"a", "a/b"}
    assert known["a"].runs == 3
    assert known["a"].weights == pytest.approx({bin_of(1.0): 1.0, bin_of(4.0): 2.0}, rel=0.02)


def test_what_was_read_is_used_again_for_a_while(engine: Engine) -> None:
    paces = Paces(engine, kept_s=60.0)
    assert paces.known() == {}
    paces.count({"a": [1.0]})
    assert paces.known() == {}


def test_workers_count_at_the_same_time(paces: Paces) -> None:
    seen = {key: [2.0] for key in ("a", "a/b", "c")}
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(paces.count, [seen] * 20))
    assert {key: histogram.runs for key, histogram in paces.known().items()} == dict.fromkeys(seen, 20)


def test_the_table_stays_small(paces: Paces, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "MOST_KEYS", 5)
    for start in range(0, 12, 4):
        paces.count({f"k{number}": [1.0] for number in range(start, start + 4)})
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(PaceRow)).scalar_one() == 5
    assert {"k8", "k9", "k10", "k11"} <= paces.known().keys()


def test_jobs_are_learned_faster_than_tasks(paces: Paces) -> None:
    paces.count({key: [1.0] * 100 + [8.0] * 50 for key in ("task", job_key("toy", 1.0), JOB)})
    known = paces.known()
    assert known["task"].quantile(0.5) < 2.0
    assert known[job_key("toy", 1.0)].quantile(0.5) > known["task"].quantile(0.5)


def test_what_goes_before_a_job(paces: Paces, jobs: Jobs, engine: Engine) -> None:
    assert paces.queue("low", 5, 3, 30.0) == pace.Queue(0, 0.0, 3, 0)
    for number in range(2):
        Upkeep(engine).beat(f"w{number}", "host", number, LANES)
    Upkeep(engine).beat("w2", "host", 2, ("high",))
    for rows in (2, 4, 9):
        set_job(engine, run_job(jobs, rows=rows), seconds=10.0)
    set_job(engine, run_job(jobs, rows=1, lane="high"), seconds=6.0)
    # Smaller jobs go first, and whatever is in the other lane.
    assert paces.queue("low", 5, 9, 30.0) == pace.Queue(2, 20.0 / 2, 2, 2, urgent_s=6.0 / 3)
    assert paces.queue("low", 20, 9, 30.0).jobs == 3
    assert paces.queue("high", 1, 9, 30.0) == pace.Queue(1, 2.0, 3, 3)
    claims = Claims(engine, "w0", 30.0)
    for _ in range(3):
        assert claims.claim(LANES) is not None
    assert paces.queue("high", 1, 9, 30.0).wait_s > 2.0
