"""Pixels of an image that a stencil overlaps.

A pixel belongs to a stencil when its full area (its index plus or minus one half) overlaps it; touching
does not count. Plain TAN images and circles or polygons in front of them have closed forms; everything
else is searched for, with the same result.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from surveys.sky.cells import LARGEST_DEG, REACH_SAFETY, CellSearch
from surveys.sky.pixels import PixelBox
from surveys.sky.plane import CONTACT_PX, Ellipse, Extent, Figure
from surveys.sky.sphere import Booleans, Floats, circle_points, separation_deg, unit_vectors
from surveys.sky.stencil import CenteredBox, Circle, Polygon, Range, Shape, Size
from surveys.sky.wcs import CelestialWcs

Integers = NDArray[np.int64]

# Blocks of a mask that the edge does not cross are filled without looking at their pixels.
MASK_BLOCK = 64
# Pixels of a mask looked at together: bounds the memory.
MASK_CHUNK = 2**18
# How often a frame is widened to find all of a stencil that has no closed form.
WIDENINGS = 6
# A place between pixels is rounded to so many digits before it is decided to which pixel it belongs.
ROUNDED_DIGITS = 6
ROUNDED_PX = 10.0**-ROUNDED_DIGITS
# Beyond this no image reaches; whole numbers stay exact.
FARTHEST_PX = 2.0**40


def pixel_box(stencil: Shape, wcs: CelestialWcs) -> PixelBox | None:
    """Pixels of the image that overlap a stencil.

    Returns
    -------
    PixelBox or None
        Smallest box that holds every such pixel, at least one; None if there is none.
    """
    return _overlap(stencil, _draw(stencil, wcs), wcs, PixelBox(0, wcs.nx, 0, wcs.ny))


def box_and_rest(stencil: Shape, wcs: CelestialWcs) -> tuple[PixelBox, bool] | None:
    """`pixel_box` and `sticks_out` at once, which are asked for together: the stencil is drawn but once."""
    figure, nx, ny = _draw(stencil, wcs), wcs.nx, wcs.ny
    if figure is not None and (extent := figure.extent()).inside(Extent(-0.5, nx - 0.5, -0.5, ny - 0.5)):
        # Most regions lie inside, all of them.
        x0, x1 = _whole_pixels(extent.x_min, extent.x_max, 0, nx)
        y0, y1 = _whole_pixels(extent.y_min, extent.y_max, 0, ny)
        return PixelBox(x0, x1, y0, y1), False
    box = _overlap(stencil, figure, wcs, PixelBox(0, nx, 0, ny))
    return None if box is None else (box, _sticks_out(stencil, figure, wcs))


def box_within(stencil: Shape, wcs: CelestialWcs, frame: PixelBox) -> PixelBox | None:
    """Pixels of a frame, which may lie beyond the image, that overlap a stencil; None if there is none."""
    return _overlap(stencil, _draw(stencil, wcs), wcs, frame)


def full_box(stencil: Shape, wcs: CelestialWcs) -> PixelBox | None:
    """Pixels that overlap a stencil, on the plane of an image however far that has to be extended.

    Returns
    -------
    PixelBox or None
        None where a part of the stencil has no place on the plane.
    """
    figure = _draw(stencil, wcs)
    if figure is not None:
        extent = figure.extent()
        x0, x1 = _pixels_between(extent.x_min, extent.x_max)
        y0, y1 = _pixels_between(extent.y_min, extent.y_max)
        return PixelBox(x0, x1, y0, y1)
    x, y = wcs.to_pixel(_points_of(stencil))
    if not x.size or not (np.isfinite(x).all() and np.isfinite(y).all()):
        return None
    frame = PixelBox(*_pixels_between(float(x.min()), float(x.max())), *_pixels_between(y.min(), y.max()))
    for _ in range(WIDENINGS):
        margin = 2 + max(frame.width, frame.height) // 8
        frame = PixelBox(frame.x0 - margin, frame.x1 + margin, frame.y0 - margin, frame.y1 + margin)
        box = _overlap(stencil, None, wcs, frame)
        if box is None:
            return None
        if frame.x0 < box.x0 and box.x1 < frame.x1 and frame.y0 < box.y0 and box.y1 < frame.y1:
            return box
    return None


def sticks_out(stencil: Shape, wcs: CelestialWcs) -> bool:
    """Whether a part of the stencil lies outside the image, so that its cutout is clipped."""
    return _sticks_out(stencil, _draw(stencil, wcs), wcs)


def _sticks_out(stencil: Shape, figure: Ellipse | Figure | None, wcs: CelestialWcs) -> bool:
    image = PixelBox(0, wcs.nx, 0, wcs.ny)
    if figure is not None:
        return not figure.extent().inside(_limits(image, CONTACT_PX))
    x, y = wcs.to_pixel(stencil.boundary(512))
    (x_min, x_max, y_min, y_max) = _limits(image, CONTACT_PX)
    if not np.all((x_min <= x) & (x <= x_max) & (y_min <= y) & (y <= y_max)):
        return True
    # a part between those points lies next to the image: look at a frame one pixel wider
    box = _overlap(stencil, None, wcs, PixelBox(-1, wcs.nx + 1, -1, wcs.ny + 1))
    return box is None or box.clip(wcs.nx, wcs.ny) != box


def centered_box(box: CenteredBox, wcs: CelestialWcs, pixel_scale_deg: float) -> PixelBox | None:
    """Pixels of a fixed-size box; it may stick out of the image.

    Parameters
    ----------
    pixel_scale_deg
        What a size in degrees is divided by: the survey's nominal scale, so that all its cutouts of one
        size have the same shape.

    Returns
    -------
    PixelBox or None
        None if the centre has no position in the image's pixels.
    """
    x, y = wcs.to_pixel(unit_vectors(box.ra_deg, box.dec_deg))
    if not (math.isfinite(x) and math.isfinite(y)):
        return None
    width, height = box_shape(box.size, pixel_scale_deg)
    x0, y0 = _first_of(float(x), width), _first_of(float(y), height)
    return PixelBox(x0, x0 + width, y0, y0 + height)


def box_shape(size: Size, pixel_scale_deg: float) -> tuple[int, int]:
    """Width and height of a fixed-size box in pixels, one at least."""
    unit = 1.0 if size.in_pixels else pixel_scale_deg
    return max(1, round(size.width / unit)), max(1, round(size.height / unit))


def first_pixels(centers: Floats, length: int, slack: float) -> tuple[Integers, Booleans]:
    """First pixels of boxes along one axis, for many centres at once, as `centered_box` has them.

    Parameters
    ----------
    centers
        Coordinates; finite.
    length
        Of the boxes.
    slack
        How far a coordinate may differ from that of the same centre asked for alone: by the last digits, as
        compiled loops over arrays add in another order.

    Returns
    -------
    first, doubtful
        The pixels, and for which centres so little decides that only `centered_box` can tell.
    """
    starts = centers - length / 2.0
    # Just above a whole number by less than half a millionth still counts as that number.
    whole = np.rint(starts)
    above = starts - whole - ROUNDED_PX / 2.0
    first = np.where(above > 0.0, whole + 1.0, whole)
    first = np.clip(first, -FARTHEST_PX, FARTHEST_PX)
    return first.astype(np.int64), np.asarray(np.abs(above) <= slack)


def inside_mask(stencil: Shape, wcs: CelestialWcs, box: PixelBox) -> Booleans:
    """Which pixels of a box have their centres inside the stencil, shape (height, width)."""
    mask = np.zeros((box.height, box.width), dtype=bool)
    row, column = np.indices((-(-box.height // MASK_BLOCK), -(-box.width // MASK_BLOCK))) * MASK_BLOCK
    row, column = row.ravel(), column.ravel()
    row_end, column_end = np.minimum(row + MASK_BLOCK, box.height), np.minimum(column + MASK_BLOCK, box.width)
    verdict = _block_verdicts(
        stencil, wcs, box.x0 + column, box.x0 + column_end, box.y0 + row, box.y0 + row_end
    )
    undecided = []
    for block in range(row.size):
        if verdict[block] > 0:
            mask[row[block] : row_end[block], column[block] : column_end[block]] = True
        elif verdict[block] == 0:
            undecided.append(block)
    step = MASK_CHUNK // MASK_BLOCK**2
    for start in range(0, len(undecided), step):
        pixels = [
            np.mgrid[row[block] : row_end[block], column[block] : column_end[block]].reshape(2, -1)
            for block in undecided[start : start + step]
        ]
        rows, columns = np.concatenate(pixels, axis=1)
        mask[rows, columns] = stencil.contains(wcs.to_sky(box.x0 + columns, box.y0 + rows))
    return mask


def _overlap(
    stencil: Shape, figure: Ellipse | Figure | None, wcs: CelestialWcs, frame: PixelBox
) -> PixelBox | None:
    """Pixels of a frame that overlap a stencil, which `_draw` has made a figure if it can."""
    if figure is None:
        return CellSearch(stencil, wcs, frame).run()
    extent = figure.extent_within(_limits(frame))
    if extent is None:
        return None
    x0, x1 = _whole_pixels(extent.x_min, extent.x_max, frame.x0, frame.x1)
    y0, y1 = _whole_pixels(extent.y_min, extent.y_max, frame.y0, frame.y1)
    return PixelBox(x0, x1, y0, y1)


def _draw(stencil: Shape, wcs: CelestialWcs) -> Ellipse | Figure | None:
    """Return the stencil in the plane of the image, where that has a closed form."""
    if wcs.tan is None:
        return None
    match stencil:
        case Circle():
            return wcs.tan.draw_circle(stencil)
        case Polygon():
            return wcs.tan.draw_polygon(stencil)
        case Range():  # its parallels are no straight lines
            return None


def _points_of(stencil: Shape) -> Floats:
    """Points of the edge of a stencil, and of its inside."""
    circle = stencil.bounding_circle()
    center = np.array(unit_vectors(circle.ra_deg, circle.dec_deg))
    within = np.concatenate(
        [center[None], *(circle_points(center, circle.radius_deg * k / 8, 16) for k in range(1, 8))]
    )
    return np.concatenate([stencil.boundary(512), within[stencil.contains(within)]])


def _pixels_between(low: float, high: float) -> tuple[int, int]:
    if high - low <= 2.0 * CONTACT_PX:
        pixel = math.floor((low + high) / 2.0 + 0.5)
        return pixel, pixel + 1
    return math.floor(low + 0.5 + CONTACT_PX), math.ceil(high + 0.5 - CONTACT_PX)


def _limits(box: PixelBox, margin: float = 0.0) -> Extent:
    return Extent(box.x0 - 0.5 - margin, box.x1 - 0.5 + margin, box.y0 - 0.5 - margin, box.y1 - 0.5 + margin)


def _whole_pixels(low: float, high: float, first: int, end: int) -> tuple[int, int]:
    """Pixels between two coordinates, half-open, at least one, within ``first .. end``."""
    if high - low <= 2.0 * CONTACT_PX:
        pixel = min(max(math.floor((low + high) / 2.0 + 0.5), first), end - 1)
        return pixel, pixel + 1
    return math.floor(low + 0.5 + CONTACT_PX), math.ceil(high + 0.5 - CONTACT_PX)


def _first_of(center: float, length: int) -> int:
    # a centre on a whole or half pixel must not fall to one side by its last digit
    return math.ceil(round(center - length / 2.0, ROUNDED_DIGITS))


def _block_verdicts(
    stencil: Shape, wcs: CelestialWcs, x0: Integers, x1: Integers, y0: Integers, y1: Integers
) -> Integers:
    """1 where all pixel centres of a block are inside, -1 where none is, 0 where they must be asked."""
    x, y = (
        np.stack([(x0 + x1 - 1) / 2.0, x0, x1 - 1, x0, x1 - 1]),
        np.stack([(y0 + y1 - 1) / 2.0, y0, y0, y1 - 1, y1 - 1]),
    )
    vectors = wcs.to_sky(x, y)
    reach = REACH_SAFETY * separation_deg(vectors[1:], vectors[0]).max(axis=0)
    distance = stencil.signed_distance_deg(vectors[0])
    near = (reach < LARGEST_DEG) & np.isfinite(distance)
    return np.where(near & (distance < -reach), 1, 0) - np.where(near & (distance > reach), 1, 0)
