"""Failures, grouped by their causes."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text

from tests.support.stored import finish, new_job, plan, set_job, take
from uws.causes import cause_of, grouped
from uws.job import JobError, RowReport, RowStatus, Settlement
from uws.store.claims import Claims
from uws.store.failures import Failure, Failures
from uws.store.jobs import Jobs

DAY_S = 86_400.0


def fail(jobs: Jobs, claims: Claims, owner: str, *messages: str, crash: bool = False) -> str:
    """Have the rows of a job end with these messages; "" is a row that does not fail."""
    job_id = jobs.create(new_job(owner), plan(len(messages), per_task=len(messages))).job_id
    claim = take(claims)
    bad = RowStatus.POISON if crash else RowStatus.FAILED
    reports = [
        RowReport(
            row.n, row.result_id, bad if said else RowStatus.EMPTY, said or "none", label=f"star {row.n}"
        )
        for row, said in zip(claim.rows, messages, strict=True)
    ]
    claims.settle(claim, Settlement(tuple(reports)), finish)
    return job_id


def test_rows_and_jobs_that_failed_are_found(engine: Engine, jobs: Jobs, claims: Claims) -> None:
    failures = Failures(engine)
    assert failures.rows(DAY_S, 9) == failures.jobs(DAY_S, 9) == []
    mixed = fail(jobs, claims, "local:ada", "Error: broken tile 7", "", "Error: broken tile 12")
    crashed = fail(jobs, claims, "local:bob", "Error: it crashed", "", crash=True)
    wrong = jobs.create(new_job("local:ada"), JobError("UsageError: POS is missing")).job_id
    rows = failures.rows(DAY_S, 9)
    assert {(row.kind, row.job_id, row.row, row.label) for row in rows} == {
        ("row", mixed, 0, "star 0"),
        ("row", mixed, 2, "star 2"),
        ("crash", crashed, 0, "star 0"),
    }
    assert len(failures.rows(DAY_S, 2)) == 2
    (job,) = failures.jobs(DAY_S, 9)
    assert (job.kind, job.job_id, job.message) == ("job", wrong, "UsageError: POS is missing")
    causes = grouped([*rows, *failures.jobs(DAY_S, 9)])
    assert (causes[0].text, causes[0].failures, causes[0].jobs) == ("Error: broken tile #", 2, 1)
    assert len(causes) == 3


def test_what_is_longer_ago_is_left_out(engine: Engine, jobs: Jobs, claims: Claims) -> None:
    job_id = fail(jobs, claims, "", "Error: so")
    set_job(engine, job_id, created_ms=0)
    with engine.execution_options(writes=True).begin() as connection:
        connection.execute(text("UPDATE result SET created_ms = created_ms - 7200000"))
    failures = Failures(engine)
    assert failures.rows(3600.0, 9) == failures.jobs(3600.0, 9) == []
    assert len(failures.rows(3 * 3600.0, 9)) == 1


def test_only_failed_rows_are_read(engine: Engine) -> None:
    """By the index of those, however many others there are."""
    if engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL takes the index where it pays")
    query = "EXPLAIN QUERY PLAN SELECT * FROM result WHERE result.status IN ('failed', 'poison')"
    with engine.connect() as connection:
        (plan_of,) = connection.execute(text(f"{query} AND created_ms >= 1 ORDER BY created_ms DESC")).all()
    assert "ix_result_failed" in plan_of[-1]


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ('UsageError: POS is "CIRCLE 1 2"', "UsageError: POS is “…”"),
        ("Error: 12 of 30 pixels, -1.5e-3 deg", "Error: # of # pixels, # deg"),
        ("Error: ivo://a.b/c?demo/r is broken\nmore", "Error: … is broken"),
        ("Error: job 0a1b2c3d4e5f6071 is gone", "Error: job … is gone"),
        ("Error: the image demo/g/field-ne, of 3/4", "Error: the image …, of …"),
        ("Error: it's no band 'zz', don't", "Error: it's no band “…”, don't"),
        ("Error: SDSS2 has no band W1", "Error: SDSS2 has no band W1"),
        ("", ""),
    ],
)
def test_causes_are_what_messages_have_in_common(message: str, cause: str) -> None:
    assert cause_of(message) == cause


def test_the_largest_group_is_first_and_shows_its_last_failures() -> None:
    def failure(number: int, message: str, owner: str = "") -> Failure:
        return Failure("row", f"job{number % 2}", owner, number, "", message, number)

    found = [failure(number, f"Error: tile {number}", f"user{number % 3}") for number in range(5)]
    first, second = grouped([failure(9, "Error: other"), *found])
    assert (first.text, first.failures, first.jobs, first.owners) == ("Error: tile #", 5, 2, 3)
    assert (first.first_ms, first.last_ms) == (0, 4)
    assert [sample.at_ms for sample in first.samples] == [4, 3, 2]
    assert second.failures == 1
    assert first.key != second.key
    assert {(said.message, said.failures) for said in first.messages} == {
        (f"Error: tile {number}", 1) for number in range(5)
    }
