"""Memory of one cutout: how far the process grows, against twice the cutout and 20 MB."""

from __future__ import annotations

import multiprocessing
import resource
from collections.abc import Iterator
from pathlib import Path

from benchmarks.cutouts import make_tiles
from benchmarks.table import Row
from surveys.compressed import warm_up
from surveys.execute import execute
from surveys.pixels import PixelBox
from surveys.source import Source
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
    before = own_mb()
    result = execute(plan_of(record, PixelBox(3000, 3000 + size, 3000, 3000 + size)), catalog, source)
    peak = own_mb()
    for _ in result.chunks():
        peak = max(peak, own_mb())
    return peak - before


def own_mb() -> float:
    """Highest memory so far without the pages of mapped files, which are the kernel's to keep or drop."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (peak - int(status["RssFile"].split()[0])) * 1024 / MB
