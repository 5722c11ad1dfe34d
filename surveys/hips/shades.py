"""How the pictures of a HiPS are made: levels once for all tiles, so that none differs from its neighbour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from surveys.errors import RequestFault
from surveys.hips.tiles import Image
from surveys.picture.curves import limits_of
from surveys.picture.encode import encode_png
from surveys.picture.levels import factors, measured_colour, measured_grey, sky_of
from surveys.picture.look import Look, choose_look
from surveys.picture.render import cite, colour_pixels
from surveys.recipe import Recipe
from surveys.request import Cuts, PictureOptions
from surveys.survey import Survey

_PNG = PictureOptions("image/png")


@dataclass(frozen=True, slots=True)
class Shades:
    """Colours of pixel values.

    Parameters
    ----------
    look
        Bands and recipe; nothing of it is measured on single pictures.
    zeropoints
        Of each band, magnitudes; None where unknown.
    skies
        What is taken off each band first.
    """

    look: Look
    zeropoints: tuple[float | None, ...]
    skies: tuple[float, ...]

    def png(self, images: Sequence[Image | None]) -> bytes:
        """Draw the images of the bands, first row at the bottom; pixels without data are clear."""
        above = [
            None if image is None else np.asarray(image - np.float32(sky))
            for image, sky in zip(images, self.skies, strict=True)
        ]
        pixels, _, covered = colour_pixels(above, self.look, self.zeropoints)
        return encode_png(pixels, transparent=covered < pixels.shape[0] * pixels.shape[1])

    @property
    def cuts(self) -> tuple[float, float] | None:
        """Pixel values of black and white, of one band."""
        cuts = self.look.recipe.cuts_of(self.look.bands[0])
        if self.look.is_colour or cuts is None:
            return None
        (factor,) = factors(self.look, self.zeropoints)[1]
        return cuts.low / factor + self.skies[0], cuts.high / factor + self.skies[0]

    def cite(self) -> str:
        """Say by what they are made."""
        return cite(self.look.recipe, self.look)


def shades_of_band(survey: Survey, band: str, sample: Image, zeropoint: float | None) -> Shades:
    """Shades of one band: by the first recipe of the survey that suits it, else by levels of a sample."""
    return _settled(choose_look(_PNG, survey, [band]), [sample], (zeropoint,))


def look_of_colours(survey: Survey, recipe: str) -> Look:
    """Bands and recipe of a colour HiPS.

    Raises
    ------
    RequestFault
        If the survey has no such recipe, or it is one of a single band.
    """
    labels = [band.label for band in survey.bands]
    look = choose_look(replace(_PNG, recipe=recipe), survey, labels)
    if not look.is_colour:
        raise RequestFault(f"the recipe {recipe} of {survey.name} is for one band, and colours need three")
    return look


def shades_of_colours(look: Look, samples: Sequence[Image], zeropoints: Sequence[float | None]) -> Shades:
    """Shades of three bands."""
    return _settled(look, samples, tuple(zeropoints))


def _settled(look: Look, samples: Sequence[Image], zeropoints: tuple[float | None, ...]) -> Shades:
    """Measure whatever the recipe would measure on each picture, once for all of them."""
    look, to_unit = factors(look, zeropoints)
    recipe = look.recipe
    skies = tuple(sky_of(sample).median if recipe.sky == "subtract" else 0.0 for sample in samples)
    scaled = [
        np.asarray((sample - np.float32(sky)) * np.float32(factor), dtype=np.float32)
        for sample, sky, factor in zip(samples, skies, to_unit, strict=True)
    ]
    if look.measured:
        recipe = (
            measured_colour(scaled, recipe, look.bands)
            if look.is_colour
            else measured_grey(scaled[0], recipe)
        )
    recipe = _with_values(replace(recipe, sky="keep"), look.bands, scaled)
    return Shades(replace(look, recipe=recipe, measured=False), zeropoints, skies)


def _with_values(recipe: Recipe, bands: Sequence[str], samples: Sequence[NDArray[np.float32]]) -> Recipe:
    """Put values in the place of levels that are told by percentages."""
    values = {}
    for band, sample in zip(bands, samples, strict=True):
        cuts = recipe.cuts_of(band)
        if cuts is not None and cuts.kind != "values":
            values[band] = Cuts("values", *limits_of(sample, cuts))
    if not values:
        return recipe
    if recipe.algorithm == "grey":
        return replace(recipe, cuts=next(iter(values.values())), band_cuts={})
    return replace(recipe, band_cuts={**recipe.band_cuts, **values})
