"""Delivery: the files of a package, unpacked in a folder of a user, by a process that is that user.

What is delivered already is not written again, so a delivery that was interrupted is simply asked for again.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from dali.errors import UsageError
from uws.packages.build import SUMS, Built
from uws.packages.destination import Destination
from uws.results import Ranges, ResultStore

_WRITER = Path(__file__).with_name("writer.py")
_AT_ONCE = 1 << 20


@dataclass(slots=True)
class Delivered:
    """What became of a delivery: files written, files that were there, and names at which others stay."""

    folder: str
    written: int = 0
    there: int = 0
    others: tuple[str, ...] = ()


def deliver(
    built: Built, store: ResultStore, to: Destination, said: Callable[[int], None] = lambda count: None
) -> Delivered:
    """Deliver a package; `said` is called with the number of files that have been looked at.

    Raises
    ------
    UsageError
        If the folder cannot be written as that user.
    """
    delivered = Delivered(f"{to.path.rstrip('/')}/{built.root}")
    sums = _sums(built)
    with _writer(to) as process, closing(store.ranges()) as ranges:
        talk = _Talk(process, to)
        talk.expect("ready")
        for number, member in enumerate(built.members.some(0, len(built.members)), start=1):
            path = member.name.decode()
            told = {"path": path, "size": member.size, "sha256": sums[path]}
            talk.tell(json.dumps(told).encode() + b"\n")
            match talk.expect("want", "have", "other"):
                case "have":
                    delivered.there += 1
                case "other":
                    delivered.others += (path,)
                case _:
                    for chunk in _chunks(ranges, member.source, member.offset, member.size):
                        talk.tell(chunk)
                    talk.expect("done")
                    delivered.written += 1
            said(number)
    return delivered


class _Talk:
    """What is said to the process that writes, and what it answers."""

    def __init__(self, process: subprocess.Popen[bytes], to: Destination) -> None:
        self._incoming, self._outgoing, self._to = process.stdout, process.stdin, to

    def tell(self, *pieces: bytes) -> None:
        if self._outgoing is not None:
            with suppress(BrokenPipeError):  # then the next answer says why
                self._outgoing.writelines(pieces)
                self._outgoing.flush()

    def expect(self, *expected: str) -> str:
        line = self._incoming.readline() if self._incoming is not None else b""
        answer = line.decode("utf-8", "replace").rstrip("\n")
        if answer not in expected:
            why = answer.removeprefix("error ") or "the process that writes has ended"
            raise UsageError(
                f"user {self._to.uid} cannot write into the folder {self._to.name}: {why}",
                "The command is for root, or for that user.",
            )
        return answer


def _writer(to: Destination) -> subprocess.Popen[bytes]:
    """Start the process that writes, with nothing of this one but two pipes."""
    return subprocess.Popen(  # noqa: S603  # nothing in it comes from a client
        [sys.executable, "-I", "-S", str(_WRITER), str(to.uid), str(to.gid), to.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={},
        cwd="/",
    )


def _sums(built: Built) -> dict[str, str]:
    """SHA-256 of all members, by their paths."""
    with built.tables[SUMS].path.open() as lines:
        pairs = [line.rstrip("\n").split("  ", 1) for line in lines]
    sums = {f"{built.root}/{name}": digest for digest, name in pairs}
    return {**sums, f"{built.root}/{SUMS}": built.tables[SUMS].sha256}


def _chunks(ranges: Ranges, source: str, offset: int, size: int) -> Iterator[bytes]:
    for start in range(offset, offset + size, _AT_ONCE):
        yield from ranges.fetch([(source, start, min(start + _AT_ONCE, offset + size))])
