"""The folder of packages: each is written once, kept for a while, and removed with its job.

Several processes, and the threads of each, share it. What is too much goes, the oldest first, and is written
again when it is asked for.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from dali.errors import ServiceUnavailable

KEPT_S = 86_400.0
RETRY_AFTER_S = 10
#: A process writes so many at a time, and has others wait for so long at most: each takes a core.
AT_ONCE = 2
PATIENCE_S = 30.0

_TRIES = 3
_DRAFT, _LOCK = ".draft-", ".lock-"

T = TypeVar("T")


class PackageFolder:
    """Packages in a folder.

    Parameters
    ----------
    path
        Of the folder, which is made when it is needed.
    most_bytes
        Room for them; the newest is kept whatever its size.
    patience_s
        For so long it is waited until one may be written.
    """

    def __init__(self, path: Path, most_bytes: int, patience_s: float = PATIENCE_S) -> None:
        self._path = path
        self._most_bytes = most_bytes
        self._patience_s = patience_s
        self._turn = threading.BoundedSemaphore(AT_ONCE)

    def kept(
        self,
        job_id: str,
        told: tuple[object, ...],
        write: Callable[[Path], None],
        read: Callable[[Path], T],
    ) -> T:
        """Give what was written of a job for the same that is `told`, or have it written.

        Parameters
        ----------
        write
            Writes it into an empty folder.
        read
            Reads what was written; FileNotFoundError if it is not there any more.

        Raises
        ------
        ServiceUnavailable
            If it cannot be written, or too many are.
        """
        name = f"{job_id}-{sha256(json.dumps(told).encode()).hexdigest()}"
        folder = self._path / name
        try:
            for _ in range(_TRIES):
                with suppress(FileNotFoundError):
                    os.utime(folder)
                    return read(folder)
                with self._alone(name):
                    if not folder.is_dir():
                        self._write(folder, write)
            return read(folder)
        except OSError as fault:
            raise ServiceUnavailable(
                "the package cannot be written now", "Try again a little later.", retry_after_s=RETRY_AFTER_S
            ) from fault

    def forget(self, job_id: str) -> None:
        """Remove the packages of a job."""
        for path in self._all():
            if path.name.removeprefix(_LOCK).startswith(f"{job_id}-"):
                _remove(path)

    def sweep(self, newest: Path | None = None) -> None:
        """Remove what has not been asked for in a day, and the oldest of what is too much."""
        found = []
        for path in self._all():
            with suppress(FileNotFoundError):
                size = sum(file.stat().st_size for file in path.iterdir()) if path.is_dir() else 0
                found.append((path.stat().st_mtime, size, path))
        total, now = 0, time.time()
        for changed, size, path in sorted(found, reverse=True):
            total += size
            is_old = now - changed > KEPT_S
            if path != newest and (is_old or (total > self._most_bytes and not path.name.startswith("."))):
                _remove(path)

    def _all(self) -> list[Path]:
        with suppress(FileNotFoundError, NotADirectoryError):
            return list(self._path.iterdir())
        return []

    def _write(self, folder: Path, write: Callable[[Path], None]) -> None:
        draft = self._path / f"{_DRAFT}{secrets.token_hex(8)}"
        draft.mkdir(mode=0o700)
        try:
            write(draft)
            draft.rename(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        self.sweep(folder)

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """Have one process, and one thread, at a time write a package."""
        if not self._turn.acquire(timeout=self._patience_s):
            raise ServiceUnavailable(
                "too many packages are being written",
                "Try again a little later.",
                retry_after_s=RETRY_AFTER_S,
            )
        try:
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            with (self._path / f"{_LOCK}{name}").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        finally:
            self._turn.release()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
