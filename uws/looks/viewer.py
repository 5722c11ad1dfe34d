"""What a job type knows of its files: how they look, and what their headers say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from uws.job import Result
from uws.results import Ranges


@dataclass(frozen=True, slots=True)
class StoredFile:
    """The file of a result, read where it is stored.

    Parameters
    ----------
    result
        Whose file it is.
    ranges
        Reads the store.
    """

    result: Result
    ranges: Ranges

    @property
    def size(self) -> int:
        """Bytes of it."""
        return self.result.size

    def fetch(self, wanted: Sequence[tuple[int, int]]) -> list[bytes]:
        """Read some ranges: of each, the first byte and the one after the last."""
        offset, container = self.result.offset, self.result.container
        return self.ranges.fetch([(container, offset + start, offset + stop) for start, stop in wanted])


class Viewer(Protocol):
    """Draws files, and reads their headers."""

    @property
    def stretches(self) -> Sequence[str]:
        """Words for how brightness is shown; the first is the usual one."""

    def thumbnail(self, file: StoredFile, side: int, stretch: str) -> bytes:
        """Draw a file as a PNG whose longer side has `side` pixels at most.

        Raises
        ------
        NotFound
            If there is nothing to be drawn in it.
        """

    def header(self, file: StoredFile) -> Mapping[str, Any]:
        """Tell what the headers of a file say; JSON.

        Raises
        ------
        NotFound
            If it has none.
        """
