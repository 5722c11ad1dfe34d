"""Where images of one pixel grid lie in an output, in whole pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from surveys.image import ImageRecord
from surveys.mosaic.grid import OutputGrid
from surveys.mosaic.nodes import Area
from surveys.plan import Part
from surveys.sky.pixels import PixelBox
from surveys.sky.wcs import wcs_of


def shift_of(part: Part, record: ImageRecord, reference: ImageRecord) -> tuple[int, int]:
    """Output pixel (column, row) of the first pixel of an image that is on the grid of the output."""
    box = part.grid.box
    if part.grid.wcs_text == "" and record is reference:
        return -box.x0, -box.y0
    plane = OutputGrid.of(part.grid, reference).wcs
    wcs = wcs_of(record)
    # Of its pixels the one nearest to the output: planes may part slowly with distance.
    x, y = plane.to_pixel(wcs.to_sky((record.nx - 1) / 2, (record.ny - 1) / 2))
    u, v = float(x) - (record.nx - 1) / 2, float(y) - (record.ny - 1) / 2
    return round(u) - box.x0, round(v) - box.y0


def covered_area(part: Part, record: ImageRecord, shift: tuple[int, int]) -> Area | None:
    """Output pixels that lie on an image."""
    whole = Area(0, part.grid.box.width, 0, part.grid.box.height)
    return whole.common(Area(shift[0], shift[0] + record.nx, shift[1], shift[1] + record.ny))


def covers(box: PixelBox, placed: Sequence[tuple[tuple[int, int], ImageRecord]]) -> bool:
    """Whether images, each with its shift, cover every pixel of an output."""
    areas = [
        area
        for (u, v), record in placed
        if (area := Area(0, box.width, 0, box.height).common(Area(u, u + record.nx, v, v + record.ny)))
    ]
    columns = np.unique([0, box.width, *(edge for area in areas for edge in (area.u0, area.u1))])
    rows = np.unique([0, box.height, *(edge for area in areas for edge in (area.v0, area.v1))])
    taken = np.zeros((len(rows) - 1, len(columns) - 1), bool)
    for area in areas:
        u0, u1 = np.searchsorted(columns, (area.u0, area.u1))
        v0, v1 = np.searchsorted(rows, (area.v0, area.v1))
        taken[v0:v1, u0:u1] = True
    return bool(taken.all())
