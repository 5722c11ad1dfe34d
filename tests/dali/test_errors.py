"""Errors: labels, words, and how a client's text is shown."""

from __future__ import annotations

import json

import pytest
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from dali.errors import (
    Faults,
    MultiValuedParamNotSupported,
    NotFound,
    ProtocolError,
    ServiceUnavailable,
    UsageError,
    quoted,
)
from dali.responses import REQUEST_ID, error_response


def request(accept: str = "*/*") -> Request:
    environ = EnvironBuilder(headers=[("Accept", accept)]).get_environ()
    environ[REQUEST_ID] = "id-1234"
    return Request(environ)


@pytest.mark.parametrize(
    "accept", ["*/*", "text/plain", "text/html,*/*;q=0.1", "application/json;q=0.1, */*", "x"]
)
def test_soda_80_text_label_first_request_id_last(accept: str) -> None:
    response = error_response(UsageError("BAND is wrong", "Write it well."), request(accept))
    assert response.status_code == 400
    assert response.content_type == "text/plain; charset=utf-8"
    assert response.get_data(as_text=True) == (
        "UsageError: BAND is wrong.\nWrite it well.\nrequest id: id-1234\n"
    )


def test_json_twin_says_the_same() -> None:
    response = error_response(
        NotFound("no such ID", also=[UsageError("BAND é")]), request("application/json")
    )
    assert response.content_type == "application/json"
    assert json.loads(response.get_data()) == {
        "error": "UsageError",
        "status": 404,
        "faults": [{"message": "no such ID.", "fix": ""}, {"message": "BAND é.", "fix": ""}],
        "request_id": "id-1234",
    }


def test_http_13_unavailable_says_when_to_come_back() -> None:
    response = error_response(ServiceUnavailable("busy", retry_after_s=7), request())
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "7"
    assert response.get_data(as_text=True).startswith("ServiceUnavailable: busy.")


def fail(fault: ProtocolError) -> None:
    raise fault


def test_soda_82_every_fault_is_named_the_most_specific_first() -> None:
    faults = Faults()
    given = [NotFound("no ID"), UsageError("bad BAND"), MultiValuedParamNotSupported("two TIMEs")]
    for fault in given:
        faults.attempt(lambda fault=fault: fail(fault))  # type: ignore[misc]
    with pytest.raises(MultiValuedParamNotSupported) as caught:
        faults.raise_any()
    body = error_response(caught.value, request()).get_data(as_text=True)
    assert body.splitlines() == [
        "MultiValuedParamNotSupported: two TIMEs.",
        "Also: bad BAND.",
        "Also: no ID.",
        "request id: id-1234",
    ]


def test_no_fault_nothing_raised() -> None:
    faults = Faults()
    assert faults.attempt(lambda: 5) == 5
    faults.raise_any()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("12.5 -33", '"12.5 -33"'),
        ("a\nb\r\x00", r'"a\nb\r\x00"'),
        ("\u202eabc", r'"\u202eabc"'),
        ("é", '"é"'),
        ("\ud800", r'"\ud800"'),
        ("x" * 81, '"' + "x" * 79 + '…"'),
        ("\n" * 80, '"' + r"\n" * 39 + '\\…"'),
    ],
)
def test_a_clients_text_is_shown_on_one_line_and_short(text: str, shown: str) -> None:
    assert quoted(text) == shown
    assert quoted(text).isprintable()
