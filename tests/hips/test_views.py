"""HiPS and coverages over HTTP."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits
from flask.testing import FlaskClient
from mocpy import MOC
from pyvo.io.vosi import parse_capabilities
from werkzeug.test import TestResponse

from config.app import create_app
from config.settings import Settings, load_settings
from surveys.hips.properties import read_properties
from tests.hips.support import DECLARATION
from tests.support.accounts import somebody
from tests.support.service import environ_of

HIPS = "/hips/stars/g"
PEOPLE = (("ann", "members"), ("bob", "others"))


class Client(FlaskClient):
    """Takes answers whole, as a server does, so that files are closed."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        return super().open(*args, **{"buffered": True} | kwargs)


def client_of(settings: Settings) -> FlaskClient:
    app = create_app(settings)
    app.test_client_class = Client
    return app.test_client()


@pytest.fixture(scope="module")
def client(stars: Settings, hips: Path) -> FlaskClient:
    return client_of(stars)


@pytest.fixture(scope="module")
def private(stars: Settings, hips: Path) -> FlaskClient:
    """The same data where only members may read the survey."""
    declaration = stars.data.path / "declarations-private"
    declaration.mkdir()
    (declaration / "stars.toml").write_text('access = { groups = ["members"] }\n' + DECLARATION)
    environ = environ_of(stars.data.path, {"FOUNTAIN_SURVEYS__DECLARATIONS": str(declaration)})
    return client_of(load_settings(environ))


@pytest.fixture
def whole(client: FlaskClient, tmp_path: Path) -> MOC:
    """The coverage, as mocpy reads the FITS file."""
    (tmp_path / "moc.fits").write_bytes(client.get("/moc/stars/g").data)
    return MOC.load(tmp_path / "moc.fits", "fits")


def a_tile(hips: Path, extension: str) -> str:
    path = min(hips.glob(f"Norder5/Dir*/Npix*.{extension}"))
    return path.relative_to(hips).as_posix()


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("properties", "text/plain; charset=utf-8"),
        ("Moc.fits", "application/fits"),
        ("Norder3/Allsky.fits", "application/fits"),
        ("Norder3/Allsky.png", "image/png"),
        ("index.html", "text/html; charset=utf-8"),
        ("tile.fits", "application/fits"),
        ("tile.png", "image/png"),
    ],
)
def test_files_have_their_types_and_can_be_kept(
    client: FlaskClient, hips: Path, path: str, media_type: str
) -> None:
    if path.startswith("tile."):
        path = a_tile(hips, path.partition(".")[2])
    answer = client.get(f"{HIPS}/{path}")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == media_type
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.cache_control.public
    assert answer.cache_control.max_age is not None
    assert answer.last_modified is not None
    if path not in ("properties", "index.html"):
        assert answer.data == (hips / path).read_bytes()
    etag = answer.headers["ETag"]
    again = client.get(f"{HIPS}/{path}", headers={"If-None-Match": etag})
    assert (again.status_code, again.data) == (304, b"")
    head = client.head(f"{HIPS}/{path}")
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(answer.data)))


def test_names_are_found_in_any_case(client: FlaskClient) -> None:
    assert client.get("/hips/STARS/G/Moc.fits").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "Norder5/Dir0/Npix0.fits",
        "Norder05/Dir0/Npix4503.fits",
        "Norder5/Dir10000/Npix1.fits",
        "Norder5/Dir0/Npix1.jpg",
        "../../../declarations/stars.toml",
        "Norder5/../properties",
        "..%2f..%2f..%2fdeclarations%2fstars.toml",
        "/etc/passwd",
        "Norder٥/Dir0/Npix1.png",
        "Norder5/Dir0/.Npix1.fits.99",
        "Norder3",
        "lock",
    ],
)
def test_other_paths_lead_nowhere(client: FlaskClient, path: str) -> None:
    answer = client.get(f"{HIPS}/{path}")
    assert answer.status_code == 404
    assert answer.text.startswith("UsageError: ")
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/hips/stars/z/properties", "stars has no HiPS"),
        ("/hips/stars/color-none/properties", "stars has no HiPS"),
        ("/hips/stars/../g/properties", "no"),
        ("/hips/nothing/g/properties", "there is no survey 'nothing'"),
        ("/hips/.editions/stars/properties", "there is no survey '.editions'"),
        ("/moc/nothing", "there is no survey 'nothing'"),
        ("/moc/stars/z", "stars has no band 'z'"),
    ],
)
def test_what_is_not_there_is_said(client: FlaskClient, path: str, said: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert said in answer.text


def test_links_out_of_the_folder_are_not_followed(client: FlaskClient, hips: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    link = hips / "Norder5" / "Dir990000" / "Npix999999.png"
    link.parent.mkdir()
    link.symlink_to(tmp_path / "secret")
    try:
        assert client.get(f"{HIPS}/Norder5/Dir990000/Npix999999.png").status_code == 404
    finally:
        link.unlink()
        link.parent.rmdir()


def test_the_list_leads_to_each_hips(client: FlaskClient) -> None:
    answer = client.get("/hips/hipslist")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    records = [read_properties(record) for record in answer.text.strip().split("\n\n")]
    record = next(one for one in records if one["creator_did"] == "ivo://example.org/fountain?stars/g")
    assert {"hips_release_date", "hips_status"} <= record.keys()
    assert record["hips_service_url"] == "http://localhost/hips/stars/g"
    properties = client.get(f"{record['hips_service_url']}/properties").text
    assert read_properties(properties)["hips_service_url"] == record["hips_service_url"]


def test_the_list_is_a_capability_and_in_the_record(client: FlaskClient) -> None:
    answer = client.get("/capabilities")
    found = [
        capability
        for capability in parse_capabilities(BytesIO(answer.data))
        if capability.standardid == "ivo://ivoa.net/std/hips#hipslist-1.0"
    ]
    assert [one.interfaces[0].accessurls[0].content for one in found] == ["http://localhost/hips/hipslist"]
    assert b"ivo://ivoa.net/std/hips#hipslist-1.0" in client.get("/record").data


def test_who_may_not_read_a_survey_has_no_hips_of_it(private: FlaskClient, hips: Path) -> None:
    for path in ("properties", "Moc.fits", a_tile(hips, "png"), "Norder3/Allsky.png"):
        assert private.get(f"{HIPS}/{path}").status_code == 401
    assert private.get("/moc/stars").status_code == 401
    assert "stars" not in private.get("/hips/hipslist").text


def test_who_may_read_it_asks_again_each_time(private: FlaskClient, hips: Path) -> None:
    ann = somebody(private.application, "ann", groups=("members",))
    for path in (f"{HIPS}/{a_tile(hips, 'png')}", f"{HIPS}/properties", "/moc/stars", "/hips/hipslist"):
        with private.get(path, headers=ann.headers) as answer:
            assert answer.status_code == 200
            assert set(answer.headers["Cache-Control"].split(", ")) == {"private", "no-cache"}
            etag = answer.headers["ETag"]
        assert private.get(path, headers={**ann.headers, "If-None-Match": etag}).status_code == 304
        if "list" not in path:
            assert private.get(path, headers={"If-None-Match": etag}).status_code == 401
    assert f"{HIPS}\n" in private.get("/hips/hipslist", headers=ann.headers).text


def test_a_hips_is_for_those_who_may_read_all_images(stars: Settings, hips: Path) -> None:
    declarations = stars.data.path / "declarations-partly"
    declarations.mkdir()
    access = 'access = { public = true, datasets = [{ match = "g/*", groups = ["members"] }] }\n'
    (declarations / "stars.toml").write_text(access + DECLARATION)
    environ = environ_of(stars.data.path, {"FOUNTAIN_SURVEYS__DECLARATIONS": str(declarations)})
    client = client_of(load_settings(environ))
    assert client.get(f"{HIPS}/properties").status_code == 401
    assert "stars" not in client.get("/hips/hipslist").text
    assert client.get("/moc/stars").status_code == 200
    ann, bob = (somebody(client.application, name, groups=(group,)) for name, group in PEOPLE)
    assert client.get(f"{HIPS}/properties", headers=ann.headers).status_code == 200
    assert client.get(f"{HIPS}/properties", headers=bob.headers).status_code == 403


class TestMoc:
    def test_fits_is_what_is_given_where_nothing_is_asked(self, client: FlaskClient) -> None:
        answer = client.get("/moc/stars/g")
        assert answer.headers["Content-Type"] == "application/fits"
        with fits.open(BytesIO(answer.data)) as hdus:
            hdus.verify("exception")
            assert hdus[1].header["ORDERING"] == "NUNIQ"
        again = client.get("/moc/stars/g", headers={"If-None-Match": answer.headers["ETag"]})
        assert again.status_code == 304

    @pytest.mark.parametrize(
        ("query", "accept"),
        [("?format=json", "*/*"), ("?FORMAT=JSON", "*/*"), ("", "application/json")],
    )
    def test_json(self, client: FlaskClient, whole: MOC, query: str, accept: str) -> None:
        answer = client.get(f"/moc/stars/g{query}", headers={"Accept": accept})
        assert answer.headers["Content-Type"] == "application/json"
        assert MOC.from_json(json.loads(answer.data)) == whole

    @pytest.mark.parametrize(("query", "accept"), [("?format=ascii", "*/*"), ("", "text/plain")])
    def test_ascii(self, client: FlaskClient, whole: MOC, query: str, accept: str) -> None:
        answer = client.get(f"/moc/stars/g{query}", headers={"Accept": accept})
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert MOC.from_string(answer.text, "ascii") == whole

    def test_the_order_is_bounded(self, client: FlaskClient, whole: MOC) -> None:
        deepest = whole.max_order
        answer = client.get("/moc/stars?order=5&format=ascii")
        assert MOC.from_string(answer.text, "ascii").max_order == 5
        assert client.get(f"/moc/stars?order={deepest}").status_code == 200
        for wrong in (str(deepest + 1), "-1", "1.5", "five", "5&order=6"):
            answer = client.get(f"/moc/stars?order={wrong}")
            assert answer.status_code == 400
            assert "ORDER" in answer.text

    @pytest.mark.parametrize("query", ["format=votable", "oder=5"])
    def test_wrong_parameters_are_told(self, client: FlaskClient, query: str) -> None:
        answer = client.get(f"/moc/stars?{query}")
        assert answer.status_code == 400
        assert answer.text.startswith("UsageError: ")
