"""Rows, the disk and the database do workers harm."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError, InternalError, OperationalError

from tests.support.shop import SETTINGS, Shop, both
from tests.support.toy import times
from uws.job import Counts
from uws.pen import UNRECORDED
from uws.phase import Phase
from uws.store.claims import Claims
from uws.tables import TaskRow


@pytest.mark.faults
@both
def test_f11_f12_f13_bad_rows_fail_with_their_reasons_and_the_job_goes_on(shop: Shop) -> None:
    job = shop.run(ROWS=6, DO="ok,segfault,allocate,crash,sigbus,ok")
    assert (job.phase, job.counts) == (Phase.COMPLETED, Counts(6, done=2, failed=1, poison=3))
    assert shop.messages(job) == {
        0: "",
        1: "Error: this row made the program crash twice (SIGSEGV)",
        2: "Error: the row needs more memory than the limit of 1024 MiB",
        3: "Error: this row made the program crash twice (SIGKILL)",
        4: "Error: this row made the program crash twice (SIGBUS)",
        5: "",
    }
    assert {n: times(shop.folder, n) for n in (1, 3, 4)} == {1: 2, 3: 2, 4: 2}
    shop.check(job)
    assert shop.upkeep.counted()["child_deaths", "SIGSEGV"] == 2


@pytest.mark.faults
def test_f12_a_row_that_crashes_once_is_done(shop: Shop) -> None:
    job = shop.run(ROWS=3, DO="ok,crash_once,ok")
    assert job.counts == Counts(3, done=3)
    shop.check(job)


@pytest.mark.faults
@pytest.mark.parametrize("word", ["loop", "deaf"])
def test_f14_f15_a_row_that_does_not_end_fails(shop: Shop, word: str) -> None:
    shop.settings = replace(SETTINGS, row_limit_s=0.5)
    job = shop.run(ROWS=3, DO=f"ok,{word},ok")
    assert job.counts == Counts(3, done=2, failed=1)
    assert shop.messages(job)[1] == "Error: the row took longer than the limit of 0.5 s"
    assert times(shop.folder, 1) == 1
    shop.check(job)


def test_what_may_pass_is_tried_again(shop: Shop) -> None:
    job = shop.run(ROWS=3, DO="ok,flaky,transient")
    assert job.counts == Counts(3, done=2, failed=1)
    assert shop.messages(job)[2] == "Error: not now"
    assert [times(shop.folder, n) for n in range(3)] == [1, 2, 3]
    shop.check(job)


@pytest.mark.faults
def test_f40_without_a_place_for_results_tasks_wait_and_go_on(shop: Shop) -> None:
    (shop.folder / "results").write_text("no folder")
    job_id = shop.submit(ROWS=2, DO="ok,empty")
    seen: list[Any] = []

    def until() -> bool:
        waiting = [task for task in shop.tasks(TaskRow.state, TaskRow.note, TaskRow.attempts) if task[1]]
        if not seen and len(waiting) > 3:
            seen.extend(waiting)
            (shop.folder / "results").unlink()
        return shop.has_ended(job_id)

    shop.work(until)
    assert {note for _, note, _ in seen} == {"storage"}
    assert max(attempts for _, _, attempts in seen) <= 1, "that is nobody's fault"
    assert shop.job(job_id).counts == Counts(2, done=1, empty=1)
    shop.check(shop.job(job_id))


@both
def test_what_cannot_be_recorded_fails(shop: Shop) -> None:
    job = shop.run(ROWS=2, DO="same")
    assert (job.phase, job.counts) == (Phase.ERROR, Counts(2, failed=2))
    assert shop.messages(job) == {0: UNRECORDED, 1: UNRECORDED}
    shop.check(job)


@both
def test_what_no_database_takes_is_left_out_of_messages(shop: Shop) -> None:
    job = shop.run(ROWS=2, DO="ok,odd")
    assert shop.messages(job) == {0: "", 1: "NoOverlap: ?  there"}
    shop.check(job)


class TestDatabase:
    """The database fails at a moment of the test's choosing."""

    def fail_once(
        self,
        shop: Shop,
        monkeypatch: pytest.MonkeyPatch,
        job_id: str,
        *,
        after: bool,
        fault: type[DBAPIError] = OperationalError,
    ) -> list[str]:
        """Have the commit of the job's rows fail, before or after it is done."""
        dialect = shop.engine.dialect
        commit = dialect.do_commit
        failed: list[str] = []

        def do_commit(connection: Any) -> None:
            cursor = connection.cursor()
            cursor.execute("SELECT count(*) FROM result")
            is_settled = cursor.fetchone()[0] > 0
            cursor.close()
            if after or failed or not is_settled:
                commit(connection)
            if is_settled and not failed:
                failed.append(job_id)
                raise fault("commit", {}, Exception("the connection is gone"))

        monkeypatch.setattr(dialect, "do_commit", do_commit)
        return failed

    @pytest.mark.parametrize("after", [False, True])
    def test_f39_a_commit_that_fails_is_tried_again_and_counts_once(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch, after: bool
    ) -> None:
        job_id = shop.submit(ROWS=3)
        failed = self.fail_once(shop, monkeypatch, job_id, after=after)
        shop.work(lambda: failed and shop.has_ended(job_id))
        job = shop.job(job_id)
        assert job.counts == Counts(3, done=3)
        assert shop.tasks(TaskRow.attempts) == [(1,)]
        shop.check(job)

    def test_f06_one_whose_transaction_was_ended_while_it_was_frozen_tries_again(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """PostgreSQL ends transactions that stand still, and says so with an error of its own kind."""
        job_id = shop.submit(ROWS=3)
        failed = self.fail_once(shop, monkeypatch, job_id, after=False, fault=InternalError)
        shop.work(lambda: failed and shop.has_ended(job_id))
        assert shop.job(job_id).counts == Counts(3, done=3)

    @pytest.mark.faults
    def test_f30_a_worker_outlives_its_database(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        job_id = shop.submit(ROWS=3)
        asked: list[int] = []
        claim = Claims.claim

        def claim_later(self: Claims, lanes: Any, ended: Any) -> Any:
            asked.append(1)
            if len(asked) == 1:
                raise OperationalError("claim", {}, Exception("the server is gone"))
            return claim(self, lanes, ended)

        monkeypatch.setattr(Claims, "claim", claim_later)

        shop.work(lambda: shop.has_ended(job_id))
        assert len(asked) > 1
        assert shop.job(job_id).counts == Counts(3, done=3)
