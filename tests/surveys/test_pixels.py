"""The pixel box against brute force: every pixel cut into 12 x 12 points, on small images of every kind."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surveys.sky.cells import CellSearch
from surveys.sky.overlap import centered_box, inside_mask, pixel_box, sticks_out
from surveys.sky.pixels import PixelBox
from surveys.sky.sphere import Floats, normalized, perpendicular, ra_dec_deg, unit_vector, unit_vectors
from surveys.sky.stencil import CenteredBox, Circle, Polygon, Range, Shape, Size
from surveys.sky.wcs import CelestialWcs
from tests.support.headers import wcs_text

SIZE = (40, 30)
SUBSAMPLES = 12
ROTATED: dict[str, Any] = {"PC1_1": 0.8, "PC1_2": 0.6, "PC2_1": -0.6, "PC2_2": 0.8}
SIP: dict[str, Any] = {
    "A_ORDER": 2,
    "B_ORDER": 2,
    "A_2_0": 1e-4,
    "A_1_1": -2e-4,
    "B_0_2": 1e-4,
    "B_2_0": 5e-5,
}
TPV: dict[str, Any] = {
    "PV1_0": 0.001,
    "PV1_1": 1.01,
    "PV1_2": 0.005,
    "PV1_4": 0.01,
    "PV2_1": 0.99,
    "PV2_5": 0.02,
}
MAP: dict[str, Any] = {"CDELT1": -10.0, "CDELT2": 10.0}


def image(kind: str, lon: float, lat: float, size: tuple[int, int] = SIZE, **cards: Any) -> CelestialWcs:
    """Make the WCS of a small image; `kind` is the projection, ``GLON-TAN``, or ``DEC--TAN`` if swapped."""
    ctypes = {"GLON": ("GLON-", "GLAT-"), "DEC-": ("DEC--", "RA---")}.get(kind[:4], ("RA---", "DEC--"))
    code = kind[5:] if kind[:4] in {"GLON", "DEC-"} else kind
    text = wcs_text((ctypes[0] + code, ctypes[1] + code), (lon, lat), size, **cards)
    return CelestialWcs.from_text(text, 0, 1, *size)


IMAGES = {
    "TAN at RA 0": image("TAN", 0.02, 10.0),
    "TAN rotated": image("TAN", 120.0, -40.0, **ROTATED),
    "TAN at the north pole": image("TAN", 30.0, 89.95, **ROTATED),
    "TAN at the south pole": image("TAN", 30.0, -89.95),
    "TAN swapped": image("DEC--TAN", -20.0, 30.0, **ROTATED),
    "TAN in FK5 B1950": image("TAN", 359.5, 10.0, RADESYS="FK5", EQUINOX=1950.0, **ROTATED),
    "TAN in FK4": image("TAN", 359.5, 10.0, RADESYS="FK4", EQUINOX=1950.0),
    "TAN galactic": image("GLON-TAN", 30.0, 10.0),
    "TAN 160 degrees wide": image("TAN", 0.02, 50.0, CDELT1=-4.0, CDELT2=4.0),
    "SIP": image("TAN-SIP", 0.0, -20.0, **SIP),
    "TPV": image("TPV", 0.0, -20.0, **TPV),
    "ZPN": image("ZPN", 30.0, -20.0, PV2_1=1.0, PV2_3=20.0),
    "STG": image("STG", 30.0, -80.0, CDELT1=-2.0, CDELT2=2.0),
    "SIN with its limb": image("SIN", 30.0, -20.0, CDELT1=-5.0, CDELT2=5.0),
    "CAR all sky": image("CAR", 0.0, 0.0, (36, 18), **MAP),
    "CAR with pole rows": image("CAR", 90.0, 0.0, (36, 19), **MAP),
    "AIT all sky, galactic": image("GLON-AIT", 0.0, 0.0, (36, 18), **MAP),
    "HPX all sky": image("HPX", 0.0, 0.0, (36, 18), **MAP),
}


def random_shape(rng: np.random.Generator, wcs: CelestialWcs) -> Shape:
    """Make a circle, polygon or range on or near the image, of a tenth of a pixel to twenty pixels."""
    center = np.full(3, np.nan)
    while not np.isfinite(center).all():
        center = wcs.to_sky(rng.uniform(-0.2, 1.2) * wcs.nx, rng.uniform(-0.2, 1.2) * wcs.ny)
    ra, dec = (float(value) for value in ra_dec_deg(center))
    size = float(wcs.pixel_scale_deg((wcs.nx - 1) / 2, (wcs.ny - 1) / 2)) * 10.0 ** rng.uniform(-1.0, 1.3)
    match rng.integers(3):
        case 0:
            return Circle(ra, dec, min(size, 170.0))
        case 1:
            return _random_polygon(rng, center, min(size, 80.0))
        case _:
            width = min(360.0, size * rng.uniform(0.2, 2.0) / max(0.05, math.cos(math.radians(dec))))
            height, start = size * rng.uniform(0.2, 2.0), (ra - width / 2.0) % 360.0
            return Range(start, start + width, max(-90.0, dec - height / 2), min(90.0, dec + height / 2))


def _random_polygon(rng: np.random.Generator, center: Floats, size_deg: float) -> Shape:
    """Make a star-shaped polygon of three to six vertices, often not convex."""
    n = int(rng.integers(3, 7))
    angle, (first, second) = np.sort(rng.uniform(0.0, 2.0 * np.pi, n)), perpendicular(center)
    reach = np.tan(np.radians(size_deg * rng.uniform(0.2, 1.0, n)))[:, None]
    ra, dec = ra_dec_deg(
        normalized(center + reach * (np.cos(angle)[:, None] * first + np.sin(angle)[:, None] * second))
    )
    try:
        return Polygon.of([(float(a), float(d)) for a, d in zip(ra, dec, strict=True)])
    except ValueError:  # all spokes on one side
        return _random_polygon(rng, center, size_deg)


def subsampled_box(shape: Shape, wcs: CelestialWcs) -> PixelBox | None:
    """Box of the pixels with one of their 12 x 12 points inside the shape."""
    offsets = (np.arange(SUBSAMPLES) + 0.5) / SUBSAMPLES - 0.5
    x, y = np.meshgrid(
        (np.arange(wcs.nx)[:, None] + offsets).ravel(), (np.arange(wcs.ny)[:, None] + offsets).ravel()
    )
    points = np.asarray(shape.contains(wcs.to_sky(x, y)))
    inside = np.any(points.reshape(wcs.ny, SUBSAMPLES, wcs.nx, SUBSAMPLES), axis=(1, 3))
    if not inside.any():
        return None
    columns, rows = np.flatnonzero(inside.any(axis=0)), np.flatnonzero(inside.any(axis=1))
    return PixelBox(int(columns[0]), int(columns[-1]) + 1, int(rows[0]), int(rows[-1]) + 1)


def whole(wcs: CelestialWcs) -> PixelBox:
    return PixelBox(0, wcs.nx, 0, wcs.ny)


def reaches_into(shape: Shape, wcs: CelestialWcs, box: PixelBox) -> bool:
    """Whether the edge of the shape, a point every few thousandths of a pixel, passes through a box."""
    x, y = wcs.to_pixel(shape.boundary(20_000))
    return bool(np.any((x > box.x0 - 0.5) & (x < box.x1 - 0.5) & (y > box.y0 - 0.5) & (y < box.y1 - 0.5)))


@pytest.mark.parametrize("wcs", IMAGES.values(), ids=IMAGES.keys())
def test_soda_45_box_is_that_of_brute_force(wcs: CelestialWcs) -> None:
    rng = np.random.default_rng(20)
    for _ in range(4 if wcs.frame.rotation is None else 8):
        shape = random_shape(rng, wcs)
        box, coarse = pixel_box(shape, wcs), subsampled_box(shape, wcs)
        if coarse is not None:  # every point found by brute force is in the box
            assert box is not None, shape
            assert box.x0 <= coarse.x0 < coarse.x1 <= box.x1, shape
            assert box.y0 <= coarse.y0 < coarse.y1 <= box.y1, shape
        if box is not None:  # what brute force found too coarsely is really there
            for edge in _edges_beyond(box, coarse, wcs):
                assert reaches_into(shape, wcs, edge), shape


def _edges_beyond(box: PixelBox, inner: PixelBox | None, wcs: CelestialWcs) -> list[PixelBox]:
    """Outermost columns and rows of `box`, over the whole image, where it is larger than `inner`."""
    edges = [
        (box.x0, inner and inner.x0, PixelBox(box.x0, box.x0 + 1, 0, wcs.ny)),
        (box.x1, inner and inner.x1, PixelBox(box.x1 - 1, box.x1, 0, wcs.ny)),
        (box.y0, inner and inner.y0, PixelBox(0, wcs.nx, box.y0, box.y0 + 1)),
        (box.y1, inner and inner.y1, PixelBox(0, wcs.nx, box.y1 - 1, box.y1)),
    ]
    return [edge for limit, found, edge in edges if limit != found]


@pytest.mark.parametrize("name", [name for name, wcs in IMAGES.items() if wcs.tan is not None])
def test_closed_forms_and_search_agree(name: str) -> None:
    wcs, rng = IMAGES[name], np.random.default_rng(7)
    for _ in range(40):
        shape = random_shape(rng, wcs)
        assert pixel_box(shape, wcs) == CellSearch(shape, wcs, whole(wcs)).run(), shape


@settings(max_examples=60, deadline=None)
@given(
    st.floats(-30.0, 70.0),
    st.floats(-30.0, 60.0),
    st.floats(0.01, 200.0),
    st.sampled_from(["TAN rotated", "TAN swapped"]),
)
def test_circles_of_any_size_agree(x: float, y: float, radius_px: float, name: str) -> None:
    wcs = IMAGES[name]
    ra, dec = (float(value) for value in ra_dec_deg(wcs.to_sky(x, y)))
    circle = Circle(ra, dec, radius_px * 0.01)
    assert pixel_box(circle, wcs) == CellSearch(circle, wcs, whole(wcs)).run()


def test_tan_box_is_exact_on_a_known_circle() -> None:
    wcs = image("TAN", 150.0, 0.0, (41, 31), CDELT1=-0.001, CDELT2=0.001)
    # centre on pixel (20, 15); 3.4 pixels reach into the fourth pixel away, 3.6 into the fifth
    assert pixel_box(Circle(150.0, 0.0, 0.0034), wcs) == PixelBox(17, 24, 12, 19)
    assert pixel_box(Circle(150.0, 0.0, 0.0036), wcs) == PixelBox(16, 25, 11, 20)
    assert pixel_box(Circle(150.0, 0.0, 0.0001), wcs) == PixelBox(20, 21, 15, 16)


@pytest.mark.parametrize("name", ["TAN rotated", "SIP", "TAN in FK4", "AIT all sky, galactic"])
def test_a_stencil_smaller_than_a_pixel_gives_the_pixel_that_holds_it(name: str) -> None:
    wcs = IMAGES[name]
    ra, dec = (float(value) for value in ra_dec_deg(wcs.to_sky(17.3, 8.8)))
    one = PixelBox(17, 18, 9, 10)
    assert pixel_box(Circle(ra, dec, 1e-9), wcs) == one
    assert pixel_box(Range(ra, ra, dec, dec), wcs) == one
    corners = wcs.to_sky([17.3, 17.301, 17.3], [8.8, 8.8, 8.801])
    pairs = [(float(a), float(d)) for a, d in zip(*ra_dec_deg(corners), strict=True)]
    assert pixel_box(Polygon.of(pairs), wcs) == one


def test_touching_is_not_overlapping() -> None:
    wcs = image("CAR", 10.0, 0.0, (41, 31), CDELT1=-0.01, CDELT2=0.01)
    # edges of pixels lie at whole hundredths plus a half: this range ends exactly on them
    assert pixel_box(Range(9.965, 10.035, -0.025, 0.045), wcs) == PixelBox(17, 24, 13, 20)
    assert pixel_box(Range(10.205, 11.0, -0.1, 0.1), wcs) is None
    assert pixel_box(Range(10.20499, 11.0, -0.1, 0.1), wcs) == PixelBox(0, 1, 5, 26)
    tan = image("TAN", 150.0, 0.0, (41, 31), CDELT1=-0.001, CDELT2=0.001)
    corners = tan.to_sky([-5.0, -0.5, -5.0], [10.0, 12.0, 14.0])
    pairs = [(float(a), float(d)) for a, d in zip(*ra_dec_deg(corners), strict=True)]
    assert pixel_box(Polygon.of(pairs), tan) is None


def test_box_of_what_sticks_out_is_that_of_the_part_inside() -> None:
    wcs = image("TAN", 150.0, 0.0, (41, 31), CDELT1=-0.001, CDELT2=0.001)
    ra, dec = (float(value) for value in ra_dec_deg(wcs.to_sky(-6.0, 15.0)))
    circle = Circle(ra, dec, 0.01)
    # ten pixels about (-6, 15) cut the image's edge x = -1/2 at 15 ± sqrt(100 - 5.5²) = 15 ± 8.35
    assert pixel_box(circle, wcs) == CellSearch(circle, wcs, whole(wcs)).run() == PixelBox(0, 5, 7, 24)
    assert sticks_out(circle, wcs)
    assert not sticks_out(Circle(150.0, 0.0, 0.01), wcs)


def test_u_shaped_polygon_round_a_corner_of_the_image() -> None:
    wcs = image("TAN", 150.0, 0.0, (41, 31), CDELT1=-0.001, CDELT2=0.001)
    # an L outside the lower left corner whose two arms reach in: the corner itself is not covered
    x = np.array([-8.0, 6.0, 6.0, -4.0, -4.0, -8.0])
    y = np.array([-8.0, -8.0, -4.0, -4.0, 9.0, 9.0])
    pairs = [(float(a), float(d)) for a, d in zip(*ra_dec_deg(wcs.to_sky(x, y)), strict=True)]
    assert pixel_box(Polygon.of(pairs), wcs) is None
    x, y = (
        np.array([-8.0, 6.0, 6.0, 5.0, -4.0, 2.2, 2.2, -8.0]),
        np.array([-8.0, -8.0, 3.4, 3.4, -4.0, 5.0, 9.4, 9.4]),
    )
    pairs = [(float(a), float(d)) for a, d in zip(*ra_dec_deg(wcs.to_sky(x, y)), strict=True)]
    polygon = Polygon.of(pairs)
    assert pixel_box(polygon, wcs) == CellSearch(polygon, wcs, whole(wcs)).run() == PixelBox(0, 7, 0, 10)


def test_soda_33_belt_and_cap_on_an_all_sky_map() -> None:
    wcs = IMAGES["CAR with pole rows"]
    assert pixel_box(Range(0.0, 360.0, -2.0, 2.0), wcs) == PixelBox(0, 36, 9, 10)
    assert pixel_box(Range(0.0, 360.0, 89.0, 90.0), wcs) == PixelBox(0, 36, 18, 19)
    assert pixel_box(Range(0.0, 360.0, -90.0, 90.0), wcs) == whole(wcs)
    assert pixel_box(Circle(123.0, 90.0, 1.0), wcs) == PixelBox(0, 36, 18, 19)


def test_soda_32_soda_35_range_on_an_image_across_ra_0() -> None:
    wcs = image("CAR", 0.0, 0.0, (41, 31), CDELT1=-0.1, CDELT2=0.1)
    # pixel (20, 15) is RA 0, Dec 0; x runs to the west
    assert pixel_box(Range(359.5, 360.5, -0.2, 0.3), wcs) == PixelBox(15, 26, 13, 19)
    assert pixel_box(Range(0.5, 0.7, 0.1, 0.2), wcs) == PixelBox(13, 16, 16, 18)


def test_soda_45_circle_across_the_seam_of_a_map_needs_both_ends() -> None:
    for name in ("CAR all sky", "AIT all sky, galactic"):
        wcs = IMAGES[name]
        seam = wcs.frame.to_icrs(unit_vectors(180.0, 4.0))
        ra, dec = (float(value) for value in ra_dec_deg(seam))
        box = pixel_box(Circle(ra, dec, 8.0), wcs)
        assert box is not None
        assert box.x0 <= 2
        assert box.x1 >= 34
        assert not sticks_out(Circle(ra, dec, 8.0), wcs)


@pytest.mark.parametrize("wcs", IMAGES.values(), ids=IMAGES.keys())
def test_sticks_out_is_told_by_a_larger_image(wcs: CelestialWcs) -> None:
    rng = np.random.default_rng(4)
    for _ in range(5 if wcs.frame.rotation is None else 15):
        shape = random_shape(rng, wcs)
        x, y = wcs.to_pixel(_filled(shape))
        gap = np.maximum(np.abs(x - (wcs.nx - 1) / 2) - wcs.nx / 2, np.abs(y - (wcs.ny - 1) / 2) - wcs.ny / 2)
        if np.isnan(gap).any() or gap.max() > 1e-3:
            assert sticks_out(shape, wcs), shape
        elif gap.max() < -0.05:
            assert not sticks_out(shape, wcs), shape


def _filled(shape: Shape) -> Floats:
    """Points inside a shape and on its edge."""
    circle = shape.bounding_circle()
    center = np.array(unit_vector(circle.ra_deg, circle.dec_deg))
    first, second = perpendicular(center)
    u, v = (grid.ravel() for grid in np.meshgrid(np.linspace(-1, 1, 41), np.linspace(-1, 1, 41)))
    radius = np.radians(circle.radius_deg) * np.hypot(u, v)
    turn = np.arctan2(v, u)[:, None]
    points = np.cos(radius)[:, None] * center + np.sin(radius)[:, None] * (
        np.cos(turn) * first + np.sin(turn) * second
    )
    return np.concatenate([points[shape.contains(points)], shape.boundary(400)])


def test_nothing_overlaps_far_away_or_behind() -> None:
    for name in ("TAN rotated", "SIP", "SIN with its limb", "TAN in FK4"):
        wcs = IMAGES[name]
        ra, dec = (float(value) for value in ra_dec_deg(-wcs.to_sky(20.0, 15.0)))
        for shape in (Circle(ra, dec, 0.5), Range(ra, ra + 1.0, dec, dec + 1.0)):
            assert pixel_box(shape, wcs) is None
            assert sticks_out(shape, wcs)


def test_the_whole_sky_is_all_of_an_image() -> None:
    for name in ("TAN rotated", "SIP", "TAN in FK4", "CAR all sky"):
        wcs = IMAGES[name]
        assert pixel_box(Range(0.0, 360.0, -90.0, 90.0), wcs) == whole(wcs)
        assert pixel_box(Circle(1.0, 2.0, 180.0), wcs) == whole(wcs)


@pytest.mark.parametrize(("size_px", "first"), [(1, 20), (2, 19), (3, 19), (4, 18), (5, 18)])
def test_fixed_box_lies_about_its_centre_odd_and_even(size_px: int, first: int) -> None:
    wcs = image("TAN", 150.0, 0.0, (41, 31), CDELT1=-0.001, CDELT2=0.001)
    asked = CenteredBox(150.0, 0.0, Size(size_px, size_px, in_pixels=True))
    assert centered_box(asked, wcs, 0.001) == PixelBox(first, first + size_px, first - 5, first - 5 + size_px)


def test_fixed_box_in_degrees_has_the_nominal_shape_and_is_not_clipped() -> None:
    wcs = image("TAN", 150.0, 0.0, (41, 31), CDELT1=-0.001, CDELT2=0.001)
    corner = wcs.to_sky(0.2, 30.1)
    ra, dec = (float(value) for value in ra_dec_deg(corner))
    box = centered_box(CenteredBox(ra, dec, Size(0.0101, 0.0001, in_pixels=False)), wcs, 0.001)
    assert box == PixelBox(-4, 6, 30, 31)
    assert centered_box(CenteredBox(330.0, 0.0, Size(3, 3, in_pixels=True)), wcs, 0.001) is None


@pytest.mark.parametrize(
    "name", ["TAN rotated", "SIP", "AIT all sky, galactic", "CAR with pole rows", "TAN in FK4"]
)
def test_mask_holds_the_pixels_whose_centres_are_inside(name: str) -> None:
    wcs, rng = IMAGES[name], np.random.default_rng(9)
    box = PixelBox(1, wcs.nx, 0, wcs.ny)
    y, x = np.mgrid[box.y0 : box.y1, box.x0 : box.x1]
    for _ in range(4):
        shape = random_shape(rng, wcs)
        assert np.array_equal(inside_mask(shape, wcs, box), shape.contains(wcs.to_sky(x, y)))


def test_mask_of_a_large_box_is_that_of_its_pixels() -> None:
    wcs = image("TAN", 150.0, 2.0, (700, 500), CDELT1=-0.001, CDELT2=0.001)
    polygon = Polygon.of([(149.7, 1.8), (150.3, 1.8), (150.0, 1.95), (150.2, 2.2), (149.8, 2.2)])
    box = PixelBox(0, 700, 0, 500)
    y, x = np.mgrid[0:500, 0:700]
    mask = inside_mask(polygon, wcs, box)
    assert mask.any()
    assert np.array_equal(mask, polygon.contains(wcs.to_sky(x, y)))


def test_large_maps_are_searched_in_few_cells() -> None:
    size = (21600, 10800)
    wcs = image("CAR", 0.0, 0.0, size, CDELT1=-1.0 / 60.0, CDELT2=1.0 / 60.0)
    assert pixel_box(Range(30.0, 60.0, 10.0, 20.0), wcs) == PixelBox(7200, 9000, 6000, 6600)
    assert pixel_box(Range(0.0, 360.0, 89.0, 90.0), wcs) == PixelBox(0, 21600, 10740, 10800)
    assert not sticks_out(Range(0.0, 360.0, 89.0, 90.0), wcs)
    # touches the pole: its pixels there end where the meridian leaves the circle
    assert pixel_box(Circle(10.0, 80.0, 10.0), wcs) == PixelBox(4800, 15600, 9600, 10800)
