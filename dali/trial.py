"""Work that may hang, and that nobody wants to wait for longer than a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")

#: What came too late to be waited for is told the next time, unless it is older than this.
FRESH_S = 30.0


class Trial(Generic[T]):
    """Does its work in a thread of its own, never twice at a time: what hangs is not begun again.

    One thread at a time may use it.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._run: Future[T] = Future()
        self._ended = 0.0
        self._is_told = True
        self._run.cancel()

    def begin(self) -> None:
        """Begin to work, unless the last time has not ended, or nobody has been told yet what came of it."""
        is_fresh = not self._is_told and time.monotonic() - self._ended < FRESH_S
        if self._run.done() and not is_fresh:
            self._run, self._is_told = Future(), False
            # A daemon: a process ends although a disk or a server does not answer.
            threading.Thread(target=self._fill, args=(self._run,), name="trial", daemon=True).start()

    def result(self, within_s: float) -> T:
        """Give what came of it, or raise what it raised, once it has been begun.

        Raises
        ------
        TimeoutError
            If it has not ended within so many seconds.
        """
        try:
            return self._run.result(within_s)
        finally:
            self._is_told = self._run.done()

    def _fill(self, run: Future[T]) -> None:
        try:
            found = self._work()
        except BaseException as error:  # it is raised where the result is asked for
            self._ended = time.monotonic()
            run.set_exception(error)
        else:
            self._ended = time.monotonic()
            run.set_result(found)
