"""Cutouts of a Rice-compressed tile, against the bare decoding of the same bytes, and fitsio."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fitsio

from benchmarks.cutouts import POSITIONS, SIZE, boxes, make_tiles, plans_of
from benchmarks.table import Row, medians_ms
from surveys.execute import execute
from surveys.fits.compressed import warm_up
from surveys.fits.source import Source
from surveys.kernels import rice as kernels
from surveys.plan import CutoutPlan
from tests.support.tiles import FileCatalog

RUNS = 128


def rows(folder: Path) -> Iterator[Row]:
    """Measure; the tile has a row of pixels in each of its compression tiles."""
    tile = make_tiles(folder)["rice"]
    catalog, source = FileCatalog(), Source()
    plans = plans_of(catalog.add(tile, 1), SIZE)
    warm_up()

    def ours(run: int) -> int:
        return sum(map(len, execute(plans[run % POSITIONS], catalog, source).chunks()))

    bare = _bare_decode(plans, catalog, source)
    with fitsio.FITS(str(tile)) as file:
        took, alone, by_fitsio = medians_ms((ours, RUNS), (bare, RUNS), (_with_fitsio(file), RUNS // 4))
    what = f"Rice, a row a tile: execute {SIZE}x{SIZE}"
    yield Row(what, took, alone, "ms", "bare decode up to the last column", "within", 1.3)
    yield Row(what, took, by_fitsio, "ms", "fitsio, file kept open", "faster", 4.0)


def _bare_decode(plans: list[CutoutPlan], catalog: FileCatalog, source: Source) -> Callable[[int], None]:
    """Return what does nothing but to decode, into memory that is there, what the plans need decoded."""
    decode = kernels.decode_tiles
    calls: list[list[tuple[Any, ...]]] = []

    def note(*arguments: Any) -> int:
        calls[-1].append(arguments)
        return int(decode(*arguments))

    kernels.decode_tiles = note
    try:
        for plan in plans:
            calls.append([])
            execute(plan, catalog, source).tobytes()
    finally:
        kernels.decode_tiles = decode

    def bare(run: int) -> None:
        for arguments in calls[run % POSITIONS]:
            decode(*arguments)

    return bare


def _with_fitsio(file: fitsio.FITS) -> Callable[[int], Any]:
    """Return the peer: pixels alone, neither header nor file."""
    wanted = list(boxes(POSITIONS, SIZE))

    def cut(run: int) -> Any:
        box = wanted[run % POSITIONS]
        return file[1][box.y0 : box.y1, box.x0 : box.x1]

    return cut
