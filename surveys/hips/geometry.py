"""The tiles of a HiPS: where they lie on the sky, and how large their pixels are.

A tile of order k is a cell of HEALPix (NESTED) of that order, and its pixels are those of order k + 9. In a
FITS array, 0-based, they stand by ``column = iy`` and ``row = 511 - ix``; ix grows to the north-east, iy to
the north-west; of the same pixels in PNG the first line is the top one (HiPS 1.0, section 4.2.1).
"""

from __future__ import annotations

import math
import re

import numpy as np
from numpy.typing import NDArray

from surveys.fits.header import card

Integers = NDArray[np.int64]

#: Pixels of a side of a tile, and the orders from a tile to its pixels.
TILE, SHIFT = 512, 9
#: Paths of tiles below their HiPS.
TILE_PATH = re.compile(
    r"Norder(?P<order>\d{1,2})/Dir(?P<folder>\d{1,18})/Npix(?P<tile>\d{1,18})\.(?P<extension>fits|png)",
    re.ASCII,
)
#: HEALPix has no deeper cells in 64 bits than those of order 29.
DEEPEST_ORDER = 29 - SHIFT
#: The order that viewers show all of the sky in, which every HiPS has.
ALLSKY_ORDER = 3


def pixel_scale_deg(order: int) -> float:
    """Side of a square as large as a pixel of tiles of an order."""
    return math.degrees(math.sqrt(math.pi / 3.0) / (TILE << order))


#: A survey whose pixels are smaller than those of an order by no more than this has that scale.
SAME_SCALE = 1.01


def order_for(scale_deg: float) -> int:
    """First order whose pixels are no larger than those of a survey, within what a HiPS can have."""
    for order in range(ALLSKY_ORDER, DEEPEST_ORDER):
        # A survey just at the scale of an order need not have four times its pixels.
        if pixel_scale_deg(order) <= scale_deg * SAME_SCALE:
            return order
    return DEEPEST_ORDER


def tile_path(order: int, tile: int, extension: str) -> str:
    """Path of a tile below its HiPS."""
    return f"Norder{order}/Dir{tile // 10_000 * 10_000}/Npix{tile}.{extension}"


def parents_of(tiles: Integers) -> Integers:
    """Tiles of the order above that hold some tiles, in order."""
    return np.unique(np.asarray(tiles, dtype=np.int64) >> 2)


def quarter_of(child: int) -> tuple[slice, slice]:
    """Rows and columns of the FITS array of a tile that one of its four children, 0 to 3, has."""
    half = TILE // 2
    # The lower bit counts along ix, the higher along iy.
    row, column = 1 - (child & 1), child >> 1
    return slice(row * half, (row + 1) * half), slice(column * half, (column + 1) * half)


def place_of(order: int, tile: int) -> tuple[int, int, int]:
    """Return the base cell of a tile, and its place in it: ``(face, ix, iy)``."""
    face, rest = divmod(tile, 1 << 2 * order)
    ix = iy = 0
    for bit in range(order):
        ix |= (rest >> 2 * bit & 1) << bit
        iy |= (rest >> 2 * bit + 1 & 1) << bit
    return face, ix, iy


def wcs_text(order: int, tile: int) -> str:
    """Cards of the WCS of the FITS array of a tile (ICRS).

    Notes
    -----
    HPX (Calabretta & Roukema 2007, MNRAS 381, 865) lays the base cells out as diamonds 90 degrees high. The
    reference longitude is that of the tile's base cell, so that none lies across the edge of the map: in the
    equatorial row they are centred at 0, 0 of the plane, in the others at 45, +-45.
    """
    face, ix, iy = place_of(order, tile)
    step = 45.0 / (TILE << order)
    row, column = divmod(face, 4)
    centre_x = 0.0 if row == 1 else 45.0
    south_y = (0.0, -45.0, -90.0)[row]
    # A pixel (p, q), 1-based, is at x = -step ((p - a) + (q - b)), y = step ((p - a) - (q - b)) of the plane.
    total = centre_x / step + TILE * (ix - iy) + TILE + 1
    difference = south_y / step + TILE * (ix + iy) + TILE
    return "".join(
        (
            card("CTYPE1", "RA---HPX", "HEALPix projection"),
            card("CTYPE2", "DEC--HPX", "HEALPix projection"),
            card("CRPIX1", (total - difference) / 2.0, "reference pixel"),
            card("CRPIX2", (total + difference) / 2.0, "reference pixel"),
            card("CRVAL1", 90.0 * column, "[deg] right ascension of the reference pixel"),
            card("CRVAL2", 0.0, "[deg] declination of the reference pixel"),
            card("CD1_1", -step, "[deg]"),
            card("CD1_2", -step, "[deg]"),
            card("CD2_1", step, "[deg]"),
            card("CD2_2", -step, "[deg]"),
            card("PV2_1", 4.0, "H of the projection"),
            card("PV2_2", 3.0, "K of the projection"),
            card("CUNIT1", "deg"),
            card("CUNIT2", "deg"),
            card("RADESYS", "ICRS", "celestial frame"),
        )
    )
