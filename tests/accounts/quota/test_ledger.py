"""The ledger: what is reserved, used and given back, with jobs as they are in the database."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, select, update

from accounts.audit import Audit
from accounts.quota.kinds import Kind
from accounts.quota.limits import Override
from accounts.quota.standing import Standing
from accounts.tables import ExecutionRow, ReservationRow, UseRow
from config.quotas import QuotaParts
from dali.caller import ANONYMOUS, Caller
from dali.errors import QuotaExceeded
from tests.accounts.quota.conftest import MakeQuotas
from tests.support.stored import finish, new_job, plan, set_job, take
from uws import pace
from uws.job import LANES, Claim, Row, RowReport, RowStatus, Settlement, Stored
from uws.jobtype import JobPlan
from uws.phase import Phase
from uws.store.claims import Claims
from uws.store.jobs import Jobs
from uws.store.upkeep import Upkeep

ADA = Caller("local:ada")
ADA_SUBJECT = "user:local:ada"
BOSS = Caller("local:boss", is_admin=True)
MATES = frozenset({"mates"})
SIZE = 1000


def run(jobs: Jobs, caller: Caller = ADA, rows: int = 1, size: int = 0, **changes: Any) -> str:
    """Run a job that is expected to give `size` bytes."""
    planned = replace(plan(rows, per_task=10), estimate={"p90_s": 1.0, "bytes": size})
    return jobs.create(new_job(caller.name, **changes), planned, caller).job_id


def done(claim: Claim, seconds: float = 0.5) -> Settlement:
    """Every row has given a file, after so long."""
    return Settlement(
        tuple(
            RowReport(
                row.n,
                row.result_id,
                RowStatus.DONE,
                files=(
                    Stored(
                        row.result_id,
                        "x.fits",
                        "application/fits",
                        0,
                        SIZE,
                        0,
                        "",
                        f"{claim.job_id}/{claim.task_id}.{claim.fence}.zip",
                    ),
                ),
                seconds=seconds,
            )
            for row in claim.rows
        )
    )


def work(engine: Engine, tasks: int = 1, seconds: float = 0.5) -> None:
    """Do what waits."""
    claims = Claims(engine, "me", 30.0)
    for _ in range(tasks):
        claim = take(claims, *LANES)
        claims.settle(claim, done(claim, seconds), finish)


def stand(quotas: QuotaParts, kind: Kind, caller: Caller = ADA, subject: str = "") -> Standing:
    found = [one for one in quotas.ledger.standings(caller) if one.kind is kind]
    return next(one for one in found if subject in ("", one.subject))


def sums(quotas: QuotaParts, kind: Kind, caller: Caller = ADA, subject: str = "") -> tuple[float, float]:
    one = stand(quotas, kind, caller, subject)
    return one.used, one.reserved


def test_a_job_that_is_run_reserves_and_one_that_has_ended_has_used(engine: Engine, make: MakeQuotas) -> None:
    quotas = make(cutouts="user=100")
    jobs = Jobs(engine, quotas)
    pending = jobs.create(new_job(ADA.name)).job_id
    assert sums(quotas, Kind.JOBS) == (0, 0)
    run(jobs, rows=10)
    assert (sums(quotas, Kind.CUTOUTS), sums(quotas, Kind.JOBS)) == ((0, 10), (0, 1))
    assert sums(quotas, Kind.CPU) == (0, 1.0)
    assert jobs.start(pending, plan(5, per_task=5), caller=ADA)
    assert (sums(quotas, Kind.CUTOUTS), sums(quotas, Kind.JOBS)) == ((0, 15), (0, 2))
    work(engine, seconds=0.25)
    assert quotas.ledger.settle_all() == 1
    # The smaller one has gone first.
    assert (sums(quotas, Kind.CUTOUTS), sums(quotas, Kind.JOBS)) == ((5, 10), (0, 1))
    assert sums(quotas, Kind.CPU) == (1.25, 1.0)
    assert sums(quotas, Kind.BYTES) == (5 * SIZE, 0)
    assert quotas.ledger.settle_all() == 0


def test_a_job_over_the_limit_is_not_made(engine: Engine, make: MakeQuotas) -> None:
    quotas = make(cutouts="user=12")
    jobs = Jobs(engine, quotas)
    run(jobs, rows=10)
    with pytest.raises(QuotaExceeded) as refused:
        run(jobs, rows=3)
    assert refused.value.sentence == (
        "your quota of cutouts a day does not suffice: 0 of 12 used, 10 reserved by jobs, 3 needed."
    )
    assert refused.value.fix.startswith("It begins anew at 20")
    assert refused.value.status == 403
    assert len(jobs.refs(ADA.name)) == 1
    assert sums(quotas, Kind.CUTOUTS) == (0, 10)
    run(jobs, rows=2)
    # Others have their own.
    run(jobs, Caller("local:eve"), rows=12)


def test_a_job_that_waits_stays_pending_where_it_may_not_be_run(engine: Engine, make: MakeQuotas) -> None:
    quotas = make(jobs="user=1")
    jobs = Jobs(engine, quotas)
    first, second = (jobs.create(new_job(ADA.name)).job_id for _ in range(2))
    assert jobs.start(first, plan(1), caller=ADA)
    with pytest.raises(QuotaExceeded, match="active jobs"):
        jobs.start(second, plan(1), caller=ADA)
    assert jobs.look([second])[second].phase is Phase.PENDING


@pytest.mark.parametrize("end", ["abort", "destroy", "finish", "overdue"])
def test_however_a_job_ends_it_is_no_longer_active(engine: Engine, make: MakeQuotas, end: str) -> None:
    quotas = make(jobs="user=1")
    jobs = Jobs(engine, quotas)
    job_id = run(jobs, rows=20, execution_duration_s=1)
    if end == "abort":
        work(engine)
        assert jobs.end(job_id, Phase.ABORTED)
    elif end == "destroy":
        assert jobs.destroy(job_id)
    elif end == "finish":
        work(engine, tasks=2)
    else:
        work(engine)
        set_job(engine, job_id, started_ms=0)
        assert Upkeep(engine).overdue()
    assert quotas.settle(ADA)
    made = {"abort": 10, "destroy": 0, "finish": 20, "overdue": 10}[end]
    assert sums(quotas, Kind.JOBS) == (0, 0)
    assert sums(quotas, Kind.CUTOUTS) == (made, 0)
    run(jobs)


def test_bytes_are_held_until_the_results_are_gone(engine: Engine, make: MakeQuotas) -> None:
    quotas = make(bytes=f"user={4 * SIZE}")
    jobs = Jobs(engine, quotas)
    job_id = run(jobs, rows=4)
    work(engine)
    quotas.settle(ADA)
    assert sums(quotas, Kind.BYTES) == (4 * SIZE, 0)
    with pytest.raises(QuotaExceeded, match="bytes of results kept") as refused:
        run(jobs, size=1)
    assert "Delete jobs" in refused.value.fix
    assert quotas.ledger.release_all() == 0
    assert jobs.destroy(job_id)
    assert quotas.ledger.release_all() == 1
    assert sums(quotas, Kind.BYTES) == (0, 0)
    assert quotas.ledger.release_all() == 0


def test_a_job_nobody_knows_any_more_gives_everything_back(engine: Engine, make: MakeQuotas) -> None:
    quotas = make()
    jobs = Jobs(engine, quotas)
    job_id = run(jobs, rows=3)
    jobs.destroy(job_id)
    Upkeep(engine).forget(job_id)
    assert quotas.settle(ADA)
    assert {sums(quotas, kind) for kind in (Kind.CUTOUTS, Kind.CPU, Kind.BYTES, Kind.JOBS)} == {(0, 0)}


def test_a_group_has_one_quota_for_all_its_members(engine: Engine, make: MakeQuotas) -> None:
    quotas = make(cutouts="user=10,group:mates=12")
    jobs = Jobs(engine, quotas)
    ada, eve = replace(ADA, groups=MATES), Caller("local:eve", groups=MATES | {"others"})
    run(jobs, ada, rows=8)
    with pytest.raises(QuotaExceeded, match=r"the group mates's quota .* 0 of 12 used, 8 reserved"):
        run(jobs, eve, rows=5)
    assert sums(quotas, Kind.CUTOUTS, eve, "user:local:eve") == (0, 0)
    run(jobs, eve, rows=4)
    work(engine, tasks=2)
    assert quotas.ledger.settle_all() == 4
    assert sums(quotas, Kind.CUTOUTS, ada, "group:mates") == (12, 0)
    assert [one.subject for one in quotas.ledger.standings(eve)] == ["user:local:eve"] * 4 + ["group:mates"]


def test_those_nobody_knows_share_one(engine: Engine, make: MakeQuotas) -> None:
    quotas = make(jobs="anonymous=1")
    jobs = Jobs(engine, quotas)
    run(jobs, ANONYMOUS)
    with pytest.raises(QuotaExceeded, match="the public's quota of active jobs"):
        run(jobs, Caller())


def test_what_ended_jobs_hold_is_found_when_it_is_needed(engine: Engine, make: MakeQuotas) -> None:
    from uws.quota import within

    quotas = make(jobs="user=1")
    jobs = Jobs(engine, quotas)
    run(jobs)
    with pytest.raises(QuotaExceeded):
        within(quotas, ADA, lambda: run(jobs))
    work(engine)
    assert within(quotas, ADA, lambda: run(jobs))


def test_of_fifty_at_the_limit_the_allowed_number_is_let_through(engine: Engine, make: MakeQuotas) -> None:
    """Each in a thread with connections of its own, some for a group, and others ending meanwhile."""
    quotas = make(cutouts="user=1000,group:mates=21", jobs="user=7")
    jobs = Jobs(engine, quotas)
    callers = [replace(ADA, groups=MATES), Caller("local:eve", groups=MATES)]
    start = threading.Barrier(50)

    def submit(number: int) -> bool:
        start.wait(60)
        try:
            run(jobs, callers[number % 2], rows=2)
        except QuotaExceeded:
            return False
        return True

    with ThreadPoolExecutor(50) as pool:
        passed = sum(pool.map(submit, range(50)))
    # 21 cutouts are ten jobs of two; no user has more than seven jobs.
    assert passed == 10
    assert sums(quotas, Kind.CUTOUTS, callers[0], "group:mates") == (0, 20)
    assert sum(len(jobs.refs(caller.name)) for caller in callers) == 10
    work(engine, tasks=10)
    with ThreadPoolExecutor(8) as pool:
        settled = sum(pool.map(lambda _: quotas.ledger.settle_all(), range(8)))
    assert settled == 20  # each once for its owner and once for the group
    assert sums(quotas, Kind.CUTOUTS, callers[0], "group:mates") == (20, 0)
    with engine.connect() as connection:
        made = connection.execute(select(ExecutionRow.cutouts)).scalars().all()
    assert made == [2] * 10


def test_who_reserves_and_who_settles_do_not_wait_for_each_other(engine: Engine, make: MakeQuotas) -> None:
    quotas = make(cutouts="user=0,group:mates=100000")
    jobs = Jobs(engine, quotas)
    callers = [Caller(f"local:{name}", groups=MATES) for name in "abcd"]

    def submit(caller: Caller) -> None:
        for _ in range(10):
            jobs.end(run(jobs, caller, rows=2), Phase.ABORTED)
            quotas.settle(caller)

    with ThreadPoolExecutor(6) as pool:
        running = [pool.submit(submit, caller) for caller in callers]
        running += [pool.submit(lambda: [quotas.ledger.settle_all() for _ in range(20)]) for _ in range(2)]
        for one in running:
            one.result(100)
    quotas.ledger.settle_all()
    assert sums(quotas, Kind.CUTOUTS, callers[0], "group:mates") == (0, 0)
    with engine.connect() as connection:
        assert connection.execute(select(ReservationRow.job_id)).all() == []


def test_what_becomes_known_later_is_reserved_later(engine: Engine, make: MakeQuotas) -> None:
    """A list that a worker fetches says how many rows it has when it is split."""
    quotas = make(cutouts="user=10")
    jobs = Jobs(engine, quotas)
    split = JobPlan((), "low", 1.0, {"list": 1}, None, packaged=True)
    job_id = jobs.create(new_job(ADA.name), split, ADA).job_id
    assert sums(quotas, Kind.CUTOUTS) == (0, 0)
    set_job(engine, job_id, total=30, phase="EXECUTING", bytes_out=500)
    quotas.ledger.settle_all()
    assert (sums(quotas, Kind.CUTOUTS), sums(quotas, Kind.BYTES)) == ((0, 30), (0, 500))
    with pytest.raises(QuotaExceeded):
        run(jobs)
    jobs.end(job_id, Phase.ABORTED)
    quotas.settle(ADA)
    assert sums(quotas, Kind.CUTOUTS) == (0, 0)


def test_a_job_that_is_tried_again_needs_what_is_missing(engine: Engine, make: MakeQuotas) -> None:
    quotas = make(cutouts="user=25")
    jobs = Jobs(engine, quotas)
    parent = run(jobs, rows=20)
    work(engine)
    jobs.end(parent, Phase.ABORTED)
    quotas.settle(ADA)
    assert jobs.retry(parent, "child1", 600, 600, ADA) is not None
    assert sums(quotas, Kind.CUTOUTS) == (10, 10)
    quotas.ledger.settle_all()
    assert sums(quotas, Kind.CUTOUTS) == (10, 10)
    work(engine)
    quotas.settle(ADA)
    assert sums(quotas, Kind.CUTOUTS) == (20, 0)
    with pytest.raises(QuotaExceeded):
        run(jobs, rows=6)
    # Nothing is missing of this one: nothing is reserved.
    assert jobs.retry("child1", "child2", 600, 600, ADA) is None
    assert sums(quotas, Kind.JOBS) == (0, 0)


def test_a_hidden_job_is_one_of_nobody(engine: Engine, make: MakeQuotas) -> None:
    quotas = make(jobs="user=1")
    jobs = Jobs(engine, quotas)
    for _ in range(2):
        run(jobs, hidden=True)
    assert (sums(quotas, Kind.JOBS), sums(quotas, Kind.CUTOUTS)) == ((0, 0), (0, 2))
    work(engine, tasks=2)
    quotas.settle(ADA)
    assert (sums(quotas, Kind.BYTES), sums(quotas, Kind.CUTOUTS)) == ((0, 0), (2, 0))
    with engine.connect() as connection:
        assert set(connection.execute(select(ExecutionRow.how, ExecutionRow.job_id)).all()) == {("sync", "")}


def test_a_job_may_have_so_many_rows(engine: Engine, make: MakeQuotas) -> None:
    quotas = make(rows="user=5,group:mates=20,group:more=10")
    jobs = Jobs(engine, quotas)
    with pytest.raises(QuotaExceeded, match="asks for 6 cutouts; one job of yours has at most 5"):
        run(jobs, rows=6)
    run(jobs, replace(ADA, groups=MATES | {"more"}), rows=20)
    quotas.limits.decide(Override(ADA_SUBJECT, Kind.ROWS, 3), BOSS)
    with pytest.raises(QuotaExceeded, match="at most 3"):
        run(jobs, replace(ADA, groups=MATES), rows=4)


def test_a_limit_is_decided_otherwise_for_a_while(engine: Engine, make: MakeQuotas) -> None:
    quotas = make(jobs="user=1,priority=2")
    jobs = Jobs(engine, quotas)
    run(jobs)
    soon = jobs.now_ms() + 600_000
    quotas.limits.decide(Override(ADA_SUBJECT, Kind.JOBS, 2, soon, "a deadline"), BOSS)
    assert quotas.limits.decided() == [Override(ADA_SUBJECT, Kind.JOBS, 2, soon, "a deadline", "local:boss")]
    run(jobs)
    quotas.limits.decide(Override(ADA_SUBJECT, Kind.JOBS, 9, jobs.now_ms() - 1), BOSS)
    with pytest.raises(QuotaExceeded, match="0 of 1 used"):
        run(jobs)
    assert quotas.limits.withdraw(ADA_SUBJECT, Kind.JOBS, BOSS)
    assert not quotas.limits.withdraw(ADA_SUBJECT, Kind.JOBS, BOSS)
    assert stand(quotas, Kind.JOBS, replace(ADA, tier="priority")).limit == 2
    assert stand(quotas, Kind.JOBS, replace(ADA, tier="internal")).limit == 1
    quotas.limits.decide(Override("role:priority", Kind.JOBS, 0), BOSS)
    assert stand(quotas, Kind.JOBS, replace(ADA, tier="priority")).limit == 0
    told = [(entry.account, entry.act, entry.object, entry.reason) for entry in Audit(engine).read(9)]
    assert sorted(told) == [
        (BOSS.name, "quota set", "role:priority", ""),
        (BOSS.name, "quota set", ADA_SUBJECT, ""),
        (BOSS.name, "quota set", ADA_SUBJECT, "a deadline"),
        (BOSS.name, "quota unset", ADA_SUBJECT, ""),
    ]
    with pytest.raises(ValueError, match="is not CLASS"):
        quotas.limits.decide(Override("ada", Kind.JOBS, 2), BOSS)


def test_what_tasks_have_done_is_recorded_once(engine: Engine, make: MakeQuotas) -> None:
    quotas = make(cutouts="group:mates=100")
    jobs = Jobs(engine, quotas)
    job_id = run(jobs, replace(ADA, groups=MATES), rows=15, actor="local:robot")
    work(engine, tasks=2, seconds=0.25)
    set_job(engine, job_id, queued_ms=1000, started_ms=3500)
    quotas.ledger.settle_all()
    with engine.connect() as connection:
        rows = connection.execute(select(*ExecutionRow.__table__.columns)).mappings().all()
    assert sorted(row["cutouts"] for row in rows) == [5, 10]
    assert {(row["account"], row["actor"], row["how"], row["job_id"]) for row in rows} == {
        (ADA.name, "local:robot", "async", job_id)
    }
    totals = {name: sum(row[name] for row in rows) for name in ("images", "bytes", "seconds", "wait_s")}
    assert totals == {"images": 15, "bytes": 15 * SIZE, "seconds": 3.75, "wait_s": 2.5}


def test_a_record_says_of_what_survey_and_of_how_many_images(engine: Engine, make: MakeQuotas) -> None:
    quotas = make()
    jobs, claims = Jobs(engine, quotas), Claims(engine, "me", 30.0)
    payload = pace.told("soda/fits/one/s/tiny", 1.0, 1, SIZE)
    planned = JobPlan([[Row(n, f"r{n}", payload) for n in range(3)]], "low", 1.0)
    jobs.create(new_job(ADA.name), planned, ADA)
    claim = take(claims, *LANES)
    made = done(claim).reports
    names = ("tiny/g/a tiny/g/b", "tiny/g/a", "")
    reports = [
        replace(report, facts={"source_datasets": name} if name else {})
        for report, name in zip(made, names, strict=True)
    ]
    reports[0] = replace(reports[0], status=RowStatus.FAILED, files=(), message="Error: so")
    claims.settle(claim, Settlement(tuple(reports)), finish)
    quotas.ledger.settle_all()
    with engine.connect() as connection:
        (record,) = connection.execute(select(*ExecutionRow.__table__.columns)).mappings()
    told = {name: record[name] for name in ("survey", "cutouts", "failed", "images", "bytes")}
    assert told == {"survey": "tiny", "cutouts": 2, "failed": 1, "images": 2, "bytes": 2 * SIZE}


def test_days_that_are_over_are_forgotten(engine: Engine, make: MakeQuotas) -> None:
    quotas = make()
    jobs = Jobs(engine, quotas)
    run(jobs)
    with engine.execution_options(writes=True).begin() as connection:
        connection.execute(update(UseRow).where(UseRow.kind == "cutouts").values(window="2020-01-01"))
    assert sums(quotas, Kind.CUTOUTS) == (0, 0)  # a new day
    quotas.ledger.forget_days()
    with engine.connect() as connection:
        kinds = set(connection.execute(select(UseRow.kind)).scalars())
    assert kinds == {"cpu_s", "bytes", "jobs"}
