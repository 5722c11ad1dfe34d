"""What the capabilities say of who may ask, and by which standards."""

from __future__ import annotations

from flask.testing import FlaskClient
from lxml import etree

TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"


def capabilities(client: FlaskClient) -> list[etree._Element]:
    return etree.fromstring(client.get("/capabilities").data).findall("capability")


def test_cap_03_standards_are_named_as_each_text_spells_them(client: FlaskClient) -> None:
    named = [str(capability.get("standardID")) for capability in capabilities(client)]
    assert len(set(named)) == len(named)
    assert set(named) >= {
        "ivo://ivoa.net/std/VOSI#capabilities",
        "ivo://ivoa.net/std/VOSI#availability",
        "ivo://ivoa.net/std/SODA#sync-1.0",
        "ivo://ivoa.net/std/SODA#async-1.0",
    }


def test_cap_05_cap_06_cap_12_jobs_have_urls_below_that_of_async(client: FlaskClient) -> None:
    told = {str(capability.get("standardID")): capability for capability in capabilities(client)}
    (interface,) = told["ivo://ivoa.net/std/SODA#async-1.0"].findall("interface")
    assert (interface.get(TYPE), interface.get("role"), interface.get("version")) == (
        "vs:ParamHTTP",
        "std",
        "1.0",
    )
    (url,) = interface.findall("accessURL")
    assert (url.text, url.get("use")) == ("http://localhost/async", "base")


def test_http_09_vosi_resources_are_not_below_others(client: FlaskClient) -> None:
    for resource in ("sync", "async", "links", "query"):
        for name in ("capabilities", "availability"):
            answer = client.get(f"/{resource}/{name}")
            assert answer.status_code == 404
            assert answer.content_type.startswith("text/plain")


def test_cap_04_capabilities_are_of_the_plain_type(client: FlaskClient) -> None:
    assert all(TYPE not in capability.attrib for capability in capabilities(client))


def test_cap_10_cap_11_everybody_may_ask(client: FlaskClient) -> None:
    for capability in capabilities(client):
        interfaces = capability.findall("interface")
        assert interfaces
        assert all(interface.find("securityMethod") is None for interface in interfaces)
