"""Objects with names that nobody expects: in headers, in documents, and told apart by case."""

from __future__ import annotations

import io

import numpy as np
import pytest
from astropy.io import fits
from flask.testing import FlaskClient
from lxml import etree

from config.app import create_app
from tests.support.alert_service import EXAMPLES, LARGER
from tests.support.alerts import KINDS
from tests.support.service import did, index_all, settings_of
from tests.surveys.alerts.shop import packed, write_alerts

NAMES = (
    'a"; filename="evil.exe',
    "<script>alert(1)",
    "O'Neill & Söhne",
    "Ω-étoile",
    "a b+c&d#e%2Ff",
    "🚀",
    "x" * 200,
    "ZTF18A",
    "ztf18a",
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    folder = tmp_path_factory.mktemp("odd")
    stamps = [dict.fromkeys(KINDS, packed(np.full((9, 9), n, np.float32))) for n in range(len(NAMES))]
    write_alerts(folder / "lake", stamps, NAMES)
    (folder / "declarations").mkdir()
    said = (EXAMPLES / "ztf-alerts.toml").read_text(encoding="utf-8")
    said = said.replace('root = "ztf-alerts"', f'root = "{folder}/lake"')
    (folder / "declarations" / "lake.toml").write_text(said, encoding="utf-8")
    settings = settings_of(folder, LARGER)
    index_all(settings)
    return create_app(settings).test_client()


@pytest.mark.parametrize("number", range(len(NAMES)))
def test_an_object_of_any_name_is_served_and_harms_nobody(client: FlaskClient, number: int) -> None:
    of_object, alert = {"ID": did(f"lake/object/{NAMES[number]}")}, {"ID": did(f"lake/alert/{number + 1}")}
    for asked in (of_object, alert):
        made = client.get("/sync", query_string=asked)
        assert made.status_code == 200, made.text
        hdus = fits.open(io.BytesIO(made.data))
        hdus.verify("exception")
        assert hdus[-1].data[0, 0] == number
        links = etree.fromstring(client.get("/links", query_string=asked).data)
        assert not list(links.iter("script"))
        for form in ("png", "json"):
            assert client.get("/sync", query_string={**asked, "RESPONSEFORMAT": form}).status_code == 200
    found = client.get("/query", query_string={"TARGET": NAMES[number]})
    assert len(list(etree.fromstring(found.data).iter("{*}TR"))) == 1


@pytest.mark.parametrize("number", range(len(NAMES)))
def test_the_name_of_a_brokers_file_is_one_that_headers_may_have(client: FlaskClient, number: int) -> None:
    asked = {"candid": str(number + 1), "kind": "Science", "return_type": "FITS"}
    said = client.get("/api/v1/cutouts", query_string=asked).headers["Content-Disposition"]
    beginning, name = said[: len('attachment; filename="')], said[len('attachment; filename="') : -1]
    assert (beginning, said[-1]) == ('attachment; filename="', '"')
    assert name.isascii()
    assert name.endswith(".fits")
    assert not set(name) & set('"\\/;<>%')


def test_objects_that_case_alone_tells_apart_are_not_taken_for_one(client: FlaskClient) -> None:
    for number in (7, 8):
        made = client.get("/sync", query_string={"ID": did(f"lake/object/{NAMES[number]}")})
        assert list(fits.open(io.BytesIO(made.data))[1].data["candid"]) == [number + 1]
        asked = {"objectId": NAMES[number], "kind": "Science", "return_type": "FITS"}
        by_broker = client.get("/api/v1/cutouts", query_string=asked)
        assert fits.getdata(io.BytesIO(by_broker.data))[0, 0] == number
        asked["hdfsPath"] = "part-00000.parquet"
        assert client.get("/api/v1/cutouts", query_string=asked).data == by_broker.data
        links = client.get("/links", query_string={"ID": did(f"lake/object/{NAMES[number]}")}).text
        assert f"lake/alert/{number + 1}" in links
        assert f"lake/alert/{16 - number}" not in links
    answer = client.get("/sync", query_string={"ID": did("lake/object/Ztf18a")})
    assert (answer.status_code, "differ by the case" in answer.text) == (404, True)
    asked = {"objectId": "Ztf18a", "kind": "Science"}
    assert client.get("/api/v1/cutouts", query_string=asked).status_code == 404
    # Where it tells nothing apart it does not matter.
    assert client.get("/sync", query_string={"ID": did(f"lake/object/{NAMES[6].upper()}")}).status_code == 200
