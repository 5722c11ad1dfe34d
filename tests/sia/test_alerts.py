"""Alerts in ``/query``: every row against what pyarrow reads, every constraint against all of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io.votable import parse
from astropy.table import Table
from astropy.time import Time
from flask import Flask
from flask.testing import FlaskClient

from tests.support.accounts import somebody
from tests.support.alert_service import RealAlert, make_alert_service, real_alerts
from tests.support.outside import Validate, stilts
from tests.support.service import did

LINKS = "application/x-votable+xml;content=datalink"
BANDS = {"g": (408e-9, 552e-9), "r": (560e-9, 732e-9), "i": (702e-9, 889e-9)}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, real_data: Path) -> Flask:
    return make_alert_service(tmp_path_factory.mktemp("alerts"), real_data)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture(scope="module")
def ztf(real_data: Path) -> tuple[RealAlert, ...]:
    return real_alerts(real_data, "ztf-alerts")


def rows(
    client: FlaskClient, headers: Mapping[str, str] | None = None, **asked: object
) -> list[dict[str, str]]:
    asked = {"RESPONSEFORMAT": "csv", "MAXREC": 10_000, **asked}
    answer = client.get("/query", query_string=asked, headers=headers)
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text)))


def found(client: FlaskClient, **asked: object) -> set[str]:
    return {row["obs_publisher_did"] for row in rows(client, **asked)}


def dids(alerts: list[RealAlert] | tuple[RealAlert, ...]) -> set[str]:
    return {did(alert.dataset) for alert in alerts}


def test_each_alert_has_a_row_with_what_is_known_of_it(
    client: FlaskClient, ztf: tuple[RealAlert, ...]
) -> None:
    answer = {row["obs_id"]: row for row in rows(client, COLLECTION="ZTF alerts")}
    assert len(answer) == len(ztf) == 67
    for alert in ztf:
        row = answer[str(alert.candid)]
        assert row["obs_publisher_did"] == did(f"ztf-alerts/alert/{alert.candid}")
        assert row["target_name"] == alert.object_id
        assert float(row["s_ra"]) == pytest.approx(alert.ra_deg, abs=1e-10)
        assert float(row["s_dec"]) == pytest.approx(alert.dec_deg, abs=1e-10)
        assert float(row["s_fov"]) == pytest.approx(64 / 3600)
        shape, frame, ra, dec, radius = row["s_region"].split()
        assert (shape, frame) == ("CIRCLE", "ICRS")
        assert float(ra) == pytest.approx(alert.ra_deg, abs=1e-7)
        assert float(dec) == pytest.approx(alert.dec_deg, abs=1e-7)
        assert float(radius) == pytest.approx(32 / 3600, abs=1e-7)
        mjd = Time(alert.time, format="jd", scale="utc").mjd
        assert float(row["t_min"]) == float(row["t_max"]) == pytest.approx(mjd, abs=1e-8)
        assert (float(row["em_min"]), float(row["em_max"])) == BANDS[alert.band]
        assert (row["dataproduct_type"], row["dataproduct_subtype"]) == ("image", "alert")
        assert (row["access_format"], row["s_xel1"], row["t_exptime"]) == (LINKS, "", "")
        assert (row["facility_name"], row["data_rights"]) == ("Palomar 48 inch", "public")


def test_times_of_rubin_are_told_in_utc(client: FlaskClient, real_data: Path) -> None:
    answer = {row["obs_id"]: row for row in rows(client, COLLECTION="LSST alerts")}
    for alert in real_alerts(real_data, "rubin-alerts"):
        mjd = Time(alert.time, format="mjd", scale="tai").utc.mjd
        assert float(answer[str(alert.candid)]["t_min"]) == pytest.approx(mjd, abs=1e-8)
        assert answer[str(alert.candid)]["target_name"] == alert.object_id


@pytest.mark.parametrize("radius_deg", [0.0, 0.02, 3.0])
def test_a_position_finds_the_alerts_whose_circle_it_meets(
    client: FlaskClient, ztf: tuple[RealAlert, ...], radius_deg: float
) -> None:
    sky = SkyCoord([alert.ra_deg for alert in ztf], [alert.dec_deg for alert in ztf], unit="deg")
    centre = ztf[0]
    away = sky[0].separation(sky).deg
    near = {did(one.dataset) for one, far in zip(ztf, away, strict=True) if far <= radius_deg + 32 / 3600}
    assert did(centre.dataset) in near
    circle = f"CIRCLE {centre.ra_deg} {centre.dec_deg} {radius_deg}"
    assert {one for one in found(client, POS=circle) if "/alert/" in one} == near
    assert found(client, POS=f"CIRCLE {centre.ra_deg} {-centre.dec_deg - 20} 0.01") == set()


def test_constraints_are_those_of_images(client: FlaskClient, ztf: tuple[RealAlert, ...]) -> None:
    times = sorted(Time(alert.time, format="jd", scale="utc").mjd for alert in ztf)
    middle = float(np.median(times))
    within = {"COLLECTION": "ZTF alerts"}
    early = [one for one in ztf if Time(one.time, format="jd", scale="utc").mjd <= middle]
    assert found(client, **within, TIME=f"-Inf {middle + 1e-9}") == dids(early)
    green = [one for one in ztf if one.band == "g"]
    assert found(client, **within, BAND="4.7e-7") == dids(green)
    one = ztf[5]
    assert found(client, ID=did(one.dataset).upper().replace("IVO:", "ivo:")) == dids([one])
    assert found(client, ID=did(f"ztf-alerts/object/{one.object_id}")) == set()
    assert found(client, TARGET=one.object_id) == dids([x for x in ztf if x.object_id == one.object_id])
    assert found(client, TARGET=one.object_id, ID=did(ztf[0].dataset)) == set()
    for nothing in ({"DPTYPE": "cube"}, {"EXPTIME": "0 1e9"}, {"POL": "I"}, {"CALIB": "4"}, {"TARGET": "x"}):
        assert found(client, **within, **nothing) == set()
    assert found(client, **within, DPTYPE="image", CALIB=2, FOV="0.01 0.02") == dids(ztf)


def test_stamps_are_what_access_url_gives_where_files_are_asked_for(
    client: FlaskClient, ztf: tuple[RealAlert, ...]
) -> None:
    (row,) = rows(client, ID=did(ztf[0].dataset), FORMAT="application/fits")
    assert row["access_format"] == "application/fits"
    answer = client.get(row["access_url"])
    assert (answer.status_code, answer.content_type) == (200, "application/fits")
    assert rows(client, ID=did(ztf[0].dataset), FORMAT="image/png") == []


def test_rows_of_alerts_end_with_overflow_where_there_are_more(client: FlaskClient) -> None:
    asked = {"COLLECTION": "ZTF alerts", "MAXREC": 5}
    document = parse(io.BytesIO(client.get("/query", query_string=asked).data), verify="exception")
    assert len(document.get_first_table().to_table()) == 5
    statuses = [info.value for info in document.resources[0].infos if info.name == "QUERY_STATUS"]
    assert statuses[-1] == "OVERFLOW"


def test_closed_alerts_are_found_by_those_who_may_read_them(
    app: Flask, client: FlaskClient, real_data: Path
) -> None:
    closed = dids(real_alerts(real_data, "closed-alerts"))
    assert len(closed) == 12
    everybodys = found(client)
    assert everybodys.isdisjoint(closed)
    headers = somebody(app, "member", groups=("members",)).headers
    assert {row["obs_publisher_did"] for row in rows(client, headers, TIME="0 99999")} >= closed
    assert closed == {row["obs_publisher_did"] for row in rows(client, headers, ID=sorted(closed))}


def test_the_document_is_as_it_should_be(client: FlaskClient, validate: Validate, tmp_path: Path) -> None:
    content = client.get("/query", query_string={"COLLECTION": "ZTF alerts"}).data
    path = tmp_path / "alerts.vot"
    path.write_bytes(content)
    assert validate(content) == []
    assert stilts("votlint", votable=str(path)) == []
    read: Table = parse(io.BytesIO(content)).get_first_table().to_table()
    assert len(read) == 67
