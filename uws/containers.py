"""Containers: the files of one task in one zip, stored and not compressed, so that each is a range of bytes.

One file is made and synced where a task gives a hundred: that is what a file system is slow at.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from struct import Struct

from uws.job import Stored
from uws.jobtype import File

BUFFER_BYTES = 1 << 20
#: A number that does not fit is this one instead, and stands in an extra field (APPNOTE 4.4.1.4).
_TOO_LARGE = 0xFFFFFFFF
_TOO_MANY = 0xFFFF
_VERSION = 45  # the first with zip64
#: Made as on Unix: others read names by an old code page. The attributes are those of a file, -rw-r--r--.
_MADE_BY = 3 << 8 | _VERSION
_ATTRIBUTES = 0o100644 << 16
_UTF8_NAMES = 0x800
#: 1 January 1980, midnight, the first moment a zip knows: equal files give equal containers.
_TIME, _DATE = 0, 0x21

# Signature, version, flags, method, time, date, crc32, sizes, length of name and of extra; the extra field:
# id, length, sizes. The sizes always stand there, as the header is written before they are known.
_HEADER = Struct("<4s5H3I2H")
_HEADER_EXTRA = Struct("<2H2Q")
# Signature, versions, flags, method, time, date, crc32, sizes, lengths of name, extra and comment, disk,
# attributes, offset.
_ENTRY = Struct("<4s6H3I5H2I")
_ENTRY_EXTRA = Struct("<2H3Q")
_END = Struct("<4s4H2IH")
_END_64 = Struct("<4sQ2H2I4Q")
_END_64_AT = Struct("<4sIQI")

_NOT_IN_NAMES = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]')


class ContainerWriter:
    """A container being written; nobody reads it before it is sealed.

    Parameters
    ----------
    path
        Of the file, which is made, or emptied if it is there.

    Raises
    ------
    OSError
        By every method, if the disk is full or fails; `discard` may be called then and leaves nothing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = open(path, "wb", buffering=0, opener=_private)  # noqa: SIM115  # open until it is sealed
        self._written = 0
        self._buffer = bytearray()
        self._entries: list[bytes] = []

    def add(self, file: File) -> Stored:
        """Write a file; if its chunks raise, nothing of it stays.

        Notes
        -----
        Inside it is named ``<result_id>/<file_name>``: ids are unique in a job, names need not be.
        """
        start, count = self._end, len(self._entries)
        name = f"{_plain(file.result_id)}/{_plain(file.file_name)}".encode()
        crc32, size, digest = 0, 0, sha256()
        try:
            self._append(_header(name, 0, 0))
            offset = self._end
            for chunk in file.chunks:
                crc32 = zlib.crc32(chunk, crc32)
                size += len(chunk)
                digest.update(chunk)
                self._append(chunk)
            self._overwrite(start, _header(name, crc32, size))
        except BaseException:
            self._rewind(start, count)
            raise
        self._entries.append(_entry(name, crc32, size, start))
        return Stored(
            file.result_id, file.file_name, file.media_type, offset, size, crc32, digest.hexdigest()
        )

    def add_all(self, files: Sequence[File]) -> tuple[Stored, ...]:
        """Write all files of a row, or none: if one raises, nothing of those before it stays either."""
        start, count = self._end, len(self._entries)
        try:
            return tuple(self.add(file) for file in files)
        except BaseException:
            self._rewind(start, count)
            raise

    def seal(self) -> None:
        """Write the directory, and return when all is on the disk."""
        start = self._end
        for entry in self._entries:
            self._append(entry)
        self._append(_end(len(self._entries), start, self._end - start))
        self._flush()
        # What was rewound may have been longer.
        os.truncate(self._file.fileno(), self._written)
        os.fsync(self._file.fileno())
        self._file.close()

    def discard(self) -> None:
        """Remove the file."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    @property
    def _end(self) -> int:
        return self._written + len(self._buffer)

    def _append(self, data: bytes) -> None:
        if len(data) < BUFFER_BYTES:
            self._buffer += data
        else:
            self._flush()
            self._write(data, self._written)
            self._written += len(data)
        if len(self._buffer) >= BUFFER_BYTES:
            self._flush()

    def _overwrite(self, at: int, data: bytes) -> None:
        """Replace what was appended in one piece."""
        if at < self._written:
            self._write(data, at)
        else:
            self._buffer[at - self._written : at - self._written + len(data)] = data

    def _rewind(self, end: int, entries: int) -> None:
        """Forget what was appended after `end`; on the disk it is overwritten, or cut off at the seal."""
        del self._buffer[max(end - self._written, 0) :]
        del self._entries[entries:]
        self._written = min(end, self._written)

    def _flush(self) -> None:
        self._write(bytes(self._buffer), self._written)
        self._written += len(self._buffer)
        self._buffer.clear()

    def _write(self, data: bytes, at: int) -> None:
        view = memoryview(data)
        while view:
            done = os.pwrite(self._file.fileno(), view, at)
            view, at = view[done:], at + done


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _plain(name: str) -> str:
    """Make a name one segment of a path, on every system."""
    plain = _NOT_IN_NAMES.sub("_", name)
    return plain if plain.strip(". ") else f"_{plain}"


def _header(name: bytes, crc32: int, size: int) -> bytes:
    fixed = _HEADER.pack(
        b"PK\3\4",
        _VERSION,
        _UTF8_NAMES,
        0,
        _TIME,
        _DATE,
        crc32,
        _TOO_LARGE,
        _TOO_LARGE,
        len(name),
        _HEADER_EXTRA.size,
    )
    return fixed + name + _HEADER_EXTRA.pack(1, _HEADER_EXTRA.size - 4, size, size)


def _entry(name: bytes, crc32: int, size: int, at: int) -> bytes:
    extra = b""
    in_extra = size >= _TOO_LARGE or at >= _TOO_LARGE
    if in_extra:
        extra = _ENTRY_EXTRA.pack(1, _ENTRY_EXTRA.size - 4, size, size, at)
    shown_size, shown_at = (_TOO_LARGE, _TOO_LARGE) if in_extra else (size, at)
    fixed = _ENTRY.pack(
        b"PK\1\2",
        _MADE_BY,
        _VERSION,
        _UTF8_NAMES,
        0,
        _TIME,
        _DATE,
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


def _end(count: int, start: int, size: int) -> bytes:
    """End of the directory, which lies at `start`."""
    shown = min(count, _TOO_MANY), min(count, _TOO_MANY), min(size, _TOO_LARGE), min(start, _TOO_LARGE)
    end = _END.pack(b"PK\5\6", 0, 0, *shown, 0)
    if count < _TOO_MANY and start < _TOO_LARGE and size < _TOO_LARGE:
        return end
    end_64 = _END_64.pack(b"PK\6\6", _END_64.size - 12, _MADE_BY, _VERSION, 0, 0, count, count, size, start)
    return end_64 + _END_64_AT.pack(b"PK\6\7", 0, start + size, 1) + end
