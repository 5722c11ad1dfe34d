"""Whether a shape meets footprints: by sphgeom where that is exact, by cuts and crossings elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from lsst.sphgeom import ConvexPolygon, Region, UnitVector3d

from surveys.sky.outline import outline_of
from surveys.sky.sphere import Floats, unit_vector
from surveys.sky.stencil import SPHERE_DEG2, Polygon, Range, Shape

#: A range this wide is halved: the meridians of a narrower one bound a convex part of the sky.
_WIDEST_LUNE_DEG = 170.0
#: Points on a parallel whose declination differs by this much (degrees) still meet it.
_TOUCH_DEG = 1e-9


class Probe:
    """A shape that is held against one footprint after the other.

    `region` is at least as large as the shape.
    """

    def __init__(self, shape: Shape) -> None:
        self.region: Region = shape.region()
        self.is_whole_sky = shape.area_deg2 >= SPHERE_DEG2 * (1.0 - 1e-12)
        self._refine = _refinement(shape, self.region)

    def meets(self, footprint: Region) -> bool:
        """Whether the shape has a point in common with a footprint."""
        if self.region.overlaps(footprint) is False:
            return False
        # Footprints that are circles belong to images of half the sky: there the first test must do.
        if self._refine is None or not isinstance(footprint, ConvexPolygon):
            return True
        return self._refine(footprint)


def _refinement(shape: Shape, region: Region) -> Callable[[ConvexPolygon], bool] | None:
    """Return the exact test where sphgeom's of `region` is not: it compares boxes by their corners only."""
    match shape:
        case Range():
            parts = _narrow_parts(shape)
            return lambda footprint: any(_meets_range(part, footprint) for part in parts)
        case Polygon() if not _is_convex(shape, region):
            return lambda footprint: _meets_polygon(shape, footprint)
        case _:
            return None


def _is_convex(polygon: Polygon, region: Region) -> bool:
    return isinstance(region, ConvexPolygon) and len(region.getVertices()) == len(polygon.vertices_deg)


def _narrow_parts(whole: Range) -> list[Range]:
    if whole.width_deg >= 360.0:
        return [whole]
    count = int(whole.width_deg // _WIDEST_LUNE_DEG) + 1
    edges = [whole.ra_min_deg + whole.width_deg * i / count for i in range(count + 1)]
    return [Range(left, right, whole.dec_min_deg, whole.dec_max_deg) for left, right in pairwise(edges)]


def _meets_range(part: Range, footprint: ConvexPolygon) -> bool:
    """Cut the footprint by the meridians; what is left is in one piece, so its declinations decide."""
    vertices = _vectors(footprint)
    if part.width_deg < 360.0:
        # Inside lies left of the western meridian, seen from outside, and right of the eastern one.
        west, east = (np.array(unit_vector(ra, 0.0)) for ra in (part.ra_min_deg, part.ra_max_deg))
        for inward in (np.array([-west[1], west[0], 0.0]), np.array([east[1], -east[0], 0.0])):
            vertices = _cut(vertices, inward)
    lowest, highest = _declinations(vertices)
    return lowest <= part.dec_max_deg + _TOUCH_DEG and part.dec_min_deg <= highest + _TOUCH_DEG


def _cut(vertices: Floats, inward: Floats) -> Floats:
    """Part of a convex polygon on the side of a great circle that `inward` points to."""
    kept: list[Floats] = []
    height = vertices @ inward
    for here, after, low, high in zip(
        vertices, np.roll(vertices, -1, axis=0), height, np.roll(height, -1), strict=True
    ):
        if low >= 0.0:
            kept.append(here)
        if (low >= 0.0) != (high >= 0.0):
            crossing = here * abs(high) + after * abs(low)
            kept.append(crossing / np.linalg.norm(crossing))
    return np.array(kept).reshape(-1, 3)


def _declinations(vertices: Floats) -> tuple[float, float]:
    """Lowest and highest declination of a convex polygon; an empty interval if nothing is left of it."""
    if not len(vertices):
        return 90.0 + 1.0, -90.0 - 1.0
    try:
        hull = ConvexPolygon.convexHull([UnitVector3d(*vertex) for vertex in vertices])
    except ValueError:  # a part without area: its vertices are all of it
        degrees = np.degrees(np.arcsin(np.clip(vertices[:, 2], -1.0, 1.0)))
        return float(degrees.min()), float(degrees.max())
    interval = hull.getBoundingBox().getLat()
    return interval.getA().asDegrees(), interval.getB().asDegrees()


def _meets_polygon(polygon: Polygon, footprint: ConvexPolygon) -> bool:
    """One has a vertex in the other, or edges cross."""
    outline, corners = outline_of(polygon.vertices_deg), _vectors(footprint)
    if np.any(outline.contains(corners)) or np.any(footprint.contains(*outline.vertices.T)):
        return True
    return _edges_cross(outline.vertices, corners)


def _edges_cross(first: Floats, second: Floats) -> bool:
    """Whether an edge of one closed line crosses an edge of another, both of edges below 180 degrees."""
    first_ends, second_ends = np.roll(first, -1, axis=0), np.roll(second, -1, axis=0)
    first_poles, second_poles = np.cross(first, first_ends), np.cross(second, second_ends)
    start, end = first_poles @ second.T, first_poles @ second_ends.T
    own_start, own_end = (second_poles @ first.T).T, (second_poles @ first_ends.T).T
    forward = (start <= 0) & (end >= 0) & (own_start >= 0) & (own_end <= 0)
    backward = (start >= 0) & (end <= 0) & (own_start <= 0) & (own_end >= 0)
    return bool(np.any(forward | backward))


def _vectors(polygon: ConvexPolygon) -> Floats:
    return np.array([[vertex.x(), vertex.y(), vertex.z()] for vertex in polygon.getVertices()])
