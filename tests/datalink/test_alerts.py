"""``/links`` of alerts and of objects: every link leads to what it says."""

from __future__ import annotations

import io
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
from astropy.io import fits
from astropy.io.votable import parse
from astropy.io.votable.tree import Param, Resource
from flask import Flask
from flask.testing import FlaskClient
from lxml import etree
from werkzeug.test import TestResponse

from config.app import create_app
from tests.support.accounts import somebody
from tests.support.alert_service import LARGER, RealAlert, make_alert_service, real_alerts
from tests.support.outside import Validate, stilts
from tests.support.service import did, settings_of

KINDS = ("Science", "Template", "Difference")
NAMESPACE = {"v": "http://www.ivoa.net/xml/VOTable/v1.3"}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, real_data: Path) -> Flask:
    environ = {"FOUNTAIN_SYNC__MAX_PIXELS": "1000000"}
    return make_alert_service(tmp_path_factory.mktemp("alerts"), real_data, environ)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture(scope="module")
def alert(real_data: Path) -> RealAlert:
    return real_alerts(real_data, "ztf-alerts")[3]


def ask(client: FlaskClient, *ids: str, headers: dict[str, str] | None = None) -> TestResponse:
    answer = client.get("/links", query_string=urlencode([("ID", one) for one in ids]), headers=headers)
    assert answer.status_code == 200, answer.text
    return answer


def rows(answer: TestResponse) -> list[dict[str, str | None]]:
    document = etree.fromstring(answer.data)
    names = [field.get("name") for field in document.iterfind(".//v:FIELD", NAMESPACE)]
    return [
        {str(name): cell.text for name, cell in zip(names, row, strict=True)}
        for row in document.iterfind(".//v:TR", NAMESPACE)
    ]


def fetch(client: FlaskClient, row: dict[str, str | None]) -> TestResponse:
    url = urlsplit(row["access_url"] or "")
    answer = client.get(f"{url.path}?{url.query}")
    assert answer.status_code == 200, (row, answer.data[:300])
    assert answer.content_type == row["content_type"]
    return answer


def services(answer: TestResponse) -> dict[str, Resource]:
    found = parse(io.BytesIO(answer.data), verify="exception").resources
    return {one.ID: one for one in found if one.utype == "adhoc:service"}


def inputs(service: Resource) -> dict[str, Param]:
    (group,) = (one for one in service.groups if one.name == "inputParams")
    return {one.name: one for one in group.entries}


def options(param: Param) -> list[str]:
    return [value for _, value in param.values.options]


def test_an_alert_has_its_stamps_together_and_alone_a_picture_and_its_object(
    client: FlaskClient, alert: RealAlert
) -> None:
    found = rows(ask(client, did(alert.dataset)))
    semantics = [row["semantics"] for row in found]
    assert semantics == ["#this", *["#auxiliary"] * 3, "#preview", "#derivation", "#proc", "#proc"]
    with fits.open(io.BytesIO(fetch(client, found[0]).data)) as hdus:
        assert [hdu.name for hdu in hdus] == [kind.upper() for kind in KINDS]
    for row, kind in zip(found[1:4], KINDS, strict=True):
        assert (row["access_url"] or "").endswith(kind)
        assert str(row["description"]).startswith(f"The {kind} stamp")
        assert fetch(client, row).data.startswith(b"SIMPLE")
    assert found[4]["content_type"] == "image/png"
    assert fetch(client, found[4]).data.startswith(b"\x89PNG")
    with fits.open(io.BytesIO(fetch(client, found[5]).data)) as hdus:
        assert "EPOCHS" in [hdu.name for hdu in hdus]
    assert {row["link_auth"] for row in found} == {"false"}


def test_an_object_has_its_epochs_pictures_and_each_alert(client: FlaskClient, real_data: Path) -> None:
    alerts = real_alerts(real_data, "ztf-alerts")
    name = max({one.object_id for one in alerts}, key=lambda x: sum(one.object_id == x for one in alerts))
    own = [one for one in alerts if one.object_id == name]
    found = rows(ask(client, did(f"ztf-alerts/object/{name}")))
    previews = [row for row in found if row["semantics"] == "#preview"]
    assert [row["content_type"] for row in previews] == ["image/png", "image/webp"]
    for row in previews:
        fetch(client, row)
    epochs = [row for row in found if row["semantics"] == "#progenitor"]
    assert len(epochs) == len(own)
    in_time = sorted(own, key=lambda one: one.time)
    assert [str(one.candid) in str(row["access_url"]) for one, row in zip(in_time, epochs, strict=True)]
    with fits.open(io.BytesIO(fetch(client, epochs[0]).data)) as hdus:
        assert len(hdus) == 3
    assert [row["semantics"] for row in found if row["service_def"]] == ["#cutout", "#cutout"]


def test_one_kind_has_no_others(client: FlaskClient, alert: RealAlert) -> None:
    found = rows(ask(client, did(f"{alert.dataset.upper().replace('ZTF-ALERTS', 'ztf-alerts')}/science")))
    assert [row["semantics"] for row in found] == ["#this", "#preview", "#derivation", "#proc", "#proc"]
    answer = fetch(client, found[0])
    with fits.open(io.BytesIO(answer.data), ignore_missing_simple=True) as hdus:
        assert hdus[0].data.shape == (63, 63)


def test_a_moving_body_has_no_object(client: FlaskClient, real_data: Path) -> None:
    lone = next(one for one in real_alerts(real_data, "rubin-alerts") if not one.object_id)
    found = rows(ask(client, did(lone.dataset)))
    assert "#derivation" not in {row["semantics"] for row in found}


def test_descriptors_offer_what_stamps_take(client: FlaskClient, alert: RealAlert) -> None:
    alone = inputs(services(ask(client, did(alert.dataset)))["soda"])
    assert {"ID", "RESPONSEFORMAT", "DETAIL", "STRETCH"} <= set(alone)
    assert set(alone).isdisjoint({"POS", "CIRCLE", "TIME", "FILTER", "COMBINE", "RGB", "POL", "GRID"})
    assert "webp" not in options(alone["RESPONSEFORMAT"])
    assert "json" in options(alone["RESPONSEFORMAT"])
    together = inputs(services(ask(client, did(f"ztf-alerts/object/{alert.object_id}")))["soda"])
    assert {"TIME", "BAND", "FILTER"} <= set(together)
    assert options(together["FILTER"]) == [alert.band]
    assert "webp" in options(together["RESPONSEFORMAT"])


def test_every_offer_of_a_descriptor_is_taken(client: FlaskClient, alert: RealAlert) -> None:
    for dataset in (alert.dataset, f"ztf-alerts/object/{alert.object_id}"):
        described = services(ask(client, did(dataset)))["soda"]
        for name, param in inputs(described).items():
            of_pictures = name not in ("CHECKSUM", "DETAIL", "TIME", "BAND", "FILTER", "RESPONSEFORMAT", "ID")
            for value in options(param) if param.values and param.values.options else []:
                asked = {"ID": did(dataset), name: value}
                if of_pictures and name != "RESPONSEFORMAT":
                    asked |= {"RESPONSEFORMAT": "png"} | ({"POWER": "2"} if value == "power" else {})
                answer = client.get("/sync", query_string=asked)
                assert answer.status_code == 200, (asked, answer.text)


@pytest.mark.parametrize(
    ("dataset", "reason"),
    [
        ("ztf-alerts/alert/1", "NotFoundFault: there is no alert 1 in ztf-alerts."),
        ("ztf-alerts/object/nobody", "NotFoundFault: there is no object 'nobody' in ztf-alerts."),
        ("ztf-alerts/alert/x/y/z", "NotFoundFault: there is no stamp"),
        ("ztf-alerts", "NotFoundFault: ztf-alerts is a survey of alerts: name one"),
        ("ztf-alerts/12", "NotFoundFault: 12 may be an alert or an object of ztf-alerts: write"),
    ],
)
def test_what_there_is_not_says_so(client: FlaskClient, dataset: str, reason: str) -> None:
    (row,) = rows(ask(client, did(dataset)))
    assert str(row["error_message"]).startswith(reason)


def test_an_ambiguous_name_says_which_there_is(client: FlaskClient, alert: RealAlert) -> None:
    (row,) = rows(ask(client, did(f"ztf-alerts/{alert.candid}")))
    assert f"(there is ztf-alerts/alert/{alert.candid})" in str(row["error_message"])
    (row,) = rows(ask(client, did(f"ztf-alerts/{alert.object_id}")))
    assert f"(there is ztf-alerts/object/{alert.object_id})" in str(row["error_message"])


def test_closed_alerts_are_closed_whether_or_not_there_is_one(
    app: Flask, client: FlaskClient, real_data: Path
) -> None:
    closed = real_alerts(real_data, "closed-alerts")[0]
    for dataset in (closed.dataset, "closed-alerts/alert/1", f"closed-alerts/object/{closed.object_id}"):
        (row,) = rows(ask(client, did(dataset)))
        assert row["error_message"] == "DefaultFault: the survey closed-alerts is not open to you."
    headers = somebody(app, "member", groups=("members",)).headers
    found = rows(ask(client, did(closed.dataset), headers=headers))
    assert found[0]["error_message"] is None
    assert {row["link_auth"] for row in found} == {"true"}


def test_of_an_object_with_a_closed_alert_the_open_ones_are_told(tmp_path: Path, real_data: Path) -> None:
    name = "part-alerts"
    make_alert_service(tmp_path, real_data, more={name: ("ztf-alerts", "alerts_ztf_fink_2021")})
    own = real_alerts(real_data, "ztf-alerts")
    names = [one.object_id for one in own]
    most = max(names, key=names.count)
    first, *others = (one.candid for one in own if one.object_id == most)
    rules = f'[access]\npublic = true\n[[access.datasets]]\nmatch = "alert/{first}"\ngroups = ["members"]\n'
    declaration = tmp_path / "declarations" / f"{name}.toml"
    declaration.write_text(declaration.read_text(encoding="utf-8") + rules, encoding="utf-8")
    app = create_app(settings_of(tmp_path, LARGER))
    asked = did(f"{name}/object/{most}")
    found = rows(ask(app.test_client(), asked))
    told = [str(row["access_url"]).rpartition("/")[2] for row in found if row["semantics"] == "#progenitor"]
    assert told
    assert sorted(told) == sorted(map(str, others))
    (this,) = (row for row in found if row["semantics"] == "#this")
    assert "not open to you" in str(this["error_message"])
    assert str(first) not in str(this["error_message"])
    assert {row["link_authorized"] for row in found if row["semantics"] == "#preview"} == {"false"}
    headers = somebody(app, "member", groups=("members",)).headers
    found = rows(ask(app.test_client(), asked, headers=headers))
    epochs = [row["link_auth"] for row in found if row["semantics"] == "#progenitor"]
    assert sorted(epochs) == ["false"] * len(others) + ["true"]
    assert {row["link_authorized"] for row in found if row["semantics"] == "#preview"} == {"true"}


def test_many_ids_share_their_descriptions(client: FlaskClient, real_data: Path) -> None:
    some = real_alerts(real_data, "ztf-alerts")[:3]
    answer = ask(client, *(did(one.dataset) for one in some), did("tiny/g/a"))
    found = rows(answer)
    assert [row["ID"] for row in found if row["semantics"] == "#this"] == [
        *(did(one.dataset) for one in some),
        did("tiny/g/a"),
    ]
    assert inputs(services(answer)["soda"])["ID"].ref == "ID"


def test_documents_are_as_they_should_be(
    client: FlaskClient, validate: Validate, alert: RealAlert, tmp_path: Path
) -> None:
    for number, dataset in enumerate((alert.dataset, f"ztf-alerts/object/{alert.object_id}")):
        answer = ask(client, did(dataset))
        assert validate(answer.data) == []
        path = tmp_path / f"{number}.vot"
        path.write_bytes(answer.data)
        assert stilts("votlint", votable=str(path)) == []
