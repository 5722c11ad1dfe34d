"""Columns of texts: other programs read in them what was written."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from dali.votable import Datatype, Value, legal
from uws.job import LedgerRow, RowStatus
from uws.packages.package import Column, Entry, fact
from uws.packages.texts import Texts, csv_cells, xml_cells

#: Whatever is not half a character.
CELLS = st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=5)


def entries(*values: Value) -> list[Entry]:
    rows = (
        LedgerRow(f"r{n}", n, 0, RowStatus.DONE, "", "", "", "", 0, 0, 0, "", facts={"x": value})
        for n, value in enumerate(values)
    )
    return [Entry(row, "", "") for row in rows]


def column(datatype: Datatype) -> Column:
    return Column(name="x", datatype=datatype, value=fact("x"))


@given(CELLS)
@settings(max_examples=60)
def test_cells_are_read_as_they_were(cells: list[str]) -> None:
    row = ",".join([*csv_cells(cells), "end"])
    assert next(csv.reader(io.StringIO(row, newline=""))) == [*cells, "end"]
    document = "<TR>" + "".join(f"<TD>{text}</TD>" for text in xml_cells(cells)) + "</TR>"
    read = etree.fromstring(document.encode())
    # XML has but one end of line.
    written = [legal(text).replace("\r\n", "\n").replace("\r", "\n") for text in cells]
    assert [cell.text or "" for cell in read] == written


@pytest.mark.parametrize(
    ("datatype", "values", "texts"),
    [
        ("double", [1.5, None, float("nan"), float("-inf"), 2], ["1.5", "", "NaN", "-Inf", "2.0"]),
        ("double", [0.1, 0.1], ["0.1", "0.1"]),
        ("long", [3, None, 4.0], ["3", "", "4"]),
        ("boolean", [True, None, False], ["true", "", "false"]),
        ("boolean", [False, False], ["false", "false"]),
        ("char", ["a", None, "é\n"], ["a", "", "é\n"]),
        ("char", [None, None], ["", ""]),
    ],
)
def test_values_become_texts(datatype: Datatype, values: Sequence[Value], texts: list[str]) -> None:
    assert Texts([column(datatype)]).of(entries(*values)) == [texts]


def test_what_may_be_a_formula_is_guarded_where_it_is_a_text() -> None:
    cells = ["=1", "-1", "+1", "@x", "\tx", "", "x", "1", "é"]
    guarded = Texts([column("char")]).guarded([cells])
    assert guarded == [["'=1", "'-1", "'+1", "'@x", "'\tx", "", "x", "1", "é"]]
    assert Texts([column("double")]).guarded([["-1"]]) == [["-1"]]
