"""A job is tried again: a child has what is finished, and does what is missing."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, update

from tests.support.stored import events
from tests.support.toy import content, toy_types
from tests.uws.conftest import NAMES, Client, House, id_of
from tests.uws.test_uploads import LINES, make
from uws.job import Counts, Retry, RowReport, RowStatus, Settlement
from uws.pace import told
from uws.phase import Phase
from uws.reconcile import ORPHAN_AGE_S, Reconciler
from uws.store.ledger import Ledger
from uws.tables import JobRow, KeptRow, TaskRow


@pytest.fixture
def lists(house: House) -> Client:
    return house.client().at("/lists")


def retry(client: Client, url: str, action: str = "RETRY") -> str:
    answer = client.post(url, ACTION=action)
    assert answer.status_code == 303, answer.text
    made = answer.headers["Location"]
    assert made != url
    return made


def reconciler(house: House) -> Reconciler:
    settings = replace(house.settings, grace_s=0)
    return Reconciler(house.upkeep, house.results, house.bell, toy_types(), settings)


def files(house: House) -> set[str]:
    root = house.folder / "results"
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def rows(house: House, url: str) -> list[tuple[Any, ...]]:
    """Read the ledger, and each file it names."""
    found = []
    for row in Ledger(house.engine).stream(id_of(url)):
        data = b"".join(house.results.read(row))
        assert not row.container or data == content(row.result_id, row.size)
        found.append((row.row, row.label, row.verdict, row.attempts))
    return found


def test_failed_rows_are_tried_again(each_house: House) -> None:
    house = each_house
    lists = house.client("ann").at("/lists")
    url = lists.make(
        ROWS="8",
        DO="ok,flaky,refused,outside",
        PER_TASK="2",
        FOLDER=str(house.folder),
        RUNID="x",
        PHASE="RUN",
    )
    house.work()
    first = house.job(id_of(url))
    assert (first.phase, first.counts) == (Phase.COMPLETED, Counts(8, done=2, empty=2, failed=4))
    child = retry(lists, url)
    job = house.job(id_of(child))
    assert (job.phase, job.parent_id, job.run_id, job.owner) == (Phase.QUEUED, id_of(url), "x", "ann")
    assert job.parameters == first.parameters
    assert job.counts == Counts(8, done=2, empty=2, failed=2), "what is finished, and what was refused"
    assert job.bytes_out == 32
    with house.engine.connect() as connection:
        tasks = connection.execute(
            select(TaskRow.n, TaskRow.row_count, TaskRow.common).where(TaskRow.job_id == job.job_id)
        ).all()
    assert [tuple(task) for task in tasks] == [(1, 1, {"tag": "common"}), (5, 1, {"tag": "common"})]
    house.work()
    job = house.job(job.job_id)
    assert (job.phase, job.counts) == (Phase.COMPLETED, Counts(8, done=4, empty=2, failed=2))
    assert job.bytes_out == 64
    assert rows(house, child) == [
        (0, "t0", "ok", 1),
        (1, "t1", "ok", 1),
        (2, "t2", "refused", 0),
        (3, "t3", "no_overlap", 0),
        (4, "t4", "ok", 1),
        (5, "t5", "ok", 1),
        (6, "t6", "refused", 0),
        (7, "t7", "no_overlap", 0),
    ]
    assert house.job(id_of(url)).counts == first.counts, "the parent is as it was"
    parent = lists.document(child).find(".//job:parent", NAMES)
    assert parent is not None
    assert parent.text == url
    assert ("retry", {"child": job.job_id}) in [told[1:] for told in events(house.engine, id_of(url))]
    assert events(house.engine, job.job_id)[0] == (1, "phase", {"phase": "QUEUED", "parent": id_of(url)})


def test_an_aborted_job_is_resumed(lists: Client, house: House) -> None:
    url = lists.make(ROWS="6", PER_TASK="2", PHASE="RUN")
    house.finish(house.claim())
    house.finish(house.claim())
    lists.post(f"{url}/phase", PHASE="ABORT")
    child = retry(lists, url, "RESUME")
    assert house.job(id_of(child)).counts == Counts(6, done=2)
    house.work()
    assert house.job(id_of(child)).counts == Counts(6, done=6)
    assert [row[0] for row in rows(house, child)] == list(range(6))


@pytest.mark.parametrize("said", ["by the task", "by the rows", "by the job"])
def test_an_estimate_is_told_of_what_is_missing(said: str, each_house: House) -> None:
    """It is made as that of any job, of the tasks that are left."""
    house = each_house
    client = house.client().at("/async" if said == "by the rows" else "/lists")
    url = client.make(ROWS="8", DO="ok", PER_TASK="2", PHASE="RUN")
    for _ in range(3):
        house.finish(house.claim())
    client.post(f"{url}/phase", PHASE="ABORT")
    with house.engine.execution_options(writes=True).begin() as connection:
        tasks = update(TaskRow).where(TaskRow.kind != "split")
        match said:
            case "by the task":
                connection.execute(tasks.values(common=told("toy/a", 6.0, 2, 500)))
            case "by the rows":
                written = [[n, f"r{n}", told("toy/a", 3.0, 1, 250)] for n in range(6, 8)]
                connection.execute(tasks.where(TaskRow.n == 6).values(rows=written))
    child = house.job(id_of(retry(client, url)))
    estimate = child.estimate or {}
    left = {"by the task": {"toy/a": [12.0, 2, 6.0]}, "by the rows": {"toy/a": [6.0, 1, 6.0]}}
    if said in left:
        assert estimate["work"] == {"shares": left[said], "split": None}
    else:
        assert estimate["work"]["shares"].keys() == {"list"}
    assert 0.0 < estimate["start_s"] < estimate["p50_s"] < estimate["p90_s"]
    assert child.quote_ms is not None
    assert child.quote_ms == pytest.approx(house.jobs.now_ms() + 1000 * estimate["p90_s"], abs=5000)


def test_only_tasks_are_read_that_are_partly_done(each_house: House) -> None:
    """Nobody else can write to SQLite meanwhile, and there may be very many rows."""
    house = each_house
    lists = house.client().at("/lists")
    url = lists.make(ROWS="8", DO="ok,ok,ok,fail", PER_TASK="2", PHASE="RUN")
    for _ in range(4):
        house.finish(house.claim())
    lists.post(f"{url}/phase", PHASE="ABORT")
    with house.engine.execution_options(writes=True).begin() as connection:
        for n, word in ((0, "all is done"), (3, "not begun")):
            connection.execute(
                update(TaskRow)
                .where(TaskRow.kind != "split", TaskRow.n == n)
                .values(rows=[word], common={"tag": word})
            )
    child = retry(lists, url)
    assert house.job(id_of(child)).counts == Counts(8, done=5)
    with house.engine.connect() as connection:
        found = connection.execute(
            select(TaskRow.state, TaskRow.n, TaskRow.row_count, TaskRow.rows, TaskRow.common)
            .where(TaskRow.job_id == id_of(child))
            .order_by(TaskRow.row_count)
        ).all()
    # The row that failed has a task of its own, which is called by the row.
    assert [(state, n, count) for state, n, count, *_ in found] == [("queued", 3, 1), ("queued", 3, 2)]
    assert found[1][3:] == (["not begun"], {"tag": "not begun"})


@pytest.mark.parametrize("how", ["aborted", "failed", "crashed"])
def test_what_was_not_split_is_split(how: str, lists: Client, house: House) -> None:
    split = {"aborted": "ok", "failed": "flaky", "crashed": "ok"}[how]
    url = make(lists, SPLIT=split, FOLDER=str(house.folder), PHASE="RUN")
    job_id = id_of(url)
    match how:
        case "aborted":
            lists.post(f"{url}/phase", PHASE="ABORT")
        case "failed":
            with house.engine.execution_options(writes=True).begin() as connection:
                connection.execute(update(TaskRow).values(attempts=house.settings.max_attempts - 1))
            assert house.finish(house.claim()) is Phase.ERROR
        case "crashed":
            house.claim()
            lists.post(f"{url}/phase", PHASE="ABORT")
    child = retry(lists, url)
    assert lists.get(f"{child}/parameters/t").data == LINES, "of the parent"
    house.work()
    job = house.job(id_of(child))
    assert (job.phase, job.counts) == (Phase.COMPLETED, Counts(3, done=1, empty=1, failed=1))
    assert Ledger(house.engine).page(job_id) == []


def test_any_type_of_job_is_tried_again(client: Client, house: House) -> None:
    url = client.make(ROWS="5", DO="ok,fail,flaky", PER_TASK="5", FOLDER=str(house.folder), PHASE="RUN")
    house.work()
    child = retry(client, url)
    house.work()
    assert house.job(id_of(child)).counts == Counts(5, done=3, failed=2)
    assert client.get(f"{child}/results/r0").data == content("r0", 16)


@pytest.mark.parametrize(
    ("form", "works", "sentence"),
    [
        ({"ROWS": "2"}, False, "of a job in COMPLETED or ERROR or ABORTED only; this one is QUEUED"),
        ({"ROWS": "2", "DO": "ok,outside"}, True, "of its 2 rows none has failed"),
        ({"ROWS": "2", "DO": "refused,ok"}, True, "its rows were refused before they were begun"),
        ({"WORD": "x"}, False, "nothing of this job was begun"),
    ],
)
def test_where_nothing_is_missing(
    form: dict[str, str], works: bool, sentence: str, lists: Client, house: House
) -> None:
    url = lists.make(PHASE="RUN", **form)
    if works:
        house.work()
    refused = lists.post(url, ACTION="RETRY")
    assert (refused.status_code, refused.text.startswith("UsageError: ")) == (403, True)
    assert sentence in refused.text
    with house.engine.connect() as connection:
        assert len(connection.execute(select(JobRow.job_id)).all()) == 1
        assert connection.execute(select(KeptRow.job_id)).all() == []
    lists.send("DELETE", url)
    assert lists.post(url, ACTION="RETRY").status_code == 404


def test_only_its_owner_tries_a_job_again(house: House) -> None:
    ann, bob = (house.client(name).at("/lists") for name in ("ann", "bob"))
    url = ann.make(ROWS="1", DO="fail", PHASE="RUN")
    house.work()
    assert bob.post(url, ACTION="RETRY").status_code == 403
    assert ann.post(url, ACTION="AGAIN").status_code == 400


@pytest.mark.parametrize("order", ["012", "021", "102", "120", "201", "210"])
def test_files_stay_as_long_as_somebody_refers_to_them(order: str, lists: Client, house: House) -> None:
    """Parent, child and grandchild are deleted in each order."""
    urls = [make(lists, t=b"a ok\nb flaky\nc fail\n", FOLDER=str(house.folder), PER_TASK="1", PHASE="RUN")]
    for _ in range(3):
        house.work()
        if len(urls) < 3:
            urls.append(retry(lists, urls[-1]))
    assert [house.job(id_of(url)).counts.done for url in urls] == [1, 2, 2]
    tidy = reconciler(house)
    left = list(urls)
    for place in map(int, order):
        lists.send("DELETE", urls[place])
        left.remove(urls[place])
        old = time.time() - ORPHAN_AGE_S - 60
        for path in (house.folder / "results").rglob("*"):
            os.utime(path, (old, old))
        tidy._scan_at = 0.0
        tidy.once()
        tidy.once()
        for url in left:
            assert len(rows(house, url)) == 3
            assert lists.get(f"{url}/parameters/t").status_code == 200
            assert lists.get(f"{url}/results/r1").data == content("r1", 16)
        assert lists.get(urls[place]).status_code == 404
    for _ in urls:  # each lets go of the one before it
        tidy.once()
    assert files(house) == set()
    with house.engine.connect() as connection:
        assert connection.execute(select(JobRow.job_id)).all() == []


def test_rows_that_were_tried_again_by_themselves_are_done_once(lists: Client, house: House) -> None:
    url = lists.make(ROWS="4", DO="ok,transient", PER_TASK="4", PHASE="RUN")
    house.finish(house.claim())
    claim = house.claim()
    reports = tuple(RowReport(row.n, row.result_id, RowStatus.EMPTY, "x") for row in claim.rows[::2])
    retries = tuple(Retry((row,), 1) for row in claim.rows[1::2])
    house.claims.settle(claim, Settlement(reports, retries), lambda counts: None)  # type: ignore[arg-type,return-value]
    lists.post(f"{url}/phase", PHASE="ABORT")
    child = retry(lists, url)
    with house.engine.connect() as connection:
        tasks = connection.execute(select(TaskRow.rows).where(TaskRow.job_id == id_of(child))).scalars().all()
    assert [[row[0] for row in task] for task in tasks] == [[1, 3]]
