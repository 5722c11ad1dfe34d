"""Shapes against footprints, judged by many points of both."""

from __future__ import annotations

import numpy as np
import pytest
from lsst.sphgeom import Angle, ConvexPolygon, LonLat, UnitVector3d
from lsst.sphgeom import Circle as SkyCircle

from surveys.sky.meeting import Probe
from surveys.sky.sphere import Floats, normalized, unit_vectors
from surveys.sky.stencil import Circle, Polygon, Range, Shape


def vectors(polygon: ConvexPolygon) -> Floats:
    return np.array([[v.x(), v.y(), v.z()] for v in polygon.getVertices()])


def points_of(polygon: ConvexPolygon, rng: np.random.Generator) -> Floats:
    """Points inside, and along the edges."""
    corners = vectors(polygon)
    inside = rng.dirichlet(np.full(len(corners), 0.7), size=2000) @ corners
    steps = np.linspace(0, 1, 300)[:, None, None]
    edges = (corners * (1 - steps) + np.roll(corners, -1, axis=0) * steps).reshape(-1, 3)
    return normalized(np.concatenate([inside, edges]))


def a_footprint(rng: np.random.Generator, trial: int) -> tuple[ConvexPolygon, float, float, float]:
    """Quadrilateral anywhere, about a pole, or near RA 0; with its middle and size (degrees)."""
    center = normalized(rng.normal(size=3))
    if trial % 4 == 0:
        center = np.array([*rng.normal(size=2) * 0.02, rng.choice([-1.0, 1.0])])
    elif trial % 4 == 1:
        center = np.array([1.0, rng.normal() * 0.02, rng.normal() * 0.3])
    size = rng.choice([0.01, 0.05, 0.3])
    corners = normalized(center + rng.normal(size=(4, 3)) * size)
    hull = ConvexPolygon.convexHull([UnitVector3d(*corner) for corner in corners])
    x, y, z = normalized(vectors(hull).mean(axis=0))
    return hull, float(np.degrees(np.arctan2(y, x)) % 360), float(np.degrees(np.arcsin(z))), 57 * float(size)


def a_range(rng: np.random.Generator, ra: float, dec: float, size: float) -> Range:
    stretch = 1 / max(np.cos(np.radians(dec)), 0.05)
    ra_min = float((ra + rng.normal() * size * stretch) % 360)
    width = float(rng.choice([0.5, 5.0, 60.0, 200.0, 359.0, 360.0]))
    dec_min = float(np.clip(dec + rng.normal() * size * 2, -90, 89))
    dec_max = 90.0 if rng.random() < 0.1 else min(90.0, dec_min + float(rng.choice([0.5, 5.0, 40.0])))
    return Range(
        0.0 if width == 360.0 else ra_min, (0.0 if width == 360.0 else ra_min) + width, dec_min, dec_max
    )


def a_star(rng: np.random.Generator, ra: float, dec: float, size: float) -> Polygon | None:
    """Polygon with notches; None where it would run over a pole."""
    angles, radii = np.sort(rng.uniform(0, 2 * np.pi, 6)), rng.uniform(0.2, 3, 6) * size
    decs = dec + radii * np.sin(angles) + rng.normal() * size
    if np.max(np.abs(decs)) > 89:
        return None
    ras = (ra + radii * np.cos(angles) / np.maximum(np.cos(np.radians(decs)), 0.05)) % 360
    try:
        return Polygon.of([(float(a), float(d)) for a, d in zip(ras, decs, strict=True)])
    except ValueError:
        return None


@pytest.mark.parametrize("kind", ["range", "star"])
def test_sia_05_shapes_meet_footprints_as_their_points_say(kind: str) -> None:
    rng = np.random.default_rng(5)
    answers = {True: 0, False: 0}
    for trial in range(400):
        footprint, ra, dec, size = a_footprint(rng, trial)
        make = a_range if kind == "range" else a_star
        shape: Shape | None = make(rng, ra, dec, size)
        if shape is None:
            continue
        met = bool(np.any(shape.contains(points_of(footprint, rng))))
        met = met or bool(np.any(footprint.contains(*shape.boundary(3000).T)))
        assert Probe(shape).meets(footprint) == met, (trial, shape)
        answers[met] += 1
    assert min(answers.values()) > 20


def square(ra: float, dec: float, half: float) -> ConvexPolygon:
    corners = ((-half, -half), (half, -half), (half, half), (-half, half))
    return ConvexPolygon([UnitVector3d(LonLat.fromDegrees((ra + x) % 360, dec + y)) for x, y in corners])


@pytest.mark.parametrize(
    ("shape", "met"),
    [
        (Circle(10.0, 0.0, 0.0), True),
        (Circle(10.6, 0.0, 0.0), False),
        (Circle(10.5 + 1e-5, 0.0, 0.0), False),
        (Circle(12.0, 0.0, 1.6), True),
        (Circle(12.0, 0.0, 1.4), False),
        (Circle(190.0, 0.0, 179.0), False),
        (Circle(190.0, 0.0, 179.6), True),
        (Circle(0.0, 0.0, 180.0), True),
        (Range(0.0, 360.0, -90.0, 90.0), True),
        (Range(0.0, 360.0, 0.6, 90.0), False),
        (Range(0.0, 360.0, 0.5, 90.0), True),
        (Range(11.0, 369.0, -1.0, 1.0), False),
        (Range(9.9, 10.1, -0.1, 0.1), True),
        (Range(350.0, 369.6, -1.0, 1.0), True),
        (Range(350.0, 369.4, -1.0, 1.0), False),
        # a notch about the footprint, and a hole in none
        (
            Polygon(
                (
                    (8.0, -2.0),
                    (12.0, -2.0),
                    (12.0, 2.0),
                    (11.0, 2.0),
                    (11.0, -1.0),
                    (9.0, -1.0),
                    (9.0, 2.0),
                    (8.0, 2.0),
                )
            ),
            False,
        ),
        (Polygon(((8.0, -2.0), (12.0, -2.0), (12.0, 2.0), (8.0, 2.0))), True),
    ],
)
def test_sia_05_sia_06_one_footprint_and_shapes_about_it(shape: Shape, met: bool) -> None:
    assert Probe(shape).meets(square(10.0, 0.0, 0.5)) == met


def test_a_cap_lies_within_a_footprint_over_the_pole() -> None:
    corners = unit_vectors([0.0, 90.0, 180.0, 270.0], [88.0] * 4)
    footprint = ConvexPolygon([UnitVector3d(*corner) for corner in corners])
    assert Probe(Range(0.0, 360.0, 89.9, 90.0)).meets(footprint)
    assert Probe(Range(10.0, 11.0, 89.9, 90.0)).meets(footprint)
    assert Probe(Range(10.0, 11.0, 90.0, 90.0)).meets(footprint)
    assert not Probe(Range(0.0, 360.0, 0.0, 87.0)).meets(footprint)


def test_footprints_that_are_circles() -> None:
    footprint = SkyCircle(UnitVector3d(0.0, 0.0, 1.0), Angle.fromDegrees(100.0))
    assert Probe(Circle(0.0, -5.0, 0.0)).meets(footprint)
    assert not Probe(Circle(0.0, -15.0, 1.0)).meets(footprint)
    assert not Probe(Range(0.0, 10.0, -90.0, -80.0)).meets(footprint)


@pytest.mark.parametrize(
    ("shape", "whole"),
    [
        (Circle(5.0, 5.0, 180.0), True),
        (Circle(5.0, 5.0, 179.0), False),
        (Range(0.0, 360.0, -90.0, 90.0), True),
        (Range(0.0, 359.0, -90.0, 90.0), False),
    ],
)
def test_the_whole_sky_is_known_as_such(shape: Shape, whole: bool) -> None:
    assert Probe(shape).is_whole_sky == whole
