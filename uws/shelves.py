"""Where results are kept: a folder of this machine, or a bucket of an object store.

Both know objects by a name, ``<job_id>/<rest>``, that `uws.results` has made or checked.
"""

from __future__ import annotations

import errno
import io
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from fsspec.asyn import sync
from fsspec.core import url_to_fs

#: What is read or copied at once.
CHUNK_BYTES = 1 << 20
#: Larger objects are stored in parts, some of them at a time.
PART_BYTES = 16 << 20
PARTS_AT_ONCE = 4
#: So many small objects are stored at a time.
OBJECTS_AT_ONCE = 64
#: Files that are open at a time, for one client.
FILES_OPEN = 64
CHECK_S = 3.0
#: Name of the folder of files on their way; no job has it.
INCOMING = ".incoming"

JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class StorageError(OSError):
    """Results cannot be stored or read now; the sentence names no path."""

    @classmethod
    def of(cls, fault: Exception) -> StorageError:
        """Say what `fault` means."""
        if getattr(fault, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            return cls("there is no room left for results")
        return cls("the results store does not answer as it should")


class Window(io.FileIO):
    """Bytes `start` to `stop` of a file, open for reading: it goes on when the file is removed.

    A server may send it by ``sendfile``: the position of its descriptor is `start`.

    Raises
    ------
    StorageError
        If the file is not that long.
    """

    def __init__(self, path: Path, start: int, stop: int) -> None:
        super().__init__(path, "rb", opener=_not_by_link)
        self._stop = stop
        if os.fstat(self.fileno()).st_size < stop:
            self.close()
            raise _too_short()
        self.seek(start)

    def read(self, size: int | None = -1, /) -> bytes:
        """Read up to `size` bytes, and none after `stop`."""
        left = max(self._stop - self.tell(), 0)
        return super().read(left if size is None or size < 0 else min(size, left)) or b""


class Folder:
    """Objects are files in a folder, which only its owner may look into."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def place(self, name: str) -> Path:
        """Path at which an object is to be written; its folder is there."""
        path = self.path(name)
        with said_plainly():
            if not path.parent.is_dir():
                self._make_root()
                path.parent.mkdir(mode=0o700, exist_ok=True)
                _sync(self.root)
        return path

    def path(self, name: str) -> Path:
        """Path of an object."""
        return self.root / name

    def keep(self, path: Path, name: str) -> None:
        """Have the file at `path`, which is on the disk already, under its name after a loss of power."""
        with said_plainly():
            if path != self.path(name):
                os.replace(path, self.path(name))
            _sync(self.path(name).parent)

    def open(self, name: str, start: int, stop: int) -> Window:
        """Open a part of an object; FileNotFoundError if there is none of that name."""
        with said_plainly(FileNotFoundError):
            try:
                return Window(self.path(name), start, stop)
            except FileNotFoundError:
                if not self.root.is_dir():  # it is not the object that is gone
                    raise StorageError("the folder of results is missing") from None
                raise

    def read(self, name: str, start: int, stop: int) -> Iterator[bytes]:
        """Read a part of an object, piece by piece."""
        with self.open(name, start, stop) as window:
            while chunk := window.read(CHUNK_BYTES):
                yield chunk

    def jobs(self) -> Iterator[str]:
        """Jobs that have a folder."""
        with said_plainly():
            for entry in _entries(self.root):
                if JOB_ID.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                    yield entry.name

    def objects(self, job_id: str) -> Iterator[tuple[str, float]]:
        """Objects of a job, with their ages in seconds."""
        with said_plainly():
            for entry in _entries(self.root / job_id):
                with suppress(FileNotFoundError):
                    changed = entry.stat(follow_symlinks=False).st_mtime
                    yield f"{job_id}/{entry.name}", _age_s(changed)

    def remove(self, name: str) -> None:
        """Remove an object, or a folder of that name, if it is there."""
        with said_plainly(), suppress(FileNotFoundError):
            _remove(self.path(name))

    def remove_job(self, job_id: str) -> None:
        """Remove all objects of a job."""
        with said_plainly(), suppress(FileNotFoundError):
            shutil.rmtree(self.root / job_id)

    def incoming(self) -> Path:
        """Folder of files on their way here; nothing stays in it."""
        path = self.root / INCOMING
        with said_plainly():
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    def sweep_incoming(self, older_s: float) -> None:
        """Remove what was left on its way by a process that was lost so long ago."""
        with said_plainly():
            for entry in _entries(self.root / INCOMING):
                with suppress(FileNotFoundError):
                    if _age_s(entry.stat(follow_symlinks=False).st_mtime) > older_s:
                        _remove(Path(entry.path))

    def free_bytes(self) -> int:
        """Room that is left."""
        with said_plainly():
            self._make_root()
            return shutil.disk_usage(self.root).free

    def check(self) -> str | None:
        """Try to write and to read; say what fails, in a sentence without a path."""
        probe = self.root / f".check-{secrets.token_hex(8)}"
        try:
            self._make_root()
            try:
                probe.write_bytes(b"results")
                is_well = probe.read_bytes() == b"results"
            finally:
                probe.unlink(missing_ok=True)
        except OSError:
            is_well = False
        return None if is_well else "results cannot be stored"

    def _make_root(self) -> None:
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)


class OpenFiles:
    """Files open for reading, the latest few of them: each is opened once for many small readings.

    Parameters
    ----------
    path_of
        Gives the path of a file of some name.
    """

    def __init__(self, path_of: Callable[[str], Path]) -> None:
        self._path_of = path_of
        self._open: dict[str, int] = {}

    def read(self, name: str, start: int, stop: int) -> bytes:
        """Read bytes `start` to before `stop`; FileNotFoundError if there is no such file."""
        with said_plainly(FileNotFoundError):
            descriptor = self._descriptor(name)
            content = os.pread(descriptor, stop - start, start)
            while len(content) < stop - start:
                if not (more := os.pread(descriptor, stop - start - len(content), start + len(content))):
                    raise _too_short()
                content += more
            return content

    def close(self) -> None:
        """Close all."""
        while self._open:
            os.close(self._open.popitem()[1])

    def _descriptor(self, name: str) -> int:
        if (descriptor := self._open.get(name)) is None:
            if len(self._open) >= FILES_OPEN:
                os.close(self._open.pop(next(iter(self._open))))
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = self._open[name] = os.open(self._path_of(name), flags)
        return descriptor


class Bucket:
    """Objects are those of S3 under a prefix; `options` are those of the file system of fsspec."""

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        self._url = url.rstrip("/")
        self._options = options

    def keep(self, path: Path, name: str) -> None:
        """Store a file under a name."""
        with said_plainly():
            self._files.put_file(
                str(path), self._key(name), chunksize=PART_BYTES, max_concurrency=PARTS_AT_ONCE
            )

    def keep_parts(self, path: Path, parts: Sequence[tuple[str, int, int]]) -> None:
        """Store parts of a file under names of their own: name, offset and size of each."""
        with said_plainly(), path.open("rb") as file:
            some: dict[str, bytes] = {}
            for name, offset, size in parts:
                file.seek(offset)
                if size > PART_BYTES:
                    self._keep_large(file, self._key(name), size)
                    continue
                some[self._key(name)] = _exactly(file, size)
                if len(some) == OBJECTS_AT_ONCE or sum(map(len, some.values())) > PART_BYTES:
                    self._files.pipe(some)
                    some = {}
            if some:
                self._files.pipe(some)

    def read(self, name: str, start: int, stop: int) -> Iterator[bytes]:
        """Read a part of an object, piece by piece; FileNotFoundError if there is none of that name."""
        for at in range(start, stop, CHUNK_BYTES):
            end = min(at + CHUNK_BYTES, stop)
            with said_plainly(FileNotFoundError):
                chunk: bytes = self._files.cat_file(self._key(name), start=at, end=end)
                if len(chunk) != end - at:
                    raise _too_short()
            yield chunk

    def fetch(self, ranges: Sequence[tuple[str, int, int]]) -> list[bytes]:
        """Read parts of objects, several at a time; FileNotFoundError if there is none of a name."""
        keys = [self._key(name) for name, _, _ in ranges]
        starts, stops = [start for _, start, _ in ranges], [stop for _, _, stop in ranges]
        with said_plainly(FileNotFoundError):
            found: list[bytes] = self._files.cat_ranges(keys, starts, stops, max_gap=None, on_error="raise")
            if [len(content) for content in found] != [stop - start for _, start, stop in ranges]:
                raise _too_short()
        return found

    def sign(self, name: str, seconds: int, **headers: str) -> str:
        """URL by which a client gets an object by itself, for some time, with these headers."""
        with said_plainly():
            return str(self._files.sign(self._key(name), expiration=seconds, **headers))

    def jobs(self) -> Iterator[str]:
        """Jobs that have objects."""
        with said_plainly():
            try:
                listed = self._files.ls(self._root, detail=False)
            except FileNotFoundError:
                return
        for key in listed:
            if JOB_ID.fullmatch(job_id := key.rpartition("/")[2]):
                yield job_id

    def objects(self, job_id: str) -> Iterator[tuple[str, float]]:
        """Objects of a job, with their ages in seconds."""
        with said_plainly():
            found = self._files.find(self._key(job_id), detail=True)
        for key, told in found.items():
            yield key[len(self._root) + 1 :], _age_s(told["LastModified"].timestamp())

    def remove(self, name: str) -> None:
        """Remove an object, and those whose names begin with its own and a slash."""
        with said_plainly(), suppress(FileNotFoundError):
            if found := self._files.find(self._key(name)):
                self._files.rm(found)

    def remove_job(self, job_id: str) -> None:
        """Remove all objects of a job."""
        self.remove(job_id)

    def check(self) -> str | None:
        """Try to write and to read, for some seconds; say what fails, in a sentence without an address."""
        probe = self._key(f".check-{secrets.token_hex(8)}")
        try:
            # The waiting of these calls has no limit of its own.
            self._soon(self._files._pipe_file, probe, b"results")
            try:
                is_well = self._soon(self._files._cat_file, probe) == b"results"
            finally:
                self._soon(self._files._rm_file, probe)
        except Exception:  # whatever the network and the file system raise means the same
            is_well = False
        return None if is_well else "results cannot be stored"

    def _soon(self, call: Callable[..., Any], *arguments: object) -> Any:
        return sync(self._files.loop, call, *arguments, timeout=CHECK_S)

    @cached_property
    def _found(self) -> tuple[Any, str]:
        # What another process stores is to be seen, so no listing is remembered.
        return url_to_fs(self._url, **{"use_listings_cache": False, **self._options})  # type: ignore[no-any-return]

    @property
    def _files(self) -> Any:
        return self._found[0]

    @property
    def _root(self) -> str:
        return self._found[1]

    def _key(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _keep_large(self, file: io.BufferedReader, key: str, size: int) -> None:
        with self._files.open(key, "wb", block_size=PART_BYTES) as target:
            for start in range(0, size, CHUNK_BYTES):
                target.write(_exactly(file, min(CHUNK_BYTES, size - start)))


@contextmanager
def said_plainly(passed_on: type[Exception] = StorageError) -> Iterator[None]:
    """Raise a StorageError for whatever is raised, but for what is `passed_on`."""
    try:
        yield
    except (StorageError, passed_on):
        raise
    except Exception as fault:  # what file systems of objects raise has no common name
        raise StorageError.of(fault) from fault


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except FileNotFoundError:
        return


def _exactly(file: io.BufferedReader, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise _too_short()
    return data


def _too_short() -> StorageError:
    return StorageError("a stored file is shorter than it should be")


def _age_s(changed_s: float) -> float:
    return max(0.0, time.time() - changed_s)


def _not_by_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
