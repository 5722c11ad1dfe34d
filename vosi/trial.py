"""Work that may hang, and that nobody wants to wait for longer than a while."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Trial(Generic[T]):
    """Does its work in a thread of its own, never twice at a time: what hangs is not begun again.

    `begin` is called by one thread at a time.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._run: Future[T] | None = None

    def begin(self) -> Future[T]:
        """Begin to work, unless the last time has not ended; what comes of it is asked of the answer."""
        if self._run is None or self._run.done():
            self._run = Future()
            # A daemon: a process ends although a disk or a server does not answer.
            threading.Thread(target=_fill, args=(self._run, self._work), name="trial", daemon=True).start()
        return self._run


def _fill(run: Future[T], work: Callable[[], T]) -> None:
    try:
        run.set_result(work())
    except BaseException as error:  # it is raised where the result is asked for
        run.set_exception(error)
