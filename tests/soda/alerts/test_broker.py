"""The broker's own call: what its users send, and what they get."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.support.accounts import somebody
from tests.support.alert_service import RealAlert
from tests.support.alerts import KINDS

PATH = "/api/v1/cutouts"
SURVEYS = ("ztf-alerts", "open-alerts", "rubin-alerts")
Alerts = dict[str, list[RealAlert]]


def post(client: FlaskClient, **body: Any) -> TestResponse:
    return client.post(PATH, json=body)


def pixels(stamp: bytes) -> np.ndarray[tuple[int, ...], np.dtype[Any]]:
    with fits.open(BytesIO(stamp), ignore_missing_simple=True) as hdus:
        return np.asarray(hdus[0].data)


@pytest.mark.parametrize("survey", SURVEYS)
def test_each_file_is_the_one_that_is_stored(client: FlaskClient, alerts: Alerts, survey: str) -> None:
    for alert in alerts[survey]:
        for kind in KINDS:
            answer = post(client, candid=alert.candid, kind=kind, return_type="FITS", survey=survey)
            assert (answer.status_code, answer.content_type) == (200, "application/octet-stream")
            assert answer.data == alert.fits(kind)


@pytest.mark.parametrize("survey", SURVEYS)
def test_arrays_are_the_pixels_in_a_list(client: FlaskClient, alerts: Alerts, survey: str) -> None:
    alert = alerts[survey][0]
    asked = {"hdfsPath": alert.path, "objectId": alert.object_id, "candid": str(alert.candid)}
    every = post(client, kind="All", **asked)
    assert every.content_type == "application/json"
    assert len(json.loads(every.data)) == 3
    for kind, array in zip(KINDS, json.loads(every.data), strict=True):
        (alone,) = json.loads(post(client, kind=kind, return_type="array", **asked).data)
        assert alone == array
        # As the broker's own test has it: numbers are those of the file, to the last bit.
        stored = pixels(alert.fits(kind))
        np.testing.assert_array_equal(np.array(array, float), stored.astype(float))


def test_files_are_named_as_the_broker_names_them(client: FlaskClient, alerts: Alerts) -> None:
    ztf, rubin = alerts["ztf-alerts"][0], next(alert for alert in alerts["rubin-alerts"] if alert.object_id)
    for survey, beginning in (
        ("ztf-alerts", "hdfs://broker:8020/user/fink/"),
        ("ztf-alerts", "/user/fink/"),
        ("ztf-alerts", ""),
    ):
        answer = post(
            client,
            hdfsPath=f"{beginning}{ztf.path}",
            objectId=ztf.object_id,
            kind="Science",
            return_type="FITS",
            survey=survey,
        )
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{ztf.object_id}.fits"'
    answer = post(
        client,
        hdfsPath=rubin.path,
        diaObjectId=rubin.object_id,
        diaSourceId=str(rubin.candid),
        kind="Template",
        return_type="FITS",
    )
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{rubin.candid}.fits"'
    assert answer.data == rubin.fits("Template")


def test_get_and_forms_are_asked_alike(client: FlaskClient, alerts: Alerts) -> None:
    alert = alerts["open-alerts"][0]
    asked = {"candid": str(alert.candid), "kind": "science", "return_type": "fits", "survey": "open-alerts"}
    by_get = client.get(PATH, query_string=asked)
    assert by_get.data == client.post(PATH, data=asked).data == alert.fits("Science")
    packed = client.get(PATH, query_string=asked, headers={"Accept-Encoding": "gzip"})
    assert gzip.decompress(packed.data) == by_get.data


def test_a_get_of_nothing_tells_the_arguments(client: FlaskClient) -> None:
    told = client.get(PATH).json
    names = {one["name"]: one["required"] for one in told["args"]}
    assert names == {
        "hdfsPath": False,
        "objectId": False,
        "kind": True,
        "candid": False,
        "return_type": False,
        "survey": False,
    }


def test_an_object_of_several_alerts_is_explained_and_in_a_file_the_latest_counts(
    client: FlaskClient, alerts: Alerts
) -> None:
    name, count = Counter(alert.object_id for alert in alerts["ztf-alerts"]).most_common(1)[0]
    assert count > 1
    of_object = [alert for alert in alerts["ztf-alerts"] if alert.object_id == name]
    refused = post(client, objectId=name, kind="Science")
    assert refused.status_code == 400
    for alert in of_object:
        assert str(alert.candid) in refused.json["faults"][0]["message"]
    assert len({alert.path for alert in of_object}) == 1
    answer = post(client, objectId=name, kind="Science", hdfsPath=of_object[0].path, return_type="FITS")
    latest = max(of_object, key=lambda alert: alert.candid)  # ZTF numbers its alerts in order of time
    assert answer.data == latest.fits("Science")


ESCAPES = (
    "../../../etc/passwd",
    "/etc/passwd",
    "file:///etc/passwd",
    "s3://elsewhere/part.parquet",
    "hdfs://broker:8020/user/fink/../../etc/passwd",
    "hdfs://elsewhere:8020/user/fink/part-00002.snappy.parquet",
    "year=2020/../part-00002.snappy.parquet",
    "%2e%2e/part-00002.snappy.parquet",
    "part-00002.snappy.parquet\x00",
    "./part-00002.snappy.parquet",
    "//part-00002.snappy.parquet",
    "part-00002.snappy.parquet/",
    "*.parquet",
    "~/part-00002.snappy.parquet",
    "\\\\host\\share",
    "x" * 1999,
)


@pytest.mark.parametrize("path", ESCAPES)
def test_no_other_file_can_be_named(client: FlaskClient, alerts: Alerts, path: str) -> None:
    answer = post(client, hdfsPath=path, objectId=alerts["ztf-alerts"][0].object_id, kind="Science")
    assert answer.status_code == 404
    assert answer.content_type == "application/json"
    assert "root:" not in answer.text


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({}, 400, "kind is missing"),
        ({"kind": "Science"}, 400, "objectId or candid is missing"),
        ({"kind": "Science", "candid": 1}, 404, "there is no such alert: candid"),
        ({"kind": "Science", "objectId": "ZTF00nothing"}, 404, "objectId"),
        ({"kind": "Science", "candid": "1e5"}, 400, "whole number of 64 bits"),
        ({"kind": "Science", "candid": 10**30}, 400, "whole number"),
        ({"kind": "Science", "candid": 1.5}, 400, "candid is a text or a whole number"),
        ({"kind": "Science", "candid": True}, 400, "candid is a text or a whole number"),
        ({"kind": "Science", "candid": [1]}, 400, "candid is a text or a whole number"),
        ({"kind": {"a": 1}, "candid": 1}, 400, "kind is a text or a whole number"),
        ({"kind": "Science", "candid": 1, "output-format": "PNG"}, 400, "not a parameter"),
        ({"kind": "Science", "candid": 1, "return_type": "png"}, 400, "return_type"),
        ({"kind": "Science", "candid": 1, "diaSourceId": 2}, 400, "taken once"),
        ({"kind": "All", "candid": 1, "return_type": "FITS"}, 400, "of one kind"),
        ({"kind": "Science", "candid": 1, "survey": "nothing"}, 404, "no survey of alerts"),
        ({"kind": "Science", "objectId": "x" * 3000}, 400, "at most 2000"),
    ],
)
def test_what_is_wrong_is_said_in_json(
    client: FlaskClient, body: dict[str, Any], status: int, said: str
) -> None:
    answer = post(client, **body)
    assert answer.status_code == status, answer.text
    assert said in answer.json["faults"][0]["message"]
    assert answer.json["request_id"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"x"', b"null", b"\xff", b"[" * 100_000, b'{"kind": NaN}']
)
def test_what_is_no_json_object_is_refused(client: FlaskClient, body: bytes) -> None:
    answer = client.post(PATH, data=body, content_type="application/json")
    assert answer.status_code == 400
    assert answer.content_type == "application/json"


def test_a_kind_that_there_is_not_is_told(client: FlaskClient, alerts: Alerts) -> None:
    answer = post(client, candid=alerts["rubin-alerts"][0].candid, kind="Psf")
    assert answer.status_code == 404
    assert "Science, Template, Difference" in answer.json["faults"][0]["message"]


def test_other_methods_and_paths_are_told_in_json(client: FlaskClient) -> None:
    for answer in (client.delete(PATH), client.get("/api/v2/cutouts")):
        assert answer.status_code in (404, 405)
        assert answer.content_type == "application/json"


def test_closed_surveys_are_for_those_they_are_open_to(
    app: Flask, client: FlaskClient, alerts: Alerts
) -> None:
    alert = alerts["open-alerts"][0]
    asked = {"candid": alert.candid, "kind": "Science", "return_type": "FITS"}
    # It stands in two surveys, of which strangers know one.
    assert post(client, **asked).data == alert.fits("Science")
    refused = post(client, survey="closed-alerts", **asked)
    unknown = post(client, survey="nothing", **asked)
    assert refused.status_code == unknown.status_code == 404
    assert refused.json["faults"][0]["message"] == unknown.json["faults"][0]["message"].replace(
        "nothing", "closed-alerts"
    )
    member = somebody(app, "member", groups=("members",)).headers
    assert client.post(PATH, json={**asked, "survey": "closed-alerts"}, headers=member).data == alert.fits(
        "Science"
    )
    both = client.post(PATH, json=asked, headers=member)
    assert both.status_code == 400
    assert "closed-alerts, open-alerts" in both.json["faults"][0]["message"]
