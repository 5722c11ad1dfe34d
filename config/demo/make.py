"""Makes the files of the demo survey, in several processes, and only those that are missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

from config.demo.files import write_whole
from config.demo.recipe import RECIPE, Recipe, Tile, tiles_of
from config.demo.tile import Work, make_tile

STAMP = "demo.json"


@dataclass(frozen=True, slots=True)
class DemoReport:
    """What `make_demo` did: `made` of `files` files were new; together they have `size` bytes."""

    folder: Path
    files: int
    made: int
    size: int


def make_demo(
    folder: Path,
    *,
    workers: int,
    progress: Callable[[int, int], None] | None = None,
    recipe: Recipe = RECIPE,
) -> DemoReport:
    """Make the demo survey in `folder`, or what is missing of it.

    Parameters
    ----------
    folder
        Made if needed. Files of another recipe in it are made again; other files are left alone.
    workers
        Number of processes; 1 makes everything in this one.
    progress
        Called with the number of tiles done and of all tiles to make, first with 0.
    recipe
        Of the demo survey; tests give a smaller one.

    Returns
    -------
    DemoReport
        Number and size of its files.
    """
    tiles = list(tiles_of(recipe))
    missing = _missing(folder, recipe, tiles)
    if missing:
        # Without the stamp until all are there: half a survey is none.
        (folder / STAMP).unlink(missing_ok=True)
        for name in ("images", "weights"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".making-", dir=folder) as parts:
            _make_tiles(Work(folder, Path(parts), recipe), missing, workers, progress)
            _write_stamp(folder, Path(parts), recipe, tiles)
    sizes = [(folder / name).stat().st_size for tile in tiles for name in tile.files]
    return DemoReport(folder, len(sizes), 2 * len(missing), sum(sizes))


def _missing(folder: Path, recipe: Recipe, tiles: list[Tile]) -> list[Tile]:
    """Tiles that are not there as the stamp says; files of another recipe are removed."""
    try:
        stamp = json.loads((folder / STAMP).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return tiles
    sizes = stamp["sizes"]
    if stamp["recipe"] != _as_json(recipe):
        for name in sizes:
            (folder / name).unlink(missing_ok=True)
        return tiles

    def is_there(name: str) -> bool:
        path = folder / name
        return path.is_file() and path.stat().st_size == sizes[name]

    return [tile for tile in tiles if not all(map(is_there, tile.files))]


def _write_stamp(folder: Path, parts: Path, recipe: Recipe, tiles: list[Tile]) -> None:
    sizes = {name: (folder / name).stat().st_size for tile in tiles for name in tile.files}
    stamp = json.dumps({"recipe": _as_json(recipe), "sizes": sizes}, indent=1)
    write_whole(folder / STAMP, lambda path: path.write_text(stamp, encoding="utf-8"), parts)


def _as_json(recipe: Recipe) -> object:
    return json.loads(json.dumps(asdict(recipe)))


def _make_tiles(
    work: Work, tiles: list[Tile], workers: int, progress: Callable[[int, int], None] | None
) -> None:
    report = progress or (lambda done, total: None)
    report(0, len(tiles))
    if workers == 1:
        for done, tile in enumerate(tiles, start=1):
            make_tile(work, tile)
            report(done, len(tiles))
        return
    # Not fork: the caller may have threads.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        try:
            futures = [pool.submit(make_tile, work, tile) for tile in tiles]
            for done, future in enumerate(as_completed(futures), start=1):
                future.result()
                report(done, len(tiles))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
