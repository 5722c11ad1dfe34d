"""Which of several images a pixel of the output is taken from.

Each image has a key at each pixel: the squared chord to its centre, less what is the same for all, with
`PENALTY` outside of the part of the sky that is its own, and `EDGE_PENALTY` where it would be interpolated
across the image's edge. The smallest key of an image with data wins.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from surveys.image import ImageRecord
from surveys.mosaic.grid import OutputGrid
from surveys.mosaic.nodes import Area
from surveys.plan import Piece
from surveys.sky.overlap import inside_mask
from surveys.sky.pixels import PixelBox
from surveys.sky.stencil import Polygon, Range

#: Every pixel is inside.
NO_PIXELS = np.zeros((0, 0), np.uint8)
EVERYWHERE = np.array([-np.inf, np.inf, -np.inf, np.inf])


def border_limits(piece: Piece, record: ImageRecord) -> NDArray[np.float64]:
    """Limits of x and y on the image, outside of which nothing is its own; infinite without a border."""
    if len(piece.unique) != 1:
        return EVERYWHERE
    border = piece.unique[0] - 0.5
    return np.array([border, record.nx - 1 - border, border, record.ny - 1 - border])


def own_region(piece: Piece) -> Polygon | Range | None:
    """Part of the sky that is the image's own; None where that is not declared as such."""
    unique = piece.unique
    if len(unique) == 4:
        ra_min, ra_max, dec_min, dec_max = unique
        width = ra_max - ra_min
        return Range(
            ra_min % 360.0, ra_min % 360.0 + (width if width == 360.0 else width % 360.0), dec_min, dec_max
        )
    if len(unique) >= 6:
        return Polygon.of(zip(unique[::2], unique[1::2], strict=True))
    return None


def outside_own(region: Polygon | Range | None, grid: OutputGrid, area: Area) -> NDArray[np.uint8]:
    """Which pixels of an area of the output lie outside of a region, (rows, columns); empty if none can."""
    if region is None:
        return NO_PIXELS
    box = PixelBox(area.u0 + grid.x0, area.u1 + grid.x0, area.v0 + grid.y0, area.v1 + grid.y0)
    return np.asarray(~inside_mask(region, grid.wcs, box)).view(np.uint8)
