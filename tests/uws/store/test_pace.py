"""What is learned of speeds, in the database; queues, and what jobs are told when they are made."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import Engine, func, select, update

from tests.support.stored import (
    all_of,
    finish,
    job_of,
    new_job,
    plan,
    run_job,
    set_job,
    set_task,
    take,
)
from tests.support.toy import toy_settings
from uws.forecast import Queue, Workload
from uws.job import LANES
from uws.pace import JOB, Expected, bin_of, job_key, told
from uws.planning import look_ahead
from uws.store import pace
from uws.store.claims import Claims
from uws.store.jobs import Jobs
from uws.store.pace import Paces
from uws.store.upkeep import Upkeep
from uws.tables import JobRow, PaceRow


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
    assert known["a"].weights == pytest.approx({bin_of(1.0): 1.0, bin_of(4.0): 2.0}, rel=0.05)


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
    paces.count({key: [1.0] * 100 + [8.0] * 30 for key in ("task", job_key("toy", 1.0), JOB)})
    known = paces.known()
    assert known["task"].quantile(0.5) < 2.0
    assert known[job_key("toy", 1.0)].quantile(0.5) > known["task"].quantile(0.5)


def test_what_goes_before_a_job(paces: Paces, jobs: Jobs, engine: Engine) -> None:
    assert paces.queue("low", 5, 3, 30.0) == Queue(0, 0.0, 3, 0)
    for number in range(2):
        Upkeep(engine).beat(f"w{number}", "host", number, LANES)
    Upkeep(engine).beat("w2", "host", 2, ("high",))
    for rows in (2, 4, 9):
        set_job(engine, run_job(jobs, rows=rows), seconds=10.0)
    set_job(engine, run_job(jobs, rows=1, lane="high"), seconds=6.0)
    # Smaller jobs go first. A task in the other lane leaves somebody free.
    # Of six tasks, five are done before one of two workers is free.
    assert paces.queue("low", 5, 9, 30.0) == Queue(2, 20.0 / 2 * 5 / 6, 2, 2)
    assert paces.queue("low", 20, 9, 30.0).jobs == 3
    assert paces.queue("high", 1, 9, 30.0) == Queue(1, 0.0, 3, 3)
    set_job(engine, run_job(jobs, rows=4, lane="high"), seconds=8.0)
    assert paces.queue("low", 5, 9, 30.0).urgent_s == 14.0 / 3 * 3 / 5
    claims = Claims(engine, "w0", 30.0)
    for _ in range(3):
        assert claims.claim(LANES) is not None
    # Each task in hand is somewhere in its two seconds, which is the most; or in what it takes.
    assert paces.queue("high", 0, 9, 30.0) == Queue(0, pytest.approx(1.0 / 3), 3, 3)
    with engine.execution_options(writes=True).begin() as connection:
        connection.execute(update(JobRow).values(seconds=0.1 * JobRow.total))
    assert paces.queue("high", 0, 9, 30.0).wait_s == pytest.approx(0.05 / 3)


def test_a_job_that_was_split_is_told_anew(paces: Paces, jobs: Jobs, engine: Engine) -> None:
    job_id = run_job(jobs, rows=4, per_task=2)
    claims = Claims(engine, "me", 30.0)
    take(claims)
    set_task(engine, common=told("toy/a", 3.0, 2, 500))
    split = paces.tasks(job_id)
    assert (split.job_type, split.lane, split.rows) == ("toy", "low", 4)
    assert [(task.key, task.size) for task in split.tasks] == [("toy/a", 500)] * 2
    # The job itself is not in its own way.
    settings = toy_settings(workers=2)
    outlook = look_ahead(paces, settings, "toy", "low", 4, Workload.of(split.tasks), but=job_id)
    assert (outlook.queue.jobs, outlook.rows, outlook.work.size) == (0, 4, 1000)
    set_job(engine, job_id, queued_ms=JobRow.started_ms - 7000)
    paces.expect(job_id, outlook.written(), outlook.forecast.run.work_s)
    job = job_of(jobs, job_id)
    estimate = job.estimate or {}
    assert estimate["start_s"] == 7.0
    assert estimate["p50_s"] == pytest.approx(7.0 + outlook.forecast.p50_s, abs=2.0)
    assert job.seconds == outlook.forecast.run.work_s
    left_s = ((job.quote_ms or 0) - jobs.now_ms()) / 1000
    assert left_s == pytest.approx(outlook.forecast.p90_s, abs=2.0)


def test_what_a_job_took_is_told_when_it_is_done(paces: Paces, jobs: Jobs, engine: Engine) -> None:
    work = Workload.of([Expected("toy/a", 2.0)], Expected("toy/split", 0.5))
    estimate = {"p90_s": 2.0, "wait_s": 1.0, "delay_s": 0.5, "workers": 2, "work": work.to_json()}
    job_id = jobs.create(new_job(), replace(plan(1), estimate=estimate)).job_id
    claims = Claims(engine, "me", 30.0)
    claim = take(claims)
    assert paces.job(job_id) is None
    claims.settle(claim, all_of(claim), finish)
    set_job(engine, job_id, queued_ms=1000, started_ms=3000, ended_ms=7500)
    assert paces.job(job_id) == pace.Ran(2.0, 4.5, 1.0, 0.5, 2, work)
    assert paces.job(run_job(jobs)) is None
