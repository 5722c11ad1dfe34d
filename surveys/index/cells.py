"""Cells of the sky: the few numbers by which the index finds images near a place.

They are those of sphgeom's modified Q3C, a quad-tree on the faces of a cube: compiled code covers a region
with them in microseconds (HEALPix in Python takes a hundred times as long), and its cover is never too small.
An image is kept by the cells of one level, chosen by its size, so that a handful of rows suffices. Cells are
numbered by their first descendant of the deepest level, which makes every cell of any level a range.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from lsst.sphgeom import Mq3cPixelization, Region

DEEPEST_LEVEL = 20

#: A cell of level 0 is a face of the cube, 90 degrees wide.
_FACE_DEG = 90.0
_PIXELIZATIONS = tuple(Mq3cPixelization(level) for level in range(DEEPEST_LEVEL + 1))


def level_of(region: Region) -> int:
    """Deepest level whose cells are as wide as the region, so that it touches a handful of them."""
    diameter_deg = 2 * region.getBoundingCircle().getOpeningAngle().asDegrees()
    if not diameter_deg > 0:
        return DEEPEST_LEVEL
    return min(max(math.floor(math.log2(_FACE_DEG / diameter_deg)), 0), DEEPEST_LEVEL)


def cells_of(region: Region) -> tuple[int, list[int]]:
    """Level and cells under which an image of this footprint is kept."""
    level = level_of(region)
    return level, [
        cell << _shift(level)
        for first, end in _PIXELIZATIONS[level].envelope(region).ranges()
        for cell in range(first, end)
    ]


def ranges_at(region: Region, levels: Iterable[int], finer: int = 0) -> list[tuple[int, int, int]]:
    """Ranges ``(level, first, last)``, one of which holds a cell of every image that overlaps `region`.

    The images are kept at `levels`. Both ends belong to the range. Covering the region at its own level is
    enough for finer images: their cells lie below those. So many levels `finer`, there are more ranges, with
    fewer images beside the region in them.
    """
    own = min(level_of(region) + finer, DEEPEST_LEVEL)
    return [
        (level, first << _shift(cover), (end << _shift(cover)) - 1)
        for level in levels
        for cover in (min(level, own),)
        for first, end in _PIXELIZATIONS[cover].envelope(region).ranges()
    ]


def _shift(level: int) -> int:
    return 2 * (DEEPEST_LEVEL - level)
