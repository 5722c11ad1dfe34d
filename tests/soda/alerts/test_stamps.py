"""Stamps by SODA sync: as they are stored, and as they are asked for."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from io import BytesIO

import numpy as np
import pytest
from astropy.io import fits
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.support.alert_service import RealAlert
from tests.support.alerts import KINDS
from tests.support.service import did

SURVEYS = ("ztf-alerts", "open-alerts", "rubin-alerts")
Alerts = dict[str, list[RealAlert]]
GZIP = {"Accept-Encoding": "gzip"}


def get(
    client: FlaskClient, dataset: str, headers: dict[str, str] | None = None, **more: str
) -> TestResponse:
    return client.get("/sync", query_string={"ID": did(dataset), **more}, headers=headers)


def pixels(stamp: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    with fits.open(BytesIO(stamp), ignore_missing_simple=True) as hdus:
        return np.asarray(hdus[0].data, np.float32)


@pytest.mark.parametrize("survey", SURVEYS)
def test_each_stamp_is_what_is_stored_byte_for_byte(client: FlaskClient, alerts: Alerts, survey: str) -> None:
    assert alerts[survey]
    for alert in alerts[survey]:
        for kind in KINDS:
            answer = get(client, f"{alert.dataset}/{kind}")
            assert (answer.status_code, answer.content_type) == (200, "application/fits")
            assert answer.data == alert.fits(kind)
            assert "Content-Encoding" not in answer.headers
            assert answer.headers["Vary"] == "Accept-Encoding"
            assert answer.content_length == len(answer.data)


@pytest.mark.parametrize("survey", SURVEYS)
def test_what_is_stored_gzipped_goes_out_so(client: FlaskClient, alerts: Alerts, survey: str) -> None:
    for alert in alerts[survey]:
        for kind in KINDS:
            answer = get(client, f"{alert.dataset}/{kind}", GZIP)
            is_gzip = alert.stamps[kind][:2] == b"\x1f\x8b"
            assert answer.headers.get("Content-Encoding") == ("gzip" if is_gzip else None)
            assert answer.data == alert.stamps[kind]
            assert answer.content_length == len(answer.data)
        assert is_gzip == (survey != "rubin-alerts")


@pytest.mark.parametrize("survey", SURVEYS)
def test_an_alert_is_a_file_of_three_images(client: FlaskClient, alerts: Alerts, survey: str) -> None:
    for alert in alerts[survey][:5]:
        answer = get(client, alert.dataset.upper().replace("IVO", "ivo"))
        assert answer.status_code == 200, answer.text
        with fits.open(BytesIO(answer.data)) as hdus:
            assert [hdu.name for hdu in hdus] == [kind.upper() for kind in KINDS]
            for hdu, kind in zip(hdus, KINDS, strict=True):
                np.testing.assert_array_equal(hdu.data, pixels(alert.fits(kind)))


def test_an_object_is_all_its_epochs(client: FlaskClient, alerts: Alerts) -> None:
    name, count = Counter(alert.object_id for alert in alerts["ztf-alerts"]).most_common(1)[0]
    answer = get(client, f"ztf-alerts/object/{name.lower()}")
    assert answer.headers["X-Cutout-Inputs"] == str(count)
    of_object = {alert.candid: alert for alert in alerts["ztf-alerts"] if alert.object_id == name}
    with fits.open(BytesIO(answer.data)) as hdus:
        table = hdus["EPOCHS"].data
        assert set(table["candid"]) == set(of_object)
        assert list(table["mjd"]) == sorted(table["mjd"])
        for number, candid in enumerate(table["candid"], start=1):
            for kind in KINDS:
                np.testing.assert_array_equal(
                    hdus[kind.upper(), number].data, pixels(of_object[candid].fits(kind))
                )


@pytest.mark.parametrize("survey", SURVEYS)
def test_an_array_is_the_pixels(client: FlaskClient, alerts: Alerts, survey: str) -> None:
    alert = alerts[survey][0]
    answer = get(client, f"{alert.dataset}/template", RESPONSEFORMAT="json")
    assert answer.content_type == "application/json"
    np.testing.assert_array_equal(np.array(answer.json, float), pixels(alert.fits("Template")).astype(float))
    every = json.loads(get(client, alert.dataset, RESPONSEFORMAT="application/json").data)
    assert list(every) == list(KINDS)
    assert every["Template"] == answer.json


@pytest.mark.parametrize(
    ("accepted", "is_gzip"),
    [
        ("gzip", True),
        ("deflate, GZIP;q=0.5, br", True),
        ("x-gzip", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip;q=0.5, identity", False),
        ("identity;q=0.5, gzip;q=0.7", True),
        ("*;q=0", False),
        ("br", False),
        ("gzip;q=many", False),
        ("", False),
        (",;;=,gzip ; q = 0", False),
    ],
)
def test_the_coding_is_the_one_the_client_takes(
    client: FlaskClient, alerts: Alerts, accepted: str, is_gzip: bool
) -> None:
    alert = alerts["ztf-alerts"][0]
    for headers in ({"Accept-Encoding": accepted}, {"Accept-Encoding": accepted, "If-None-Match": '"x"'}):
        # The second is answered by Flask, the first by what goes past it.
        answer = get(client, f"{alert.dataset}/Science", headers)
        assert ("Content-Encoding" in answer.headers) == is_gzip
        assert answer.data == (alert.stamps["Science"] if is_gzip else alert.fits("Science"))


def test_codings_have_etags_of_their_own_and_either_is_known(client: FlaskClient, alerts: Alerts) -> None:
    dataset = f"{alerts['ztf-alerts'][0].dataset}/Science"
    plain, packed = get(client, dataset), get(client, dataset, GZIP)
    etags = [answer.headers["ETag"] for answer in (plain, packed)]
    assert len(set(etags)) == 2
    assert not any(etag.startswith("W/") for etag in etags)
    for known in (*etags, "*", f'"other", {etags[1]}'):
        for headers in ({}, GZIP):
            answer = get(client, dataset, {**headers, "If-None-Match": known})
            assert (answer.status_code, answer.data) == (304, b"")
            assert answer.headers["ETag"] in etags
            assert answer.headers["Vary"] == "Accept-Encoding"
    assert get(client, dataset, {"If-None-Match": '"other"'}).status_code == 200
    # Nothing but the stored stamp has a second coding.
    other = get(client, dataset, GZIP, RESPONSEFORMAT="json")
    assert "Content-Encoding" not in other.headers
    assert "Vary" not in other.headers


@pytest.mark.parametrize("headers", [{}, GZIP])
def test_head_tells_what_get_tells(client: FlaskClient, alerts: Alerts, headers: dict[str, str]) -> None:
    for alert in (alerts["ztf-alerts"][0], alerts["rubin-alerts"][0]):
        asked = {"ID": did(f"{alert.dataset}/Science")}
        head = client.head("/sync", query_string=asked, headers=headers)
        whole = client.get("/sync", query_string=asked, headers={**headers, "If-None-Match": '"x"'})
        told = [
            sorted((name, value) for name, value in answer.headers if name != "X-Request-Id")
            for answer in (head, whole)
        ]
        assert told[0] == told[1]
        assert head.data == b""
        assert int(head.headers["Content-Length"]) == len(whole.data)


def test_an_object_can_be_asked_after(client: FlaskClient, alerts: Alerts) -> None:
    asked = {"ID": did(f"ztf-alerts/object/{alerts['ztf-alerts'][0].object_id}")}
    head = client.head("/sync", query_string=asked)
    assert (head.status_code, head.data) == (200, b"")
    assert head.headers["ETag"] == client.get("/sync", query_string=asked).headers["ETag"]


def test_post_gives_the_same(client: FlaskClient, alerts: Alerts) -> None:
    alert = alerts["open-alerts"][0]
    answer = client.post("/sync", data={"id": did(f"{alert.dataset}/difference")}, headers=GZIP)
    assert gzip.decompress(answer.data) == alert.fits("Difference")


def test_filters_pick_epochs(client: FlaskClient, alerts: Alerts) -> None:
    name = Counter(alert.object_id for alert in alerts["ztf-alerts"]).most_common(1)[0][0]
    every = json.loads(get(client, f"ztf-alerts/object/{name}/Science", RESPONSEFORMAT="json").data)
    for band, wavelength in (("g", "4.5e-7"), ("r", "6.5e-7"), ("i", "8.5e-7")):
        of_band = [epoch["candid"] for epoch in every if epoch["filter"] == band]
        for asked in ({"FILTER": band}, {"BAND": f"{wavelength} {wavelength}"}):
            answer = get(client, f"ztf-alerts/object/{name}/Science", RESPONSEFORMAT="json", **asked)
            found = [epoch["candid"] for epoch in answer.json] if answer.status_code == 200 else []
            assert found == of_band
            assert (answer.status_code == 204) == (not of_band)
    first = every[0]
    only = get(
        client, f"ztf-alerts/object/{name}", RESPONSEFORMAT="json", TIME=f"-Inf {first['mjd'] + 1e-6}"
    ).json
    assert [epoch["candid"] for epoch in only] == [first["candid"]]
    dataset = f"ztf-alerts/alert/{first['candid']}"
    assert get(client, dataset, TIME="0 1").status_code == 204
    assert get(client, dataset, BAND="1 2").status_code == 204
    assert get(client, dataset, FILTER=first["filter"]).status_code == 200


def test_a_stencil_needs_a_wcs(client: FlaskClient, alerts: Alerts) -> None:
    ztf, rubin = alerts["ztf-alerts"][0], alerts["rubin-alerts"][0]
    refused = get(client, f"{ztf.dataset}/Science", CIRCLE="10 10 0.001")
    assert refused.status_code == 400
    assert "no place on the sky" in refused.text
    with fits.open(BytesIO(rubin.fits("Science"))) as hdus:
        ra, dec = hdus[0].header["CRVAL1"], hdus[0].header["CRVAL2"]
        x, y = round(hdus[0].header["CRPIX1"]) - 1, round(hdus[0].header["CRPIX2"]) - 1
        whole = hdus[0].data
    answer = get(client, f"{rubin.dataset}/Science", CENTER=f"{ra} {dec}", SIZE="5px")
    assert answer.status_code == 200, answer.text
    with fits.open(BytesIO(answer.data)) as hdus:
        np.testing.assert_array_equal(hdus[0].data, whole[y - 2 : y + 3, x - 2 : x + 3])


def test_a_region_without_a_pixel_of_the_stamp_is_no_overlap(client: FlaskClient, alerts: Alerts) -> None:
    """As of images; there the plan tells, here the header of the stamp does."""
    alert = alerts["rubin-alerts"][0]
    answer = get(client, f"{alert.dataset}/Science", CIRCLE=f"{alert.ra_deg} {-alert.dec_deg} 0.0003")
    assert (answer.status_code, answer.data) == (204, b"")
    assert answer.headers["X-Cutout-Status"] == "no-overlap"
    assert "Content-Type" not in answer.headers
