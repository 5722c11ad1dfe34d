"""Circle, polygon and range against brute force on the sphere."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lsst import sphgeom

from surveys.sky.sphere import Floats, normalized, ra_dec_deg, separation_deg, unit_vector, unit_vectors
from surveys.sky.stencil import SPHERE_DEG2, CenteredBox, Circle, Polygon, Range, Shape, Size

SHAPES: list[Shape] = [
    Circle(10.0, 80.0, 30.0),
    Circle(0.0, -90.0, 5.0),
    Circle(1.0, 1.0, 150.0),
    Polygon.of([(0, 0), (60, 0), (60, 50), (0, 50)]),
    Polygon.of([(350, 0), (10, 0), (10, 20), (0, 5), (350, 20)]),  # not convex, across RA 0
    Polygon.of([(0, 60), (90, 60), (180, 60), (270, 60)]),  # round the north pole
    Polygon.of([(0, -60), (40, -50), (90, -75), (180, -75), (270, -75)]),
    Polygon.of([(0, -10), (90, 5), (180, -5), (270, 8)]),  # nearly a hemisphere
    Range(350.0, 370.0, -10.0, 20.0),
    Range(0.0, 360.0, 60.0, 90.0),
    Range(0.0, 360.0, -10.0, 5.0),
    Range(20.0, 300.0, -90.0, -20.0),
    Range(10.0, 100.0, -70.0, 80.0),
    Range(20.0, 300.0, -90.0, 90.0),
]


def sky(n: int, seed: int = 1) -> Floats:
    """Points spread evenly over the whole sky at random."""
    return normalized(np.random.default_rng(seed).normal(size=(n, 3)))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_distance_is_that_to_the_nearest_point_of_the_edge(shape: Shape) -> None:
    points, edge = sky(200), shape.boundary(20_000)
    nearest = np.array([separation_deg(edge, point).min() for point in points])
    # the sampled edge is at most half a step (0.02 degrees) coarser than the true one
    np.testing.assert_allclose(np.abs(shape.signed_distance_deg(points)), nearest, atol=0.02)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_area_is_the_share_of_random_points_inside(shape: Shape) -> None:
    inside = shape.contains(sky(40_000))
    assert np.array_equal(inside, shape.signed_distance_deg(sky(40_000)) <= 0.0)
    share = shape.area_deg2 / SPHERE_DEG2
    assert abs(inside.mean() - share) < 4.0 * math.sqrt(share * (1.0 - share) / 40_000)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_search_region_and_bounding_circle_hold_the_shape(shape: Shape) -> None:
    inside = sky(20_000)[shape.contains(sky(20_000))]
    points = np.concatenate([inside, shape.boundary(400)])
    assert np.all(shape.bounding_circle().signed_distance_deg(points) < 1e-9)
    assert np.all(shape.region().contains(*inside.T))


def test_whole_sphere_has_no_edge() -> None:
    everything = Range(0.0, 360.0, -90.0, 90.0)
    assert everything.boundary(100).shape == (0, 3)
    assert np.all(everything.signed_distance_deg(sky(100)) == -180.0)
    assert everything.area_deg2 == pytest.approx(SPHERE_DEG2)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_points_off_the_sky_have_no_distance(shape: Shape) -> None:
    points = np.array([[np.nan, np.nan, np.nan], [1.0, 0.0, 0.0]])
    assert np.array_equal(np.isnan(shape.signed_distance_deg(points)), [True, False])
    assert not shape.contains(points)[0]


def test_soda_33_full_belt_and_polar_cap() -> None:
    belt, cap = Range(0.0, 360.0, -2.0, 2.0), Range(0.0, 360.0, 89.0, 90.0)
    longitudes = np.linspace(0.0, 360.0, 73)
    assert belt.contains(unit_vectors(longitudes, 1.99)).all()
    assert not belt.contains(unit_vectors(longitudes, 2.01)).any()
    assert cap.contains(unit_vectors(longitudes, 89.01)).all()
    assert cap.signed_distance_deg(np.array(unit_vector(0.0, 90.0))) == pytest.approx(-1.0)
    assert cap.bounding_circle() == Circle(0.0, 90.0, 1.0)


def test_soda_35_range_wraps_through_ra_0() -> None:
    box = Range(359.0, 361.0, -1.0, 1.0)
    inside = box.contains(unit_vectors([359.5, 0.0, 0.5, 358.9, 1.1], [0.0, 0.9, -0.9, 0.0, 0.0]))
    assert inside.tolist() == [True, True, True, False, False]
    assert box.area_deg2 == pytest.approx(4.0, rel=1e-3)


def test_soda_39_repeated_last_vertex_is_dropped() -> None:
    corners = [(12.0, 34.0), (14.0, 34.0), (14.0, 36.0), (12.0, 36.0)]
    assert Polygon.of([*corners, corners[0]]) == Polygon.of(corners)
    raw = Polygon((*corners, corners[0]))
    assert raw.area_deg2 == pytest.approx(Polygon.of(corners).area_deg2, rel=1e-12)


def test_soda_40_both_windings_give_the_smaller_side() -> None:
    corners = [(12.0, 34.0), (14.0, 34.0), (14.0, 36.0), (12.0, 36.0)]
    points = np.concatenate([sky(500), unit_vectors([13.0, 13.9], [35.0, 34.1])])
    one, other = Polygon.of(corners), Polygon.of(corners[::-1])
    np.testing.assert_allclose(one.signed_distance_deg(points), other.signed_distance_deg(points), atol=1e-12)
    assert one.area_deg2 == pytest.approx(other.area_deg2)
    assert one.contains(unit_vectors([13.0], [35.0]))[0]
    assert not one.contains(unit_vectors([193.0], [-35.0]))[0]


def test_soda_42_polygon_edges_are_great_circles_and_range_edges_parallels() -> None:
    # halfway along a great circle between two points at Dec 60, 40 degrees apart in RA, Dec is 61.5
    above_the_parallel = unit_vectors([20.0], [61.0])
    assert not Range(0.0, 40.0, 50.0, 60.0).contains(above_the_parallel)[0]
    assert Polygon.of([(0, 50), (40, 50), (40, 60), (0, 60)]).contains(above_the_parallel)[0]


@pytest.mark.parametrize(
    ("vertices", "reason"),
    [
        ([(0, 0), (1, 1)], "fewer than three"),
        ([(5, 5), (5, 5), (6, 6), (6, 6), (5, 5)], "fewer than three"),
        ([(0, 0), (1, 0), (2, 0)], "on one line"),
        ([(10, 0), (10, 5), (10, 9)], "on one line"),
        ([(0, 0), (1, 1), (1, 0), (0, 1)], "cross each other"),
        ([(0, 0), (180, 0), (90, 20)], "opposite"),
        ([(0, 0), (120, 0), (240, 0)], "two sides of the same size"),
    ],
)
def test_polygons_without_an_area_are_told(vertices: list[tuple[float, float]], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Polygon.of(vertices)


def test_polygon_of_a_tenth_of_an_arcsecond_keeps_its_digits() -> None:
    side = 0.1 / 3600.0
    polygon = Polygon.of([(200.0, -40.0), (200.0 + side, -40.0), (200.0 + side, -40.0 + side)])
    assert polygon.area_deg2 == pytest.approx(side**2 / 2.0 * math.cos(math.radians(40.0)), rel=1e-4)
    middle = unit_vectors([200.0 + side * 0.6, 200.0 + side * 0.4], [-40.0 + side * 0.4, -40.0 + side * 0.6])
    assert polygon.contains(middle).tolist() == [True, False]


@settings(max_examples=60, deadline=None)
@given(
    st.floats(0.0, 359.9),
    st.floats(-90.0, 90.0),
    st.lists(st.tuples(st.floats(0.05, 1.0), st.floats(0.1, 1.0)), min_size=3, max_size=9),
    st.sampled_from([1e-4, 0.1, 10.0, 60.0]),
)
def test_star_shaped_polygons_match_the_plane(
    ra: float, dec: float, spokes: list[tuple[float, float]], size: float
) -> None:
    # great circles are straight lines in the gnomonic plane, where even-odd counting is simple
    turns = np.cumsum([step for step, _ in spokes])
    angle = 2.0 * np.pi * turns / (turns[-1] + 0.2)
    if np.max(np.diff(angle, append=angle[0] + 2.0 * np.pi)) > 3.0:
        return
    reach = np.tan(np.radians(size)) * np.array([length for _, length in spokes])
    corners = reach[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    center = np.array(unit_vector(ra, dec))
    east = np.array([-math.sin(math.radians(ra)), math.cos(math.radians(ra)), 0.0])
    basis = np.stack([east, np.cross(center, east)])
    lon, lat = ra_dec_deg(normalized(center + corners @ basis))
    polygon = Polygon.of([(float(a), float(b)) for a, b in zip(lon, lat, strict=True)])
    rng = np.random.default_rng(3)
    flat = rng.uniform(-1.1, 1.1, (200, 2)) * np.tan(np.radians(size))
    clear = np.abs(polygon.signed_distance_deg(normalized(center + flat @ basis))) > 1e-7 * size
    inside = polygon.contains(normalized(center + flat @ basis))
    assert np.array_equal(inside[clear], _even_odd(flat, corners)[clear])


def _even_odd(points: Floats, corners: Floats) -> np.ndarray:
    odd = np.zeros(len(points), dtype=bool)
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        between = (y1 > points[:, 1]) != (y2 > points[:, 1])
        with np.errstate(divide="ignore", invalid="ignore"):
            odd ^= between & (points[:, 0] < x1 + (points[:, 1] - y1) * (x2 - x1) / (y2 - y1))
    return odd


def test_fixed_box_has_a_circle_for_the_search() -> None:
    on_sky = CenteredBox(10.0, 20.0, Size(0.3, 0.4, in_pixels=False)).bounding_circle(0.001)
    in_pixels = CenteredBox(10.0, 20.0, Size(300.0, 400.0, in_pixels=True)).bounding_circle(0.001)
    assert on_sky == in_pixels
    assert on_sky.radius_deg == pytest.approx(0.252)


def test_range_region_goes_across_ra_0() -> None:
    region = Range(359.0, 361.0, -1.0, 1.0).region()
    assert region.contains(sphgeom.UnitVector3d(sphgeom.LonLat.fromDegrees(0.0, 0.0)))
    assert not region.contains(sphgeom.UnitVector3d(sphgeom.LonLat.fromDegrees(180.0, 0.0)))
