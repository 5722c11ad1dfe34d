"""Previews of alerts and objects are pictures of their stamps."""

from __future__ import annotations

from io import BytesIO

import pytest
from flask.testing import FlaskClient
from PIL import Image

from tests.support.alert_service import RealAlert
from tests.support.service import did

Alerts = dict[str, list[RealAlert]]


@pytest.mark.parametrize("rest", ["alert/{candid}/Science", "alert/{candid}", "object/{name}"])
def test_previews_are_the_pictures_of_sync(client: FlaskClient, alerts: Alerts, rest: str) -> None:
    alert = alerts["ztf-alerts"][0]
    asked = {"ID": did(f"ztf-alerts/{rest.format(candid=alert.candid, name=alert.object_id)}")}
    answer = client.get("/preview", query_string=asked)
    assert answer.content_type == "image/png"
    assert Image.open(BytesIO(answer.data)).size >= (63, 63)
    assert answer.data == client.get("/sync", query_string={**asked, "RESPONSEFORMAT": "png"}).data
    known = {"If-None-Match": answer.headers["ETag"]}
    assert client.get("/preview", query_string=asked, headers=known).status_code == 304


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"ID": did("ztf-alerts/alert/1")}, 404),
        ({"ID": did("ztf-alerts")}, 404),
        ({"ID": did("closed-alerts/alert/1")}, 401),
        ({"ID": did("ztf-alerts/alert/1"), "RESPONSEFORMAT": "webp"}, 400),
    ],
)
def test_what_there_is_not_has_none(client: FlaskClient, asked: dict[str, str], status: int) -> None:
    assert client.get("/preview", query_string=asked).status_code == status
