"""Where an image lies on the sky: for ObsCore, and for the search."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from lsst import sphgeom

from surveys.errors import ImageRefused
from surveys.sphere import Floats, normalized, ra_dec_deg, separation_deg
from surveys.wcs import CelestialWcs

#: Points on each edge of an image for its outline, and on a side of the grid of points inside it.
EDGE_POINTS = 16
GRID_POINTS = 33

#: Images that reach farther than this from their centre have no outline that a polygon could follow.
WIDEST_DEG = 80.0

#: Edges that stray from a great circle by less than this share of their length are told by their ends.
STRAIGHT = 1e-3


@dataclass(frozen=True, slots=True)
class Footprint:
    """Extent of an image on the sky, ICRS.

    Parameters
    ----------
    s_ra_deg, s_dec_deg, s_fov_deg
        Centre, and diameter of a circle about it that holds the image.
    s_region
        STC-S text; a polygon runs counter-clockwise as seen from inside the sphere (DALI 1.1, section 3.3.7).
    cover
        Region that surely holds every pixel, for the search.
    pixel_scale_deg
        At the centre.
    """

    s_ra_deg: float
    s_dec_deg: float
    s_fov_deg: float
    s_region: str
    cover: sphgeom.Region
    pixel_scale_deg: float


def footprint(wcs: CelestialWcs) -> Footprint:
    """Find the extent of an image.

    Raises
    ------
    ImageRefused
        If no pixel of it lies on the sky.
    """
    inside = _grid(wcs)
    if not len(inside):
        raise ImageRefused("no pixel of it lies on the sky")
    edge = wcs.to_sky(*_outline(wcs, 0.0))
    center = wcs.to_sky((wcs.nx - 1) / 2, (wcs.ny - 1) / 2)
    if np.isfinite(center).all() and np.isfinite(edge).all():
        radius = float(separation_deg(np.concatenate([edge, inside]), center).max())
        if radius < WIDEST_DEG:
            return _of_outline(wcs, edge, center, radius)
    return _of_circle(wcs, inside)


def _of_outline(wcs: CelestialWcs, edge: Floats, center: Floats, radius_deg: float) -> Footprint:
    """Footprint of an image with an edge all round, as most have."""
    scale = float(wcs.pixel_scale_deg((wcs.nx - 1) / 2, (wcs.ny - 1) / 2))
    # One pixel more all round: chords between samples of a curved edge cut less than that off.
    around = wcs.to_sky(*_outline(wcs, 1.0))
    cover = _hull(around) if np.isfinite(around).all() else _circle(center, radius_deg + 2 * scale)
    ra, dec = ra_dec_deg(center)
    return Footprint(float(ra), float(dec), 2 * radius_deg, _polygon_text(edge), cover, scale)


def _of_circle(wcs: CelestialWcs, inside: Floats) -> Footprint:
    """Footprint of an image that is wide, or has pixels off the sky."""
    mean = inside.mean(axis=0)
    step = max(wcs.nx, wcs.ny) / (GRID_POINTS - 1)
    scale = _typical_scale(wcs)
    if np.linalg.norm(mean) < 0.1:
        center, radius = np.array([0.0, 0.0, 1.0]), 180.0
    else:
        center = normalized(mean)
        radius = min(180.0, float(separation_deg(inside, center).max()) + 1.5 * step * scale)
    ra, dec = ra_dec_deg(center)
    text = f"CIRCLE ICRS {float(ra):.7f} {float(dec):.7f} {radius:.7f}"
    return Footprint(float(ra), float(dec), 2 * radius, text, _circle(center, radius), scale)


def _typical_scale(wcs: CelestialWcs) -> float:
    x, y = np.meshgrid(np.linspace(0, wcs.nx - 1, 9), np.linspace(0, wcs.ny - 1, 9))
    return float(np.nanmedian(wcs.pixel_scale_deg(x.ravel(), y.ravel())))


def _grid(wcs: CelestialWcs) -> Floats:
    x, y = np.meshgrid(
        np.linspace(-0.5, wcs.nx - 0.5, GRID_POINTS), np.linspace(-0.5, wcs.ny - 0.5, GRID_POINTS)
    )
    vectors = wcs.to_sky(x.ravel(), y.ravel())
    return vectors[np.isfinite(vectors).all(axis=1)]


def _outline(wcs: CelestialWcs, margin: float) -> tuple[Floats, Floats]:
    """Pixel positions round the image, `EDGE_POINTS` an edge, from the corner of the first pixel."""
    along = np.arange(EDGE_POINTS) / EDGE_POINTS
    low, right, top = -0.5 - margin, wcs.nx - 0.5 + margin, wcs.ny - 0.5 + margin
    x, y = low + along * (right - low), low + along * (top - low)
    ends = np.full(EDGE_POINTS, 1.0)
    return (
        np.concatenate([x, right * ends, right + low - x, low * ends]),
        np.concatenate([low * ends, y, top * ends, top + low - y]),
    )


def _hull(vectors: Floats) -> sphgeom.Region:
    return sphgeom.ConvexPolygon.convexHull([sphgeom.UnitVector3d(*vector) for vector in vectors])


def _circle(center: Floats, radius_deg: float) -> sphgeom.Region:
    angle = sphgeom.Angle.fromDegrees(min(radius_deg, 180.0))
    return sphgeom.Circle(sphgeom.UnitVector3d(*center), angle)


def _polygon_text(edge: Floats) -> str:
    corners = edge[::EDGE_POINTS]
    vertices = corners if _is_straight(edge, corners) else edge[:: EDGE_POINTS // 4]
    # Twice the signed area seen from outside; from inside, counter-clockwise is the other way round.
    if np.sum(np.cross(vertices, np.roll(vertices, -1, axis=0)), axis=0) @ vertices.mean(axis=0) > 0:
        vertices = vertices[::-1]
    ra, dec = ra_dec_deg(vertices)
    pairs = " ".join(f"{float(lon):.7f} {float(lat):.7f}" for lon, lat in zip(ra, dec, strict=True))
    return f"POLYGON ICRS {pairs}"


def _is_straight(edge: Floats, corners: Floats) -> bool:
    for number, start in enumerate(corners):
        end = corners[(number + 1) % len(corners)]
        pole = np.cross(start, end)
        length = float(np.linalg.norm(pole))
        points = edge[number * EDGE_POINTS : (number + 1) * EDGE_POINTS]
        if length == 0 or float(np.abs(points @ pole).max()) / length > STRAIGHT * math.asin(
            min(1.0, length)
        ):
            return False
    return True
