"""The requested shapes on the sky (ICRS, degrees): circle, polygon, range, and the fixed-size box.

Circle, polygon and range know their geometry, on arrays of unit vectors of shape ``(..., 3)``. The
distance to a shape is what everything else rests on: zero or negative inside, and never more than
the true angle to the shape outside. NaN vectors (pixels that are off the sky) give NaN distances.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from lsst import sphgeom

from surveys.sky import outline
from surveys.sky.sphere import (
    Booleans,
    Floats,
    arc_points,
    circle_points,
    normalized,
    ra_dec_deg,
    separation_deg,
    unit_vector,
    unit_vectors,
)

SPHERE_DEG2 = 4.0 * math.pi * math.degrees(1.0) ** 2

# Regions for the search are this much larger than the shape: rounding must not lose an image.
REGION_MARGIN_DEG = 1e-9


@dataclass(frozen=True, slots=True)
class Circle:
    """All points within `radius_deg` of a centre. ``0 < radius_deg <= 180``."""

    ra_deg: float
    dec_deg: float
    radius_deg: float

    def signed_distance_deg(self, vectors: Floats) -> Floats:
        """Angle to the circle, negative inside."""
        return separation_deg(vectors, np.array(unit_vector(self.ra_deg, self.dec_deg))) - self.radius_deg

    def contains(self, vectors: Floats) -> Booleans:
        """Whether the points lie inside or on the edge."""
        return np.asarray(self.signed_distance_deg(vectors) <= 0.0)

    def bounding_circle(self) -> Circle:
        """Return the circle itself."""
        return self

    def boundary(self, n: int) -> Floats:
        """Return `n` points on the edge, shape (n, 3)."""
        return circle_points(np.array(unit_vector(self.ra_deg, self.dec_deg)), self.radius_deg, n)

    def region(self) -> sphgeom.Region:
        """Region for a search, at least as large as the shape."""
        center = sphgeom.UnitVector3d(sphgeom.LonLat.fromDegrees(self.ra_deg, self.dec_deg))
        return sphgeom.Circle(center, sphgeom.Angle.fromDegrees(self.radius_deg + REGION_MARGIN_DEG))

    @property
    def area_deg2(self) -> float:
        """Area on the sky."""
        return SPHERE_DEG2 * math.sin(math.radians(self.radius_deg) / 2.0) ** 2


@dataclass(frozen=True, slots=True)
class Polygon:
    """The smaller side of a closed line of great circles; not closed explicitly, either winding."""

    vertices_deg: tuple[tuple[float, float], ...]

    @classmethod
    def of(cls, vertices_deg: Iterable[tuple[float, float]]) -> Polygon:
        """Make a polygon of RA/Dec pairs that is known to bound an area; a repeated last vertex is dropped.

        Raises
        ------
        ValueError
            With the reason in words: fewer than three distinct vertices, all vertices on one line, edges
            that cross each other, neighbouring vertices opposite each other, or two equal sides.
        """
        pairs = tuple(vertices_deg)
        fault = outline.fault_of(pairs)
        if fault:
            raise ValueError(fault)
        return cls(pairs[:-1] if pairs[0] == pairs[-1] else pairs)

    def signed_distance_deg(self, vectors: Floats) -> Floats:
        """Angle to the edge, negative inside."""
        flat = outline.outline_of(self.vertices_deg).signed_distance_deg(vectors.reshape(-1, 3))
        return flat.reshape(vectors.shape[:-1])

    def contains(self, vectors: Floats) -> Booleans:
        """Whether the points lie inside; on the edge either answer is possible."""
        return np.asarray(self.signed_distance_deg(vectors) <= 0.0)

    def bounding_circle(self) -> Circle:
        """Return a circle that holds the polygon, the whole sphere if that reaches beyond a hemisphere."""
        vertices = self._vertices()
        mean = vertices.mean(axis=0)
        if np.linalg.norm(mean) < 1e-6:
            return Circle(0.0, 90.0, 180.0)
        center = normalized(mean)
        radius = float(np.max(separation_deg(vertices, center)))
        ra, dec = ra_dec_deg(center)
        # within a hemisphere circles are convex: they hold the edges with the vertices
        return Circle(float(ra), float(dec), radius if radius < 89.0 else 180.0)

    def boundary(self, n: int) -> Floats:
        """Return all vertices and points between them, about `n` in all, shape (m, 3)."""
        vertices = self._vertices()
        fractions = np.arange(max(1, round(n / len(vertices)))) / max(1, round(n / len(vertices)))
        pairs = zip(vertices, np.roll(vertices, -1, axis=0), strict=True)
        return np.concatenate([arc_points(start, end, fractions) for start, end in pairs])

    def region(self) -> sphgeom.Region:
        """Region for a search, at least as large as the shape: the convex hull."""
        circle = self.bounding_circle()
        if circle.radius_deg >= 89.0:
            return circle.region()
        try:
            return sphgeom.ConvexPolygon.convexHull([sphgeom.UnitVector3d(*v) for v in self._vertices()])
        except ValueError:  # slivers whose hull has no area in floating point
            return circle.region()

    @property
    def area_deg2(self) -> float:
        """Area on the sky."""
        return abs(outline.outline_of(self.vertices_deg).signed_area_sr) * math.degrees(1.0) ** 2

    def _vertices(self) -> Floats:
        return outline.outline_of(self.vertices_deg).vertices


@dataclass(frozen=True, slots=True)
class Range:
    """Between two meridians and two parallels.

    ``0 <= ra_min_deg < 360``; ``ra_max_deg`` may pass 360 (a range across RA 0 has
    ``ra_max_deg = ra_min_deg + width``, width at most 360). ``-90 <= dec_min_deg <= dec_max_deg <= 90``.
    """

    ra_min_deg: float
    ra_max_deg: float
    dec_min_deg: float
    dec_max_deg: float

    @property
    def width_deg(self) -> float:
        """Extent in right ascension; 360 for a full belt, which has no meridian as its edge."""
        return self.ra_max_deg - self.ra_min_deg

    def signed_distance_deg(self, vectors: Floats) -> Floats:
        """Angle to the edge, negative inside."""
        ra, dec = ra_dec_deg(vectors)
        beside = (ra - self.ra_min_deg) % 360.0 <= self.width_deg
        distance = np.full(vectors.shape[:-1], 180.0) + 0.0 * dec  # NaN stays NaN
        for edge in self._parallels():
            # from where the meridian of the point does not meet the edge, a corner is nearer
            distance = np.minimum(distance, np.where(beside, np.abs(dec - edge), 180.0))
        for edge in self._meridians():
            distance = np.minimum(distance, self._distance_to_meridian(vectors, edge))
        inside = beside & (self.dec_min_deg <= dec) & (dec <= self.dec_max_deg)
        return np.asarray(np.where(inside, -distance, distance))

    def contains(self, vectors: Floats) -> Booleans:
        """Whether the points lie inside or on the edge."""
        ra, dec = ra_dec_deg(vectors)
        beside = (ra - self.ra_min_deg) % 360.0 <= self.width_deg
        return np.asarray(beside & (self.dec_min_deg <= dec) & (dec <= self.dec_max_deg))

    def bounding_circle(self) -> Circle:
        """Return a circle that holds the range: about its middle or about a pole, whichever is smaller."""
        middle_ra, middle_dec = (
            self.ra_min_deg + self.width_deg / 2.0,
            (self.dec_min_deg + self.dec_max_deg) / 2.0,
        )
        circles = [Circle(0.0, 90.0, 90.0 - self.dec_min_deg), Circle(0.0, -90.0, 90.0 + self.dec_max_deg)]
        if self.width_deg <= 180.0:  # then no point of an edge is farther from the middle than the corners
            reach = separation_deg(self._corners(), np.array(unit_vector(middle_ra, middle_dec)))
            circles.append(Circle(middle_ra % 360.0, middle_dec, float(np.max(reach))))
        return min(circles, key=lambda circle: circle.radius_deg)

    def boundary(self, n: int) -> Floats:
        """Return the corners and points between them on all edges, about `n` in all, shape (m, 3)."""
        edges = [(self.ra_min_deg, self.ra_max_deg, dec, dec) for dec in self._parallels()]
        edges += [(ra, ra, self.dec_min_deg, self.dec_max_deg) for ra in self._meridians()]
        count = max(2, n // max(1, len(edges)))
        sides = [unit_vectors(np.linspace(a, b, count), np.linspace(c, d, count)) for a, b, c, d in edges]
        return np.concatenate(sides) if sides else np.zeros((0, 3))

    def region(self) -> sphgeom.Region:
        """Region for a search, at least as large as the shape."""
        if self.width_deg >= 360.0:
            lon = sphgeom.NormalizedAngleInterval.full()
        else:
            lon = sphgeom.NormalizedAngleInterval.fromDegrees(self.ra_min_deg, self.ra_max_deg % 360.0)
        box = sphgeom.Box(lon, sphgeom.AngleInterval.fromDegrees(self.dec_min_deg, self.dec_max_deg))
        return box.dilatedBy(sphgeom.Angle.fromDegrees(REGION_MARGIN_DEG))

    @property
    def area_deg2(self) -> float:
        """Area on the sky."""
        sines = math.sin(math.radians(self.dec_max_deg)) - math.sin(math.radians(self.dec_min_deg))
        return SPHERE_DEG2 * self.width_deg / 360.0 * sines / 2.0

    def _parallels(self) -> list[float]:
        return [dec for dec in (self.dec_min_deg, self.dec_max_deg) if abs(dec) < 90.0]

    def _meridians(self) -> list[float]:
        return [] if self.width_deg >= 360.0 else [self.ra_min_deg, self.ra_max_deg]

    def _corners(self) -> Floats:
        ends = (self.ra_min_deg, self.ra_max_deg)
        return unit_vectors(
            [ends[0], ends[1], ends[0], ends[1]], np.repeat([self.dec_min_deg, self.dec_max_deg], 2)
        )

    def _distance_to_meridian(self, vectors: Floats, ra_deg: float) -> Floats:
        ra = math.radians(ra_deg)
        across = vectors[..., 1] * math.cos(ra) - vectors[..., 0] * math.sin(ra)
        along = vectors[..., 0] * math.cos(ra) + vectors[..., 1] * math.sin(ra)
        latitude = np.degrees(np.arctan2(vectors[..., 2], along))
        beside = (self.dec_min_deg <= latitude) & (latitude <= self.dec_max_deg)
        ends = [np.array(unit_vector(ra_deg, dec)) for dec in (self.dec_min_deg, self.dec_max_deg)]
        to_ends = np.minimum(separation_deg(vectors, ends[0]), separation_deg(vectors, ends[1]))
        return np.where(beside, np.degrees(np.arcsin(np.minimum(np.abs(across), 1.0))), to_ends)


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height of a fixed-size box: in degrees on the sky, or in pixels (then whole numbers)."""

    width: float
    height: float
    in_pixels: bool


@dataclass(frozen=True, slots=True)
class CenteredBox:
    """A box of pixels of a fixed shape about a centre (the declared extension CENTER + SIZE).

    Which part of the sky that is depends on the pixels of an image: see `surveys.sky.overlap.centered_box`.
    """

    ra_deg: float
    dec_deg: float
    size: Size

    def bounding_circle(self, pixel_scale_deg: float) -> Circle:
        """Return a circle that holds the box on an image of square pixels of this scale."""
        unit = pixel_scale_deg if self.size.in_pixels else 1.0
        # a box is rounded to whole pixels and placed to half a pixel
        half = math.hypot(self.size.width, self.size.height) / 2.0 * unit + 2.0 * pixel_scale_deg
        return Circle(self.ra_deg, self.dec_deg, min(half, 180.0))


Shape = Circle | Polygon | Range
"""The stencils that are shapes on the sky."""

Stencil = Circle | Polygon | Range | CenteredBox
