"""Reading many files by several processes, one of which may die of a file."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context
from typing import TypeVar

#: What is said of a file that no process survives.
DIED = "the process that read it died"

T = TypeVar("T")
R = TypeVar("R")


def in_processes(
    read: Callable[[T], R], todo: Sequence[T], workers: int, died: Callable[[T], R], ahead: int = 8
) -> Iterator[R]:
    """Read every one of `todo`, by `workers` processes where they are several.

    Parameters
    ----------
    read
        What is done, which other processes must be able to import.
    todo
        What it is done to; the results come in this order.
    died
        Result of one that no process survives.
    ahead
        How many results for each process may wait for the one that comes next.
    """
    if workers <= 1:
        yield from map(read, todo)
        return
    rest = list(reversed(todo))
    while rest:
        # Spawned, not forked: the caller may have threads.
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            try:
                yield from _read_in(pool, read, rest, ahead * workers)
            except BrokenProcessPool:
                pass
            else:
                return
        yield _read_alone(read, rest.pop(), died)


def _read_in(pool: ProcessPoolExecutor, read: Callable[[T], R], rest: list[T], ahead: int) -> Iterator[R]:
    """Read what is at the end of `rest`, last first; each leaves it when its result is yielded."""
    begun: deque[Future[R]] = deque()
    waiting = reversed(rest)
    while rest:
        for one in islice(waiting, ahead - len(begun)):
            begun.append(pool.submit(read, one))
        result = begun.popleft().result()
        rest.pop()
        yield result


def _read_alone(read: Callable[[T], R], one: T, died: Callable[[T], R]) -> R:
    """Read one near which a process died, in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(read, one).result()
        except BrokenProcessPool:
            return died(one)
