"""Zips whose files are stored and not compressed: the bytes around the files (APPNOTE 6.3)."""

from __future__ import annotations

from datetime import datetime
from struct import Struct

#: A number that does not fit is this one instead, and stands in an extra field (APPNOTE 4.4.1.4).
TOO_LARGE = 0xFFFFFFFF
_TOO_MANY = 0xFFFF
_VERSION = 45  # the first with zip64
#: Made as on Unix: others read names by an old code page. The attributes are those of a file, -rw-r--r--.
_MADE_BY = 3 << 8 | _VERSION
_ATTRIBUTES = 0o100644 << 16
_UTF8_NAMES = 0x800
#: 1 January 1980, midnight, the first moment a zip knows, as date and time of MS-DOS.
BEGINNING = (0x21, 0)

# Signature, version, flags, method, time, date, crc32, sizes, length of name and of extra; the extra field:
# id, length, sizes. The sizes always stand there: a header may be written before they are known.
_HEADER = Struct("<4s5H3I2H")
_HEADER_EXTRA = Struct("<2H2Q")
# Signature, versions, flags, method, time, date, crc32, sizes, lengths of name, extra and comment, disk,
# attributes, offset.
_ENTRY = Struct("<4s6H3I5H2I")
_ENTRY_EXTRA = Struct("<2H3Q")
_END = Struct("<4s4H2IH")
_END_64 = Struct("<4sQ2H2I4Q")
_END_64_AT = Struct("<4sIQI")

#: Bytes of a header and of an entry, beside the name; and what a large file or offset adds to the entry.
HEADER_BYTES = _HEADER.size + _HEADER_EXTRA.size
ENTRY_BYTES = _ENTRY.size
LARGE_ENTRY_BYTES = _ENTRY_EXTRA.size


def dos_moment(moment: datetime) -> tuple[int, int]:
    """Date and time of MS-DOS, which ends in 2107 and counts every other second."""
    if not 1980 <= moment.year <= 2107:
        return BEGINNING
    date = (moment.year - 1980) << 9 | moment.month << 5 | moment.day
    return date, moment.hour << 11 | moment.minute << 5 | moment.second // 2


def header(name: bytes, crc32: int, size: int, moment: tuple[int, int] = BEGINNING) -> bytes:
    """Give what stands before a file."""
    fixed = _HEADER.pack(
        b"PK\3\4",
        _VERSION,
        _UTF8_NAMES,
        0,
        moment[1],
        moment[0],
        crc32,
        TOO_LARGE,
        TOO_LARGE,
        len(name),
        _HEADER_EXTRA.size,
    )
    return fixed + name + _HEADER_EXTRA.pack(1, _HEADER_EXTRA.size - 4, size, size)


def entry(name: bytes, crc32: int, size: int, at: int, moment: tuple[int, int] = BEGINNING) -> bytes:
    """Entry of the directory, of a file whose header is at `at`."""
    extra = b""
    in_extra = size >= TOO_LARGE or at >= TOO_LARGE
    if in_extra:
        extra = _ENTRY_EXTRA.pack(1, _ENTRY_EXTRA.size - 4, size, size, at)
    shown_size, shown_at = (TOO_LARGE, TOO_LARGE) if in_extra else (size, at)
    fixed = _ENTRY.pack(
        b"PK\1\2",
        _MADE_BY,
        _VERSION,
        _UTF8_NAMES,
        0,
        moment[1],
        moment[0],
        crc32,
        shown_size,
        shown_size,
        len(name),
        len(extra),
        0,
        0,
        0,
        _ATTRIBUTES,
        shown_at,
    )
    return fixed + name + extra


def end_of_directory(count: int, start: int, size: int) -> bytes:
    """Give what follows the directory, which lies at `start`."""
    shown = min(count, _TOO_MANY), min(count, _TOO_MANY), min(size, TOO_LARGE), min(start, TOO_LARGE)
    end = _END.pack(b"PK\5\6", 0, 0, *shown, 0)
    if count < _TOO_MANY and start < TOO_LARGE and size < TOO_LARGE:
        return end
    end_64 = _END_64.pack(b"PK\6\6", _END_64.size - 12, _MADE_BY, _VERSION, 0, 0, count, count, size, start)
    return end_64 + _END_64_AT.pack(b"PK\6\7", 0, start + size, 1) + end
