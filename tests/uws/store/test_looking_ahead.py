"""What will be destroyed when; and estimates beside what came of them."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from tests.support.stored import all_of, finish, new_job, plan, run_job, set_job, take
from uws.store.calibration import Calibration
from uws.store.claims import Claims
from uws.store.jobs import Jobs
from uws.store.pace import Paces
from uws.store.retention import Amount, Keeping

HOUR_MS = 3_600_000


def test_what_is_destroyed_is_told_by_days(engine: Engine, jobs: Jobs) -> None:
    assert Keeping(engine).look(14, 9).kept == Amount()
    now = jobs.now_ms()
    made = {}
    for hours, size in ((-1, 1), (1, 10), (23, 100), (47, 1000), (24 * 13, 10_000), (24 * 40, 100_000)):
        made[hours] = run_job(jobs, owner="local:ada" if size < 1000 else "")
        set_job(engine, made[hours], destruction_ms=now + hours * HOUR_MS, bytes_out=size)
    gone = run_job(jobs)
    set_job(engine, gone, bytes_out=7)
    jobs.destroy(gone)
    hidden = jobs.create(new_job(hidden=True), plan(1)).job_id
    set_job(engine, hidden, destruction_ms=now + HOUR_MS, bytes_out=5)
    found = Keeping(engine).look(14, 3)
    assert found.kept == Amount(7, 111_116)
    assert found.day == Amount(4, 116)
    assert found.week == Amount(5, 1116)
    assert found.removing == Amount(1, 7)
    assert len(found.days) == 14
    assert found.days[1] == Amount(1, 1000)
    assert found.days[12] == Amount(1, 10_000) or found.days[13] == Amount(1, 10_000)
    assert [job.job_id for job in found.next_jobs] == [made[-1], made[1], made[23]]
    assert [(one.owner, one.jobs, one.bytes) for one in found.owners] == [
        ("", 4, 111_005),
        ("local:ada", 3, 111),
    ]


def test_estimates_are_compared_with_what_came_of_them(engine: Engine, jobs: Jobs, claims: Claims) -> None:
    calibration = Calibration(engine)
    assert calibration.compared(9) == []
    job_id = jobs.create(new_job("local:ada", estimate={"p50_s": 4.0, "p90_s": 9.0}), plan(1)).job_id
    claim = take(claims)
    claims.settle(claim, all_of(claim), finish)
    run_job(jobs)  # of which nothing was expected
    set_job(
        engine, job_id, queued_ms=1000, started_ms=3000, ended_ms=9000, estimate={"p50_s": 4.0, "p90_s": 9.0}
    )
    (found,) = calibration.compared(9)
    assert (found.job_id, found.took_s, found.waited_s, found.p50_s, found.p90_s) == (
        job_id,
        8.0,
        2.0,
        4.0,
        9.0,
    )
    assert found.ratio == pytest.approx(2.0)
    set_job(engine, job_id, estimate={"other": 1})
    assert calibration.compared(9) == []


def test_what_was_learned_is_told(engine: Engine) -> None:
    Paces(engine).count({"soda/fits": [2.0] * 10, "job/toy": [1.0]})
    found = {line.key: line for line in Calibration(engine).paces()}
    assert found["soda/fits"].runs == 10
    assert 2.0 <= found["soda/fits"].middle <= 2.4
    assert found["soda/fits"].middle <= found["soda/fits"].p90
    assert found["job/toy"].weight == pytest.approx(1.0, abs=0.01)
