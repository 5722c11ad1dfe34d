"""The ledger is read page by page, and tells what the job type said of each row."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Engine

from tests.support.stored import finish, new_job, run_job, take
from uws.job import LedgerRow, Retry, RowReport, RowStatus, Settlement, Stored
from uws.phase import Phase
from uws.store import ledger as module
from uws.store.claims import Claims
from uws.store.jobs import Jobs
from uws.store.ledger import Ledger

FILE = Stored("", "f.fits", "application/fits", 64, 10, 7, "abc", "job/1.1.zip")


@pytest.fixture
def ledger(engine: Engine) -> Ledger:
    return Ledger(engine)


@pytest.fixture
def job_id(jobs: Jobs, claims: Claims) -> str:
    """Three rows: two files, nothing, a failure."""
    made = run_job(jobs, rows=3, per_task=3)
    claim = take(claims)
    files = tuple(replace(FILE, result_id=f"r0-{part}") for part in range(2))
    facts = {"ra": 1.5, "survey": "des", "clipped": False}
    reports = (
        RowReport(
            0, "r0", RowStatus.DONE, files=files, verdict="clipped", label="M 31", facts=facts, seconds=0.25
        ),
        RowReport(1, "r1", RowStatus.EMPTY, "NoOverlap: so", verdict="no_overlap", label="=1+1"),
        RowReport(2, "r2", RowStatus.FAILED, "Error: so"),
    )
    assert claims.settle(claim, Settlement(reports), finish) is Phase.COMPLETED
    return made


def test_it_tells_what_the_job_type_said(ledger: Ledger, jobs: Jobs, job_id: str) -> None:
    first, second, empty, failed = ledger.page(job_id)
    assert isinstance(first, LedgerRow)
    assert (first.row, first.part, second.row, second.part) == (0, 0, 0, 1)
    assert (first.label, first.verdict, first.attempts, first.seconds) == ("M 31", "clipped", 1, 0.25)
    assert first.facts == second.facts == {"ra": 1.5, "survey": "des", "clipped": False}
    assert (first.container, first.offset, first.size) == ("job/1.1.zip", 64, 10)
    assert (empty.label, empty.verdict, empty.facts) == ("=1+1", "no_overlap", {})
    assert failed.verdict == "failed", "what nobody said is the word of the status"
    assert jobs.results(job_id)[0].result_id == first.result_id


def test_pages_follow_each_other_within_a_row_too(
    ledger: Ledger, job_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = ledger.page(job_id)
    read: list[LedgerRow] = []
    while page := ledger.page(job_id, (read[-1].row, read[-1].part) if read else None, limit=1):
        read += page
    assert read == whole
    for size in (1, 2, 3, 4, 5):
        monkeypatch.setattr(module, "CHUNK", size)
        assert list(ledger.stream(job_id)) == whole
        assert list(ledger.stream(job_id, after=(0, 0))) == whole[1:]


def test_rows_are_chosen(ledger: Ledger, jobs: Jobs, job_id: str) -> None:
    def chosen(**options: object) -> list[int]:
        return [row.row for row in ledger.page(job_id, **options)]  # type: ignore[arg-type]

    assert chosen(verdicts=["clipped", "failed"]) == [0, 0, 2]
    assert chosen(verdicts=["clipped", "failed"], after=(0, 1)) == [2]
    assert chosen(labels=["=1+1"]) == [1]
    assert chosen(rows=range(1, 3)) == [1, 2]
    assert chosen(rows=range(1, 3), verdicts=["failed"]) == [2]
    assert chosen(verdicts=["nothing"]) == []
    assert ledger.tally(job_id) == {"clipped": 1, "no_overlap": 1, "failed": 1}
    other = jobs.create(new_job()).job_id
    assert (ledger.page(other), ledger.tally(other)) == ([], {})


def test_pages_of_a_ledger_with_gaps_are_whole(ledger: Ledger, jobs: Jobs, claims: Claims) -> None:
    """As long as a job runs, rows are missing; they come in any order."""
    made = run_job(jobs, rows=40, per_task=40)
    claim = take(claims)
    there = [0, 1, 7, 8, 20, 38, 39]
    reports = tuple(RowReport(n, f"r{n}", RowStatus.EMPTY, "x") for n in there)
    retries = (Retry(tuple(row for row in claim.rows if row.n not in there)),)
    claims.settle(claim, Settlement(reports, retries), finish)
    for limit in range(1, 9):
        read: list[int] = []
        while page := ledger.page(made, (read[-1], 0) if read else None, limit):
            assert len(page) == min(limit, len(there) - len(read))
            read += [row.row for row in page]
        assert read == there
        for first, stop in ((0, 40), (2, 21), (8, 9), (9, 20), (38, 100)):
            found = ledger.page(made, None, limit, rows=range(first, stop))
            assert [row.row for row in found] == [n for n in there if first <= n < stop][:limit]


def test_rows_are_told_in_any_order(ledger: Ledger, job_id: str) -> None:
    whole = ledger.page(job_id)
    keys = [(row.row, row.part) for row in whole]
    assert ledger.keys(job_id) == keys
    assert ledger.keys(job_id, verdicts=("clipped",)) == keys[:2]
    assert ledger.some(job_id, [keys[3], (9, 9), keys[0]]) == [whole[3], whole[0]]


def test_words_are_in_names_files_and_sentences(ledger: Ledger, job_id: str) -> None:
    whole = ledger.page(job_id)
    assert ledger.page(job_id, words="m 3") == whole[:2]
    assert ledger.page(job_id, words="F.FITS") == whole[:2]
    assert ledger.page(job_id, words="no_overlap") == []
    assert ledger.page(job_id, words="NOOVERLAP: s") == [whole[2]]
    assert ledger.page(job_id, words="%") == []


def test_a_fact_of_all_rows(ledger: Ledger, job_id: str) -> None:
    def told(name: str) -> list[str]:
        return [str(value) for _, _, value in ledger.facts(job_id, name)]

    assert told("ra") == ["1.5", "1.5", "None", "None"]
    assert told("survey") == ["des", "des", "None", "None"]
    assert told("none") == ["None"] * 4
    assert [place[:2] for place in ledger.facts(job_id, "ra")] == ledger.keys(job_id)


def test_failures_of_a_job(ledger: Ledger, job_id: str) -> None:
    (failure,) = ledger.failures(job_id, "ana", 10)
    assert (failure.kind, failure.row, failure.message, failure.owner) == ("row", 2, "Error: so", "ana")
