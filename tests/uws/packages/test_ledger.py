"""The ledger of a job: pages, filters and formats, while it runs too."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from astropy.io.votable import parse_single_table
from lxml import etree

from tests.support.packed import BASE, ToyPackage, Toys, file_of, label_of
from tests.uws.packages.conftest import WORDS
from uws.job import LedgerRow
from uws.packages.asked import Selection
from uws.packages.folder import PackageFolder
from uws.packages.shop import PackageShop
from uws.store.jobs import Jobs
from uws.store.ledger import Ledger

ALL = [f"r{n + 1}" for n in range(len(WORDS))]
NAMES = [column.name for column in ToyPackage.columns]
JOBINFO = {"job": "urn:sodafountain:jobinfo:1.0"}


def page(served: Toys, url: str, **query: Any) -> dict[str, Any]:
    shown = served.client.get(url.removeprefix(BASE), query_string=query or None)
    assert shown.status_code == 200, shown.text
    assert shown.content_type == "application/json"
    told: dict[str, Any] = shown.json
    assert (shown.headers.get("Link") or "") == (f'<{told["next"]}>; rel="next"' if told["next"] else "")
    return told


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["result_id"] for row in rows]


def test_a_row_is_told_by_all_columns(served: Toys, job: str) -> None:
    told = page(served, f"{job}/ledger")
    assert (told["job"], told["phase"], told["total"], told["ended"]) == (BASE + job, "COMPLETED", 40, 40)
    assert (ids(told["rows"]), told["next"]) == (ALL, None)
    first, empty, *_ = told["rows"]
    assert list(first) == NAMES
    assert (first["id"], first["ra"], first["colour"], first["status"]) == ("=1+1", 0.0, "red", "ok")
    assert (first["path"], first["bytes"]) == ("bin/red/r1.bin", 100)
    assert first["access_url"] == f"{BASE}{job}/results/r1"
    assert served.client.get(f"{job}/results/r1").data == file_of(0)
    assert (empty["status"], empty["error_code"], empty["error_message"]) == (
        "empty",
        "UsageError",
        "it is empty",
    )
    assert (empty["access_url"], empty["bytes"], empty["attempts"], empty["seconds"]) == (None, None, 1, 0.5)


def test_pages_follow_each_other(served: Toys, job: str) -> None:
    url, read = f"{job}/ledger?LIMIT=7&STATUS=ok,dull&STATUS=poison", []
    while url:
        told = page(served, url)
        assert len(told["rows"]) <= 7
        read += ids(told["rows"])
        url = told["next"]
    assert read == [name for name, word in zip(ALL, WORDS, strict=True) if word in ("ok", "dull", "poison")]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"ROWS": "3-5"}, ["r3", "r4", "r5"]),
        ({"ROWS": "40"}, ["r40"]),
        ({"ROWS": "41-50"}, []),
        ({"ID": label_of(1)}, ["r2"]),
        ({"ID": ["star 7", "star 9", "nobody"]}, ["r8", "r10"]),
        ({"STATUS": "failed", "ROWS": "1-12"}, ["r4", "r11"]),
        ({"AFTER": "37.0"}, ["r39", "r40"]),
        ({"after": "37", "limit": "1"}, ["r39"]),
    ],
)
def test_rows_are_chosen(served: Toys, job: str, query: dict[str, Any], expected: list[str]) -> None:
    assert ids(page(served, f"{job}/ledger", **query)["rows"]) == expected


def test_csv_is_the_same_and_guarded(served: Toys, job: str) -> None:
    shown = served.client.get(f"{job}/ledger?FORMAT=csv")
    assert shown.content_type == "text/csv; charset=utf-8"
    header, *rows = csv.reader(io.StringIO(shown.text, newline=""))
    assert header == NAMES
    assert [row[header.index("id")] for row in rows[:5]] == [
        "'=1+1",
        'a "b", <c> & d',
        "M 31",
        "\x1bé",
        "'-5",
    ]
    assert float(rows[4][header.index("dec")]) == -4 / 3
    assert [row[header.index("result_id")] for row in rows] == ALL


def test_votable_is_the_same(served: Toys, job: str) -> None:
    shown = served.client.get(f"{job}/ledger", headers={"Accept": "application/x-votable+xml"})
    assert shown.content_type == "application/x-votable+xml"
    table = parse_single_table(io.BytesIO(shown.data)).to_table(use_names_over_ids=True)
    assert table.colnames == NAMES
    assert list(table["result_id"]) == ALL
    assert list(table["id"][:5]) == ["=1+1", 'a "b", <c> & d', "M 31", "é", "-5"]
    assert table["dec"][4] == -4 / 3


def test_json_lines_have_no_end(served: Toys, job: str) -> None:
    shown = served.client.get(f"{job}/ledger?FORMAT=jsonl")
    assert [json.loads(line)["result_id"] for line in shown.text.splitlines()] == ALL


def test_lists_of_urls_for_programs_that_fetch_them(served: Toys, job: str) -> None:
    made = [
        (n, name) for n, (name, word) in enumerate(zip(ALL, WORDS, strict=True)) if word in ("ok", "dull")
    ]
    urls = served.client.get(f"{job}/ledger?FORMAT=urls").text.splitlines()
    assert urls == [f"{BASE}{job}/results/{name}" for _, name in made]
    lines = served.client.get(f"{job}/ledger?FORMAT=aria2&LIMIT=3").text.splitlines()
    assert lines[:2] == [urls[0], "  out=bin/red/r1.bin"]
    assert lines[2].startswith("  checksum=sha-256=")
    assert len(lines) == 3 * 2, "of three rows one has no file"


def test_a_limit_in_other_formats_says_where_to_go_on(served: Toys, job: str) -> None:
    shown = served.client.get(f"{job}/ledger?FORMAT=csv&LIMIT=2&ROWS=5-9")
    assert shown.text.count("\r\n") == 3
    link = shown.headers["Link"]
    after = served.client.get(link.split(">")[0].removeprefix(f"<{BASE}"))
    assert [row["result_id"] for row in csv.DictReader(io.StringIO(after.text))] == ["r7", "r8"]


def test_a_job_that_runs_has_a_ledger_and_nothing_else(served: Toys, running: str) -> None:
    told = page(served, f"{running}/ledger")
    assert (told["phase"], told["total"], told["ended"], len(told["rows"])) == ("EXECUTING", 40, 20, 20)
    document = etree.fromstring(served.client.get(running).data)
    assert document.findtext(".//job:ledger", namespaces=JOBINFO) == f"{BASE}{running}/ledger"
    assert b"<uws:result " not in served.client.get(running).data
    for name in ("result", "manifest.csv", "archive", "failed"):
        refused = served.client.get(f"{running}/results/{name}")
        assert refused.status_code == 404
        assert "before it has ended" in refused.text


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("FORMAT=xml", "FORMAT is one of json, jsonl, csv, votable, urls, aria2"),
        ("STATUS=fine", "STATUS is one or several of ok, dull, empty, failed, poison"),
        ("ROWS=0-3", "ROWS is the first and the last row"),
        ("ROWS=9-3", "ROWS is the first and the last row"),
        ("ROWS=a", "ROWS is the first and the last row"),
        ("AFTER=x", "AFTER is where a page ended"),
        ("LIMIT=0", "LIMIT is a whole number from 1 to 10000"),
        ("LIMIT=10001", "LIMIT is a whole number from 1 to 10000"),
        ("LIMIT=1e9", "LIMIT is a whole number from 1 to 10000"),
        ("LIMIT=1&LIMIT=2", "LIMIT is taken once"),
        ("MAXREC=5", "MAXREC is not a parameter"),
        ("&".join(["ID=a"] * 201), "ID is taken 200 times"),
        ("AFTER=9999999999999999999", "AFTER is where a page ended"),
    ],
)
def test_what_cannot_be_read_is_said_in_a_sentence(served: Toys, job: str, query: str, says: str) -> None:
    refused = served.client.get(f"{job}/ledger?{query}")
    assert refused.status_code == 400
    assert says in refused.text


def test_all_that_is_wrong_is_said_at_once(served: Toys, job: str) -> None:
    refused = served.client.get(f"{job}/ledger?LIMIT=no&ROWS=no")
    assert "LIMIT" in refused.text
    assert "ROWS" in refused.text


def test_ids_that_no_database_takes_name_nothing(served: Toys, job: str) -> None:
    assert page(served, f"{job}/ledger?ID=%00%ff")["rows"] == []


class Pairs(ToyPackage):
    """Each row of the user's table came to two results, but the first to one."""

    def table_row(self, row: LedgerRow) -> int:
        return (row.row + 1) // 2 + 1


@pytest.mark.parametrize("left", [0, 2])
def test_rows_are_those_of_the_table_however_many_results_each_has(served: Toys, left: int) -> None:
    job = Jobs(served.engine).get(served.make(WORDS, left=left))
    assert job is not None
    shop = PackageShop(
        Ledger(served.engine), served.results, {"toy": Pairs()}, PackageFolder(served.folder, 1)
    )
    for first, last in ((1, 1), (2, 3), (1, 5), (9, 12), (21, 22), (30, 40)):
        expected = [n for n in range(40 - 10 * left) if first <= (n + 1) // 2 + 1 <= last]
        assert [row.row for row in shop.rows(job, Selection(rows=(first, last)))] == expected
