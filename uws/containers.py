"""Containers: the files of one task in one zip, stored and not compressed, so that each is a range of bytes.

One file is made and synced where a task gives a hundred: that is what a file system is slow at.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from isal import isal_zlib

from uws.job import Stored
from uws.jobtype import File
from uws.zips import end_of_directory, entry, header

BUFFER_BYTES = 1 << 20
#: So many pieces are written at a time; systems take 1,024.
_MOST_PIECES = 512
#: So much is written before the disk is asked to begin.
_SENT_BYTES = 8 << 20
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
        self._sent = 0
        self._pieces: list[bytes] = []
        self._waiting = 0
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
                crc32 = isal_zlib.crc32(chunk, crc32)
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
        return self._written + self._waiting

    def _append(self, data: bytes) -> None:
        if not data:
            return
        # What is written is handed to the system as it is, several pieces at a time: copies cost as much.
        self._pieces.append(data)
        self._waiting += len(data)
        if self._waiting >= BUFFER_BYTES or len(self._pieces) == _MOST_PIECES:
            self._flush()

    def _overwrite(self, at: int, data: bytes) -> None:
        """Replace what was appended in one piece."""
        if at < self._written:
            _write(self._file.fileno(), [data], at)
            return
        start = self._written
        for number, piece in enumerate(self._pieces):
            if start == at:
                self._pieces[number] = data
                return
            start += len(piece)

    def _rewind(self, end: int, entries: int) -> None:
        """Forget what was appended after `end`; on the disk it is overwritten, or cut off at the seal."""
        while self._pieces and self._end > end:
            self._waiting -= len(self._pieces.pop())
        del self._entries[entries:]
        self._written = min(end, self._written)

    def _flush(self) -> None:
        _write(self._file.fileno(), self._pieces, self._written)
        self._written += self._waiting
        self._pieces, self._waiting = [], 0
        if self._written - self._sent >= _SENT_BYTES:
            # The disk begins while the next files are made, instead of all at once when this is sealed.
            os.posix_fadvise(
                self._file.fileno(), self._sent, self._written - self._sent, os.POSIX_FADV_DONTNEED
            )
            self._sent = self._written


def _write(file: int, pieces: Sequence[bytes], at: int) -> None:
    """Write pieces one behind the other."""
    left: Sequence[bytes | memoryview] = pieces
    while left:
        done = os.pwritev(file, left, at)
        at += done
        left = _behind(left, done)


def _behind(pieces: Sequence[bytes | memoryview], count: int) -> Sequence[bytes | memoryview]:
    """Pieces without their first `count` bytes."""
    for number, piece in enumerate(pieces):
        if count < len(piece):
            return [memoryview(piece)[count:], *pieces[number + 1 :]]
        count -= len(piece)
    return ()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _plain(name: str) -> str:
    """Make a name one segment of a path, on every system."""
    plain = _NOT_IN_NAMES.sub("_", name)
    return plain if plain.strip(". ") else f"_{plain}"
