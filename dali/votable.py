"""VOTable documents: metadata as values, rows streamed (VOTable 1.4, TABLEDATA).

Written by lxml throughout, which escapes; a million rows take no more memory than a few hundred.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from lxml import etree

VERSION = "1.4"
#: The namespace of versions 1.3 to 1.5.
NAMESPACE = "http://www.ivoa.net/xml/VOTable/v1.3"
MEDIA_TYPE = "application/x-votable+xml"

Datatype = Literal["boolean", "short", "int", "long", "float", "double", "char", "unicodeChar"]
Scalar = str | int | float | bool
#: None is null; a sequence of numbers is an array.
Value = Scalar | Sequence[float] | None
Row = Sequence[Value]

STATUS = "QUERY_STATUS"

_ROWS_AT_ONCE = 200
# Whatever XML 1.0 does not have, not even escaped.
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TEXTS = ("char", "unicodeChar")
_NAMESPACES: dict[Any, str] = {None: NAMESPACE}


@dataclass(frozen=True, slots=True)
class Info:
    """A named value, such as the status of a query, with a message."""

    name: str
    value: str
    text: str = ""


OK = Info(STATUS, "OK")


@dataclass(frozen=True, slots=True)
class Coosys:
    """A coordinate system, referred to by its XML ID."""

    id: str
    system: str = "ICRS"


@dataclass(frozen=True, slots=True)
class Timesys:
    """A time system, referred to by its XML ID."""

    id: str
    timescale: str = "UTC"
    refposition: str = "UNKNOWN"
    timeorigin: str = "MJD-origin"


@dataclass(frozen=True, slots=True)
class Values:
    """Which values a parameter takes: limits, or a list of all there are."""

    minimum: Value = None
    maximum: Value = None
    options: tuple[Scalar, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A column.

    Parameters
    ----------
    arraysize
        None for one string or one number.
    id, ref
        XML ID of this field, and that of what it refers to; "" for none.
    """

    name: str
    datatype: Datatype = "char"
    arraysize: str | None = None
    unit: str = ""
    ucd: str = ""
    utype: str = ""
    xtype: str = ""
    id: str = ""
    ref: str = ""
    description: str = ""
    values: Values | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Param(Field):
    """A parameter: a column of one value. None is written as the empty value, which a user is to fill in."""

    value: Value = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceDescriptor:
    """A service that can be called (DataLink 1.1, section 4).

    Parameters
    ----------
    id
        XML ID; "" for none.
    name
        Short name of the resource.
    params
        What the service is: accessURL, standardID, …; see `text_param`.
    inputs
        What it takes.
    utype
        ``adhoc:this`` where a resource describes itself (section 4.4).
    """

    id: str = ""
    name: str = ""
    description: str = ""
    params: tuple[Param, ...]
    inputs: tuple[Param, ...]
    utype: Literal["adhoc:service", "adhoc:this"] = "adhoc:service"


class FirstRows:
    """The first so many rows of others; knows afterwards whether there were more.

    One row beyond the last is asked for, since only that tells. No rows at all always counts as truncated
    (DALI 1.1, section 3.4.4).
    """

    def __init__(self, rows: Iterable[Row], at_most: int) -> None:
        self._rows = iter(rows)
        self._at_most = at_most
        self.count = 0
        self.truncated = False

    def __iter__(self) -> Iterator[Row]:
        if self._at_most == 0:
            self.truncated = True
            return
        for row in self._rows:
            if self.count >= self._at_most:
                self.truncated = True
                return
            self.count += 1
            yield row

    def ending(self) -> Info | None:
        """Status to write after the rows; None where there were no more."""
        if not self.truncated:
            return None
        return Info(STATUS, "OVERFLOW", f"There are more rows than the {self._at_most} given here.")


def text_param(name: str, value: str, description: str = "", ucd: str = "") -> Param:
    """Parameter of a descriptor: a fixed text."""
    return Param(name=name, value=value, description=description, ucd=ucd)


def votable_chunks(
    fields: Sequence[Field],
    rows: Iterable[Row],
    *,
    table: str = "results",
    description: str = "",
    infos: Sequence[Info] = (OK,),
    systems: Sequence[Coosys | Timesys] = (),
    descriptors: Sequence[ServiceDescriptor] = (),
    ending: Callable[[], Info | None] = lambda: None,
    failure: Callable[[Exception], Info] | None = None,
) -> Iterator[bytes]:
    """Document of one table, piece by piece, the first of them before the first row is asked for.

    Parameters
    ----------
    rows
        One value for each field.
    infos
        The first is the QUERY_STATUS.
    ending
        Asked after the last row: a status that overrides the first (DALI 1.1, section 4.4.1), or None.
    failure
        Makes the status that ends the document if `rows` fails; without it the exception goes through.
    """
    sink = _Sink()
    with etree.xmlfile(sink, encoding="UTF-8") as out:
        out.write_declaration()
        with out.element("VOTABLE", {"version": VERSION}, nsmap=_NAMESPACES):
            with out.element("RESOURCE", {"type": "results"}):
                _write_all(out, _head(description, infos, systems))
                with out.element("TABLE", {"name": table}):
                    _write_all(out, [_field("FIELD", field) for field in fields])
                    with out.element("DATA"), out.element("TABLEDATA"):
                        out.write("\n")
                        out.flush()
                        yield sink.take()
                        try:
                            for _ in _write_rows(out, fields, rows):
                                out.flush()
                                yield sink.take()
                            last = ending()
                        except Exception as error:
                            if failure is None:
                                raise
                            last = failure(error)
                out.write("\n")
                _write_all(out, [_info(last)] if last else [])
            out.write("\n")
            _write_all(out, [_descriptor(descriptor) for descriptor in descriptors])
    yield sink.take()


def error_document(message: str, infos: Sequence[Info] = ()) -> bytes:
    """Document that says that a query failed; `message` begins with a word for the kind of fault."""
    root = etree.Element("VOTABLE", {"version": VERSION}, nsmap=_NAMESPACES)
    resource = etree.SubElement(root, "RESOURCE", {"type": "results"})
    resource.extend([_info(info) for info in (Info(STATUS, "ERROR", message), *infos)])
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def format_value(value: Value) -> str:
    """Text of a value as VOTable 1.4, section 6, has it; "" for null."""
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return _format_float(value)
        case _:
            return " ".join(format_value(item) for item in value)


class _Sink:
    """Takes what is written and gives it away."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, piece: bytes) -> None:
        self._pieces.append(piece)

    def take(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken


def _write_rows(out: Any, fields: Sequence[Field], rows: Iterable[Row]) -> Iterator[None]:
    """Write rows, a batch between one step and the next.

    The same elements are filled again and again: making them would take most of the time.
    """
    formats = [format_of(field) for field in fields]
    table = [_empty_row(len(fields)) for _ in range(_ROWS_AT_ONCE)]
    cells = [list(row) for row in table]
    remaining = iter(rows)
    while batch := list(islice(remaining, _ROWS_AT_ONCE)):
        for element, row_cells, row in zip(table, cells, batch, strict=False):
            for cell, form, value in zip(row_cells, formats, row, strict=True):
                text = None if value is None else form(value)
                try:
                    cell.text = text
                except ValueError:
                    cell.text = legal(text or "")
            out.write(element)
        yield


def _empty_row(cells: int) -> etree._Element:
    row = etree.Element("TR")
    for _ in range(cells):
        etree.SubElement(row, "TD")
    row.tail = "\n"
    return row


def format_of(field: Field) -> Callable[[Any], str]:
    """Give what makes the text of a value of a field; null has none."""
    if field.datatype in _TEXTS:
        return str
    if field.arraysize is not None or field.datatype == "boolean":
        return format_value
    return _format_float if field.datatype in ("float", "double") else _format_integer


def _format_integer(value: int) -> str:
    if value != int(value):
        raise ValueError(f"{value!r} is no whole number")
    return str(int(value))


def _format_float(value: float) -> str:
    number = float(value)
    if math.isfinite(number):
        return repr(number)
    return "NaN" if math.isnan(number) else "+Inf" if number > 0 else "-Inf"


def legal(text: str) -> str:
    """Text without the characters that are illegal in XML."""
    return _ILLEGAL.sub("", text)


def _write_all(out: Any, elements: Iterable[etree._Element]) -> None:
    for element in elements:
        out.write(element, pretty_print=True)


def _head(
    description: str, infos: Sequence[Info], systems: Sequence[Coosys | Timesys]
) -> Iterator[etree._Element]:
    # The order is that of the schema: an INFO after a COOSYS would not be valid.
    if description:
        yield _element("DESCRIPTION", text=description)
    for info in infos:
        yield _info(info)
    for system in systems:
        match system:
            case Coosys():
                yield _element("COOSYS", ID=system.id, system=system.system)
            case Timesys():
                yield _element(
                    "TIMESYS",
                    ID=system.id,
                    timescale=system.timescale,
                    refposition=system.refposition,
                    timeorigin=system.timeorigin,
                )


def _info(info: Info) -> etree._Element:
    element = _element("INFO", text=info.text, name=info.name)
    element.set("value", legal(info.value))
    return element


def _field(tag: str, field: Field) -> etree._Element:
    arraysize = field.arraysize
    if arraysize is None and field.datatype in _TEXTS:
        arraysize = "*"
    element = _element(
        tag,
        ID=field.id,
        name=field.name,
        datatype=field.datatype,
        arraysize=arraysize or "",
        xtype=field.xtype,
        unit=field.unit,
        ucd=field.ucd,
        utype=field.utype,
        ref=field.ref,
    )
    if field.description:
        element.append(_element("DESCRIPTION", text=field.description))
    if field.values is not None:
        element.append(_values(field.values))
    return element


def _param(param: Param) -> etree._Element:
    element = _field("PARAM", param)
    element.set("value", legal(format_value(param.value)))
    return element


def _values(values: Values) -> etree._Element:
    element = etree.Element("VALUES")
    limits = [("MIN", values.minimum), ("MAX", values.maximum)]
    given = [(tag, limit) for tag, limit in limits if limit is not None]
    for tag, value in [*given, *(("OPTION", option) for option in values.options)]:
        etree.SubElement(element, tag).set("value", legal(format_value(value)))
    return element


def _descriptor(descriptor: ServiceDescriptor) -> etree._Element:
    element = _element(
        "RESOURCE", ID=descriptor.id, name=descriptor.name, type="meta", utype=descriptor.utype
    )
    if descriptor.description:
        element.append(_element("DESCRIPTION", text=descriptor.description))
    element.extend([_param(param) for param in descriptor.params])
    group = etree.SubElement(element, "GROUP", {"name": "inputParams"})
    group.extend([_param(param) for param in descriptor.inputs])
    return element


def _element(tag: str, text: str = "", **attributes: str) -> etree._Element:
    """Element with the attributes that are not empty."""
    element = etree.Element(tag, {name: legal(value) for name, value in attributes.items() if value})
    element.text = legal(text) or None
    return element
