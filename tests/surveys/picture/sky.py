"""Small skies that pictures are made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from surveys.recipe import Recipe
from surveys.request import PictureOptions
from surveys.survey import Band, Layer, Survey, Zeropoint
from surveys.template import PathTemplate

Image = NDArray[np.float32]
PNG = PictureOptions("image/png")

_EM = {"g": (4e-7, 5.5e-7), "r": (5.6e-7, 7e-7), "i": (7e-7, 8.5e-7), "z": (8.5e-7, 1e-6)}


def noisy_sky(side: int, *, seed: int = 7, noise: float = 1.0) -> tuple[Image, Image, Image]:
    """Three bands of stars on sky noise of unit sigma, brighter in red."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side].astype(np.float32)
    stars = np.zeros((side, side))
    for x0, y0, flux in zip(*rng.uniform(0, side, (2, 60)), 20 * (1 + rng.pareto(1.1, 60)), strict=True):
        stars += flux * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / 12.5)
    red, green, blue = (
        (stars * share + rng.normal(0, noise, stars.shape)).astype(np.float32) for share in (1.2, 1.0, 0.7)
    )
    return red, green, blue


def with_holes(image: Image, seed: int, share: float = 0.2) -> Image:
    """An image some of whose pixels have no data."""
    holes = np.random.default_rng(seed).random(image.shape) < share
    return np.where(holes, np.float32(np.nan), image)


def survey(*recipes: Recipe, bands: str = "gri", zeropoint: float | None = 22.5) -> Survey:
    """A survey with these recipes, whose pixels are nanomaggies unless `zeropoint` says otherwise."""
    point = None if zeropoint is None else Zeropoint(zeropoint)
    return Survey(
        "sky",
        "A sky",
        "coadd",
        (),
        tuple(Band(label, *_EM[label], (label,), point) for label in bands),
        (Layer("image", PathTemplate("{band}.fits", tuple(bands))),),
        1.0,
        recipes=recipes,
    )
