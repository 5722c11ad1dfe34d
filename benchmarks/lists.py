"""Lists of targets: planned together, cut into containers with and without a service; astropy in a loop."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.wcs import WCS
from numpy.typing import NDArray

from benchmarks import list_jobs
from benchmarks.skies import DEC_DEG, RA_DEG, SCALE_DEG, centres_about, survey_of, tan_header
from benchmarks.table import Row
from config.app import Parts, assemble, site_of
from config.settings import load_settings
from soda.spelling import with_url
from surveys.bulk.planning import plan_many
from surveys.bulk.plans import ManyPlans, Planner, plan_of
from surveys.execute import execute
from surveys.fits.product import Site
from surveys.planner import Limits, plan_cutout
from surveys.request import CutoutRequest
from surveys.sky.pixels import PixelBox
from surveys.sky.stencil import Size
from uws.containers import ContainerWriter
from uws.jobtype import File

COLUMNS, SIDE, OVERLAP = 3, 10_000, 400
SIZE = Size(256, 256, in_pixels=True)
LIMITS = Limits(max_pixels=10**8, max_bytes=10**9)
TARGETS, MANY_TARGETS = 10_000, 100_000
ROWS_OF_A_TASK = 500
WORKERS = list_jobs.WORKERS
#: Cutouts are written here, where there is such a folder: a disk takes fewer of them than are made.
MEMORY = Path("/dev/shm")
#: Single cutouts of the peers, of which each takes long.
ALONE, NAIVE = 200, 60
#: Rows of the noise that tiles are filled with.
_STRIPE = 500


@dataclass(frozen=True, slots=True)
class Task:
    """Rows that are copies of one image: what they are cut of, and where."""

    number: int
    artifact_id: int
    generation: int
    ra_deg: NDArray[np.float64]
    dec_deg: NDArray[np.float64]
    boxes: tuple[PixelBox, ...]


def rows(folder: Path) -> Iterator[Row]:
    """Measure; tiles and containers are made in `folder`."""
    tiles = make_tiles(folder / "lists")
    data = folder / "lists-data"
    with survey_of(folder / "lists", data) as parts:
        yield from _planning(parts)
        many = plan(parts, TARGETS)
    tasks = list(tasks_of(many))
    count = sum(len(task.boxes) for task in tasks)
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else folder) as written:
        yield from _made(data, tiles, tasks, count, Path(written))


def _made(data: Path, tiles: list[Path], tasks: list[Task], count: int, folder: Path) -> Iterator[Row]:
    """Measure what is written, into `folder`."""

    def rate(workers: int) -> float:
        list_jobs.touch(folder, count * list_jobs.CUTOUT_BYTES)
        return count / bare_loop(data, tasks, folder / f"containers-{workers}", workers)

    one, two = (statistics.median(rate(workers) for _ in range(list_jobs.ROUNDS)) for workers in (1, WORKERS))
    naive = NAIVE / _naive_s(tiles, folder / "naive")
    what = f"List: {count:,} cutouts of 256x256 over {len(tiles)} tiles into containers, no service"
    yield Row(f"{what}, one process", one, naive, "/s", "astropy in a loop", "rate", 25.0)
    yield Row(f"{what}, {WORKERS} processes", two, one, "/s", "one", "rate", 1.5)
    places = positions(TARGETS), positions(MANY_TARGETS)
    yield from list_jobs.rows(data, folder / "results", *places, lambda: rate(WORKERS))


def make_tiles(folder: Path) -> list[Path]:
    """Write overlapping tiles of noise."""
    folder.mkdir(exist_ok=True)
    noise = np.random.default_rng(5).standard_normal((_STRIPE, SIDE), np.float32).astype(">f4").tobytes()
    paths = []
    for number, (ra, dec) in enumerate(centres_about(COLUMNS, (SIDE - OVERLAP) * SCALE_DEG)):
        paths.append(folder / f"t{number:03d}-r.fits")
        header = fits.Header([("SIMPLE", True), ("BITPIX", -32), ("NAXIS", 2)])
        header.update(NAXIS1=SIDE, NAXIS2=SIDE)
        header.update(tan_header(ra, dec, SIDE, SCALE_DEG))
        with paths[-1].open("wb") as file:
            file.write(header.tostring().encode("ascii"))
            for _ in range(SIDE // _STRIPE):
                file.write(noise)
            file.write(bytes(-SIDE * SIDE * 4 % 2880))
    return paths


def positions(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places all over the tiles, a little away from the edge of the survey."""
    half = (COLUMNS * (SIDE - OVERLAP) / 2 - 200) * SCALE_DEG
    random = np.random.default_rng(6)
    dec = DEC_DEG + random.uniform(-half, half, count)
    return RA_DEG + random.uniform(-half, half, count) / np.cos(np.radians(dec)), dec


def plan(parts: Parts, count: int) -> ManyPlans:
    """Plan so many targets."""
    ra, dec = positions(count)
    request = CutoutRequest("stars/r")
    return plan_many(request, SIZE, ra, dec, parts.catalog, LIMITS, spell=_spelling(parts))


def _spelling(parts: Parts) -> Callable[[CutoutRequest], CutoutRequest]:
    return lambda request: with_url(request, parts.identifiers)


def _planning(parts: Parts) -> Iterator[Row]:
    plan(parts, 10)
    seconds = {}
    for count in (TARGETS, MANY_TARGETS):
        start = time.perf_counter()
        many = plan(parts, count)
        seconds[count] = time.perf_counter() - start
    start = time.perf_counter()
    for row in range(ALONE):
        plan_cutout(many.request(row), parts.catalog, LIMITS)
    alone = (time.perf_counter() - start) / ALONE
    each = seconds[TARGETS] / TARGETS
    what = f"List: {TARGETS:,} targets planned together, for one"
    yield Row(what, 1e6 * each, 1e6 * alone, "µs", "each alone", "faster", 75.0)
    yield Row(f"List: {MANY_TARGETS:,} targets planned", seconds[MANY_TARGETS], None, "s", "", "below", 1.0)


def tasks_of(many: ManyPlans) -> Iterator[Task]:
    """Gather the rows that are copies of one image, in the order of its pixels."""
    copied = np.flatnonzero(many.artifact >= 0)
    copied = copied[np.lexsort((many.y0[copied], many.artifact[copied]))]
    number = 0
    for artifact in np.unique(many.artifact[copied]).tolist():
        of_image = copied[many.artifact[copied] == artifact]
        for start in range(0, len(of_image), ROWS_OF_A_TASK):
            some = of_image[start : start + ROWS_OF_A_TASK]
            boxes = tuple(many.box(row) for row in some.tolist())
            yield Task(number, artifact, many.generation, many.ra_deg[some], many.dec_deg[some], boxes)
            number += 1


def bare_loop(data: Path, tasks: list[Task], folder: Path, workers: int) -> float:
    """Cut the rows of tasks into a container each; seconds from the first to the last."""
    folder.mkdir()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _prepare, (data, folder)) as pool:
        list(pool.map(_warm, tasks[:workers]))
        start = time.perf_counter()
        list(pool.map(_cut, tasks))
        spent = time.perf_counter() - start
    shutil.rmtree(folder)
    return spent


class _Maker:
    """What a process of the bare loop has."""

    parts: Parts
    site: Site
    folder: Path


def _prepare(data: Path, folder: Path) -> None:
    environ = {"FOUNTAIN_DATA__FOLDER": str(data), "FOUNTAIN_SURVEYS__DECLARATIONS": str(data)}
    settings = load_settings(environ)
    _Maker.parts = assemble(settings)
    _Maker.site = site_of(settings, _Maker.parts.identifiers)
    _Maker.folder = folder


def _warm(task: Task) -> None:
    _cut(replace(task, number=-1 - os.getpid(), boxes=task.boxes[:20]))


def _cut(task: Task) -> None:
    parts = _Maker.parts
    planner = Planner(CutoutRequest("stars/r"), SIZE, parts.catalog, LIMITS, bool, spell=_spelling(parts))
    record = parts.catalog.artifact(task.artifact_id)
    writer = ContainerWriter(_Maker.folder / f"{task.number}.zip")
    for row, box in enumerate(task.boxes):
        request = planner.request(task.ra_deg[row], task.dec_deg[row])
        made = plan_of(request, record, box, task.generation, parts.catalog, _Maker.site)
        result = execute(made, parts.catalog, parts.source, _Maker.site)
        writer.add(File(f"r{row}", result.file_name, result.media_type, result.chunks()))
    writer.seal()


def _naive_s(tiles: list[Path], folder: Path) -> float:
    """Seconds of what is written by hand: for each target, open a tile, cut, and write a file."""
    folder.mkdir()
    size = int(SIZE.width)
    start = time.perf_counter()
    for number in range(NAIVE):
        with fits.open(tiles[number % len(tiles)]) as hdus:
            wcs = WCS(hdus[0].header)
            x, y = np.random.default_rng(number).uniform(size, SIDE - size, 2)
            place: SkyCoord = wcs.pixel_to_world(x, y)
            cutout = Cutout2D(hdus[0].data, place, size, wcs)
            fits.PrimaryHDU(cutout.data, cutout.wcs.to_header()).writeto(folder / f"{number}.fits")
    return time.perf_counter() - start
