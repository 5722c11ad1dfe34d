"""Pieces interpolated by the package reproject, the reference of our own kernels.

It works on the same windows, with the exact WCS instead of a map. Weights and masks are those of our bilinear
kernel: reproject knows neither.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from surveys.kernels.resample import EDGE_PENALTY, PENALTY
from surveys.kernels.resample_plain import map_plain
from surveys.mosaic.bands import Band
from surveys.mosaic.grid import OutputGrid
from surveys.mosaic.ownership import outside_own
from surveys.mosaic.reading import OpenPiece
from surveys.mosaic.resampling import ResampledPiece, Window

#: Neighbours its adaptive algorithm looks at, in output pixels, and some more for its edges.
_NEIGHBOURS_PX = 4
_SPARE_PX = 4


class ReprojectedPiece(ResampledPiece):
    """A piece that reproject interpolates; `algorithm` is ``interp``, ``adaptive`` or ``exact``."""

    averages = False

    def __init__(self, piece: OpenPiece, grid: OutputGrid, algorithm: str, flux: bool, ranked: bool) -> None:
        super().__init__(piece, grid, "bilinear", flux, ranked)
        self._algorithm = algorithm
        size = max(self._x_table.shape[1], self._y_table.shape[1]) // 2
        self.margin = _NEIGHBOURS_PX * size + _SPARE_PX

    def _interpolate(self, band: Band, window: Window) -> None:
        area = window.area
        columns, rows = slice(area.u0, area.u1), slice(area.v0 - band.y0, area.v1 - band.y0)
        map_ = window.map
        x, y, key, ratio = map_plain(
            map_.nodes, map_.step, map_.u0, map_.v0, (area.u0, area.u1, area.v0, area.v1)
        )
        low_x, high_x, low_y, high_y = self._limits[4:]
        foreign = ~((x >= low_x) & (x <= high_x) & (y >= low_y) & (y <= high_y))
        if len(outside := outside_own(self._region, self._grid, area)):
            foreign |= outside.astype(bool)
        key += PENALTY * foreign
        nx, ny = self.piece.record.nx, self.piece.record.ny
        key += EDGE_PENALTY * ~((x >= 0) & (x <= nx - 1) & (y >= 0) & (y <= ny - 1))
        if not (wanted := key < band.best[rows, columns]).any():
            return
        values = self._reprojected(window)
        if self._flux:
            values *= ratio
        take = wanted & np.isfinite(values)
        np.copyto(band.image[rows, columns], values, where=take, casting="same_kind")
        np.copyto(band.best[rows, columns], key, where=take)
        band.winner[rows, columns][take] = self.piece.number

    def _reprojected(self, window: Window) -> NDArray[np.float64]:
        import reproject  # it takes half a second to import, and is seldom asked for

        grid, area, box = self._grid, window.area, window.box
        # wcslib keeps scratch values in its struct: both are copies of this thread.
        source = self._wcs.to_astropy(box.x0, box.y0)
        target = grid.wcs.to_astropy(grid.x0 + area.u0, grid.y0 + area.v0)
        run: Any = getattr(reproject, f"reproject_{self._algorithm}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers, which were read before
            values, footprint = run(
                (self.piece.pixels(box).astype(np.float64), source),
                target,
                shape_out=(area.v1 - area.v0, area.u1 - area.u0),
            )
        return np.where(footprint > 0, values, np.nan)
