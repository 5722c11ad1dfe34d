"""Packs: all files of a job as one file of another kind, which a job type knows how to make.

What has to be made of it is written into a folder, the rest are ranges of what is stored: a pack is sent, and
resumed, as archives are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from uws.packages.archives import Archive
from uws.packages.package import Column, Entry
from uws.results import Ranges


class Pack(Protocol):
    """A kind of pack."""

    @property
    def media_type(self) -> str:
        """Of the pack."""

    @property
    def suffix(self) -> str:
        """End of its name, without a dot."""

    def build(
        self,
        folder: Path,
        columns: Sequence[Column],
        entries: Callable[[], Iterator[Entry]],
        ranges: Ranges,
    ) -> str:
        """Write into an empty folder what the pack needs; return a text that differs if a byte of it does.

        Parameters
        ----------
        folder
            Where it is written; it is renamed afterwards.
        columns
            What is to be told of each row.
        entries
            Gives the rows, anew each time.
        ranges
            Reads their files.

        Raises
        ------
        UsageError
            If the files do not fit into such a pack.
        """

    def load(self, folder: Path) -> Archive:
        """Read what `build` wrote.

        Raises
        ------
        FileNotFoundError
            If it is not there, or not any more.
        """


@dataclass(frozen=True, slots=True)
class Packed:
    """A pack that is ready: its bytes, the name to save it under without an end, and its ETag."""

    archive: Archive
    root: str
    etag: str
