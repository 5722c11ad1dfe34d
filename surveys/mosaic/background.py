"""Constants that make the sky levels of overlapping images agree.

The difference of two images is the median over pixels sampled all over their overlap, so that neither noise
nor stars count. One constant for each image fits all differences best, in the sense of least squares; that of
the first image is 0. Images that overlap no other, not even by way of others, keep their level.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from surveys.plan import Part
from surveys.request import CutoutRequest
from surveys.sky.pixels import PixelBox
from surveys.sky.sphere import Booleans, Floats, separation_deg
from surveys.sky.wcs import CelestialWcs, wcs_of
from surveys.survey import Survey

if TYPE_CHECKING:
    from surveys.mosaic.reading import OpenPiece

Integers = NDArray[np.int64]

#: Places of an overlap that are sampled, at most and at least; of all overlaps; the side in pixels of each.
PLACES, FEWEST_PLACES = 48, 8
ALL_PLACES = 2000
PLACE_PX = 12
#: Points along each side of an image that are looked at for an overlap.
_LATTICE = 33
# A place of one image is not read of another that spreads it over more pixels than this.
_MOST_PIXELS = 64 * PLACE_PX**2
#: Fewer common pixels with data say nothing.
LEAST_PIXELS = 50


def is_matched(part: Part, request: CutoutRequest, survey: Survey) -> bool:
    """Whether the backgrounds of the pieces are made to agree.

    By default those of pictures are, unless the survey says that they are subtracted already.
    """
    if len(part.pieces) < 2:
        return False
    if request.mosaic.background == "auto":
        return request.picture is not None and survey.band(part.band).background != "subtracted"
    return request.mosaic.background == "match"


def match_backgrounds(pieces: Sequence[OpenPiece]) -> list[float]:
    """Return what is to be added to each piece, once it is scaled.

    Raises
    ------
    StaleImage, BrokenImage
        If a file cannot be read.
    """
    pairs = _neighbours([wcs_of(piece.record) for piece in pieces])
    places = max(FEWEST_PLACES, min(PLACES, ALL_PLACES // max(1, len(pairs))))
    differences = {
        (a, b): found for a, b in pairs if (found := _difference(pieces[a], pieces[b], places)) is not None
    }
    return solve_levels(len(pieces), differences)


def solve_levels(count: int, differences: dict[tuple[int, int], tuple[float, float]]) -> list[float]:
    """Solve for the constants.

    Parameters
    ----------
    count
        Number of images.
    differences
        For pairs of them, how much higher the first is than the second, and the weight of that.

    Returns
    -------
    list
        What is added to each; 0 for the first image, and for the first of others not connected to it.
    """
    # Normal equations: with thousands of images a table of all differences would take minutes to solve.
    matrix, values = np.zeros((count, count)), np.zeros(count)
    for (a, b), (difference, weight) in differences.items():
        squared = weight * weight
        matrix[[a, b], [a, b]] += squared
        matrix[[a, b], [b, a]] -= squared
        values[a] -= squared * difference
        values[b] += squared * difference
    free = sorted(set(range(count)) - _first_of_groups(count, differences))
    levels = np.zeros(count)
    levels[free] = np.linalg.solve(matrix[np.ix_(free, free)], values[free])
    return [float(level) for level in levels]


def _first_of_groups(count: int, pairs: Iterable[tuple[int, int]]) -> set[int]:
    """First image of each group that is connected by pairs: it holds the level of all of them."""
    first = list(range(count))

    def of(i: int) -> int:
        while first[i] != i:
            first[i] = first[first[i]]
            i = first[i]
        return i

    for a, b in pairs:
        low, high = sorted((of(a), of(b)))
        first[high] = low
    return {of(i) for i in range(count)}


def _difference(a: OpenPiece, b: OpenPiece, most: int) -> tuple[float, float] | None:
    """How much higher `a` is than `b` where both have data, and the weight of that; None without overlap."""
    wcs_a, wcs_b = wcs_of(a.record), wcs_of(b.record)
    x, y = np.meshgrid(_spread(wcs_a.nx), _spread(wcs_a.ny))
    there_x, there_y = wcs_b.to_pixel(wcs_a.to_sky(x, y))
    common = (there_x >= 0) & (there_x <= wcs_b.nx - 1) & (there_y >= 0) & (there_y <= wcs_b.ny - 1)
    places = np.argwhere(common)
    if not len(places):
        return None
    chosen = places[np.unique(np.linspace(0, len(places) - 1, most).round().astype(int))]
    samples = _samples(a, b, np.array([(x[j, i], y[j, i]) for j, i in chosen]))
    values = np.concatenate(samples)
    if len(values) < LEAST_PIXELS:
        return None
    return float(np.median(values)), float(np.sqrt(len(values)))


def _neighbours(images: Sequence[CelestialWcs]) -> list[tuple[int, int]]:
    """Pairs of images near enough to each other to overlap, by their centres and corners."""
    centres, radii = np.empty((len(images), 3)), np.empty(len(images))
    for i, wcs in enumerate(images):
        x, y = np.array([0.5, 0, 0, 1, 1]) * wcs.nx - 0.5, np.array([0.5, 0, 1, 0, 1]) * wcs.ny - 0.5
        vectors = wcs.to_sky(x, y)
        centres[i], radii[i] = vectors[0], separation_deg(vectors[1:], vectors[0]).max()
    pairs = []
    for a in range(len(images)):
        apart = separation_deg(centres[a], centres[a + 1 :])
        near = ~(apart > radii[a] + radii[a + 1 :])  # NaN: who knows
        pairs += [(a, a + 1 + int(b)) for b in np.flatnonzero(near)]
    return pairs


def _spread(length: int) -> Floats:
    return np.linspace(0, length - 1, min(_LATTICE, length)).round()


def _samples(a: OpenPiece, b: OpenPiece, places: Floats) -> list[Floats]:
    """Differences of the pixels of `a` about each place ``(x, y)`` and the nearest pixels of `b`."""
    wcs_a, wcs_b = wcs_of(a.record), wcs_of(b.record)
    # All at once: most of what a place costs is the way to the sky and back.
    offset = np.arange(PLACE_PX) - PLACE_PX // 2
    x, y = np.broadcast_arrays(
        places[:, 0, None, None] + offset, places[:, 1, None, None] + offset[:, np.newaxis]
    )
    there = wcs_b.to_pixel(wcs_a.to_sky(x, y))
    there_x, there_y = (np.floor(np.nan_to_num(line, nan=-9.0) + 0.5).astype(np.int64) for line in there)
    here_x, here_y = x.astype(np.int64), y.astype(np.int64)
    inside = _inside(here_x, here_y, wcs_a) & _inside(there_x, there_y, wcs_b)
    samples = []
    for k, known in enumerate(inside):
        pairs = [
            _pixels_at(piece, columns[k][known], rows[k][known])
            for piece, columns, rows in ((a, here_x, here_y), (b, there_x, there_y))
            if known.any()
        ]
        if pairs:
            differences = pairs[0] - pairs[1]
            samples.append(differences[np.isfinite(differences)])
    return samples or [np.empty(0)]


def _inside(x: Integers, y: Integers, wcs: CelestialWcs) -> Booleans:
    return (x >= 0) & (x < wcs.nx) & (y >= 0) & (y < wcs.ny)


def _pixels_at(piece: OpenPiece, x: Integers, y: Integers) -> Floats:
    """Values of pixels near each other; NaN where they are not, across the seam of a map."""
    box = PixelBox(int(x.min()), int(x.max()) + 1, int(y.min()), int(y.max()) + 1)
    if box.pixels > _MOST_PIXELS:
        return np.full(x.shape, np.nan)
    return piece.pixels(box)[y - box.y0, x - box.x0].astype(np.float64)
