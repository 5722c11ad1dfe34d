"""The capabilities document (VOSI 1.1, section 3.1) of capabilities given as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from lxml import etree

VOSI = "http://www.ivoa.net/xml/VOSICapabilities/v1.0"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
# The root must be prefixed: its children are in no namespace, which a default one would take them out of.
NAMESPACES = {
    "vosi": VOSI,
    "vr": "http://www.ivoa.net/xml/VOResource/v1.0",
    "vs": "http://www.ivoa.net/xml/VODataService/v1.1",
    "xsi": XSI,
}


@dataclass(frozen=True, slots=True)
class Param:
    """An input parameter of an interface; `datatype` is a simple type of VODataService (section 3.5.3)."""

    name: str
    description: str
    ucd: str = ""
    unit: str = ""
    datatype: str = "string"
    arraysize: str = ""
    required: bool = False
    standard: bool = True


@dataclass(frozen=True, slots=True)
class Interface:
    """One way to reach a capability.

    Parameters
    ----------
    path
        Below the base of the service, without a leading slash.
    use
        ``full``: the URL itself is the resource; ``base``: something is appended to it.
    kind
        Type of the interface, ``vs:ParamHTTP`` or ``vr:WebBrowser``.
    version
        Of the standard; "" leaves it out.
    query_types, result_type, params
        HTTP methods, media type of answers, parameters.
    test_query
        Query string that gives an answer; "" for none.
    security
        Identifier of the way to be known that this interface wants; "" where nobody need be known.
    """

    path: str
    use: Literal["full", "base"] = "full"
    kind: Literal["vs:ParamHTTP", "vr:WebBrowser"] = "vs:ParamHTTP"
    version: str = ""
    query_types: tuple[Literal["GET", "POST"], ...] = ()
    result_type: str = ""
    params: tuple[Param, ...] = ()
    test_query: str = ""
    security: str = ""


@dataclass(frozen=True, slots=True)
class Capability:
    """A standard the service follows, by its `standard_id`, and the interfaces that do."""

    standard_id: str
    interfaces: tuple[Interface, ...]


_FOR_EVERYBODY = ("ivo://ivoa.net/std/VOSI#capabilities", "ivo://ivoa.net/std/VOSI#availability")
#: What every service of ours has. Anonymous: an interface without a securityMethod.
VOSI_CAPABILITIES = (
    Capability("ivo://ivoa.net/std/VOSI#capabilities", (Interface("capabilities"),)),
    Capability("ivo://ivoa.net/std/VOSI#availability", (Interface("availability"),)),
    Capability("ivo://ivoa.net/std/VOSI#tables-1.1", (Interface("tables"),)),
    Capability("ivo://ivoa.net/std/DALI#examples", (Interface("examples", kind="vr:WebBrowser"),)),
)


def with_ways(
    capabilities: Sequence[Capability], ways: Sequence[str], *, anonymous: bool
) -> tuple[Capability, ...]:
    """Say of capabilities in which ways those who ask may be known, and whether they have to be.

    Notes
    -----
    VOResource 1.1, erratum 1: each way is an interface of its own, and one without any is for everybody. What
    tells how the service is, and what it can do, is told to everybody (VOSI 1.1, section 4).
    """
    told = []
    for capability in capabilities:
        is_open = capability.standard_id in _FOR_EVERYBODY or (anonymous and capability in VOSI_CAPABILITIES)
        known = [replace(one, security=way) for way in ways for one in capability.interfaces]
        unknown = capability.interfaces if anonymous or is_open else ()
        told.append(replace(capability, interfaces=(*unknown, *(() if is_open else known))))
    return tuple(told)


def write_capabilities(capabilities: Sequence[Capability], base_url: str) -> bytes:
    """Write the document; `base_url` is the public URL of the service, without a slash at its end.

    Notes
    -----
    Methods and parameters are left to the registry record: pyvo reads this document for each user of a
    service, and warns of every parameter and of a second method.
    """
    root = etree.Element(f"{{{VOSI}}}capabilities", nsmap=NAMESPACES)
    add_capabilities(root, capabilities, base_url, inputs=False)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def add_capabilities(
    parent: etree._Element, capabilities: Sequence[Capability], base_url: str, *, inputs: bool
) -> None:
    """Add elements of type ``vr:Capability``, with `inputs` as far as methods and parameters.

    The prefixes vs and xsi must be known to `parent`.
    """
    for capability in capabilities:
        element = etree.SubElement(parent, "capability", standardID=capability.standard_id)
        for interface in capability.interfaces:
            shown = interface if inputs else replace(interface, query_types=(), params=(), test_query="")
            _add_interface(element, shown, base_url)


def _add_interface(parent: etree._Element, interface: Interface, base_url: str) -> None:
    # The order of the children is that of the schemas VOResource 1.1 and VODataService 1.2.
    element = etree.SubElement(parent, "interface", {f"{{{XSI}}}type": interface.kind, "role": "std"})
    if interface.version:
        element.set("version", interface.version)
    _add_text(element, "accessURL", f"{base_url}/{interface.path}").set("use", interface.use)
    if interface.security:
        etree.SubElement(element, "securityMethod", standardID=interface.security)
    for query_type in interface.query_types:
        _add_text(element, "queryType", query_type)
    if interface.result_type:
        _add_text(element, "resultType", interface.result_type)
    for param in interface.params:
        _add_param(element, param)
    if interface.test_query:
        _add_text(element, "testQuery", interface.test_query)


def _add_param(parent: etree._Element, param: Param) -> None:
    use = "required" if param.required else "optional"
    element = etree.SubElement(parent, "param", std=str(param.standard).lower(), use=use)
    _add_text(element, "name", param.name)
    _add_text(element, "description", param.description)
    for tag, text in (("unit", param.unit), ("ucd", param.ucd)):
        if text:
            _add_text(element, tag, text)
    datatype = _add_text(element, "dataType", param.datatype)
    if param.arraysize:
        datatype.set("arraysize", param.arraysize)


def _add_text(parent: etree._Element, tag: str, text: str) -> etree._Element:
    element = etree.SubElement(parent, tag)
    element.text = text
    return element
