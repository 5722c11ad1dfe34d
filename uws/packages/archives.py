"""Archives as they will be: every byte of a zip or a tar has its place before the first is sent.

An archive is nowhere on the disk. It is told piece by piece, from any byte to any other: what stands around
its members is made as it is wanted, the members are ranges of what is stored.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from uws import zips
from uws.packages.members import Member, Members, Piece

#: What an archive consists of: bytes, and bytes that lie elsewhere.
Segment: TypeAlias = bytes | Piece

_AT_ONCE = 1000
_BLOCK = 512
#: Numbers and names that a plain header of a tar has room for.
_MOST_TAR_BYTES = 1 << 33
_MOST_TAR_NAME = 100
_TAR_END = bytes(2 * _BLOCK)
#: The end of a zip with zip64, which a part may need.
_ZIP_END_BYTES = 98


class Archive(Protocol):
    """An archive of known size."""

    @property
    def size(self) -> int:
        """Bytes of all."""

    def segments(self, start: int, stop: int) -> Iterator[Segment]:
        """Give the bytes from `start` to before `stop`."""


class ZipArchive:
    """A zip of some members.

    Parameters
    ----------
    members
        Of this archive, and of others if it is divided.
    first, last
        Which of them: `first` to before `last`.
    moment
        When all of them were made.
    """

    def __init__(self, members: Members, first: int, last: int, moment: datetime) -> None:
        self._members, self._first, self._last = members, first, last
        self._moment = zips.dos_moment(moment)
        self._lengths = members.name_lengths[first:last]
        taken = zips.HEADER_BYTES + self._lengths + members.sizes[first:last]
        self._starts = np.concatenate([[0], np.cumsum(taken)]).astype(np.int64)
        self._directory = int(self._starts[-1])
        self._entries = np.concatenate([[0], np.cumsum(self._entry_bytes())]).astype(np.int64)
        self._end = zips.end_of_directory(last - first, self._directory, int(self._entries[-1]))
        self.size = self._directory + int(self._entries[-1]) + len(self._end)

    def segments(self, start: int, stop: int) -> Iterator[Segment]:
        """Give the bytes from `start` to before `stop`."""
        if start < self._directory:
            yield from clipped(self._files(_index(self._starts, start)), start, stop)
        at = self._directory + int(self._entries[-1])
        if stop > self._directory and start < at:
            found = _index(self._entries, max(start - self._directory, 0))
            yield from clipped(self._listed(found), start, stop)
        if stop > at:
            yield from clipped(iter([(at, self._end)]), start, stop)

    def _entry_bytes(self) -> NDArray[np.int64]:
        sizes = self._members.sizes[self._first : self._last]
        is_large = (sizes >= zips.TOO_LARGE) | (self._starts[:-1] >= zips.TOO_LARGE)
        return zips.ENTRY_BYTES + self._lengths + zips.LARGE_ENTRY_BYTES * is_large

    def _files(self, index: int) -> Iterator[tuple[int, Segment]]:
        at = int(self._starts[index])
        for member in _each(self._members, self._first + index, self._last):
            head = zips.header(member.name, member.crc32, member.size, self._moment)
            yield at, head
            yield at + len(head), _piece(member)
            at += len(head) + member.size

    def _listed(self, index: int) -> Iterator[tuple[int, Segment]]:
        at = self._directory + int(self._entries[index])
        members = _each(self._members, self._first + index, self._last)
        for start, member in zip(_numbers(self._starts[index:-1]), members, strict=True):
            entry = zips.entry(member.name, member.crc32, member.size, start, self._moment)
            yield at, entry
            at += len(entry)


class TarArchive:
    """A tar of some members; the parameters are those of a zip.

    Notes
    -----
    POSIX.1-2001: names and sizes that the plain header has no room for stand in one before it.
    """

    def __init__(self, members: Members, first: int, last: int, moment: datetime) -> None:
        self._members, self._first, self._last = members, first, last
        self._changed = int(moment.timestamp())
        taken = _tar_bytes(members, self._changed)[first:last]
        self._starts = np.concatenate([[0], np.cumsum(taken)]).astype(np.int64)
        self.size = int(self._starts[-1]) + len(_TAR_END)

    def segments(self, start: int, stop: int) -> Iterator[Segment]:
        """Give the bytes from `start` to before `stop`."""
        end = int(self._starts[-1])
        if start < end:
            yield from clipped(self._files(_index(self._starts, start)), start, stop)
        if stop > end:
            yield from clipped(iter([(end, _TAR_END)]), start, stop)

    def _files(self, index: int) -> Iterator[tuple[int, Segment]]:
        at = int(self._starts[index])
        for member in _each(self._members, self._first + index, self._last):
            head = _tar_header(member.name, member.size, self._changed)
            yield at, head
            yield at + len(head), _piece(member)
            at += len(head) + member.size
            if rest := -member.size % _BLOCK:
                yield at, bytes(rest)
                at += rest


def make_archive(form: str, members: Members, first: int, last: int, moment: datetime) -> Archive:
    """Make an archive of one of the formats there are."""
    kind = TarArchive if form == "tar" else ZipArchive
    return kind(members, first, last, moment)


def divide(form: str, members: Members, together: int, part_bytes: int) -> list[tuple[int, int]]:
    """Divide members among archives of at most `part_bytes` each: first, and the one after the last, of each.

    The first `together` are in the first part, whatever their size, and a member that is larger than a part
    has one of its own.
    """
    if form == "tar":
        taken, end = _tar_bytes(members, 0), len(_TAR_END)
    else:
        around = zips.HEADER_BYTES + zips.ENTRY_BYTES + zips.LARGE_ENTRY_BYTES
        taken, end = members.sizes + 2 * members.name_lengths + around, _ZIP_END_BYTES
    starts = np.concatenate([[0], np.cumsum(taken)])
    parts: list[tuple[int, int]] = []
    first, least = 0, max(together, 1)
    while first < len(members):
        fitting = int(np.searchsorted(starts, starts[first] + part_bytes - end, side="right")) - 1
        last = min(max(fitting, first + least), len(members))
        parts.append((first, last))
        first, least = last, 1
    return parts


def _index(starts: NDArray[np.int64], position: int) -> int:
    return max(int(np.searchsorted(starts, position, side="right")) - 1, 0)


def _each(members: Members, first: int, last: int) -> Iterator[Member]:
    for start in range(first, last, _AT_ONCE):
        yield from members.some(start, min(start + _AT_ONCE, last))


def _numbers(values: NDArray[np.int64]) -> Iterator[int]:
    for start in range(0, len(values), _AT_ONCE):
        yield from values[start : start + _AT_ONCE].tolist()


def _piece(member: Member) -> Piece:
    return Piece(member.source, member.offset, member.offset + member.size)


def clipped(segments: Iterator[tuple[int, Segment]], start: int, stop: int) -> Iterator[Segment]:
    """Give as much of segments, each with its place, as lies between `start` and `stop`."""
    for at, segment in segments:
        if at >= stop:
            return
        length = len(segment) if isinstance(segment, bytes) else segment.stop - segment.start
        before, after = max(start - at, 0), min(stop - at, length)
        if before >= after:
            continue
        if after - before == length:
            yield segment
        elif isinstance(segment, bytes):
            yield segment[before:after]
        else:
            yield Piece(segment.source, segment.start + before, segment.start + after)


def _tar_bytes(members: Members, changed: int) -> NDArray[np.int64]:
    """Bytes of each member with its header, filled up to whole blocks."""
    heads = np.full(len(members), _BLOCK, np.int64)
    for index in np.flatnonzero((members.name_lengths > _MOST_TAR_NAME) | (members.sizes >= _MOST_TAR_BYTES)):
        member = members.some(int(index), int(index) + 1)[0]
        heads[index] = len(_tar_header(member.name, member.size, changed))
    return heads + (members.sizes + (_BLOCK - 1)) // _BLOCK * _BLOCK


def _tar_header(name: bytes, size: int, changed: int) -> bytes:
    if len(name) > _MOST_TAR_NAME or size >= _MOST_TAR_BYTES:
        info = tarfile.TarInfo(name.decode())
        info.size, info.mtime, info.mode = size, changed, 0o644
        return info.tobuf(tarfile.PAX_FORMAT)
    fixed = b"%s0000644\x000000000\x000000000\x00%011o\x00%011o\x00" % (name.ljust(100, b"\0"), size, changed)
    rest = b"0%sustar\x0000%s" % (bytes(100), bytes(247))
    total = sum(fixed) + sum(rest) + 8 * 32
    return b"%s%06o\x00 %s" % (fixed, total, rest)


def moment_of(moment_ms: int) -> datetime:
    """Moment to write into archives, in UTC, in whole pairs of seconds: a zip knows no others."""
    return datetime.fromtimestamp(moment_ms // 2000 * 2, UTC)
