"""The worker's end of its child: starts it, hands it tasks, watches it, and kills it when it has to go."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from multiprocessing import connection, resource_tracker
from multiprocessing.context import SpawnProcess
from multiprocessing.sharedctypes import RawArray
from pathlib import Path
from typing import Any

from uws.child import BEGAN, CELLS, DRAIN, NO_ROW, ROW, Cell, Task, serve
from uws.job import Claim
from uws.jobtype import JobTypes
from uws.settings import JobSettings
from uws.splitting import SplitWork
from uws.verdict import Answer, Died, Ended, Halt, Killed, limit_s

#: The child is looked at so often while it works.
POLL_S = 0.1
STOP_S = 1.0
REST_S = 2.0
#: A process that takes no tasks after so long never will.
START_S = 120.0

_spawn = multiprocessing.get_context("spawn")
_terminal = (signal.SIGINT, signal.SIGTERM)
_log = logging.getLogger(__name__)


class Child:
    """A process that does tasks, one after the other; another takes its place when it is gone.

    Only the main thread may use it: on Linux the process dies with the thread that started it.

    Parameters
    ----------
    types
        Makes the job types, in the child; it can be pickled.
    settings
        How much it may do, and take.
    """

    def __init__(self, types: Callable[[], JobTypes], settings: JobSettings) -> None:
        self._types = types
        self._settings = settings
        self._process: _Process | None = None
        self._limit_s = settings.row_limit_s  # of the task in hand
        self._tasks = 0
        self._rest_until = 0.0

    @property
    def pid(self) -> int | None:
        """Of the process, None if there is none."""
        return None if self._process is None else self._process.pid

    def ready(self, within_s: float) -> bool:
        """Start it if it is not there, and see for so long whether it takes tasks."""
        if self._process is not None and self._process.is_dead():
            if not self._process.is_ready(0):
                # Whatever keeps it from its start is not gone at once.
                self._rest_until = time.monotonic() + REST_S
            _log.error("the child has died", extra={"cause": self._process.kill()})
            self._process = None
        if self._process is not None and self._process.is_late():
            _log.error("the child does not start", extra={"cause": self._process.kill()})
            self._process = None
            self._rest_until = time.monotonic() + REST_S
        if (rest_s := self._rest_until - time.monotonic()) > 0:
            time.sleep(min(rest_s, within_s))
            return False
        if self._process is None:
            self._process = _Process(
                self._types, self._settings.memory_bytes, self._settings.light_memory_bytes
            )
            self._tasks = 0
        return self._process.is_ready(within_s)

    def begin(self, claim: Claim, path: Path, split: SplitWork | None = None) -> None:
        """Hand it a task; `ready` has said that it takes one, and `end` is to be called next.

        Parameters
        ----------
        claim
            The task.
        path
            Where its container goes.
        split
            What is needed if the task is a split.
        """
        task = Task(
            claim.job_type,
            claim.job_id,
            claim.owner,
            claim.rows,
            path,
            claim.kind,
            claim.common,
            split,
            claim.actor,
        )
        process = self._process
        if process is None:
            raise RuntimeError("the child was not made ready")
        self._limit_s = limit_s(claim, self._settings)
        process.cell[ROW] = NO_ROW
        process.cell[BEGAN] = time.monotonic_ns()
        process.cell[DRAIN] = 0
        try:
            process.send(task)
        except BaseException:
            process.kill()
            self._process = None
            raise

    def end(self, watch: Callable[[], Halt | None]) -> Ended:
        """Wait for the end of the task that it was handed.

        Parameters
        ----------
        watch
            Called every now and then; the child is killed if it gives a reason.
        """
        process = self._process
        if process is None:
            raise RuntimeError("the child has no task")
        try:
            ended = self._await(process, watch)
        except BaseException:
            # It may still be at work: what it says next would be taken for the answer to the next task.
            process.kill()
            self._process = None
            raise
        self._tasks += 1
        if not isinstance(ended, Answer):
            self._process = None
        elif self._is_worn(ended):
            self.stop()
        return ended

    def drain(self) -> None:
        """Have it stop after the row in hand."""
        if self._process is not None:
            self._process.cell[DRAIN] = 1

    def stop(self) -> None:
        """End it, with whatever it has started."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def _await(self, process: _Process, watch: Callable[[], Halt | None]) -> Ended:
        while True:
            if process.wait(POLL_S):
                answer = process.receive()
                return answer if isinstance(answer, Answer) else Died(process.row, process.kill())
            halt = Halt.ROW_LIMIT if process.row_s > self._limit_s else watch()
            if halt is not None:
                process.kill()
                return Killed(process.row, halt)

    def _is_worn(self, answer: Answer) -> bool:
        """Whether it has done its share, or holds on to memory."""
        most = self._settings.memory_bytes // 2
        return self._tasks >= self._settings.child_tasks or bool(most and answer.rss_bytes > most)


class _Process:
    """One process, from its start to its end."""

    def __init__(self, types: Callable[[], JobTypes], memory_bytes: int, light_memory_bytes: int) -> None:
        self.cell: Cell = RawArray("q", CELLS)
        self.cell[ROW] = NO_ROW
        self._pipe, theirs = _spawn.Pipe()
        self._process = _spawn.Process(
            target=serve, args=(theirs, self.cell, types, memory_bytes, light_memory_bytes, os.getpid())
        )
        self._started = time.monotonic()
        _start(self._process)
        theirs.close()
        self.pid: int = self._process.pid or 0
        # The sentinel of multiprocessing stays open as long as any process has it that the child has started.
        self._pidfd = os.pidfd_open(self.pid) if hasattr(os, "pidfd_open") else None
        self._is_ready = False

    @property
    def row(self) -> int | None:
        """Index of the row in hand."""
        index = self.cell[ROW]
        return None if index == NO_ROW else index

    @property
    def row_s(self) -> float:
        """Seconds since it was begun, or what comes before the first row or after the last one."""
        return (time.monotonic_ns() - self.cell[BEGAN]) / 1e9

    def is_ready(self, within_s: float) -> bool:
        """See for so long whether it takes tasks."""
        if not self._is_ready and self.wait(within_s):
            self._is_ready = self.receive() is True
        return self._is_ready

    def is_late(self) -> bool:
        """See whether it should have been ready long ago."""
        return time.monotonic() - self._started > START_S and not self.is_ready(0)

    def is_dead(self) -> bool:
        """See whether it is no more."""
        return bool(connection.wait([self._death], 0))

    def wait(self, within_s: float) -> bool:
        """Wait until it has something to say, or is dead."""
        return bool(connection.wait([self._pipe, self._death], within_s))

    def send(self, task: Task) -> None:
        """Give it a task; if it takes nothing any more, it is found dead."""
        try:
            self._pipe.send(task)
        except OSError:
            self._process.kill()

    def receive(self) -> Any:
        """Take what it says, None if it is dead."""
        try:
            return self._pipe.recv() if self._pipe.poll() else None
        except (EOFError, OSError):
            return None

    def stop(self) -> None:
        """Let it end by itself, since the pipe is closed, and kill what is left."""
        self._pipe.close()
        connection.wait([self._death], STOP_S)
        self.kill()

    def kill(self) -> str:
        """Kill its group; return what it died of: a signal's name or an exit code."""
        # The group before the process is waited for: until then no other process gets its number. There is no
        # group yet if it has only just been started.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.kill()
        self._process.join()
        code = self._process.exitcode or 0
        self._pipe.close()
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None
        self._process.close()
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"

    @property
    def _death(self) -> int:
        return self._process.sentinel if self._pidfd is None else self._pidfd


def _start(process: SpawnProcess) -> None:
    """Start a process from which the signals of the terminal are kept, even before it can ignore them."""
    # It unblocks these signals when it starts.
    resource_tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_BLOCK, _terminal)
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _terminal)
