"""The largest cutout that a limit allows, for those who asked for a larger one."""

from __future__ import annotations

import math

import numpy as np

from surveys.errors import ImageRefused
from surveys.image import ImageRecord
from surveys.sky.overlap import centered_box, pixel_box
from surveys.sky.pixels import PixelBox
from surveys.sky.sphere import ra_dec_deg
from surveys.sky.stencil import CenteredBox, Circle, Size, Stencil
from surveys.sky.wcs import CelestialWcs, wcs_of

# A radius is halved until its circle fits, then found to better than one per cent between the last two.
HALVINGS = 40
REFINEMENTS = 7
# Decimals of a degree in a centre: a fraction of a milliarcsecond.
DECIMALS = 8


def nearest_allowed(stencil: Stencil | None, record: ImageRecord, grid: PixelBox, allowed: int) -> str:
    """Tell how to ask for the largest part of a cutout that is allowed; asked so, it is.

    Parameters
    ----------
    stencil, grid
        What was asked for, and the pixels of the image it comes to, which are too many.
    record
        The image.
    allowed
        Number of pixels of one plane.
    """
    if allowed < 1:
        return "one pixel with all its planes is more than that: choose some of them by BAND, TIME or POL"
    width, height = _shrunk(grid, allowed)
    if isinstance(stencil, CenteredBox):
        return f"ask for SIZE={width}px {height}px at most"
    try:
        wcs = wcs_of(record)
    except ImageRefused:
        return "it has no place on the sky, so no part of it can be asked for"
    if isinstance(stencil, Circle) and (
        radius := _largest_radius(stencil, wcs, allowed / grid.pixels, allowed)
    ):
        return f"ask for a radius of at most {radius} deg"
    center = _center_of(grid, width, height, wcs)
    if center is None:
        return f"ask for a part of it, of at most {width} x {height} px"
    return f"ask for a part of it, such as CENTER={center} with SIZE={width}px {height}px"


def _shrunk(grid: PixelBox, allowed: int) -> tuple[int, int]:
    """Width and height of about the same ratio whose product is allowed, at least one each."""
    shrink = math.sqrt(allowed / grid.pixels)
    width, height = max(1, int(grid.width * shrink)), max(1, int(grid.height * shrink))
    return min(width, allowed), min(height, allowed // min(width, allowed))


def _largest_radius(circle: Circle, wcs: CelestialWcs, share: float, allowed: int) -> str | None:
    """Three digits of the largest radius that is allowed; None where no smaller circle has pixels."""

    def fits(radius_deg: float) -> bool | None:
        box = pixel_box(Circle(circle.ra_deg, circle.dec_deg, radius_deg), wcs)
        return None if box is None else box.pixels <= allowed

    low, high = circle.radius_deg * math.sqrt(share), circle.radius_deg
    for _ in range(HALVINGS):
        if fits(low) is not False:
            break
        low, high = low / 2.0, low
    for _ in range(REFINEMENTS):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if fits(middle) is not False else (low, middle)
    shown = _round_down(low)
    return shown if fits(float(shown)) else None


def _round_down(value: float) -> str:
    """Three significant digits, never more than `value`."""
    step = 10.0 ** (math.floor(math.log10(value)) - 2)
    return f"{math.floor(value / step) * step:.3g}"


def _center_of(grid: PixelBox, width: int, height: int, wcs: CelestialWcs) -> str | None:
    """Centre of a box of this shape in the middle of `grid`, if it has a place on the sky that leads back."""
    x0, y0 = grid.x0 + (grid.width - width) // 2, grid.y0 + (grid.height - height) // 2
    vector = wcs.to_sky(x0 + (width - 1) / 2.0, y0 + (height - 1) / 2.0)
    if not np.isfinite(vector).all():
        return None
    ra, dec = (round(float(value), DECIMALS) for value in ra_dec_deg(vector))
    box = centered_box(CenteredBox(ra, dec, Size(width, height, in_pixels=True)), wcs, 1.0)
    return f"{ra} {dec}" if box == PixelBox(x0, x0 + width, y0, y0 + height) else None
