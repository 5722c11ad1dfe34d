"""What pages and their scripts have of the service: words, surveys, places, preferences."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_babel import Babel

from portal import figures
from portal.assets import Assets
from portal.pages import Frame, Pages
from portal.policy import PagePolicy
from portal.words import chosen_language, words_of_scripts
from tests.portal.conftest import browser_of
from tests.support.service import did, make_service

NAVIGATES = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none", "Accept": "text/html"}


@pytest.fixture(scope="module")
def open_app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    return make_service(tmp_path_factory.mktemp("frame"))


@pytest.fixture
def client(open_app: Flask) -> FlaskClient:
    return open_app.test_client()


def test_surveys_are_told_with_what_can_be_asked_for(client: FlaskClient) -> None:
    told = client.get("/surveys").json
    tiny = next(survey for survey in told["surveys"] if survey["name"] == "tiny")
    assert tiny["did"] == did("tiny")
    assert [band["name"] for band in tiny["bands"]] == ["g", "r"]
    assert tiny["bands"][0]["did"] == did("tiny/g")
    assert tiny["pixel_scale_arcsec"] == 1.0
    assert tiny["images"] == sum(band["images"] for band in tiny["bands"]) > 0
    assert tiny["hips"] is None
    # Four places, one of them two tiles that overlap, in cells of the coverage about them.
    assert 5 * (200 / 3600) ** 2 * 0.7 < tiny["area_deg2"] < 5 * (200 / 3600) ** 2 * 2
    assert told["limits"]["max_targets"] == 100_000


def test_bands_are_told_by_what_they_cover(client: FlaskClient) -> None:
    def covered(query: str) -> set[str]:
        surveys = client.get(f"/surveys?{query}").json["surveys"]
        return {
            f"{survey['name']}/{band['name']}"
            for survey in surveys
            for band in survey["bands"]
            if band["covered"]
        }

    assert {"tiny/g", "tiny/r"} <= covered("POS=150 0")
    assert covered("POS=200 40") == set()
    # Half a degree beside it.
    assert covered("POS=150.5 0") == set()
    assert {"tiny/g", "tiny/r"} <= covered("POS=150.5 0&SIZE=1deg")


@pytest.mark.parametrize(
    ("query", "named"), [("POS=here", "POS"), ("POS=1 2&SIZE=5px", "SIZE"), ("PLACE=1 2", "PLACE")]
)
def test_what_is_wrong_with_a_question_is_said(client: FlaskClient, query: str, named: str) -> None:
    answer = client.get(f"/surveys?{query}")
    assert answer.status_code == 400
    assert named in answer.text


@pytest.mark.parametrize(
    ("text", "ra", "dec", "understood"),
    [
        ("150.1 2.2", 150.1, 2.2, "equatorial"),
        ("10:00:24 +02:12:00", 150.1, 2.2, "equatorial"),
        ("10h00m24s+2d12m", 150.1, 2.2, "equatorial"),
        ("J100024.0+021200", 150.1, 2.2, "name"),
        # The north pole of the Galaxy (J2000), by definition.
        ("gal 0 90", 192.85948, 27.12825, "galactic"),
        ("l=0 b=90", 192.85948, 27.12825, "galactic"),
    ],
)
def test_places_are_read_in_any_notation(
    client: FlaskClient, text: str, ra: float, dec: float, understood: str
) -> None:
    told = client.get("/position", query_string={"TEXT": text}).json
    assert (told["ra"], told["dec"]) == pytest.approx((ra, dec), abs=1e-4)
    assert told["understood"] == understood


def test_a_place_is_told_in_all_notations(client: FlaskClient) -> None:
    told = client.get("/position?TEXT=150.1 2.2").json
    assert told["sexagesimal"] == "10:00:24.000 +02:12:00.00"
    assert told["constellation"] == "Sextans"
    assert told["galactic"] == pytest.approx([236.8, 42.1], abs=0.1)
    assert client.get("/position?TEXT=359.9999999999 0").json["sexagesimal"].startswith("00:00:00.000")


@pytest.mark.parametrize("text", ["", "M 31", "gal 1", "J1000", "1" * 200, "150.1 95", "12 34 5"])
def test_what_is_no_place_is_refused(client: FlaskClient, text: str) -> None:
    answer = client.get("/position", query_string={"TEXT": text})
    assert answer.status_code == 400
    assert answer.text.startswith("UsageError: TEXT")


def test_preferences_are_kept_and_lead_back(client: FlaskClient) -> None:
    answer = client.get("/preferences?language=pt_BR&theme=dark&next=/examples?a=1")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/examples?a=1")
    page = client.get("/nothing", headers=NAVIGATES)
    assert page.status_code == 404
    assert '<html lang="pt-BR" data-theme="dark">' in page.text
    assert client.get("/preferences?next=//elsewhere.org").headers["Location"] == "/"
    assert client.get("/preferences?language=xx").status_code == 400


@pytest.mark.parametrize(
    ("accepted", "spoken"), [("pt-PT,pt;q=0.9,en;q=0.8", "pt-BR"), ("de,en;q=0.5", "en"), ("fr", "en")]
)
def test_browsers_are_answered_in_their_language(client: FlaskClient, accepted: str, spoken: str) -> None:
    page = client.get("/nothing", headers={**NAVIGATES, "Accept-Language": accepted})
    assert f'<html lang="{spoken}"' in page.text


def test_only_who_opens_a_page_gets_an_error_as_one(client: FlaskClient) -> None:
    asked = {"ID": did("tiny/g"), "CIRCLE": "150 0"}
    page = client.get("/sync", query_string=asked, headers=NAVIGATES)
    assert page.status_code == 400
    assert page.content_type == "text/html; charset=utf-8"
    assert "CIRCLE" in page.text
    # Java's clients name text/html first, and read text.
    java = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"
    assert client.get("/sync", query_string=asked, headers={"Accept": java}).text.startswith("UsageError")


def test_scripts_are_let_in_by_their_nonce_alone() -> None:
    policy = PagePolicy().header("abc")
    assert "script-src 'nonce-abc';" in policy
    assert "unsafe" not in policy
    assert "connect-src 'self';" in policy
    assert "'wasm-unsafe-eval'" in PagePolicy(wasm=True).header("abc")


def test_modules_name_each_other_by_their_content(open_app: Flask) -> None:
    assets, client = Assets(), browser_of(open_app)
    modules = [file.stem for file in Path("portal/static").glob("*.js")]
    assert "base" in modules
    for name in modules:
        answer = client.get(assets.address(f"{name}.js"))
        assert answer.content_type == "text/javascript; charset=utf-8"
        for other in re.findall(r'["\']\./([^"\']+)["\']', answer.text):
            assert client.get(f"/static/{other}").headers["Cache-Control"].endswith("immutable"), other


def test_a_page_has_the_words_of_its_modules_and_of_what_they_import() -> None:
    texts = list(Assets().scripts(("jobs.js",)))
    said = words_of_scripts(texts, "pt_BR")
    assert "The service does not answer." in said  # of base.js
    assert len(texts) == len(set(texts)) < len(list(Path("portal/static").glob("*.js")))


def test_words_of_scripts_are_found() -> None:
    texts = ['t("Jobs"); tn("{n} row", "{n} rows", n); t("never\\"said"); start("this");']
    assert words_of_scripts(texts, "en") == {"{n} row": ["{n} row", "{n} rows"]}


def test_data_of_pages_cannot_end_their_element() -> None:
    app = Flask("data")
    pages = Pages(Frame("A </script>", "1", "", "", (), str), Assets())
    with app.test_request_context("/"):
        body = pages.render("logout.html", scripts=("base.js",)).get_data(as_text=True)
    found = re.search(r'<script type="application/json" id="frame">(.*?)</script>', body)
    assert found is not None
    assert json.loads(found[1])["root"] == "/"


def test_the_mark_and_the_word_to_robots_are_where_they_are_looked_for(client: FlaskClient) -> None:
    mark = client.get("/favicon.ico")
    assert (mark.status_code, mark.content_type) == (200, "image/svg+xml")
    assert client.get("/favicon.ico", headers={"If-None-Match": mark.headers["ETag"]}).status_code == 304
    robots = client.get("/robots.txt", environ_overrides={"SCRIPT_NAME": "/soda"})
    assert "Disallow: /soda/sync\n" in robots.text
    assert "Disallow: /soda/help" not in robots.text


def test_fractions_are_written_as_the_reader_does() -> None:
    app = Flask("numbers")
    Babel(app, locale_selector=chosen_language)
    with app.test_request_context("/", headers={"Accept-Language": "pt-BR"}):
        assert (figures.duration(1.8), figures.size(2_600_000), figures.ratio(1.25)) == (
            "1,8 s",
            "2,6 MB",
            "1,25",
        )
    assert figures.duration(1.8) == "1.8 s"
