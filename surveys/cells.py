"""Which pixels of an image a shape overlaps, for any WCS: a search that halves cells of pixels.

It asks nothing of the projection but where pixels lie on the sky, so seams, poles, facets and limbs need
no case of their own. A cell is left out when the shape is certainly farther from its centre than it
reaches, and when all its pixels are known to belong to the box already.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from surveys.pixels import PixelBox
from surveys.plane import CONTACT_PX
from surveys.sphere import Floats, separation_deg
from surveys.stencil import Shape
from surveys.wcs import CelestialWcs

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
    """Squares of `size` pixels, counted from the lower corner of the frame.

    `reach` is how far on the sky the parent reaches from any of its points, `blank` for how many halvings
    no sample was on the sky.
    """

    column: NDArray[np.int64]
    row: NDArray[np.int64]
    size: float
    reach: Floats
    blank: NDArray[np.int64]

    def kept(self, which: NDArray[np.bool_]) -> _Cells:
        return _Cells(self.column[which], self.row[which], self.size, self.reach[which], self.blank[which])

    def halved(self) -> _Cells:
        column = np.concatenate([2 * self.column + dx for dx in (0, 1, 0, 1)])
        row = np.concatenate([2 * self.row + dy for dy in (0, 0, 1, 1)])
        return _Cells(column, row, self.size / 2.0, np.tile(self.reach, 4), np.tile(self.blank, 4))


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
        longest = max(self._frame.width, self._frame.height)
        size = 2.0 ** max(0, int(np.ceil(np.log2(longest / 8.0))))
        columns, rows = int(np.ceil(self._frame.width / size)), int(np.ceil(self._frame.height / size))
        row, column = (index.ravel() for index in np.indices((rows, columns)))
        cells = _Cells(column, row, size, np.full(row.size, np.inf), np.zeros(row.size, dtype=np.int64))
        # blank cells of this size are looked into whatever was around them
        coarse = longest / 64.0
        while cells.size >= SMALLEST_PX and cells.column.size:
            cells = self._step(cells, coarse).halved()
        return self._box

    def _plant_seeds(self) -> None:
        """Start from points of the shape's edge that the WCS can place in the frame."""
        edge = self._shape.boundary(64)
        if not len(edge):
            return
        x, y = self._wcs.to_pixel(edge)
        frame = self._frame
        inside = (x > frame.x0 - 0.5) & (x < frame.x1 - 0.5) & (y > frame.y0 - 0.5) & (y < frame.y1 - 0.5)
        x, y, edge = x[inside], y[inside], edge[inside]
        if not x.size:
            return
        # an inverse is believed only if it leads back
        astray = separation_deg(self._wcs.to_sky(x, y), edge) / self._wcs.pixel_scale_deg(x, y)
        off_edge = np.minimum(_off_edge(x), _off_edge(y))
        good = (astray < CONTACT_PX) & (off_edge > CONTACT_PX)
        self._include(x[good], y[good])
        if self._box is None and np.any(astray < CONTACT_PX) and self._is_tiny(x, y):
            first = np.argmax(astray < CONTACT_PX)
            self._include(np.floor(x[[first]] + 0.5), np.floor(y[[first]] + 0.5))

    def _is_tiny(self, x: Floats, y: Floats) -> bool:
        return float(np.ptp(x)) < 3.0 * CONTACT_PX and float(np.ptp(y)) < 3.0 * CONTACT_PX

    def _include(self, x: Floats, y: Floats) -> None:
        """Extend the box by the pixels at these points; a point between pixels belongs to all of them."""
        if not x.size:
            return
        frame, box = self._frame, self._box
        x0 = max(frame.x0, int(np.ceil(x.min() + 0.5)) - 1)
        x1 = min(frame.x1, int(np.floor(x.max() + 0.5)) + 1)
        y0 = max(frame.y0, int(np.ceil(y.min() + 0.5)) - 1)
        y1 = min(frame.y1, int(np.floor(y.max() + 0.5)) + 1)
        if box is not None:
            x0, x1, y0, y1 = min(x0, box.x0), max(x1, box.x1), min(y0, box.y0), max(y1, box.y1)
        self._box = PixelBox(x0, x1, y0, y1)

    def _step(self, cells: _Cells, coarse: float) -> _Cells:
        """Look at all cells of one size: extend the box, return the cells that may extend it further."""
        x_low = np.asarray(self._frame.x0 - 0.5 + cells.column * cells.size, dtype=np.float64)
        y_low = np.asarray(self._frame.y0 - 0.5 + cells.row * cells.size, dtype=np.float64)
        needed = (x_low < self._frame.x1 - 0.5) & (y_low < self._frame.y1 - 0.5)
        needed &= ~self._known(x_low, y_low, cells.size)
        cells, x_low, y_low = cells.kept(needed), x_low[needed], y_low[needed]
        x_high = np.minimum(x_low + cells.size, self._frame.x1 - 0.5)
        y_high = np.minimum(y_low + cells.size, self._frame.y1 - 0.5)
        columns = np.stack([x_low, (x_low + x_high) / 2.0, x_high])
        rows = np.stack([y_low, (y_low + y_high) / 2.0, y_high])
        x, y = np.tile(columns, (3, 1)), np.repeat(rows, 3, axis=0)
        vectors = self._wcs.to_sky(x, y)
        distance = self._shape.signed_distance_deg(vectors)
        spread = separation_deg(vectors, vectors[CENTER]).max(axis=0)
        contact = np.nan_to_num(spread) / cells.size * CONTACT_PX
        inside = distance < -contact
        self._include(x[inside], y[inside])
        return _survivors(cells, distance, vectors, spread, contact, coarse)

    def _known(self, x_low: Floats, y_low: Floats, size: float) -> NDArray[np.bool_]:
        """Whether all pixels of the cells are in the box."""
        if self._box is None:
            return np.zeros(x_low.shape, dtype=bool)
        box, frame = self._box, self._frame
        x_high, y_high = np.minimum(x_low + size, frame.x1 - 0.5), np.minimum(y_low + size, frame.y1 - 0.5)
        known = (x_low >= box.x0 - 0.5) & (x_high <= box.x1 - 0.5)
        return np.asarray(known & (y_low >= box.y0 - 0.5) & (y_high <= box.y1 - 0.5))


def _off_edge(position: Floats) -> Floats:
    """Distance of a pixel coordinate to the nearest edge between pixels."""
    return np.asarray(0.5 - np.abs(position - np.round(position)))


def _survivors(
    cells: _Cells, distance: Floats, vectors: Floats, spread: Floats, contact: Floats, coarse: float
) -> _Cells:
    """Cells that may still hold a point of the shape, with their own reach."""
    valid = np.isfinite(distance)
    count = valid.sum(axis=0)
    whole, blank = count == len(distance), count == 0
    reach = np.where(whole, REACH_SAFETY * spread, _reach_of_part(vectors, valid, cells.reach))
    clear = (reach < SMOOTH_DEG) & (_lower_bound(np.where(whole, distance, 0.0)) >= -contact)
    far = whole & (reach < LARGEST_DEG) & ((distance[CENTER] > reach) | clear)
    nearest = np.min(np.where(valid, distance, np.inf), axis=0)
    far |= ~whole & ~blank & (nearest > reach)
    halvings = np.where(blank, cells.blank + 1, 0)
    far |= blank & (halvings > BLANK_HALVINGS) & (cells.size <= coarse)
    if cells.size <= LIMB_PX:
        far |= ~whole
    kept = ~far
    return _Cells(cells.column[kept], cells.row[kept], cells.size, reach[kept], halvings[kept])


def _lower_bound(distance: Floats) -> Floats:
    """Least distance anywhere in cells over which it varies smoothly, from its 3 x 3 samples.

    Between samples a function stays above their least by an eighth of its second differences, if it is
    smooth, and by about half of them at a kink; all of them are taken off.
    """
    grid = distance.reshape(3, 3, -1)
    along = np.abs(grid[:, 0] + grid[:, 2] - 2.0 * grid[:, 1]).max(axis=0)
    across = np.abs(grid[0] + grid[2] - 2.0 * grid[1]).max(axis=0)
    return np.asarray(distance.min(axis=0) - along - across)


def _reach_of_part(vectors: Floats, valid: NDArray[np.bool_], inherited: Floats) -> Floats:
    """Estimate the reach of cells that are partly off the sky from their valid samples, two or more."""
    first = np.argmax(valid, axis=0)
    anchor = np.take_along_axis(vectors, first[None, :, None], axis=0)[0]
    widest = np.max(np.where(valid, separation_deg(vectors, anchor), 0.0), axis=0)
    return np.where(valid.sum(axis=0) >= 2, 3.0 * widest, inherited)
