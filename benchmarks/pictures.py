"""Colour pictures of three bands in memory, against astropy and Pillow."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
from astropy.visualization import make_lupton_rgb
from astropy.wcs import WCS
from numpy.typing import NDArray
from PIL import Image

from benchmarks.skies import DEC_DEG, DECLARATION, RA_DEG, SCALE_DEG, some_stars, tan_header
from benchmarks.table import Row, paired_ms
from config.kernels import load_kernels
from surveys.declaration import parse_survey
from surveys.picture.look import choose_look
from surveys.picture.render import render
from surveys.request import PictureOptions

SIZE = 1000
NOISE = 5.0
Q, STRETCH = 8.0, 30.0
RECIPE = f"""
[recipes.colour]
version = 1
algorithm = "lupton"
bands = ["z", "r", "g"]
unit = "pixel"
q = {Q}
softening = {STRETCH}
"""
RUNS, SLOW_RUNS = 40, 10


def rows(folder: Path) -> Iterator[Row]:
    """Measure: time, size of the file, and that the same picture comes out."""
    load_kernels()
    images = _sky()
    ours, theirs = _with_render(images, "", folder), _with_astropy(images)
    what = f"colour PNG {SIZE}x{SIZE} of 3 bands in memory"
    peer = "make_lupton_rgb and Pillow"
    yield Row(f"{what}: time", *paired_ms(ours, theirs, RUNS, SLOW_RUNS), "ms", peer, "faster", 10.0)
    yield Row(f"{what}: size", len(ours(0)) / 1e3, len(theirs(0)) / 1e3, "kB", peer, "within", 1.10)
    same = _with_render(images, "astropy", folder)
    made, judge = (np.asarray(Image.open(BytesIO(make(0))).convert("RGB"), int) for make in (same, theirs))
    far = float(np.abs(made - judge).max())
    yield Row(f"{what}, VARIANT=astropy: largest difference", far, None, "grey levels", "", "below", 1.0)


def _sky() -> list[NDArray[np.float32]]:
    """Images of stars of all colours, in the order red, green, blue."""
    random = np.random.default_rng(5)
    wcs = WCS(tan_header(RA_DEG, DEC_DEG, SIZE, SCALE_DEG))
    images = []
    for seed in (1, 2, 3):
        pixels = NOISE * random.standard_normal((SIZE, SIZE), np.float32)
        some_stars(3000, SIZE * SCALE_DEG / 2, 1.2).draw(wcs, pixels)
        pixels *= np.float32(1.0 + 0.2 * seed)
        images.append(pixels)
    return images


def _with_render(
    images: list[NDArray[np.float32]], variant: Literal["", "astropy"], folder: Path
) -> Callable[[int], bytes]:
    text = DECLARATION.format(folder=folder, arcsec=3600 * SCALE_DEG) + RECIPE
    survey = parse_survey(tomllib.loads(text), "stars", "stars.toml", folder)
    options = PictureOptions("image/png", recipe="colour", variant=variant)
    look = choose_look(options, survey, [band.label for band in survey.bands])
    return lambda run: render(images, look, None, options).content


def _with_astropy(images: list[NDArray[np.float32]]) -> Callable[[int], bytes]:
    red, green, blue = images

    def make(run: int) -> bytes:
        target = BytesIO()
        pixels = make_lupton_rgb(red, green, blue, minimum=0, stretch=STRETCH, Q=Q)
        Image.fromarray(pixels[::-1]).save(target, "PNG")
        return target.getvalue()

    return make
