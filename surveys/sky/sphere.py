"""Points on the sky as ICRS unit vectors: no seam at RA 0, no special case at the poles.

Arrays of vectors have the shape ``(..., 3)``; angles are degrees.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]
Vector = tuple[float, float, float]


def unit_vector(ra_deg: float, dec_deg: float) -> Vector:
    """One direction as three numbers, without numpy (the hot path)."""
    ra, dec = math.radians(ra_deg), math.radians(dec_deg)
    return math.cos(dec) * math.cos(ra), math.cos(dec) * math.sin(ra), math.sin(dec)


def unit_vectors(ra_deg: ArrayLike, dec_deg: ArrayLike) -> Floats:
    """Directions as vectors, shape ``(..., 3)``."""
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    return np.stack(np.broadcast_arrays(np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)), -1)


def ra_dec_deg(vectors: Floats) -> tuple[Floats, Floats]:
    """Right ascension in ``[0, 360)`` and declination of vectors of any length but zero."""
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    ra = np.degrees(np.arctan2(y, x)) % 360.0
    # the remainder of a tiny negative angle rounds to 360
    return np.where(ra >= 360.0, 0.0, ra), np.degrees(np.arctan2(z, np.hypot(x, y)))


def normalized(vectors: Floats) -> Floats:
    """Return the same directions with length 1 (NaN stays NaN)."""
    # What numpy's norm does, without its looks at what it is given.
    return np.asarray(vectors / np.sqrt(np.add.reduce(vectors * vectors, axis=-1, keepdims=True)))


def separation_deg(a: Floats, b: Floats) -> Floats:
    """Angle between unit vectors, exact for tiny and for nearly opposite ones."""
    difference, total = np.linalg.norm(a - b, axis=-1), np.linalg.norm(a + b, axis=-1)
    return np.asarray(np.degrees(2.0 * np.arctan2(difference, total)))


def perpendicular(axis: Floats) -> tuple[Floats, Floats]:
    """Two unit vectors that complete `axis` to a right-handed frame ``(first, second, axis)``."""
    helper = np.zeros(3)
    helper[np.argmin(np.abs(axis))] = 1.0
    first = normalized(np.cross(helper, axis))
    return first, np.cross(axis, first)


def arc_points(start: Floats, end: Floats, fractions: Floats) -> Floats:
    """Points of the great circle from one direction to another, at `fractions` of its length."""
    angle = np.radians(separation_deg(start, end))
    if angle < 1e-12:
        return np.repeat(start[None, :], len(fractions), axis=0)
    weights = np.sin(np.stack([1.0 - fractions, fractions]) * angle) / np.sin(angle)
    return normalized(weights[0][:, None] * start + weights[1][:, None] * end)


def circle_points(center: Floats, radius_deg: float, n: int) -> Floats:
    """Return `n` points evenly spaced on the circle about `center`."""
    first, second = perpendicular(center)
    angle = np.linspace(0.0, 2.0 * np.pi, n, endpoint=False)[:, None]
    radius = math.radians(radius_deg)
    return math.cos(radius) * center + math.sin(radius) * (np.cos(angle) * first + np.sin(angle) * second)
