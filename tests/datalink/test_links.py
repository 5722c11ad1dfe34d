"""``/links`` over HTTP: every row and every descriptor against what is known of the surveys."""

from __future__ import annotations

import io
from pathlib import Path
from urllib.parse import urlencode

import pytest
from astropy.io.votable import parse
from astropy.io.votable.tree import Resource, VOTableFile
from flask import Flask
from flask.testing import FlaskClient
from lxml import etree
from werkzeug.test import TestResponse

from tests.support.outside import Validate, stilts
from tests.support.service import BASE, TILES, did, make_service

TYPE = "application/x-votable+xml;content=datalink"
NAMESPACE = {"v": "http://www.ivoa.net/xml/VOTable/v1.3"}
COLUMNS = {
    "ID": ("char", "meta.id;meta.main", None),
    "access_url": ("char", "meta.ref.url", None),
    "service_def": ("char", "meta.ref", None),
    "error_message": ("char", "meta.code.error", None),
    "description": ("char", "meta.note", None),
    "semantics": ("char", "meta.code", None),
    "content_type": ("char", "meta.code.mime", None),
    "content_length": ("long", "phys.size;meta.file", "byte"),
    "content_qualifier": ("char", None, None),
    "link_auth": ("char", "meta.code", None),
    "link_authorized": ("boolean", "meta.code", None),
}
IMAGE, BAND, SURVEY = did("tiny/g/a"), did("tiny/g"), did("tiny")
#: XML IDs of the services that cut, in the order they are offered.
CUTS = ["soda", "soda_async"]
#: An image has a link to its file, one to each service that cuts it, and one to its picture.
IMAGE_ROWS = 4


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """Images here are small enough to be had whole."""
    environ = {"FOUNTAIN_SYNC__MAX_PIXELS": "40000", "FOUNTAIN_LINKS__MAX_IDS": "10"}
    return make_service(tmp_path_factory.mktemp("links"), environ)


def ask(client: FlaskClient, *ids: str, **parameters: str) -> TestResponse:
    return client.get("/links", query_string=urlencode([*(("ID", i) for i in ids), *parameters.items()]))


def rows(answer: TestResponse) -> list[dict[str, str | None]]:
    """Cells by the names of their columns; None where empty."""
    assert answer.status_code == 200, answer.text
    document = etree.fromstring(answer.data)
    names = [field.get("name") for field in document.iterfind(".//v:FIELD", NAMESPACE)]
    return [
        {str(name): cell.text for name, cell in zip(names, row, strict=True)}
        for row in document.iterfind(".//v:TR", NAMESPACE)
    ]


def votable(answer: TestResponse) -> VOTableFile:
    return parse(io.BytesIO(answer.data), verify="exception")


def services(answer: TestResponse) -> list[Resource]:
    return [found for found in votable(answer).resources if found.utype == "adhoc:service"]


def statuses(answer: TestResponse) -> list[str | None]:
    found = etree.fromstring(answer.data).iterfind(".//v:INFO[@name='QUERY_STATUS']", NAMESPACE)
    return [info.get("value") for info in found]


def test_dl_01_dl_03_dl_20_one_table_and_what_describes_it(client: FlaskClient, validate: Validate) -> None:
    answer = ask(client, IMAGE)
    assert validate(answer.data) == []
    document = votable(answer)
    (results,) = (found for found in document.resources if found.type == "results")
    assert [table.name for table in results.tables] == ["links"]
    assert {info.name: info.value for info in results.infos} == {
        "QUERY_STATUS": "OK",
        "standardID": "ivo://ivoa.net/std/DataLink#links-1.1",
    }
    (this,) = (found for found in document.resources if found.utype == "adhoc:this")
    assert {param.name for param in this.groups[0].entries} == {"ID", "RESPONSEFORMAT", "MAXREC"}


def test_dl_02_content_type_to_the_letter(client: FlaskClient) -> None:
    assert ask(client, IMAGE).headers["Content-Type"] == TYPE


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("votable", TYPE),
        ("application/x-votable+xml", TYPE),
        ("application/x-votable+xml;content=datalink", TYPE),
        ("APPLICATION/X-VOTABLE+XML; serialization=tabledata", TYPE),
        ("text/xml", "text/xml"),
    ],
)
def test_dali_02_dali_03_response_format(client: FlaskClient, asked: str, sent: str) -> None:
    answer = ask(client, IMAGE, RESPONSEFORMAT=asked)
    assert answer.headers["Content-Type"] == sent
    assert len(rows(answer)) == IMAGE_ROWS


def test_dl_04_dl_05_columns(client: FlaskClient) -> None:
    fields = votable(ask(client, IMAGE)).get_first_table().fields
    found = {
        field.name: (field.datatype, field.ucd, None if field.unit is None else str(field.unit))
        for field in fields
    }
    assert found == COLUMNS


def test_dl_07_dl_14_to_17_sd_10_links_of_an_image(client: FlaskClient) -> None:
    answer = ask(client, IMAGE)
    this, sync, job, preview = rows(answer)
    assert this["semantics"] == "#this"
    assert this["content_type"] == "application/fits"
    assert this["content_qualifier"] == "#image"
    assert sync["semantics"] == job["semantics"] == "#cutout"
    assert [sync["service_def"], job["service_def"]] == [service.ID for service in services(answer)] == CUTS
    assert (sync["content_type"], job["content_type"]) == ("application/fits", "application/xml")
    assert sync["description"] != job["description"]
    assert (preview["semantics"], preview["content_type"]) == ("#preview", "image/png")
    for row in (this, sync, job, preview):
        assert row["ID"] == IMAGE
        assert sum(row[name] is not None for name in ("access_url", "service_def", "error_message")) == 1
        assert (row["link_auth"], row["link_authorized"]) == ("false", "true")


def test_dl_17_the_whole_image_is_there_and_as_long_as_said(client: FlaskClient) -> None:
    this = rows(ask(client, IMAGE))[0]
    assert this["access_url"] is not None
    whole = client.get(this["access_url"])
    assert whole.status_code == 200
    assert whole.headers["Content-Type"] == this["content_type"]
    assert str(len(whole.data)) == this["content_length"]


def test_dl_14_the_preview_is_a_picture(client: FlaskClient) -> None:
    preview = rows(ask(client, IMAGE))[-1]
    picture = client.get(str(preview["access_url"]))
    assert picture.headers["Content-Type"] == preview["content_type"] == "image/png"
    assert picture.data.startswith(b"\x89PNG")


@pytest.mark.parametrize("name", [BAND, SURVEY])
def test_dl_15_surveys_and_bands_are_cut_and_have_no_whole(client: FlaskClient, name: str) -> None:
    found = rows(ask(client, name))
    assert [row["service_def"] for row in found] == CUTS
    assert {row["semantics"] for row in found} == {"#cutout"}


def test_dl_07_an_image_too_large_to_be_sent_whole(client: FlaskClient, tmp_path: Path) -> None:
    small = make_service(tmp_path / "small", {"FOUNTAIN_SYNC__MAX_PIXELS": "39999"}).test_client()
    this, *cutouts, _ = rows(ask(small, IMAGE))
    assert this["access_url"] is None
    assert str(this["error_message"]).startswith("UsageFault: this cutout would be 200 x 200 px")
    assert str(this["error_message"]).endswith(f"curl -d 'ID={IMAGE}&PHASE=RUN' http://localhost/async")
    assert [row["service_def"] for row in cutouts] == CUTS


def test_dl_08_dl_16_several_ids_share_a_description(client: FlaskClient) -> None:
    other = BASE.upper() + "?TINY/g/B"
    answer = ask(client, IMAGE, BAND, other)
    found = rows(answer)
    assert [row["ID"] for row in found] == [*[IMAGE] * IMAGE_ROWS, *[BAND] * 2, *[other] * IMAGE_ROWS]
    for name in (IMAGE, BAND, other):
        assert [row["service_def"] for row in found if row["ID"] == name and row["service_def"]] == CUTS
    assert [service.ID for service in services(answer)] == CUTS
    assert votable(answer).get_first_table().fields[0].ID == "ID"
    for service in services(answer):
        (reference,) = (param for param in service.groups[0].entries if param.name == "ID")
        assert (reference.value, reference.ref) == ("", "ID")
        for param in service.groups[0].entries:
            assert (param.values.min, param.values.max, param.values.options) == (None, None, [])


def test_dl_08_an_id_sent_twice_is_one(client: FlaskClient) -> None:
    once, twice = ask(client, IMAGE), ask(client, IMAGE, IMAGE)
    assert once.data == twice.data


def test_former_identifiers_have_links_and_are_repeated_as_sent(client: FlaskClient) -> None:
    former = "ivo://unregistered.invalid/soda-fountain?tiny/g/a"
    this = rows(ask(client, former))[0]
    assert this["ID"] == former
    assert client.get(str(this["access_url"])).status_code == 200


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tiny/g/no-such", "NotFoundFault: there is no image 'tiny/g/no-such'."),
        ("tiny/z", "NotFoundFault: tiny has no band 'z'; it has g, r."),
        ("nowhere", "NotFoundFault: there is no survey 'nowhere'."),
        ("demo/g", "NotFoundFault: demo/g has no images."),
        ("secret/g/a", "DefaultFault: the survey secret is not open to you."),
        ("secret/g/no-such", "DefaultFault: the survey secret is not open to you."),
        ("x" * 600, "NotFoundFault: no dataset has so long an ID."),
    ],
)
def test_dl_09_dl_10_a_bad_id_is_a_row(client: FlaskClient, name: str, said: str) -> None:
    (row,) = rows(ask(client, did(name)))
    assert (row["ID"], row["semantics"], row["error_message"]) == (did(name), "#this", said)
    assert row["access_url"] is None
    assert services(ask(client, did(name))) == []


@pytest.mark.parametrize("name", ["", "x", "ivo://example.org/other?tiny/g/a", "\x01<&>\ufffe", "ivo://"])
def test_dl_09_what_is_no_id_of_ours(client: FlaskClient, validate: Validate, name: str) -> None:
    answer = ask(client, name, BAND)
    assert validate(answer.data) == []
    found = rows(answer)
    assert [row["service_def"] for row in found if row["ID"] == BAND] == CUTS
    for row in found[:-2]:
        assert str(row["error_message"]).startswith("NotFoundFault: ")


def test_dl_11_no_id_is_no_error(client: FlaskClient, validate: Validate) -> None:
    answer = ask(client)
    assert validate(answer.data) == []
    assert rows(answer) == []
    assert [found.utype for found in votable(answer).resources] == [None, "adhoc:this"]
    assert statuses(answer) == ["OK"]


def test_dl_12_too_many_ids(client: FlaskClient) -> None:
    names = [did(f"tiny/{band}/{tile}") for band in "gr" for tile in TILES] + [BAND, SURVEY, did("tiny/r")]
    answer = ask(client, *names)
    assert list(dict.fromkeys(row["ID"] for row in rows(answer))) == names[:10]
    assert statuses(answer) == ["OK", "OVERFLOW"]
    rest = ask(client, *names[10:])
    assert list(dict.fromkeys(row["ID"] for row in rows(rest))) == names[10:]
    assert statuses(rest) == ["OK"]


@pytest.mark.parametrize(("most", "given"), [(0, 0), (1, 0), (3, 0), (4, 4), (7, 4), (8, 8), (11, 8)])
def test_dali_05_dali_06_dl_12_never_a_part_of_an_id(client: FlaskClient, most: int, given: int) -> None:
    answer = ask(client, did("tiny/g/a"), did("tiny/g/b"), did("tiny/g/zero"), MAXREC=str(most))
    assert len(rows(answer)) == given
    assert statuses(answer) == ["OK", "OVERFLOW"]
    assert len(services(answer)) == len(CUTS)


def test_dali_05_room_for_all(client: FlaskClient) -> None:
    assert statuses(ask(client, IMAGE, MAXREC=str(IMAGE_ROWS))) == ["OK"]


def test_dl_12_ten_megabytes_of_ids(client: FlaskClient) -> None:
    names = [IMAGE, *(did(f"tiny/g/{number:060d}") for number in range(105_000))]
    body = "&".join(f"ID={name}" for name in names)
    assert len(body) > 10_000_000
    answer = client.post("/links", data=body, content_type="application/x-www-form-urlencoded")
    assert len({row["ID"] for row in rows(answer)}) == 10
    assert statuses(answer) == ["OK", "OVERFLOW"]


@pytest.mark.parametrize("multipart", [False, True])
def test_dl_19_http_03_post(client: FlaskClient, multipart: bool) -> None:
    data = {"ID": [IMAGE, BAND]}
    content_type = "multipart/form-data" if multipart else "application/x-www-form-urlencoded"
    posted = client.post("/links/", data=data, content_type=content_type)
    assert posted.data == ask(client, IMAGE, BAND).data
    merged = client.post("/links", query_string={"id": IMAGE}, data={"Id": BAND})
    assert merged.data == posted.data


def test_http_15_head(client: FlaskClient) -> None:
    answer = client.head("/links", query_string={"ID": IMAGE})
    assert (answer.status_code, answer.data) == (200, b"")
    assert answer.headers["Content-Type"] == TYPE
    assert int(answer.headers["Content-Length"]) == len(ask(client, IMAGE).data)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"RESPONSEFORMAT": "csv"}, "UsageFault: RESPONSEFORMAT is votable, "),
        ({"MAXREC": "-1"}, "UsageFault: MAXREC is a whole number"),
        ({"MAXREC": "ten"}, "UsageFault: MAXREC is a whole number"),
        ({"RUNID": "x" * 65}, "UsageFault: RUNID has 65 characters"),
        ({"IDD": "x"}, "UsageFault: IDD is not a parameter of this resource. Did you mean ID?"),
        ({"UPLOAD": "x,y"}, "UsageFault: UPLOAD is not supported here"),
    ],
)
def test_dl_13_dali_04_errors(
    client: FlaskClient, validate: Validate, parameters: dict[str, str], said: str
) -> None:
    answer = ask(client, IMAGE, **parameters)
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == TYPE
    assert validate(answer.data) == []
    (status,) = etree.fromstring(answer.data).iterfind(".//v:INFO[@name='QUERY_STATUS']", NAMESPACE)
    assert status.get("value") == "ERROR"
    assert str(status.text).startswith(said)


@pytest.mark.parametrize("name", ["RESPONSEFORMAT", "MAXREC", "RUNID"])
def test_dali_01_once_only(client: FlaskClient, name: str) -> None:
    answer = client.get("/links", query_string=f"{name}=1&{name}=1")
    assert answer.status_code == 400
    assert f"{name} is taken once here" in answer.text


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"x" * 17_000_000, "application/x-www-form-urlencoded", 413),
        (b"&".join(b"a%d=1" % n for n in range(1000)), "application/x-www-form-urlencoded", 413),
        (b"<x/>", "text/xml", 415),
    ],
)
def test_dl_13_bodies_that_are_refused(
    client: FlaskClient, body: bytes, content_type: str, status: int
) -> None:
    answer = client.post("/links", data=body, content_type=content_type)
    assert answer.status_code == status
    assert statuses(answer) == ["ERROR"]


def test_http_07_urls_are_those_that_clients_know(client: FlaskClient) -> None:
    answer = client.get("/links", query_string={"ID": IMAGE}, base_url="https://there:8443")
    this = rows(answer)[0]
    assert str(this["access_url"]).startswith("https://there:8443/sync?ID=")
    urls = [param.value for found in services(answer) for param in found.params if param.name == "accessURL"]
    assert urls == ["https://there:8443/sync", "https://there:8443/async"]


def test_http_09_http_12(client: FlaskClient) -> None:
    assert client.get("/links/capabilities").status_code == 404
    assert ask(client, IMAGE, MAXREC="x").headers["Access-Control-Allow-Origin"] == "*"
    assert client.options("/links").status_code == 204


@pytest.mark.parametrize("ids", [(IMAGE,), (BAND,), (IMAGE, BAND, did("nope")), (did("nope"),), ()])
def test_stilts_has_nothing_to_say(client: FlaskClient, tmp_path: Path, ids: tuple[str, ...]) -> None:
    document = tmp_path / "links.xml"
    document.write_bytes(ask(client, *ids).data)
    assert stilts("datalinklint", votable=str(document)) == []
    assert stilts("votlint", votable=str(document)) == []
