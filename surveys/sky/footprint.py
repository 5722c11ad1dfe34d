"""What an image covers of the sky: for ObsCore, and for the search."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from lsst import sphgeom

from surveys.sky.sphere import Floats, normalized, ra_dec_deg, separation_deg
from surveys.sky.stencil import Circle
from surveys.sky.wcs import CelestialWcs

# Outlines that keep this far inside a hemisphere are polygons; wider images are circles.
WIDEST_DEG = 85.0
# Straight edges may leave the image's own by this much (pixels) before more vertices are taken.
EDGE_TOLERANCE_PX = 0.5
# Vertices per side tried, few first: polygons are stored a million times.
SIDES = (1, 2, 4, 8, 16, 32)
# Points per side and per axis at which the true outline and the inside are looked at.
DENSE, GRID = 128, 33


@dataclass(frozen=True, slots=True)
class Footprint:
    """Extent of an image on the sky.

    Parameters
    ----------
    s_ra_deg, s_dec_deg
        Centre (ICRS): of the middle of the image where that is on the sky.
    s_fov_deg
        Diameter of the circle about the centre that holds the image.
    s_region
        STC-S text: a polygon, counter-clockwise as seen from inside the sphere (SODA-41); a circle where
        the image reaches over a hemisphere or is not bounded by its own edges.
    cover
        Region that holds the image, one pixel more on each side, for the search.
    pixel_scale_deg
        Scale at the centre.
    """

    s_ra_deg: float
    s_dec_deg: float
    s_fov_deg: float
    s_region: str
    cover: sphgeom.Region
    pixel_scale_deg: float


def footprint(wcs: CelestialWcs) -> Footprint:
    """Footprint of an image."""
    x, y = (grid.ravel() for grid in np.meshgrid(_samples(wcs.nx), _samples(wcs.ny)))
    inside = wcs.to_sky(x, y)
    on_sky = np.isfinite(inside).all(axis=1)
    middle = wcs.to_sky((wcs.nx - 1) / 2.0, (wcs.ny - 1) / 2.0)
    center = middle if np.isfinite(middle).all() else normalized(_mean(inside[on_sky]))
    scale = _scale(wcs, center, x[on_sky], y[on_sky])
    edge = _outline(wcs, DENSE, 0.0)
    reach = float(np.max(separation_deg(inside[on_sky], center)))
    bounded = np.isfinite(edge).all() and np.isfinite(_outline(wcs, DENSE, 1.0)).all()
    if bounded:
        reach = max(reach, float(np.max(separation_deg(edge, center))))
    else:
        # between samples, and beyond the last that is on the sky, lies a step of the grid at most
        reach += 2.0 * _step(inside.reshape(GRID, GRID, 3), scale)
    ra, dec = (float(value) for value in ra_dec_deg(center))
    circle = Circle(ra, dec, min(reach + 2.0 * scale, 180.0))
    text, cover = stc_circle(Circle(ra, dec, min(reach, 180.0))), circle.region()
    if bounded and on_sky.all() and reach < WIDEST_DEG:
        text = _polygon_text(wcs, edge, scale) or text
        cover = _hull(wcs, np.concatenate([edge, inside])) or cover
    return Footprint(ra, dec, min(2.0 * reach, 360.0), text, cover, scale)


def _samples(n: int) -> Floats:
    """Pixel coordinates over one axis, both ends included."""
    return np.linspace(-0.5, n - 0.5, GRID)


def _outline(wcs: CelestialWcs, per_side: int, margin: float) -> Floats:
    """Points of the image's edge, `margin` pixels outside of it, on a closed way: along y = low first."""
    step = np.arange(per_side) / per_side
    x0, x1, y0, y1 = -0.5 - margin, wcs.nx - 0.5 + margin, -0.5 - margin, wcs.ny - 0.5 + margin
    x = np.concatenate(
        [x0 + (x1 - x0) * step, np.full(per_side, x1), x1 - (x1 - x0) * step, np.full(per_side, x0)]
    )
    y = np.concatenate(
        [np.full(per_side, y0), y0 + (y1 - y0) * step, np.full(per_side, y1), y1 - (y1 - y0) * step]
    )
    return wcs.to_sky(x, y)


def _mean(vectors: Floats) -> Floats:
    mean = np.asarray(vectors.mean(axis=0))
    return mean if np.linalg.norm(mean) > 1e-6 else np.asarray(vectors[0])


def _scale(wcs: CelestialWcs, center: Floats, x: Floats, y: Floats) -> float:
    """Scale at the centre, else the median of wherever there is one."""
    own_x, own_y = wcs.to_pixel(center)
    scale = float(wcs.pixel_scale_deg(own_x, own_y))
    return scale if np.isfinite(scale) else float(np.nanmedian(wcs.pixel_scale_deg(x, y)))


def _step(grid: Floats, scale: float) -> float:
    """Largest angle between neighbours of a grid of points on the sky."""
    steps = [separation_deg(grid[1:], grid[:-1]), separation_deg(grid[:, 1:], grid[:, :-1])]
    known = np.concatenate([step[np.isfinite(step)] for step in steps])
    return float(known.max()) if known.size else 180.0


def _polygon_text(wcs: CelestialWcs, edge: Floats, scale: float) -> str | None:
    """STC-S polygon with as few vertices as keep to the edge; None if too many were needed."""
    for per_side in SIDES:
        vertices = _outline(wcs, per_side, 0.0)
        if _strays(edge.reshape(4 * per_side, -1, 3), vertices) > EDGE_TOLERANCE_PX * scale:
            continue
        if _signed_area(vertices) > 0.0:  # counter-clockwise from outside is clockwise from inside
            vertices = vertices[::-1]
        ra, dec = ra_dec_deg(vertices)
        return "POLYGON ICRS " + " ".join(f"{a:.7f} {d:.7f}" for a, d in zip(ra, dec, strict=True))
    return None


def _strays(parts: Floats, vertices: Floats) -> float:
    """Largest angle between points of each edge and its great circle, shape (edges, points, 3)."""
    poles = np.cross(vertices, np.roll(vertices, -1, axis=0))
    poles = normalized(poles)
    return float(np.degrees(np.arcsin(np.max(np.abs(np.einsum("epk,ek->ep", parts, poles))))))


def _signed_area(vertices: Floats) -> float:
    """Positive if the vertices run counter-clockwise as seen from outside the sphere (small figures)."""
    center = normalized(_mean(vertices))
    return float(np.sum(np.cross(vertices, np.roll(vertices, -1, axis=0)) @ center))


def _hull(wcs: CelestialWcs, points: Floats) -> sphgeom.ConvexPolygon | None:
    """Convex hull of the outline one pixel outside, of as few vertices as hold points of the image."""
    for per_side in SIDES:
        vectors = [sphgeom.UnitVector3d(*vector) for vector in _outline(wcs, per_side, 1.0)]
        try:
            hull = sphgeom.ConvexPolygon.convexHull(vectors)
        except ValueError:  # all on one line: an image of a single row, nearly
            return None
        if np.all(hull.contains(*points.T)):
            return hull
    return None


def stc_circle(circle: Circle) -> str:
    """Write a circle as STC-S."""
    return f"CIRCLE ICRS {circle.ra_deg:.7f} {circle.dec_deg:.7f} {circle.radius_deg:.7f}"
