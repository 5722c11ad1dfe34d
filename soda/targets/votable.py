"""VOTable: the first table of the document that has data, as TABLEDATA, BINARY or BINARY2.

libxml2 reads the document as a stream of elements, and no tree is made of it. Before it sees the file, that
is searched for a DOCTYPE, so that there are no entities; nothing that a document refers to is fetched, and
what it claims of rows and sizes is compared with the limits, not allocated. The VOTable reader of astropy
keeps a whole BINARY stream several times over, and trusts what it claims.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from lxml import etree

from dali.errors import quoted
from soda.targets.source import Body, Field, Texts, Wanted, check_columns
from soda.targets.table import TargetLimits, UploadRefused
from soda.targets.vobinary import BinaryTable, FieldType, StreamDecoder, field_type

_PIECE = 1 << 16
_SCANNED = 1 << 20
_MOST_ELEMENTS = 3_000_000
_MOST_DEPTH = 100
_MOST_NAMES = 200
_ROWS_AT_ONCE = 2000
_DECLARED = re.compile(rb"""<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_ENCODINGS = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "utf-8",
    "ascii": "utf-8",
    "iso-8859-1": "iso-8859-1",
}
_FORBIDDEN = (b"<!DOCTYPE", b"<!ENTITY", b"<!doctype")
_AS_TABLEDATA = "Send the rows as TABLEDATA, BINARY or BINARY2."


class _Done(Exception):
    """All that is wanted has been seen."""


class VOTableSource:
    """The first table of a VOTable."""

    has_names = True

    def __init__(self, path: Path, limits: TargetLimits) -> None:
        self._path = path
        self._limits = limits
        self._encoding = _check(path)
        head = _Reader(limits, None)
        _parse(path, self._encoding, head)
        if not head.has_data:
            raise UploadRefused("the VOTable has no table with data", _AS_TABLEDATA)
        self.fields = head.described()

    def read(self, wanted: Sequence[Wanted], most: int | None = None) -> Body:
        """Read the wanted columns of all rows."""
        reader = _Reader(self._limits, wanted, most)
        _parse(self._path, self._encoding, reader)
        return reader.body()


def _check(path: Path) -> str:
    """Tell the encoding to read with; refuse what declares entities, or an encoding that could hide it."""
    with path.open("rb") as file:
        start = file.read(1000)
        declared = _DECLARED.search(start)
        name = declared[1].decode("ascii").lower() if declared else "utf-8"
        if name not in _ENCODINGS:
            raise UploadRefused(f"the encoding of the VOTable is {quoted(name)}", "Save it as UTF-8.", line=1)
        file.seek(0)
        before, lines, is_open = b"", 1, False
        while piece := file.read(_SCANNED):
            if is_open and b">" not in piece:
                raise UploadRefused(f"the VOTable has a tag of more than {_SCANNED} characters", line=lines)
            is_open = piece.find(b"<", piece.rfind(b">") + 1) >= 0
            looked_at = before + piece
            for word in _FORBIDDEN:
                if (at := looked_at.find(word)) >= 0:
                    raise UploadRefused(
                        f"the VOTable has {word.decode()}; document types and entities are not read",
                        "Leave it out.",
                        line=lines + looked_at.count(b"\n", 0, at),
                    )
            before = looked_at[-16:]
            lines += looked_at.count(b"\n", 0, len(looked_at) - len(before))
    return _ENCODINGS[name]


def _parse(path: Path, encoding: str, reader: _Reader) -> None:
    parser = etree.XMLParser(
        target=cast(Any, reader),  # its stubs want what may be left out
        encoding=encoding,
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                parser.feed(piece)
        parser.close()
    except _Done:
        return
    except etree.XMLSyntaxError as fault:
        raise UploadRefused(
            f"the VOTable is not well-formed XML: {str(fault.msg)[:200]}", line=fault.lineno or None
        ) from fault


class _Reader:
    """Takes the elements of a document one after the other.

    Parameters
    ----------
    wanted
        Columns to read; None to stop where the data of the first table begin.
    most
        Rows to read; None for all.
    """

    def __init__(
        self, limits: TargetLimits, wanted: Sequence[Wanted] | None, most: int | None = None
    ) -> None:
        self._limits = limits
        self._most = most
        self._wanted = wanted
        self._names: dict[str, str] = {}
        self._attribute_names: set[str] = set()
        self._path: list[str] = []
        self._elements = 0
        self._attributes: list[Mapping[str, str]] = []
        self._systems: dict[str, str] = {}
        self._nulls: dict[int, str] = {}
        self.has_data = False
        self._texts = Texts(wanted or (), limits, most, has_lines=False)
        self._indices = [one.index for one in wanted or ()]
        self._rows: list[list[str]] = []
        self._cells: list[str] = []
        self._cell_tag = "TD"
        self._text: str | None = None
        self._serialization = ""
        self._stream: StreamDecoder | None = None
        self._binary: Body | None = None

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Take the start of an element; first what most elements are."""
        if tag == self._cell_tag:
            self._text = ""
            return
        name = self._names.get(tag) or self._name(tag)
        if not self._path:
            self._cell_tag = f"{tag.rpartition(name)[0]}TD"
        self._path.append(name)
        self._count(1)
        if name == "TR":
            self._cells = []
        else:
            self._start_other(name, attributes)

    def data(self, text: str) -> None:
        """Take text."""
        if self._text is not None:
            self._text += text
            if len(self._text) > self._limits.line:
                raise UploadRefused(
                    f"row {self._texts.rows + 1} has a value of more than {self._limits.line} characters"
                )
        elif self._stream is not None:
            self._stream.feed(text)

    def end(self, tag: str) -> None:
        """Take the end of an element."""
        if tag == self._cell_tag:
            self._cells.append(self._text or "")
            self._text = None
            if len(self._cells) > len(self._attributes):
                raise UploadRefused(
                    f"row {self._texts.rows + 1} has more values than there are columns, "
                    f"{len(self._attributes)}"
                )
            return
        name = self._path.pop()
        if name == "TR":
            self._count(len(self._cells))
            self._end_row()
        elif name == "STREAM":
            self._end_stream()
        elif name == "TABLE" and self.has_data:
            raise _Done

    def close(self) -> None:
        """Take the end of the document."""

    def described(self) -> list[Field]:
        """Fields of the table."""
        return [
            Field(
                one.get("name") or one.get("ID", ""),
                ucd=one.get("ucd", ""),
                unit=one.get("unit", ""),
                frame=self._systems.get(one.get("ref", ""), ""),
            )
            for one in self._attributes
        ]

    def body(self) -> Body:
        """Rows that were read."""
        if self._binary is not None:
            return self._binary
        self._texts.add(self._rows)
        return self._texts.body()

    def _count(self, elements: int) -> None:
        self._elements += elements
        if self._elements > _MOST_ELEMENTS or len(self._path) > _MOST_DEPTH:
            raise UploadRefused(
                f"the VOTable has more than {_MOST_ELEMENTS} elements, or more than {_MOST_DEPTH} "
                "within each other",
                "Leave out the columns that are not needed, or send BINARY2 or FITS.",
            )

    def _name(self, tag: str) -> str:
        """Name of an element without its namespace.

        libxml2 keeps every name it meets for as long as the thread lives, so there may not be too many.
        """
        if len(self._names) == _MOST_NAMES:
            raise UploadRefused(f"the VOTable has elements of more than {_MOST_NAMES} names")
        name = self._names[tag] = tag.rpartition("}")[2]
        return name

    def _start_other(self, name: str, attributes: Mapping[str, str]) -> None:
        parent = self._path[-2] if len(self._path) > 1 else ""
        self._attribute_names.update(attributes)
        if len(self._attribute_names) > _MOST_NAMES:
            raise UploadRefused(f"the VOTable has attributes of more than {_MOST_NAMES} names")
        if len(self._path) == 1 and name != "VOTABLE":
            raise UploadRefused(f"this is XML, but no VOTable: it begins with {quoted(name)}")
        if name == "FIELD" and parent == "TABLE":
            self._attributes.append(dict(attributes))
            check_columns(len(self._attributes), self._limits)
        elif name == "TABLE":
            self._start_table(attributes)
        elif name == "COOSYS" and len(self._systems) < self._limits.columns:
            self._systems[attributes.get("ID", "")] = _frame(attributes)
        elif name == "VALUES" and parent == "FIELD" and attributes.get("null"):
            self._nulls[len(self._attributes) - 1] = attributes["null"].strip()
        elif name == "TD":
            raise UploadRefused("the VOTable has a TD of another namespace than the table around it")
        elif name in ("TABLEDATA", "BINARY", "BINARY2", "FITS") and parent == "DATA":
            self._start_data(name)
        elif name == "STREAM":
            self._start_stream(attributes)

    def _start_table(self, attributes: Mapping[str, str]) -> None:
        if "TABLE" in self._path[:-1]:
            raise UploadRefused("the VOTable has a TABLE within a TABLE")
        self._attributes, self._nulls = [], {}
        claimed = attributes.get("nrows", "").strip()
        if claimed and not (claimed.isascii() and claimed.isdigit()):
            raise UploadRefused(f"nrows of the TABLE is a whole number; got {quoted(claimed)}")
        if claimed and (len(claimed) > 18 or int(claimed) > self._limits.rows):
            raise UploadRefused(
                f"the TABLE says that it has {claimed[:30]} rows; at most {self._limits.rows} are taken",
                "Send it in several jobs.",
            )

    def _start_data(self, name: str) -> None:
        if not self._attributes:
            raise UploadRefused("the TABLE has data and no FIELD")
        if name == "FITS":
            raise UploadRefused(
                "the data of the VOTable are a FITS file within it, or elsewhere", _AS_TABLEDATA
            )
        self.has_data = True
        self._serialization = name
        if self._wanted is None:
            raise _Done
        if name != "TABLEDATA":
            types = [self._type(index) for index in range(len(self._attributes))]
            self._stream = None
            self._table = BinaryTable(
                types, self._wanted, self._nulls, self._limits, has_flags=name == "BINARY2"
            )

    def _start_stream(self, attributes: Mapping[str, str]) -> None:
        if "href" in attributes:
            raise UploadRefused(
                "the data of the VOTable are elsewhere (STREAM href), and are not fetched", _AS_TABLEDATA
            )
        if attributes.get("encoding", "base64").strip().lower() not in ("base64", "none"):
            raise UploadRefused(
                f"the encoding of STREAM is base64; got {quoted(attributes['encoding'])}", _AS_TABLEDATA
            )
        if self._serialization in ("BINARY", "BINARY2"):
            self._stream = StreamDecoder()

    def _type(self, index: int) -> FieldType:
        attributes = self._attributes[index]
        return field_type(
            attributes.get("name", ""), attributes.get("datatype", ""), attributes.get("arraysize", "")
        )

    def _end_row(self) -> None:
        if self._wanted is None or self._serialization != "TABLEDATA":
            return
        self._texts.line(self._texts.rows + 1)
        cells = self._cells
        if len(cells) < len(self._attributes):
            self._texts.faults[self._texts.rows - 1] = (
                f"the row has {len(cells)} values; there are {len(self._attributes)} columns"
            )
            cells += [""] * (len(self._attributes) - len(cells))
        for index, null in self._nulls.items():
            if cells[index].strip() == null:
                cells[index] = ""
        self._rows.append([cells[index] for index in self._indices])
        if len(self._rows) == _ROWS_AT_ONCE:
            self._texts.add(self._rows)
            self._rows.clear()
        if self._texts.is_full:
            raise _Done

    def _end_stream(self) -> None:
        if self._stream is None:
            return
        self._binary = self._table.read(self._stream.content(), self._most)
        self._stream = None


def _frame(attributes: Mapping[str, str]) -> str:
    """System of a COOSYS, "" for ICRS and what is ICRS for a cutout."""
    system = attributes.get("system", "").strip().lower().removeprefix("eq_")
    equinox = attributes.get("equinox", "").strip().upper()
    if system in ("", "icrs", "geo_app") or (
        system == "fk5" and equinox in ("", "J2000", "2000", "J2000.0", "2000.0")
    ):
        return "" if system != "geo_app" else system
    return f"{system} {equinox}".strip()
