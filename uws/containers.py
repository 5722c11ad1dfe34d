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

from uws.job import Stored
from uws.jobtype import File
from uws.zips import end_of_directory, entry, header

BUFFER_BYTES = 1 << 20
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
            self._append(header(name, 0, 0))
            offset = self._end
            for chunk in file.chunks:
                crc32 = zlib.crc32(chunk, crc32)
                size += len(chunk)
                digest.update(chunk)
                self._append(chunk)
            self._overwrite(start, header(name, crc32, size))
        except BaseException:
            self._rewind(start, count)
            raise
        self._entries.append(entry(name, crc32, size, start))
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
        for written in self._entries:
            self._append(written)
        self._append(end_of_directory(len(self._entries), start, self._end - start))
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
