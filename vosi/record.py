"""The service's record for the registry of the Virtual Observatory: VOResource 1.1, ``vs:CatalogService``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from lxml import etree

from dali.xtypes import format_numbers
from vosi.capabilities import NAMESPACES, XSI, Capability, add_capabilities
from vosi.tables import Table, add_schemas

RI = "http://www.ivoa.net/xml/RegistryInterface/v1.0"
_NAMESPACES = {"ri": RI} | {prefix: name for prefix, name in NAMESPACES.items() if prefix != "vosi"}

#: Wavebands of VOResource and where they end, metres, the shortest wavelengths first.
_WAVEBANDS = (
    ("Gamma-ray", 1e-11),
    ("X-ray", 1e-8),
    ("EUV", 1e-7),
    ("UV", 3e-7),
    ("Optical", 1e-6),
    ("Infrared", 1e-4),
    ("Millimeter", 1e-2),
    ("Radio", float("inf")),
)
#: Planck's constant times the speed of light, J m: energies are wanted where others have wavelengths.
_HC = 6.62607015e-34 * 299792458.0


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the data cover.

    Parameters
    ----------
    moc
        ASCII MOC, ICRS; "" for nothing.
    time_mjd
        First and last moment, None where unknown.
    bands_m
        Intervals of wavelengths in vacuum, metres.
    """

    moc: str = ""
    time_mjd: tuple[float, float] | None = None
    bands_m: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a record says of the service beside its capabilities and tables.

    Parameters
    ----------
    identifier
        IVOID.
    title, short_name, description, subjects, reference_url
        What it is; subjects are concepts of the Unified Astronomy Thesaurus.
    publisher, contact, email
        Who runs it; `email` may be "".
    rights, rights_url
        Terms of use, either may be "".
    created, updated
        When there first was a record, and when anything in it last changed.
    facilities, instruments
        Where the data come from.
    coverage
        What they cover.
    """

    identifier: str
    title: str
    short_name: str
    description: str
    subjects: tuple[str, ...]
    reference_url: str
    publisher: str
    contact: str
    email: str
    rights: str
    rights_url: str
    created: datetime
    updated: datetime
    facilities: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    coverage: Coverage = Coverage()


def write_record(
    record: Record, capabilities: Sequence[Capability], tables: Sequence[Table], base_url: str
) -> bytes:
    """Write the record; `base_url` is the public URL of the service, without a slash at its end."""
    root = etree.Element(f"{{{RI}}}Resource", nsmap=_NAMESPACES)
    root.set(f"{{{XSI}}}type", "vs:CatalogService")
    root.set("created", _timestamp(record.created))
    root.set("updated", _timestamp(record.updated))
    root.set("status", "active")
    # The order of all children is that of the schemas VOResource 1.1 and VODataService 1.2.
    _add_texts(
        root,
        [("title", record.title), ("shortName", record.short_name), ("identifier", record.identifier)],
    )
    _add_curation(root, record)
    _add_content(root, record)
    if record.rights or record.rights_url:
        rights = etree.SubElement(root, "rights")
        rights.text = record.rights or record.rights_url
        if record.rights_url:
            rights.set("rightsURI", record.rights_url)
    add_capabilities(root, capabilities, base_url, inputs=True)
    _add_texts(root, [("facility", name) for name in record.facilities])
    _add_texts(root, [("instrument", name) for name in record.instruments])
    _add_coverage(root, record.coverage)
    if tables:
        add_schemas(etree.SubElement(root, "tableset"), tables, columns=True)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def wavebands(intervals_m: Iterable[tuple[float, float]]) -> list[str]:
    """Names of the wavebands that intervals of wavelengths (metres) have a part in, in their order."""
    intervals = list(intervals_m)
    found = []
    lower = 0.0
    for name, upper in _WAVEBANDS:
        if any(first < upper and last > lower for first, last in intervals):
            found.append(name)
        lower = upper
    return found


def _add_curation(root: etree._Element, record: Record) -> None:
    curation = etree.SubElement(root, "curation")
    _add_texts(curation, [("publisher", record.publisher)])
    creator = etree.SubElement(curation, "creator")
    _add_texts(creator, [("name", record.publisher)])
    contact = etree.SubElement(curation, "contact")
    _add_texts(contact, [("name", record.contact), ("email", record.email)])


def _add_content(root: etree._Element, record: Record) -> None:
    content = etree.SubElement(root, "content")
    _add_texts(content, [("subject", subject) for subject in record.subjects])
    _add_texts(
        content,
        [
            ("description", record.description),
            ("referenceURL", record.reference_url),
            ("type", "Survey"),
            ("contentLevel", "Research"),
        ],
    )


def _add_coverage(root: etree._Element, coverage: Coverage) -> None:
    element = etree.SubElement(root, "coverage")
    energies = [format_numbers(_HC / last, _HC / first) for first, last in coverage.bands_m]
    _add_texts(
        element,
        [
            ("spatial", coverage.moc),
            ("temporal", format_numbers(*coverage.time_mjd) if coverage.time_mjd else ""),
            *(("spectral", energy) for energy in energies),
            *(("waveband", name) for name in wavebands(coverage.bands_m)),
        ],
    )


def _timestamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _add_texts(parent: etree._Element, texts: Iterable[tuple[str, str]]) -> None:
    """Add an element for each text that is not empty."""
    for tag, text in texts:
        if text:
            etree.SubElement(parent, tag).text = text
