"""Tiles of a HiPS against HEALPix as astropy-healpix and reproject have it."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import ICRS, SkyCoord
from astropy.wcs import WCS
from astropy_healpix import HEALPix
from reproject.hips._utils import tile_header

from surveys.hips.geometry import (
    DEEPEST_ORDER,
    TILE,
    order_for,
    parents_of,
    pixel_scale_deg,
    place_of,
    quarter_of,
    tile_path,
    wcs_text,
)
from surveys.sky.sphere import ra_dec_deg
from surveys.sky.wcs import CelestialWcs

#: All base cells, tiles at their corners, one at the pole, one across RA 0, and deep ones.
TILES = [(0, face) for face in range(12)]
TILES += [(3, tile) for tile in (0, 21, 42, 63, 64 * 4 + 27, 64 * 6 + 33, 64 * 11, 767)]
TILES += [(11, 12 * 4**11 // 7), (20, 4**20 * 5 + 123456789), (DEEPEST_ORDER, 12 * 4**20 - 1)]


def pixel_number(order: int, tile: int, column: int, row: int) -> int:
    """Number (NESTED, order + 9) of a pixel of the FITS array, by interleaving its coordinates."""
    ix, iy = TILE - 1 - row, column
    bits = sum((ix >> b & 1) << 2 * b | (iy >> b & 1) << 2 * b + 1 for b in range(9))
    return tile << 18 | bits


@pytest.mark.parametrize(("order", "tile"), TILES)
def test_pixels_of_a_tile_are_where_healpix_has_them(order: int, tile: int) -> None:
    wcs = CelestialWcs.from_text(wcs_text(order, tile), 0, 1, TILE, TILE)
    rng = np.random.default_rng(tile)
    columns, rows = rng.integers(0, TILE, 200), rng.integers(0, TILE, 200)
    columns[:4], rows[:4] = (0, 511, 0, 511), (0, 0, 511, 511)
    ra, dec = ra_dec_deg(wcs.to_sky(columns, rows))
    healpix = HEALPix(nside=2 ** (order + 9), order="nested", frame=ICRS())
    numbers = [pixel_number(order, tile, int(c), int(r)) for c, r in zip(columns, rows, strict=True)]
    true = healpix.healpix_to_skycoord(np.array(numbers))
    off = SkyCoord(ra * u.deg, dec * u.deg).separation(true).deg / pixel_scale_deg(order)
    # doubles of degrees hold a hundredth of the deepest pixels
    assert off.max() < (1e-6 if order < 15 else 0.02)
    back_x, back_y = wcs.to_pixel(wcs.to_sky(columns, rows))
    assert np.abs(back_x - columns).max() < (1e-5 if order < 15 else 0.02)
    assert np.abs(back_y - rows).max() < (1e-5 if order < 15 else 0.02)


@pytest.mark.parametrize(("order", "tile"), [(0, 7), (3, 300), (6, 20_000), (9, 2_000_000)])
def test_tiles_have_the_wcs_that_reproject_gives_them(order: int, tile: int) -> None:
    theirs = tile_header(level=order, index=tile, frame=ICRS(), tile_dims=TILE)
    assert not isinstance(theirs, tuple)
    x, y = (axis.ravel() for axis in np.meshgrid(np.linspace(0, 511, 9), np.linspace(0, 511, 9)))
    sky = SkyCoord(*WCS(theirs).all_pix2world(x, y, 0), unit="deg")
    ours = CelestialWcs.from_text(wcs_text(order, tile), 0, 1, TILE, TILE)
    separation = SkyCoord(*ra_dec_deg(ours.to_sky(x, y)), unit="deg").separation(sky).deg
    assert separation.max() < 1e-6 * pixel_scale_deg(order)


def test_pixel_scales_are_those_of_the_standard() -> None:
    assert pixel_scale_deg(3) * 3600 == pytest.approx(51.53, abs=0.01)
    assert pixel_scale_deg(10) * 3600 == pytest.approx(0.4026, abs=1e-4)


@pytest.mark.parametrize(
    ("arcsec", "order"), [(0.3, 11), (0.2013, 11), (0.4, 10), (2.0, 8), (3600.0, 3), (1e-9, DEEPEST_ORDER)]
)
def test_the_deepest_order_resolves_the_pixels_of_the_survey(arcsec: float, order: int) -> None:
    assert order_for(arcsec / 3600) == order


def test_children_lie_in_their_quarters() -> None:
    order, tile = 5, 3_210
    parent = CelestialWcs.from_text(wcs_text(order, tile), 0, 1, TILE, TILE)
    for child in range(4):
        wcs = CelestialWcs.from_text(wcs_text(order + 1, 4 * tile + child), 0, 1, TILE, TILE)
        rows, columns = quarter_of(child)
        # four pixels of the child about the middle of one of the parent
        x, y = parent.to_pixel(wcs.to_sky([10.5, 300.5], [20.5, 400.5]))
        np.testing.assert_allclose(x, columns.start + np.array([5, 150]), atol=1e-4)
        np.testing.assert_allclose(y, rows.start + np.array([10, 200]), atol=1e-4)


def test_places_and_paths() -> None:
    assert place_of(0, 7) == (7, 0, 0)
    assert place_of(2, 5 * 16 + 0b0110) == (5, 0b10, 0b01)
    assert tile_path(6, 10_302, "png") == "Norder6/Dir10000/Npix10302.png"
    assert parents_of(np.array([4, 5, 7, 12, 40])).tolist() == [1, 3, 10]
