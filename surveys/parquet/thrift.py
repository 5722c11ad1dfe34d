"""Structures of Thrift's compact protocol, which Parquet writes: headers of pages, and footers of files."""

from __future__ import annotations

from typing import Any, NamedTuple

DATA_PAGE, INDEX_PAGE, DICTIONARY_PAGE, DATA_PAGE_V2 = range(4)

_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)
_LONG_LIST = 15

#: Fields of a structure by their numbers: their type (`int`, `bool`, `bytes`), a dictionary for a structure
#: within it, a list of one dictionary for a list of structures.
Wanted = dict[int, Any]

_HEADER: Wanted = {
    **dict.fromkeys((1, 2, 3, 4), int),  # kind, sizes, checksum
    5: dict.fromkeys((1, 2, 3), int),
    6: {},
    7: dict.fromkeys((1, 2), int),
    8: {**dict.fromkeys((1, 4, 5, 6), int), 7: bool},
}
_OWN = {DATA_PAGE: 5, INDEX_PAGE: 6, DICTIONARY_PAGE: 7, DATA_PAGE_V2: 8}
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
        fields, length = read_struct(data, 0, _HEADER)
    except IndexError:
        return None
    kind = fields.get(1)
    if kind not in _OWN:
        raise Malformed
    own = fields.get(_OWN[kind], {})
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
    if min(*header[1:4], *header[5:10]) < 0:
        raise Malformed
    return header


def read_struct(data: bytes, at: int, wanted: Wanted) -> tuple[dict[int, Any], int]:
    """Read the wanted fields of a structure, by their numbers; all others are passed over.

    Parameters
    ----------
    data, at
        Where it begins.
    wanted
        Fields that are wanted; see `Wanted`.

    Returns
    -------
    dict, int
        Values of the fields that it has, and where it ends.

    Raises
    ------
    Malformed
        If it is none.
    IndexError
        If it does not end within `data`.
    """
    fields: dict[int, Any] = {}
    number = 0
    while head := data[at]:
        at += 1
        if head >> 4:
            number += head >> 4
        else:
            number, at = _signed(data, at)
        kind, want = head & 15, wanted.get(number)
        if want is None:
            at = _skip(data, at, kind, 0)
        else:
            fields[number], at = _value(data, at, kind, want)
    return fields, at + 1


def _value(data: bytes, at: int, kind: int, want: Any) -> tuple[Any, int]:
    if isinstance(want, dict):
        if kind != _STRUCT:
            raise Malformed
        return read_struct(data, at, want)
    if isinstance(want, list):
        if kind != _LIST or data[at] & 15 != _STRUCT:
            raise Malformed
        count, at = _count(data, at)
        items: list[Any] = []
        for _ in range(count):
            item, at = read_struct(data, at, want[0])
            items.append(item)
        return items, at
    if want is int and kind in (_I16, _I32, _I64):
        return _signed(data, at)
    if want is bool and kind in (_TRUE, _FALSE):
        return kind == _TRUE, at
    if want is bytes and kind == _BINARY:
        size, at = _unsigned(data, at)
        if at + size > len(data):
            raise IndexError
        return data[at : at + size], at + size
    raise Malformed


def _skip(data: bytes, at: int, kind: int, depth: int) -> int:
    """Pass over a value: where it ends. That may be beyond the end of `data`, which the next look shows."""
    if kind in (_I16, _I32, _I64):
        while data[at] & 0x80:
            at += 1
        return at + 1
    if kind == _BINARY:
        size, at = _unsigned(data, at)
        return at + size
    if depth > _MOST_DEPTH:
        raise Malformed
    if kind == _STRUCT:
        while head := data[at]:
            at += 1
            if not head >> 4:
                _, at = _unsigned(data, at)
            at = _skip(data, at, head & 15, depth + 1)
        return at + 1
    if kind in (_LIST, _SET):
        kind = data[at] & 15
        count, at = _count(data, at)
        for _ in range(count):
            # In a list a truth takes a byte; as a field of a structure it is in the number of its kind.
            at = at + 1 if kind in (_TRUE, _FALSE) else _skip(data, at, kind, depth + 1)
            if at > len(data):
                raise IndexError
        return at
    sizes = {_TRUE: 0, _FALSE: 0, _BYTE: 1, _DOUBLE: 8}
    if kind not in sizes:
        raise Malformed  # maps are in no structure of Parquet
    return at + sizes[kind]


def _count(data: bytes, at: int) -> tuple[int, int]:
    """Count the items of a list, whose first byte this is; and where they begin."""
    count = data[at] >> 4
    return (count, at + 1) if count < _LONG_LIST else _unsigned(data, at + 1)


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
