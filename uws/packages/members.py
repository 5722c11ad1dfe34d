"""The members of an archive, as arrays: a hundred thousand of them take a few megabytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

#: Where bytes come from: the path of a file of the package itself, or a container of the results store.
Source: TypeAlias = str

_ARRAYS = ("name_ends", "sources", "offsets", "sizes", "crc32s")


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes `start` to `stop` of a source."""

    source: Source
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Member:
    """A file of an archive: where it lies, and what its name is, in ASCII."""

    name: bytes
    source: Source
    offset: int
    size: int
    crc32: int


@dataclass(frozen=True, slots=True)
class Members:
    """All files of an archive, in their order.

    Parameters
    ----------
    names, name_ends
        Names one after another, and where each ends.
    places
        What `sources` counts.
    sources, offsets, sizes, crc32s
        Of each file.
    """

    names: bytes
    name_ends: NDArray[np.int64]
    places: Sequence[Source]
    sources: NDArray[np.int32]
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]
    crc32s: NDArray[np.uint32]

    @classmethod
    def of(cls, members: Sequence[Member]) -> Members:
        """Gather members."""
        numbers: dict[Source, int] = {}
        return cls(
            b"".join(member.name for member in members),
            np.cumsum([len(member.name) for member in members], dtype=np.int64),
            _keys(numbers, members),
            np.array([numbers[member.source] for member in members], np.int32),
            np.array([member.offset for member in members], np.int64),
            np.array([member.size for member in members], np.int64),
            np.array([member.crc32 for member in members], np.uint32),
        )

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def name_lengths(self) -> NDArray[np.int64]:
        """Bytes of each name."""
        return np.diff(self.name_ends, prepend=np.int64(0))

    def some(self, first: int, last: int) -> list[Member]:
        """Give members `first` to before `last`."""
        ends = self.name_ends[first:last].tolist()
        starts = [int(self.name_ends[first - 1]) if first else 0, *ends[:-1]]
        columns = (
            column[first:last].tolist() for column in (self.sources, self.offsets, self.sizes, self.crc32s)
        )
        return [
            Member(self.names[start:end], self.places[source], offset, size, crc32)
            for start, end, source, offset, size, crc32 in zip(starts, ends, *columns, strict=True)
        ]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Give what a file of arrays holds of these; their places are told otherwise."""
        return {
            "names": np.frombuffer(self.names, np.uint8),
            **{name: getattr(self, name) for name in _ARRAYS},
        }

    @classmethod
    def from_arrays(cls, arrays: Any, places: Sequence[Source]) -> Members:
        """Read what `arrays` gave."""
        name_ends, sources, offsets, sizes, crc32s = (arrays[name] for name in _ARRAYS)
        return cls(arrays["names"].tobytes(), name_ends, places, sources, offsets, sizes, crc32s)


def _keys(numbers: dict[Source, int], members: Sequence[Member]) -> list[Source]:
    for member in members:
        numbers.setdefault(member.source, len(numbers))
    return list(numbers)
