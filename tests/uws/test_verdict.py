"""What becomes of a task, case by case; and that every row ends, whatever happens to it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.toy import toy_settings, toy_types
from uws.job import Claim, Counts, Retry, Row, RowReport, RowStatus, Settlement, Stored
from uws.jobtype import JobTypes
from uws.phase import Phase
from uws.verdict import Answer, Died, Ended, Halt, Killed, Left, finish_with, give_up, judge

SETTINGS = toy_settings(max_attempts=3, back_off_s=2.0, row_limit_s=120.0)
ROWS = tuple(Row(n, f"r{n}") for n in range(4))
CLAIM = Claim(7, "job", "toy", "", "low", "me", 1, 1, 0, ROWS)
FILE = Stored("r0", "r0.fits", "application/fits", 0, 1, 0, "")


def report(n: int, status: RowStatus = RowStatus.EMPTY, *, transient: bool = False) -> RowReport:
    return RowReport(n, f"r{n}", status, "Error: it is so", transient=transient)


def done(n: int) -> RowReport:
    return RowReport(n, f"r{n}", RowStatus.DONE, files=(FILE,))


def test_rows_that_ended_are_reported() -> None:
    reports = tuple(report(n) for n in range(4))
    assert judge(CLAIM, Answer(reports), SETTINGS) == Settlement(reports)


@pytest.mark.parametrize(("attempts", "delay_s"), [(1, 2.0), (2, 4.0)])
def test_what_may_pass_is_tried_again_later(attempts: int, delay_s: float) -> None:
    failed = report(1, RowStatus.FAILED, transient=True)
    claim = replace(CLAIM, attempts=attempts)
    settled = judge(claim, Answer((done(0), failed, done(2), done(3))), SETTINGS)
    assert [of.n for of in settled.reports] == [0, 2, 3]
    assert settled.retries == (Retry((ROWS[1],), attempts, 0, delay_s, "transient"),)


def test_what_may_pass_fails_when_it_was_tried_often_enough() -> None:
    failed = report(1, RowStatus.FAILED, transient=True)
    settled = judge(replace(CLAIM, attempts=3), Answer((done(0), failed, done(2), done(3))), SETTINGS)
    assert settled.retries == ()
    assert settled.reports[1] == failed


def test_f04_what_a_drained_child_left_is_not_held_against_it() -> None:
    settled = judge(replace(CLAIM, attempts=2), Answer((done(0),), Left.DRAIN), SETTINGS)
    assert settled == Settlement((done(0),), (Retry(ROWS[1:], 1, note="drained"),))
    assert judge(CLAIM, Killed(2, Halt.DRAIN), SETTINGS) == Settlement(retries=(Retry(ROWS, note="drained"),))


def test_f40_rows_without_space_wait_and_are_not_counted() -> None:
    settled = judge(replace(CLAIM, attempts=3), Answer((done(0),), Left.STORAGE), SETTINGS)
    assert settled == Settlement((done(0),), (Retry(ROWS[1:], 2, delay_s=16.0, note="storage"),))


def test_f40_a_container_that_was_not_kept_takes_its_rows_with_it() -> None:
    answer = Answer((done(0), report(1), done(2), report(3))).without_files()
    settled = judge(CLAIM, answer, SETTINGS)
    assert [of.n for of in settled.reports] == [1, 3]
    assert [row.n for row in settled.retries[0].rows] == [0, 2]
    assert settled.retries[0].note == "storage"


def test_f12_a_crash_takes_its_row_alone() -> None:
    settled = judge(CLAIM, Died(1, "SIGSEGV"), SETTINGS)
    others, guilty = settled.retries
    assert settled.reports == ()
    assert others == Retry((ROWS[0], ROWS[2], ROWS[3]), 0, 0, note="a row beside it crashed")
    assert guilty == Retry((ROWS[1],), 0, 1, 2.0, "SIGSEGV")


def test_f12_the_second_crash_of_a_row_is_its_last() -> None:
    claim = replace(CLAIM, rows=(ROWS[1],), kills=1)
    settled = judge(claim, Died(0, "SIGSEGV"), SETTINGS)
    message = "Error: this row made the program crash twice (SIGSEGV)"
    assert settled == Settlement((RowReport(1, "r1", RowStatus.POISON, message),))


def test_f14_a_row_over_its_limit_fails_at_once() -> None:
    settled = judge(CLAIM, Killed(3, Halt.ROW_LIMIT), SETTINGS)
    message = "Error: the row took longer than the limit of 120 s"
    assert settled.reports == (RowReport(3, "r3", RowStatus.FAILED, message),)
    assert settled.retries == (Retry(ROWS[:3], 0, note="a row beside it crashed"),)


def test_a_crash_without_a_row_counts_as_an_attempt() -> None:
    settled = judge(replace(CLAIM, attempts=2), Died(None, "SIGKILL"), SETTINGS)
    assert settled == Settlement(retries=(Retry(ROWS, 2, 0, 4.0, "SIGKILL"),))
    last = judge(replace(CLAIM, attempts=3), Died(None, "SIGKILL"), SETTINGS)
    assert {of.status for of in last.reports} == {RowStatus.FAILED}
    assert last.reports[0].message == "Error: the program crashed each time this was tried (SIGKILL)"
    assert last.retries == ()


def test_given_up() -> None:
    assert give_up(CLAIM, "Error: no").reports == tuple(
        RowReport(row.n, row.result_id, RowStatus.FAILED, "Error: no") for row in ROWS
    )


def test_jobs_end_as_their_type_decides() -> None:
    finish = finish_with(toy_types())
    assert finish("toy")(Counts(2, done=2)).phase is Phase.COMPLETED
    assert finish("toy")(Counts(2, failed=2)).phase is Phase.ERROR


def test_a_type_that_is_not_known_ends_its_jobs_in_error() -> None:
    ending = finish_with(JobTypes([]))("toy")(Counts(2, done=2))
    assert ending.phase is Phase.ERROR
    assert ending.error is not None
    assert ending.error.message == "Error: the job could not be finished (KeyError)"


@st.composite
def endings(draw: st.DrawFn, count: int) -> Ended:
    """However the work of a task of so many rows may end, drained and out of space aside."""
    index = draw(st.integers(0, count - 1))
    reports = tuple(
        report(n, RowStatus.FAILED if flag else RowStatus.EMPTY, transient=flag)
        for n, flag in enumerate(draw(st.lists(st.booleans(), min_size=count, max_size=count)))
    )
    return draw(
        st.sampled_from(
            [
                Answer(reports),
                Died(index, "SIGKILL"),
                Died(None, "SIGKILL"),
                Killed(index, Halt.ROW_LIMIT),
                Killed(None, Halt.ROW_LIMIT),
            ]
        )
    )


@given(st.data(), st.integers(1, 6))
def test_every_row_ends_once_within_a_bounded_number_of_attempts(data: st.DataObject, count: int) -> None:
    tasks = [Retry(tuple(Row(n, f"r{n}") for n in range(count)))]
    ended: list[int] = []
    claims = 0
    while tasks:
        task = tasks.pop()
        claims += 1
        assert claims <= 3 * 3 * count + 2 * count, "it goes on without end"
        claim = replace(CLAIM, rows=task.rows, attempts=task.attempts + 1, kills=task.kills)
        assert claim.attempts <= SETTINGS.max_attempts
        assert claim.kills == 0 or len(claim.rows) == 1
        drawn = data.draw(endings(len(task.rows)))
        if isinstance(drawn, Answer):  # numbered by the rows there are
            drawn = Answer(
                tuple(replace(of, n=row.n) for of, row in zip(drawn.reports, task.rows, strict=True))
            )
        settled = judge(claim, drawn, SETTINGS)
        ended += [of.n for of in settled.reports]
        tasks += settled.retries
        said = [of.n for of in settled.reports] + [row.n for retry in settled.retries for row in retry.rows]
        assert sorted(said) == sorted(row.n for row in task.rows), "no row is lost, none doubled"
    assert sorted(ended) == list(range(count))
