"""Which pixels of an image a shape overlaps, for any WCS: a search that halves rectangles of pixels.

It asks nothing of the projection but where pixels lie on the sky, so seams, poles, facets and limbs need
no case of their own. A cell is left out when the shape is certainly farther from its centre than it
reaches, and when all its pixels are known to belong to the box already.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import numpy as np

from surveys.sky.pixels import PixelBox
from surveys.sky.plane import CONTACT_PX
from surveys.sky.sphere import Booleans, Floats, separation_deg
from surveys.sky.stencil import Shape
from surveys.sky.wcs import CelestialWcs

# Cells this small (pixels) that show no point of the shape are in contact with it at most.
SMALLEST_PX = 2.0**-10
# A cell's corners may lie nearer to its centre than some point of its edge: the map is not linear.
REACH_SAFETY = 1.5
# Samples of a cell are 3 x 3 points, row by row: corners, middles of the sides, and the centre.
CENTER = 4
# Cells that reach farther than this on the sky are always halved; below SMOOTH_DEG maps are nearly linear.
LARGEST_DEG = 30.0
SMOOTH_DEG = 5.0
# Cells without any point on the sky are followed so many halvings: a sliver may hide between the samples.
BLANK_HALVINGS = 2
# Cells that small (pixels) across the limb of a map are not looked into: a pixel needs that much sky.
LIMB_PX = 2.0**-5


@dataclass(frozen=True, slots=True)
class _Cells:
    """Rectangles ``x0 .. x1, y0 .. y1`` in pixel coordinates, on edges of pixels while larger than one.

    `reach` is how far on the sky the parent reaches from any of its points, `blank` for how many halvings
    no sample was on the sky.
    """

    x0: Floats
    x1: Floats
    y0: Floats
    y1: Floats
    reach: Floats
    blank: Floats

    @classmethod
    def over(cls, frame: PixelBox) -> _Cells:
        """Cover a frame with some eight by eight cells."""
        size = 2.0 ** max(0, math.ceil(math.log2(max(frame.width, frame.height) / 8.0)))
        columns, rows = math.ceil(frame.width / size), math.ceil(frame.height / size)
        row, column = (index.ravel() for index in np.indices((rows, columns)))
        x0 = np.asarray(frame.x0 - 0.5 + size * column, dtype=np.float64)
        y0 = np.asarray(frame.y0 - 0.5 + size * row, dtype=np.float64)
        x1, y1 = np.minimum(x0 + size, frame.x1 - 0.5), np.minimum(y0 + size, frame.y1 - 0.5)
        return cls(x0, x1, y0, y1, np.full(row.size, np.inf), np.zeros(row.size))

    @property
    def count(self) -> int:
        return self.x0.size

    @property
    def width(self) -> Floats:
        return self.x1 - self.x0

    @property
    def height(self) -> Floats:
        return self.y1 - self.y0

    @property
    def side(self) -> Floats:
        """The longer sides, in pixels."""
        return np.maximum(self.width, self.height)

    def kept(self, which: Booleans) -> _Cells:
        return _Cells(*(getattr(self, field.name)[which] for field in fields(self)))

    def halved(self, across_x: Booleans, across_y: Booleans) -> _Cells:
        """Halve the sides along x and along y of the cells marked for each."""
        x = np.where(across_x, _middle(self.x0, self.x1), self.x1)
        y = np.where(across_y, _middle(self.y0, self.y1), self.y1)
        parts = [
            _Cells(x0, x1, y0, y1, self.reach, self.blank)
            for x0, x1 in ((self.x0, x), (x, self.x1))
            for y0, y1 in ((self.y0, y), (y, self.y1))
        ]
        every = _Cells(
            *(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(self))
        )
        return every.kept((every.x0 < every.x1) & (every.y0 < every.y1))

    def outside(self, box: PixelBox | None) -> _Cells:
        """Cut off what lies in a box of pixels, where a rectangle is left."""
        if box is None:
            return self
        x_low, x_high, y_low, y_high = box.x0 - 0.5, box.x1 - 0.5, box.y0 - 0.5, box.y1 - 0.5
        within_x = (self.x0 >= x_low) & (self.x1 <= x_high)
        within_y = (self.y0 >= y_low) & (self.y1 <= y_high)
        x0 = np.where(within_y & (self.x0 >= x_low), np.maximum(self.x0, x_high), self.x0)
        x1 = np.where(within_y & (self.x1 <= x_high), np.minimum(self.x1, x_low), self.x1)
        y0 = np.where(within_x & (self.y0 >= y_low), np.maximum(self.y0, y_high), self.y0)
        y1 = np.where(within_x & (self.y1 <= y_high), np.minimum(self.y1, y_low), self.y1)
        left = (x0 < x1) & (y0 < y1)
        return _Cells(x0, x1, y0, y1, self.reach, self.blank).kept(left)

    def samples(self) -> tuple[Floats, Floats]:
        """Pixel coordinates of 3 x 3 points of each cell, shape (9, count)."""
        columns = np.stack([self.x0, (self.x0 + self.x1) / 2.0, self.x1])
        rows = np.stack([self.y0, (self.y0 + self.y1) / 2.0, self.y1])
        return np.tile(columns, (3, 1)), np.repeat(rows, 3, axis=0)


@dataclass(frozen=True, slots=True)
class _Look:
    """What the samples of cells show: where they are, how far from the shape (NaN off the sky).

    `spread` is the largest angle from a cell's centre to its other samples, `contact` the depth in
    degrees that counts as touching.
    """

    vectors: Floats
    distance: Floats
    spread: Floats
    contact: Floats


class CellSearch:
    """Search of one frame of pixels for one shape.

    Parameters
    ----------
    shape
        What is looked for.
    wcs
        Of the image; it is asked for pixels of the frame and its edge only.
    frame
        Pixels to look at; it may reach beyond the image.
    """

    def __init__(self, shape: Shape, wcs: CelestialWcs, frame: PixelBox) -> None:
        self._shape = shape
        self._wcs = wcs
        self._frame = frame
        self._box: PixelBox | None = None

    def run(self) -> PixelBox | None:
        """Smallest box that holds every pixel of the frame overlapping the shape; None if none does."""
        self._plant_seeds()
        cells = _Cells.over(self._frame)
        # blank cells of this size are looked into whatever was around them
        coarse = max(self._frame.width, self._frame.height) / 64.0
        while (cells := cells.outside(self._box)).count:
            x, y = cells.samples()
            look = self._look_at(cells, x, y)
            self._take_found(cells, look, x, y)
            cells = _divided(cells, look, coarse)
            cells = cells.kept(cells.side >= SMALLEST_PX)
        return self._box

    def _plant_seeds(self) -> None:
        """Start from points of the shape's edge that the WCS can place in the frame."""
        edge = self._shape.boundary(64)
        x, y = self._wcs.to_pixel(edge)
        frame = self._frame
        inside = (x > frame.x0 - 0.5) & (x < frame.x1 - 0.5) & (y > frame.y0 - 0.5) & (y < frame.y1 - 0.5)
        x, y, edge = x[inside], y[inside], edge[inside]
        if not x.size:
            return
        # an inverse is believed only if it leads back
        astray = separation_deg(self._wcs.to_sky(x, y), edge) / self._wcs.pixel_scale_deg(x, y)
        x, y = x[astray < CONTACT_PX], y[astray < CONTACT_PX]
        amid, column, row = _is_amid_pixel(x, y), np.floor(x + 0.5), np.floor(y + 0.5)
        self._include(column[amid], column[amid], row[amid], row[amid])
        if x.size and self._box is None and np.ptp(x) < 3.0 * CONTACT_PX and np.ptp(y) < 3.0 * CONTACT_PX:
            # a shape so small that it is lost between pixels still has one
            self._include(column[:1], column[:1], row[:1], row[:1])

    def _look_at(self, cells: _Cells, x: Floats, y: Floats) -> _Look:
        vectors = self._wcs.to_sky(x, y)
        spread = separation_deg(vectors, vectors[CENTER]).max(axis=0)
        half = np.hypot(cells.width, cells.height) / 2.0
        contact = np.nan_to_num(spread) / half * CONTACT_PX
        return _Look(vectors, self._shape.signed_distance_deg(vectors), spread, contact)

    def _take_found(self, cells: _Cells, look: _Look, x: Floats, y: Floats) -> None:
        """Extend the box by the pixels where a sample lies inside the shape."""
        found = look.distance < -look.contact
        # beside the limb of a map, the edge of a pixel may be on the sky and its area not
        found &= np.isfinite(look.spread)
        if found.any():
            cell = np.nonzero(found)[1]
            columns = _pixels_at(x[found], cells.x0[cell], cells.x1[cell])
            self._include(*columns, *_pixels_at(y[found], cells.y0[cell], cells.y1[cell]))

    def _include(self, x_first: Floats, x_last: Floats, y_first: Floats, y_last: Floats) -> None:
        """Extend the box to pixels given by their first and last indices."""
        if not x_first.size:
            return
        x0, x1, y0, y1 = int(x_first.min()), int(x_last.max()) + 1, int(y_first.min()), int(y_last.max()) + 1
        if (box := self._box) is not None:
            x0, x1, y0, y1 = min(x0, box.x0), max(x1, box.x1), min(y0, box.y0), max(y1, box.y1)
        self._box = PixelBox(x0, x1, y0, y1)


def _middle(low: Floats, high: Floats) -> Floats:
    """Where to halve sides: between two pixels while they are longer than one."""
    middle = (low + high) / 2.0
    return np.where(high - low > 1.0, np.floor(middle) + 0.5, middle)


def _is_amid_pixel(x: Floats, y: Floats) -> Booleans:
    """Whether points are clear of the edges between pixels."""
    off_x, off_y = np.abs(x - np.round(x)), np.abs(y - np.round(y))
    return np.asarray(np.maximum(off_x, off_y) < 0.5 - CONTACT_PX)


def _pixels_at(position: Floats, low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """First and last pixel at points of cells ``low .. high``; on an edge, those on the cell's side of it."""
    below, above = np.ceil(position + 0.5) - 1.0, np.floor(position + 0.5)
    return np.where(position > low, below, above), np.where(position < high, above, below)


def _divided(cells: _Cells, look: _Look, coarse: float) -> _Cells:
    """Leave out cells that hold no point of the shape, and halve the others where it tells most."""
    valid = np.isfinite(look.distance)
    count = valid.sum(axis=0)
    whole, blank = count == len(valid), count == 0
    reach = np.where(whole, REACH_SAFETY * look.spread, _reach_of_part(look.vectors, valid, cells.reach))
    halvings = np.where(blank, cells.blank + 1.0, 0.0)
    distance = np.where(whole, look.distance, 0.0)
    bend_x, bend_y = _second_differences(distance)
    # Between samples a function stays above their least by an eighth of its second differences where it
    # is smooth, and by about half of them at a kink; all of them are taken off.
    least = distance.min(axis=0)
    smooth = whole & (reach < SMOOTH_DEG)
    far = smooth & (least - bend_x - bend_y >= -look.contact)
    far |= whole & (reach < LARGEST_DEG) & (distance[CENTER] > reach)
    nearest = np.min(np.where(valid, look.distance, np.inf), axis=0)
    thin = np.minimum(cells.width, cells.height) <= LIMB_PX
    far |= ~whole & ~blank & ((nearest > reach) | thin)
    far |= blank & (((halvings > BLANK_HALVINGS) & (cells.side <= coarse)) | thin)
    # long cells along their length only; then across the bend that hides the answer, and across a limb
    halve_x, halve_y = cells.height <= 2.0 * cells.width, cells.width <= 2.0 * cells.height
    bent = smooth & (least >= -look.contact)
    halve_x, halve_y = (
        np.where(bent, 4.0 * bend_x >= bend_y, halve_x),
        np.where(bent, 4.0 * bend_y >= bend_x, halve_y),
    )
    grid = valid.reshape(3, 3, -1)
    limb_along_y = ~whole & ~blank & (grid == grid[:1]).all(axis=(0, 1))
    limb_along_x = ~whole & ~blank & (grid == grid[:, :1]).all(axis=(0, 1))
    halve_x, halve_y = (halve_x | limb_along_y) & ~limb_along_x, (halve_y | limb_along_x) & ~limb_along_y
    kept = ~far
    return replace(cells, reach=reach, blank=halvings).kept(kept).halved(halve_x[kept], halve_y[kept])


def _second_differences(distance: Floats) -> tuple[Floats, Floats]:
    """Largest second differences along x and along y of 3 x 3 samples."""
    grid = distance.reshape(3, 3, -1)
    along_x = np.abs(grid[:, 0] + grid[:, 2] - 2.0 * grid[:, 1]).max(axis=0)
    along_y = np.abs(grid[0] + grid[2] - 2.0 * grid[1]).max(axis=0)
    return along_x, along_y


def _reach_of_part(vectors: Floats, valid: Booleans, inherited: Floats) -> Floats:
    """Estimate the reach of cells that are partly off the sky from their valid samples, two or more."""
    first = np.argmax(valid, axis=0)
    anchor = np.take_along_axis(vectors, first[None, :, None], axis=0)[0]
    widest = np.max(np.where(valid, separation_deg(vectors, anchor), 0.0), axis=0)
    return np.where(valid.sum(axis=0) >= 2, 3.0 * widest, inherited)
