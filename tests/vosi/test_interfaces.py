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
    }


def test_cap_04_capabilities_are_of_the_plain_type(client: FlaskClient) -> None:
    assert all(TYPE not in capability.attrib for capability in capabilities(client))


def test_cap_10_cap_11_everybody_may_ask(client: FlaskClient) -> None:
    for capability in capabilities(client):
        interfaces = capability.findall("interface")
        assert interfaces
        assert all(interface.find("securityMethod") is None for interface in interfaces)
