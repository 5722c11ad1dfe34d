"""Archives that have come: their files checked against SHA256SUMS, and taken out."""

from __future__ import annotations

import csv
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from config.batch.faults import BatchFault

SUMS = "SHA256SUMS"
MANIFEST = "manifest.csv"
_CHUNK_BYTES = 1 << 20

Progress = Callable[[int, int], object]


class Damaged(BatchFault):
    """What came is not what was sent."""


class _Format(Protocol):
    """What is common to zip and tar."""

    @property
    def names(self) -> list[str]: ...

    def open(self, name: str) -> IO[bytes]: ...


class Packed:
    """The files of an archive, without the folder that all of them are in."""

    def __init__(self, packed: _Format) -> None:
        tops = {name.partition("/")[0] for name in packed.names if "/" in name}
        is_one = (
            len(tops) == 1 and tops.isdisjoint(("", ".", "..")) and all("/" in name for name in packed.names)
        )
        self._top = f"{tops.pop()}/" if is_one else ""
        self._packed = packed

    @property
    def names(self) -> list[str]:
        """Their paths, in the order of the archive."""
        return [name.removeprefix(self._top) for name in self._packed.names]

    def open(self, name: str) -> IO[bytes]:
        """Read one."""
        return self._packed.open(self._top + name)


class _Zip:
    def __init__(self, path: Path) -> None:
        self.file = zipfile.ZipFile(path)
        self.names = [info.filename for info in self.file.infolist() if not info.is_dir()]

    def open(self, name: str) -> IO[bytes]:
        return self.file.open(name)


class _Tar:
    def __init__(self, path: Path) -> None:
        self.file = tarfile.open(path, "r:")  # noqa: SIM115  # closed by `opened`
        try:
            self._members = {member.name: member for member in self.file if member.isreg()}
        except BaseException:
            self.file.close()
            raise

    @property
    def names(self) -> list[str]:
        return list(self._members)

    def open(self, name: str) -> IO[bytes]:
        found = self.file.extractfile(self._members[name])
        if found is None:
            raise Damaged(f"{name} is no file")
        return found


@contextmanager
def opened(path: Path) -> Iterator[Packed]:
    """Open a zip or a tar.

    Raises
    ------
    Damaged
        If it cannot be read.
    """
    try:
        packed: _Zip | _Tar = _Zip(path) if zipfile.is_zipfile(path) else _Tar(path)
        with packed.file:
            yield Packed(packed)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, KeyError) as error:
        raise Damaged(f"{path.name} came damaged ({error})") from error


def check(packed: Packed, progress: Progress, into: Path | None = None) -> int:
    """Compare every file with its checksum, and write it below a folder if one is given.

    Returns
    -------
    int
        How many files have a checksum, which is right.

    Raises
    ------
    Damaged
        If one is not, or one is missing.
    """
    names = packed.names
    wanted = _sums(packed, names)
    for index, name in enumerate(names):
        progress(index, len(names))
        target = None if into is None else into / safe_path(name)
        digest = _copy(packed, name, target)
        if wanted.get(name, digest) != digest:
            if target is not None:
                target.unlink()
            raise Damaged(f"{name} is not what {SUMS} says: it came damaged")
    if missing := wanted.keys() - set(names):
        raise Damaged(f"{min(missing)} is in {SUMS} and not in the archive")
    progress(len(names), len(names))
    return len(wanted)


def manifest_of(packed: Packed) -> Iterator[dict[str, str]]:
    """Give the rows of the manifest."""
    if MANIFEST in packed.names:
        with packed.open(MANIFEST) as content:
            yield from csv.DictReader(io.TextIOWrapper(content, "utf-8", newline=""))


def _sums(packed: Packed, names: list[str]) -> dict[str, str]:
    if SUMS not in names:
        return {}
    with packed.open(SUMS) as content:
        lines = content.read().decode("utf-8", "replace").splitlines()
    found = (line.partition(" ") for line in lines if line.strip())
    return {name.lstrip(" *").removeprefix("./"): digest.lower() for digest, _, name in found}


def _copy(packed: Packed, name: str, target: Path | None) -> str:
    digest = hashlib.sha256()
    with packed.open(name) as content:
        if target is None:
            while chunk := content.read(_CHUNK_BYTES):
                digest.update(chunk)
            return digest.hexdigest()
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            while chunk := content.read(_CHUNK_BYTES):
                digest.update(chunk)
                file.write(chunk)
    return digest.hexdigest()


def safe_path(name: str) -> PurePosixPath:
    """Path that stays where it is put."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
        raise Damaged(f"the archive has a file {name!r}, which would lie elsewhere")
    return path
