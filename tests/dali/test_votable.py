"""VOTable documents, read back by astropy and by lxml, and against the schema."""

from __future__ import annotations

import io
import itertools
import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io.votable import parse
from lxml import etree

from dali.errors import NotFound, ServiceUnavailable, UsageError
from dali.responses import fault_message
from dali.votable import (
    OK,
    STATUS,
    Coosys,
    Field,
    FirstRows,
    Info,
    Param,
    Row,
    ServiceDescriptor,
    Timesys,
    Values,
    error_document,
    format_value,
    text_param,
    votable_chunks,
)
from tests.support.outside import Validate, stilts

NAMESPACES = {"v": "http://www.ivoa.net/xml/VOTable/v1.3"}
FIELDS = (
    Field(name="text", description="a < b & c"),
    Field(name="real", datatype="double", unit="deg", ucd="pos.eq.ra", ref="sky"),
    Field(name="whole", datatype="long"),
    Field(name="time", datatype="double", unit="d", ref="clock"),
    Field(name="flag", datatype="boolean"),
    Field(name="pair", datatype="double", arraysize="2", xtype="interval"),
    Field(name="did", id="did", ucd="meta.ref.ivoid"),
)
SYSTEMS = (Coosys("sky"), Timesys("clock"))
DESCRIPTOR = ServiceDescriptor(
    id="cut",
    name="cutouts",
    description="Cut < & out",
    params=(text_param("accessURL", "https://example.org/sync?a=1&b=2", ucd="meta.ref.url"),),
    inputs=(
        Param(name="ID", ref="did"),
        Param(
            name="CIRCLE",
            datatype="double",
            arraysize="3",
            xtype="circle",
            unit="deg",
            values=Values(maximum=(1.5, -2.0, 0.25)),
        ),
        Param(
            name="BAND",
            datatype="double",
            arraysize="2",
            xtype="interval",
            values=Values(3e-7, float("inf")),
        ),
        Param(name="CALIB", datatype="int", values=Values(options=(0, 3))),
        Param(name="POL", values=Values(options=("I", "V"))),
    ),
)


def document(rows: Sequence[Row] = (), **more: Any) -> bytes:
    more = {"systems": SYSTEMS, "descriptors": (DESCRIPTOR,), "infos": (OK, Info("standardID", "x")), **more}
    return b"".join(votable_chunks(FIELDS, rows, **more))


def row(**values: object) -> Row:
    empty: dict[str, Any] = dict.fromkeys((field.name for field in FIELDS), None)
    return tuple((empty | values).values())


def cells(content: bytes) -> list[list[str | None]]:
    root = etree.fromstring(content)
    return [[cell.text for cell in line] for line in root.iterfind(".//v:TR", NAMESPACES)]


def statuses(content: bytes) -> list[tuple[str | None, str | None]]:
    infos = etree.fromstring(content).iterfind(".//v:INFO", NAMESPACES)
    return [(info.get("value"), info.text) for info in infos if info.get("name") == STATUS]


def test_vot_01_version_namespace_and_schema(validate: Validate) -> None:
    content = document([row(text="a", real=1.5, whole=3, flag=True, pair=(1.0, 2.0), did="x")])
    root = etree.fromstring(content)
    assert root.tag == "{http://www.ivoa.net/xml/VOTable/v1.3}VOTABLE"
    assert root.get("version") == "1.4"
    assert validate(content) == []


def test_vot_02_vot_05_one_results_resource_first_and_children_in_order(validate: Validate) -> None:
    content = document([row()], description="All", ending=lambda: Info(STATUS, "OVERFLOW", "more"))
    resources = etree.fromstring(content).findall("v:RESOURCE", NAMESPACES)
    assert [resource.get("type") for resource in resources] == ["results", "meta"]
    names = [etree.QName(child).localname for child in resources[0]]
    assert names == ["DESCRIPTION", "INFO", "INFO", "COOSYS", "TIMESYS", "TABLE", "INFO"]
    assert validate(content) == []


def test_vot_03_vot_04_status_first_and_overridden_at_the_end() -> None:
    assert statuses(document()) == [("OK", None)]
    ended = document([row()], ending=lambda: Info(STATUS, "OVERFLOW", "There is more"))
    assert statuses(ended) == [("OK", None), ("OVERFLOW", "There is more")]


def test_vot_04_rows_that_fail_end_in_an_error() -> None:
    def failing() -> Iterator[Row]:
        yield from itertools.repeat(row(text="good"), 450)
        raise OSError("disk")

    ended = b"".join(
        votable_chunks(FIELDS, failing(), failure=lambda e: Info(STATUS, "ERROR", f"FatalFault: {e}"))
    )
    assert statuses(ended)[-1] == ("ERROR", "FatalFault: disk")
    assert len(cells(ended)) == 400
    with pytest.raises(OSError, match="disk"):
        b"".join(votable_chunks(FIELDS, failing()))


def test_vot_06_vot_07_params_have_values_and_limits_are_attributes() -> None:
    params = {
        param.get("name"): param for param in etree.fromstring(document()).iterfind(".//v:PARAM", NAMESPACES)
    }
    assert all(param.get("datatype") and param.get("value") is not None for param in params.values())
    assert params["accessURL"].get("value") == "https://example.org/sync?a=1&b=2"
    assert (params["ID"].get("ref"), params["ID"].get("value")) == ("did", "")
    limits = {
        name: [
            (etree.QName(one).localname, one.get("value")) for one in param.iterfind("v:VALUES/*", NAMESPACES)
        ]
        for name, param in params.items()
    }
    assert limits["CIRCLE"] == [("MAX", "1.5 -2.0 0.25")]
    assert limits["BAND"] == [("MIN", "3e-07"), ("MAX", "+Inf")]
    assert limits["CALIB"] == [("OPTION", "0"), ("OPTION", "3")]


def test_sd_01_to_sd_05_descriptors_stand_beside_the_results() -> None:
    root = etree.fromstring(document())
    (service,) = root.findall("v:RESOURCE[@type='meta']", NAMESPACES)
    assert (service.get("utype"), service.get("ID")) == ("adhoc:service", "cut")
    assert [group.get("name") for group in service.findall("v:GROUP", NAMESPACES)] == ["inputParams"]


def test_vot_08_null_is_an_empty_cell_of_any_type() -> None:
    content = document([row()])
    assert cells(content) == [[None] * len(FIELDS)]
    read = parse(io.BytesIO(content), verify="exception").get_first_table().array
    assert all(np.all(read.mask[name]) for name in ("real", "whole", "flag"))


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (float("inf"), "+Inf"),
        (float("-inf"), "-Inf"),
        (float("nan"), "NaN"),
        (0.1, "0.1"),
        (-0.0, "-0.0"),
        (1e-300, "1e-300"),
        (np.float64(1.5), "1.5"),
        (np.float32(0.5), "0.5"),
        (3, "3.0"),
    ],
)
def test_vot_09_numbers_are_spelled_as_votable_does(number: float, text: str) -> None:
    assert cells(document([row(real=number)]))[0][1] == text


@pytest.mark.parametrize(("number", "text"), [(7, "7"), (np.int64(7), "7"), (2**53 + 1, str(2**53 + 1))])
def test_whole_numbers_stay_whole(number: int, text: str) -> None:
    assert cells(document([row(whole=number)]))[0][2] == text


def test_a_fraction_in_a_column_of_whole_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match="whole"):
        document([row(whole=1.5)])


def test_values_of_every_kind_have_a_text() -> None:
    values = (None, "a", True, False, 3, 1.5, (1.0, float("inf")))
    assert [format_value(value) for value in values] == ["", "a", "true", "false", "3", "1.5", "1.0 +Inf"]


@pytest.mark.parametrize("text", ["a\x00b", "a\x0bb", "a\ud800b", "a\ufffeb", "a\x1fb"])
def test_vot_11_characters_that_xml_has_not_are_removed(text: str) -> None:
    content = document(
        [row(text=text)],
        infos=(OK, Info("q", text, text)),
        descriptors=(ServiceDescriptor(params=(text_param("u", text),), inputs=()),),
    )
    assert cells(content)[0][0] == "ab"
    root = etree.fromstring(content)
    assert root.find(".//v:INFO[@name='q']", NAMESPACES).get("value") == "ab"
    assert root.find(".//v:PARAM[@name='u']", NAMESPACES).get("value") == "ab"
    assert b">UsageFault: ab<" in error_document(f"UsageFault: {text}")


@pytest.mark.parametrize("text", ["<a & b>", "]]>", "é ü 漢字 😀", '"quoted"', " spaces ", "a\r\nb", "&amp;"])
def test_vot_11_everything_else_comes_back_as_it_was(text: str) -> None:
    assert cells(document([row(text=text)]))[0][0] == text


def test_vot_11_the_encoding_is_declared() -> None:
    assert document().startswith(b"<?xml version='1.0' encoding='UTF-8'?>")


def test_rows_keep_nothing_of_those_before() -> None:
    rows = [row(text=str(number), real=float(number)) if number % 3 else row() for number in range(1001)]
    read = cells(document(rows))
    assert len(read) == 1001
    assert read[200][:2] == ["200", "200.0"]
    assert read[999] == [None] * len(FIELDS)
    assert read[1000][:2] == ["1000", "1000.0"]


def test_a_row_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        document([("a",)])


@pytest.mark.parametrize(
    ("given", "at_most", "kept", "truncated"),
    [(3, 5, 3, 0), (5, 5, 5, 0), (6, 5, 5, 1), (0, 0, 0, 1), (9, 0, 0, 1)],
)
def test_dali_05_dali_06_first_rows(given: int, at_most: int, kept: int, truncated: int) -> None:
    rows = FirstRows(itertools.repeat(row(), given), at_most)
    content = document(rows, ending=rows.ending)  # type: ignore[arg-type]
    assert len(cells(content)) == kept
    assert [status for status, _ in statuses(content)] == ["OK", *["OVERFLOW"] * truncated]


def test_first_rows_ask_for_one_row_more_than_they_give() -> None:
    numbers = itertools.count()
    rows = FirstRows(((number,) for number in numbers), 5)
    assert len(list(rows)) == 5
    assert next(numbers) == 6


def test_the_head_comes_before_any_row_is_asked_for() -> None:
    def rows() -> Iterator[Row]:
        raise AssertionError("a row was asked for")
        yield

    first = next(votable_chunks(FIELDS, rows()))
    assert first.rstrip().endswith(b"<TABLEDATA>")


def test_a_stream_may_be_left_at_any_time() -> None:
    chunks = votable_chunks(FIELDS, itertools.repeat(row(text="a")))
    for _ in range(3):
        next(chunks)
    chunks.close()


def test_many_rows_take_bounded_memory() -> None:
    one = row(text="x" * 200, real=1.5, did="y" * 100)
    tracemalloc.start()
    try:
        size = sum(map(len, votable_chunks(FIELDS, itertools.repeat(one, 20_000))))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > 6_000_000
    assert peak < 2_000_000


def test_vot_14_error_document(validate: Validate) -> None:
    content = error_document("UsageFault: POS <wrong> & more", [Info("standardID", "ivo://x")])
    assert statuses(content) == [("ERROR", "UsageFault: POS <wrong> & more")]
    assert validate(content) == []


def test_sia_15_dl_10_fault_words() -> None:
    wrong = UsageError("POS is wrong", "Write POS=…", also=(UsageError("BAND is wrong"),))
    assert fault_message(wrong, "7") == (
        "UsageFault: POS is wrong. Write POS=… Also: BAND is wrong. (request id: 7)"
    )
    assert fault_message(ServiceUnavailable("not now", retry_after_s=1)) == "TransientFault: not now."
    assert fault_message(NotFound("no such thing")).startswith("UsageFault: ")


def test_vot_10_stilts_finds_no_fault(tmp_path: Path) -> None:
    # STILTS takes no empty cell for an array of fixed size, which VOTable allows since 1.3.
    rows = [row(text="é", real=1.5, whole=3, flag=True, pair=(1.0, 2.0), did="x"), row(pair=(0.0, 1.0))]
    path = tmp_path / "table.xml"
    path.write_bytes(document(rows, ending=lambda: Info(STATUS, "OVERFLOW", "more")))
    assert stilts("votlint", votable=str(path)) == []


def test_astropy_reads_it_pedantically() -> None:
    content = document([row(text="a", real=1.5, whole=3, flag=True, pair=(1.0, 2.0), did="x")])
    read = parse(io.BytesIO(content), verify="exception").get_first_table().array[0]
    assert (read["text"], read["real"], read["whole"], bool(read["flag"])) == ("a", 1.5, 3, True)
    assert list(read["pair"]) == [1.0, 2.0]
