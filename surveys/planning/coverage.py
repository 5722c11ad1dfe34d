"""Where images lie on the plane of an output, and what of a region none of them covers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from surveys.planning.planes import Plane
from surveys.sky.pixels import PixelBox
from surveys.sky.plane import CONTACT_PX, Extent, Figure, Point
from surveys.sky.sphere import Floats
from surveys.sky.stencil import CenteredBox, Stencil
from surveys.sky.wcs import CelestialWcs

Polygon = Sequence[Point]

#: What is thinner (pixels) between two images is no gap.
THINNEST_PX = 0.5
# Cells along each side of an image whose edges are not straight on the plane, and samples of an outline.
_CELLS, _SIDES = 4, 16
# Samples of an edge of what is not covered, and of a stencil's edge.
_SAMPLES, _BOUNDARY = 16, 256


def outline(box: PixelBox, per_side: int) -> tuple[Floats, Floats]:
    """Points of the edge of a box, on a closed way."""
    step = np.arange(per_side) / per_side
    x0, x1, y0, y1 = box.x0 - 0.5, box.x1 - 0.5, box.y0 - 0.5, box.y1 - 0.5
    full = np.ones(per_side)
    x = np.concatenate([x0 + (x1 - x0) * step, x1 * full, x1 - (x1 - x0) * step, x0 * full])
    y = np.concatenate([y0 * full, y0 + (y1 - y0) * step, y1 * full, y1 - (y1 - y0) * step])
    return x, y


def are_straight(one: CelestialWcs, other: CelestialWcs) -> bool:
    """Whether straight lines of one plane are straight on the other."""
    return one.tan is not None and other.tan is not None


def needed(plane: Plane, box: PixelBox, wcs: CelestialWcs) -> PixelBox | None:
    """Pixels of an image that a box of the plane overlaps; None where there are none.

    Where the box has no outline in the pixels of the image, all of them.
    """
    image = PixelBox(0, wcs.nx, 0, wcs.ny)
    x, y = outline(box, 1 if are_straight(plane.wcs, wcs) else _SIDES)
    x, y = wcs.to_pixel(plane.wcs.to_sky(x, y))
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return image if _reaches(plane, box, wcs) else None
    found = Figure(list(zip(x.tolist(), y.tolist(), strict=True))).extent_within(_edges(image))
    if found is None:
        return None
    # Chords of a bent edge may lie within it.
    sag = 0.0 if are_straight(plane.wcs, wcs) else max(_sag(x), _sag(y))
    whole = PixelBox(
        math.floor(found.x_min - sag + 0.5 + CONTACT_PX),
        math.ceil(found.x_max + sag + 0.5 - CONTACT_PX),
        math.floor(found.y_min - sag + 0.5 + CONTACT_PX),
        math.ceil(found.y_max + sag + 0.5 - CONTACT_PX),
    )
    return whole.clip(wcs.nx, wcs.ny)


def _reaches(plane: Plane, box: PixelBox, wcs: CelestialWcs) -> bool:
    lattice = np.meshgrid(np.linspace(0, wcs.nx - 1, 2 * _SIDES), np.linspace(0, wcs.ny - 1, 2 * _SIDES))
    x, y = plane.wcs.to_pixel(wcs.to_sky(*lattice))
    return bool(np.any((x > box.x0 - 0.5) & (x < box.x1 - 0.5) & (y > box.y0 - 0.5) & (y < box.y1 - 0.5)))


def _sag(values: Floats) -> float:
    """How far a closed line through samples may lie from its chords; corners do not count."""
    bends = np.abs(np.roll(values, 1) + np.roll(values, -1) - 2.0 * values)
    bends[::_SIDES] = 0.0
    return float(bends.max()) / 4.0


def _edges(box: PixelBox) -> Extent:
    return Extent(box.x0 - 0.5, box.x1 - 0.5, box.y0 - 0.5, box.y1 - 0.5)


def cells_on(plane: Plane, part: PixelBox, wcs: CelestialWcs) -> list[Polygon] | None:
    """Quadrangles of the plane that a part of an image covers; None where it has no place there."""
    cells = 1 if are_straight(plane.wcs, wcs) else _CELLS
    x = np.linspace(part.x0 - 0.5, part.x1 - 0.5, cells + 1)
    y = np.linspace(part.y0 - 0.5, part.y1 - 0.5, cells + 1)
    x, y = plane.wcs.to_pixel(wcs.to_sky(*np.meshgrid(x, y)))
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return None
    points = np.stack([x, y], axis=-1)
    quads = np.stack([points[:-1, :-1], points[:-1, 1:], points[1:, 1:], points[1:, :-1]], axis=2)
    return [[(float(a), float(b)) for a, b in quad] for quad in quads.reshape(-1, 4, 2)]


def frame_of(polygons: Iterable[Polygon], slack: float = 0.0) -> PixelBox:
    """Whole pixels that polygons touch, all together."""
    points = [point for polygon in polygons for point in polygon]
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return PixelBox(
        math.floor(min(xs) - slack + 0.5 + CONTACT_PX),
        math.ceil(max(xs) + slack + 0.5 - CONTACT_PX),
        math.floor(min(ys) - slack + 0.5 + CONTACT_PX),
        math.ceil(max(ys) + slack + 0.5 - CONTACT_PX),
    )


def uncovered(box: PixelBox, covers: Iterable[Polygon]) -> list[Polygon]:
    """Convex parts of a box that no polygon covers; gaps thinner than half a pixel are none."""
    edges = _edges(box)
    left: list[tuple[Extent, Polygon]] = [(edges, edges.corners())]
    for cover in covers:
        within = _extent(cover)
        kept: list[tuple[Extent, Polygon]] = []
        for extent, part in left:
            if (
                extent.x_max <= within.x_min
                or extent.x_min >= within.x_max
                or extent.y_max <= within.y_min
                or extent.y_min >= within.y_max
            ):
                kept.append((extent, part))
            else:
                kept += [(_extent(rest), rest) for rest in _without(part, cover)]
        left = kept
        if not left:
            break
    return [part for _, part in left if _thickness(part) > THINNEST_PX]


def _extent(polygon: Polygon) -> Extent:
    xs, ys = [x for x, _ in polygon], [y for _, y in polygon]
    return Extent(min(xs), max(xs), min(ys), max(ys))


def meets_uncovered(stencil: Stencil, plane: Plane, parts: Sequence[Polygon]) -> bool:
    """Whether a region reaches into one of some convex parts of the plane."""
    if isinstance(stencil, CenteredBox) or not parts:
        return bool(parts)
    x, y = np.concatenate([_samples(part) for part in parts]).T
    if np.any(stencil.contains(plane.wcs.to_sky(x, y))):
        return True
    edge = plane.wcs.to_pixel(stencil.boundary(_BOUNDARY))
    return any(
        _holds(part, point) for part in parts for point in zip(*(axis.tolist() for axis in edge), strict=True)
    )


def _samples(part: Polygon) -> Floats:
    """Points of a convex polygon: its middle, and rings towards its edge."""
    corners = np.array(part)
    ends = np.roll(corners, -1, axis=0)
    share = (np.arange(_SAMPLES) / _SAMPLES)[:, None, None]
    ring = (corners + share * (ends - corners)).reshape(-1, 2)
    middle = corners.mean(axis=0)
    return np.concatenate([middle + k * (ring - middle) for k in (0.01, 0.35, 0.7, 0.999)])


def _holds(part: Polygon, point: Point) -> bool:
    turn = math.copysign(1.0, _area(part))
    return all(
        turn * ((bx - ax) * (point[1] - ay) - (by - ay) * (point[0] - ax)) > 0.0
        for (ax, ay), (bx, by) in zip(part, [*part[1:], part[0]], strict=True)
    )


def _without(part: Polygon, cover: Polygon) -> list[Polygon]:
    """Convex parts of a convex polygon outside of another."""
    turn = math.copysign(1.0, _area(cover))
    outside: list[Polygon] = []
    rest: Polygon = part
    for start, end in zip(cover, [*cover[1:], cover[0]], strict=True):
        beyond, rest = _split(rest, start, end, turn)
        if len(beyond) > 2 and _thickness(beyond) > CONTACT_PX:
            outside.append(beyond)
        if len(rest) < 3:
            # All of it lies beyond one edge: the cuts before were in vain.
            return [part]
    return outside


def _split(part: Polygon, start: Point, end: Point, turn: float) -> tuple[list[Point], list[Point]]:
    """Parts of a convex polygon to the right and to the left of a line (turned over for `turn` -1)."""
    dx, dy = turn * (end[0] - start[0]), turn * (end[1] - start[1])
    right: list[Point] = []
    left: list[Point] = []
    ax, ay = part[-1]
    a = dx * (ay - start[1]) - dy * (ax - start[0])
    for bx, by in part:
        b = dx * (by - start[1]) - dy * (bx - start[0])
        if (a > 0.0 > b) or (a < 0.0 < b):
            share = a / (a - b)
            point = (ax + share * (bx - ax), ay + share * (by - ay))
            right.append(point)
            left.append(point)
        if b <= 0.0:
            right.append((bx, by))
        if b >= 0.0:
            left.append((bx, by))
        ax, ay, a = bx, by, b
    return right, left


def _area(polygon: Polygon) -> float:
    ends = [*polygon[1:], polygon[0]]
    return sum(ax * by - bx * ay for (ax, ay), (bx, by) in zip(polygon, ends, strict=True)) / 2.0


def _thickness(polygon: Polygon) -> float:
    ends = [*polygon[1:], polygon[0]]
    around = sum(math.hypot(bx - ax, by - ay) for (ax, ay), (bx, by) in zip(polygon, ends, strict=True))
    return 2.0 * abs(_area(polygon)) / around if around > 0.0 else 0.0
