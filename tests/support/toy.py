"""A job type whose rows do as they are told: give files, fail, crash, hang, or wait for a sign.

Rows of a job tell of themselves in the folder named by FOLDER: ``<n>.ran`` gets a line each time the row is
begun, ``<n>.done`` when it was done. A row that waits goes on when there is a file ``go``, or ``<n>.go``.
"""

from __future__ import annotations

import ctypes
import hashlib
import mmap
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from config.settings import load_settings
from dali.caller import Caller
from dali.errors import ServiceUnavailable, UsageError, quoted
from dali.parameters import Parameters, refuse_unknown
from uws.job import Counts, JobError, Lane, Row, RowStatus
from uws.jobtype import Ending, Expansion, File, JobPlan, JobRefused, JobTypes, Outcome, UploadSource, Work
from uws.phase import Phase
from uws.settings import JobSettings

MOST_ROWS = 100_000
MEDIA_TYPE = "application/octet-stream"
CHUNK = 65536
_KNOWN = ("ROWS", "DO", "BYTES", "FILES", "PER_TASK", "LANE", "FOLDER", "SECONDS")


@dataclass(frozen=True, slots=True)
class ToyRequest:
    """What the parameters come to; the rows take the words of `do` in turn."""

    rows: int
    do: tuple[str, ...]
    size: int
    files: int
    per_task: int
    lane: Lane
    folder: str
    seconds: float


class Toy:
    """Job type ``toy``.

    ROWS rows (1), each does DO (ok; several words with commas are taken in turn) and gives FILES files (1) of
    BYTES bytes (16); PER_TASK rows in a task (100), on LANE (high). SECONDS is what it expects to take.
    """

    name = "toy"
    takes_uploads = False

    def describe(self) -> Mapping[str, Any]:
        return {"type": "object", "properties": {name: {"type": "string"} for name in _KNOWN}}

    def parse(
        self, parameters: Parameters, caller: Caller, uploads: Mapping[str, UploadSource] = {}
    ) -> ToyRequest:
        if unknown := refuse_unknown(parameters, _KNOWN, _KNOWN):
            raise unknown[0]
        do = tuple((parameters.one("DO") or "ok").split(","))
        for word in do:
            if word not in _DEEDS:
                raise UsageError(f"DO is one of {', '.join(sorted(_DEEDS))}; got {quoted(word)}")
        rows = _whole(parameters, "ROWS", 1)
        if rows > MOST_ROWS:
            raise JobRefused(f"ROWS is {rows}; a job has at most {MOST_ROWS} rows")
        lane = parameters.one("LANE") or "high"
        if lane not in ("high", "low"):
            raise UsageError(f"LANE is high or low; got {quoted(lane)}")
        return ToyRequest(
            rows=rows,
            do=do,
            size=_whole(parameters, "BYTES", 16),
            files=_whole(parameters, "FILES", 1),
            per_task=max(1, _whole(parameters, "PER_TASK", 100)),
            lane="low" if lane == "low" else "high",
            folder=parameters.one("FOLDER") or "",
            seconds=float(parameters.one("SECONDS") or 0),
        )

    def plan(self, request: ToyRequest) -> JobPlan:
        return toy_plan(request)

    def split(self, work: Work) -> Expansion:
        raise NotImplementedError

    def run(self, work: Work) -> Iterator[Outcome]:
        for row in work.rows:
            mark(row, "ran")
            yield from _DEEDS[row.payload["do"]](row)
            mark(row, "done")

    def finish(self, counts: Counts) -> Ending:
        if counts.total and counts.failed + counts.poison == counts.total:
            return Ending(Phase.ERROR, JobError("Error: every row failed", f"{counts.total} rows"))
        return Ending()


def toy_types() -> JobTypes:
    """Make the job types of the tests."""
    from tests.support.toy_list import ToyList

    return JobTypes([Toy(), ToyList()])


def broken_types() -> JobTypes:
    """Fail as job types do whose data cannot be read."""
    raise RuntimeError("the job types cannot be made")


def toy_settings(**changes: Any) -> JobSettings:
    """Settings as they come with the program, with these changes."""
    return replace(load_settings({}).jobs, **changes)


def toy_rows(
    do: Sequence[str], count: int | None = None, *, size: int = 16, files: int = 1, folder: str | Path = ""
) -> tuple[Row, ...]:
    """Make rows that take the words of `do` in turn."""
    total = len(do) if count is None else count
    return tuple(
        Row(
            n,
            "result" if total == 1 else f"r{n}",
            {"do": do[n % len(do)], "size": size, "files": files, "folder": str(folder)},
        )
        for n in range(total)
    )


def toy_plan(request: ToyRequest) -> JobPlan:
    """Share the rows among tasks."""
    rows = toy_rows(request.do, request.rows, size=request.size, files=request.files, folder=request.folder)
    step = request.per_task
    tasks = [rows[start : start + step] for start in range(0, len(rows), step)]
    return JobPlan(tasks, request.lane, request.seconds or 0.001 * len(rows))


def content(result_id: str, size: int) -> bytes:
    """Bytes of the file `result_id`, always the same."""
    return hashlib.shake_128(result_id.encode()).digest(size)


def mark(row: Row, what: str) -> None:
    """Add a line to the row's file of this kind, if it has a folder."""
    if row.payload["folder"]:
        with (Path(row.payload["folder"]) / f"{row.n}.{what}").open("a") as file:
            file.write(f"{os.getpid()}\n")


def times(folder: Path, n: int, what: str = "ran") -> int:
    """How often a row was begun (`ran`), or done."""
    path = folder / f"{n}.{what}"
    return len(path.read_text().splitlines()) if path.exists() else 0


def _whole(parameters: Parameters, name: str, default: int) -> int:
    text = parameters.one(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise UsageError(f"{name} is a whole number, 0 or more; got {quoted(text)}")
    return int(text)


def _files(row: Row) -> tuple[File, ...]:
    count = row.payload["files"]
    names = [row.result_id] if count == 1 else [f"{row.result_id}-{part}" for part in range(count)]
    return tuple(File(name, f"{name}.bin", MEDIA_TYPE, _chunks(name, row.payload["size"])) for name in names)


def _chunks(name: str, size: int) -> Iterator[bytes]:
    whole = content(name, size)
    for start in range(0, size, CHUNK):
        yield whole[start : start + CHUNK]


def _ok(row: Row) -> Iterator[Outcome]:
    yield Outcome(RowStatus.DONE, _files(row))


def _empty(row: Row) -> Iterator[Outcome]:
    yield Outcome(RowStatus.EMPTY, message="NoOverlap: there is nothing here")


def _fail(row: Row) -> Iterator[Outcome]:
    yield Outcome(RowStatus.FAILED, message="Error: the row was told to fail")


def _transient(row: Row) -> Iterator[Outcome]:
    yield Outcome(RowStatus.FAILED, message="Error: not now", transient=True)


def _flaky(row: Row) -> Iterator[Outcome]:
    """Fail in a way that passes, the first time."""
    return _ok(row) if times(Path(row.payload["folder"]), row.n) > 1 else _transient(row)


def _raise(row: Row) -> Iterator[Outcome]:
    raise ValueError("secret: /etc/passwd")


def _usage(row: Row) -> Iterator[Outcome]:
    raise UsageError("ROWS is wrong")


def _unavailable(row: Row) -> Iterator[Outcome]:
    raise ServiceUnavailable("the images are elsewhere", retry_after_s=1)


def _exit(row: Row) -> Iterator[Outcome]:
    sys.exit("gone")


def _halfway(row: Row) -> Iterator[Outcome]:
    """Give a file that breaks off."""

    def chunks() -> Iterator[bytes]:
        yield b"half a file"
        raise OSError("the image is gone")

    yield Outcome(RowStatus.DONE, (File(row.result_id, "half.bin", MEDIA_TYPE, chunks()),))


def _fileless(row: Row) -> Iterator[Outcome]:
    yield Outcome(RowStatus.DONE)


def _silent(row: Row) -> Iterator[Outcome]:
    return iter(())


def _twice(row: Row) -> Iterator[Outcome]:
    yield from _empty(row)
    yield from _empty(row)


def _same(row: Row) -> Iterator[Outcome]:
    """Give a file whose identifier other rows give too."""
    yield Outcome(RowStatus.DONE, (File("same", "same.bin", MEDIA_TYPE, [b"same"]),))


def _odd(row: Row) -> Iterator[Outcome]:
    """Say what no database takes."""
    yield Outcome(RowStatus.EMPTY, message="NoOverlap: \udc80 \0 there")


def _kill(row: Row) -> Iterator[Outcome]:
    os.kill(os.getpid(), signal.SIGKILL)
    return _ok(row)


def _kill_once(row: Row) -> Iterator[Outcome]:
    return _ok(row) if times(Path(row.payload["folder"]), row.n) > 1 else _kill(row)


def _segfault(row: Row) -> Iterator[Outcome]:
    ctypes.string_at(0)
    return _ok(row)


def _sigbus(row: Row) -> Iterator[Outcome]:
    """Read a mapping whose file has been truncated."""
    with tempfile.TemporaryFile() as file:
        file.truncate(mmap.PAGESIZE * 2)
        with mmap.mmap(file.fileno(), mmap.PAGESIZE * 2, prot=mmap.PROT_READ) as mapped:
            file.truncate(0)
            assert mapped[mmap.PAGESIZE] == 0
    return _ok(row)


def _loop(row: Row) -> Iterator[Outcome]:
    """Stay in C, and keep the lock of the interpreter: no signal handler of Python's runs."""
    ctypes.PyDLL(None).sleep(3600)
    return _ok(row)


def _deaf(row: Row) -> Iterator[Outcome]:
    """Go on whatever is raised."""
    while True:
        try:
            time.sleep(0.01)
        except BaseException:
            continue


def _allocate(row: Row) -> Iterator[Outcome]:
    """Take memory until there is none; it is never touched, so the machine does not feel it."""
    taken = []
    for _ in range(1024):
        taken.append(bytes(64 << 20))
    yield Outcome(RowStatus.FAILED, message=f"Error: {len(taken)} pieces of memory were given")


def _wait(row: Row) -> Iterator[Outcome]:
    folder = Path(row.payload["folder"])
    while not ((folder / "go").exists() or (folder / f"{row.n}.go").exists()):
        time.sleep(0.005)
    yield from _ok(row)


def _fork(row: Row) -> Iterator[Outcome]:
    """Leave a process behind, and crash."""
    left = subprocess.Popen(["sleep", "600"])
    (Path(row.payload["folder"]) / f"{row.n}.left").write_text(str(left.pid))
    return _kill(row)


def _keep(row: Row) -> Iterator[Outcome]:
    """Keep memory after the row."""
    _kept.append(b"\1" * (160 << 20))
    return _ok(row)


def _slow(row: Row) -> Iterator[Outcome]:
    time.sleep(0.05)
    yield from _ok(row)


def _stub(row: Row) -> Iterator[Outcome]:
    time.sleep(0.02)
    yield from _ok(row)


_kept: list[bytes] = []

_DEEDS: Mapping[str, Callable[[Row], Iterator[Outcome]]] = {
    "ok": _ok,
    "empty": _empty,
    "fail": _fail,
    "transient": _transient,
    "flaky": _flaky,
    "raise": _raise,
    "usage": _usage,
    "unavailable": _unavailable,
    "exit": _exit,
    "halfway": _halfway,
    "fileless": _fileless,
    "silent": _silent,
    "twice": _twice,
    "same": _same,
    "odd": _odd,
    "crash": _kill,
    "crash_once": _kill_once,
    "segfault": _segfault,
    "sigbus": _sigbus,
    "loop": _loop,
    "deaf": _deaf,
    "allocate": _allocate,
    "wait": _wait,
    "fork": _fork,
    "keep": _keep,
    "slow": _slow,
    "stub": _stub,
}
