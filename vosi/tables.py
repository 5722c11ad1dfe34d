"""Tables and their columns (VOSI 1.1, section 3.3), of columns as VOTable has them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lxml import etree

from dali.votable import Field

VOSI = "http://www.ivoa.net/xml/VOSITables/v1.0"
VS = "http://www.ivoa.net/xml/VODataService/v1.1"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
# Prefixed, as all children are in no namespace.
_NAMESPACES = {"vosi": VOSI, "vs": VS, "xsi": XSI}


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its `name` begins with that of its schema and a dot."""

    name: str
    description: str
    columns: tuple[Field, ...]

    @property
    def schema(self) -> str:
        """Name of its schema."""
        return self.name.partition(".")[0]


def write_tableset(tables: Sequence[Table], *, columns: bool) -> bytes:
    """Write every table, with or without its columns."""
    root = etree.Element(f"{{{VOSI}}}tableset", nsmap=_NAMESPACES)
    add_schemas(root, tables, columns=columns)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def write_table(table: Table) -> bytes:
    """Write one table."""
    root = etree.Element(f"{{{VOSI}}}table", nsmap=_NAMESPACES, type="output")
    _fill_table(root, table, columns=True)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def add_schemas(parent: etree._Element, tables: Sequence[Table], *, columns: bool) -> None:
    """Add elements of type ``vs:TableSchema``; the prefix vs must be known to `parent`."""
    for name in dict.fromkeys(table.schema for table in tables):
        schema = etree.SubElement(parent, "schema")
        _add_texts(schema, [("name", name)])
        for table in tables:
            if table.schema == name:
                _fill_table(etree.SubElement(schema, "table", type="output"), table, columns=columns)


def _fill_table(element: etree._Element, table: Table, *, columns: bool) -> None:
    # The order of all children is that of the schema VODataService 1.2.
    _add_texts(element, [("name", table.name), ("description", table.description)])
    for field in table.columns if columns else ():
        column = etree.SubElement(element, "column", std=str(field.utype.startswith("obscore:")).lower())
        texts = [("name", field.name), ("description", field.description), ("unit", field.unit)]
        _add_texts(column, [*texts, ("ucd", field.ucd), ("utype", field.utype)])
        datatype = etree.SubElement(column, "dataType", {f"{{{XSI}}}type": "vs:VOTableType"})
        datatype.text = field.datatype
        arraysize = field.arraysize or ("*" if field.datatype in ("char", "unicodeChar") else "")
        for name, value in (("arraysize", arraysize), ("extendedType", field.xtype)):
            if value:
                datatype.set(name, value)


def _add_texts(parent: etree._Element, texts: Iterable[tuple[str, str]]) -> None:
    """Add an element for each text that is not empty."""
    for tag, text in texts:
        if text:
            etree.SubElement(parent, tag).text = text
