"""Jobs, claims and upkeep in real databases, of either kind."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from sqlalchemy import Engine, select, update

from tests.support.databases import postgresql, sqlite
from uws.job import (
    LANES,
    Claim,
    Counts,
    Job,
    JobError,
    Lane,
    NewJob,
    Parameter,
    Retry,
    Row,
    RowReport,
    RowStatus,
    Settlement,
    Stored,
)
from uws.jobtype import Ending, JobPlan
from uws.phase import Phase
from uws.store.claims import Claims, Hold, LostClaim
from uws.store.clock import NowMs
from uws.store.jobs import Jobs
from uws.store.upkeep import GAVE_UP, Upkeep
from uws.tables import Base, EventRow, JobRow, ResultRow, TaskRow

HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def pg_engine(pg_server: str) -> Iterator[Engine]:
    with postgresql(pg_server) as made:
        yield made


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    if request.param == "sqlite":
        with sqlite(tmp_path) as made:
            yield made
        return
    # Making a database takes longer than most of these tests.
    emptied: Engine = request.getfixturevalue("pg_engine")
    with emptied.begin() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            connection.execute(table.delete())
    yield emptied


@pytest.fixture
def jobs(engine: Engine) -> Jobs:
    return Jobs(engine)


@pytest.fixture
def upkeep(engine: Engine) -> Upkeep:
    return Upkeep(engine)


@pytest.fixture
def claims(engine: Engine) -> Claims:
    return Claims(engine, "me", 30.0)


def finish(counts: Counts) -> Ending:
    if counts.failed == counts.total:
        return Ending(Phase.ERROR, JobError("Error: every row failed"))
    return Ending()


def plan(rows: int, per_task: int = 1, lane: Lane = "low") -> JobPlan:
    made = [Row(n, f"r{n}", {"n": n}) for n in range(rows)]
    return JobPlan([made[start : start + per_task] for start in range(0, rows, per_task)], lane, 1.0)


def new_job(owner: str = "", **changes: Any) -> NewJob:
    return replace(NewJob(token_hex(16), "toy", owner, "", (), 600, 3600), **changes)


def run_job(jobs: Jobs, rows: int = 1, owner: str = "", lane: Lane = "low", per_task: int = 1) -> str:
    return jobs.create(new_job(owner), plan(rows, per_task, lane)).job_id


def take(claims: Claims, *lanes: Lane) -> Claim:
    claim = claims.claim(lanes or LANES)
    assert claim is not None
    return claim


def all_of(claim: Claim, status: RowStatus = RowStatus.EMPTY) -> Settlement:
    return Settlement(tuple(RowReport(row.n, row.result_id, status, "Error: so") for row in claim.rows))


def job_of(jobs: Jobs, job_id: str) -> Job:
    found = jobs.get(job_id)
    assert found is not None
    return found


def events(engine: Engine, job_id: str) -> list[tuple[int, str, Any]]:
    statement = (
        select(EventRow.seq, EventRow.kind, EventRow.data)
        .where(EventRow.job_id == job_id)
        .order_by(EventRow.seq)
    )
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(statement)]


def states(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.execute(select(TaskRow.state).order_by(TaskRow.task_id)).scalars())


def set_task(engine: Engine, **values: Any) -> None:
    with engine.execution_options(writes=True).begin() as connection:
        connection.execute(update(TaskRow).values(**values))


def set_job(engine: Engine, job_id: str, **values: Any) -> None:
    with engine.execution_options(writes=True).begin() as connection:
        connection.execute(update(JobRow).where(JobRow.job_id == job_id).values(**values))


class TestJobs:
    def test_a_job_is_stored_as_it_came(self, jobs: Jobs) -> None:
        parameters = (Parameter("ID", "a"), Parameter("ID", "b"), Parameter("UPLOAD", "x", by_reference=True))
        fault = JobError("UsageError: no.", "more", transient=True)
        made = jobs.create(new_job("ada", run_id="mine", parameters=parameters, fault=fault, seconds=2.0))
        found = job_of(jobs, made.job_id)
        assert found == made
        assert (found.phase, found.owner, found.run_id) == (Phase.PENDING, "ada", "mine")
        assert found.parameters == parameters
        assert found.fault == fault
        assert found.destruction_ms - found.created_ms == pytest.approx(3_600_000, abs=1000)
        assert found.quote_ms is not None

    def test_run_makes_tasks_in_the_same_step(self, jobs: Jobs, engine: Engine) -> None:
        job_id = run_job(jobs, rows=5, per_task=2)
        job = job_of(jobs, job_id)
        assert (job.phase, job.counts, job.lane) == (Phase.QUEUED, Counts(5), "low")
        assert states(engine) == ["queued"] * 3
        assert not jobs.start(job_id, plan(5))

    def test_a_job_without_rows_is_completed(self, jobs: Jobs) -> None:
        job = jobs.create(new_job(), plan(0))
        assert job.phase is Phase.COMPLETED
        assert job.ended_ms is not None

    def test_an_error_ends_it_at_once(self, jobs: Jobs, claims: Claims) -> None:
        job = jobs.create(new_job(), JobError("UsageError: no."))
        assert (job.phase, job.error) == (Phase.ERROR, JobError("UsageError: no."))
        assert claims.claim(LANES) is None

    def test_terminal_is_terminal(self, jobs: Jobs) -> None:
        job_id = run_job(jobs)
        assert jobs.end(job_id, Phase.ABORTED)
        ended = job_of(jobs, job_id)
        assert not jobs.end(job_id, Phase.ERROR, JobError("Error: no"))
        assert not jobs.start(job_id, plan(1))
        assert not jobs.change_duration(job_id, 5)
        assert not jobs.change_parameters(job_id, (), "", None, None)
        assert job_of(jobs, job_id) == ended

    def test_destroyed_is_gone_at_once(self, jobs: Jobs, claims: Claims) -> None:
        job_id = run_job(jobs)
        assert jobs.destroy(job_id)
        assert not jobs.destroy(job_id)
        assert jobs.get(job_id) is None
        assert jobs.look([job_id]) == {}
        assert claims.claim(LANES) is None


class TestClaims:
    def test_tasks_are_claimed_in_order_and_the_first_starts_the_job(
        self, jobs: Jobs, claims: Claims, engine: Engine
    ) -> None:
        job_id = run_job(jobs, rows=4, per_task=2, owner="ada")
        first, second = take(claims), take(claims)
        assert [row.n for row in first.rows + second.rows] == [0, 1, 2, 3]
        assert first.rows[0] == Row(0, "r0", {"n": 0})
        assert (first.started, second.started) == (True, False)
        assert (first.owner, first.job_type, first.lane) == ("ada", "toy", "low")
        assert (first.fence, first.attempts, first.kills) == (1, 1, 0)
        job = job_of(jobs, job_id)
        assert job.phase is Phase.EXECUTING
        assert job.started_ms is not None
        assert claims.claim(LANES) is None
        assert [kind for _, kind, _ in events(engine, job_id)] == ["phase", "phase"]

    def test_the_first_lane_goes_first_and_others_are_left(self, jobs: Jobs, claims: Claims) -> None:
        low, high = run_job(jobs), run_job(jobs, lane="high")
        assert claims.claim(("high",)).job_id == high  # type: ignore[union-attr]
        assert claims.claim(("high",)) is None
        assert claims.claim(LANES).job_id == low  # type: ignore[union-attr]

    def test_it_is_the_turn_of_those_of_whom_less_runs(self, jobs: Jobs, claims: Claims) -> None:
        for _ in range(3):
            run_job(jobs, rows=2, owner="ada")
        run_job(jobs, rows=9, owner="bob")
        owners = [take(claims).owner for _ in range(6)]
        assert owners[0] == "ada"
        assert sorted(owners[:2]) == sorted(owners[2:4]) == sorted(owners[4:6]) == ["ada", "bob"]

    def test_among_equals_the_small_job_goes_first_then_the_older(self, jobs: Jobs, claims: Claims) -> None:
        large, small = run_job(jobs, rows=3, owner="ada"), run_job(jobs, rows=1, owner="bob")
        assert take(claims).job_id == small
        assert take(claims).job_id == large

    def test_who_has_waited_goes_before_the_better_rank(
        self, jobs: Jobs, claims: Claims, engine: Engine
    ) -> None:
        waiting, better = run_job(jobs, owner="ada"), run_job(jobs, owner="bob")
        set_job(engine, better, rank=-2)
        set_job(engine, waiting, queued_ms=NowMs() - 200_000)
        assert take(claims).job_id == waiting
        assert take(claims).job_id == better

    def test_a_share_is_what_one_is_entitled_to(self, jobs: Jobs, claims: Claims, engine: Engine) -> None:
        ada, bob = run_job(jobs, rows=9, owner="ada"), run_job(jobs, rows=9, owner="bob")
        set_job(engine, ada, share=3.0)
        owners = [take(claims).owner for _ in range(8)]
        assert owners.count("ada") == 6
        assert bob

    def test_f26_a_task_is_claimed_once(self, jobs: Jobs, engine: Engine) -> None:
        run_job(jobs, rows=20)
        start = threading.Barrier(8)

        def claim_all(name: int) -> list[int]:
            claims = Claims(engine, str(name), 30.0)
            start.wait()
            # Somebody else may have taken the last task of every job that was seen.
            return [claim.task_id for _ in range(12) if (claim := claims.claim(LANES)) is not None]

        with ThreadPoolExecutor(8) as pool:
            taken = [task for tasks in pool.map(claim_all, range(8)) for task in tasks]
        assert len(taken) == len(set(taken)) == 20

    def test_one_that_is_put_off_waits(
        self, jobs: Jobs, claims: Claims, upkeep: Upkeep, engine: Engine
    ) -> None:
        run_job(jobs)
        set_task(engine, not_before_ms=NowMs() + HOUR_MS)
        assert claims.claim(LANES) is None
        assert upkeep.claimable("low", 9) == 0
        set_task(engine, not_before_ms=NowMs() - 1)
        assert upkeep.claimable("low", 9) == 1
        assert take(claims)

    def test_what_a_worker_has_of_its_task(self, jobs: Jobs, claims: Claims, engine: Engine) -> None:
        job_id = run_job(jobs)
        claim = take(claims)
        assert claims.look(claim) is claims.renew(claim) is Hold.HELD
        jobs.end(job_id, Phase.ABORTED)
        assert claims.look(claim) is claims.renew(claim) is Hold.ENDED
        claims.drop(claim)
        assert states(engine) == ["dropped"]
        assert claims.look(claim) is claims.renew(claim) is Hold.LOST

    def test_f47_a_job_is_overdue_by_the_clock_of_the_database(
        self, jobs: Jobs, claims: Claims, upkeep: Upkeep, engine: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        job_id = run_job(jobs)
        claim = take(claims)
        monkeypatch.setattr("time.time", lambda: 0.0)
        assert claims.look(claim) is Hold.HELD
        set_job(engine, job_id, started_ms=NowMs() - 601_000)
        assert claims.look(claim) is Hold.OVERDUE
        jobs.change_duration(job_id, 700)
        assert claims.look(claim) is Hold.HELD
        assert upkeep.overdue() == []
        jobs.change_duration(job_id, 600)
        assert upkeep.overdue() == [(job_id, Phase.ABORTED)]
        assert claims.look(claim) is Hold.ENDED
        error = job_of(jobs, job_id).error
        assert error is not None
        assert "longer than its execution duration" in error.message

    def test_without_a_duration_it_is_never_overdue(self, jobs: Jobs, claims: Claims, engine: Engine) -> None:
        job_id = run_job(jobs)
        claim = take(claims)
        jobs.change_duration(job_id, 0)
        set_job(engine, job_id, started_ms=1)
        assert claims.look(claim) is Hold.HELD


class TestSettle:
    def test_the_last_rows_end_the_job(self, jobs: Jobs, claims: Claims, engine: Engine) -> None:
        job_id = run_job(jobs, rows=2)
        first, second = take(claims), take(claims)
        assert claims.settle(second, all_of(second), finish) is Phase.EXECUTING
        assert not claims.is_settled(first)
        assert claims.settle(first, all_of(first, RowStatus.FAILED), finish) is Phase.COMPLETED
        assert claims.is_settled(first)
        job = job_of(jobs, job_id)
        assert (job.phase, job.counts) == (Phase.COMPLETED, Counts(2, empty=1, failed=1))
        assert job.ended_ms is not None
        assert [of.result_id for of in jobs.results(job_id)] == ["r0", "r1"]
        assert job.event_seq == 5
        told = events(engine, job_id)
        assert [seq for seq, _, _ in told] == [1, 2, 3, 4, 5], "numbered without a gap"
        assert told[3][1:] == ("rows", {"ended": 2, "total": 2})

    def test_the_type_decides_how(self, jobs: Jobs, claims: Claims) -> None:
        job_id = run_job(jobs)
        claim = take(claims)
        assert claims.settle(claim, all_of(claim, RowStatus.FAILED), finish) is Phase.ERROR
        assert job_of(jobs, job_id).error == JobError("Error: every row failed")

    def test_files_are_in_the_ledger(self, jobs: Jobs, claims: Claims, upkeep: Upkeep) -> None:
        job_id = run_job(jobs)
        claim = take(claims)
        files = tuple(
            Stored(f"r0-{part}", f"{part}.fits", "application/fits", 64, 10, 7, "abc", f"{job_id}/1.1.zip")
            for part in range(2)
        )
        claims.settle(claim, Settlement((RowReport(0, "r0", RowStatus.DONE, "", files),)), finish)
        first, second = jobs.results(job_id)
        assert (first.result_id, first.part, second.result_id, second.part) == ("r0-0", 0, "r0-1", 1)
        assert (first.container, first.offset, first.size, first.crc32, first.sha256) == (
            f"{job_id}/1.1.zip",
            64,
            10,
            7,
            "abc",
        )
        assert job_of(jobs, job_id).bytes_out == 20
        assert upkeep.containers(job_id) == {f"{job_id}/1.1.zip"}

    def test_rows_to_be_done_again_are_a_task_of_their_own(
        self, jobs: Jobs, claims: Claims, engine: Engine
    ) -> None:
        run_job(jobs, rows=3, per_task=3)
        claim = take(claims)
        reports = (RowReport(1, "r1", RowStatus.EMPTY, "NoOverlap"),)
        retries = (Retry((claim.rows[0],), 2, 1, note="SIGSEGV"), Retry((claim.rows[2],), 0, delay_s=3600))
        assert claims.settle(claim, Settlement(reports, retries), finish) is Phase.EXECUTING
        assert states(engine) == ["done", "queued", "queued"]
        again = take(claims)
        assert again.rows == (claim.rows[0],)
        assert (again.attempts, again.kills, again.fence) == (3, 1, 1)
        assert again.task_id != claim.task_id, "no container of another claim has its name"
        assert claims.claim(LANES) is None

    @pytest.mark.parametrize("how", ["taken back", "claimed again", "aborted", "destroyed", "settled"])
    def test_f06_who_has_lost_the_task_writes_nothing(
        self, how: str, jobs: Jobs, claims: Claims, upkeep: Upkeep, engine: Engine
    ) -> None:
        job_id = run_job(jobs)
        claim = take(claims)
        match how:
            case "taken back" | "claimed again":
                set_task(engine, lease_until_ms=NowMs() - 1)
                assert upkeep.reclaim(3, 0.0, lambda name: finish) == []
                if how == "claimed again":
                    assert take(claims).fence == claim.fence + 1
            case "aborted":
                jobs.end(job_id, Phase.ABORTED)
            case "destroyed":
                jobs.destroy(job_id)
            case "settled":
                claims.settle(claim, all_of(claim), finish)
        before = events(engine, job_id), states(engine), jobs.results(job_id), jobs.get(job_id)
        with pytest.raises(LostClaim):
            claims.settle(claim, all_of(claim, RowStatus.FAILED), finish)
        assert (events(engine, job_id), states(engine), jobs.results(job_id), jobs.get(job_id)) == before
        assert claims.is_settled(claim) == (how == "settled")

    def test_what_cannot_be_written_is_not_written_in_part(
        self, jobs: Jobs, claims: Claims, engine: Engine
    ) -> None:
        run_job(jobs, rows=2, per_task=2)
        claim = take(claims)
        twice = (RowReport(0, "r0", RowStatus.EMPTY, "a"), RowReport(1, "r0", RowStatus.EMPTY, "b"))
        with pytest.raises(Exception, match=r"(?i)unique"):
            claims.settle(claim, Settlement(twice), finish)
        assert claims.look(claim) is Hold.HELD
        assert jobs.results(claim.job_id) == []
        assert claims.settle(claim, all_of(claim), finish) is Phase.COMPLETED

    def test_many_rows_at_once(self, jobs: Jobs, claims: Claims) -> None:
        job_id = run_job(jobs, rows=4500, per_task=4500)
        claim = take(claims)
        assert claims.settle(claim, all_of(claim), finish) is Phase.COMPLETED
        assert len(jobs.results(job_id)) == 4500

    def test_tasks_settled_at_once_lose_no_count(self, jobs: Jobs, claims: Claims, engine: Engine) -> None:
        job_id = run_job(jobs, rows=12)
        held = [take(claims) for _ in range(12)]
        with ThreadPoolExecutor(6) as pool:
            phases = list(pool.map(lambda claim: claims.settle(claim, all_of(claim), finish), held))
        assert phases.count(Phase.COMPLETED) == 1
        job = job_of(jobs, job_id)
        assert job.counts.empty == 12
        assert [seq for seq, _, _ in events(engine, job_id)] == list(range(1, job.event_seq + 1))


class TestUpkeep:
    def test_a_lost_task_is_queued_again_with_a_pause(
        self, jobs: Jobs, claims: Claims, upkeep: Upkeep, engine: Engine
    ) -> None:
        run_job(jobs)
        take(claims)
        assert upkeep.reclaim(3, 60.0, lambda name: finish) == []
        assert states(engine) == ["running"], "its lease has not ended"
        set_task(engine, lease_until_ms=NowMs() - 1)
        upkeep.reclaim(3, 60.0, lambda name: finish)
        assert take(claims).attempts == 2, "the first time there is no pause"
        set_task(engine, lease_until_ms=NowMs() - 1)
        upkeep.reclaim(3, 60.0, lambda name: finish)
        assert states(engine) == ["queued"]
        assert claims.claim(LANES) is None

    def test_one_that_was_lost_too_often_is_given_up(
        self, jobs: Jobs, claims: Claims, upkeep: Upkeep, engine: Engine
    ) -> None:
        job_id = run_job(jobs, rows=2, per_task=2)
        for _ in range(3):
            assert upkeep.reclaim(3, 0.0, lambda name: finish) == []
            take(claims)
            set_task(engine, lease_until_ms=NowMs() - 1)
        assert upkeep.reclaim(3, 0.0, lambda name: finish) == [(job_id, Phase.ERROR)]
        assert [of.message for of in jobs.results(job_id)] == [GAVE_UP.format(attempts=3)] * 2
        assert upkeep.reclaim(3, 0.0, lambda name: finish) == []

    def test_one_of_a_job_that_has_ended_is_dropped(
        self, jobs: Jobs, claims: Claims, upkeep: Upkeep, engine: Engine
    ) -> None:
        job_id = run_job(jobs)
        take(claims)
        jobs.end(job_id, Phase.ABORTED)
        set_task(engine, lease_until_ms=NowMs() - 1, attempts=3)
        assert upkeep.reclaim(3, 0.0, lambda name: finish) == []
        assert states(engine) == ["dropped"]
        assert jobs.results(job_id) == []

    def test_f57_two_at_once_take_a_task_back_once(
        self, jobs: Jobs, claims: Claims, upkeep: Upkeep, engine: Engine
    ) -> None:
        ids = [run_job(jobs) for _ in range(6)]
        for _ in ids:
            take(claims)
        set_task(engine, lease_until_ms=NowMs() - 1, attempts=3)
        start = threading.Barrier(2)

        def reclaim(_: int) -> Sequence[tuple[str, Phase]]:
            start.wait()
            return upkeep.reclaim(3, 0.0, lambda name: finish)

        with ThreadPoolExecutor(2) as pool:
            ended = [job_id for some in pool.map(reclaim, range(2)) for job_id, _ in some]
        assert sorted(ended) == sorted(ids)
        assert all(len(jobs.results(job_id)) == 1 for job_id in ids)

    def test_a_job_is_destroyed_when_its_time_has_come(
        self, jobs: Jobs, upkeep: Upkeep, engine: Engine
    ) -> None:
        due, later = run_job(jobs), run_job(jobs)
        assert upkeep.destroy_due() == []
        set_job(engine, due, destruction_ms=NowMs() - 1)
        assert upkeep.destroy_due() == [(due, Phase.ABORTED)]
        assert jobs.get(due) is None
        assert jobs.get(later) is not None
        assert upkeep.destroy_due() == []

    def test_it_is_forgotten_after_a_time_of_grace(
        self, jobs: Jobs, claims: Claims, upkeep: Upkeep, engine: Engine
    ) -> None:
        job_id, other = run_job(jobs), run_job(jobs, rows=2)
        claim = take(claims)
        claims.settle(claim, all_of(claim), finish)
        assert claim.job_id == job_id
        jobs.destroy(job_id)
        assert upkeep.to_forget(3600) == []
        set_job(engine, job_id, gone_ms=NowMs() - 3_601_000)
        assert upkeep.to_forget(3600) == [job_id]
        assert upkeep.known_jobs([job_id, other, "nobody"]) == {job_id, other}
        upkeep.forget(job_id)
        assert upkeep.known_jobs([job_id, other]) == {other}
        with engine.connect() as connection:
            for table in (JobRow, TaskRow, EventRow, ResultRow):
                left = connection.execute(select(table.job_id)).scalars().all()
                assert set(left) <= {other}, table

    def test_nothing_is_forgotten_that_is_not_gone(self, jobs: Jobs, upkeep: Upkeep) -> None:
        job_id = run_job(jobs)
        upkeep.forget(job_id)
        assert jobs.get(job_id) is not None

    def test_workers_are_known_while_they_are_heard(self, upkeep: Upkeep, engine: Engine) -> None:
        upkeep.beat("one", "host", 1, ("high", "low"))
        upkeep.beat("two", "host", 2, ("high",))
        upkeep.beat("one", "host", 1, ("high", "low"))
        assert (upkeep.live_workers("high", 60), upkeep.live_workers("low", 60)) == (2, 1)
        upkeep.leave("one")
        assert upkeep.live_workers("low", 60) == 0
        upkeep.forget_workers(60)
        assert upkeep.live_workers("high", 60) == 1
        upkeep.forget_workers(-1)
        assert upkeep.live_workers("high", 60) == 0

    def test_what_waits_and_runs(self, jobs: Jobs, claims: Claims, upkeep: Upkeep) -> None:
        run_job(jobs, rows=5)
        claim = take(claims)
        assert upkeep.claimable("low", 9) == 4
        assert upkeep.claimable("low", 2) == 2
        assert upkeep.claimable("high", 9) == 0
        assert upkeep.running(claim.job_id) == [(claim.task_id, claim.fence)]
        state = upkeep.lane_state("low")
        assert (state.queued, state.running) == (4, 1)
        assert state.oldest_wait_s >= 0
