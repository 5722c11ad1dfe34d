"""How the units of a list are gathered in tasks, and what kind of work each of these is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from soda.lists.units import Units
from soda.price import kind_of_listed
from soda.rows import TASK_BYTES, TASK_S
from soda.targets import TargetTable
from surveys.bulk.plans import Verdict
from surveys.execute import IN_MEMORY_BYTES

#: Rows of a task at most: all are in memory while it is done.
TASK_ROWS = 2000
#: Seconds of a task of stamps, which are made so fast that all workers are to have some of them.
STAMPS_S = TASK_S / 8
#: Towards the end tasks become smaller, a share of what is left, so that all workers end at about the same
#: time; but none smaller than this share of a usual one.
LEFT_SHARE, LEAST_SHARE = 1 / 4, 1 / 8
#: Side of the patches of sky in which rows of several images are gathered, degrees.
_PATCH_DEG = 0.5

Kind = Literal["light", "heavy"]


@dataclass(frozen=True, slots=True)
class Lot:
    """Units that become a task.

    Parameters
    ----------
    units
        In the order in which they are made.
    kind
        Of the task.
    work
        Name of the kind of work that most of it is, by time (`soda.price.kind_of`).
    seconds, size
        All together; `size` in bytes.
    """

    units: list[int]
    kind: Kind
    work: str
    seconds: float
    size: int


def has_ended(units: Units) -> NDArray[np.bool_]:
    """Tell which units become no file, as is known before any is made."""
    verdict = units["verdict"]
    return np.asarray((verdict == Verdict.OUTSIDE) | (verdict == Verdict.FAILED))


def lots_of(table: TargetTable, units: Units) -> Iterator[Lot]:
    """Gather units: first those that are copied of one file, by it, then the others."""
    left = ~has_ended(units)
    # What is larger is made strip by strip, and may have to be inflated: it is given more memory.
    is_read = (units["artifact"] >= 0) | (units["alert"] >= 0)
    is_light = left & is_read & (units["bytes_out"] <= IN_MEMORY_BYTES)
    is_stamp = is_light & (units["alert"] >= 0)
    yield from _gathered(table, units, np.flatnonzero(is_stamp), "light", STAMPS_S, 1.0)
    yield from _gathered(table, units, np.flatnonzero(is_light & ~is_stamp), "light")
    yield from _gathered(table, units, np.flatnonzero(left & ~is_light), "heavy")


def _gathered(
    table: TargetTable,
    units: Units,
    which: NDArray[np.int64],
    kind: Kind,
    most_s: float = TASK_S,
    least: float = LEAST_SHARE,
) -> Iterator[Lot]:
    """Put rows of one file, or of one part of the sky, next to each other, and cut them into lots.

    Those of one image are in the order of its lines, in which disks read them fastest.
    """
    dec = np.floor(table.dec_deg[units["target"][which]] / _PATCH_DEG)
    ra = np.floor(table.ra_deg[units["target"][which]] / _PATCH_DEG)
    copied, nearest = units["artifact"][which], units["nearest"][which]
    # Alerts of one file have keys that follow each other, in the order of its rows.
    alert, line = units["alert"][which], units["y0"][which]
    order = which[np.lexsort((which, ra, dec, line, alert, nearest, copied))]
    for start, end in _cut(units["seconds"][order] / most_s, units["bytes_out"][order] / TASK_BYTES, least):
        yield _lot(units, order[start:end], kind)


def _cut(seconds: NDArray[np.float64], size: NDArray[np.float64], least: float) -> Iterator[tuple[int, int]]:
    """Cut units into lots: the first and the end of each; costs, and the least of them, in full tasks."""
    count = np.arange(len(size) + 1) / TASK_ROWS
    full = [np.append(0.0, np.cumsum(cost)) for cost in (seconds, size)]
    start = 0
    while start < len(size):
        left = max(float(cost[-1] - cost[start]) for cost in (*full, count))
        most = min(1.0, max(least, LEFT_SHARE * left))
        ends = (int(np.searchsorted(cost, cost[start] + most, "right")) - 1 for cost in (*full, count))
        end = min(max(start + 1, min(ends)), len(size))
        yield start, end
        start = end


def _lot(units: Units, which: NDArray[np.int64], kind: Kind) -> Lot:
    seconds, size = units["seconds"][which], units["bytes_out"][which]
    most = which[np.argmax(np.bincount(units["product"][which], seconds)[units["product"][which]])]
    product = units.products[int(units["product"][most])]
    work = kind_of_listed(
        product.format, int(np.median(units["pixels_out"][which])), product.survey, is_copied=kind == "light"
    )
    return Lot(which.tolist(), kind, work, float(seconds.sum()), int(size.sum()))
