"""VOSI documents against the schemas, against another reader of them, and over HTTP."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from lxml import etree
from vo_models.vosi.availability import Availability as AvailabilityModel
from vo_models.vosi.capabilities import VOSICapabilities

from config.app import create_app, soda_capability
from config.database import make_engine
from config.discovery import links_capability
from soda.descriptor import ASYNC, SYNC
from soda.table import MEDIA_TYPES
from tests.support.outside import Validate
from tests.support.service import make_service, settings_of
from uws.job import LANES
from uws.store.upkeep import Upkeep
from vosi.availability import Availability, Check, Monitor, write_availability
from vosi.capabilities import (
    NAMESPACES,
    VOSI,
    VOSI_CAPABILITIES,
    Capability,
    Interface,
    Param,
    add_capabilities,
    write_capabilities,
)

URL = "https://example.org/soda"
XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"


@pytest.fixture(scope="session")
def document() -> bytes:
    soda = soda_capability(SYNC, MEDIA_TYPES["fits"]), soda_capability(ASYNC, ASYNC.content_type)
    return write_capabilities((*VOSI_CAPABILITIES, *soda, links_capability()), URL)


def test_vosi_01_capabilities_are_valid(document: bytes, validate: Validate) -> None:
    assert validate(document) == []


def test_cap_08_every_kind_of_interface_is_valid(validate: Validate) -> None:
    interface = Interface(
        "x",
        "base",
        version="1.1",
        query_types=("GET", "POST"),
        result_type="text/plain",
        params=(Param("A", "b & <c>", "meta.id", "deg", "real", "2", required=True, standard=False),),
        test_query="A=1&B=2",
    )
    capabilities = (Capability("ivo://x/y", (interface, Interface("examples", kind="vr:WebBrowser"))),)
    assert validate(write_capabilities(capabilities, URL)) == []
    root = etree.Element(f"{{{VOSI}}}capabilities", nsmap=NAMESPACES)
    add_capabilities(root, capabilities, URL, inputs=True)
    assert validate(etree.tostring(root)) == []
    assert len(root.findall(".//queryType")) == 2
    assert root.findtext(".//testQuery") == "A=1&B=2"


def test_capabilities_another_reader_reads_them(document: bytes) -> None:
    read = VOSICapabilities.from_xml(document)
    assert {str(capability.standard_id) for capability in read.capability} >= {
        "ivo://ivoa.net/std/VOSI#capabilities",
        "ivo://ivoa.net/std/VOSI#availability",
        "ivo://ivoa.net/std/SODA#sync-1.0",
        "ivo://ivoa.net/std/SODA#async-1.0",
    }


def test_cap_01_root_is_prefixed_and_children_are_in_no_namespace(document: bytes) -> None:
    root = etree.fromstring(document)
    assert root.prefix == "vosi"
    assert {child.tag for child in root} == {"capability"}


def test_cap_02_cap_05_attributes(document: bytes) -> None:
    root = etree.fromstring(document)
    assert all(child.get("standardID") for child in root)
    for interface in root.iter("interface"):
        is_page = interface.findtext("accessURL") == f"{URL}/examples"
        assert interface.get(XSI_TYPE) == ("vr:WebBrowser" if is_page else "vs:ParamHTTP")
        assert interface.get("role") == "std"
    assert root.nsmap["vs"] == "http://www.ivoa.net/xml/VODataService/v1.1"


def test_cap_06_cap_07_access_urls(document: bytes) -> None:
    urls = {element.text: element.get("use") for element in etree.fromstring(document).iter("accessURL")}
    full = ("capabilities", "availability", "tables", "examples")
    assert urls == {
        f"{URL}/{path}": "base" if path not in full else "full" for path in (*full, "sync", "async", "links")
    }


def test_cap_09_to_11_anonymous(document: bytes) -> None:
    assert not list(etree.fromstring(document).iter("securityMethod"))


def test_cap_12_version(document: bytes) -> None:
    interfaces = etree.fromstring(document).iter("interface")
    versions = {e.findtext("accessURL"): e.get("version") for e in interfaces if e.get("version")}
    assert versions == {f"{URL}/sync": "1.0", f"{URL}/async": "1.0", f"{URL}/links": "1.1"}


def test_cap_14_parameters_are_left_to_the_record(document: bytes) -> None:
    """pyvo warns of each; the record has them all."""
    root = etree.fromstring(document)
    assert not list(root.iter("param"))
    assert not list(root.iter("queryType"))


@pytest.mark.parametrize(
    "availability",
    [
        Availability(True, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), ("accepting requests",)),
        Availability(False, None, ("the database does not answer", "a & <b>")),
    ],
)
def test_vosi_03_availability_is_valid(availability: Availability, validate: Validate) -> None:
    assert validate(write_availability(availability)) == []


def test_vosi_03_another_reader_reads_it() -> None:
    read = AvailabilityModel.from_xml(
        write_availability(Availability(True, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), ("fine",)))
    )
    assert read.available
    assert str(read.up_since) == "2026-01-02T03:04:05.000Z"
    assert read.note == ["fine"]


def broken() -> str | None:
    raise RuntimeError("secret /path")


def test_vosi_05_checks_decide() -> None:
    assert Monitor((Check(lambda: None), Check(lambda: None)), 60).look().available
    found = Monitor((Check(lambda: None), Check(lambda: "the disk is gone"), Check(broken)), 60).look()
    assert not found.available
    assert found.notes == ("the disk is gone", "a check failed (RuntimeError)")


def test_vosi_05_a_note_leaves_it_available() -> None:
    checks = (Check(lambda: "the bell is silent", "bell", is_vital=False), Check(lambda: None, "disk"))
    found = Monitor(checks, 60).look()
    assert found.available
    assert found.up_since is not None
    assert found.notes == ("accepting requests", "the bell is silent")
    assert found.parts == {"bell": False, "disk": True}


def test_vosi_05_a_check_that_hangs_is_not_waited_for() -> None:
    release = threading.Event()
    begun: list[int] = []

    def hang() -> str | None:
        begun.append(1)
        release.wait(60)
        return None

    monitor = Monitor((Check(hang, "disk"), Check(hang, "tape"), Check(lambda: None)), 0)
    for _ in range(2):
        assert monitor.look().notes == ("no answer in time: disk", "no answer in time: tape")
    assert len(begun) == 2  # nor begun again while it hangs
    release.set()
    while not monitor.look().available:
        pass
    assert len(begun) == 2  # what came late is told the next time
    assert monitor.look().available
    assert len(begun) == 4


def test_vosi_05_an_answer_holds_for_a_while() -> None:
    asked: list[int] = []
    monitor = Monitor((Check(lambda: asked.append(1)),), 60)
    assert monitor.look() is monitor.look()
    assert len(asked) == 1
    again = Monitor((Check(lambda: asked.append(1)),), 0)
    again.look(), again.look()
    assert len(asked) == 3


def test_vosi_06_draining() -> None:
    monitor = Monitor((), 60)
    assert monitor.look().available
    monitor.drain()
    assert not monitor.look().available
    assert monitor.look().notes == ("the service is shutting down",)


@pytest.mark.parametrize("path", ["/capabilities", "/capabilities/", "/availability", "/availability/"])
def test_vosi_01_vosi_02_vosi_04_over_http(client: FlaskClient, validate: Validate, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/xml"
    assert validate(answer.data) == []


def test_cap_13_every_access_url_answers(client: FlaskClient) -> None:
    document = etree.fromstring(client.get("/capabilities", base_url="http://here:8080").data)
    for element in document.iter("accessURL"):
        assert element.text is not None
        path = element.text.removeprefix("http://here:8080")
        assert client.get(path).status_code == (400 if path == "/sync" else 200)


def test_vosi_05_over_http(tmp_path: Path) -> None:
    folder = tmp_path / "service"
    client = make_service(folder).test_client()
    lonely = AvailabilityModel.from_xml(client.get("/availability").data)
    assert not lonely.available
    assert lonely.note is not None
    assert "no worker serves the queue low: its jobs wait; /sync goes on" in lonely.note

    client = create_app(settings_of(folder)).test_client()
    engine = make_engine(settings_of(folder).data.engine_url)
    Upkeep(engine).beat("worker", "here", 1, LANES)
    engine.dispose()
    read = AvailabilityModel.from_xml(client.get("/availability").data)
    assert read.available
    assert read.note is not None
    assert read.note[0] == "accepting requests"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_vosi_07_last_modified(client: FlaskClient, method: str) -> None:
    answer = client.open("/capabilities", method=method)
    changed = parsedate_to_datetime(answer.headers["Last-Modified"])
    assert timedelta(0) <= datetime.now(UTC) - changed < timedelta(minutes=5)
    later = client.get("/capabilities", headers={"If-Modified-Since": answer.headers["Last-Modified"]})
    assert later.status_code == 304


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize(
    "path", ["/capabilities", "/availability", "/tables", "/tables/x", "/examples", "/record", "/healthz"]
)
def test_vosi_10_http_10_read_only(client: FlaskClient, path: str, method: str) -> None:
    answer = client.open(path, method=method)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_healthz(client: FlaskClient) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.text) == (200, "ok\n")
