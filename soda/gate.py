"""How many requests of a process work on pixels at the same time."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from dali.errors import ServiceUnavailable


class PixelGate:
    """Lets a few requests in at a time; the others wait, but not for ever.

    Parameters
    ----------
    slots
        How many at a time: more than the cores only makes all of them slower.
    wait_s
        How long a request waits before it is told to come back.
    """

    def __init__(self, slots: int, wait_s: float) -> None:
        self._free = threading.BoundedSemaphore(slots)
        self._wait_s = wait_s

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Enter, or raise `ServiceUnavailable` after the wait."""
        if not self._free.acquire(timeout=self._wait_s):
            raise ServiceUnavailable(
                f"too many cutouts are being made; this one waited {self._wait_s:g} s for its turn",
                "Try again a little later.",
                retry_after_s=max(1, math.ceil(self._wait_s)),
            )
        try:
            yield
        finally:
            self._free.release()

    @contextmanager
    def resume(self) -> Iterator[None]:
        """Enter again for an answer already begun, which cannot be taken back: however long it takes."""
        with self._free:
            yield


class Turns:
    """How long a cutout has worked on pixels, all its turns in the gate together; waits do not count."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def count(self, turn: AbstractContextManager[None]) -> Iterator[None]:
        """Enter by `turn`, and count how long that lasts."""
        with turn:
            began = time.perf_counter()
            try:
                yield
            finally:
                self.seconds += time.perf_counter() - began
