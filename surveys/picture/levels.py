"""Levels of a picture: from its recipe, or measured on its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from surveys.picture.look import Look
from surveys.recipe import Recipe
from surveys.request import Cuts

Image = NDArray[np.float32]

#: Zero point of nanomaggies.
NANOMAGGY_MAG = 22.5

#: Measured levels of one band: black lies so many standard deviations below the sky, which shows then.
_BELOW_SKY = 1.5
#: Share of the pixels that are darker than white, percent, and how far above the sky white is at least.
_WHITE_PERCENT, _WHITE_SIGMAS = 99.7, 25.0
#: Lupton's S at least, where 1 is white: asinh(8 / 0.06) / 8 is 0.7.
_SOFTENING = 0.06


@dataclass(frozen=True, slots=True)
class Sky:
    """Median of a band, and the standard deviation about it as the pixels below the median give it."""

    median: float
    sigma: float


def factors(look: Look, zeropoints: Sequence[float | None]) -> tuple[Look, tuple[float, ...]]:
    """Factors from pixel values to the unit of the recipe, one for each band.

    Parameters
    ----------
    look
        How the picture is made.
    zeropoints
        Of each band's reference image, magnitudes; None where unknown.

    Returns
    -------
    look, factors
        The look is one with measured levels if the recipe needs a zero point that an image lacks.
    """
    if look.recipe.unit == "pixel":
        return look, (1.0,) * len(look.bands)
    known = [zeropoint for zeropoint in zeropoints if zeropoint is not None]
    if len(known) < len(look.bands):
        recipe = Recipe("auto", 0, look.recipe.algorithm, unit="pixel", stretch=look.recipe.stretch)
        return replace(look, recipe=recipe, measured=True), (1.0,) * len(look.bands)
    return look, tuple(float(10 ** (0.4 * (NANOMAGGY_MAG - zeropoint))) for zeropoint in known)


def sky_of(values: Image) -> Sky:
    """Sky of a picture, from its faint half; of no data, 0 and 1."""
    known = values[np.isfinite(values)].astype(np.float64)
    if known.size == 0:
        return Sky(0.0, 1.0)
    median = float(np.median(known))
    below = median - known[known <= median]
    sigma = 1.4826 * float(np.median(below))
    return Sky(median, sigma or float(known.std()) or abs(median) or 1.0)


def measured_grey(values: Image, recipe: Recipe) -> Recipe:
    """Recipe of one band with levels that this picture gives it."""
    if recipe.cuts is not None:
        return recipe
    sky = sky_of(values)
    known = values[np.isfinite(values)]
    bright = float(np.percentile(known, _WHITE_PERCENT)) if known.size else 1.0
    black = sky.median - _BELOW_SKY * sky.sigma
    white = max(bright, sky.median + _WHITE_SIGMAS * sky.sigma)
    softening = recipe.softening
    if softening is None:
        softening = max(4.0 * sky.sigma, 0.02 * (white - black))
    return replace(recipe, cuts=Cuts("values", black, white), softening=softening)


def measured_colour(images: Sequence[Image], recipe: Recipe, bands: Sequence[str]) -> Recipe:
    """Recipe of three bands with levels of this picture: its sky and its brightest pixels have no colour.

    Parameters
    ----------
    images
        Red, green and blue, in the unit of the recipe.
    recipe
        What the request fixes stays.
    bands
        Their labels.
    """
    skies = [sky_of(image) for image in images]
    ranges = [_range(image, sky) for image, sky in zip(images, skies, strict=True)]
    noise = float(np.mean([sky.sigma / range_ for sky, range_ in zip(skies, ranges, strict=True)]))
    black = {
        band: sky.median - noise * range_ for band, sky, range_ in zip(bands, skies, ranges, strict=True)
    }
    if recipe.algorithm == "stiff":
        if recipe.cuts is not None:
            return recipe
        white = [sky.median + range_ for sky, range_ in zip(skies, ranges, strict=True)]
        cuts = {band: Cuts("values", black[band], top) for band, top in zip(bands, white, strict=True)}
        return replace(recipe, band_cuts=cuts)
    softening = recipe.softening if recipe.softening is not None else max(_SOFTENING, 6.0 * noise)
    return replace(
        recipe,
        scale=dict(recipe.scale) or {band: 1.0 / range_ for band, range_ in zip(bands, ranges, strict=True)},
        black=dict(recipe.black) or ({} if recipe.minimum else black),
        softening=softening,
    )


def _range(image: Image, sky: Sky) -> float:
    known = image[np.isfinite(image)]
    bright = float(np.percentile(known, _WHITE_PERCENT)) - sky.median if known.size else 0.0
    return max(bright, 5.0 * sky.sigma)
