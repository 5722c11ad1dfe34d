"""A lake that is reached by a URL: whatever fsspec knows, read range by range."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from surveys.errors import BrokenImage, ImageRefused, StaleImage, SurveyError
from surveys.lru import Lru
from surveys.parquet.reader import LakeReader, LakeWalk, StoredFile, is_set_aside
from surveys.template import PathTemplate

_FILES_KNOWN = 1024
#: What tells one version of an object from another, as the file systems call it; the first there is counts.
_VERSIONS = (
    "ETag",
    "etag",
    "md5Hash",
    "mtime",
    "modificationTime",
    "LastModified",
    "last_modified",
    "updated",
)
_PACKAGES = {
    "s3": "s3fs: pip install 'sodafountain[s3]'",
    "hdfs": "pyarrow (pip install 'sodafountain[parquet]') and Hadoop's libhdfs, found by HADOOP_HOME",
}


class RemoteReader:
    """A file of a remote lake."""

    is_remote = True
    is_mapped = False

    def __init__(self, store: RemoteStore, path: str, size: int, version: str) -> None:
        self._store = store
        self._path = path
        self._version = version
        self.name = path.rpartition("/")[2]
        self.size = size

    def read(self, offset: int, size: int) -> bytes:
        """Read exactly so many bytes."""
        if offset < 0 or size < 0 or offset + size > self.size:
            raise BrokenImage(f"{self.name} is shorter than it says.")
        return self._store.fetch(self._path, self.size, self._version, offset, size) if size else b""

    def view(self, offset: int, size: int) -> memoryview:
        """Look at so many bytes."""
        return memoryview(self.read(offset, size))


class RemoteStore:
    """Files under a URL.

    Parameters
    ----------
    root
        The URL.
    options
        Of its file system, as fsspec has them.
    """

    def __init__(self, root: str, options: Mapping[str, Any]) -> None:
        self._url = root
        self._options = options
        self._reached: tuple[int, Any, str] | None = None
        self._known: Lru[tuple[str, int, str], RemoteReader] = Lru(_FILES_KNOWN)

    def walk(self, template: PathTemplate) -> LakeWalk:
        """Walk through the files that the template matches."""
        return _Walk(*self._found, template)

    def find(self, path: str) -> StoredFile:
        """Find a file of this path."""
        files, root = self._found
        try:
            told = files.info(f"{root}/{path}")
        except FileNotFoundError as error:
            raise ImageRefused("it is no longer there") from error
        except Exception as error:  # what file systems raise has no common name
            raise ImageRefused("it cannot be read: its store does not answer as it should") from error
        if told.get("type") != "file":
            raise ImageRefused("it is not a regular file")
        return StoredFile(path, int(told["size"]), _version(told))

    def open(self, path: str, size: int, version: str) -> LakeReader:
        """Give a reader of a file; what is asked of it is checked as it is read."""
        return self._known.get((path, size, version), lambda: RemoteReader(self, path, size, version))

    def fetch(self, path: str, file_size: int, version: str, offset: int, size: int) -> bytes:
        """Read a range of a file that must still be of this size and version."""
        name = path.rpartition("/")[2]
        files, root = self._found
        is_s3 = hasattr(files, "_call_s3")
        try:
            if is_s3:  # which says itself whether it is that version
                return _range_of_version(files, f"{root}/{path}", version, offset, size)
            self._check(path, file_size, version)
            data = _range(files, f"{root}/{path}", offset, size)
        except SurveyError:
            raise
        except Exception as error:  # what file systems raise has no common name
            if is_s3:
                self._check(path, file_size, version)
            raise BrokenImage(f"{name} cannot be read: its store does not answer as it should.") from error
        if len(data) != size:
            raise StaleImage(f"{name} changed while it was read.")
        return data

    def _check(self, path: str, size: int, version: str) -> None:
        name = path.rpartition("/")[2]
        try:
            found = self.find(path)
        except ImageRefused as error:
            raise BrokenImage(f"{name} cannot be read: {error}.") from error
        if (found.size, found.version) != (size, version):
            raise StaleImage(f"{name} changed since it was indexed.")

    @property
    def _found(self) -> tuple[Any, str]:
        """The file system, and the root in it."""
        # What speaks to a store does not outlive a fork.
        if self._reached is None or self._reached[0] != os.getpid():
            self._reached = (os.getpid(), *self._reach())
        return self._reached[1:]

    def _reach(self) -> tuple[Any, str]:
        from fsspec.core import url_to_fs

        scheme = self._url.partition(":")[0]
        try:
            # What others store is to be seen, so no listing is remembered.
            files, root = url_to_fs(self._url, **{"use_listings_cache": False, **self._options})
        except (ImportError, ValueError) as error:
            needed = _PACKAGES.get(scheme, "a package of fsspec for it")
            raise SurveyError(f"a lake at {scheme}:// cannot be reached: it needs {needed}") from error
        except Exception as error:
            needed = f"; it needs {_PACKAGES[scheme]}" if scheme in _PACKAGES else ""
            raise SurveyError(f"a lake at {scheme}:// cannot be reached{needed}") from error
        return files, root.rstrip("/")


class _Walk(LakeWalk):
    def __init__(self, files: Any, root: str, template: PathTemplate) -> None:
        super().__init__(template)
        self._store = files
        self._root = root

    def _files(self) -> Iterator[StoredFile]:
        try:
            found = self._store.find(self._root, detail=True)
        except Exception as error:  # what file systems raise has no common name
            raise SurveyError("the store of the lake does not answer as it should") from error
        if not found:
            raise SurveyError("the folder of the lake is not there, or empty")
        for place, told in sorted(found.items()):
            path = place.removeprefix(f"{self._root}/")
            if told.get("type") != "file" or any(is_set_aside(part) for part in path.split("/")):
                continue
            if self._template.match(path) is not None:
                yield StoredFile(path, int(told["size"]), _version(told))


def _version(told: Mapping[str, Any]) -> str:
    for key in _VERSIONS:
        if (value := told.get(key)) is not None:
            return str(value.isoformat() if hasattr(value, "isoformat") else value).strip('"')
    return ""


def _range(files: Any, place: str, offset: int, size: int) -> bytes:
    if getattr(files, "async_impl", False):
        return files.cat_file(place, start=offset, end=offset + size)  # type: ignore[no-any-return]
    # Some read ahead by as much as a block, unless it is small.
    with files.open(place, "rb", block_size=1, cache_type="none") as stream:
        stream.seek(offset)
        return stream.read(size)  # type: ignore[no-any-return]


def _range_of_version(files: Any, place: str, version: str, offset: int, size: int) -> bytes:
    """Range of an object of S3, unless it is another than that of an entity tag."""
    from fsspec.asyn import sync

    async def read() -> bytes:
        bucket, key, _ = files.split_path(place)
        span = f"bytes={offset}-{offset + size - 1}"
        told = await files._call_s3("get_object", Bucket=bucket, Key=key, Range=span, IfMatch=f'"{version}"')
        async with told["Body"] as body:
            data: bytes = await body.read()
        if len(data) != size:
            raise EOFError
        return data

    return sync(files.loop, read)  # type: ignore[no-any-return]
