"""Cutouts of a file of which nothing is in the page cache."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.cutouts import POSITIONS, SIZE, make_tiles, plans_of, with_cutout2d
from benchmarks.table import Row, medians_ms
from surveys.execute import execute
from surveys.fits.source import Source
from surveys.plan import CutoutPlan
from tests.support.tiles import FileCatalog

RUNS = 31


def rows(folder: Path) -> Iterator[Row]:
    """Measure; before each cutout, of either kind, the pages of the tile are dropped."""
    # A file of its own: pages that anything in this process still maps are not dropped.
    tile = Path(shutil.copyfile(make_tiles(folder)["plain"], folder / "cold.fits"))
    catalog = FileCatalog()
    record = catalog.add(tile)
    with tile.open("rb") as file:
        os.fsync(file.fileno())  # pages that are not written yet would stay
        for size, goal in ((SIZE, 2.5), (1024, 2.0)):
            cut = _with_new_source(catalog, plans_of(record, size))
            took = medians_ms(
                (cut, RUNS), (with_cutout2d(tile, size), RUNS), before=lambda: _forget(file.fileno())
            )
            yield Row(f"cold file: execute {size}x{size}", *took, "ms", "astropy Cutout2D", "faster", goal)
    tile.unlink()


def _with_new_source(catalog: FileCatalog, plans: list[CutoutPlan]) -> Callable[[int], int]:
    """Cut with a source of its own each time: pages that are mapped are not dropped."""
    return lambda run: sum(map(len, execute(plans[run % POSITIONS], catalog, Source()).chunks()))


def _forget(file: int) -> None:
    """Drop the pages of a file, and make sure that they are gone."""
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    middle = os.fstat(file).st_size // 2
    try:
        os.preadv(file, [bytearray(1)], middle, os.RWF_NOWAIT)
    except BlockingIOError:
        return
    raise RuntimeError("the pages of the tile could not be dropped: another process maps them")
