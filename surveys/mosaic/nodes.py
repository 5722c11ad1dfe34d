"""Where the pixels of an output lie on an image: exact at nodes, interpolated between them.

The nodes are set so close that at their midpoints the interpolation is right to `TOLERANCE_PX`; where no
spacing does it (the seam of a map of the whole sky) there is a node at every pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from surveys.mosaic.grid import OutputGrid
from surveys.sky.sphere import Floats
from surveys.sky.wcs import CelestialWcs

#: Largest error of a position, pixels of the image, where the map is checked.
TOLERANCE_PX = 1e-5
#: Spacing of nodes that is tried first, output pixels.
FIRST_STEP = 64
#: Output pixels that have one map: rows, and columns.
BLOCK_ROWS, BLOCK_COLUMNS = 1024, 4096
#: Points on each side of an image where its place on the output is looked at.
_SIDE_POINTS = 33
# Beyond every image: a place of no sky, where no other place is interpolated with it.
_NOWHERE = 1e15


@dataclass(frozen=True, slots=True)
class Area:
    """Rectangle of output pixels, half-open: columns ``u0 .. u1``, rows ``v0 .. v1``."""

    u0: int
    u1: int
    v0: int
    v1: int

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return (self.u1 - self.u0) * (self.v1 - self.v0)

    def common(self, other: Area) -> Area | None:
        """Return what both have; None where that is nothing."""
        u0, u1 = max(self.u0, other.u0), min(self.u1, other.u1)
        v0, v1 = max(self.v0, other.v0), min(self.v1, other.v1)
        return Area(u0, u1, v0, v1) if u0 < u1 and v0 < v1 else None


@dataclass(frozen=True, slots=True)
class NodeMap:
    """Where an area of the output lies on an image.

    Parameters
    ----------
    u0, v0, step
        Output pixel of the first node, and distance between nodes.
    nodes
        (3, rows, columns): x and y on the image, NaN where there is no sky, and the key: the square of the
        chord to the image's centre, less that of the chord to the middle of the output. This difference
        is nearly linear, so that it can be interpolated, and is as small as the chord.
    """

    u0: int
    v0: int
    step: int
    nodes: Floats

    def positions(self, area: Area) -> tuple[Floats, Floats]:
        """Positions on the image of nodes within an area, and where its edges cross their lines.

        What is interpolated between them is extreme at one of these.
        """
        u, v = (
            np.unique([low, *range(low - low % self.step + self.step, high, self.step), high])
            for low, high in (
                (area.u0 - self.u0, area.u1 - 1 - self.u0),
                (area.v0 - self.v0, area.v1 - 1 - self.v0),
            )
        )
        return self.interpolated(0, u, v), self.interpolated(1, u, v)

    def interpolated(self, k: int, u: NDArray[np.int64], v: NDArray[np.int64]) -> Floats:
        """Interpolate x (0), y (1) or the key (2) at columns and rows counted from the first node."""
        nodes = self.nodes[k]
        i = np.minimum(u // self.step, nodes.shape[1] - 2)
        j = np.minimum(v // self.step, nodes.shape[0] - 2)
        s, t = u / self.step - i, (v / self.step - j)[:, None]
        left, right = nodes[:, i], nodes[:, i + 1]
        lines = left + s * (right - left)
        low = lines[j]
        return np.asarray(low + t * (lines[j + 1] - low))


def make_map(grid: OutputGrid, wcs: CelestialWcs, centre: Floats, middle: Floats, area: Area) -> NodeMap:
    """Map an area of the output to an image.

    Parameters
    ----------
    grid, wcs
        Of the output and of the image.
    centre, middle
        Unit vectors of the centre of the image and of the middle of the output.
    area
        The map holds at least this; it depends on nothing else, so that the same pixels come out whatever
        they are made together with.
    """
    step = FIRST_STEP
    fine = _lattice(grid, wcs, centre, middle, area, step // 2)
    while step > 1:
        coarse = fine[:, ::2, ::2]
        if _error(coarse, fine, wcs) <= TOLERANCE_PX:
            return NodeMap(area.u0, area.v0, step, np.ascontiguousarray(coarse))
        step //= 2
        fine = _lattice(grid, wcs, centre, middle, area, max(step // 2, 1))
    fine[~np.isfinite(fine)] = _NOWHERE
    return NodeMap(area.u0, area.v0, 1, fine)


def _lattice(
    grid: OutputGrid, wcs: CelestialWcs, centre: Floats, middle: Floats, area: Area, step: int
) -> Floats:
    """Exact nodes; an even number of cells each way, so that each second node makes a lattice too."""
    # Each pixel lies in a cell, the last one too: on its lower edge at most.
    counts = [2 * -(-length // (2 * step)) for length in (area.u1 - area.u0, area.v1 - area.v0)]
    u, v = np.meshgrid(
        area.u0 + step * np.arange(counts[0] + 1.0), area.v0 + step * np.arange(counts[1] + 1.0)
    )
    vectors = grid.to_sky(u, v)
    x, y = wcs.to_pixel(vectors)
    return np.stack([x, y, 2.0 * (vectors @ (middle - centre))])


def _error(coarse: Floats, fine: Floats, wcs: CelestialWcs) -> float:
    """Largest error of interpolated midpoints on the image, or next to it."""
    nodes, exact = coarse[:2], fine[:2]
    guess = np.empty_like(exact)
    guess[:, ::2, ::2] = nodes
    guess[:, ::2, 1::2] = (nodes[:, :, :-1] + nodes[:, :, 1:]) / 2
    guess[:, 1::2] = (guess[:, :-2:2] + guess[:, 2::2]) / 2
    # Of a cell that the image's edge cuts the midpoints may lie outside.
    reach = np.nanmax(np.abs(np.diff(nodes, axis=2)), initial=0.0)
    reach = min(
        max(reach, np.nanmax(np.abs(np.diff(nodes, axis=1)), initial=0.0)), float(max(wcs.nx, wcs.ny))
    )
    error = np.abs(guess - exact).max(axis=0)
    # No sky where some is guessed, or the other way round.
    error[np.isnan(exact[0]) != np.isnan(guess[0])] = math.inf
    near = np.zeros(error.shape, bool)
    for x, y in (exact, guess):
        near |= (x > -reach) & (x < wcs.nx + reach) & (y > -reach) & (y < wcs.ny + reach)
    return max(float(error[near].max(initial=0.0)), _error_of_cells(nodes, error, wcs))


def _error_of_cells(nodes: Floats, error: Floats, wcs: CelestialWcs) -> float:
    """Largest error of cells that the image may lie in as a whole, as between two meridians at a pole."""
    finite = np.where(np.isfinite(error), error, 0.0)
    rows = np.maximum(np.maximum(finite[:-2:2], finite[1::2]), finite[2::2])
    of_cell = np.maximum(np.maximum(rows[:, :-2:2], rows[:, 1::2]), rows[:, 2::2])
    corners = np.stack([nodes[:, :-1, :-1], nodes[:, :-1, 1:], nodes[:, 1:, :-1], nodes[:, 1:, 1:]])
    low, high = corners.min(axis=0) - of_cell, corners.max(axis=0) + of_cell
    meets = (low[0] < wcs.nx) & (high[0] > -1) & (low[1] < wcs.ny) & (high[1] > -1)
    return float(of_cell[meets].max(initial=0.0))


def reach_of(grid: OutputGrid, wcs: CelestialWcs) -> Area | None:
    """Output pixels an image can give anything to; None where there are none."""
    t = np.linspace(0.0, 1.0, _SIDE_POINTS)
    right, top = wcs.nx - 0.5, wcs.ny - 0.5
    across, up = -0.5 + t * (right + 0.5), -0.5 + t * (top + 0.5)
    low, left = np.full_like(t, -0.5), np.full_like(t, -0.5)
    x = np.stack([across, across, left, np.full_like(t, right)])
    y = np.stack([low, np.full_like(t, top), up, up])
    whole = Area(0, grid.width, 0, grid.height)
    u, v = grid.to_pixel(wcs.to_sky(x, y))
    if not (np.isfinite(u).all() and np.isfinite(v).all()):
        return whole
    # A side may bulge between two points, less than it turns from one to the next.
    ranges = []
    for line in (u, v):
        bulge = 2.0 + float(np.abs(np.diff(line, n=2, axis=1)).max())
        ranges += [math.floor(float(line.min()) - bulge), math.ceil(float(line.max()) + bulge)]
    return whole.common(Area(*ranges))
