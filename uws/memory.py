"""What memory processes hold."""

from __future__ import annotations

import gc
import os
from pathlib import Path

#: The collector of garbage looks once so many objects have come.
GARBAGE_OBJECTS = 20_000


def spare_the_collector() -> None:
    """Have the collector of garbage leave alone what there is, and come less often.

    For a process that has all it needs: to look through it takes a fifth of a second, again and again, and
    requests and rows leave next to nothing behind.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS)


def own_bytes(pid: int | None = None) -> int:
    """Memory that a process has for itself, this one unless another is named; 0 if that cannot be told.

    Files that are mapped do not count: images are large, and their pages are the system's to take back.
    """
    resident, shared = _held_pages(pid, 1, 2)
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")


def data_bytes() -> int:
    """Tell what of this process' memory is limited."""
    (data,) = _held_pages(None, 5)
    return data * os.sysconf("SC_PAGE_SIZE")


def _held_pages(pid: int | None, *columns: int) -> list[int]:
    """Read columns of statm (proc_pid_statm(5)); 0 where there is none."""
    try:
        found = Path(f"/proc/{pid or 'self'}/statm").read_text().split()
    except OSError:
        return [0] * len(columns)
    return [int(found[column]) for column in columns]
