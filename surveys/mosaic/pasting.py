"""Pieces that are on the pixel grid of the output: their pixels are copied."""

from __future__ import annotations

import numpy as np

from surveys.image import ImageRecord
from surveys.kernels.resample import PENALTY
from surveys.mosaic.bands import Band
from surveys.mosaic.grid import OutputGrid
from surveys.mosaic.nodes import Area
from surveys.mosaic.ownership import border_limits, outside_own, own_region
from surveys.mosaic.placement import covered_area, shift_of
from surveys.mosaic.reading import OpenPiece, variance_of
from surveys.plan import Part
from surveys.sky.pixels import PixelBox
from surveys.sky.sphere import Floats

#: Key of a pixel's distance: the same for images of all sizes, and far less than a penalty for the largest.
PIXEL_KEY = 2.0**-20


class PastedPiece:
    """A piece whose pixels are pixels of the output.

    Parameters
    ----------
    piece
        Its files open.
    grid, part, reference
        The output, and the image of its first piece.
    stored
        Whether integers stay as they are stored.
    ranked
        Whether the order of the pieces decides instead of their distance.
    """

    def __init__(
        self,
        piece: OpenPiece,
        grid: OutputGrid,
        part: Part,
        reference: ImageRecord,
        stored: bool,
        ranked: bool,
    ) -> None:
        self.piece = piece
        self._grid, self._stored, self._ranked = grid, stored, ranked
        self._shift = shift_of(part, piece.record, reference)
        self._area = covered_area(part, piece.record, self._shift)
        self._alone = len(part.pieces) == 1
        self._limits, self._region = border_limits(piece.piece, piece.record), own_region(piece.piece)

    def give(self, band: Band) -> None:
        """Copy its pixels."""
        height, width = band.image.shape
        area = self._area and self._area.common(Area(0, width, band.y0, band.y0 + height))
        if area is None:
            return
        u, v = self._shift
        box = PixelBox(area.u0 - u, area.u1 - u, area.v0 - v, area.v1 - v)
        at = (slice(area.v0 - band.y0, area.v1 - band.y0), slice(area.u0, area.u1))
        if self._stored:
            pixels, take = self.piece.stored(box)
        else:
            pixels = self.piece.pixels(box)
            take = np.isfinite(pixels)
        if not self._alone:
            key = self._key(box, area)
            take &= key < band.best[at]
            np.copyto(band.best[at], key, where=take)
        np.copyto(band.image[at], pixels, where=take)
        band.winner[at][take] = self.piece.number
        if band.weight is not None:
            weights = self.piece.weights(box)
            if band.is_variance:
                weights = variance_of(weights, self.piece.meaning)
            np.copyto(band.weight[at], weights, where=take)
        if band.mask is not None:
            np.copyto(band.mask[at], self.piece.bits(box), where=take)

    def _key(self, box: PixelBox, area: Area) -> Floats:
        """Distance to the centre, squared, with a penalty outside of what is its own."""
        if self._ranked:
            return np.full((box.height, box.width), float(self.piece.number))
        record = self.piece.record
        x, y = np.arange(box.x0, box.x1), np.arange(box.y0, box.y1)
        dx, dy = (x - (record.nx - 1) / 2) * PIXEL_KEY, (y - (record.ny - 1) / 2) * PIXEL_KEY
        key = dx**2 + dy[:, np.newaxis] ** 2
        low_x, high_x, low_y, high_y = self._limits
        beyond = ((x < low_x) | (x > high_x)) | ((y < low_y) | (y > high_y))[:, np.newaxis]
        if len(outside := outside_own(self._region, self._grid, area)):
            beyond = beyond | outside.astype(bool)
        return np.asarray(key + PENALTY * beyond)
