"""What a lake gives: files by their path below its root, and their bytes, range by range."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from surveys.template import PathTemplate

#: Bytes that are read at once of a file that is far away.
_AHEAD = 256 << 10


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of a lake.

    Parameters
    ----------
    path
        Below the root, parts joined by ``/``.
    size
        Bytes.
    version
        What tells it from another of its name and size: the time of its last change in nanoseconds, or what
        its store calls it by.
    """

    path: str
    size: int
    version: str

    @property
    def name(self) -> str:
        """Its bare name."""
        return self.path.rpartition("/")[2]


class LakeReader(Protocol):
    """A file of a lake, open, of a known identity."""

    @property
    def name(self) -> str:
        """Bare name of the file."""

    @property
    def size(self) -> int:
        """Bytes of the file."""

    @property
    def is_remote(self) -> bool:
        """Whether to read little now and then takes longer than to read much at once."""

    @property
    def is_mapped(self) -> bool:
        """Whether a `view` of much costs no more than what is looked at of it."""

    def read(self, offset: int, size: int) -> bytes:
        """Read exactly so many bytes.

        Raises
        ------
        StaleImage
            If the file is no longer the one that was opened.
        BrokenImage
            If it has not so many, or cannot be read.
        """

    def view(self, offset: int, size: int) -> memoryview:
        """Look at so many bytes, of which few are needed; raises what `read` raises."""


class Window:
    """A reader that reads ahead, for small reads near each other of a file that is far away."""

    is_remote = True
    is_mapped = False

    def __init__(self, reader: LakeReader) -> None:
        self._reader = reader
        self._at = 0
        self._held = b""
        self.name = reader.name
        self.size = reader.size

    def read(self, offset: int, size: int) -> bytes:
        """Read exactly so many bytes."""
        if not self._at <= offset <= offset + size <= self._at + len(self._held):
            if offset < 0 or offset + size > self.size or size >= _AHEAD:
                return self._reader.read(offset, size)
            self._held = self._reader.read(offset, min(_AHEAD, self.size - offset))
            self._at = offset
        return self._held[offset - self._at : offset - self._at + size]

    def view(self, offset: int, size: int) -> memoryview:
        """Look at so many bytes."""
        return memoryview(self.read(offset, size))


def read_ahead(reader: LakeReader) -> LakeReader:
    """Have a file that is far away read ahead."""
    return Window(reader) if reader.is_remote and not isinstance(reader, Window) else reader


class LakeWalk(ABC):
    """One walk through a lake: iterating gives its files in the order of names, folder by folder.

    What begins with ``_`` or ``.`` is left out, as by everything that writes and reads lakes: files on their
    way, and marks that all of them are there.

    Attributes
    ----------
    unreadable
        Folders (below the root, ending in ``/``) that could not be listed: what they hold is not known.
    hidden
        Files and folders (below the root) that are left out, each with the reason.
    """

    def __init__(self, template: PathTemplate) -> None:
        self._template = template
        self.unreadable: list[str] = []
        self.hidden: list[tuple[str, str]] = []

    def __iter__(self) -> Iterator[StoredFile]:
        self.unreadable.clear()
        self.hidden.clear()
        return self._files()

    @abstractmethod
    def _files(self) -> Iterator[StoredFile]: ...


class LakeStore(Protocol):
    """Where the files of a lake are: a folder, or a file system that is reached by a URL."""

    def walk(self, template: PathTemplate) -> LakeWalk:
        """Walk through the files that the template matches; SurveyError where there is no such lake."""

    def find(self, path: str) -> StoredFile:
        """Find a file of this path; ImageRefused if it is not there or not to be opened."""

    def open(self, path: str, size: int, version: str) -> LakeReader:
        """Open a file; StaleImage if it is another by now, BrokenImage if it cannot be opened."""


def is_set_aside(name: str) -> bool:
    """Whether a file or folder of this name is none of the lake's data."""
    return name.startswith(("_", "."))
