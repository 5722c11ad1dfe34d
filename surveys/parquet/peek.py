"""One value of a large page, by a look at the lengths of those before it: not all is read, nor unpacked."""

from __future__ import annotations

import sys
import threading

import numpy as np
from numpy.typing import NDArray

from surveys.parquet.codecs import SNAPPY, UNCOMPRESSED, snappy_size, unpack
from surveys.parquet.reader import LakeReader
from surveys.parquet.thrift import DATA_PAGE, DATA_PAGE_V2, DICTIONARY_PAGE, Malformed, PageHeader
from surveys.parquet.values import PLAIN, place_among

#: Bytes of a page, unpacked, below which it is not worth it.
LEAST_BYTES = 512 << 10

_KERNEL = "surveys.kernels.snappy"
_SHORT = 4096
_READ = 480 << 10
#: Bytes of a value on the average below which there are too many lengths to look at.
_LARGE_VALUE = 4096
_LENGTH_BYTES = 4

_room = threading.local()


def can_peek(header: PageHeader, codec: int) -> bool:
    """Whether single values of a page can be had: not where a checksum of all of it is to be looked at."""
    if header.crc is not None or header.unpacked < max(LEAST_BYTES, _LARGE_VALUE * header.values):
        return False
    if header.kind != DICTIONARY_PAGE and header.encoding != PLAIN:
        return False
    # The kernel is loaded with all others where a service starts; one value is not worth the second it takes.
    return _is_plain(header, codec) or (codec == SNAPPY and _KERNEL in sys.modules)


def peek_row(
    reader: LakeReader, offset: int, header: PageHeader, codec: int, level: int, row: int
) -> bytes | None:
    """Give the value of a row of a data page; None where it is null.

    Parameters
    ----------
    offset
        Where the page begins, behind its header.
    codec
        Of its compression, as Parquet numbers them.
    level
        Definition level of values that are there.

    Raises
    ------
    Malformed
        If it is not found so: then the page is to be unpacked.
    """
    if not level:
        return peek_place(reader, offset, header, codec, row)
    if header.kind == DATA_PAGE:
        levels = _first(reader, offset, header, codec) or peek_place(reader, offset, header, codec, 0)
    else:
        levels = reader.read(offset + header.repeat_bytes, header.level_bytes)
    place = place_among(memoryview(levels), level, header.values, row)
    if place is None:
        return None
    # Levels of a page of version 1 stand before the values, after their length, as if they were one of them.
    return peek_place(reader, offset, header, codec, place + (header.kind == DATA_PAGE))


def peek_place(reader: LakeReader, offset: int, header: PageHeader, codec: int, place: int) -> bytes:
    """Give what stands at a place of a page, each after its length; see `peek_row`."""
    aside = header.repeat_bytes + header.level_bytes if header.kind == DATA_PAGE_V2 else 0
    offset, stored, total = offset + aside, header.stored - aside, header.unpacked - aside
    if min(stored, total) <= 0:
        raise Malformed
    if _is_plain(header, codec):
        return _hop(reader, offset, stored, place)
    return _unpack_part(reader, offset, stored, total, place)


def _first(reader: LakeReader, offset: int, header: PageHeader, codec: int) -> bytes:
    """Give what stands first, if it is short and not compressed, as levels mostly are; else nothing."""
    if _is_plain(header, codec):
        return b""
    data = reader.read(offset, min(_SHORT, header.stored))
    tag = _head(data, header.unpacked)
    if tag == len(data):
        raise Malformed
    kind, more = data[tag] & 3, max(0, (data[tag] >> 2) - 59)  # a literal has its length in so many bytes
    begin = tag + 1 + more
    if kind:
        return b""
    literal = 1 + (int.from_bytes(data[tag + 1 : begin], "little") if more else data[tag] >> 2)
    end = begin + _LENGTH_BYTES + int.from_bytes(data[begin : begin + _LENGTH_BYTES], "little")
    return data[begin + _LENGTH_BYTES : end] if end <= min(begin + literal, len(data)) else b""


def _is_plain(header: PageHeader, codec: int) -> bool:
    return codec == UNCOMPRESSED or not header.packed


def _hop(reader: LakeReader, offset: int, stored: int, place: int) -> bytes:
    """Go from length to length."""
    at = _LENGTH_BYTES
    while at <= stored:
        length = int.from_bytes(reader.read(offset + at - _LENGTH_BYTES, _LENGTH_BYTES), "little")
        if at + length > stored:
            break
        if not place:
            return reader.read(offset + at, length)
        at, place = at + length + _LENGTH_BYTES, place - 1
    raise Malformed


def _unpack_part(reader: LakeReader, offset: int, stored: int, total: int, place: int) -> bytes:
    """Unpack what was compressed together with a value, and nothing else."""
    from surveys.kernels import snappy

    parts = np.zeros(-(-total // snappy.PART) + 1, np.int64)
    parts[-1] = stored
    state, room = snappy.new_state(place), _rooms(snappy.PART)
    first, found = 0, snappy.MORE
    while found == snappy.MORE:
        start = first
        left = stored - start
        data = reader.view(offset + start, left if reader.is_mapped else min(_READ, left))
        head = 0 if start else _head(data, total)
        some = np.frombuffer(data, np.uint8)[head:]
        found = snappy.find_value(some, len(some), total, start + head, state, parts, *room)
        first = start + head + int(state[snappy.TAKEN])
    if found == snappy.OTHER:
        raise Malformed
    begin, end = int(state[snappy.BEGIN]), int(state[snappy.END])
    part, last = begin // snappy.PART, -(-end // snappy.PART)
    if begin == end:
        return b""
    begins, ends = int(parts[part]), int(parts[last])
    if start <= begins and ends <= start + len(data):
        packed = data[begins - start : ends - start]
    else:
        packed = reader.view(offset + begins, ends - begins)
    base = part * snappy.PART
    length = min(last * snappy.PART, total) - base
    unpacked = unpack(SNAPPY, memoryview(b"".join((_varint(length), packed))), length)
    return bytes(unpacked[begin - base : end - base])


def _head(data: bytes | memoryview, total: int) -> int:
    """Bytes of the number of those that are unpacked, with which compressed bytes begin."""
    if snappy_size(memoryview(data)) != total:
        raise Malformed
    return len(_varint(total))


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _rooms(size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Room for the kernel, of this thread."""
    if not hasattr(_room, "numbers"):
        _room.numbers = (np.zeros(size, np.int64), np.zeros(size, np.int64))
    return _room.numbers  # type: ignore[no-any-return]
