"""Examples for people and programs (DALI 1.1, section 2.3): XHTML with a little RDFa."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from lxml import etree

MEDIA_TYPE = "application/xhtml+xml"
VOCABULARY = "http://www.ivoa.net/rdf/examples#"
XHTML = "http://www.w3.org/1999/xhtml"

#: Of the page; a browser is told its hash, since nothing else may stand in a page.
STYLE = """
:root { color-scheme: light dark }
html { background: light-dark(#f4f6f9, #0e131b); color: light-dark(#1b2433, #e7ebf2) }
body { font: 1rem/1.55 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem }
body { overflow-wrap: anywhere } code { font-family: ui-monospace, monospace; font-size: 0.9em }
a { color: light-dark(#1d4f9e, #8ab8ff) } :focus-visible { outline: 3px solid; outline-offset: 2px }
h1 { font-size: 1.75rem; line-height: 1.25 } h2 { font-size: 1.15rem; margin: 0 0 0.5rem }
p { margin: 0.35rem 0 } nav { display: flex; flex-wrap: wrap; gap: 0.4rem 1.25rem }
div { margin: 0 0 1.25rem; padding: 1.1rem 1.4rem; border: 1px solid light-dark(#d5dbe5, #2b3647);
  border-radius: 10px; background: light-dark(#ffffff, #171e2a) }
"""
_NAMESPACES: dict[Any, str] = {None: XHTML}
_LANGUAGE: dict[Any, str] = {"lang": "en", "{http://www.w3.org/XML/1998/namespace}lang": "en"}


@dataclass(frozen=True, slots=True)
class Example:
    """A request that gives a small answer.

    Parameters
    ----------
    id
        XML ID, told apart from the others of the page.
    name, description
        What it does, short and at length.
    standard_id
        Of the capability that answers.
    path
        Of the resource, below the base of the service.
    parameters
        Names and values, in order.
    """

    id: str
    name: str
    description: str
    standard_id: str
    path: str
    parameters: tuple[tuple[str, str], ...]


def write_examples(examples: Sequence[Example], title: str, base_url: str) -> bytes:
    """Write the page; `base_url` is the public URL of the service, without a slash at its end."""
    empty = [] if examples else [_e("p", "There is nothing here yet: no survey is indexed.")]
    shown = [_example(example, base_url) for example in examples]
    page = _e(
        "html",
        _e("head", _e("title", title), _viewport(), _e("style", STYLE)),
        _e("body", _ways(base_url), _e("main", _e("h1", title), *empty, *shown), vocab=VOCABULARY),
        **_LANGUAGE,
    )
    return etree.tostring(page, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def _ways(base_url: str) -> etree._Element:
    """Lead to other pages."""
    ways = (("The first page", ""), ("Help", "help"), ("Capabilities", "capabilities"))
    return _e("nav", *(_e("a", text, href=f"{base_url}/{path}") for text, path in ways))


def _viewport() -> etree._Element:
    return _e("meta", name="viewport", content="width=device-width, initial-scale=1")


def _example(example: Example, base_url: str) -> etree._Element:
    url = f"{base_url}/{example.path}?{urlencode(example.parameters)}"
    # No href or src on an element with a property: it would take the place of the text.
    return _e(
        "div",
        _e("h2", example.name, property="name"),
        _e("p", example.description),
        _e("p", _e("code", example.standard_id, property="capability")),
        *(_parameter(name, value) for name, value in example.parameters),
        _e("p", _e("a", url, href=url)),
        id=example.id,
        resource=f"#{example.id}",
        typeof="example",
    )


def _parameter(name: str, value: str) -> etree._Element:
    key, shown = _e("span", name, property="key"), _e("code", value, property="value")
    return _e("p", key, " = ", shown, property="generic-parameter", typeof="keyval")


def _e(tag: str, *content: str | etree._Element, **attributes: str) -> etree._Element:
    """Element with texts and elements in it; a text comes first, or after an element."""
    element = etree.Element(f"{{{XHTML}}}{tag}", attributes, nsmap=_NAMESPACES)
    for part in content:
        if not isinstance(part, str):
            element.append(part)
        elif len(element):
            element[-1].tail = part
        else:
            element.text = part
    return element
