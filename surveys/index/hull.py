"""Where the bands of a survey have images: one outline about all of them.

It takes a look at every image, so it is made with the index and kept with the generation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from lsst.sphgeom import ConvexPolygon, Region, UnitVector3d
from sqlalchemy import Connection, bindparam, select

from surveys.index.queries import valid_in
from surveys.index.tables import DatasetRow
from surveys.sky.sphere import Floats, circle_points, normalized, perpendicular, ra_dec_deg, separation_deg
from surveys.sky.stencil import Circle

#: Hulls wider than this about their middle are given as circles, which may be a cell too large.
WIDEST_DEG = 85.0
_CELL_DEG = 0.5
#: Vertices of a hull are left out while the outline strays by less than this part of its diameter.
TOLERANCE = 1e-3

_ROWS_AT_ONCE = 10_000
_ENCODED_POLYGON = ord("p")
_DIRECTIONS = 32

_COVERS = (
    select(DatasetRow.key_lower, DatasetRow.band, DatasetRow.cover)
    .where(
        DatasetRow.survey_id == bindparam("survey_id"),
        DatasetRow.key_lower > bindparam("after"),
        DatasetRow.cover.is_not(None),
        *valid_in(DatasetRow, bindparam("generation")),
    )
    .order_by(DatasetRow.key_lower)
    .limit(_ROWS_AT_ONCE)
)


@dataclass(frozen=True, slots=True)
class BandHull:
    """What the images of one band cover, on the whole.

    Parameters
    ----------
    images
        How many there are.
    s_ra_deg, s_dec_deg, s_fov_deg
        Middle and diameter.
    s_region
        STC-S text: their convex hull, counter-clockwise as seen from inside the sphere; a circle where they
        reach over a hemisphere.
    region
        The same, at least as large.
    """

    images: int
    s_ra_deg: float
    s_dec_deg: float
    s_fov_deg: float
    s_region: str
    region: Region


@dataclass(slots=True)
class _Gathered:
    """What is kept of the images of a band while they are read: enough for the hull of them all.

    `thinned`: beside each corner that is kept, others may have been dropped.
    """

    count: int = 0
    total: Floats = field(default_factory=lambda: np.zeros(3))
    corners: Floats = field(default_factory=lambda: np.zeros((0, 3)))
    thinned: bool = False

    def add(self, covers: Sequence[bytes]) -> None:
        points = _corners(covers)
        self.count += len(covers)
        self.total = self.total + points.sum(axis=0)
        self.corners = np.concatenate([self.corners, points])
        middle = _middle(self.corners)
        if float(np.min(self.corners @ middle)) > math.cos(math.radians(WIDEST_DEG)):
            self.corners = _outermost(self.corners, middle)
        else:
            self.corners, self.thinned = _thinly(self.corners), True

    def hull(self) -> BandHull:
        middle = normalized(self.total) if np.linalg.norm(self.total) > 1e-6 else self.corners[0]
        reach_deg = float(np.max(separation_deg(self.corners, middle)))
        hull = None if self.thinned or reach_deg > WIDEST_DEG else _convex(self.corners)
        if hull is not None:
            return _polygon(self.count, hull, middle, reach_deg)
        return _circle(self.count, middle, min(reach_deg + (_CELL_DEG if self.thinned else 0.0), 180.0))


def make_hulls(connect: Callable[[], Connection], survey_id: int, generation: int) -> dict[str, BandHull]:
    """Find what every band of a survey covers that has images, by its label."""
    bands: dict[str, _Gathered] = {}
    after = ""
    while True:
        values = {"survey_id": survey_id, "generation": generation, "after": after}
        with connect() as connection:
            rows = connection.execute(_COVERS, values).all()
        by_band: dict[str, list[bytes]] = {}
        for row in rows:
            by_band.setdefault(row.band, []).append(row.cover)
        for band, covers in by_band.items():
            bands.setdefault(band, _Gathered()).add(covers)
        if len(rows) < _ROWS_AT_ONCE:
            return {band: gathered.hull() for band, gathered in bands.items()}
        after = rows[-1].key_lower


def packed(hulls: Mapping[str, BandHull]) -> dict[str, Any]:
    """Hulls as they are stored (JSON)."""
    return {
        band: {
            "images": hull.images,
            "s_ra_deg": hull.s_ra_deg,
            "s_dec_deg": hull.s_dec_deg,
            "s_fov_deg": hull.s_fov_deg,
            "s_region": hull.s_region,
            "region": hull.region.encode().hex(),
        }
        for band, hull in hulls.items()
    }


def unpacked(stored: Mapping[str, Any]) -> dict[str, BandHull]:
    """Hulls as they were before `packed`."""
    return {
        band: BandHull(**{**hull, "region": Region.decode(bytes.fromhex(hull["region"]))})
        for band, hull in stored.items()
    }


def _corners(covers: Sequence[bytes]) -> Floats:
    """Vertices of footprints, shape (n, 3): those of polygons as they are stored, points round circles."""
    polygons = b"".join(cover[1:] for cover in covers if cover[0] == _ENCODED_POLYGON)
    points = [np.frombuffer(polygons, dtype="<f8").reshape(-1, 3)]
    for cover in covers:
        if cover[0] != _ENCODED_POLYGON:
            circle = Region.decode(cover).getBoundingCircle()
            center = circle.getCenter()
            vector = np.array([center.x(), center.y(), center.z()])
            points.append(circle_points(vector, circle.getOpeningAngle().asDegrees(), _DIRECTIONS))
    return np.concatenate(points)


def _middle(points: Floats) -> Floats:
    total = points.sum(axis=0)
    return normalized(total) if np.linalg.norm(total) > 1e-6 * len(points) else np.asarray(points[0])


def _thinly(points: Floats) -> Floats:
    """One point of each small cell of space."""
    cells = np.round(points * (2.0 / math.radians(_CELL_DEG)))
    return np.asarray(points[np.unique(cells, axis=0, return_index=True)[1]])


def _outermost(points: Floats, middle: Floats) -> Floats:
    """Leave out points that no hull needs.

    In a projection that keeps great circles straight, what lies inside the polygon of the outermost points
    of some directions lies inside the hull.
    """
    first, second = perpendicular(middle)
    flat = np.stack([points @ first, points @ second], axis=1) / (points @ middle)[:, None]
    angle = np.linspace(0.0, 2.0 * np.pi, _DIRECTIONS, endpoint=False)
    outermost = np.argmax(flat @ np.stack([np.cos(angle), np.sin(angle)]), axis=0)
    # The outermost points go round counter-clockwise, as their directions do.
    ring = flat[outermost[np.concatenate([[True], np.diff(outermost) != 0])]]
    edges, inside = np.roll(ring, -1, axis=0) - ring, np.ones(len(flat), dtype=bool)
    for (x, y), (dx, dy) in zip(ring, edges, strict=True):
        inside &= dx * (flat[:, 1] - y) - dy * (flat[:, 0] - x) > 0.0
    return np.asarray(points[~inside])


def _convex(corners: Floats) -> ConvexPolygon | None:
    try:
        return ConvexPolygon.convexHull([UnitVector3d(*corner) for corner in corners])
    except ValueError:  # all on one line
        return None


def _polygon(count: int, hull: ConvexPolygon, middle: Floats, reach_deg: float) -> BandHull:
    vertices = np.array([[vertex.x(), vertex.y(), vertex.z()] for vertex in hull.getVertices()])
    # sphgeom's vertices are counter-clockwise from outside.
    ra, dec = ra_dec_deg(_with_few_vertices(vertices, TOLERANCE * 2.0 * reach_deg)[::-1])
    text = " ".join(f"{a:.7f} {d:.7f}" for a, d in zip(ra, dec, strict=True))
    s_ra, s_dec = ra_dec_deg(middle)
    return BandHull(count, float(s_ra), float(s_dec), 2.0 * reach_deg, f"POLYGON ICRS {text}", hull)


def _with_few_vertices(vertices: Floats, tolerance_deg: float) -> Floats:
    """Leave out vertices of a convex polygon that lie this near to the outline without them.

    Of tiles along a parallel each has a corner on the hull.
    """
    kept = [0]
    for index in range(2, len(vertices) + 1):
        if index == len(vertices) and len(kept) == 1:
            break  # a sliver
        start, end = vertices[kept[-1]], vertices[index % len(vertices)]
        pole = normalized(np.cross(start, end))
        between = vertices[kept[-1] + 1 : index]
        if float(np.degrees(np.max(np.abs(np.arcsin(between @ pole))))) > tolerance_deg:
            kept.append(index - 1)
    return vertices if len(kept) < 3 else vertices[kept]


def _circle(count: int, middle: Floats, radius_deg: float) -> BandHull:
    s_ra, s_dec = (float(value) for value in ra_dec_deg(middle))
    text = f"CIRCLE ICRS {s_ra:.7f} {s_dec:.7f} {radius_deg:.7f}"
    region = Circle(s_ra, s_dec, radius_deg).region()
    return BandHull(count, s_ra, s_dec, min(2.0 * radius_deg, 360.0), text, region)
