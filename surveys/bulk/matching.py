"""Which images have pixels of which boxes: pairs of a position and an image, found in arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from lsst.sphgeom import LonLat, NormalizedAngle, UnitVector3d
from numpy.typing import NDArray

from surveys.bulk.footprints import Footprints
from surveys.image import ImageRecord
from surveys.planning.images import placed
from surveys.sky.overlap import box_shape, centered_box, first_pixels
from surveys.sky.sphere import Booleans, Floats, unit_vectors
from surveys.sky.stencil import CenteredBox, Circle, Size
from surveys.sky.wcs import CelestialWcs

Integers = NDArray[np.int64]

#: By so many units in the last place sums of arrays differ from those of single numbers, at most.
_LAST_PLACES = 64.0 * float(np.finfo(float).eps)
#: An inverse that is iterated ends where it is good enough, which depends on its company.
_ITERATED_PX = 1e-6
#: Distances that differ by less are compared as a search does, one by one.
_TIE = 1e-13
#: What surely lies within a circle does so by this part of its radius.
_WELL_INSIDE = 1.0 - 1e-9
#: So much is added to circles before they are compared, of their size and in radians.
_WIDER, _WIDER_RAD = 1.001, 1e-8
_COARSE = 1e-15
#: Cells that a search looks through lie within so many times the reach of a position and its images.
_CELLS_ABOUT = 9.0


@dataclass(frozen=True, slots=True)
class Targets:
    """Positions that have the same size.

    `radius_deg` is that within which a search looks for images; None where one image is asked for by name.
    """

    ra_deg: Floats
    dec_deg: Floats
    vectors: Floats
    size: Size
    radius_deg: float | None

    @classmethod
    def of(cls, ra_deg: Floats, dec_deg: Floats, size: Size, radius_deg: float | None) -> Targets:
        """Make the targets of some positions, degrees."""
        return cls(ra_deg, dec_deg, unit_vectors(ra_deg, dec_deg).reshape(-1, 3), size, radius_deg)

    def __len__(self) -> int:
        return len(self.ra_deg)

    def some(self, rows: Integers | slice) -> Targets:
        """Take some of them."""
        return Targets(self.ra_deg[rows], self.dec_deg[rows], self.vectors[rows], self.size, self.radius_deg)

    def stencil(self, row: int) -> CenteredBox:
        """Box of one of them."""
        return CenteredBox(float(self.ra_deg[row]), float(self.dec_deg[row]), self.size)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Boxes with pixels on an image, a pair each; those of one row lie together, the nearest image first.

    Parameters
    ----------
    rows, images
        Numbers of the target and of the image among those that were looked at.
    x0, y0
        First pixel of the box, which may lie outside of the image.
    inside
        Number of its pixels that lie inside.
    whole
        Whether all do.
    """

    rows: Integers
    images: Integers
    x0: Integers
    y0: Integers
    inside: Integers
    whole: Booleans

    def __len__(self) -> int:
        return len(self.rows)

    def taken(self, which: Integers | Booleans) -> Pairs:
        """Take some of them."""
        return Pairs(
            self.rows[which],
            self.images[which],
            self.x0[which],
            self.y0[which],
            self.inside[which],
            self.whole[which],
        )

    @classmethod
    def joined(cls, several: Sequence[Pairs]) -> Pairs:
        """Join pairs, one after the other."""
        if not several:
            none = np.empty(0, np.int64)
            return cls(none, none, none, none, none, np.empty(0, bool))
        return cls(
            np.concatenate([pairs.rows for pairs in several]),
            np.concatenate([pairs.images for pairs in several]),
            np.concatenate([pairs.x0 for pairs in several]),
            np.concatenate([pairs.y0 for pairs in several]),
            np.concatenate([pairs.inside for pairs in several]),
            np.concatenate([pairs.whole for pairs in several]),
        )


def near(targets: Targets, footprints: Footprints, times: float = 1.0) -> Iterator[tuple[int, Integers]]:
    """Yield images with the targets whose circle may reach them, both made so many `times` as large."""
    reach = footprints.radii_rad + math.radians(targets.radius_deg or 0.0)
    reach = np.minimum(times * reach * _WIDER + _WIDER_RAD, math.pi)
    order = np.argsort(targets.vectors[:, 2], kind="stable")
    vectors = targets.vectors[order]
    # Declinations are sorted, so that an image is compared with those about its own.
    dec = np.arcsin(np.clip(vectors[:, 2], -1.0, 1.0))
    middle = np.arcsin(np.clip(footprints.hulls[:, 2], -1.0, 1.0))
    first = np.searchsorted(dec, middle - reach - _WIDER_RAD)
    end = np.searchsorted(dec, middle + reach + _WIDER_RAD, side="right")
    # Cosines are coarse for circles of milliarcseconds.
    nearest = np.cos(reach) - _COARSE
    for image in np.flatnonzero(first < end).tolist():
        part = slice(first[image], end[image])
        close = vectors[part] @ footprints.hulls[image] >= nearest[image]
        if close.any():
            yield image, order[part][close]


def crowded(targets: Targets, footprints: Footprints, most: int) -> Booleans:
    """Whether a search might look at more than so many images: at all in the cells about a position."""
    counts = np.zeros(len(targets), np.int64)
    for _, rows in near(targets, footprints, _CELLS_ABOUT):
        counts[rows] += 1
    return np.asarray(counts > most)


def boxes_on(image: int, rows: Integers, targets: Targets, record: ImageRecord) -> Pairs:
    """Find which boxes have pixels of an image, whatever a search would find."""
    wcs = placed(record)
    width, height = box_shape(targets.size, record.pixel_scale_deg)
    x, y = wcs.to_pixel(targets.vectors[rows])
    usable = np.isfinite(x) & np.isfinite(y)
    if not usable.all():
        rows, x, y = rows[usable], x[usable], y[usable]
    x0, doubtful_x = first_pixels(x, width, slack_px(wcs, x, record.pixel_scale_deg))
    y0, doubtful_y = first_pixels(y, height, slack_px(wcs, y, record.pixel_scale_deg))
    for at in np.flatnonzero(doubtful_x | doubtful_y).tolist():
        box = centered_box(targets.stencil(rows[at]), wcs, record.pixel_scale_deg)
        if box is not None:
            x0[at], y0[at] = box.x0, box.y0
    columns = np.minimum(x0 + width, record.nx) - np.maximum(x0, 0)
    lines = np.minimum(y0 + height, record.ny) - np.maximum(y0, 0)
    there = (columns > 0) & (lines > 0)
    rows, x0, y0 = rows[there], x0[there], y0[there]
    columns, lines = columns[there], lines[there]
    whole = (columns == width) & (lines == height)
    return Pairs(rows, np.full(len(rows), image), x0, y0, columns * lines, whole)


def slack_px(wcs: CelestialWcs, pixels: Floats, scale_deg: float) -> float:
    """How far pixels of many positions may differ from those of the same positions one by one."""
    if wcs.tan is None:
        return _ITERATED_PX
    # Unit vectors are as exact as their last digits, whatever angle a pixel is.
    farthest = float(np.abs(pixels).max()) if pixels.size else 0.0
    return _LAST_PLACES * (farthest + 1.0 / math.radians(scale_deg) + 1.0)


def found_of(
    pairs: Pairs, image: int, targets: Targets, footprints: Footprints, record: ImageRecord
) -> Pairs:
    """Leave out the pairs that no search finds: images far off their scale reach beyond its circle."""
    if targets.radius_deg is None or not len(pairs):
        return pairs
    width, height = box_shape(targets.size, record.pixel_scale_deg)
    # A pixel of the image next to the middle of the box: where that is near, the footprint is.
    x = np.clip(pairs.x0 + (width - 1) / 2.0, 0.0, record.nx - 1.0)
    y = np.clip(pairs.y0 + (height - 1) / 2.0, 0.0, record.ny - 1.0)
    there = placed(record).to_sky(x, y)
    apart = np.linalg.norm(there - targets.vectors[pairs.rows], axis=1)
    chord = 2.0 * math.sin(math.radians(min(targets.radius_deg, 180.0)) / 2.0)
    sure = apart < chord * _WELL_INSIDE
    if sure.all():
        return pairs
    keep = sure.copy()
    for at in np.flatnonzero(~sure).tolist():
        row = int(pairs.rows[at])
        circle = Circle(float(targets.ra_deg[row]), float(targets.dec_deg[row]), targets.radius_deg)
        keep[at] = footprints.may_overlap(image, circle.region())
    return pairs.taken(keep)


def in_order(pairs: Pairs, targets: Targets, footprints: Footprints) -> Pairs:
    """Put pairs in the order of their rows, and for each row that in which a search finds the images."""
    vectors = targets.vectors[pairs.rows]
    apart = np.linalg.norm(footprints.centres[pairs.images] - vectors, axis=1)
    order = np.lexsort((footprints.ranks[pairs.images], apart, pairs.rows))
    pairs, apart = pairs.taken(order), apart[order]
    same_row = pairs.rows[1:] == pairs.rows[:-1]
    close = np.abs(np.diff(apart)) <= _TIE
    other = (footprints.centres[pairs.images[1:]] != footprints.centres[pairs.images[:-1]]).any(axis=1)
    undecided = np.unique(pairs.rows[1:][same_row & close & other])
    if len(undecided):
        order = np.arange(len(pairs))
        for row in undecided.tolist():
            start, end = np.searchsorted(pairs.rows, [row, row + 1])
            order[start:end] = sorted(range(start, end), key=_search_key(pairs, targets, footprints))
        pairs = pairs.taken(order)
    return pairs


def _search_key(pairs: Pairs, targets: Targets, footprints: Footprints) -> Callable[[int], tuple[float, str]]:
    """Key by which a search sorts the images it finds."""

    def key(at: int) -> tuple[float, str]:
        row, image = int(pairs.rows[at]), int(pairs.images[at])
        here = UnitVector3d(LonLat.fromDegrees(float(targets.ra_deg[row]), float(targets.dec_deg[row])))
        place = LonLat.fromDegrees(float(footprints.ra_deg[image]), float(footprints.dec_deg[image]))
        return NormalizedAngle(UnitVector3d(place), here).asDegrees(), footprints.datasets[image]

    return key
