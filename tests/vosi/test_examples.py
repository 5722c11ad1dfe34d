"""The page of examples: well-formed, marked up as DALI says, and every example runs."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient
from lxml import etree

from vosi.examples import Example, write_examples

X = "{http://www.w3.org/1999/xhtml}"


@pytest.fixture(scope="module")
def page(app_client: FlaskClient) -> etree._Element:
    answer = app_client.get("/examples")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/xhtml+xml"
    return etree.fromstring(answer.data)


@pytest.fixture(scope="module")
def app_client(request: pytest.FixtureRequest) -> FlaskClient:
    client: FlaskClient = request.getfixturevalue("app").test_client()
    return client


def properties(element: etree._Element, name: str) -> list[etree._Element]:
    return [found for found in element.iter() if found.get("property") == name]


def examples(page: etree._Element) -> list[etree._Element]:
    return [found for found in page.iter() if found.get("typeof") == "example"]


def test_dali_16_xhtml_with_one_vocabulary(page: etree._Element) -> None:
    assert page.tag == f"{X}html"
    vocabularies = [found.get("vocab") for found in page.iter() if found.get("vocab")]
    assert vocabularies == ["http://www.ivoa.net/rdf/examples#"]


def test_dali_17_dali_18_markup(page: etree._Element) -> None:
    found = examples(page)
    assert len({example.get("id") for example in found}) == len(found) > 0
    for example in found:
        assert example.get("resource") == f"#{example.get('id')}"
        (name,) = properties(example, "name")
        assert name.text
        assert len(name) == 0
        assert len(properties(example, "capability")) == 1
        for parameter in properties(example, "generic-parameter"):
            assert parameter.get("typeof") == "keyval"
            assert [child.get("property") for child in parameter] == ["key", "value"]
    marked = [found for found in page.iter() if found.get("property")]
    assert not [found for found in marked if found.get("href") or found.get("src") or found.get("content")]


def test_dali_19_soda_85_every_example_runs(page: etree._Element, app_client: FlaskClient) -> None:
    capabilities = etree.fromstring(app_client.get("/capabilities").data)
    urls = {
        str(capability.get("standardID")): str(capability.findtext("interface/accessURL"))
        for capability in capabilities
    }
    ran = set()
    for example in examples(page):
        standard = str(properties(example, "capability")[0].text)
        parameters = [
            (str(properties(found, "key")[0].text), str(properties(found, "value")[0].text))
            for found in properties(example, "generic-parameter")
        ]
        answer = app_client.get(urls[standard], query_string=parameters)
        assert answer.status_code == 200, answer.text
        assert len(answer.data) < 200_000
        (link,) = (found for found in example.iter() if found.get("href"))
        assert app_client.get(str(link.get("href"))).data == answer.data
        ran.add(standard)
        rows = answer.text.count("<TR>") if standard.endswith("query-2.0") else 1
        assert 1 <= rows <= 10
    assert ran == {
        "ivo://ivoa.net/std/SODA#sync-1.0",
        "ivo://ivoa.net/std/SIA#query-2.0",
        "ivo://ivoa.net/std/DataLink#links-1.1",
    }


def test_surveys_that_are_not_public_are_not_shown(page: etree._Element) -> None:
    assert not re.search("secret", etree.tostring(page).decode(), re.IGNORECASE)


def test_text_is_escaped() -> None:
    example = Example("a", "<b> & c", "\u2192", "ivo://x", "sync", (("ID", "ivo://x?<y>&z"),))
    page = etree.fromstring(write_examples([example], "<t>", "http://here"))
    assert page.findtext(f"{X}body/{X}main/{X}h1") == "<t>"
    assert [found.text for found in properties(page, "value")] == ["ivo://x?<y>&z"]
    main = page.find(f"{X}body/{X}main")
    assert main is not None
    (link,) = (found.get("href") for found in main.iter() if found.get("href"))
    assert link == "http://here/sync?ID=ivo%3A%2F%2Fx%3F%3Cy%3E%26z"


def test_a_service_without_images_has_a_page_too() -> None:
    page = etree.fromstring(write_examples([], "Nothing", "http://here"))
    assert "no survey is indexed" in "".join(str(text) for text in page.itertext())
