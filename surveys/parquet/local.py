"""A lake in a folder of this machine: files held open, and checked at every use."""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from surveys.errors import BrokenImage, ImageRefused, StaleImage, SurveyError
from surveys.lru import Lru
from surveys.parquet.reader import LakeWalk, StoredFile, is_set_aside
from surveys.template import PathTemplate

_FILES_OPEN = 64
_OUTSIDE = "it leads out of the lake"
_NOT_REGULAR = "it is not a regular file"


class LocalReader:
    """A file held open. Closed when the last one who uses it lets go."""

    is_remote = False

    def __init__(self, location: Path, *, is_mapped: bool = False) -> None:
        # Not blocking: what was a file when it was looked at might be a pipe by now.
        self._fd = os.open(location, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        self.name = location.name
        facts = os.fstat(self._fd)
        if not stat.S_ISREG(facts.st_mode):
            raise StaleImage(f"{self.name} was replaced while it was opened.")
        self.identity = _identity(facts)
        self.size = facts.st_size
        self.is_mapped = is_mapped and self.size > 0
        self._map: mmap.mmap | None = None

    def __del__(self) -> None:
        # The descriptor is missing when the file could not be opened at all.
        if hasattr(self, "_fd"):
            os.close(self._fd)

    def read(self, offset: int, size: int) -> bytes:
        """Read exactly so many bytes."""
        if offset < 0 or size < 0 or offset + size > self.size:
            raise BrokenImage(f"{self.name} is shorter than it says.")
        try:
            data = os.pread(self._fd, size, offset)
            while len(data) < size:
                more = os.pread(self._fd, size - len(data), offset + len(data))
                if not more:
                    break
                data += more
            changed = _identity(os.fstat(self._fd)) != self.identity
        except OSError as error:
            raise BrokenImage(f"{self.name} cannot be read: {error.strerror}.") from error
        if changed or len(data) < size:  # written over in place, or cut short
            raise StaleImage(f"{self.name} changed while it was read.")
        return data

    def view(self, offset: int, size: int) -> memoryview:
        """Look at so many bytes."""
        if not self.is_mapped:
            return memoryview(self.read(offset, size))
        if offset < 0 or size < 0 or offset + size > self.size:
            raise BrokenImage(f"{self.name} is shorter than it says.")
        if _identity(os.fstat(self._fd)) != self.identity:
            raise StaleImage(f"{self.name} changed while it was read.")
        if self._map is None:
            self._map = mmap.mmap(self._fd, 0, access=mmap.ACCESS_READ)
        return memoryview(self._map)[offset : offset + size]


class LocalStore:
    """Files in a folder; symbolic links are followed within it, and no further.

    Parameters
    ----------
    root
        The folder.
    is_mapped
        Whether files are mapped, as those of images are by the same setting.
    """

    def __init__(self, root: Path, *, is_mapped: bool = False) -> None:
        self._root = root
        self._is_mapped = is_mapped
        self._real_root = os.path.realpath(root)
        self._open: Lru[str, LocalReader] = Lru(_FILES_OPEN)

    def walk(self, template: PathTemplate) -> LakeWalk:
        """Walk through the files that the template matches."""
        if not self._root.is_dir():
            raise SurveyError(f"the folder of the lake is not there: {self._root.name}")
        return _Walk(self._root, template)

    def find(self, path: str) -> StoredFile:
        """Find a file of this path."""
        try:
            facts = self._resolve(path).stat()
        except OSError as error:
            raise ImageRefused(_reason(error)) from error
        if not stat.S_ISREG(facts.st_mode):
            raise ImageRefused(_NOT_REGULAR)
        return StoredFile(path, facts.st_size, str(facts.st_mtime_ns))

    def open(self, path: str, size: int, version: str) -> LocalReader:
        """Open a file, or give it as it is open already."""
        name = path.rpartition("/")[2]
        place = f"{self._root}/{path}"
        try:
            facts = os.stat(place)
            if facts.st_size != size or str(facts.st_mtime_ns) != version:
                raise StaleImage(f"{name} changed since it was indexed.")
            identity = _identity(facts)
            # Where the path leads is asked when the file is opened, and not while it leads to that very file.
            reader = self._open.get(
                path,
                lambda: LocalReader(self._resolve(path), is_mapped=self._is_mapped),
                lambda reader: reader.identity == identity,
            )
        except ImageRefused as error:
            raise BrokenImage(f"{name} cannot be opened: {error}.") from error
        except OSError as error:
            raise BrokenImage(f"{name} cannot be opened: {error.strerror}.") from error
        if reader.identity != identity:
            raise StaleImage(f"{name} was replaced while it was opened.")
        return reader

    def _resolve(self, path: str) -> Path:
        place = f"{self._root}/{path}"
        try:
            return _within(self._real_root, place)
        except ImageRefused:
            # Where the root itself leads may have changed.
            self._real_root = os.path.realpath(self._root)
            return _within(self._real_root, place)


class _Walk(LakeWalk):
    def __init__(self, root: Path, template: PathTemplate) -> None:
        super().__init__(template)
        self._root = root
        self._real_root = os.path.realpath(root)
        self._seen: set[Path] = set()

    def _files(self) -> Iterator[StoredFile]:
        self._seen.clear()
        return self._folder(())

    def _folder(self, parts: tuple[str, ...]) -> Iterator[StoredFile]:
        folder = self._root.joinpath(*parts)
        try:
            real = _within(self._real_root, folder)
            if real in self._seen:
                return  # a link back into what was walked already
            self._seen.add(real)
            with os.scandir(real) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except ImageRefused as refusal:
            self.hidden.append(("/".join(parts), str(refusal)))
            return
        except OSError:
            self.unreadable.append("/".join((*parts, "")))
            return
        for entry in listed:
            yield from self._entry(parts, entry)

    def _entry(self, parts: tuple[str, ...], entry: os.DirEntry[str]) -> Iterator[StoredFile]:
        below = (*parts, entry.name)
        if is_set_aside(entry.name):
            return
        if not _is_text(entry.name):
            shown = os.fsencode(entry.name).decode("utf-8", "backslashreplace")
            self.hidden.append(("/".join((*parts, shown)), "its name is not UTF-8"))
        elif _is_folder(entry):
            if self._template.may_hold(below):
                yield from self._folder(below)
        elif self._template.match(path := "/".join(below)) is not None:
            try:
                facts = _within(self._real_root, Path(entry.path)).stat()
                if not stat.S_ISREG(facts.st_mode):
                    raise ImageRefused(_NOT_REGULAR)
            except ImageRefused as refusal:
                self.hidden.append((path, str(refusal)))
            except OSError as error:
                self.hidden.append((path, _reason(error)))
            else:
                yield StoredFile(path, facts.st_size, str(facts.st_mtime_ns))


def _within(real_root: str, place: str | Path) -> Path:
    """Where a path really leads; ImageRefused if that is outside of the root."""
    location = os.path.realpath(place)
    if location != real_root and not location.startswith(f"{real_root.rstrip('/')}/"):
        raise ImageRefused(_OUTSIDE)
    return Path(location)


def _identity(facts: os.stat_result) -> tuple[int, int, int, int]:
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "it is no longer there"
    return f"it cannot be read: {os.strerror(error.errno)}" if error.errno else "it cannot be read"
