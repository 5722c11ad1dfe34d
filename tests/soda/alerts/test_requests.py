"""What is asked of alerts wrongly, or by those whom they are not open to; and what is refused by name."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from config.app import assemble
from surveys.errors import TooLarge
from surveys.request import CutoutRequest
from tests.support.accounts import somebody
from tests.support.alert_service import LARGER, RealAlert
from tests.support.service import did, settings_of

Alerts = dict[str, list[RealAlert]]
#: Whatever there is not; `{one}` is the number of an alert, `{name}` the name of an object that there are.
UNKNOWN = (
    "ztf-alerts",
    "ztf-alerts/",
    "ztf-alerts/alert",
    "ztf-alerts/alert/",
    "ztf-alerts/object",
    "ztf-alerts/g",
    "ztf-alerts/alert/1",
    "ztf-alerts/alert/{name}",
    "ztf-alerts/alert/1e5",
    "ztf-alerts/alert/{one}0000000000000",
    "ztf-alerts/alert/-{one}",
    "ztf-alerts/alert/+{one}",
    "ztf-alerts/alert/{one} ",
    "ztf-alerts/alert/٣",
    "ztf-alerts/alert/{one}/Psf",
    "ztf-alerts/alert/{one}/Science/more",
    "ztf-alerts/alert/{one}/../{one}",
    "ztf-alerts/alert/../../etc/passwd",
    "ztf-alerts/object/{one}",
    "ztf-alerts/object/ZTF00aaaaaaa",
    "ztf-alerts/object/%",
    "ztf-alerts/object/{name}'--",
    "ztf-alerts/object/{name}\x00",
    "ztf-alerts/object/{name}/Science/1",
    "ztf-alerts/objects/{name}",
    "rubin-alerts/object/0",
    "nothing/alert/{one}",
)


def get(client: FlaskClient, dataset: str, **more: str) -> TestResponse:
    return client.get("/sync", query_string={"ID": did(dataset), **more})


@pytest.mark.parametrize("dataset", UNKNOWN)
def test_what_there_is_not_is_not_found(client: FlaskClient, alerts: Alerts, dataset: str) -> None:
    one = alerts["ztf-alerts"][0]
    asked = dataset.format(one=one.candid, name=one.object_id)
    answer = get(client, asked)
    assert answer.status_code == 404, answer.text
    assert answer.text.startswith("UsageError: ")
    assert "Traceback" not in answer.text


def test_a_bare_name_is_explained(client: FlaskClient, alerts: Alerts) -> None:
    one = alerts["rubin-alerts"][0]
    for name, word in ((str(one.candid), "alert"), (one.object_id, "object")):
        told = get(client, f"rubin-alerts/{name}").text
        assert f"write rubin-alerts/alert/{name} or rubin-alerts/object/{name}" in told
        assert f"rubin-alerts/{word}/{name}" in told.partition("(there ")[2]
        assert "or longer by a kind of stamp" in told
    assert "there is neither" in get(client, "rubin-alerts/1234").text
    assert "alert/<number>" in get(client, "rubin-alerts", CIRCLE="10 10 0.1").text


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"POL": "I"}, "POL has no meaning for stamps"),
        ({"MASK": "true"}, "MASK has no meaning"),
        ({"GRID": "tan", "PIXSCALE": "1arcsec"}, "GRID has no meaning"),
        ({"COMBINE": "mean"}, "COMBINE has no meaning"),
        ({"LAYOUT": "cube"}, "LAYOUT has no meaning"),
        ({"EDGE": "pad"}, "EDGE has no meaning"),
        ({"RESAMPLE": "bilinear", "FLUX": "sb"}, "RESAMPLE and FLUX have no meaning"),
        ({"FILTER": "u"}, "no band of ztf-alerts; it has g, r, i"),
        ({"RESPONSEFORMAT": "gif"}, "RESPONSEFORMAT is"),
        ({"RESPONSEFORMAT": "webp"}, "webp"),
        ({"RESPONSEFORMAT": "png", "RGB": "g,r,i"}, "RGB"),
        ({"RESPONSEFORMAT": "png", "ORIENT": "north"}, "ORIENT"),
        ({"RESPONSEFORMAT": "png", "DRAW": "scalebar"}, "DRAW"),
        ({"RESPONSEFORMAT": "png", "RECIPE": "none"}, "none"),
        ({"RESPONSEFORMAT": "png", "CMAP": "nothing"}, "nothing"),
        ({"RESPONSEFORMAT": "png", "WIDTH": "99999"}, "WIDTH"),
        ({"RESPONSEFORMAT": "json", "DETAIL": "full"}, "DETAIL is for FITS"),
        ({"CIRCLE": "10 10 1"}, "name its kind"),
        ({"TIME": "yesterday"}, "TIME"),
    ],
)
def test_what_has_no_meaning_for_stamps_is_refused_by_its_name(
    client: FlaskClient, alerts: Alerts, asked: dict[str, str], said: str
) -> None:
    answer = get(client, alerts["ztf-alerts"][0].dataset, **asked)
    assert answer.status_code == 400, answer.text
    assert said in answer.text


def test_a_region_is_not_cut_of_an_object(client: FlaskClient, alerts: Alerts) -> None:
    answer = get(client, f"ztf-alerts/object/{alerts['ztf-alerts'][0].object_id}", CIRCLE="10 10 1")
    assert answer.status_code == 400
    assert "alert/<number>/Science" in answer.text


def test_too_many_stamps_are_refused_with_what_to_narrow(
    app: Flask, client: FlaskClient, alerts: Alerts
) -> None:
    name = Counter(alert.object_id for alert in alerts["ztf-alerts"]).most_common(1)[0][0]
    answer = get(client, f"ztf-alerts/object/{name}", RESPONSEFORMAT="png", WIDTH="8000", HEIGHT="8000")
    assert answer.status_code == 400
    assert "smaller WIDTH and HEIGHT" in answer.text


def test_epochs_are_limited(app: Flask, folder: Path, alerts: Alerts) -> None:
    name, count = Counter(alert.object_id for alert in alerts["ztf-alerts"]).most_common(1)[0]
    parts = assemble(settings_of(folder, LARGER))
    engine, asked = parts.soda, CutoutRequest(f"ztf-alerts/object/{name}")
    assert len(engine.within(replace(engine.limits, max_inputs=count)).plan(asked).stamps) == count
    with pytest.raises(TooLarge, match=f"{count} epochs; the limit is {count - 1}: pick some by TIME"):
        engine.within(replace(engine.limits, max_inputs=count - 1)).plan(asked)
    with pytest.raises(TooLarge, match=r"name one kind of stamp, …/\w+/Science"):
        engine.within(replace(engine.limits, max_bytes=30_000)).plan(asked)
    parts.engine.dispose()


def test_nothing_is_told_of_a_closed_survey(app: Flask, client: FlaskClient, alerts: Alerts) -> None:
    there = alerts["open-alerts"][0]
    names = (str(there.candid), there.object_id, "1", "ZTF00aaaaaaa")
    datasets = [f"closed-alerts/{word}{name}" for word in ("alert/", "object/", "") for name in names]
    told = set()
    for dataset in [*datasets, "closed-alerts"]:
        answer = get(client, dataset)
        assert answer.status_code == 401
        told.add(answer.text.rpartition("request id")[0])
    assert len(told) == 1
    other = somebody(app, "other", groups=("others",)).headers
    assert client.get("/sync", query_string={"ID": did(datasets[0])}, headers=other).status_code == 403
    member = somebody(app, "member", groups=("members",)).headers
    answer = client.get("/sync", query_string={"ID": did(f"{datasets[0]}/Science")}, headers=member)
    assert answer.data == there.fits("Science")
    assert "private" in answer.headers["Cache-Control"]
    assert "public" not in answer.headers["Cache-Control"]


def test_habits_lead_to_alerts(client: FlaskClient) -> None:
    answer = client.get("/cutout", query_string={"survey": "ztf-alerts", "ra": "10", "dec": "10"})
    assert answer.status_code == 400
    assert "/query?POS=CIRCLE 10 10" in answer.text
    assert "ztf-alerts/alert/" in answer.text
