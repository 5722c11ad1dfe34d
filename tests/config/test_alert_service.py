"""A service of images and of alerts: whatever walks its surveys does so with both."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from lxml import etree, html

from tests.support.accounts import somebody
from tests.support.alert_service import make_alert_service, real_alerts

#: Resources without a variable part that have no answer to a plain GET, and why.
NEEDS_MORE = {
    "/sync": "an ID",
    "/cutout": "a survey",
    "/preview": "an ID",
    "/position": "a text",
    "/estimate": "what is asked for",
    "/logout": "a session",
    "/login": "ways to sign in",
    "/account": "somebody",
    "/events": "it never ends",
    "/jobs": "somebody",
    "/account/tokens": "somebody",
    "/preferences": "a choice",
}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, real_data: Path) -> Flask:
    environ = {"FOUNTAIN_SYNC__MAX_PIXELS": "1000000"}
    return make_alert_service(tmp_path_factory.mktemp("alerts"), real_data, environ)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def test_every_page_and_resource_answers_beside_alerts(app: Flask, client: FlaskClient) -> None:
    rules = [
        rule for rule in app.url_map.iter_rules() if not rule.arguments and "GET" in (rule.methods or ())
    ]
    paths = sorted({rule.rule for rule in rules} - set(NEEDS_MORE))
    paths = [path for path in paths if not path.startswith(("/admin", "/auth", "/async/", "/tokens"))]
    assert {
        "/",
        "/surveys",
        "/explore",
        "/batch",
        "/query",
        "/links",
        "/record",
        "/tables",
        "/examples",
    } <= set(paths)
    wrong = {path: client.get(path).status_code for path in paths}
    assert {path: status for path, status in wrong.items() if status not in (200, 204)} == {}


def test_surveys_of_alerts_are_told_with_their_number_and_an_example_that_works(
    client: FlaskClient, real_data: Path
) -> None:
    told = {one["name"]: one for one in json.loads(client.get("/surveys").data)["surveys"]}
    assert "closed-alerts" not in told
    for name in ("ztf-alerts", "rubin-alerts"):
        survey = told[name]
        assert survey["alerts"] == len(real_alerts(real_data, name))
        assert survey["alerts"] == sum(band["alerts"] for band in survey["bands"])
        assert survey["images"] == 0
        answer = client.get(f"/{survey['example']}")
        assert (answer.status_code, answer.content_type) == (200, "image/png")
    assert told["tiny"]["alerts"] == 0
    assert told["tiny"]["images"] > 0


def test_the_first_page_tells_of_alerts_and_leads_to_an_object(client: FlaskClient) -> None:
    page = html.fromstring(client.get("/").data)
    cards = page.xpath("//ul[@class='surveys']/li")
    (card,) = (one for one in cards if one.xpath(".//code[.='ztf-alerts']"))
    assert "67" in card.text_content()
    (link,) = card.xpath(".//dd/a")
    assert client.get(link.get("href")).content_type == "image/png"


def test_the_form_of_lists_offers_alerts_and_the_explorer_does_not(client: FlaskClient) -> None:
    assert b"ztf-alerts" not in client.get("/explore").data
    assert b"ztf-alerts" in client.get("/batch").data
    refused = client.get("/explore?survey=ztf-alerts", headers={"Accept": "application/json"})
    (problem,) = json.loads(refused.data)["problems"]
    assert problem["field"] == "survey"
    assert "ztf-alerts" in problem["message"]


def test_examples_of_alerts_work(client: FlaskClient) -> None:
    page = etree.fromstring(client.get("/examples").data)
    links = [one.get("href") for one in page.iter("{*}a") if "alerts" in (one.get("href") or "")]
    assert len(links) >= 8
    for link in links:
        url = urlsplit(link)
        answer = client.get(f"{url.path}?{url.query}")
        assert answer.status_code == 200, (link, answer.data[:200])
        if url.path.endswith("/query"):
            assert b"ztf-alerts/alert" in answer.data or b"rubin-alerts/alert" in answer.data
        assert dict(parse_qsl(url.query))


def test_coverage_and_record_have_the_cells_of_alerts(client: FlaskClient, real_data: Path) -> None:
    from astropy import units
    from mocpy import MOC

    answer = client.get("/moc/ztf-alerts?format=ascii")
    moc = MOC.from_string(answer.text)
    for alert in real_alerts(real_data, "ztf-alerts"):
        assert moc.contains_lonlat([alert.ra_deg] * units.deg, [alert.dec_deg] * units.deg).all()
    assert moc.sky_fraction < 67 / 786_432 + 1e-9
    refused = client.get("/moc/ztf-alerts/g")
    assert (refused.status_code, b"one coverage of all bands" in refused.data) == (404, True)
    record = etree.fromstring(client.get("/record").data)
    assert "Palomar 48 inch" in record.itertext()


def test_what_alerts_do_not_have_is_refused_with_the_way_to_it(client: FlaskClient) -> None:
    hips = client.get("/hips/ztf-alerts/g/properties")
    assert hips.status_code == 404


def test_closed_alerts_are_known_to_those_who_may_read_them(app: Flask, client: FlaskClient) -> None:
    names = somebody(app, "member", groups=("members",)).headers
    told = [one["name"] for one in json.loads(client.get("/surveys", headers=names).data)["surveys"]]
    assert "closed-alerts" in told
    assert client.get("/moc/closed-alerts").status_code in (401, 403)
    assert client.get("/moc/closed-alerts", headers=names).status_code == 200
