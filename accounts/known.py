"""Who was known a moment ago, so that not every request asks the database."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from dali.caller import Caller

#: More than these are not remembered at a time.
MOST = 10_000


class Known:
    """Callers by what they showed; one for each process.

    Parameters
    ----------
    kept_s
        So long a caller is known. What another process changes is noticed after this time at the latest.
    clock
        Seconds of a clock that is never set.

    Notes
    -----
    Whoever changes accounts, tokens or sessions in this process has to call `forget` afterwards. A look-up
    that began before counts for nothing: `remember` wants the number that `begin` gave.
    """

    def __init__(self, kept_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._kept_s = kept_s
        self._clock = clock
        self._lock = threading.Lock()
        self._changes = 0
        self._callers: dict[bytes, tuple[float, Caller]] = {}

    def find(self, key: bytes) -> Caller | None:
        """Find who showed this a moment ago."""
        # One look-up in a dict, which needs no lock.
        found = self._callers.get(key)
        return found[1] if found is not None and found[0] > self._clock() else None

    def begin(self) -> int:
        """Give the number of changes so far; to be asked for before the database is asked."""
        return self._changes

    def remember(self, key: bytes, caller: Caller, begun: int) -> None:
        """Keep a caller, unless something changed since `begun`."""
        with self._lock:
            if begun != self._changes:
                return
            if len(self._callers) >= MOST:
                self._callers.clear()
            self._callers[key] = (self._clock() + self._kept_s, caller)

    def forget(self) -> None:
        """Know nobody any longer."""
        with self._lock:
            self._changes += 1
            self._callers.clear()
