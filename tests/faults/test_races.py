"""Two who want different things of one job at the same moment: one wins, and both know who."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from secrets import token_hex
from typing import TypeVar

import pytest
from sqlalchemy import Engine, select

from uws.job import LANES, Counts, NewJob, Row, RowReport, RowStatus, Settlement, Stored
from uws.jobtype import Ending, JobPlan
from uws.phase import Phase
from uws.store.claims import Claims
from uws.store.jobs import Jobs
from uws.store.settling import LostClaim
from uws.store.upkeep import Upkeep
from uws.tables import EventRow, JobRow, TaskRow

pytestmark = pytest.mark.faults

INTERLEAVINGS = 500  # of each race: a thousand together
PLAN = JobPlan(((Row(0, "result"),),), "high", 1.0)
A, B = TypeVar("A"), TypeVar("B")


@contextmanager
def racing() -> Iterator[Callable[[Callable[[], A], Callable[[], B]], tuple[A, B]]]:
    """Give a function that runs two others at the same moment, the one or the other first by a hair."""
    start = threading.Barrier(2)

    def at_once(wanted: Callable[[], A]) -> A:
        start.wait(30)
        return wanted()

    with ThreadPoolExecutor(1) as other:

        def race(one: Callable[[], A], two: Callable[[], B]) -> tuple[A, B]:
            second = other.submit(at_once, two)
            return at_once(one), second.result(60)

        yield race


def new_job(jobs: Jobs, start: JobPlan | None = PLAN) -> str:
    return jobs.create(NewJob(token_hex(16), "toy", "", "", (), 0, 600), start).job_id


def finish(counts: Counts) -> Ending:
    return Ending()


def test_uws_71_abort_against_finish_has_one_winner(database: Engine) -> None:
    jobs, claims = Jobs(database), Claims(database, "worker", 30)
    reports = (
        RowReport(0, "result", RowStatus.DONE, files=(Stored("result", "f", "t/x", 0, 1, 0, "", "c"),)),
    )
    won: Counter[str] = Counter()
    with racing() as race:
        for _ in range(INTERLEAVINGS):
            job_id = new_job(jobs)
            claim = claims.claim(LANES)
            assert claim is not None
            assert claim.job_id == job_id

            def settle() -> bool:
                try:
                    return claims.settle(claim, Settlement(reports), finish) is Phase.COMPLETED  # noqa: B023
                except LostClaim:
                    claims.drop(claim)  # noqa: B023
                    return False

            finished, aborted = race(settle, lambda: jobs.end(job_id, Phase.ABORTED))  # noqa: B023
            job = jobs.get(job_id)
            assert job is not None
            assert finished is not aborted, "one wins, and both know who"
            assert job.phase is (Phase.COMPLETED if finished else Phase.ABORTED)
            assert len(jobs.results(job_id)) == job.counts.done == (1 if finished else 0)
            won["finish" if finished else "abort"] += 1
    with database.connect() as connection:
        for job_id, event_seq in connection.execute(select(JobRow.job_id, JobRow.event_seq)):
            seqs = connection.execute(select(EventRow.seq).where(EventRow.job_id == job_id)).scalars()
            assert sorted(seqs) == list(range(1, event_seq + 1))
    assert won.total() == INTERLEAVINGS


def test_uws_71_delete_against_run_leaves_nothing_to_do(database: Engine) -> None:
    jobs, claims, upkeep = Jobs(database), Claims(database, "worker", 30), Upkeep(database)
    with racing() as race:
        for _ in range(INTERLEAVINGS):
            job_id = new_job(jobs, None)
            started, destroyed = race(lambda: jobs.start(job_id, PLAN), lambda: jobs.destroy(job_id))  # noqa: B023
            assert destroyed
            assert jobs.get(job_id) is None, f"gone for good, run before that: {started}"
            assert claims.claim(LANES) is None, "nobody does what nobody wants"
            upkeep.forget(job_id)
    with database.connect() as connection:
        assert connection.execute(select(TaskRow.task_id)).all() == []
        assert connection.execute(select(JobRow.job_id)).all() == []


def test_of_two_who_run_a_job_one_does(database: Engine) -> None:
    jobs = Jobs(database)
    with racing() as race:
        for _ in range(100):
            job_id = new_job(jobs, None)
            assert sorted(race(lambda: jobs.start(job_id, PLAN), lambda: jobs.start(job_id, PLAN))) == [  # noqa: B023
                False,
                True,
            ]
    with database.connect() as connection:
        assert len(connection.execute(select(TaskRow.task_id)).all()) == 100


def test_a_task_is_claimed_by_one_of_two(database: Engine) -> None:
    jobs = Jobs(database)
    first, second = Claims(database, "first", 30), Claims(database, "second", 30)
    with racing() as race:
        for _ in range(200):
            new_job(jobs)
            claimed = [
                claim for claim in race(lambda: first.claim(LANES), lambda: second.claim(LANES)) if claim
            ]
            assert len(claimed) == 1
            Claims(database, claimed[0].worker_id, 30).settle(
                claimed[0], Settlement((RowReport(0, "result", RowStatus.EMPTY, "nothing"),)), finish
            )
