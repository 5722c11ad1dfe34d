"""Making single tiles, in whatever process: each is kept where one of the same key is there already."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Literal, Protocol

import numpy as np

from surveys.errors import BrokenImage, StaleImage, SurveyError
from surveys.fits.source import Source
from surveys.hips.deepest import HipsBand, make_pixels, part_key, photometry_cards, plan_tile
from surveys.hips.geometry import tile_path
from surveys.hips.shades import Shades
from surveys.hips.tiles import (
    averaged,
    data_range,
    encode_fits,
    fits_facts,
    fits_key,
    key_for,
    png_key,
    read_fits,
    with_key,
    write_whole,
)
from surveys.index.catalog import Catalog

#: Tiles that are handed out before they are asked for, for each process.
_AHEAD = 4

#: Opens what a process reads: the image index, and the files.
Opener = Callable[[], tuple[Catalog, Source]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a tile.

    Parameters
    ----------
    state
        ``made``, ``kept`` (it was there), or ``empty`` (there are no pixels with data, and no file).
    low, high
        Least and greatest pixel; NaN where unknown.
    fault
        Why it could not be made; "" where nothing was wrong.
    """

    tile: int
    state: Literal["made", "kept", "empty"]
    low: float = float("nan")
    high: float = float("nan")
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Places:
    """Folders of a build.

    Parameters
    ----------
    work
        What is made comes here.
    before
        The edition before, out of which tiles are taken that would be the same.
    """

    work: Path
    before: Path

    def reuse(self, path: str, key: str, key_of: Callable[[Path], str | None]) -> bool:
        """Have the file of this key in the work, if it is there or in the edition before."""
        ours, theirs = self.work / path, self.before / path
        if key_of(ours) == key:
            return True
        if key_of(theirs) != key:
            return False
        ours.parent.mkdir(parents=True, exist_ok=True)
        ours.unlink(missing_ok=True)
        try:
            # The same file under both names: the edition before goes when this one is published.
            os.link(theirs.resolve(), ours)
        except OSError:
            shutil.copyfile(theirs, ours)
        return True


class Job(Protocol):
    """Something to be made of one tile."""

    @property
    def tile(self) -> int:
        """Its number."""

    def run(self, catalog: Catalog, source: Source) -> Outcome:
        """Make it.

        Raises
        ------
        SurveyError
            If it cannot be made.
        """


@dataclass(frozen=True, slots=True)
class Deepest:
    """Make a deepest tile out of images."""

    places: Places
    band: HipsBand
    tile: int

    def run(self, catalog: Catalog, source: Source) -> Outcome:
        """Make it."""
        path = tile_path(self.band.order, self.tile, "fits")
        part = plan_tile(self.band, self.tile, catalog)
        if part is None:
            return Outcome(self.tile, "empty")
        key = part_key(self.band, part, catalog.survey(self.band.survey))
        kept = self.places.reuse(path, key, fits_key)
        if not kept:
            pixels = make_pixels(self.band, part, catalog, source)
            if not np.isfinite(pixels).any():
                (self.places.work / path).unlink(missing_ok=True)
                return Outcome(self.tile, "empty")
            cards = photometry_cards(self.band)
            write_whole(self.places.work / path, encode_fits(pixels, self.band.order, self.tile, key, cards))
        low, high = data_range(fits_facts(self.places.work / path) or {})
        return Outcome(self.tile, "kept" if kept else "made", low, high)


@dataclass(frozen=True, slots=True)
class Parent:
    """Make a tile of the four below it."""

    places: Places
    band: HipsBand
    order: int
    tile: int

    def run(self, catalog: Catalog, source: Source) -> Outcome:
        """Make it."""
        work = self.places.work
        below = {child: work / tile_path(self.order + 1, 4 * self.tile + child, "fits") for child in range(4)}
        keys = {child: key for child, path in below.items() if (key := fits_key(path)) is not None}
        key = key_for("parent", sorted(keys.items()))
        path = tile_path(self.order, self.tile, "fits")
        if self.places.reuse(path, key, fits_key):
            return Outcome(self.tile, "kept")
        pixels = averaged({child: read_fits(below[child]) for child in keys})
        write_whole(work / path, encode_fits(pixels, self.order, self.tile, key, photometry_cards(self.band)))
        return Outcome(self.tile, "made")


@dataclass(frozen=True, slots=True)
class Painted:
    """Make the picture of a tile.

    Parameters
    ----------
    sources
        Folders whose FITS tiles are its bands.
    """

    places: Places
    shades: Shades
    sources: tuple[Path, ...]
    order: int
    tile: int

    def run(self, catalog: Catalog, source: Source) -> Outcome:
        """Make it."""
        bands = [folder / tile_path(self.order, self.tile, "fits") for folder in self.sources]
        keys = [fits_key(path) for path in bands]
        if not any(keys):
            return Outcome(self.tile, "empty")
        key = key_for("picture", keys, self.shades)
        path = tile_path(self.order, self.tile, "png")
        if self.places.reuse(path, key, png_key):
            return Outcome(self.tile, "kept")
        images = [None if key is None else read_fits(path) for path, key in zip(bands, keys, strict=True)]
        write_whole(self.places.work / path, with_key(self.shades.png(images), key))
        return Outcome(self.tile, "made")


class Makers:
    """Processes that make tiles; with one worker, this process does.

    Parameters
    ----------
    workers
        How many.
    opener
        Called once in each; it must be importable there.
    """

    def __init__(self, workers: int, opener: Opener) -> None:
        self._workers = workers
        self._opener = opener
        self._opened: tuple[Catalog, Source] | None = None
        self._pool: ProcessPoolExecutor | None = None
        if workers > 1:
            self._pool = ProcessPoolExecutor(workers, get_context("spawn"), _begin, (opener,))

    def __enter__(self) -> Makers:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def run(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        """Yield what became of each, in any order.

        Raises
        ------
        SurveyError
            If one cannot be made, or a process was killed; what was made until then is kept.
        """
        for outcome in self._here(jobs) if self._pool is None else self._there(self._pool, jobs):
            if outcome.fault:
                raise SurveyError(outcome.fault)
            yield outcome

    def _here(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        if self._opened is None:
            self._opened = self._opener()
        for job in jobs:
            yield _outcome(job, *self._opened)

    def _there(self, pool: ProcessPoolExecutor, jobs: Iterable[Job]) -> Iterator[Outcome]:
        todo = iter(jobs)
        running: set[Future[Outcome]] = set()
        try:
            while True:
                room = self._workers * _AHEAD - len(running)
                running |= {pool.submit(_run, job) for job in islice(todo, room)}
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        except BrokenProcessPool as broken:
            raise SurveyError(
                "a process that made tiles was killed, perhaps for want of memory: what is made is kept, "
                "and the same command with fewer --workers goes on from there"
            ) from broken


#: What this process works with, if it is one of several that make tiles.
_OPENED: list[tuple[Catalog, Source]] = []


def _begin(opener: Opener) -> None:
    # Ctrl-C reaches all of them, and is for the parent to answer; without it there is nothing to do.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()
    _OPENED[:] = [opener()]


def _end_with_parent() -> None:
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)


def _run(job: Job) -> Outcome:
    return _outcome(job, *_OPENED[0])


def _outcome(job: Job, catalog: Catalog, source: Source) -> Outcome:
    """Run a job; errors come back as words, since not each of them can be pickled."""
    try:
        return job.run(catalog, source)
    except StaleImage as error:
        return Outcome(job.tile, "empty", fault=f"{_named(error)}; index the survey first")
    except BrokenImage as error:
        return Outcome(job.tile, "empty", fault=_named(error))
    except SurveyError as error:
        return Outcome(job.tile, "empty", fault=str(error))


def _named(error: StaleImage | BrokenImage) -> str:
    text = str(error).rstrip(".")
    return f"{error.dataset}: {text}" if error.dataset and error.dataset not in text else text
