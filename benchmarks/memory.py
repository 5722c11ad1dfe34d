"""Memory of one cutout: how far the process grows, against twice the cutout and 20 MB."""

from __future__ import annotations

import multiprocessing
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from benchmarks.cutouts import make_tiles
from benchmarks.table import Row
from surveys.execute import execute
from surveys.fits.compressed import warm_up
from surveys.fits.source import Source
from surveys.sky.pixels import PixelBox
from tests.support.tiles import FileCatalog, plan_of

MB = 1e6


def rows(folder: Path) -> Iterator[Row]:
    """Measure each cutout in a new process."""
    tiles = make_tiles(folder)
    for name, hdu in (("plain", 0), ("rice", 1)):
        for size in (256, 4096):
            allowed = 2 * size * size * 4 / MB + 20
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                grown = pool.apply(_grown_mb, (tiles[name], hdu, size))
            yield Row(f"memory of a {size}x{size} cutout, {name}", grown, None, "MB", "", "below", allowed)


def _grown_mb(tile: Path, hdu: int, size: int) -> float:
    catalog, source = FileCatalog(), Source()
    record = catalog.add(tile, hdu)
    warm_up()
    # The first cutout loads what is loaded once for all.
    b"".join(execute(plan_of(record, PixelBox(0, 64, 0, 64)), catalog, source).chunks())
    plan = plan_of(record, PixelBox(3000, 3000 + size, 3000, 3000 + size))
    return grown_mb(lambda: deque(execute(plan, catalog, source).chunks(), maxlen=1))


def grown_mb(work: Callable[[], object]) -> float:
    """Return how far the process grows while it works, pages of files aside."""
    with Peak() as peak:
        work()
    return peak.most - peak.first


class Peak:
    """Memory of the process while a block runs, looked at each millisecond; pages of files aside.

    Attributes
    ----------
    first, most
        MB at its beginning, and at the highest.
    """

    def __enter__(self) -> Self:
        self.first = self.most = _anonymous_mb()
        self._done = threading.Event()
        self._watcher = threading.Thread(target=self._watch)
        self._watcher.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.most = max(self.most, _anonymous_mb())
        self._done.set()
        self._watcher.join()

    def _watch(self) -> None:
        while not self._done.wait(0.001):
            self.most = max(self.most, _anonymous_mb())


def _anonymous_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) * 1024 / MB
