"""Pieces on a grid of their own: their pixels are interpolated to those of the output."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from surveys.kernels import resample as kernels
from surveys.lru import Lru
from surveys.mosaic.bands import Band
from surveys.mosaic.grid import OutputGrid
from surveys.mosaic.nodes import (
    BLOCK_COLUMNS,
    BLOCK_ROWS,
    Area,
    NodeMap,
    make_map,
    reach_of,
)
from surveys.mosaic.ownership import EVERYWHERE, border_limits, outside_own, own_region
from surveys.mosaic.reading import SINGLE, OpenPiece
from surveys.sky.pixels import PixelBox
from surveys.sky.sphere import Floats
from surveys.sky.wcs import wcs_of

#: Kernels are widened where output pixels are larger than those of the image by more than this.
LEAST_WIDTH = 1.02
#: Key of the second piece, where their order decides: those of all must be less than a penalty.
RANK = 2.0**-13
#: Pixels of a window of an image that are held at once.
WINDOW_PIXELS = 1 << 22
#: A window is divided where more of it than this, for each pixel that is needed, would be read in vain.
WASTE = 4
_SMALL_PX = 128
#: Blocks along an output pixel at least, where it is a mean: parts of blocks count as if they were even.
_BLOCKS_OF_MEAN = 4
# Places along each side where the size of a pixel is measured; an odd number would meet a seam in the middle.
_PLACES = 6
_MAPS_KEPT = 16


@dataclass(frozen=True, slots=True)
class Window:
    """What of an image, in blocks, an area of the output needs."""

    area: Area
    map: NodeMap
    box: PixelBox

    def place(self, band: Band) -> tuple[int, int, Floats, int, int, int]:
        """Tell the kernels where the box is on the image, and the map on the band."""
        map_ = self.map
        return self.box.x0, self.box.y0, map_.nodes, map_.step, map_.u0, map_.v0 - band.y0

    def part(self, band: Band) -> tuple[int, int, int, int]:
        """Tell the kernels which columns and rows of the band are made."""
        area = self.area
        return area.u0, area.u1, area.v0 - band.y0, area.v1 - band.y0


class ResampledPiece:
    """A piece whose pixels are interpolated.

    Parameters
    ----------
    piece
        Its files open.
    grid
        The output.
    kernel
        ``lanczos3`` or ``bilinear``.
    flux
        Whether values are multiplied by the ratio of the pixels' areas.
    ranked
        Whether the order of the pieces decides instead of their distance.
    mean
        Whether an output pixel that is larger than those of the image has the mean over its area, instead
        of what the widened kernel gives.
    """

    #: Whether pixels are averaged in blocks before, and how many neighbours more are read on each side.
    averages = True
    margin = 0

    def __init__(
        self,
        piece: OpenPiece,
        grid: OutputGrid,
        kernel: str,
        flux: bool,
        ranked: bool,
        mean: bool = False,
    ) -> None:
        self.piece = piece
        record = piece.record
        self._grid, self._flux, self._ranked = grid, flux, ranked
        self._wcs = wcs_of(record)
        self._centre: Floats = self._wcs.to_sky((record.nx - 1) / 2, (record.ny - 1) / 2)
        self._middle = grid.middle()
        self._reach = reach_of(grid, self._wcs)
        across, up = self._pixel_size()
        mean = mean and max(across, up) > LEAST_WIDTH
        kernel = "bilinear" if mean else kernel
        self._blocks = piece.blocks(across, up, _BLOCKS_OF_MEAN if mean else 1) if self.averages else SINGLE
        widths = (across / self._blocks.width, up / self._blocks.height)
        self._x_table, self._y_table = (
            _table(kernel, width if width > LEAST_WIDTH else 1.0, piece.dtype.str) for width in widths
        )
        # Where the order decides, no image has a part of the sky of its own.
        self._region = None if ranked else own_region(piece.piece)
        border = EVERYWHERE if ranked else border_limits(piece.piece, record)
        self._limits = self._in_blocks(
            np.concatenate(([-0.5, record.nx - 0.5, -0.5, record.ny - 0.5], border))
        )
        self._maps: Lru[Area, NodeMap] = Lru(_MAPS_KEPT)
        self._area_ratio = float(self._blocks.width * self._blocks.height)

    def _pixel_size(self) -> tuple[float, float]:
        """Size of an output pixel along x and y of the image, in its pixels: the median of some places."""
        if self._reach is None:
            return 1.0, 1.0
        reach = self._reach
        u, v = np.meshgrid(
            np.linspace(reach.u0, reach.u1 - 1, _PLACES), np.linspace(reach.v0, reach.v1 - 1, _PLACES)
        )
        half = 0.5 * np.array([[1, -1, 0, 0], [0, 0, 1, -1]])
        x, y = self._wcs.to_pixel(
            self._grid.to_sky(u[..., np.newaxis] + half[0], v[..., np.newaxis] + half[1])
        )
        # Where a place is not on the image its WCS need not be of use.
        record = self.piece.record
        beside = np.maximum(np.abs(x / record.nx - 0.5), np.abs(y / record.ny - 0.5))
        near = (beside < 1.0).all(axis=-1)
        if not near.any():
            return 1.0, 1.0
        sizes = [
            float(np.median(np.hypot(line[..., 0] - line[..., 1], line[..., 2] - line[..., 3])[near]))
            for line in (x, y)
        ]
        return sizes[0], sizes[1]

    def _in_blocks(self, limits: Floats) -> Floats:
        size = np.tile(np.repeat([self._blocks.width, self._blocks.height], 2), len(limits) // 4)
        return np.asarray((limits + 0.5) / size - 0.5)

    def give(self, band: Band) -> None:
        """Interpolate its pixels."""
        height, width = band.image.shape
        if band.weight is not None:
            band.is_variance = True
        reach = self._reach
        area = reach and reach.common(Area(0, width, band.y0, band.y0 + height))
        if reach is None or area is None:
            return
        for window in self._windows(area, reach):
            self._fill(band, window)

    def _windows(self, area: Area, reach: Area) -> Iterator[Window]:
        """Cut an area in parts that have one map, and need no large window."""
        for v in range(area.v0 // BLOCK_ROWS * BLOCK_ROWS, area.v1, BLOCK_ROWS):
            for u in range(area.u0 // BLOCK_COLUMNS * BLOCK_COLUMNS, area.u1, BLOCK_COLUMNS):
                block = reach.common(Area(u, u + BLOCK_COLUMNS, v, v + BLOCK_ROWS))
                part = block and block.common(area)
                if block is not None and part is not None:
                    yield from self._divided(part, self._map(block))

    def _map(self, block: Area) -> NodeMap:
        return self._maps.get(block, lambda: self._make_map(block))

    def _make_map(self, block: Area) -> NodeMap:
        made = make_map(self._grid, self._wcs, self._centre, self._middle, block)
        for k, size in enumerate((self._blocks.width, self._blocks.height)):
            if size > 1:
                made.nodes[k] = (made.nodes[k] + 0.5) / size - 0.5
        if self._ranked:
            made.nodes[2] = self.piece.number * RANK
        return made

    def _divided(self, area: Area, map_: NodeMap) -> Iterator[Window]:
        box = self._box(area, map_)
        if box is None:
            return
        width, height = area.u1 - area.u0, area.v1 - area.v0
        large = box.pixels > WINDOW_PIXELS or box.pixels > WASTE * area.pixels
        if not large or max(width, height) <= _SMALL_PX:
            yield Window(area, map_, box)
            return
        u, v = (area.u0 + area.u1) // 2, (area.v0 + area.v1) // 2
        halves = (
            (replace_area(area, u1=u), replace_area(area, u0=u))
            if width >= height
            else (replace_area(area, v1=v), replace_area(area, v0=v))
        )
        for half in halves:
            yield from self._divided(half, map_)

    def _box(self, area: Area, map_: NodeMap) -> PixelBox | None:
        """Pixels, in blocks, that an area needs, neighbours included; None where there are none."""
        x, y = map_.positions(area)
        if not np.isfinite(x).any():
            return None
        nx, ny = self._blocks.size(self.piece.record.nx, self.piece.record.ny)
        edges = []
        for line, table, length in ((x, self._x_table, nx), (y, self._y_table, ny)):
            half = table.shape[1] // 2 + self.margin
            low, high = float(np.nanmin(line)), float(np.nanmax(line))
            edges += [math.floor(max(low, -1.0)) - half, math.ceil(min(high, length + 1.0)) + half + 1]
        return PixelBox(*edges).clip(nx, ny)

    def _fill(self, band: Band, window: Window) -> None:
        self._interpolate(band, window)
        box = window.box
        place, part = window.place(band), window.part(band)
        number, tables = self.piece.number, (self._x_table, self._y_table)
        if band.weight is not None:
            variances = self.piece.variances(box, self._blocks)
            kernels.variance(variances, *place, part, self._ratio, number, *tables, band.winner, band.weight)
        if band.mask is not None:
            bits = self.piece.bits(box, self._blocks)
            kernels.mask_bits(bits, *place, part, number, *tables, band.winner, band.mask)

    def _interpolate(self, band: Band, window: Window) -> None:
        """Put values, keys and its number into the image."""
        pixels = self.piece.pixels(window.box, self._blocks)
        outside = outside_own(self._region, self._grid, window.area)
        if len(outside):
            outside = _placed(outside, band, window.area)
        kernels.resample(
            pixels, *window.place(band), window.part(band), self._limits, outside, self._ratio,
            self.piece.number, self._x_table, self._y_table, band.image, band.best, band.winner,
        )  # fmt: skip

    @property
    def _ratio(self) -> float:
        """What the area of an output pixel in blocks is multiplied by; 0 where values do not grow with it."""
        return self._area_ratio if self._flux else 0.0


def _placed(outside: NDArray[np.uint8], band: Band, area: Area) -> NDArray[np.uint8]:
    whole = np.zeros(band.image.shape, np.uint8)
    whole[area.v0 - band.y0 : area.v1 - band.y0, area.u0 : area.u1] = outside
    return whole


def replace_area(area: Area, **changes: int) -> Area:
    """Return an area with other edges."""
    edges = {"u0": area.u0, "u1": area.u1, "v0": area.v0, "v1": area.v1} | changes
    return Area(**edges)


@lru_cache(maxsize=64)
def _table(kernel: str, width: float, dtype: str) -> NDArray[Any]:
    return kernels.weight_table(kernel, width).astype(dtype)
