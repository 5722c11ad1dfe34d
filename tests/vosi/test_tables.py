"""Tables: written, valid, read by others, and served."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from flask import Flask
from flask.testing import FlaskClient
from lxml import etree
from vo_models.vosi.tables import VOSITableSet

from config.answers import answer_errors
from dali.votable import Field
from tests.support.outside import Validate
from vosi.availability import Monitor
from vosi.record import Record
from vosi.tables import Table, write_table, write_tableset
from vosi.views import Described, make_blueprint

TABLE = Table(
    "ivoa.ObsCore",
    "Rows & <columns>",
    (
        Field(
            name="s_ra",
            datatype="double",
            unit="deg",
            ucd="pos.eq.ra",
            utype="obscore:Char.SpatialAxis.Coverage.Location.Coord.Position2D.Value2.C1",
            description="Right ascension",
        ),
        Field(name="s_region", xtype="adql:REGION"),
        Field(name="shape", datatype="int", arraysize="2"),
    ),
)
OTHER = Table("ivoa.Other", "", ())
XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    app = Flask("tables", static_folder=None)

    def no_record(base_url: str) -> Record:
        raise AssertionError

    told = Described("x", (), (TABLE, OTHER), datetime(2026, 1, 2, tzinfo=UTC), list, no_record)
    app.register_blueprint(make_blueprint(told, Monitor((), 60), lambda: "http://here"))
    answer_errors(app)
    return app.test_client()


@pytest.mark.parametrize("columns", [True, False])
def test_vosi_08_vosi_09_a_set_is_valid(validate: Validate, columns: bool) -> None:
    written = write_tableset((TABLE, OTHER), columns=columns)
    assert validate(written) == []
    root = etree.fromstring(written)
    assert root.get("version") is None
    assert root.tag == "{http://www.ivoa.net/xml/VOSITables/v1.0}tableset"
    assert [found.text for found in root.iterfind("schema/name")] == ["ivoa"]
    assert [found.text for found in root.iterfind("schema/table/name")] == ["ivoa.ObsCore", "ivoa.Other"]
    assert len(root.findall(".//column")) == (3 if columns else 0)


def test_vosi_08_a_table_is_valid(validate: Validate) -> None:
    written = write_table(TABLE)
    assert validate(written) == []
    root = etree.fromstring(written)
    assert root.tag == "{http://www.ivoa.net/xml/VOSITables/v1.0}table"
    assert root.get("version") is None
    columns = root.findall("column")
    assert [column.get("std") for column in columns] == ["true", "false", "false"]
    types = [column.find("dataType") for column in columns]
    assert [None if t is None else (t.text, t.get("arraysize"), t.get("extendedType")) for t in types] == [
        ("double", None, None),
        ("char", "*", "adql:REGION"),
        ("int", "2", None),
    ]
    assert {t.get(XSI_TYPE) for t in types if t is not None} == {"vs:VOTableType"}


def test_vosi_08_another_reader_reads_them() -> None:
    read = VOSITableSet.from_xml(write_tableset((TABLE,), columns=True))
    (table,) = read.tableset_schema[0].table
    assert table.table_name == "ivoa.ObsCore"
    assert [column.column_name for column in table.column] == ["s_ra", "s_region", "shape"]


@pytest.mark.parametrize(
    ("query", "columns"), [("", 3), ("?detail=max", 3), ("?DETAIL=Max", 3), ("?detail=min", 0)]
)
def test_vosi_08_detail(client: FlaskClient, validate: Validate, query: str, columns: int) -> None:
    answer = client.get(f"/tables{query}")
    assert answer.headers["Content-Type"] == "text/xml"
    assert validate(answer.data) == []
    assert len(etree.fromstring(answer.data).findall(".//column")) == columns


def test_vosi_08_bad_detail(client: FlaskClient) -> None:
    answer = client.get("/tables?detail=all")
    assert answer.status_code == 400
    assert answer.text.startswith('UsageError: detail is min or max; got "all".')


@pytest.mark.parametrize("name", ["ivoa.ObsCore", "ivoa.obscore"])
def test_vosi_08_one_table(client: FlaskClient, validate: Validate, name: str) -> None:
    answer = client.get(f"/tables/{name}")
    assert validate(answer.data) == []
    assert etree.fromstring(answer.data).findtext("name") == "ivoa.ObsCore"


def test_vosi_08_unknown_table(client: FlaskClient) -> None:
    answer = client.get("/tables/ivoa.nothing")
    assert answer.status_code == 404
    assert "There is ivoa.ObsCore, ivoa.Other." in answer.text


def test_http_11_last_modified(client: FlaskClient) -> None:
    answer = client.get("/tables")
    assert answer.headers["Last-Modified"] == "Fri, 02 Jan 2026 00:00:00 GMT"
    again = client.get("/tables", headers={"If-Modified-Since": answer.headers["Last-Modified"]})
    assert again.status_code == 304
