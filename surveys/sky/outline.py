"""A closed line of great-circle arcs on the sphere, and which side of it is the smaller one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from surveys.sky.sphere import Booleans, Floats, normalized, perpendicular, separation_deg, unit_vectors

# Points handled at once, times edges: bounds the memory of the (points, edges, 3) arrays to some 10 MB.
CHUNK = 400_000


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """A closed line through `vertices`, with the smaller of its two sides as its inside.

    Parameters
    ----------
    vertices
        Unit vectors, shape (n, 3), neighbours distinct.
    normals
        Unit normals of the great circles of the edges; edge ``i`` runs from vertex ``i`` to ``i + 1``.
    outer
        A direction off the line; whether a point lies on its side is the parity of the edges met between.
    basis
        Two unit vectors perpendicular to `outer`, shape (2, 3).
    outer_is_inside
        Whether `outer` lies on the smaller side.
    signed_area_sr
        Area of the smaller side; positive if the line runs counter-clockwise as seen from outside the
        sphere with that side on its left.
    """

    vertices: Floats
    normals: Floats
    outer: Floats
    basis: Floats
    outer_is_inside: bool
    signed_area_sr: float

    @classmethod
    def through(cls, vertices: Floats) -> Outline:
        """Make the outline of at least three distinct vertices."""
        following = np.roll(vertices, -1, axis=0)
        normals = normalized(np.cross(vertices, following - vertices))
        outer = _off_the_line(vertices, normals)
        area = _area_away_from(outer, vertices)
        outer_is_inside = abs(area) > 2.0 * math.pi
        if outer_is_inside:
            area = area - math.copysign(4.0 * math.pi, area)
        basis = np.stack(perpendicular(outer))
        return cls(vertices, normals, outer, basis, outer_is_inside, area)

    def contains(self, points: Floats) -> Booleans:
        """Whether unit vectors of shape (n, 3) lie inside; on the line itself either answer is possible."""
        return self._inside(points, points[:, None, :] - self.vertices)

    def signed_distance_deg(self, points: Floats) -> Floats:
        """Angle from unit vectors, shape (n, 3), to the line, negative inside."""
        step = max(1, CHUNK // len(self.vertices))
        parts = [self._signed_distance(points[i : i + step]) for i in range(0, len(points), step)]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _signed_distance(self, points: Floats) -> Floats:
        offsets = points[:, None, :] - self.vertices
        chord = np.sqrt(np.min(np.einsum("ijk,ijk->ij", offsets, offsets), axis=1))
        ends = np.roll(self.vertices, -1, axis=0)
        beside = points @ np.cross(self.normals, self.vertices).T >= 0.0
        beside &= points @ np.cross(ends, self.normals).T >= 0.0
        height = np.abs(np.einsum("ijk,jk->ij", offsets, self.normals))
        sine = np.min(np.where(beside, height, np.inf), axis=1)
        to_edge = np.where(np.isfinite(sine), np.arcsin(np.minimum(sine, 1.0)), np.pi)
        distance = np.degrees(np.minimum(2.0 * np.arcsin(np.minimum(chord / 2.0, 1.0)), to_edge))
        return np.asarray(np.where(self._inside(points, offsets), -distance, distance))

    def _inside(self, points: Floats, offsets: Floats) -> Booleans:
        """Parity of the edges between each point and `outer`, along the meridian of the axis `outer`."""
        flat, corners = points @ self.basis.T, self.vertices @ self.basis.T
        on_axis = ~np.any(flat, axis=1)
        flat[on_axis, 0] = 1.0
        across = flat[:, :1] * corners[:, 1] - flat[:, 1:] * corners[:, 0]
        along = flat @ corners.T
        side = across >= 0.0
        # the same number decides for both edges of a vertex, so that a meridian through it counts once
        straddles = side != np.roll(side, -1, axis=1)
        meets = along * np.roll(across, -1, axis=1) - np.roll(along, -1, axis=1) * across
        same_half = (meets > 0.0) != side
        beyond = np.einsum("ijk,jk->ij", offsets, self.normals) * (self.normals @ self.outer) < 0.0
        odd = np.count_nonzero(straddles & same_half & beyond, axis=1) % 2 == 1
        return np.asarray(odd != self.outer_is_inside)

    def crosses_itself(self) -> bool:
        """Whether two edges cross properly (a line that only touches itself does not)."""
        ends = np.roll(self.vertices, -1, axis=0)
        start_side = self.normals @ self.vertices.T  # [i, j]: vertex j against the plane of edge i
        end_side = self.normals @ ends.T
        own_start, own_end = start_side.T, end_side.T
        clear = 1e-14
        forward = (start_side < -clear) & (end_side > clear) & (own_start > clear) & (own_end < -clear)
        backward = (start_side > clear) & (end_side < -clear) & (own_start < -clear) & (own_end > clear)
        return bool(np.any(forward | backward))


def _off_the_line(vertices: Floats, normals: Floats) -> Floats:
    """Return a direction well away from all edges, if possible opposite to them."""
    mean = vertices.mean(axis=0)
    if np.linalg.norm(mean) > 0.5 and np.min(vertices @ mean) > 0.0:
        return -normalized(mean)
    golden = np.arange(0.5, 64.0)
    candidates = unit_vectors(golden * 137.50776405, np.degrees(np.arcsin(1.0 - golden / 32.0)))
    gap = np.min(np.abs(candidates @ normals.T), axis=1)  # to whole great circles: enough, and simple
    return np.asarray(candidates[np.argmax(gap)])


def _area_away_from(outer: Floats, vertices: Floats) -> float:
    """Signed area (sr) of the side that does not hold `outer`: triangles about the opposite point."""
    apex = -outer
    following = np.roll(vertices, -1, axis=0)
    # differences keep the digits of polygons of a few arcseconds
    volume = np.cross(vertices - apex, following - apex) @ apex
    dots = 1.0 + vertices @ apex + following @ apex + np.einsum("ij,ij->i", vertices, following)
    return float(np.sum(2.0 * np.arctan2(volume, dots)))


def distinct(vertices: Floats) -> Floats:
    """Drop vertices that repeat their predecessor (the last one: the first)."""
    keep = np.any(vertices != np.roll(vertices, 1, axis=0), axis=1)
    return np.asarray(vertices[keep])


def fault_of(vertices_deg: Sequence[tuple[float, float]]) -> str | None:
    """Why these RA/Dec pairs bound no area, as the end of a sentence; None if they do."""
    vertices = distinct(unit_vectors(*np.asarray(vertices_deg, dtype=float).reshape(-1, 2).T))
    if len(vertices) < 3:
        return "fewer than three distinct vertices"
    edges = separation_deg(vertices, np.roll(vertices, -1, axis=0))
    if np.max(edges) > 180.0 - 1e-9:
        return "two neighbouring vertices opposite each other on the sky"
    outline = Outline.through(vertices)
    if outline.crosses_itself():
        return "edges that cross each other"
    # rounding of the vertices alone makes a line without area enclose its length times 1e-16
    if abs(outline.signed_area_sr) <= 1e-15 * float(np.sum(np.radians(edges))):
        return "all vertices on one line"
    if abs(outline.signed_area_sr) > 2.0 * math.pi - 1e-9:
        return "two sides of the same size"
    return None


@lru_cache(maxsize=256)
def outline_of(vertices_deg: tuple[tuple[float, float], ...]) -> Outline:
    """Outline of RA/Dec pairs that have no fault."""
    return Outline.through(distinct(unit_vectors(*np.asarray(vertices_deg, dtype=float).T)))
