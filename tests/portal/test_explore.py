"""The explorer without a script: a URL says it all, and what is wrong stands beside its field."""

from __future__ import annotations

import io
import re
import shlex
from contextlib import redirect_stdout
from html import unescape
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import requests
from astropy.config import set_temp_cache
from astropy.io import fits
from flask import Flask
from flask.testing import FlaskClient

from portal.explore.code import code_of, code_of_job
from tests.support.listening import listening
from tests.support.service import did, make_service

JSON = {"Accept": "application/json"}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    limits = {"FOUNTAIN_SYNC__MAX_PIXELS": "10000", "FOUNTAIN_CUTOUT_JOBS__MAX_PIXELS": "30000"}
    return make_service(tmp_path_factory.mktemp("explore"), limits)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def told(client: FlaskClient, query: str) -> dict[str, Any]:
    answer = client.get(f"/explore?{query}", headers=JSON)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json
    return found


def problems(found: dict[str, Any]) -> dict[str, str]:
    return {problem["field"]: f"{problem['message']} {problem['fix']}" for problem in found["problems"]}


def test_a_page_shows_what_its_url_says(client: FlaskClient) -> None:
    page = client.get("/explore?survey=tiny&bands=g&at=150+0&size=60px&format=fits")
    assert page.status_code == 200
    assert page.content_type == "text/html; charset=utf-8"
    (preview,) = re.findall(r'<img id="picture" src="([^"]+)"', page.text)
    (download,) = re.findall(r'id="download" href="([^"]+)"', page.text)
    assert client.get(unescape(preview)).content_type == "image/png"
    with fits.open(BytesIO(client.get(unescape(download)).data)) as hdus:
        assert hdus[0].shape == (60, 60)
    assert "60 × 60 pixels" in page.text
    assert 'value="60px"' in page.text


def test_without_a_query_there_is_something_to_see(client: FlaskClient) -> None:
    found = told(client, "")
    assert found["survey"] == "nights" or found["survey"] == "tiny"
    assert found["place"] is not None


@pytest.mark.parametrize(
    ("query", "parameters"),
    [
        (
            "survey=tiny&bands=g&at=150+0&radius=20arcsec",
            [["ID", did("tiny/g")], ["CIRCLE", f"150 0 {round(20 / 3600, 9)}"]],
        ),
        ("survey=tiny&at=150,0&size=30px", [["ID", did("tiny")], ["CENTER", "150 0"], ["SIZE", "30px"]]),
        (
            "survey=tiny&bands=g&points=150,0,150.01,0,150,0.01&mask=true&edge=clip&north=on",
            [
                ["ID", did("tiny/g")],
                ["POLYGON", "150 0 150.01 0 150 0.01"],
                ["MASK", "true"],
                ["EDGE", "clip"],
                ["GRID", "tan"],
            ],
        ),
        (
            "survey=tiny&at=10:00:00+%2B00:00:00&size=30px&format=jpg&q=5&north=true",
            [
                ["ID", did("tiny")],
                ["CENTER", "150 0"],
                ["SIZE", "30px"],
                ["RESPONSEFORMAT", "image/jpeg"],
                ["RGB", "r,r,g"],
                ["Q", "5"],
                ["ORIENT", "north"],
            ],
        ),
        # A curve is of one band, and is not sent with colours.
        (
            "survey=tiny&bands=g,r&at=150+0&size=30px&format=png&stretch=log",
            [
                ["ID", did("tiny")],
                ["CENTER", "150 0"],
                ["SIZE", "30px"],
                ["RESPONSEFORMAT", "image/png"],
                ["RGB", "r,r,g"],
            ],
        ),
    ],
)
def test_a_url_is_a_request(client: FlaskClient, query: str, parameters: list[list[str]]) -> None:
    found = told(client, query)
    assert found["problems"] == []
    assert found["parameters"] == parameters
    assert client.get(f"/{found['download']}").status_code == 200
    assert client.get(f"/{found['preview']}").content_type == "image/png"
    # The link to a view says the same again.
    assert told(client, found["query"]) == found


@pytest.mark.parametrize(
    ("query", "field", "words"),
    [
        ("survey=tiny&at=here", "at", "AT is a right ascension and a declination"),
        ("survey=tiny&at=150+0&size=big", "size", "SIZE"),
        ("survey=tiny&at=150+0&radius=1arcsec+2arcsec", "radius", "RADIUS is one number"),
        ("survey=tiny&points=1+2", "points", "three corners"),
        ("survey=tiny&at=150+0&bands=z", "bands", "there is no band"),
        ("survey=stars&at=150+0", "survey", "there is no survey"),
        ("survey=tiny&at=150+0&edge=sharp", "edge", "EDGE is"),
        ("survey=tiny&at=150+0&size=20px&format=png&bands=g&softening=-1", "softening", "SOFTENING"),
        ("survey=tiny&at=150+0&size=20px&format=png&recipe=nice", "recipe", "nice"),
        ("survey=tiny&at=150+0&size=20px&format=fits&bands=g&softening=-1", "softening", "SOFTENING"),
        ("survey=tiny&at=150+0&sise=20px", "", "SISE is not a parameter"),
        ("survey=tiny&at=200+40&size=20px", "at", "has no data"),
        ("survey=tiny&bands=g&at=150+0&size=120px", "size", "limit"),
        ("survey=tiny&bands=g&at=150+0&radius=100px", "radius", "limit"),
    ],
)
def test_what_is_wrong_stands_beside_its_field(
    client: FlaskClient, query: str, field: str, words: str
) -> None:
    assert words in problems(told(client, query))[field]
    page = client.get(f"/explore?{query}")
    assert page.status_code == 200
    (beside,) = re.findall(rf'id="problem-{field or "all"}">(.*?)</div>', page.text, re.DOTALL)
    assert words.lower() in unescape(beside).lower()


def test_what_is_too_large_for_an_answer_at_once_is_offered_as_a_job(client: FlaskClient) -> None:
    found = told(client, "survey=tiny&bands=g&at=150+0&size=120px")
    assert found["outcome"]["by"] == "async"
    assert found["download"] is None
    page = client.get("/explore?survey=tiny&bands=g&at=150+0&size=120px").text
    (form,) = re.findall(r'<form method="post" action="/async" id="job">(.*?)</form>', page, re.DOTALL)
    fields = [tuple(map(unescape, pair)) for pair in re.findall(r'name="(\w+)" value="([^"]*)"', form)]
    assert fields == [*map(tuple, found["parameters"]), ("PHASE", "RUN")]
    assert client.post("/async", data=dict(fields)).status_code == 303


def test_what_no_job_makes_either_is_told_with_the_nearest_that_one_does(client: FlaskClient) -> None:
    found = told(client, "survey=tiny&bands=g&at=150+0&size=300px&edge=pad")
    assert found["outcome"]["by"] == ""
    assert found["outcome"]["nearest"]["SIZE"].endswith("px")
    assert "limit" in problems(found)["size"]


def test_bands_are_told_by_what_they_cover(client: FlaskClient) -> None:
    assert told(client, "survey=tiny&at=150+0")["covered"] == {"g": True, "r": True}
    assert told(client, "survey=tiny&at=200+40")["covered"] == {"g": False, "r": False}
    page = client.get("/explore?survey=tiny&at=200+40").text
    assert page.count('class="segment none"') == 2


def test_what_is_typed_stays_text(client: FlaskClient) -> None:
    evil = "<script>alert(1)</script>"
    for name in ("at", "size", "survey", "bands", "recipe", "q", "cuts", "cmap", "points", "shape", evil):
        page = client.get("/explore", query_string={"survey": "tiny", "at": "150 0", name: evil})
        assert page.status_code == 200
        assert "<script>alert" not in page.text


def test_the_page_may_run_its_own_scripts_alone(client: FlaskClient) -> None:
    policy = client.get("/explore").headers["Content-Security-Policy"]
    assert re.search(r"script-src 'nonce-[\w-]{20,}';", policy)
    assert "connect-src 'self' https://cds.unistra.fr http://127.0.0.1:21012;" in policy
    assert "unsafe" not in policy


def test_code_has_no_token_in_it(client: FlaskClient) -> None:
    found = client.get(
        "/explore?survey=tiny&at=150+0&size=20px",
        headers={**JSON, "Authorization": "Bearer sf_0123456789abcdef"},
    )
    assert "sf_0123456789abcdef" not in found.text


def test_the_command_is_one_line_of_a_shell(client: FlaskClient) -> None:
    code = told(client, "survey=tiny&bands=g&at=150+0&size=20px")["code"]
    command, option, url = shlex.split(code["curl"])
    assert (command, option, url) == ("curl", "-OJ", code["url"])
    assert client.get(url).status_code == 200


@pytest.mark.parametrize("query", ["bands=g&format=fits", "bands=g,r&format=fits", "bands=g&format=png"])
def test_code_in_python_fetches_the_same(
    app: Flask, query: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with listening(app) as url, set_temp_cache(tmp_path):
        found = requests.get(
            f"{url}/explore?survey=tiny&at=150+0&size=20px&{query}", headers=JSON, timeout=30
        )
        code = found.json()["code"]
        expected = requests.get(code["url"], timeout=30).content
        exec(compile(code["pyvo"], "pyvo", "exec"), {})
        (written,) = tmp_path.glob("TINYJ*")
        assert written.read_bytes() == expected
        shown = io.StringIO()
        with redirect_stdout(shown):
            exec(compile(code["astropy"], "astropy", "exec"), {})
    assert "20, 20" in shown.getvalue()


def test_code_of_a_job_is_python(client: FlaskClient) -> None:
    code = told(client, "survey=tiny&bands=g&at=150+0&size=120px")["code"]
    assert set(code) == {"curl", "python"}
    compile(code["python"], "python", "exec")


def test_code_of_a_survey_that_is_not_for_everybody_finds_its_token_elsewhere() -> None:
    pairs = [("ID", "ivo://example.org/fountain?secret/g"), ("CIRCLE", "150 0 0.01")]
    for code in (
        code_of("https://example.org", pairs, "a.fits", is_public=False),
        code_of_job("https://example.org", pairs, is_public=False),
    ):
        for name in set(code) - {"url"}:
            assert "FOUNTAIN_TOKEN" in code[name]
        for name in set(code) - {"url", "curl"}:
            compile(code[name], name, "exec")
