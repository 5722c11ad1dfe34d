"""Everything malformed is refused in one way: status, label, words; never HTML, a traceback or a path."""

from __future__ import annotations

import io
import json
from pathlib import Path
from urllib.parse import urlencode

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.support.service import did

ID = did("tiny/g/a")
CIRCLE = "150 0 0.002"

#: One line for each case: parameters beside a right ID, and what the answer must say.
CASES = [
    json.loads(line)
    for line in Path(__file__).with_name("bad_values.jsonl").read_text(encoding="utf-8").splitlines()
]
LONG_CASES = [
    [{"CIRCLE": "1" * 5000}, "got 1"],
    [{"CIRCLE": "9" * 400 + " 2 3"}, "decimal numbers"],
    [{"POLYGON": "1 2 " * 600}, "at most 500 are taken"],
    [{"POLYGON": "1 2 " * 6000}, "at most 20000 are taken"],
    [{"x" * 300: "1"}, "is not a parameter"],
]

WRONG_IDS = [
    "x",
    "tiny/g/a",
    "ivo://elsewhere.example/x?tiny/g/a",
    "ivo://example.org/fountain",
    "ivo://example.org/fountain?",
    "file:///etc/passwd",
    "http://localhost/",
    "/etc/passwd",
    "\\\\host\\share",
    "é",
]
WRONG_DATASETS = [
    "nothing",
    "tiny/u",
    "tiny/g/zz",
    "tiny/g/a/b",
    "tiny//a",
    "tiny/g/a/",
    "/tiny/g/a",
    "../../etc/passwd",
    "tiny/g/../a",
    "tiny/g/a_g.fits",
    "tiny/g/a[1]",
    "tiny/g/a\x00",
    "tiny/g/a'--",
    "tiny/g/a%2e",
    "tiny/g/a#1",
    "tiny?g?a",
    "a" * 3000,
    "tiny/%67/a",
    "TINY/G/ A",
    "tiny/g/é",
]


def assert_refused(answer: TestResponse, status: int, label: str, said: str) -> None:
    body = answer.text
    assert answer.status_code == status, body
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    first, *_, last = body.splitlines()
    assert first.startswith(f"{label}: ")
    assert said in body, body
    assert last == f"request id: {answer.headers['X-Request-Id']}"
    assert len(body) < 3000
    assert "Traceback" not in body
    assert "<html" not in body.lower()
    assert "<!doctype" not in body.lower()
    assert "/tmp" not in body
    assert ".py" not in body


@pytest.mark.parametrize(("wrong", "said"), CASES + LONG_CASES)
def test_soda_46_soda_80_soda_81_malformed_parameters(
    client: FlaskClient, wrong: dict[str, str], said: str
) -> None:
    parameters = {"ID": ID, **wrong}
    name = list(wrong)[-1]
    for answer in (
        client.get("/sync", query_string=urlencode(parameters)),
        client.post("/sync", data=parameters),
        client.post("/sync", data=parameters, content_type="multipart/form-data"),
    ):
        assert_refused(answer, 400, "UsageError", said)
        assert name.upper()[:20] in answer.text.upper()


@pytest.mark.parametrize("value", [*WRONG_IDS, *map(did, WRONG_DATASETS)])
def test_soda_06_soda_07_ids_are_opaque_and_unknown_ones_are_404(client: FlaskClient, value: str) -> None:
    answer = client.get("/sync", query_string=urlencode({"ID": value, "CIRCLE": CIRCLE}))
    assert_refused(answer, 404, "UsageError", "no ")


@pytest.mark.parametrize(
    "name",
    [
        "ID",
        "POS",
        "CIRCLE",
        "POLYGON",
        "BAND",
        "TIME",
        "CENTER",
        "SIZE",
        "MASK",
        "RUNID",
        "MAXREC",
        "VERSION",
    ],
)
def test_soda_12_repeated_parameters(client: FlaskClient, name: str) -> None:
    query = urlencode([("ID", ID), (name, "1"), (name.lower(), "1")])
    answer = client.get(f"/sync?{query}")
    assert_refused(answer, 400, "MultiValuedParamNotSupported", f"{name} is taken once")


@pytest.mark.parametrize(
    "query",
    ["ID=%ff%fe", "ID=%", "ID=%zz", "%00=1", "=1", "&&&", "ID", "?ID=x", "ID==", "I\xffD=1", "%ff=%ff&ID=1"],
)
def test_queries_that_are_no_queries(client: FlaskClient, query: str) -> None:
    answer = client.get("/sync", environ_overrides={"QUERY_STRING": query})
    assert_refused(answer, 404 if query.startswith("ID=") else 400, "UsageError", "")


def test_soda_05_a_bare_get_names_the_parameters(client: FlaskClient) -> None:
    answer = client.get("/sync")
    assert_refused(answer, 400, "UsageError", "ID, POS, CIRCLE, POLYGON, BAND, TIME, POL")


def test_soda_82_several_faults(client: FlaskClient) -> None:
    answer = client.get("/sync?ID=x&CIRCLE=1&BAND=2+1&BAMD=3")
    assert_refused(answer, 400, "UsageError", "CIRCLE needs 3")
    assert "BAND: the lower limit" in answer.text
    assert "Did you mean BAND?" in answer.text
    assert "no dataset has the ID" in answer.text


def test_json_twin(client: FlaskClient) -> None:
    answer = client.get("/sync?ID=x", headers={"Accept": "application/json"})
    assert answer.headers["Content-Type"] == "application/json"
    told = json.loads(answer.data)
    assert told["error"] == "UsageError"
    assert told["status"] == answer.status_code == 404
    assert told["request_id"] == answer.headers["X-Request-Id"]


@pytest.mark.parametrize(
    "content_type", ["application/json", "text/xml", "application/octet-stream", "", "x"]
)
def test_bodies_that_are_no_forms(client: FlaskClient, content_type: str) -> None:
    answer = client.post("/sync", data=b'{"ID": 1}', content_type=content_type)
    assert_refused(answer, 415, "UsageError", "multipart/form-data")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"--x\r\n\r\n"),
        ("multipart/form-data; boundary=x", b"garbage"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--\r\n"),
        ("application/x-www-form-urlencoded", b"\xff\xfe=\xff"),
    ],
)
def test_broken_forms(client: FlaskClient, content_type: str, body: bytes) -> None:
    answer = client.post("/sync", data=body, content_type=content_type)
    assert_refused(answer, 400, "UsageError", "")


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
def test_too_much(client: FlaskClient, content_type: str) -> None:
    answer = client.post("/sync", data=b"ID=" + b"a" * 300_000, content_type=content_type)
    assert_refused(answer, 413, "UsageError", "too large")


def test_too_many_parameters(client: FlaskClient) -> None:
    answer = client.post("/sync", data={"POL": ["I"] * 501})
    assert_refused(answer, 413, "UsageError", "more than 500")
    answer = client.post("/sync", data={"POL": ["I"] * 501}, content_type="multipart/form-data")
    assert_refused(answer, 413, "UsageError", "")


def test_dali_09_files_are_not_taken(client: FlaskClient) -> None:
    answer = client.post("/sync", data={"ID": ID, "targets": (io.BytesIO(b"ra,dec"), "t.csv")})
    assert_refused(answer, 400, "UsageError", "UPLOAD is not supported")


@pytest.mark.parametrize("host", ["", "a b", "<x>", "a/b", "[::1", "x" * 5 + '"'])
def test_a_host_that_cannot_be_told_back(client: FlaskClient, host: str) -> None:
    answer = client.get("/capabilities", headers={"Host": host})
    assert_refused(answer, 400, "UsageError", "Host")


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("abc-12345.X_", True),
        ("short", False),
        ("a" * 65, False),
        ("a b c d e f", False),
        ("é" * 10, False),
        ("<script>alert</script>", False),
    ],
)
def test_request_id_is_taken_over_only_if_safe(client: FlaskClient, sent: str, kept: bool) -> None:
    answer = client.get("/sync", headers={"X-Request-Id": sent.encode().decode("latin-1")})
    assert (answer.headers["X-Request-Id"] == sent) is kept
    assert f"request id: {answer.headers['X-Request-Id']}\n" in answer.text
