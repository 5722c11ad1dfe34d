"""How a stamp becomes grey or colours: by a recipe of the survey, or by levels measured on the stamp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from surveys.alert import AlertRecord
from surveys.alerts.options import look_of_stamp
from surveys.kernels import area
from surveys.lake import Orientation
from surveys.picture.levels import sky_of
from surveys.picture.look import Look
from surveys.picture.render import cite, colour_pixels
from surveys.recipe import Recipe
from surveys.request import Cuts, PictureOptions
from surveys.survey import Survey

Image = NDArray[np.float32]
Bytes = NDArray[np.uint8]

#: Measured levels, in standard deviations of the sky: how far black is below it, how far white is above it at
#: least, and the scale of asinh. A difference shows what became fainter too.
_LEVELS = {"image": (2.0, 10.0, 3.0), "difference": (5.0, 10.0, 5.0)}
_WHITE_PERCENT = 99.8


@dataclass(frozen=True, slots=True)
class Painted:
    """A stamp in colours.

    Parameters
    ----------
    pixels
        Shape (h, w, 1) for grey, else (h, w, 3); the upper row first.
    recipe
        By what it was made.
    """

    pixels: Bytes
    recipe: str


def turned(values: Image, orientation: Orientation) -> Image:
    """Turn a stamp north up and east left; the first row is the lowest."""
    rows = slice(None, None, -1 if orientation in ("flip-y", "rotate-180") else 1)
    columns = slice(None, None, -1 if orientation in ("flip-x", "rotate-180") else 1)
    return values[rows, columns]


def resized(values: Image, width: int, height: int) -> Image:
    """Show a stamp in another size: each pixel of the picture is the mean of what it covers.

    In a size that is a whole number of times its own each of its pixels is a square of equal ones.
    """
    rows, columns = values.shape
    if (rows, columns) == (height, width):
        return values
    if height % rows == 0 and width % columns == 0:
        return values.repeat(height // rows, axis=0).repeat(width // columns, axis=1)
    out = np.empty((height, width), np.float32)
    area.average(np.ascontiguousarray(values), out)
    return out


def levelled(look: Look, values: Image, kind: str) -> Look:
    """Give a look the levels of a stamp, where it has none of its own."""
    if not look.measured or look.recipe.cuts is not None:
        return look
    return replace(look, recipe=_measured(values, look.recipe, kind), measured=False)


def _measured(values: Image, recipe: Recipe, kind: str) -> Recipe:
    below, above, scale = _LEVELS["difference" if is_difference(kind) else "image"]
    sky = sky_of(values)
    known = values[np.isfinite(values)]
    bright = float(np.percentile(known, _WHITE_PERCENT)) if known.size else 1.0
    black = sky.median - below * sky.sigma
    white = max(bright, sky.median + above * sky.sigma)
    softening = scale * sky.sigma if recipe.softening is None else recipe.softening
    return replace(recipe, cuts=Cuts("values", black, white), softening=softening)


def is_difference(kind: str) -> bool:
    """Whether the stamps of a kind are of what has changed, for better and worse."""
    return kind.lower().startswith("diff")


def paint(values: Image, record: AlertRecord, kind: str, options: PictureOptions, survey: Survey) -> Painted:
    """Show a stamp, as it is turned and sized.

    Raises
    ------
    RequestFault
        If the options contradict the recipe of its band.
    """
    look = levelled(look_of_stamp(options, survey, record.band), values, kind)
    look = replace(look, bands=(record.band or "?",))
    pixels, recipe, _ = colour_pixels([values], look, zeropoints(survey, record.band))
    return Painted(pixels, cite(recipe, look))


def zeropoints(survey: Survey, band: str) -> list[float | None]:
    """Magnitude of a pixel of value 1, where it is the same in all stamps of a band."""
    point = survey.band(band).zeropoint if band else None
    return [None if point is None or point.card or point.exptime else point.constant]


def cited(recipes: Sequence[str]) -> str:
    """Say by what the stamps of one picture were made."""
    kept = tuple(dict.fromkeys(recipes))
    if len(kept) < 2:
        return kept[0] if kept else ""
    return f"{kept[0]}; {len(recipes) - 1} further stamps likewise, with levels of their own"
