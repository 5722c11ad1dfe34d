"""Ellipses and straight-edged figures against a rectangle, in plain Python: this is the hot path."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

Point = tuple[float, float]

# Overlaps thinner than this (pixels) are contact: rounding must not turn touching into overlapping.
CONTACT_PX = 1e-6


class Extent(NamedTuple):
    """Limits of a figure or a rectangle, in pixel coordinates."""

    x_min: float
    x_max: float
    y_min: float
    y_max: float

    def holds(self, point: Point) -> bool:
        """Whether a point lies inside or on the edge."""
        return self.x_min <= point[0] <= self.x_max and self.y_min <= point[1] <= self.y_max

    def inside(self, other: Extent) -> bool:
        """Whether `other` holds all of it."""
        return (
            other.x_min <= self.x_min
            and self.x_max <= other.x_max
            and other.y_min <= self.y_min
            and self.y_max <= other.y_max
        )

    def corners(self) -> tuple[Point, Point, Point, Point]:
        """Return the four corners."""
        (a, b, c, d) = self
        return (a, c), (b, c), (b, d), (a, d)


class Ellipse(NamedTuple):
    """All ``center + u first + v second`` with ``u² + v² <= 1``."""

    center: Point
    first: Point
    second: Point

    def extent(self) -> Extent:
        """Limits of the whole ellipse."""
        (cx, cy), (ax, ay), (bx, by) = self.center, self.first, self.second
        hx, hy = math.hypot(ax, bx), math.hypot(ay, by)
        return Extent(cx - hx, cx + hx, cy - hy, cy + hy)

    def extent_within(self, frame: Extent) -> Extent | None:
        """Limits of the part inside a rectangle; None if there is none."""
        whole = self.extent()
        if whole.inside(frame):
            return whole
        if _apart(whole, frame):
            return None
        (cx, cy), (ax, ay), (bx, by) = self.center, self.first, self.second
        hx, hy = math.hypot(ax, bx), math.hypot(ay, by)
        det, mixed = ax * by - bx * ay, ax * ay + bx * by
        points = [(cx - hx, cy - mixed / hx), (cx + hx, cy + mixed / hx)]
        points += [(cx - mixed / hy, cy - hy), (cx + mixed / hy, cy + hy)]
        points = [point for point in points if frame.holds(point)]
        points += [corner for corner in frame.corners() if self._holds(corner, det)]
        for x in (frame.x_min, frame.x_max):
            points += [
                (x, y) for y in _crossings(x - cx, hx, cy, mixed, det) if frame.y_min <= y <= frame.y_max
            ]
        for y in (frame.y_min, frame.y_max):
            points += [
                (x, y) for x in _crossings(y - cy, hy, cx, mixed, det) if frame.x_min <= x <= frame.x_max
            ]
        return _extent_of(points)

    def _holds(self, point: Point, det: float) -> bool:
        dx, dy = point[0] - self.center[0], point[1] - self.center[1]
        u = self.second[1] * dx - self.second[0] * dy
        v = self.first[0] * dy - self.first[1] * dx
        return u * u + v * v < det * det


def _crossings(offset: float, half: float, center: float, mixed: float, det: float) -> tuple[float, ...]:
    """Where the ellipse meets a line parallel to an axis, at `offset` from its centre."""
    if abs(offset) >= half:
        return ()
    middle = center + offset * mixed / (half * half)
    spread = abs(det) / half * math.sqrt(1.0 - (offset / half) ** 2)
    return middle - spread, middle + spread


@dataclass(frozen=True, slots=True)
class Figure:
    """What a closed line of straight edges goes round, convex or not."""

    points: Sequence[Point]

    def extent(self) -> Extent:
        """Limits of the whole figure."""
        xs, ys = [point[0] for point in self.points], [point[1] for point in self.points]
        return Extent(min(xs), max(xs), min(ys), max(ys))

    def extent_within(self, frame: Extent) -> Extent | None:
        """Limits of the part inside a rectangle; None if there is none."""
        whole = self.extent()
        if whole.inside(frame):
            return whole
        if _apart(whole, frame):
            return None
        found = [corner for corner in frame.corners() if self._holds(corner)]
        previous = self.points[-1]
        for point in self.points:
            found += _clipped(previous, point, frame)
            previous = point
        return _extent_of(found)

    def _holds(self, point: Point) -> bool:
        """Whether the line goes round a point (even-odd)."""
        x, y = point
        odd = False
        x1, y1 = self.points[-1]
        for x2, y2 in self.points:
            if (y1 > y) != (y2 > y) and x < x1 + (y - y1) * (x2 - x1) / (y2 - y1):
                odd = not odd
            x1, y1 = x2, y2
        return odd


def _clipped(start: Point, end: Point, frame: Extent) -> tuple[Point, ...]:
    """Return the ends of the part of a segment that lies inside the open rectangle."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    first, last = 0.0, 1.0
    for step, below, above in (
        (dx, frame.x_min - start[0], frame.x_max - start[0]),
        (dy, frame.y_min - start[1], frame.y_max - start[1]),
    ):
        if step == 0.0:
            if not below < 0.0 < above:  # runs outside, or along the edge: the neighbours tell
                return ()
            continue
        low, high = sorted((below / step, above / step))
        first, last = max(first, low), min(last, high)
    if first >= last:
        return ()
    return (start[0] + first * dx, start[1] + first * dy), (start[0] + last * dx, start[1] + last * dy)


def _apart(a: Extent, b: Extent) -> bool:
    return a.x_min >= b.x_max or a.x_max <= b.x_min or a.y_min >= b.y_max or a.y_max <= b.y_min


def _extent_of(points: Sequence[Point]) -> Extent | None:
    if not points:
        return None
    xs, ys = [point[0] for point in points], [point[1] for point in points]
    extent = Extent(min(xs), max(xs), min(ys), max(ys))
    thin = extent.x_max - extent.x_min <= CONTACT_PX or extent.y_max - extent.y_min <= CONTACT_PX
    return None if thin else extent
