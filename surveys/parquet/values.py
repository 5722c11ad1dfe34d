"""A page of bytes: the values in it, unpacked, each to be had by its row."""

from __future__ import annotations

import struct

from isal import isal_zlib

from surveys.parquet.codecs import UNCOMPRESSED, unpack
from surveys.parquet.runs import Runs
from surveys.parquet.thrift import DATA_PAGE, DATA_PAGE_V2, DICTIONARY_PAGE, Malformed, PageHeader

PLAIN, PLAIN_DICTIONARY, RLE, RLE_DICTIONARY = 0, 2, 3, 8

_LENGTH = struct.Struct("<I")
#: What Python takes for a number in a list.
_NUMBER_BYTES = 40


class Page:
    """A page, unpacked.

    Parameters
    ----------
    body
        Values one after the other, each after its length; or their places in the dictionary.
    rows
        Of the page.
    levels
        Which of them are null: those of another definition level than `level`. None if none is.
    level
        Definition level of a value that is there.
    by_place
        Whether the body has places in a dictionary.

    Raises
    ------
    Malformed
        If the values are not in the body.
    """

    def __init__(
        self,
        body: memoryview,
        rows: int,
        levels: Runs | None = None,
        level: int = 0,
        by_place: bool = False,
    ) -> None:
        self.rows = rows
        self.by_place = by_place
        self._body = body
        self._levels = levels
        self._level = level
        stored = rows if levels is None else levels.count_of(level, rows)
        self._places: Runs | None = None
        self._starts: list[int] = []
        if not by_place:
            self._starts = _starts(body, stored)
        elif stored:
            self._places = Runs(body[1:], body[0] if body else 64, stored)

    @property
    def size(self) -> int:
        """About what it takes in memory."""
        return len(self._body) + _NUMBER_BYTES * len(self._starts)

    def place(self, row: int) -> int | None:
        """Tell where the value of a row is: in the dictionary, or in the page itself; None where it is null.

        Raises
        ------
        Malformed
            If the row is of a level that there is none of.
        """
        place = row if self._levels is None else _place(self._levels, self._level, row)
        return place if place is None or self._places is None else self._places.at(place)

    def value(self, place: int) -> bytes:
        """Give the value at a place among those that are not null.

        Raises
        ------
        Malformed
            If there is none.
        """
        if not 0 <= place < len(self._starts) - 1:
            raise Malformed
        return bytes(self._body[self._starts[place] + _LENGTH.size : self._starts[place + 1]])


def place_among(levels: memoryview, level: int, rows: int, row: int) -> int | None:
    """Tell how many values that are not null stand before that of a row; None where itself is null.

    Raises
    ------
    Malformed
        If the levels are none.
    """
    return _place(Runs(levels, level.bit_length(), rows), level, row)


def _place(levels: Runs, level: int, row: int) -> int | None:
    if (own := levels.at(row)) == level:
        return levels.count_of(level, row)
    if own > level:
        raise Malformed
    return None


def open_page(data: bytes, header: PageHeader, codec: int, level: int) -> Page:
    """Unpack a page.

    Parameters
    ----------
    data
        Its header and itself, as they are stored.
    header
        What the header says.
    codec
        Of the compression, as Parquet numbers them.
    level
        Definition level of values that are there; 0 where none can be null.

    Raises
    ------
    Malformed
        If it is not what the header says.
    """
    stored = memoryview(data)[header.length :]
    if header.crc is not None and isal_zlib.crc32(stored) != header.crc & 0xFFFFFFFF:
        raise Malformed
    if header.kind == DICTIONARY_PAGE:
        if header.encoding not in (PLAIN, PLAIN_DICTIONARY):
            raise Malformed
        return Page(unpack(codec, stored, header.unpacked), header.values)
    if header.kind == DATA_PAGE:
        levels, body = _parts(unpack(codec, stored, header.unpacked), level)
    elif header.kind == DATA_PAGE_V2:
        levels, body = _parts_v2(stored, header, codec)
    else:
        raise Malformed
    runs = Runs(levels, level.bit_length(), header.values) if level else None
    if runs is not None and runs.is_all(level):
        runs = None
    if header.encoding == PLAIN:
        return Page(body, header.values, runs, level)
    if header.encoding not in (PLAIN_DICTIONARY, RLE_DICTIONARY):
        raise Malformed
    return Page(body, header.values, runs, level, by_place=True)


def _parts(page: memoryview, level: int) -> tuple[memoryview, memoryview]:
    """Levels and values of a page of version 1."""
    if not level:
        return page[:0], page
    end = _LENGTH.size + int.from_bytes(page[: _LENGTH.size], "little")
    if end > len(page):
        raise Malformed
    return page[_LENGTH.size : end], page[end:]


def _parts_v2(stored: memoryview, header: PageHeader, codec: int) -> tuple[memoryview, memoryview]:
    """Levels and values of a page of version 2, the levels of which are not compressed."""
    start = header.repeat_bytes
    end = start + header.level_bytes
    if end > min(len(stored), header.unpacked):
        raise Malformed
    codec = codec if header.packed else UNCOMPRESSED
    return stored[start:end], unpack(codec, stored[end:], header.unpacked - end)


def _starts(body: memoryview, count: int) -> list[int]:
    """Where the length of each value stands, and the end of the last."""
    starts = [0]
    at, end = 0, len(body)
    read, width = _LENGTH.unpack_from, _LENGTH.size
    if count * width > end:
        raise Malformed
    try:
        for _ in range(count):
            at += width + read(body, at)[0]
            starts.append(at)
    except struct.error:
        raise Malformed from None
    if at > end:
        raise Malformed
    return starts
