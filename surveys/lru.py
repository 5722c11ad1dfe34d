"""What was used last is kept, up to a limit."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Lru(Generic[K, V]):
    """The most recently used values, at most `keep`; safe between threads.

    Parameters
    ----------
    keep
        Number of values; or, where they are weighed, what all of them may weigh together.
    weigh
        What a value counts for; it does not change. One that weighs more than `keep` is not kept.
    """

    def __init__(self, keep: int, weigh: Callable[[V], int] | None = None) -> None:
        self._keep = keep
        self._weigh = weigh
        self._weight = 0
        self._values: OrderedDict[K, V] = OrderedDict()
        self._lock = threading.Lock()

    def held(self, key: K) -> V | None:
        """Give a value if it is kept; it stays as old as it was."""
        with self._lock:
            return self._values.get(key)

    def get(
        self,
        key: K,
        make: Callable[[], V],
        valid: Callable[[V], bool] | None = None,
        worth: Callable[[V], bool] | None = None,
    ) -> V:
        """Return the value of `key`; made (outside the lock) when it is missing or no longer `valid`.

        What is not `worth` it is not kept.
        """
        with self._lock:
            value = self._values.get(key)
            if value is not None and (valid is None or valid(value)):
                self._values.move_to_end(key)
                return value
        value = make()
        if worth is None or worth(value):
            self.put(key, value)
        return value

    def clear(self) -> None:
        """Keep nothing of what there was."""
        with self._lock:
            self._values.clear()
            self._weight = 0

    def put(self, key: K, value: V) -> None:
        """Keep a value that was made anyway."""
        weight = self._weigh(value) if self._weigh else 1
        if weight > self._keep:
            return
        with self._lock:
            replaced = self._values.pop(key, None)
            if replaced is not None:
                self._weight -= self._weigh(replaced) if self._weigh else 1
            self._values[key] = value
            self._weight += weight
            while self._weight > self._keep:
                _, oldest = self._values.popitem(last=False)
                self._weight -= self._weigh(oldest) if self._weigh else 1
