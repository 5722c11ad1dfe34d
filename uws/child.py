"""The process in which rows are done: started by `uws.runner`, kept warm, killed when it has to be.

It knows neither the database nor Redis: tasks come by a pipe, and answers go back by it. In a cell that it
shares with its parent it notes which row it has in hand, so that the row is known that brought it down.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import faulthandler
import logging
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableSequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from dali.errors import ProtocolError
from uws.containers import ContainerWriter
from uws.job import JobError, Row, RowReport, RowStatus, Stored, TaskKind, ended_by_engine
from uws.jobtype import File, JobType, JobTypes, Outcome, Work
from uws.memory import data_bytes, own_bytes, spare_the_collector
from uws.params import gathered
from uws.splitting import Drained, SplitWork, sources_of, storable, write, written_facts
from uws.verdict import Answer, Left

#: The shared cell: index of the row in hand (or NO_ROW), when it was begun (`time.monotonic_ns`), whether to
#: stop after it.
ROW, BEGAN, DRAIN = range(3)
CELLS = 3
NO_ROW = -1

Cell = MutableSequence[int]

_PR_SET_PDEATHSIG = 1
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Task:
    """Rows to be done, and where their files go."""

    job_type: str
    job_id: str
    owner: str
    rows: tuple[Row, ...]
    path: Path
    kind: TaskKind = "heavy"
    common: Mapping[str, Any] = field(default_factory=dict)
    split: SplitWork | None = None
    actor: str = ""


def serve(
    connection: Connection,
    cell: Cell,
    types: Callable[[], JobTypes],
    memory_bytes: int,
    light_memory_bytes: int,
    parent: int,
) -> None:
    """Do tasks until the parent closes the pipe; the first thing sent says that the job types are there."""
    _confine(memory_bytes, parent)
    doer = Doer(types(), cell, memory_bytes, light_memory_bytes)
    spare_the_collector()
    with contextlib.suppress(EOFError, BrokenPipeError):
        connection.send(True)
        while True:
            connection.send(doer.do(connection.recv()))


def _confine(memory_bytes: int, parent: int) -> None:
    """See that this process goes with its parent, leaves no cores, and takes no more memory than it may."""
    os.setpgid(0, 0)
    # Signals of the terminal and of service managers are the parent's: it stops this process in its own way.
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before that was asked for
        os._exit(0)
    faulthandler.enable()
    _limit(resource.RLIMIT_CORE, 0)
    if memory_bytes:
        # Not RLIMIT_AS: mapping a large image takes no memory.
        _limit(resource.RLIMIT_DATA, memory_bytes)


def _limit(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(what, (most, hard))


class Doer:
    """Does tasks.

    Parameters
    ----------
    types
        What kinds there are.
    cell
        Shared with the parent.
    memory_bytes
        What rows may take.
    light_memory_bytes
        The same of light rows; 0 is no other limit.
    """

    def __init__(self, types: JobTypes, cell: Cell, memory_bytes: int, light_memory_bytes: int = 0) -> None:
        self._types = types
        self._cell = cell
        self._most_bytes = memory_bytes
        self._light_bytes = light_memory_bytes
        self._memory_bytes = memory_bytes  # now
        self._said: tuple[str, type[BaseException]] | None = None  # the last failure in the log

    def do(self, task: Task) -> Answer:
        """Do the rows, or as many as there are time and space for; or split the job."""
        self._allow(task.kind)
        if task.kind == "split":
            return self._split(task)
        reports: list[RowReport] = []
        container = _Container(task.path)
        left = Left.NOTHING
        try:
            while left is Left.NOTHING and len(reports) < len(task.rows):
                left = self._go_on(task, reports, container)
        except _StorageFault as fault:
            _log.warning("a result could not be written: %s", fault, extra={"job_id": task.job_id})
            left = Left.STORAGE
        self._begin(NO_ROW)
        answer = Answer(tuple(reports), left)
        try:
            container.close(keep=answer.has_files)
        except OSError as error:
            _log.warning("results could not be written: %s", error, extra={"job_id": task.job_id})
            answer = answer.without_files()
        return replace(answer, rss_bytes=own_bytes())

    def _split(self, task: Task) -> Answer:
        """Have the job type make the tasks; what it says is written for the worker to read."""
        self._begin(0)
        try:
            if task.split is None:
                raise ValueError("a split without a folder")
            kind = _kind(self._types, task.job_type)
            values = gathered(task.split.parameters)
            uploads = sources_of(task.split)
            work = Work(task.job_id, task.owner, (), task.common, uploads, values, task.actor)
            answer = Answer((), split=write(kind.split(work), task.split.folder, self._stop_if_told))
        except Drained:
            answer = Answer((), Left.DRAIN)
        except (Exception, SystemExit) as error:
            answer = Answer((self._failure(task, task.rows[0], error),))
        self._begin(NO_ROW)
        return replace(answer, rss_bytes=own_bytes())

    def _stop_if_told(self) -> None:
        if self._cell[DRAIN]:
            raise Drained

    def _allow(self, kind: TaskKind) -> None:
        """Limit the memory for a task of this kind; what is held already is no fault of it."""
        if not (self._most_bytes and self._light_bytes):
            return
        most = self._most_bytes
        if kind == "light":
            most = min(most, max(self._light_bytes, data_bytes() + self._light_bytes // 2))
        if most != self._memory_bytes:
            _limit(resource.RLIMIT_DATA, most)
            self._memory_bytes = most

    def _go_on(self, task: Task, reports: list[RowReport], container: _Container) -> Left:
        """Do the rows that are left in one call of the job type, to the end or to the first exception."""
        first = len(reports)
        outcomes: Iterator[Outcome] = iter(())
        try:
            for index in range(first, len(task.rows)):
                if self._cell[DRAIN]:
                    return Left.DRAIN
                self._begin(index)
                if index == first:
                    work = Work(task.job_id, task.owner, task.rows[first:], task.common, actor=task.actor)
                    outcomes = iter(_kind(self._types, task.job_type).run(work))
                outcome = next(outcomes, None)
                if outcome is None:
                    _miscounted(task, reports, first)
                    return Left.NOTHING
                files = _stored(outcome, container)
                reports.append(_report(task.rows[index], outcome, files, self._row_s()))
            if next(outcomes, None) is not None:
                _miscounted(task, reports, first)
        except _StorageFault:
            raise
        except (Exception, SystemExit) as error:
            if len(reports) < len(task.rows):
                reports.append(self._failure(task, task.rows[len(reports)], error))
            else:
                _log.exception("the job type failed after its last row", extra={"job_id": task.job_id})
        finally:
            _close(outcomes)
        return Left.NOTHING

    def _begin(self, index: int) -> None:
        # In this order: a row is never seen with the beginning of the one before it.
        self._cell[BEGAN] = time.monotonic_ns()
        self._cell[ROW] = index

    def _row_s(self) -> float:
        return (time.monotonic_ns() - self._cell[BEGAN]) / 1e9

    def _failure(self, task: Task, row: Row, error: BaseException) -> RowReport:
        message, transient, detail = "", False, ""
        what = "the splitting of the job" if task.kind == "split" else "the row"
        if isinstance(error, MemoryError):
            message = f"Error: {what} needs more memory than the limit of {self._memory_bytes >> 20} MiB"
        elif isinstance(error, ProtocolError):
            fault = JobError.of(error)
            message, transient, detail = fault.message, fault.transient, fault.detail
        elif isinstance(error, OSError) and error.errno in _NO_SPACE:
            message, transient = "Error: no space is left for temporary files", True
        else:
            message = f"Error: {what} failed for an unexpected reason ({type(error).__name__})"
            # The others of a task most often fail of the same, and a traceback for each fills the log.
            said, self._said = self._said, (task.job_id, type(error))
            if said != self._said:
                _log.error("a row failed", extra={"job_id": task.job_id, "row": row.n}, exc_info=error)
        failed = ended_by_engine(row, RowStatus.FAILED, message)
        return replace(
            failed,
            message=storable(message),
            transient=transient,
            seconds=self._row_s(),
            detail=storable(detail),
        )


class _StorageFault(Exception):
    """The container takes no more."""


class _Container:
    """Container of a task, made when there is a file to put in."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: ContainerWriter | None = None

    def add(self, files: Iterable[File]) -> tuple[Stored, ...]:
        """Write the files of a row; what their chunks raise is the row's fault, the rest the store's."""
        sources = [_Source(file.chunks) for file in files]
        guarded = [
            File(file.result_id, file.file_name, file.media_type, source)
            for file, source in zip(files, sources, strict=True)
        ]
        try:
            if self._writer is None:
                self._writer = ContainerWriter(self._path)
            return self._writer.add_all(guarded)
        except OSError as error:
            if any(source.failed for source in sources):
                raise
            raise _StorageFault(error.strerror) from error

    def close(self, *, keep: bool) -> None:
        """Seal it, or remove it."""
        if self._writer is None:
            return
        if not keep:
            self._writer.discard()
            return
        try:
            self._writer.seal()
        except OSError:
            self._writer.discard()
            raise


class _Source:
    """Chunks of a file that remember whether it was they who failed."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self.failed = False

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._chunks
        except Exception:
            self.failed = True
            raise


class _UnknownType(ProtocolError):
    """Other workers may know it: this program may be older than the job."""


def _kind(types: JobTypes, name: str) -> JobType:
    if name not in types:
        raise _UnknownType(f"jobs of type {name} are not known here")
    return types[name]


def _stored(outcome: Outcome, container: _Container) -> tuple[Stored, ...]:
    if (outcome.status is RowStatus.DONE) != bool(outcome.files):
        raise ValueError(f"{outcome.status} with {len(outcome.files)} files")
    return container.add(outcome.files) if outcome.files else ()


def _report(row: Row, outcome: Outcome, files: tuple[Stored, ...], seconds: float) -> RowReport:
    return RowReport(
        row.n,
        row.result_id,
        outcome.status,
        storable(outcome.message),
        files,
        outcome.transient,
        outcome.verdict,
        storable(outcome.label),
        written_facts(outcome.facts) or "",
        seconds,
    )


def _miscounted(task: Task, reports: list[RowReport], first: int) -> None:
    """Fail all rows of a call: it is not known which outcome is of which."""
    message = "Error: the program gave another number of outcomes than there are rows"
    _log.error(message, extra={"job_id": task.job_id})
    reports[first:] = [ended_by_engine(row, RowStatus.FAILED, message) for row in task.rows[first:]]


def _close(outcomes: Iterator[Outcome]) -> None:
    if (close := getattr(outcomes, "close", None)) is not None:
        try:
            close()
        except Exception:
            _log.exception("the job type failed when it was stopped")
