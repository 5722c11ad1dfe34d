"""Mosaics of much sky: time, memory and bytes from 0.1 to 5 degrees; the memory of a picture of 3."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits

from benchmarks.memory import MB, Peak
from benchmarks.service import FOUNTAIN
from benchmarks.skies import (
    DEC_DEG,
    DECLARATION,
    ID_PREFIX,
    RA_DEG,
    centres_about,
    tan_header,
)
from benchmarks.table import Row, machine
from config.app import assemble
from config.kernels import load_kernels
from config.settings import load_settings
from dali.parameters import Parameters

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"

#: Tiles of half a degree, 1 arcsec a pixel, 16-bit integers, each with a tangent point of its own.
COLUMNS, SIDE, OVERLAP = 11, 1920, 120
SCALE_DEG = 1 / 3600
SIZES_DEG = (0.1, 0.5, 1.0, 2.0, 3.0, 5.0)
PICTURE_PX = 1024
GOAL_DEG, GOAL_MB = 3.0, 400.0
OVERVIEWS = "overviews = [4, 16]\n"

_ABOUT = """# Large mosaics

What mosaics of much sky take, as `make bench` measured it. The survey is synthetic: tiles of half a degree
with 1 arcsec a pixel, 16-bit integers with BSCALE, each on a plane of its own, so that all are resampled
(Lanczos-3; pictures have the means over their pixels). One thread, files in the page cache. Memory is the
peak of a process that did nothing else, everything it had loaded before counted ({base:.0f} MB), pages of
files not. FITS files larger than 32 MB are made in a temporary file, whose pages are the system's.
"""
_LIMITS = """
Memory stays about the same whatever the size, since mosaics are made in strips; what grows is time, and
bytes. So these set the default limits. At {ns:.0f} ns a pixel (FITS of {largest:g} degrees) a sync request
makes at most `sync.max_pixels`, 67 million (2.3 degrees at 1 arcsec, 0.6 degrees at 0.262 arcsec), in a few
seconds, and a job at most `cutout_jobs.max_pixels`, 537 million (6.4 degrees at 1 arcsec), well within its
`row_limit_s`. A picture is small whatever it shows, and is limited by what it reads, `max_pixels_in`: 1.07
billion pixels in sync (9 degrees at 1 arcsec), 8.6 billion in a job. Where a survey declares `overviews` it
reads next to nothing.
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a mosaic took."""

    seconds: float
    peak_mb: float
    base_mb: float
    product_bytes: int


def rows(folder: Path) -> Iterator[Row]:
    """Measure the memory of a picture of 3 degrees, then all sizes, and write the page of the documents."""
    sky = make_sky(folder)
    plain, quick = indexed(folder, sky), indexed(folder, sky, OVERVIEWS)
    picture = in_new_process(plain, picture_of(GOAL_DEG))
    what = f"memory of a {PICTURE_PX} px PNG of {GOAL_DEG:g} degrees, all of the process"
    yield Row(what, picture.peak_mb, None, "MB", "", "below", GOAL_MB)
    lines, slope = [], 0.0
    for size in SIZES_DEG:
        file = in_new_process(plain, {"CENTER": f"{RA_DEG} {DEC_DEG}", "SIZE": f"{size}deg"})
        pictures = [in_new_process(environ, picture_of(size)) for environ in (plain, quick)]
        side = round(size / SCALE_DEG)
        slope = 1e9 * file.seconds / side**2
        cells = [f"{size:g}°", f"{side} x {side}"]
        for taken in (file, *pictures):
            cells += [f"{taken.seconds:.2f} s", f"{taken.peak_mb:.0f} MB"]
            cells.append(f"{taken.product_bytes / MB:.1f} MB")
        lines.append(f"| {' | '.join(cells)} |")
    of_each = "time | memory | bytes"
    head = (
        f"| Size | Pixels | FITS: {of_each} | PNG, {PICTURE_PX} px: {of_each} | with overviews: {of_each} |"
    )
    table = [head, "|---" * 11 + "|", *lines]
    text = [
        _ABOUT.format(base=picture.base_mb),
        *machine(),
        "",
        *table,
        _LIMITS.format(ns=slope, largest=SIZES_DEG[-1]),
    ]
    PAGE.write_text("\n".join(text))


def picture_of(size_deg: float) -> dict[str, str]:
    """Return the parameters of a picture."""
    return {
        "CENTER": f"{RA_DEG} {DEC_DEG}",
        "SIZE": f"{size_deg}deg",
        "RESPONSEFORMAT": "image/png",
        "WIDTH": str(PICTURE_PX),
    }


def make_sky(folder: Path) -> Path:
    """Write the tiles; those that are there are kept."""
    sky = folder / "degrees"
    if sky.exists():
        return sky
    sky.mkdir()
    stored = (1000 + 100 * np.random.default_rng(8).standard_normal((SIDE, SIDE))).astype(">i2")
    data = stored.tobytes() + bytes(-stored.nbytes % 2880)
    for number, (ra, dec) in enumerate(centres_about(COLUMNS, (SIDE - OVERLAP) * SCALE_DEG)):
        header = fits.PrimaryHDU(np.zeros((1, 1), np.int16)).header
        header.update(NAXIS1=SIDE, NAXIS2=SIDE, BSCALE=0.05, BZERO=0.0)
        header.update(tan_header(ra, dec, SIDE, SCALE_DEG))
        (sky / f"t{number:03d}-r.fits").write_bytes(header.tostring().encode() + data)
    return sky


def indexed(folder: Path, sky: Path, more: str = "") -> dict[str, str]:
    """Index the tiles as the survey ``stars``, `more` declared of it; give its service's environment."""
    data = folder / f"degrees-data{'-more' if more else ''}"
    data.mkdir(exist_ok=True)
    text = DECLARATION.format(folder=sky, arcsec=3600 * SCALE_DEG)
    (data / "stars.toml").write_text(text.replace("[bands]", f"{more}[bands]"))
    environ = {
        "FOUNTAIN_DATA__FOLDER": str(data),
        "FOUNTAIN_SURVEYS__DECLARATIONS": str(data),
        "FOUNTAIN_SYNC__MAX_PIXELS": str(2**29),
        "FOUNTAIN_SYNC__MAX_BYTES": str(2**31),
        "FOUNTAIN_LOG__LEVEL": "warning",
    }
    command = [FOUNTAIN, "survey", "index", "stars"]
    subprocess.run(command, env=os.environ | environ, stdout=subprocess.DEVNULL, check=True)
    return environ


def in_new_process(environ: dict[str, str], asked: dict[str, str]) -> Taken:
    """Answer a request in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure, (environ, asked))


def _measure(environ: dict[str, str], asked: dict[str, str]) -> Taken:
    parts = assemble(load_settings(environ))
    load_kernels()
    parameters = Parameters.from_pairs({"ID": f"{ID_PREFIX}stars/r", **asked}.items())
    with Peak() as peak:
        start = time.perf_counter()
        sent = parts.sync.cut(parts.sync.ask(parameters))
        count = sum(map(len, sent.chunks or ()))
        seconds = time.perf_counter() - start
    parts.engine.dispose()
    return Taken(seconds, peak.most, peak.first, count)
