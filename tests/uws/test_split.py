"""A job is split by a worker: its tasks, and the rows that end at once, come with one commit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from dali.clock import NowMs
from tests.uws.conftest import NAMES, Client, House, id_of
from uws import splitting
from uws.job import Counts, Row, RowReport, RowStatus
from uws.jobtype import Expansion, TaskPlan
from uws.phase import Phase
from uws.splitting import WrittenTask, read_ended, read_tasks, write, written_facts
from uws.store.ledger import Ledger
from uws.store.settling import LostClaim
from uws.tables import TaskRow


@pytest.fixture
def lists(house: House) -> Client:
    return house.client().at("/lists")


def tasks(house: House, *columns: Any) -> list[tuple[Any, ...]]:
    with house.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(select(*columns).order_by(TaskRow.task_id))]


def test_a_split_makes_tasks_and_ends_rows(each_house: House) -> None:
    lists = each_house.client().at("/lists")
    url = lists.make(ROWS="7", DO="ok,refused,outside", PER_TASK="2", KIND="light", PHASE="RUN")
    job_id = id_of(url)
    assert each_house.job(job_id).counts == Counts(7), "known before"
    claim = each_house.claim()
    assert (claim.kind, claim.lane, claim.common["DO"]) == ("split", "high", "ok,refused,outside")
    assert each_house.finish(claim) is Phase.EXECUTING
    job = each_house.job(job_id)
    assert (job.counts, job.seconds, job.lane) == (Counts(7, empty=2, failed=2), 2.0, "low")
    kinds = tasks(each_house, TaskRow.kind, TaskRow.state, TaskRow.lane, TaskRow.n, TaskRow.row_count)
    assert kinds == [
        ("split", "done", "high", 0, 0),
        ("light", "queued", "low", 0, 2),
        ("light", "queued", "low", 1, 1),
    ]
    rows = Ledger(each_house.engine).page(job_id)
    assert [(row.row, row.verdict, row.attempts, row.label) for row in rows] == [
        (1, "refused", 0, "t1"),
        (2, "no_overlap", 0, "t2"),
        (4, "refused", 0, "t4"),
        (5, "no_overlap", 0, "t5"),
    ]
    assert rows[0].facts == {"ra": None, "n": 1}, "no database takes what is not a number"
    each_house.work()
    assert each_house.job(job_id).phase is Phase.COMPLETED
    rows = Ledger(each_house.engine).page(job_id)
    assert [row.row for row in rows] == list(range(7)), "in the order of the list"
    assert rows[3].facts == {"n": 3, "nan": None}
    assert not list((each_house.folder / "results").rglob("*.work"))


@pytest.mark.parametrize(
    ("form", "phase", "counts"),
    [
        ({"ROWS": "0"}, "COMPLETED", Counts()),
        ({"ROWS": "3", "DO": "outside"}, "COMPLETED", Counts(3, empty=3)),
        ({"ROWS": "3", "DO": "refused"}, "ERROR", Counts(3, failed=3)),
    ],
)
def test_a_job_may_end_with_its_split(
    form: dict[str, str], phase: str, counts: Counts, lists: Client, house: House
) -> None:
    url = lists.make(PHASE="RUN", **form)
    assert lists.phase(url) == "QUEUED", "nobody knows yet that there is nothing to do"
    house.work()
    assert (lists.phase(url), house.job(id_of(url)).counts) == (phase, counts)
    assert tasks(house, TaskRow.state) == [("done",)]


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("usage", "UsageError: line 3 is no target.\nWrite a name and a word."),
        ("raise", "Error: the splitting of the job failed for an unexpected reason (ValueError)"),
        ("miscount", "Error: the splitting of the job failed for an unexpected reason (ValueError)"),
    ],
)
def test_a_split_that_fails_ends_the_job(word: str, sentence: str, lists: Client, house: House) -> None:
    url = lists.make(SPLIT=word, ROWS="3", PHASE="RUN")
    house.work()
    assert (lists.phase(url), lists.get(f"{url}/error").text) == ("ERROR", sentence)
    assert Ledger(house.engine).page(id_of(url)) == []
    assert tasks(house, TaskRow.state) == [("done",)]
    assert not list((house.folder / "results").rglob("*.work"))


def test_faults_that_may_pass_are_tried_again(lists: Client, house: House) -> None:
    url = lists.make(SPLIT="unavailable", ROWS="3", PHASE="RUN")
    for attempt in range(1, house.settings.max_attempts):
        assert house.finish(house.claim()) is Phase.EXECUTING
        last = tasks(house, TaskRow.state, TaskRow.kind, TaskRow.attempts, TaskRow.common)[-1]
        assert last[:3] == ("queued", "split", attempt)
        assert last[3]["SPLIT"] == "unavailable"
        with house.engine.execution_options(writes=True).begin() as connection:
            connection.execute(TaskRow.__table__.update().values(not_before_ms=0))
    assert house.finish(house.claim()) is Phase.ERROR
    error = house.job(id_of(url)).error
    assert error is not None
    assert (error.transient, error.message) == (True, "ServiceUnavailable: the images are elsewhere.")


def test_f06_a_split_that_was_taken_over_is_written_once(each_house: House) -> None:
    lists = each_house.client().at("/lists")
    url = lists.make(ROWS="4", DO="ok,refused", PHASE="RUN")
    frozen = each_house.claim()
    late = each_house.split(frozen)
    with each_house.engine.execution_options(writes=True).begin() as connection:
        connection.execute(TaskRow.__table__.update().values(lease_until_ms=NowMs() - 1))
    each_house.upkeep.reclaim(3, 0.0, lambda name: lambda counts: None)  # type: ignore[arg-type,return-value]
    assert each_house.finish(each_house.claim()) is Phase.EXECUTING
    with pytest.raises(LostClaim):
        each_house.claims.settle(frozen, late, lambda counts: None)  # type: ignore[arg-type,return-value]
    each_house.work()
    job = each_house.job(id_of(url))
    assert (job.phase, job.counts) == (Phase.COMPLETED, Counts(4, done=2, failed=2))
    assert len(Ledger(each_house.engine).page(job.job_id)) == 4


def test_a_split_whose_workers_are_lost_ends_the_job(each_house: House) -> None:
    lists = each_house.client().at("/lists")
    url = lists.make(ROWS="4", PHASE="RUN")
    each_house.claim()
    with each_house.engine.execution_options(writes=True).begin() as connection:
        connection.execute(TaskRow.__table__.update().values(lease_until_ms=NowMs() - 1, attempts=3))
    ended = each_house.upkeep.reclaim(3, 0.0, lambda name: lambda counts: None)  # type: ignore[arg-type,return-value]
    assert ended == [(id_of(url), Phase.ERROR)]
    assert "each time the worker was lost" in lists.get(f"{url}/error").text
    assert lists.post(url, ACTION="RESUME").status_code == 303


def test_the_split_of_an_aborted_job_writes_nothing(lists: Client, house: House) -> None:
    url = lists.make(ROWS="4", PHASE="RUN")
    claim = house.claim()
    late = house.split(claim)
    lists.post(f"{url}/phase", PHASE="ABORT")
    with pytest.raises(LostClaim):
        house.claims.settle(claim, late, lambda counts: None)  # type: ignore[arg-type,return-value]
    assert (lists.phase(url), Ledger(house.engine).page(id_of(url))) == ("ABORTED", [])
    assert tasks(house, TaskRow.kind) == [("split",)]


def test_many_rows_are_copied_lot_by_lot(each_house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uws.store.inserts.CHUNK", 2)
    lists = each_house.client().at("/lists")
    url = lists.make(ROWS="51", DO="ok,refused", PER_TASK="3", PHASE="RUN")
    each_house.work()
    job = each_house.job(id_of(url))
    assert (job.phase, job.counts) == (Phase.COMPLETED, Counts(51, done=26, failed=25))
    assert [row.row for row in Ledger(each_house.engine).stream(job.job_id)] == list(range(51))


def test_a_packaged_job_shows_how_far_it_is_and_no_rows(lists: Client, house: House) -> None:
    url = lists.make(ROWS="4", DO="ok,refused", PER_TASK="1", PACKAGED="yes", PHASE="RUN")
    house.finish(house.claim())
    house.finish(house.claim())
    shown = lists.document(url)
    assert shown.findall(".//uws:result", NAMES) == []
    rows = shown.find(".//job:rows", NAMES)
    assert rows is not None
    assert dict(rows.attrib) == {"total": "4", "done": "1", "empty": "0", "failed": "2", "poison": "0"}
    house.work()
    assert lists.document(url).findall(".//uws:result", NAMES) == []
    assert lists.get(f"{url}/results/r1").status_code == 200, "single files are there all the same"


def expansion(tasks: Sequence[Sequence[int]], ended: Sequence[int], total: int, **facts: Any) -> Expansion:
    plans: Iterator[TaskPlan] = (TaskPlan(tuple(Row(n, f"r{n}") for n in rows)) for rows in tasks)
    reports = (RowReport(n, f"r{n}", RowStatus.EMPTY, "x", facts=facts) for n in ended)
    return Expansion(plans, reports, total)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    import numpy as np

    facts = {"ra": np.float64(1.5), "n": np.int64(3), "bad": float("inf"), "text": "\0 \udc80 ⊙"}
    split = write(expansion([[0, 2], [4]], [1, 3], 5, **facts), tmp_path, lambda: None)
    assert (split.total, split.tasks, split.ended, split.seconds) == (5, 2, {"empty": 2}, None)
    # As the columns have it, so that nothing is to be read while nobody else can write.
    assert list(read_tasks(split)) == [
        WrittenTask("heavy", 0, 2, '[[0,"r0",{}],[2,"r2",{}]]', None),
        WrittenTask("heavy", 1, 1, '[[4,"r4",{}]]', None),
    ]
    first, second = read_ended(split)
    assert (first.n, second.n, first.status) == (1, 3, RowStatus.EMPTY.value)
    assert json.loads(first.facts or "") == {"ra": 1.5, "n": 3, "bad": None, "text": "\0 \udc80 ⊙"}


@pytest.mark.parametrize(
    ("tasks", "ended", "total"),
    [
        ([[0, 1]], [], 3),
        ([[0, 1]], [1], 2),
        ([[0], [0]], [], 1),
        ([[1]], [], 1),
        ([[-1, 0]], [], 2),
        ([], [0], 0),
    ],
)
def test_rows_are_numbered_without_a_gap(
    tasks: Sequence[Sequence[int]], ended: Sequence[int], total: int, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="row"):
        write(expansion(tasks, ended, total), tmp_path, lambda: None)


def test_a_split_stops_when_it_is_told_to(tmp_path: Path) -> None:
    taken: list[int] = []

    def plans() -> Iterator[TaskPlan]:
        for n in range(10):
            taken.append(n)
            yield TaskPlan((Row(n, f"r{n}"),))

    def go_on() -> None:
        if len(taken) == 3:
            raise splitting.Drained

    with pytest.raises(splitting.Drained):
        write(Expansion(plans(), (), 10), tmp_path, go_on)
    assert taken == [0, 1, 2]


@pytest.mark.parametrize("facts", [{"a": 1, "b": [1.5, None, {"c": "d"}]}, {}])
def test_facts_are_json(facts: Mapping[str, Any]) -> None:
    text = written_facts(facts)
    assert written_facts(text or "") == text, "what is written stays as it is"
    assert json.loads(text or "{}") == facts
    with pytest.raises((TypeError, AttributeError)):
        written_facts({"a": object()})
