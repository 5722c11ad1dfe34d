"""The first page: what it offers works as it stands."""

from __future__ import annotations

import html
import re
import shlex
from io import BytesIO
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from astropy.io import fits
from flask import Flask
from flask.testing import FlaskClient

from config.app import create_app
from config.database import make_engine, prepare
from portal.landing import pictures_of
from portal.position import Place
from tests.portal.conftest import browser_of
from tests.support.alert_service import EXAMPLES, LARGER
from tests.support.alerts import write_lake
from tests.support.service import did, index_all, make_service, settings_of


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    return make_service(tmp_path_factory.mktemp("landing"), {"FOUNTAIN_SYNC__MAX_PIXELS": "100000"})


@pytest.fixture
def client(landed: Flask) -> FlaskClient:
    return browser_of(landed)


def blocks(text: str) -> list[str]:
    """Give what stands in the boxes to be copied."""
    return [html.unescape(found) for found in re.findall(r"<pre[^>]*><code>(.*?)</code>", text, re.DOTALL)]


def test_the_box_leads_to_the_explorer(client: FlaskClient) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert '<form class="ask" id="ask" method="get" action="/explore">' in page.text
    assert re.findall(r'<option value="(\w+)">', page.text)[:2] == ["nights", "tiny"]
    assert client.get("/explore?at=150+0&survey=tiny&size=1arcmin").status_code == 200
    assert "connect-src 'self' https://cds.unistra.fr;" in page.headers["Content-Security-Policy"]


def test_pictures_are_cutouts(client: FlaskClient) -> None:
    page = client.get("/")
    sources = [html.unescape(source) for source in re.findall(r'<img src="(/cutout[^"]*)"', page.text)]
    assert len(sources) == 3
    for source in sources:
        answer = client.get(source)
        assert (answer.status_code, answer.content_type) == (200, "image/jpeg"), answer.text
        assert html.escape(source) in page.text


def test_commands_work_as_they_stand(client: FlaskClient) -> None:
    curl, csv, many, python = blocks(client.get("/").text)
    url = urlsplit(shlex.split(curl)[-1])
    cutout = client.get(f"{url.path}?{url.query}")
    assert fits.getdata(BytesIO(cutout.data)).shape == (30, 30)
    words = shlex.split(many)
    form = dict(word.split("=", 1) for word in words if "=" in word)
    assert form.pop("t") == "@list.csv"
    form["t"] = (BytesIO(csv.encode()), "list.csv")  # type: ignore[assignment]
    assert urlsplit(words[-1]).path == "/async"
    estimate = client.post("/estimate", data={**form}, headers={"Accept": "application/json"})
    assert estimate.status_code == 200, estimate.text
    assert did("tiny/g") in python
    compile(python, "snippet", "exec")


def test_limits_are_those_of_who_asks(client: FlaskClient) -> None:
    page = client.get("/")
    assert "cutouts a day" in page.text
    assert "5\u202f000\u202f000" in page.text
    assert "Secret" not in page.text


def test_without_surveys_it_says_so(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    (tmp_path / "declarations").mkdir()
    engine = make_engine(settings.data.engine_url)
    prepare(engine)
    engine.dispose()
    page = browser_of(create_app(settings)).get("/")
    assert page.status_code == 200
    assert "There is nothing to cut yet" in page.text


def test_a_service_of_alerts_alone_leads_to_their_stamps(tmp_path: Path) -> None:
    write_lake(tmp_path / "lake", 5)
    (tmp_path / "declarations").mkdir()
    said = (EXAMPLES / "ztf-alerts.toml").read_text(encoding="utf-8")
    said = said.replace('root = "ztf-alerts"', f'root = "{tmp_path}/lake"')
    (tmp_path / "declarations" / "ztf-alerts.toml").write_text(said, encoding="utf-8")
    settings = settings_of(tmp_path, LARGER)
    index_all(settings)
    page = browser_of(create_app(settings)).get("/")
    assert page.status_code == 200
    assert "There is nothing to cut yet" not in page.text
    (box,) = re.findall(r'<div class="box">.*?</div>', page.text, re.DOTALL)
    assert "Here are stamps of alerts" in box
    assert 'href="/batch"' in box
    (example,) = re.findall(r'href="(/sync[^"]+)"', box)
    picture = create_app(settings).test_client().get(html.unescape(example))
    assert (picture.status_code, picture.content_type) == (200, "image/png")


def test_few_surveys_are_shown_in_more_ways() -> None:
    def survey(name: str, *bands: str) -> dict[str, object]:
        told = [{"name": band, "images": 1} for band in bands]
        recipes = [{"name": "rgb", "bands": list(bands)}]
        return {
            "name": name,
            "title": name,
            "bands": told,
            "center": [1.0, 2.0],
            "kind": "coadd",
            "pixel_scale_arcsec": 1.0,
            "recipes": recipes,
        }

    sights = {"a": (Place(1, 2, "equatorial"), Place(3, 4, "equatorial"))}
    queries = [picture.query for picture in pictures_of([survey("a", "g", "r", "i")], sights)]
    assert [("bands=" in query, "cmap=" in query) for query in queries] == [(0, 0), (0, 0), (1, 1)]
    assert len(set(queries)) == 3
    several = [survey(name, "g") for name in "abcd"]
    assert [dict(parse_qsl(picture.query))["survey"] for picture in pictures_of(several, {})] == [
        "a",
        "b",
        "c",
    ]
    assert list(pictures_of([], {})) == []
