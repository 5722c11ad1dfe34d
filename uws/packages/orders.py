"""The rows of a job in any order: made once, kept in memory for a while, and read page by page."""

from __future__ import annotations

import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dali.errors import ServiceUnavailable

#: Orders that a process keeps, and bytes of all of them.
KEPT, KEPT_BYTES = 32, 256 << 20
#: So many are made at a time, those of one job one after the other; so many requests wait for each of them,
#: and for so long. Whoever asks for others all the time does not take every thread of the process.
AT_ONCE, MOST_WAITING, WAIT_S = 8, 8, 20.0
RETRY_AFTER_S = 5
#: The order of a job that runs holds for so long at least, or for so many times as long as it took to make.
LEAST_S, TIMES = 0.5, 5.0

Key = tuple[int, int]


@dataclass(frozen=True)
class Order:
    """Rows in an order.

    Parameters
    ----------
    rows, parts
        Number and part of each.
    values
        By which they are sorted; None of rows in the order of their numbers.
    """

    rows: NDArray[np.int32]
    parts: NDArray[np.int32]
    values: Sequence[Any] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def size(self) -> int:
        """Bytes that it takes, about."""
        values = () if self.values is None else self.values
        return 8 * len(self) + sum(8 + sys.getsizeof(value) for value in values)

    def keys(self, start: int, stop: int) -> list[Key]:
        """Give number and part of some rows."""
        some = slice(start, stop)
        return list(zip(self.rows[some].tolist(), self.parts[some].tolist(), strict=True))

    def place_after(self, key: Key) -> int | None:
        """Give the place that follows a row; None where it is none of these."""
        found = np.flatnonzero((self.rows == key[0]) & (self.parts == key[1]))
        return int(found[0]) + 1 if found.size else None


def in_order(keys: Sequence[Key], values: Sequence[Any] | None = None, *, descending: bool = False) -> Order:
    """Put rows, which are given in the order of their numbers, in the order of some values.

    Numbers are sorted as such if there is nothing else, also where they are texts; all else as texts, in any
    case. Rows without a value are last, and those of one value in the order of their numbers.
    """
    places = list(range(len(keys)))
    if values is not None:
        known = [place for place in places if values[place] is not None and values[place] != ""]
        sorted_by = _comparable([values[place] for place in known])
        known = [known[at] for at in sorted(range(len(known)), key=sorted_by.__getitem__, reverse=descending)]
        places = known + [place for place in places if values[place] is None or values[place] == ""]
        values = [values[place] for place in places]
    both = np.array(keys, np.int32).reshape(-1, 2)[places]
    return Order(both[:, 0].copy(), both[:, 1].copy(), values)


def _comparable(values: list[Any]) -> Sequence[Any]:
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError, OverflowError):
        return [str(value).casefold() for value in values]
    # What is no number is not above or below any.
    return [number if number == number else float("-inf") for number in numbers]


@dataclass(frozen=True, slots=True)
class _Kept:
    order: Order
    state: Hashable
    until: float


class _Turns:
    """Lets one in at a time; few wait, and not for ever."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._places = threading.Semaphore(1 + MOST_WAITING)

    @contextmanager
    def take(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise _busy()
        try:
            if not self._lock.acquire(timeout=WAIT_S):
                raise _busy()
            try:
                yield
            finally:
                self._lock.release()
        finally:
            self._places.release()


class Orders:
    """Orders that were asked for lately; those of one job are made one after the other."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._lock = threading.Lock()
        self._turns = [_Turns() for _ in range(AT_ONCE)]

    def of(
        self,
        job_id: str,
        which: Hashable,
        state: Hashable,
        make: Callable[[], Order],
        having: Key | None = None,
    ) -> Order:
        """Give an order.

        Parameters
        ----------
        job_id
            Whose rows.
        which
            Of them.
        state
            That of the rows: one of another state holds for a moment only.
        make
            Makes it.
        having
            A row that is in it: another process may have told of it already.

        Raises
        ------
        ServiceUnavailable
            If others are being made, and enough wait for that.
        """
        key = job_id, which
        if (found := self._find(key, state, having)) is not None:
            return found
        with self._turns[hash(job_id) % AT_ONCE].take():
            if (found := self._find(key, state, having)) is not None:
                return found
            began = time.monotonic()
            order = make()
            now = time.monotonic()
            self._keep(key, _Kept(order, state, now + max(LEAST_S, TIMES * (now - began))))
            return order

    def _find(self, key: Hashable, state: Hashable, having: Key | None) -> Order | None:
        with self._lock:
            kept = self._kept.get(key)
            if kept is None or (kept.state != state and kept.until < time.monotonic()):
                return None
            if kept.state != state and having is not None and kept.order.place_after(having) is None:
                return None
            self._kept.move_to_end(key)
            return kept.order

    def _keep(self, key: Hashable, kept: _Kept) -> None:
        with self._lock:
            self._kept[key] = kept
            self._kept.move_to_end(key)
            while len(self._kept) > 1 and (
                len(self._kept) > KEPT or sum(one.order.size for one in self._kept.values()) > KEPT_BYTES
            ):
                self._kept.popitem(last=False)


def _busy() -> ServiceUnavailable:
    return ServiceUnavailable(
        "rows are being put in order for many at the moment",
        "Try again a little later.",
        retry_after_s=RETRY_AFTER_S,
    )
