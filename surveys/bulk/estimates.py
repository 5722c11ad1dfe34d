"""What footprints tell of rows that are left to `plan_cutout`: what share is covered, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from surveys.bulk.matching import Integers, Pairs, Targets
from surveys.cube.ranges import depth_of
from surveys.fits.header import BLOCK
from surveys.image import ImageRecord
from surveys.planning.limits import FLOAT_BYTES
from surveys.request import LONGEST_SIDE, CutoutRequest
from surveys.sky.overlap import box_shape
from surveys.sky.sphere import Floats
from surveys.sky.wcs import wcs_of

#: Points of a box, along each side, that are held against the images about it.
_SIDE = 9
#: Rows whose points are in memory together.
_AT_ONCE = 5_000
#: Bytes of a usual header, and of a pixel of a picture before it is compressed.
_HEADER_BYTES = 2 * BLOCK
_PICTURE_BYTES = 3


def covered(pairs: Pairs, starts: Integers, targets: Targets, records: Mapping[int, ImageRecord]) -> Floats:
    """Share of boxes that some images have together.

    Parameters
    ----------
    pairs
        Those of the boxes, in the order of rows.
    starts
        Number of the first pair of each box: that of the image on whose pixels the box is.
    targets, records
        The positions, and the images by their number.
    """
    counts = np.diff(np.append(starts, len(pairs)))
    shares = np.empty(len(starts))
    exact = counts == 1
    first = starts[exact]
    shares[exact] = pairs.inside[first] / _areas(pairs.images[first], targets, records)
    whole = np.logical_or.reduceat(pairs.whole, starts) if len(starts) else exact
    shares[whole] = 1.0
    open_boxes = np.flatnonzero(~(exact | whole))
    for at in range(0, len(open_boxes), _AT_ONCE):
        some = open_boxes[at : at + _AT_ONCE]
        shares[some] = _sampled(pairs, starts[some], counts[some], targets, records)
    return shares


def _areas(images: Integers, targets: Targets, records: Mapping[int, ImageRecord]) -> Floats:
    areas = np.empty(len(images))
    for image in np.unique(images).tolist():
        width, height = box_shape(targets.size, records[image].pixel_scale_deg)
        areas[images == image] = float(width * height)
    return areas


def _sampled(
    pairs: Pairs, starts: Integers, counts: Integers, targets: Targets, records: Mapping[int, ImageRecord]
) -> Floats:
    """Share of the points of a lattice over each box that lie on any of its images."""
    points = np.full((len(starts), _SIDE * _SIDE, 3), np.nan)
    images = pairs.images[starts]
    for image in np.unique(images).tolist():
        boxes = np.flatnonzero(images == image)
        width, height = box_shape(targets.size, records[image].pixel_scale_deg)
        x = pairs.x0[starts[boxes]][:, None] + np.tile(np.linspace(0.0, width - 1.0, _SIDE), _SIDE)
        y = pairs.y0[starts[boxes]][:, None] + np.repeat(np.linspace(0.0, height - 1.0, _SIDE), _SIDE)
        points[boxes] = wcs_of(records[image]).to_sky(x, y)
    here = np.zeros(points.shape[:2], bool)
    boxes = np.repeat(np.arange(len(starts)), counts)
    every = np.repeat(starts - np.cumsum(counts) + counts, counts) + np.arange(len(boxes))
    images = pairs.images[every]
    for image in np.unique(images).tolist():
        record, some = records[image], boxes[images == image]
        column, line = wcs_of(record).to_pixel(points[some])
        on_columns = (column >= -0.5) & (column <= record.nx - 0.5)
        here[some] |= on_columns & (line >= -0.5) & (line <= record.ny - 0.5)
    return np.asarray(here.mean(axis=1))


def cost_of(
    request: CutoutRequest,
    pairs: Pairs,
    starts: Integers,
    bands: Integers,
    targets: Targets,
    records: Mapping[int, ImageRecord],
) -> tuple[Integers, Integers, Integers]:
    """Estimate the pixels read, those made, and the bytes of rows.

    Parameters
    ----------
    bands
        Number of bands of each row.
    """
    depths = np.ones(len(pairs), np.int64)
    made = np.zeros(len(pairs), np.int64)
    for image in np.unique(pairs.images).tolist():
        same = pairs.images == image
        depths[same] = depth_of(records[image])
        width, height = box_shape(targets.size, records[image].pixel_scale_deg)
        made[same] = _product_pixels(request, width, height)
    read = np.add.reduceat(pairs.inside * depths, starts)
    pixels = made[starts] * depths[starts] * bands
    if request.picture is not None:
        return read, pixels, made[starts] * _PICTURE_BYTES
    data = -(-made[starts] * depths[starts] * FLOAT_BYTES // BLOCK) * BLOCK
    return read, pixels, (data + _HEADER_BYTES) * bands


def _product_pixels(request: CutoutRequest, width: int, height: int) -> int:
    """Pixels of one band of a product."""
    picture = request.picture
    if picture is None:
        return width * height
    if picture.width is not None and picture.height is not None:
        return picture.width * picture.height
    longest = picture.width or picture.height or min(max(width, height), LONGEST_SIDE)
    share = longest / max(width, height)
    return max(1, round(width * share)) * max(1, round(height * share))
