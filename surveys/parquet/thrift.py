"""Headers of Parquet pages: structures of Thrift's compact protocol, as much of it as they are made of."""

from __future__ import annotations

from typing import Any, NamedTuple

DATA_PAGE, INDEX_PAGE, DICTIONARY_PAGE, DATA_PAGE_V2 = range(4)

_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)
_OWN: dict[object, int] = {DATA_PAGE: 5, INDEX_PAGE: 6, DICTIONARY_PAGE: 7, DATA_PAGE_V2: 8}
_NOTHING: dict[int, Any] = {}
_MOST_DEPTH = 8
_MOST_BITS = 63


class PageHeader(NamedTuple):
    """What stands before a page.

    Parameters
    ----------
    kind
        `DATA_PAGE` or one of the others.
    length
        Bytes of the header itself.
    stored, unpacked
        Bytes of the page that follows, as it is stored and as it is unpacked.
    crc
        CRC-32 of the page as it is stored; None where it is not told.
    values
        Number of values, those that are null among them.
    encoding
        Number of the encoding of the values.
    level_encoding
        Number of that of their definition levels.
    level_bytes, repeat_bytes
        Of a data page of version 2: bytes of the levels, which stand before the values.
    packed
        Whether the values are compressed.
    """

    kind: Any
    length: int
    stored: int
    unpacked: int
    crc: int | None
    values: int
    encoding: int
    level_encoding: int
    level_bytes: int
    repeat_bytes: int
    packed: bool


class Malformed(ValueError):
    """Bytes that are no such structure."""


def read_page_header(data: bytes) -> PageHeader | None:
    """Read the header that `data` begins with; None where it does not end within `data`.

    Raises
    ------
    Malformed
        If it is none.
    """
    try:
        fields, length = _struct(data, 0, 0)
    except IndexError:
        return None
    kind = fields.get(1)
    own = fields.get(_OWN[kind], _NOTHING) if type(kind) is int and kind in _OWN else None
    if not isinstance(own, dict):
        raise Malformed
    second = kind == DATA_PAGE_V2
    header = PageHeader(
        kind=kind,
        length=length,
        stored=fields.get(3, -1),
        unpacked=fields.get(2, -1),
        crc=fields.get(4),
        values=0 if kind == INDEX_PAGE else own.get(1, -1),
        encoding=0 if kind == INDEX_PAGE else own.get(4 if second else 2, -1),
        level_encoding=own.get(3, 3) if kind == DATA_PAGE else 3,
        level_bytes=own.get(5, 0) if second else 0,
        repeat_bytes=own.get(6, 0) if second else 0,
        packed=own.get(7, True) if second else True,
    )
    if not all(type(number) is int and number >= 0 for number in (*header[1:4], *header[5:10])):
        raise Malformed
    if header.crc is not None and type(header.crc) is not int:
        raise Malformed
    return header


def _struct(data: bytes, at: int, depth: int) -> tuple[dict[int, Any], int]:
    """Fields of a structure by their numbers, and where it ends; texts are passed over."""
    if depth > _MOST_DEPTH:
        raise Malformed
    fields: dict[int, Any] = {}
    number = 0
    while (head := data[at]) != 0:
        at += 1
        if head >> 4:
            number += head >> 4
        else:
            number, at = _signed(data, at)
        fields[number], at = _value(data, at, head & 15, depth)
    return fields, at + 1


def _value(data: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if kind in (_I16, _I32, _I64):
        return _signed(data, at)
    if kind in (_TRUE, _FALSE):
        return kind == _TRUE, at
    if kind == _STRUCT:
        return _struct(data, at, depth + 1)
    if kind == _BINARY:
        size, at = _unsigned(data, at)
        return None, _past(data, at + size)
    if kind == _BYTE:
        return data[at], at + 1
    if kind == _DOUBLE:
        return None, _past(data, at + 8)
    raise Malformed  # lists and maps are in no header of a page


def _past(data: bytes, at: int) -> int:
    if at > len(data):
        raise IndexError
    return at


def _signed(data: bytes, at: int) -> tuple[int, int]:
    number, at = _unsigned(data, at)
    return (number >> 1) ^ -(number & 1), at


def _unsigned(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while (byte := data[at]) & 0x80:
        number |= (byte & 0x7F) << shift
        shift += 7
        at += 1
        if shift > _MOST_BITS:
            raise Malformed
    return number | byte << shift, at + 1
