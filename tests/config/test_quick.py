"""Small cutouts are answered without Flask, and as Flask would answer them."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import soda.engine
from surveys.plan import CutoutPlan
from tests.support.accounts import somebody
from tests.support.service import did

SMALL = {"ID": did("tiny/g/a"), "CIRCLE": "150 0 0.0027"}
#: Who has something already is answered by Flask.
BY_FLASK = {"If-None-Match": '"nothing"'}


def both(client: FlaskClient, asked: dict[str, str]) -> tuple[TestResponse, TestResponse]:
    return client.get("/sync", query_string=asked), client.get("/sync", query_string=asked, headers=BY_FLASK)


@pytest.mark.parametrize(
    "asked",
    [
        SMALL,
        SMALL | {"ID": did("tiny/g"), "RUNID": "mine"},
        SMALL | {"CIRCLE": "150 0 3"},
        {"ID": did("tiny/g/a"), "CENTER": "150 0", "SIZE": "9px", "CHECKSUM": "1"},
        SMALL | {"CIRCLE": "10 10 0.1"},
        SMALL | {"CIRCLE": "150 0"},
        SMALL | {"ID": did("tiny/g/nobody")},
        SMALL | {"COLOUR": "red"},
        {},
    ],
)
def test_answers_are_the_same(client: FlaskClient, asked: dict[str, str]) -> None:
    quick, usual = both(client, asked)
    assert quick.status_code == usual.status_code
    ids = [answer.headers.pop("X-Request-Id") for answer in (quick, usual)]
    assert sorted(quick.headers) == sorted(usual.headers)
    assert (
        quick.text.replace(ids[0], "") == usual.text.replace(ids[1], "")
        if quick.status_code >= 400
        else (quick.data == usual.data)
    )


def test_flask_is_not_asked_for_a_small_cutout_whoever_asks(app: Flask, client: FlaskClient) -> None:
    asked: list[object] = []
    app.before_request_funcs.setdefault(None, []).append(lambda: asked.append(1))
    try:
        quick, _ = both(client, SMALL)
        assert quick.status_code == 200
        assert len(asked) == 1  # the one with a condition
        known = client.get("/sync", query_string=SMALL, headers=somebody(app, "ada").headers)
        assert (known.status_code, known.headers["X-VO-Authenticated"]) == (200, "local:ada")
        assert known.data == quick.data
        assert len(asked) == 1
    finally:
        app.before_request_funcs[None].pop()


@pytest.mark.parametrize(
    ("headers", "status"), [({"Origin": "https://example.org"}, 200), ({"If-None-Match": "*"}, 304)]
)
def test_conditions_and_scripts_are_heeded(client: FlaskClient, headers: dict[str, str], status: int) -> None:
    answer = client.get("/sync", query_string=SMALL, headers=headers)
    assert answer.status_code == status
    assert ("Access-Control-Expose-Headers" in answer.headers) == ("Origin" in headers)


def test_quick_answers_are_counted(client: FlaskClient) -> None:
    def counted() -> float:
        lines = client.get("/metrics").text.splitlines()
        name = 'fountain_requests_total{endpoint="/sync",method="GET",status="2xx"} '
        return float(next((line.removeprefix(name) for line in lines if line.startswith(name)), "0"))

    before = counted()
    client.get("/sync", query_string=SMALL, buffered=True)
    assert counted() == before + 1


def test_what_is_not_answered_quickly_is_not_planned_twice(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned: list[object] = []
    usual = soda.engine.plan_cutout

    def plan(*arguments: Any) -> CutoutPlan:
        planned.append(1)
        return usual(*arguments)

    monkeypatch.setattr(soda.engine, "plan_cutout", plan)
    answer = client.get("/sync", query_string=SMALL | {"RESPONSEFORMAT": "png"})
    assert (answer.status_code, len(planned)) == (200, 1)
