"""Everything malformed is refused in one way: status, label, words; never HTML, a traceback, or a change."""

from __future__ import annotations

import io

import pytest
from werkzeug.test import TestResponse

from tests.uws.conftest import Client, House, id_of

LONG = "9" * 15_000
#: Query of the list, or of a job; what the answer says.
FILTERS = [
    ("LAST=0", 'LAST is a whole number, 1 or more; got "0"'),
    ("LAST=-1", "LAST is a whole number"),
    ("LAST=x", 'got "x"'),
    ("LAST=1.5", 'got "1.5"'),
    ("LAST=1e3", "LAST"),
    ("LAST=%D9%A3", "LAST"),  # an Arabic three is a digit to Python
    ("LAST=0x10", "LAST"),
    ("LAST=1_0", "LAST"),
    ("LAST=%00", "\\x00"),
    ("LAST=%FF", "LAST"),
    (f"LAST={LONG}", '"999'),
    ("LAST=1&last=2", "MultiValuedParamNotSupported: LAST is taken once"),
    ("AFTER=yesterday", 'AFTER is a time such as 2026-01-31T12:00:00Z; got "yesterday"'),
    ("AFTER=2026-13-01T00:00:00", "AFTER"),
    ("AFTER=2026-01-01T25:00:00", "AFTER"),
    ("AFTER=2026-02-30", "AFTER"),
    ("AFTER=2026-01-01T00:00:00+99:99", "AFTER"),
    ("AFTER=0000-01-01", "AFTER"),
    ("AFTER=1767225600", "AFTER"),
    (f"AFTER={LONG}", "AFTER"),
    ("AFTER=%FF", "AFTER"),
    ("AFTER=2026-01-01&AFTER=2026-01-02", "MultiValuedParamNotSupported: AFTER"),
    ("PHASE=FOO", "PHASE is one of PENDING, QUEUED, EXECUTING, COMPLETED"),
    ("PHASE=pending", 'got "pending"'),
    ("PHASE=PENDING&PHASE=DONE", 'got "DONE"'),
    ("PHASE=PENDING,QUEUED", "PHASE"),
    ("ID=x", "ID is not a parameter of this resource"),
    ("ID=x&CIRCLE=1 2 3", "Jobs are made by POST."),
    ("LATS=3", "Did you mean LAST?"),
]
WAITS = [
    ("WAIT=x", 'WAIT is a whole number of seconds; got "x"'),
    ("WAIT=1.5", 'got "1.5"'),
    ("WAIT=inf", "WAIT"),
    ("WAIT=nan", "WAIT"),
    ("WAIT=1e2", "WAIT"),
    ("WAIT=--1", "WAIT"),
    ("WAIT=%00", "WAIT"),
    ("WAIT=%FF", "WAIT"),
    (f"WAIT={LONG}", "WAIT"),
    ("WAIT=1&wait=2", "MultiValuedParamNotSupported: WAIT"),
    ("WAIT=1&PHASE=FOO", "PHASE is one of PENDING"),
    ("WAIT=1&PHASE=QUEUED&PHASE=PENDING", "MultiValuedParamNotSupported: PHASE"),
]
#: Resource of a job, what is posted there, status, and what the answer says.
CHANGES = [
    ("/phase", {}, 400, "PHASE is RUN or ABORT; got nothing"),
    ("/phase", {"PHASE": "run"}, 400, 'PHASE is RUN or ABORT; got "run"'),
    ("/phase", {"PHASE": "HELD"}, 400, 'got "HELD"'),
    ("/phase", {"PHASE": ["RUN", "ABORT"]}, 400, "MultiValuedParamNotSupported: PHASE"),
    ("/phase", {"ROWS": "2"}, 400, "PHASE"),
    ("/phase", {"PHASE": LONG}, 400, "PHASE"),
    ("/executionduration", {}, 400, "EXECUTIONDURATION is a number of seconds, 0 or more; got nothing"),
    *(
        ("/executionduration", {"EXECUTIONDURATION": value}, 400, "EXECUTIONDURATION is a number")
        for value in ("-1", "x", "nan", "inf", "1e999", "1_0", "0x10", "١", "1 h", "-0.5", LONG, "\0", "1,5")
    ),
    ("/executionduration", {"EXECUTIONDURATION": ["1", "2"]}, 400, "MultiValuedParamNotSupported"),
    ("/destruction", {}, 400, "DESTRUCTION is a time such as 2026-01-31T12:00:00Z; got nothing"),
    *(
        ("/destruction", {"DESTRUCTION": value}, 400, "DESTRUCTION is a time")
        for value in (
            "soon",
            "-1",
            "2026-13-01",
            "2999-01-01T00:00:00Zx",
            "0001-01-01T00:00+23:59",
            LONG,
            "\0",
        )
    ),
    ("/destruction", {"DESTRUCTION": ["2999-01-01", "2998-01-01"]}, 400, "MultiValuedParamNotSupported"),
    ("/parameters", {}, 400, "there are no parameters"),
    ("/parameters", {"PHASE": "RUN"}, 400, "PHASE is not a parameter of the job"),
    ("/parameters", {"ACTION": "DELETE"}, 400, "ACTION is not a parameter of the job"),
    ("/parameters", {"RUNID": "x" * 65}, 400, "RUNID has 65 characters; at most 64"),
    ("/parameters", {"ROWS": "1" * 20_001}, 400, "at most 20000"),
    ("", {}, 400, "ACTION is DELETE, RETRY, RESUME, SHARE, NOTIFY, LINK or UNLINK; got nothing"),
    (
        "",
        {"ACTION": "delete"},
        400,
        'SHARE, NOTIFY, LINK or UNLINK; got "delete"',
    ),
    ("", {"ACTION": ["DELETE", "DELETE"]}, 400, "MultiValuedParamNotSupported: ACTION"),
    ("", {"ROWS": "2"}, 403, "ROWS is not taken by the job itself"),
]
CREATIONS = [
    ({"PHASE": "ABORT"}, 400, 'PHASE is RUN where a job is made; got "ABORT"'),
    ({"PHASE": "run"}, 400, 'got "run"'),
    ({"PHASE": ["RUN", "RUN"]}, 400, "MultiValuedParamNotSupported: PHASE"),
    ({"ACTION": "DELETE"}, 400, "ACTION is not for the list"),
    ({"RUNID": "x" * 65}, 400, "at most 64"),
    ({"RUNID": "a\nb"}, 400, "RUNID has characters that cannot be printed"),
    ({"RUNID": "a\0b"}, 400, "RUNID has characters that cannot be printed"),
    ({"RUNID": ["a", "b"]}, 400, "MultiValuedParamNotSupported: RUNID"),
    ({"ROWS": "1" * 20_001}, 400, "at most 20000"),
    ({f"P{n}": "1" for n in range(600)}, 413, "more than 500 parameters"),
]


def assert_refused(answer: TestResponse, status: int, said: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.content_type == "text/plain; charset=utf-8"
    first = answer.text.splitlines()[0]
    assert first.startswith(("UsageError: ", "MultiValuedParamNotSupported: "))
    assert said in answer.text
    assert len(answer.text) < 700
    for secret in ("Traceback", "/work", "/tmp", ".py", "SELECT", "<html"):
        assert secret not in answer.text


@pytest.mark.parametrize(("query", "said"), FILTERS)
def test_uws_10_bad_filters_of_the_list(client: Client, query: str, said: str) -> None:
    if len(query) > 10_000:
        query = query[:8_000]
    assert_refused(client.get(f"?{query}"), 400, said)


@pytest.mark.parametrize(("query", "said"), WAITS)
def test_uws_84_bad_waits(client: Client, query: str, said: str) -> None:
    assert_refused(client.get(f"{client.make()}?{query}"), 400, said)


@pytest.mark.parametrize(("resource", "form", "status", "said"), CHANGES)
def test_uws_66_91_93_bad_changes_change_nothing(
    client: Client, resource: str, form: dict[str, str], status: int, said: str
) -> None:
    url = client.make(ROWS="1")
    before = client.get(url).data
    assert_refused(client.post(url + resource, **form), status, said)
    assert client.get(url).data == before


@pytest.mark.parametrize(("form", "status", "said"), CREATIONS)
def test_bad_creations_make_nothing(house: House, form: dict[str, str], status: int, said: str) -> None:
    assert_refused(house.client("ann").post(**form), status, said)
    assert house.jobs.refs(None) == []


def test_a_body_that_is_no_form_is_refused(house: House, client: Client) -> None:
    for content_type in ("application/json", "text/xml", ""):
        assert_refused(client.send("POST", data=b"{}", content_type=content_type), 415, "cannot be read here")
    assert house.jobs.refs(None) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"ROWS=1",
        b'--b\r\nContent-Disposition: form-data; name="ROWS"\r\n\r\n1',
        b'--b\r\nContent-Disposition: form-data; name="ROWS"\r\n\r\n1\r\n--b',
    ],
    ids=["empty", "not multipart", "no end", "broken end"],
)
def test_a_broken_form_is_not_an_empty_one(house: House, client: Client, body: bytes) -> None:
    made = client.make(ROWS="1")
    content_type = "multipart/form-data; boundary=b"
    padded = body or b"\r\n"
    for url in ("?ROWS=2&PHASE=RUN", f"{made}/parameters?ROWS=2", f"{made}?ACTION=DELETE"):
        answer = client.send("POST", url, data=padded, content_type=content_type)
        assert_refused(answer, 400, "the body cannot be read as multipart/form-data")
    unbounded = client.send("POST", data=padded, content_type="multipart/form-data")
    assert_refused(unbounded, 400, "cannot be read")
    assert [ref.job_id for ref in house.jobs.refs(None)] == [id_of(made)]
    assert client.get(f"{made}/parameters/ROWS").text == "1"


def test_a_body_that_is_too_large_is_refused(house: House, client: Client) -> None:
    large = "1" * (house.settings.max_body_bytes + 1)
    assert_refused(client.post(ROWS=large), 413, "too large")
    url = client.make(ROWS="1")
    assert_refused(client.send("PUT", f"{url}/parameters/ROWS", data=large), 413, "too large")
    assert house.jobs.refs(None)[1:] == []


def test_bytes_that_are_not_utf_8_are_no_run_id(client: Client) -> None:
    assert_refused(client.post("?RUNID=%FF"), 400, "RUNID is not UTF-8")
    made = client.post("?ROWS=%FF")
    assert made.status_code == 303
    assert client.document(made.headers["Location"]) is not None


def test_as_many_values_as_rows_are_taken(house: House, client: Client) -> None:
    url = client.make(ROWS=["1"] * house.settings.max_rows)
    assert client.get(f"{url}/parameters").data.count(b"<uws:parameter ") == house.settings.max_rows
    too_many = ["1"] * (house.settings.max_rows + 600)
    assert_refused(client.post(ROWS=too_many), 413, "more than")


def test_files_are_refused_however_they_are_sent(house: House, client: Client) -> None:
    for name in ("ROWS", "UPLOAD", ""):
        data = {name: (io.BytesIO(b"1"), "../../etc/passwd")}
        assert_refused(client.send("POST", data=data, content_type="multipart/form-data"), 403, "UPLOAD")
    assert house.jobs.refs(None) == []


def test_errors_are_json_for_who_wants_that(client: Client) -> None:
    refused = client.get("?LAST=0", headers={"Accept": "application/json"})
    assert (refused.status_code, refused.content_type) == (400, "application/json")
    assert refused.json is not None
    assert refused.json["error"] == "UsageError"
