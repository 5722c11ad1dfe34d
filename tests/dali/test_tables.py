"""CSV and JSON of the rows that VOTable has too."""

from __future__ import annotations

import csv
import io
import json

import pytest

from dali.tables import csv_chunks, guarded_csv_cell, json_chunks, unguarded_csv_cell
from dali.votable import STATUS, Field, Info, Row

FIELDS = (
    Field(name="text", description="A text"),
    Field(name="real", datatype="double", unit="deg"),
    Field(name="flag", datatype="boolean"),
)
ROWS: list[Row] = [
    ('a, "b"\nc', 1.5, True),
    (None, None, None),
    ("é漢", float("inf"), False),
    ("", float("nan"), None),
]


def test_csv_is_read_back() -> None:
    content = b"".join(csv_chunks(FIELDS, ROWS)).decode()
    assert list(csv.reader(io.StringIO(content, newline=""))) == [
        ["text", "real", "flag"],
        ['a, "b"\nc', "1.5", "true"],
        ["", "", ""],
        ["é漢", "+Inf", "false"],
        ["", "NaN", ""],
    ]


def test_json_is_read_back() -> None:
    content = json.loads(b"".join(json_chunks(FIELDS, ROWS)))
    assert content["rows"] == [
        ['a, "b"\nc', 1.5, True],
        [None, None, None],
        ["é漢", "+Inf", False],
        ["", "NaN", None],
    ]
    assert content["fields"][1] == {"name": "real", "datatype": "double", "unit": "deg"}
    assert content["status"] == "OK"


@pytest.mark.parametrize("count", [0, 1, 200, 201, 1000])
def test_json_of_any_length(count: int) -> None:
    rows: list[Row] = [(str(number), float(number), None) for number in range(count)]
    content = json.loads(b"".join(json_chunks(FIELDS, rows, lambda: Info(STATUS, "OVERFLOW"))))
    assert len(content["rows"]) == count
    assert content["status"] == "OVERFLOW"
    assert b"".join(csv_chunks(FIELDS, rows)).count(b"\r\n") == count + 1


def test_text_that_is_no_unicode_stops_nothing() -> None:
    rows: list[Row] = [("a\ud800b", None, None)]
    assert b"a?b" in b"".join(csv_chunks(FIELDS, rows))
    assert json.loads(b"".join(json_chunks(FIELDS, rows)))["rows"][0][0] == "a?b"


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"])
def test_a_text_that_a_spreadsheet_takes_for_a_formula_is_guarded(cell: str) -> None:
    fields = [Field(name="id"), Field(name="dec", datatype="double")]
    content = b"".join(csv_chunks(fields, [(cell, -1.5), ("a=b", None)], guarded=True)).decode()
    assert list(csv.reader(io.StringIO(content, newline=""))) == [
        ["id", "dec"],
        [f"'{cell}", "-1.5"],
        ["a=b", ""],
    ]


@pytest.mark.parametrize(
    "text", ["=1+1", "'=1+1", "''-1", "'", "''", "'tis", "plain", "", "a'=b", "\t", "'\r"]
)
def test_a_guard_is_taken_away_again(text: str) -> None:
    assert unguarded_csv_cell(guarded_csv_cell(text)) == text


def test_only_a_guard_is_taken_away() -> None:
    assert [unguarded_csv_cell(text) for text in ("'tis", "=1", "'x=1")] == ["'tis", "=1", "'x=1"]
