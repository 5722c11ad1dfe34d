"""Footprints: what they say of an image, and that the cover never loses a pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from lsst import sphgeom

from surveys.sky.footprint import Footprint, footprint
from surveys.sky.sphere import Floats, ra_dec_deg, separation_deg, unit_vector
from surveys.sky.stencil import Circle, Polygon
from surveys.sky.wcs import CelestialWcs
from tests.support.headers import wcs_text

SIZE = (40, 30)
ALL_SKY: dict[str, Any] = {"CDELT1": -10.0, "CDELT2": 10.0}
SIP: dict[str, Any] = {
    "A_ORDER": 2,
    "B_ORDER": 2,
    "A_2_0": 4e-4,
    "A_1_1": -2e-4,
    "B_0_2": 1e-4,
    "B_2_0": 5e-4,
}


def image(code: str, lon: float, lat: float, size: tuple[int, int] = SIZE, **cards: Any) -> CelestialWcs:
    ctypes = (
        ("GLON-" + code[5:], "GLAT-" + code[5:])
        if code.startswith("GLON")
        else ("RA---" + code, "DEC--" + code)
    )
    return CelestialWcs.from_text(wcs_text(ctypes, (lon, lat), size, **cards), 0, 1, *size)


BOUNDED = {
    "TAN across RA 0": image("TAN", 0.02, 10.0),
    "TAN over the north pole": image("TAN", 30.0, 89.95),
    "TAN over the south pole": image("TAN", 30.0, -89.95, RADESYS="FK5", EQUINOX=1950.0),
    "TAN in FK4": image("TAN", 30.0, -40.0, RADESYS="FK4", EQUINOX=1950.0),
    "TAN 120 degrees wide": image("TAN", 0.0, 50.0, CDELT1=-4.0, CDELT2=4.0),
    "SIP": image("TAN-SIP", 0.0, -20.0, **SIP),
    "CAR wide": image("CAR", 0.0, 0.0, CRPIX2=-30.0, CDELT1=-1.5, CDELT2=1.0),
    "STG": image("STG", 30.0, -80.0, CDELT1=-2.0, CDELT2=2.0),
    "galactic": image("GLON-SFL", 30.0, 10.0, CDELT1=-0.5, CDELT2=0.5),
    "one row": image("TAN", 30.0, 10.0, (40, 1)),
}
UNBOUNDED = {
    "AIT all sky": image("GLON-AIT", 0.0, 0.0, (36, 18), **ALL_SKY),
    "CAR all sky": image("CAR", 0.0, 0.0, (36, 18), **ALL_SKY),
    "CAR round a pole": image("CAR", 0.0, 0.0, (36, 3), CRPIX2=-5.5, **ALL_SKY),
    "SIN with its limb": image("SIN", 30.0, -20.0, CDELT1=-5.0, CDELT2=5.0),
    "HPX": image("HPX", 0.0, 0.0, (36, 18), **ALL_SKY),
}


def points_of(wcs: CelestialWcs) -> Floats:
    """Points all over an image, its edges included, as far as they are on the sky."""
    x, y = np.meshgrid(np.linspace(-0.5, wcs.nx - 0.5, 157), np.linspace(-0.5, wcs.ny - 0.5, 157))
    vectors = wcs.to_sky(x, y).reshape(-1, 3)
    return np.ascontiguousarray(vectors[np.isfinite(vectors).all(axis=1)])


def polygon_of(found: Footprint) -> list[tuple[float, float]]:
    words = found.s_region.split()
    assert words[:2] == ["POLYGON", "ICRS"]
    numbers = [float(word) for word in words[2:]]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


@pytest.mark.parametrize("wcs", [*BOUNDED.values(), *UNBOUNDED.values()], ids=[*BOUNDED, *UNBOUNDED])
def test_cover_and_field_hold_the_image(wcs: CelestialWcs) -> None:
    found, points = footprint(wcs), points_of(wcs)
    assert np.all(found.cover.contains(*points.T))
    center = np.array(unit_vector(found.s_ra_deg, found.s_dec_deg))
    assert np.max(separation_deg(points, center)) <= found.s_fov_deg / 2.0 + 1e-9


@pytest.mark.parametrize("wcs", BOUNDED.values(), ids=BOUNDED.keys())
def test_s_region_is_the_outline(wcs: CelestialWcs) -> None:
    found, points = footprint(wcs), points_of(wcs)
    polygon = Polygon.of(polygon_of(found))
    # no point of the image lies farther out than the half pixel that edges may stray
    assert np.max(polygon.signed_distance_deg(points)) < 0.6 * found.pixel_scale_deg
    corners = wcs.to_sky([-0.5, wcs.nx - 0.5, wcs.nx - 0.5, -0.5], [-0.5, -0.5, wcs.ny - 0.5, wcs.ny - 0.5])
    assert np.max(np.abs(polygon.signed_distance_deg(corners))) < 1e-6
    middle = ra_dec_deg(wcs.to_sky((wcs.nx - 1) / 2.0, (wcs.ny - 1) / 2.0))
    assert (found.s_ra_deg, found.s_dec_deg) == tuple(float(value) for value in middle)


def test_cover_is_tight_for_ordinary_images() -> None:
    found = footprint(BOUNDED["TAN across RA 0"])
    assert isinstance(found.cover, sphgeom.ConvexPolygon)
    assert len(found.cover.getVertices()) == 4
    beside = Circle(0.02 + 0.25, 10.0, 0.001).region()
    assert found.cover.isDisjointFrom(beside)
    assert found.s_fov_deg == pytest.approx(0.5, rel=1e-3)
    assert found.pixel_scale_deg == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("dec", [-60.0, 0.0, 45.0])
@pytest.mark.parametrize("turn", [0.0, 10.0, -10.0])
@pytest.mark.parametrize("mirrored", [False, True])
def test_soda_41_polygons_run_counter_clockwise_as_seen_from_inside(
    dec: float, turn: float, mirrored: bool
) -> None:
    scale: dict[str, Any] = {"CDELT1": 0.01 if mirrored else -0.01, "CDELT2": 0.01, "CROTA2": turn}
    vertices = polygon_of(footprint(image("TAN", 100.0, dec, **scale)))
    middle = np.mean(vertices, axis=0)
    lowest = sorted(range(4), key=lambda i: vertices[i][1])[:2]
    first = lowest[0] if (lowest[0] + 1) % 4 == lowest[1] else lowest[1]
    assert vertices[(first + 1) % 4][0] < vertices[first][0], "the bottom edge runs towards decreasing RA"
    # position angles, counted from north through east (to the left), rise on the way round
    angles = SkyCoord(*middle, unit="deg").position_angle(SkyCoord(vertices, unit="deg")).deg
    assert np.all((np.roll(angles, -1) - angles) % 360.0 < 180.0)


@pytest.mark.parametrize("name", ["AIT all sky", "CAR all sky", "HPX"])
def test_all_sky_maps_are_circles_over_the_whole_sphere(name: str) -> None:
    found = footprint(UNBOUNDED[name])
    assert found.s_region.startswith("CIRCLE ICRS ")
    assert found.s_region.endswith(" 180.0000000")
    assert found.s_fov_deg == 360.0


def test_soda_45_map_round_a_pole_holds_the_pole() -> None:
    found = footprint(UNBOUNDED["CAR round a pole"])
    assert found.s_region.startswith("CIRCLE")
    assert found.cover.contains(sphgeom.UnitVector3d.Z())
