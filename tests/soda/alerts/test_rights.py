"""Alerts of an open survey that are for some alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.soda.alerts.test_broken_lakes import service_of
from tests.support.accounts import somebody
from tests.support.alerts import MadeAlert, write_lake
from tests.support.service import did

#: Alerts of two objects, of the first of which one is closed.
CLOSED, OPEN, ALONE = MadeAlert(1, 3), MadeAlert(0, 3), MadeAlert(3, 3)
CLOSED_ONE = f'{{ match = "alert/{CLOSED.candid}", groups = ["members"] }}'
RULES = f"access = {{ public = true, datasets = [{CLOSED_ONE}] }}\n"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    folder = tmp_path_factory.mktemp("rights")
    write_lake(folder / "lake", 4, epochs=3)
    return service_of(folder, folder / "lake", RULES)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def get(
    client: FlaskClient, dataset: str, headers: dict[str, str] | None = None, **more: str
) -> TestResponse:
    return client.get("/sync", query_string={"ID": did(f"lake/{dataset}"), **more}, headers=headers)


def test_it_is_for_those_alone(app: Flask, client: FlaskClient) -> None:
    member = somebody(app, "member", groups=("members",)).headers
    other = somebody(app, "other").headers
    for rest in ("", "/Science", "/Nothing"):
        dataset = f"alert/{CLOSED.candid}{rest}"
        assert get(client, dataset).status_code == 401
        assert get(client, dataset, other).status_code == 403
    assert get(client, f"alert/{CLOSED.candid}/Science", member).status_code == 200
    assert get(client, f"alert/{OPEN.candid}/Science").status_code == 200


def test_an_object_of_which_it_is_one_is_whole_or_refused(app: Flask, client: FlaskClient) -> None:
    member = somebody(app, "member", groups=("members",)).headers
    dataset = f"object/{OPEN.object_id}"
    assert get(client, dataset).status_code == 401
    assert str(CLOSED.candid) not in get(client, dataset).text
    assert get(client, dataset, member).headers["X-Cutout-Inputs"] == "3"
    before = f"-Inf {OPEN.jd - 2400000.5 + 0.5}"
    assert get(client, dataset, TIME=before).headers["X-Cutout-Inputs"] == "1"
    assert get(client, f"object/{ALONE.object_id}").status_code == 200
    # That there are too many is told to those who may know of all.
    many = {"RESPONSEFORMAT": "png", "WIDTH": "8000", "HEIGHT": "8000"}
    assert get(client, dataset, **many).status_code == 401
    assert get(client, dataset, member, **many).status_code == 400


def test_what_there_is_of_it_is_not_told(app: Flask, client: FlaskClient) -> None:
    bare = get(client, str(CLOSED.candid))
    assert (bare.status_code, "there is" in bare.text) == (404, False)
    asked = {"kind": "Science", "return_type": "FITS"}
    path = "/api/v1/cutouts"
    unknown = client.post(path, json={"candid": 7, **asked}).json["faults"]
    closed = client.post(path, json={"candid": CLOSED.candid, **asked}).json["faults"]
    assert unknown == [{**closed[0], "message": closed[0]["message"].replace(str(CLOSED.candid), "7")}]
    several = client.post(path, json={"objectId": OPEN.object_id, **asked}).json["faults"][0]["message"]
    assert "has 2 alerts" in several
    assert str(CLOSED.candid) not in several
    member = somebody(app, "member", groups=("members",)).headers
    assert client.post(path, json={"candid": CLOSED.candid, **asked}, headers=member).status_code == 200
