"""Writes files into the folder of a user, as that user: a program of its own, which knows nothing else.

It is run by its path, with user, group and folder as arguments, and imports nothing of this project. It is
that user before it looks at anything. For each file a line
of JSON comes in, ``{"path": …, "size": …, "sha256": …}``; it answers ``have``, ``other`` (something else is
there, and stays), or ``want``. Then the bytes come in, and it answers ``done``. Whatever is wrong is a line
that begins with ``error``. No link is followed, and nothing is overwritten.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

_AT_ONCE = 1 << 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def become(uid: int, gid: int) -> None:
    """Be another user, for good."""
    if uid != os.geteuid():
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    os.umask(0o022)


def main(uid: int, gid: int, path: str, incoming: BinaryIO, outgoing: BinaryIO) -> None:
    """Write what comes in into the folder at `path`, as a user."""

    def answer(text: str) -> None:
        outgoing.write(text.encode("utf-8", "replace") + b"\n")
        outgoing.flush()

    try:
        become(uid, gid)
        with _opened(os.open("/", _FOLDER), path.split("/"), make=False) as root:
            answer("ready")
            for line in incoming:
                told = json.loads(line)
                *folders, name = told["path"].split("/")
                with _opened(os.dup(root), folders, make=True) as folder:
                    _one(folder, name, told["size"], told["sha256"], incoming, answer)
    except OSError as fault:
        answer(f"error {fault.strerror or 'the folder cannot be written'}")


def _one(
    folder: int, name: str, size: int, digest: str, incoming: BinaryIO, answer: Callable[[str], None]
) -> None:
    if (there := _there(folder, name, size, digest)) is not None:
        answer("have" if there else "other")
        return
    draft = f".{name}.part"
    with suppress(FileNotFoundError):  # of a delivery that was interrupted
        os.unlink(draft, dir_fd=folder)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(draft, flags, 0o644, dir_fd=folder), "wb") as file:
        answer("want")
        found, left = hashlib.sha256(), size
        while left and (chunk := incoming.read(min(left, _AT_ONCE))):
            file.write(chunk)
            found.update(chunk)
            left -= len(chunk)
        file.flush()
        os.fsync(file.fileno())
    try:
        if left or found.hexdigest() != digest:
            raise OSError(0, "a file is not what it was")
        # Unlike a renaming, this fails if the name has come to be there.
        os.link(draft, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    finally:
        os.unlink(draft, dir_fd=folder)
    answer("done")


def _there(folder: int, name: str, size: int, digest: str) -> bool | None:
    """Whether the very file is there; None if nothing is."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode) or found.st_size != size:
        return False
    with open(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == digest


@contextmanager
def _opened(folder: int, names: list[str], *, make: bool) -> Iterator[int]:
    """Open a folder below another, which is closed, step by step: none of them may be a link."""
    try:
        for name in filter(None, names):
            if name in (".", ".."):
                raise OSError(0, "a path leads out of its folder")
            if make:
                with suppress(FileExistsError):
                    os.mkdir(name, 0o755, dir_fd=folder)
            inner = os.open(name, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.stdin.buffer, sys.stdout.buffer)
