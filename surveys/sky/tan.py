"""The gnomonic projection in closed form, for headers where it stands alone (no SIP, TPV or PV terms).

Great circles are straight lines on such an image and circles are ellipses, so the box of a stencil
needs no search.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from surveys.sky.plane import Ellipse, Figure, Point
from surveys.sky.sphere import Floats, Vector, normalized, unit_vector
from surveys.sky.stencil import Circle, Polygon

# Cosine of the largest angle from the tangent point (89 degrees) where stencils are still drawn in the plane.
HORIZON = math.cos(math.radians(89.0))


@dataclass(frozen=True, slots=True)
class TanProjection:
    """Plane touching the sky at `tangent`, with the unit vectors `first` and `second` of its axes (ICRS).

    Pixel = (x0, y0) + matrix · (coordinates in the plane, in radians); 0-based.
    """

    tangent: Vector
    first: Vector
    second: Vector
    x0: float
    y0: float
    matrix: tuple[float, float, float, float]

    @classmethod
    def of(cls, core: Any, rotation: Floats) -> TanProjection | None:
        """Projection of a `Wcsprm` of two axes, if nothing but plain TAN is in it."""
        codes = [str(ctype)[4:].strip() for ctype in core.ctype]
        if codes != ["-TAN", "-TAN"] or core.get_pv():
            return None
        longitude, latitude = float(core.crval[core.lng]), float(core.crval[core.lat])
        ra, dec = math.radians(longitude), math.radians(latitude)
        tangent = np.array(unit_vector(longitude, latitude))
        east = np.array([-math.sin(ra), math.cos(ra), 0.0])
        north = np.array([-math.sin(dec) * math.cos(ra), -math.sin(dec) * math.sin(ra), math.cos(dec)])
        # native longitude phi lies at position angle LONPOLE - phi (FITS WCS paper II, section 2.2)
        turn = math.radians(float(core.lonpole) - 180.0)
        first = math.cos(turn) * east - math.sin(turn) * north
        second = math.sin(turn) * east + math.cos(turn) * north
        scale = np.radians(core.get_pc() * core.get_cdelt()[:, None])[[core.lng, core.lat]]
        a, b, c, d = (float(value) for value in np.linalg.inv(scale).ravel())
        x0, y0 = (float(value) - 1.0 for value in core.crpix)
        basis = [_vector(rotation @ axis) for axis in (tangent, first, second)]
        return cls(basis[0], basis[1], basis[2], x0, y0, (a, b, c, d))

    def to_sky(self, x: ArrayLike, y: ArrayLike) -> Floats:
        """Return the unit vectors of pixels."""
        a, b, c, d = self.matrix
        det = a * d - b * c
        dx, dy = np.asarray(x, dtype=float) - self.x0, np.asarray(y, dtype=float) - self.y0
        xi, eta = (d * dx - b * dy) / det, (a * dy - c * dx) / det
        plane = np.ones((*xi.shape, 3))
        plane[..., 1], plane[..., 2] = xi, eta
        return normalized(plane @ np.array([self.tangent, self.first, self.second]))

    def to_pixel(self, vectors: Floats) -> tuple[Floats, Floats]:
        """Pixels of unit vectors; NaN for the hemisphere behind."""
        plane = vectors @ np.array([self.tangent, self.first, self.second]).T
        a, b, c, d = self.matrix
        depth = np.where(plane[..., 0] > 0.0, plane[..., 0], np.nan)
        xi, eta = plane[..., 1] / depth, plane[..., 2] / depth
        return self.x0 + a * xi + b * eta, self.y0 + c * xi + d * eta

    def draw_circle(self, circle: Circle) -> Ellipse | None:
        """Draw a circle in pixels; None if it is not all well inside the hemisphere of the plane."""
        center = unit_vector(circle.ra_deg, circle.dec_deg)
        depth, right, up = _dot(center, self.tangent), _dot(center, self.first), _dot(center, self.second)
        reach, radius = math.hypot(right, up), math.radians(circle.radius_deg)
        angle = math.atan2(reach, depth)
        lowest = math.cos(angle + radius)
        if lowest < HORIZON or angle + radius > math.pi:
            return None
        # from the section of a cone with a plane
        shape = lowest * math.cos(angle - radius)
        along = math.sin(radius) * math.cos(radius) / shape
        across = math.sin(radius) / math.sqrt(shape)
        ux, uy = (right / reach, up / reach) if reach > 0.0 else (1.0, 0.0)
        middle = self._pixels(depth * right / shape, depth * up / shape)
        return Ellipse(
            (self.x0 + middle[0], self.y0 + middle[1]),
            self._pixels(along * ux, along * uy),
            self._pixels(-across * uy, across * ux),
        )

    def draw_polygon(self, polygon: Polygon) -> Figure | None:
        """Draw a polygon in pixels; None if a vertex is not well inside the hemisphere of the plane."""
        points = []
        for vertex in polygon.vertices_deg:
            vector = unit_vector(*vertex)
            depth = _dot(vector, self.tangent)
            if depth < HORIZON:
                return None
            dx, dy = self._pixels(_dot(vector, self.first) / depth, _dot(vector, self.second) / depth)
            points.append((self.x0 + dx, self.y0 + dy))
        return Figure(points)

    def _pixels(self, xi: float, eta: float) -> Point:
        a, b, c, d = self.matrix
        return a * xi + b * eta, c * xi + d * eta


def _dot(a: Vector, b: Vector) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _vector(values: Floats) -> Vector:
    return float(values[0]), float(values[1]), float(values[2])
