"""Everything wrong that can be asked of ``/query``: one VOTable that says what, and how to mend it."""

from __future__ import annotations

import io
from typing import Any

import pytest
from astropy.io.votable import parse
from flask.testing import FlaskClient
from lxml import etree

from tests.support.outside import Validate

V = {"v": "http://www.ivoa.net/xml/VOTable/v1.3"}
VOTABLE = "application/x-votable+xml"
LONG = "x" * 501


def refused(client: FlaskClient, status: int = 400, **parameters: Any) -> str:
    response = client.get("/query", query_string=parameters)
    assert response.status_code == status, response.data
    assert response.content_type == VOTABLE
    (info,) = etree.fromstring(response.data).iterfind(".//v:INFO[@name='QUERY_STATUS']", V)
    assert info.get("value") == "ERROR"
    assert info.text is not None
    assert info.text.startswith("UsageFault: ")
    return str(info.text)


WRONG = {
    "POS": [
        "",
        "150 0",
        "SQUARE 1 2 3",
        "CIRCLE",
        "CIRCLE 1 2",
        "CIRCLE 1 2 3 4",
        "CIRCLE 1 2 -1",
        "CIRCLE 1 2 181",
        "CIRCLE 1 91 1",
        "CIRCLE NaN 2 1",
        "CIRCLE Inf 2 1",
        "CIRCLE 1,2,3",
        "CIRCLE 1e9 0 1",
        "RANGE 1 2 3",
        "RANGE 1 2 4 3",
        "RANGE +Inf +Inf 0 1",
        "RANGE 1 2 -91 0",
        "RANGE NaN 2 0 1",
        "POLYGON 1 2 3 4",
        "POLYGON 1 2 3 4 5",
        "POLYGON 1 1 1 1 1 1",
        "POLYGON 0 0 1 0 2 0",
        "POLYGON 0 0 1 1 1 0 0 1",
        "POLYGON 0 0 90 0 180 0 270 0",
    ],
    "BAND": ["a", "1 2 3", "2 1", "NaN", "+Inf +Inf", "1,2", "1e999"],
    "TIME": ["2020-01-01", "2 1", "59000 59001 59002"],
    "FOV": ["wide", "2 1"],
    "SPATRES": ["x", "2 1"],
    "SPECRP": ["x", "2 1"],
    "EXPTIME": ["x", "2 1"],
    "TIMERES": ["x", "2 1"],
    "POL": ["i", "Z", "I Q"],
    "CALIB": ["5", "-1", "two", "1.0", "²"],
    "MAXREC": ["-1", "1.5", "many"],
    "RESPONSEFORMAT": ["fits", "text/html", "x" * 600],
    "ID": [LONG, "a\x00b"],
    "COLLECTION": [LONG, "a\nb"],
    "TARGET": [LONG],
    "FORMAT": [LONG],
    "DPTYPE": ["a\tb"],
    "RUNID": ["x" * 65],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values if value]
)
def test_sia_15_a_wrong_value_is_named(client: FlaskClient, name: str, value: str) -> None:
    assert name in refused(client, **{name: value})


@pytest.mark.parametrize("name", WRONG)
def test_soda_16_an_empty_value_is_none(client: FlaskClient, name: str) -> None:
    assert (
        client.get("/query", query_string={name: "", "MAXREC": "1" if name != "MAXREC" else ""}).status_code
        == 200
    )


@pytest.mark.parametrize("name", ["MAXREC", "RESPONSEFORMAT", "RUNID", "REQUEST", "VERSION"])
def test_dali_01_what_is_taken_once_is_refused_twice(client: FlaskClient, name: str) -> None:
    values = {"MAXREC": ["1", "2"], "RESPONSEFORMAT": ["csv", "csv"]}.get(name, ["a", "b"])
    assert f"{name} is taken once" in refused(client, **{name: values})


def test_sia_15_the_error_is_valid_and_readable(client: FlaskClient, validate: Validate) -> None:
    response = client.get("/query?BAND=blue")
    assert validate(response.data) == []
    parse(io.BytesIO(response.data), verify="exception")
    text = refused(client, BAND="blue")
    assert '"blue"' in text
    assert "Write BAND=lower upper" in text
    assert f"(request id: {response.headers['X-Request-Id']})"[:13] in text


def test_every_fault_is_named(client: FlaskClient) -> None:
    text = refused(client, POS="x", BAND="y", CALIB="9", MAXREC="z", FOO="1")
    assert all(name in text for name in ("POS", "BAND", "CALIB", "MAXREC", "FOO"))


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("POSS", "POS"), ("CALIBRATION", "CALIB"), ("COLECTION", "COLLECTION"), ("maxrecs", "MAXREC")],
)
def test_unknown_parameters_name_the_nearest_known_one(client: FlaskClient, name: str, nearest: str) -> None:
    text = refused(client, **{name: "1"})
    assert name.upper() in text
    assert f"Did you mean {nearest}?" in text


def test_soda_parameters_are_not_those_of_a_query(client: FlaskClient) -> None:
    for name in ("CIRCLE", "POLYGON", "FILTER", "CENTER"):
        assert name in refused(client, **{name: "1"})


def test_dali_09_uploads_are_refused(client: FlaskClient) -> None:
    assert "UPLOAD" in refused(client, UPLOAD="t,http://example.org/")
    response = client.post(
        "/query", data={"t": (io.BytesIO(b"x"), "t.xml")}, content_type="multipart/form-data"
    )
    assert response.status_code == 400
    assert b"UsageFault" in response.data


@pytest.mark.parametrize("name", ["csv", "text/csv", "json", "application/json"])
def test_sia_15_text_formats_have_errors_in_text(client: FlaskClient, name: str) -> None:
    response = client.get("/query", query_string={"RESPONSEFORMAT": name, "POS": "x"})
    assert response.status_code == 400
    assert response.content_type.startswith("text/plain")
    assert response.text.startswith("UsageError: POS")


def test_dali_03_text_xml_is_echoed_in_errors_too(client: FlaskClient) -> None:
    response = client.get("/query", query_string={"RESPONSEFORMAT": "text/xml", "POS": "x"})
    assert (response.status_code, response.content_type) == (400, "text/xml")


def test_bodies_that_are_no_form(client: FlaskClient) -> None:
    response = client.post("/query", data=b"{}", content_type="application/json")
    assert (response.status_code, response.content_type) == (415, VOTABLE)
    many = client.get("/query?" + "&".join(["POL=I"] * 501))
    assert (many.status_code, many.content_type) == (413, VOTABLE)


def test_no_page_and_no_trace_whatever_comes(client: FlaskClient) -> None:
    for query in (b"POS=%ff%fe", b"%00=1", b"POS=" + b"9" * 30_000, b"ID=%ED%A0%80", b"MAXREC=%D9%A1"):
        response = client.get("/query?" + query.decode("latin-1"))
        assert response.status_code in (200, 400)
        assert b"<html" not in response.data.lower()
        assert b"Traceback" not in response.data
        etree.fromstring(response.data)
