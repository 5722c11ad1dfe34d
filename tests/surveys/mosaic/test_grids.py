"""Mosaics wherever the sky is awkward: RA 0, poles, corners of four tiles, distortions, other scales."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reproject
from astropy.wcs import WCS

from surveys.sky.pixels import PixelBox
from tests.support.tiles import sky
from tests.surveys.mosaic.skies import (
    SCALE,
    Floats,
    SkyCatalog,
    composed,
    sampled,
    tan,
    text_of,
    wcs_of_cards,
)

SIZE = (150, 140)
PLACES = [(150.0, 2.0), (0.0, 1.0), (30.0, 90.0), (200.0, -90.0), (10.0, 85.0)]


@pytest.fixture
def catalog(tmp_path: Path) -> SkyCatalog:
    return SkyCatalog(root=tmp_path)


def ball(ra: Floats, dec: Floats) -> Floats:
    """A smooth sky without any seam: waves across the sphere itself."""
    a, d = np.radians(ra), np.radians(dec)
    x, y, z = np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)
    return 100.0 + 10.0 * np.sin(6e4 * x + 1.0) * np.cos(5e4 * y) + 10.0 * np.sin(5.5e4 * z)


def sip(cards: Mapping[str, Any]) -> dict[str, Any]:
    return dict(cards) | {
        "CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2, "B_ORDER": 2,
        "A_2_0": 2e-5, "A_1_1": -1e-5, "B_0_2": -2e-5, "B_2_0": 1e-5,
    }  # fmt: skip


def tpv(cards: Mapping[str, Any]) -> dict[str, Any]:
    return dict(cards) | {
        "CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "PV1_1": 1.0, "PV1_4": 0.02, "PV2_1": 1.0, "PV2_5": -0.02,
    }  # fmt: skip


def around(ra: float, dec: float) -> list[dict[str, Any]]:
    """Four tiles whose corners meet, overlapping a little, at a place; one distorted, one turned."""
    step = 0.4 * SIZE[0] * SCALE
    pole = abs(dec) > 89.9
    cards = []
    for i, (east, north) in enumerate(((-1, -1), (1, -1), (-1, 1), (1, 1))):
        if pole:
            phi = np.degrees(np.arctan2(north, east)) % 360
            place = (phi, np.sign(dec) * (90.0 - step))
        else:
            place = ((ra + east * step / np.cos(np.radians(dec))) % 360, dec + north * step)
        tile = tan(*place, SIZE, angle=(0.0, 2.0, -30.0, 0.0)[i])
        cards.append(sip(tile) if i == 3 else tpv(tile) if i == 2 else tile)
    return cards


@pytest.mark.parametrize(("ra", "dec"), PLACES)
@pytest.mark.parametrize("kernel", ["bilinear", "lanczos3"])
def test_the_corner_of_four_tiles(catalog: SkyCatalog, ra: float, dec: float, kernel: str) -> None:
    for cards in around(ra, dec):
        catalog.tile(sampled(ball, cards, SIZE).astype("f4"), cards)
    target = tan(ra, dec, (100, 100))
    made = composed(catalog, PixelBox(0, 100, 0, 100), wcs_text=text_of(target), resample=kernel)
    assert made.covered == 100 * 100
    assert all(one.fraction > 0.1 for one in made.inputs)
    # the waves are about 80 pixels long: bilinear interpolation misses their bends by f'' / 4
    tolerance = {"bilinear": 0.12, "lanczos3": 0.05}[kernel]
    np.testing.assert_allclose(made.image, sampled(ball, target, (100, 100)), rtol=0, atol=tolerance)


def test_the_grid_of_the_first_tile_is_extended(catalog: SkyCatalog) -> None:
    for cards in around(0.0, 1.0):
        catalog.tile(sampled(ball, cards, SIZE).astype("f4"), cards)
    first = wcs_of_cards(around(0.0, 1.0)[0])
    x, y = (round(float(value)) for value in first.all_world2pix(0.0, 1.0, 0))
    box = PixelBox(x - 50, x + 50, y - 50, y + 50)
    made = composed(catalog, box)
    there = np.meshgrid(np.arange(box.x0, box.x1), np.arange(box.y0, box.y1))
    np.testing.assert_allclose(made.image, ball(*first.all_pix2world(*there, 0)), rtol=0, atol=0.05)


@pytest.mark.parametrize("distort", [sip, tpv])
def test_distorted_images_are_placed_as_by_reproject(catalog: SkyCatalog, distort: Any) -> None:
    cards = distort(tan(size=SIZE, angle=12.0))
    pixels = sky((SIZE[1], SIZE[0]))
    catalog.tile(pixels, cards)
    target = tan(size=(90, 90))
    made = composed(catalog, PixelBox(0, 90, 0, 90), wcs_text=text_of(target), resample="bilinear")
    theirs, _ = reproject.reproject_interp((pixels, wcs_of_cards(cards)), wcs_of_cards(target), (90, 90))
    assert np.abs(made.image - theirs).max() < 1e-5 * pixels.max()


@pytest.mark.parametrize("kernel", ["bilinear", "lanczos3"])
@pytest.mark.parametrize("scale", [1.5, 2.0, 3.7, 9.0])
def test_larger_pixels_average_smaller_ones(catalog: SkyCatalog, kernel: str, scale: float) -> None:
    cards = tan(size=(600, 600), angle=4.0)
    noise = sky((600, 600))
    catalog.tile(noise, cards)
    n = int(480 / scale)
    target = tan(size=(n, n), scale=scale * SCALE)
    made = composed(catalog, PixelBox(0, n, 0, n), wcs_text=text_of(target), resample=kernel)
    assert made.covered == n * n
    assert made.image.mean() == pytest.approx(noise[60:540, 60:540].mean(), abs=0.4)
    # white noise averaged over the area of a pixel, somewhat more by a kernel that is wider than that
    assert 0.45 < made.image.std() * scale / noise.std() < 1.15
    catalog.pieces.clear()
    catalog.tile(sampled(ball, cards, (600, 600)).astype("f4"), cards)
    smooth = composed(catalog, PixelBox(0, n, 0, n), wcs_text=text_of(target), resample=kernel)
    np.testing.assert_allclose(smooth.image, sampled(ball, target, (n, n)), rtol=0, atol=0.06 * scale**1.5)


def test_larger_pixels_leave_out_those_without_data(catalog: SkyCatalog) -> None:
    pixels = np.full((400, 400), 3.0, "f4")
    pixels[::3, ::3] = np.nan
    pixels[100:180, 100:180] = np.nan
    catalog.tile(pixels, tan(size=(400, 400)))
    target = tan(size=(40, 40), scale=10 * SCALE)
    made = composed(catalog, PixelBox(0, 40, 0, 40), wcs_text=text_of(target))
    np.testing.assert_allclose(made.image[np.isfinite(made.image)], 3.0, rtol=1e-6)
    assert np.isnan(made.image[11:17, 11:17]).all()
    assert np.isnan(made.image).sum() <= 64


def test_a_map_of_the_whole_sky_across_its_seam(catalog: SkyCatalog) -> None:
    cards = {
        "CTYPE1": "RA---CAR", "CTYPE2": "DEC--CAR", "CUNIT1": "deg", "CUNIT2": "deg", "CRPIX1": 180.5,
        "CRPIX2": 90.5, "CRVAL1": 180.0, "CRVAL2": 0.0, "CDELT1": -1.0, "CDELT2": 1.0, "RADESYS": "ICRS",
    }  # fmt: skip

    def waves(ra: Floats, dec: Floats) -> Floats:
        a, d = np.radians(ra), np.radians(dec)
        return 10.0 * np.cos(d) * np.cos(3 * a) + 5.0 * np.sin(2 * d)

    catalog.tile(sampled(waves, cards, (360, 180)).astype("f4"), cards)
    for ra, dec in ((0.0, 10.0), (120.0, 88.0)):
        target = tan(ra, dec, (60, 60), scale=0.5)
        made = composed(catalog, PixelBox(0, 60, 0, 60), wcs_text=text_of(target), resample="bilinear")
        expected = sampled(waves, target, (60, 60))
        near = np.isfinite(made.image)
        # within half a pixel of the seam there are neighbours on one side alone
        assert near.mean() > 0.97
        np.testing.assert_allclose(made.image[near], expected[near], rtol=0, atol=0.25)
        assert np.median(np.abs(made.image - expected)[near]) < 0.01


def stars(cards: Mapping[str, Any], size: tuple[int, int], places: Floats, fwhm: float) -> Floats:
    """Gaussian stars of unit flux in an image; `fwhm` counts pixels of SCALE."""
    wcs = wcs_of_cards(cards)
    scale = float(np.sqrt(abs(np.linalg.det(wcs.pixel_scale_matrix))))
    sigma = fwhm / 2.3548 * SCALE / scale
    y, x = np.mgrid[: size[1], : size[0]]
    image = np.zeros((size[1], size[0]))
    for px, py in zip(*wcs.all_world2pix(places[0], places[1], 0), strict=True):
        image += np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)
    return image


def measured(image: Floats, wcs: WCS, places: Floats, fwhm: float = np.inf) -> tuple[Floats, Floats]:
    """Peak, and distance in pixels from the true place, of each star."""
    peaks, misses = [], []
    for px, py in zip(*wcs.all_world2pix(places[0], places[1], 0), strict=True):
        i, j = round(float(px)), round(float(py))
        y, x = np.mgrid[j - 9 : j + 10, i - 9 : i + 10]
        box = image[j - 9 : j + 10, i - 9 : i + 10]
        peaks.append(box.max())
        cx, cy = float(i), float(j)
        # bilinear interpolation keeps the centroid itself; the rings of Lanczos ask for one under a Gaussian
        for _ in range(30):
            weight = box * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * (fwhm / 2.3548) ** 2))
            cx += (2 if fwhm < np.inf else 1) * ((x - cx) * weight).sum() / weight.sum()
            cy += (2 if fwhm < np.inf else 1) * ((y - cy) * weight).sum() / weight.sum()
        misses.append(np.hypot(cx - px, cy - py))
    return np.array(peaks), np.array(misses)


def five_places() -> Floats:
    return np.array([[150.0, 150.003, 149.9967, 150.0021, 149.9972], [2.0, 2.0028, 2.0031, 1.9970, 1.9974]])


@pytest.mark.parametrize("fwhm", [2.5, 4.0])
def test_stars_keep_their_place_and_lanczos_their_peak(catalog: SkyCatalog, fwhm: float) -> None:
    cards, target = tan(size=SIZE, angle=10.0), tan(150.0001, 2.0002, SIZE)
    places = five_places()
    catalog.tile(stars(cards, SIZE, places, fwhm).astype("f4") * 1000, cards)
    truth = stars(target, SIZE, places, fwhm) * 1000
    true_peaks, _ = measured(truth, wcs_of_cards(target), places, fwhm)
    for kernel in ("bilinear", "lanczos3"):
        made = composed(catalog, PixelBox(0, SIZE[0], 0, SIZE[1]), wcs_text=text_of(target), resample=kernel)
        peaks, misses = measured(
            np.nan_to_num(made.image),
            wcs_of_cards(target),
            places,
            fwhm if kernel == "lanczos3" else np.inf,
        )
        assert misses.max() < 0.01
        if kernel == "lanczos3":
            np.testing.assert_allclose(peaks, true_peaks, rtol=0.01)
        else:
            assert (peaks < true_peaks).all()


@pytest.mark.parametrize("scale", [0.8, 1.0, 1.3, 2.6])
@pytest.mark.parametrize("kernel", ["bilinear", "lanczos3"])
def test_flux_is_that_of_exact_areas(catalog: SkyCatalog, scale: float, kernel: str) -> None:
    """Total flux of stars within 0.1 % of reproject_exact times the ratio of areas."""
    cards, places = tan(size=(300, 300), angle=10.0), five_places()
    image = stars(cards, (300, 300), places, 4.0) * 1000
    catalog.tile(image.astype("f4"), cards)
    n = int(200 / scale)
    target = tan(size=(n, n), scale=scale * SCALE)
    theirs, _ = reproject.reproject_exact((image, wcs_of_cards(cards)), wcs_of_cards(target), (n, n))
    box = PixelBox(0, n, 0, n)
    made = composed(catalog, box, wcs_text=text_of(target), resample=kernel, flux="flux")
    assert made.image.sum(dtype=float) == pytest.approx((theirs * scale**2).sum(), rel=1e-3)
    assert made.image.sum(dtype=float) == pytest.approx(5000.0, rel=1e-3)
    brightness = composed(catalog, box, wcs_text=text_of(target), resample=kernel, flux="sb")
    np.testing.assert_allclose(made.image, brightness.image * scale**2, rtol=2e-4, atol=1e-6)
