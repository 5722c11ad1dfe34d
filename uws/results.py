"""The results store: containers, and single files where clients are sent to an object store.

A container is named ``<job_id>/<task_id>.<fence>.zip``, a single file
``<job_id>/<task_id>.<fence>/<n>-<file_name>``, an upload ``<job_id>/upload-<n>``; what a split writes before
it is in the database lies in the folder ``<job_id>/<task_id>.<fence>.work`` of this machine. What no row of
the ledger, and of the uploads, names does not exist: it is removed by whoever left it, or found by its age.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

from uws.job import Claim, Result, RowReport, Upload
from uws.shelves import CHUNK_BYTES, JOB_ID, Bucket, Folder, OpenFiles, StorageError, Window, said_plainly

__all__ = ["Ranges", "ResultStore", "StorageError", "content_sha256", "disposition"]

#: So long a client may begin to read what it was sent to.
SIGNED_S = 600

_CONTAINER = re.compile(rf"{JOB_ID.pattern}/[0-9]{{1,19}}\.[0-9]{{1,19}}\.zip")
_SINGLE = re.compile(rf"{JOB_ID.pattern}/[0-9]{{1,19}}\.[0-9]{{1,19}}/[0-9]{{1,9}}-[A-Za-z0-9._~-]{{1,128}}")
_UPLOAD = re.compile(rf"{JOB_ID.pattern}/upload-[0-9a-f]{{1,32}}")
_SCRATCH = re.compile(rf"{JOB_ID.pattern}/[0-9]{{1,19}}\.[0-9]{{1,19}}\.work")
_NOT_IN_KEYS = re.compile(r"[^A-Za-z0-9._~-]+")
_KNOWN = re.compile("|".join(f"(?:{kind.pattern})" for kind in (_CONTAINER, _SINGLE, _UPLOAD, _SCRATCH)))
_NOT_IN_HEADERS = re.compile(r'[^ -~]|["\\/%]')

_log = logging.getLogger(__name__)


class ResultStore:
    """Files of results, in a folder or in a bucket of S3.

    Parameters
    ----------
    url
        A folder, or ``s3://bucket/prefix``.
    spool
        Folder in which containers are written before they go to a bucket.
    options
        Of the file system of the bucket, as fsspec has them.
    redirect
        Store single files, and give clients signed URLs of them.
    reserve_bytes
        Room that must be left where containers are written.

    Raises
    ------
    ValueError
        If the URL is of another kind, or `redirect` is asked for a folder.
    """

    def __init__(
        self,
        url: str,
        spool: Path,
        options: Mapping[str, Any] = {},
        *,
        redirect: bool = False,
        reserve_bytes: int = 0,
    ) -> None:
        self._bucket: Bucket | None = None
        scheme, mark, rest = url.partition("://")
        if not mark or scheme == "file":
            self._spool = Folder(Path(rest or url))
        elif scheme == "s3" and rest.strip("/"):
            self._spool, self._bucket = Folder(spool), Bucket(url, options)
        else:
            raise ValueError("results are kept in a folder, or in s3://bucket/prefix")
        if redirect and self._bucket is None:
            raise ValueError("clients can be redirected to s3:// alone, not to a folder")
        self._redirect = redirect
        self._reserve_bytes = reserve_bytes

    @property
    def _shelf(self) -> Folder | Bucket:
        return self._bucket or self._spool

    def spool(self, claim: Claim) -> Path:
        """Path at which the container of a task is to be written.

        Raises
        ------
        StorageError
            If there is no folder to write in.
        """
        return self._spool.place(_container_of(claim))

    def publish(self, claim: Claim, path: Path, reports: Sequence[RowReport]) -> tuple[RowReport, ...]:
        """Have the sealed container at `path` where it can be read; return the reports, which tell where.

        Raises
        ------
        StorageError
            If that fails; call `discard` then.
        """
        name = _container_of(claim)
        stored = [file for report in reports for file in report.files]
        if not stored:
            self._spool.remove(name)
            return tuple(reports)
        with said_plainly():
            if path.stat().st_size < max(file.offset + file.size for file in stored):
                raise StorageError("a container is shorter than the files in it")
        if self._bucket is not None and self._redirect:
            return self._publish_files(self._bucket, claim, path, reports)
        self._shelf.keep(path, name)
        if self._bucket is not None:
            self._spool.remove(name)
        return tuple(
            replace(report, files=tuple(replace(file, container=name) for file in report.files))
            for report in reports
        )

    def discard(self, claim: Claim) -> None:
        """Remove whatever a claim has stored or spooled. What cannot be removed now is found by its age."""
        name = _container_of(claim)
        try:
            self._spool.remove(name)
            self._spool.remove(_scratch_of(claim))
            if self._bucket is not None:
                self._bucket.remove(name)
                self._bucket.remove(name.removesuffix(".zip"))
        except StorageError as fault:
            _log.warning("a container was not discarded: %s", fault)

    def scratch(self, claim: Claim) -> Path:
        """Make a folder in which the split of a job may write; `discard` removes it.

        Raises
        ------
        StorageError
            If that fails.
        """
        folder = self._spool.place(_scratch_of(claim))
        with said_plainly():
            folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def incoming(self) -> Path:
        """Folder, on a disk, of files that are about to be stored; whoever writes there cleans up.

        Raises
        ------
        StorageError
            If there is none to write in.
        """
        return self._spool.incoming()

    def keep_upload(self, job_id: str, path: Path) -> tuple[str, str]:
        """Store a copy of a file with a job; return its name and its SHA-256.

        Raises
        ------
        StorageError
            If that fails; nothing of it stays then.
        """
        name = f"{_checked_job(job_id)}/upload-{secrets.token_hex(8)}"
        place = self._spool.place(name)
        try:
            with said_plainly():
                digest = _copy(path, place)
            self._shelf.keep(place, name)
        except BaseException:
            self.remove_soon(name)
            raise
        if self._bucket is not None:
            self._spool.remove(name)
        return name, digest

    def local_upload(self, stored: str) -> Path | None:
        """Path of an upload, if it is a file of this machine."""
        return None if self._bucket is not None else self._spool.path(_checked(stored))

    def fetch_upload(self, upload: Upload, path: Path) -> Path:
        """Copy an upload to a path.

        Raises
        ------
        FileNotFoundError
            If it is gone.
        StorageError
            If it cannot be read now.
        """
        with path.open("wb") as file:
            for chunk in self._shelf.read(_checked(upload.stored), 0, upload.size):
                file.write(chunk)
        return path

    def remove_soon(self, name: str) -> None:
        """Remove what nothing names; what cannot be removed now is found by its age."""
        try:
            self._spool.remove(name)
            if self._bucket is not None:
                self._bucket.remove(name)
        except StorageError as fault:
            _log.warning("a file was not removed: %s", fault)

    def read(self, result: Result, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Read a result from byte `start` to before byte `stop`, in pieces of at most 1 MB.

        Raises
        ------
        FileNotFoundError
            At the latest with the first piece, if its file is gone.
        StorageError
            If it cannot be read now, or is not what it was.
        """
        size = result.size if result.container else len(result.message.encode())
        start, stop = _within(start, stop, size)
        if not result.container:
            return iter([result.message.encode()[start:stop]])
        return self._shelf.read(_checked(result.container), result.offset + start, result.offset + stop)

    def open(self, result: Result, start: int = 0, stop: int | None = None) -> Window | None:
        """Open the same part of the file of a result, if it is a file of this machine; else None.

        Raises
        ------
        FileNotFoundError, StorageError
            As `read`, but at once.
        """
        if not result.container or self._bucket is not None:
            return None
        start, stop = _within(start, stop, result.size)
        return self._spool.open(_checked(result.container), result.offset + start, result.offset + stop)

    @property
    def is_folder(self) -> bool:
        """Whether results are files of this machine."""
        return self._bucket is None

    def ranges(self) -> Ranges:
        """Give what reads many ranges of many containers; it is to be closed."""
        return Ranges(self._spool, self._bucket)

    def local(self, result: Result) -> Path | None:
        """Path of the container of a result, if it is a file of this machine."""
        if not result.container or self._bucket is not None:
            return None
        return self._spool.path(_checked(result.container))

    def signed_url(self, result: Result) -> str | None:
        """URL at which a client finds the file of a result, for ten minutes; None if it is not redirected."""
        if self._bucket is None or not self._redirect or not _SINGLE.fullmatch(result.container):
            return None
        return self._bucket.sign(
            result.container,
            SIGNED_S,
            ResponseContentType=result.media_type,
            ResponseContentDisposition=disposition(result),
            ResponseCacheControl="private, no-cache",
        )

    def jobs(self) -> Iterator[str]:
        """Jobs of which something is stored."""
        return self._shelf.jobs()

    def objects(self, job_id: str) -> Iterator[tuple[str, float]]:
        """Containers and uploads of a job, and what splits left, with their ages in seconds."""
        for name, age_s in self._shelf.objects(_checked_job(job_id)):
            if _KNOWN.fullmatch(name):
                yield name, age_s

    def remove(self, container: str) -> None:
        """Remove a container, if it is there."""
        self._shelf.remove(_checked(container))

    def remove_job(self, job_id: str) -> None:
        """Remove everything that is stored of a job, here and in the bucket."""
        self._spool.remove_job(_checked_job(job_id))
        if self._bucket is not None:
            self._bucket.remove_job(job_id)

    def sweep_spool(self, older_s: float) -> None:
        """Remove what was left on its way to its place, by a process that was lost, so long ago."""
        self._spool.sweep_incoming(older_s)
        if self._bucket is None:
            return
        for job_id in list(self._spool.jobs()):
            for name, age_s in list(self._spool.objects(job_id)):
                if age_s > older_s:
                    self._spool.remove(name)

    def has_room(self) -> bool:
        """Whether more than the reserve is left where containers are written."""
        try:
            return self._spool.free_bytes() >= self._reserve_bytes
        except StorageError:
            return False

    def check(self) -> str | None:
        """Say in a sentence why results cannot be stored now; None if they can."""
        fault = self._spool.check()
        return fault if fault or self._bucket is None else self._bucket.check()

    def _publish_files(
        self, bucket: Bucket, claim: Claim, path: Path, reports: Sequence[RowReport]
    ) -> tuple[RowReport, ...]:
        folder = _container_of(claim).removesuffix(".zip")
        numbers = count()
        parts: list[tuple[str, int, int]] = []
        published: list[RowReport] = []
        for report in reports:
            files = []
            for file in report.files:
                name = f"{folder}/{next(numbers)}-{_NOT_IN_KEYS.sub('_', file.file_name)[-128:] or '_'}"
                parts.append((name, file.offset, file.size))
                files.append(replace(file, container=name, offset=0))
            published.append(replace(report, files=tuple(files)))
        bucket.keep_parts(path, parts)
        self._spool.remove(_container_of(claim))
        return tuple(published)


class Ranges:
    """Reads ranges of containers, and of files of this machine, which are named by absolute paths."""

    def __init__(self, folder: Folder, bucket: Bucket | None) -> None:
        self._folder, self._bucket = folder, bucket
        self._files = OpenFiles(self._path)

    def fetch(self, ranges: Sequence[tuple[str, int, int]]) -> list[bytes]:
        """Read ranges: a container or a file, first byte, and the one after the last.

        Raises
        ------
        FileNotFoundError
            If one is gone.
        StorageError
            If one cannot be read now, or is not what it was.
        """
        if self._bucket is None:
            return [self._files.read(*wanted) for wanted in ranges]
        remote = [wanted for wanted in ranges if not _is_local(_checked_source(wanted[0]))]
        fetched = iter(self._bucket.fetch(remote) if remote else ())
        return [self._files.read(*wanted) if _is_local(wanted[0]) else next(fetched) for wanted in ranges]

    def close(self) -> None:
        """Close its files."""
        self._files.close()

    def _path(self, source: str) -> Path:
        return self._folder.path(_checked_source(source))  # an absolute path stays what it is


def _is_local(source: str) -> bool:
    return source.startswith("/")


def _checked_source(source: str) -> str:
    return source if _is_local(source) else _checked(source)


def disposition(result: Result) -> str:
    """Content-Disposition of a result (RFC 6266): sentences are shown, files saved under their names."""
    kind = "attachment" if result.container else "inline"
    name = re.sub(r"[\x00-\x1f\x7f/\\]", "_", result.file_name)
    plain = _NOT_IN_HEADERS.sub("_", name)
    if plain == name:
        return f'{kind}; filename="{plain}"'
    encoded = quote(name, safe="!#$&+-.^_`|~", errors="replace")
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{encoded}"


def content_sha256(result: Result) -> str:
    """SHA-256 of what a result consists of, in hexadecimal; that of a sentence is not in the ledger."""
    return result.sha256 if result.container else sha256(result.message.encode()).hexdigest()


def _copy(path: Path, target: Path) -> str:
    """Copy a file, and have it on the disk; return the SHA-256 of it."""
    digest = sha256()
    with path.open("rb") as source, open(target, "wb", opener=_private) as copy:
        while chunk := source.read(CHUNK_BYTES):
            digest.update(chunk)
            copy.write(chunk)
        copy.flush()
        os.fsync(copy.fileno())
    return digest.hexdigest()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _scratch_of(claim: Claim) -> str:
    return _container_of(claim).removesuffix(".zip") + ".work"


def _container_of(claim: Claim) -> str:
    return _checked(f"{claim.job_id}/{claim.task_id}.{claim.fence}.zip")


def _checked(name: str) -> str:
    """Let only names pass that this store has made: nothing else is ever opened or removed."""
    if _KNOWN.fullmatch(name):
        return name
    raise FileNotFoundError("no container has such a name")


def _checked_job(job_id: str) -> str:
    if JOB_ID.fullmatch(job_id):
        return job_id
    raise FileNotFoundError("no job has such an id")


def _within(start: int, stop: int | None, size: int) -> tuple[int, int]:
    stop = size if stop is None else min(stop, size)
    return min(max(start, 0), stop), stop
