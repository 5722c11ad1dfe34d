"""Regions cut out of stamps that have a WCS: pixels and coordinates as astropy has them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.wcs import WCS

from surveys.errors import NoOverlap, RequestFault
from surveys.sky.stencil import CenteredBox, Circle, Size, Stencil
from tests.surveys.alerts.shop import Shop, opened, packed, shop_of, write_alerts

RA, DEC, SCALE = 150.0, 2.0, 1.0 / 3600
NX, NY = 20, 15
PLACED = {
    "CTYPE1": "RA---TAN",
    "CTYPE2": "DEC--TAN",
    "CRVAL1": RA,
    "CRVAL2": DEC,
    "CRPIX1": 8.0,
    "CRPIX2": 7.0,
    "CD1_1": -SCALE,
    "CD1_2": 0.0,
    "CD2_1": 0.0,
    "CD2_2": SCALE,
}
PIXELS = np.arange(NX * NY, dtype=np.float32).reshape(NY, NX)
INTEGERS = PIXELS.astype(np.int16)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Alerts of floats, of integers with BLANK and without, without WCS, and without a reference pixel."""
    folder: Path = tmp_path_factory.mktemp("cuts")
    unsaid = {key: value for key, value in PLACED.items() if not key.startswith("CRPIX")}
    stamps = [
        packed(PIXELS, **PLACED),
        packed(INTEGERS, BLANK=-1, **PLACED),
        packed(INTEGERS, BSCALE=0.5, BZERO=3.0, **PLACED),
        packed(PIXELS),
        packed(PIXELS, **unsaid),
    ]
    survey = write_alerts(folder / "lake", [{"Science": stamp} for stamp in stamps])
    with shop_of(replace(survey, pixel_scale_arcsec=1.0), folder / "index") as made:
        yield made


def cut(
    shop: Shop, stencil: Stencil, alert: int = 1, **asked: Any
) -> tuple[fits.PrimaryHDU, tuple[str, ...]]:
    made = shop.make(f"alert/{alert}/Science", stencil=stencil, **asked)
    (hdu,) = opened(made.tobytes())
    hdu.verify("exception")
    return hdu, made.facts


def box(width: int, height: int, x: float = 7.0, y: float = 6.0) -> CenteredBox:
    """A box about a pixel of the stamp (0-based; the reference pixel by default)."""
    ra, dec = WCS(fits.Header(PLACED)).pixel_to_world_values(x, y)
    return CenteredBox(float(ra), float(dec), Size(width, height, True))


def test_a_box_is_what_astropy_cuts(shop: Shop) -> None:
    hdu, facts = cut(shop, box(5, 7, 10.0, 6.0))
    judge = Cutout2D(PIXELS, (10, 6), (7, 5), WCS(fits.Header(PLACED)))
    assert np.array_equal(hdu.data, judge.data)
    assert (hdu.header["X0"], hdu.header["Y0"], hdu.header["CLIPPED"]) == (9, 4, False)
    assert (facts.remarks, facts.clipped, facts.padded) == ((), False, False)
    ours = WCS(hdu.header).pixel_to_world_values([0, 2.5, 4], [0, 1, 6])
    assert np.allclose(ours, judge.wcs.pixel_to_world_values([0, 2.5, 4], [0, 1, 6]), rtol=0, atol=1e-11)


def test_a_circle_takes_each_pixel_it_touches(shop: Shop) -> None:
    hdu, _ = cut(shop, Circle(RA, DEC, 2.2 * SCALE))
    assert np.array_equal(hdu.data, PIXELS[4:9, 5:10])
    assert WCS(hdu.header).world_to_pixel_values(RA, DEC) == pytest.approx((2.0, 2.0), abs=1e-9)
    assert (hdu.header["RA_OBJ"], hdu.header["DEC_OBJ"]) == (RA, DEC)


def test_what_sticks_out_is_padded_or_clipped_or_refused(shop: Shop) -> None:
    corner = box(6, 6, 0.5, 0.5)
    padded, facts = cut(shop, corner)
    assert padded.data.shape == (6, 6)
    assert np.isnan(padded.data[:2]).all()
    assert np.isnan(padded.data[:, :2]).all()
    assert np.array_equal(padded.data[2:, 2:], PIXELS[:4, :4])
    assert padded.header["CLIPPED"] is True
    assert facts.remarks == ("The region reaches beyond the stamp",)
    assert (facts.clipped, facts.padded, facts.covered) == (True, True, 16 / 36)
    clipped, facts = cut(shop, corner, edge="clip")
    assert (facts.clipped, facts.padded, facts.covered) == (True, False, 1.0)
    assert np.array_equal(clipped.data, PIXELS[:4, :4])
    place = WCS(clipped.header).pixel_to_world_values(0, 0)
    assert np.allclose(place, WCS(fits.Header(PLACED)).pixel_to_world_values(0, 0), rtol=0, atol=1e-11)
    with pytest.raises(RequestFault, match="EDGE=error"):
        cut(shop, corner, edge="error")
    circle = Circle(RA, DEC, 7.4 * SCALE)
    assert cut(shop, circle)[0].data.shape == (14, 15)
    assert cut(shop, circle, edge="pad")[0].data.shape == (15, 15)


def test_integers_stay_integers_with_a_blank_and_become_floats_without(shop: Shop) -> None:
    corner, raw = box(6, 6, 0.5, 0.5), {"do_not_scale_image_data": True}
    (blanked,) = opened(shop.make("alert/2/Science", stencil=corner).tobytes(), **raw)
    assert blanked.data.dtype == np.dtype(">i2")
    assert (blanked.data[:2] == blanked.header["BLANK"]).all()
    assert np.array_equal(blanked.data[2:, 2:], INTEGERS[:4, :4])
    (promoted,) = opened(shop.make("alert/3/Science", stencil=corner).tobytes(), **raw)
    assert promoted.data.dtype == np.dtype(">f4")
    assert not {"BSCALE", "BZERO", "BLANK"} & set(promoted.header)
    assert np.isnan(promoted.data[:2]).all()
    assert np.array_equal(promoted.data[2:, 2:], INTEGERS[:4, :4] * 0.5 + 3.0)
    (inside,) = opened(shop.make("alert/3/Science", stencil=box(3, 3)).tobytes(), **raw)
    assert np.array_equal(inside.data, INTEGERS[5:8, 6:9])
    assert (inside.header["BSCALE"], inside.header["BZERO"]) == (0.5, 3.0)


def test_a_reference_pixel_that_is_not_said_moves_too(shop: Shop) -> None:
    """It is 0, which lies beside the first pixel."""
    hdu, _ = cut(shop, Circle(RA, DEC, 4.2 * SCALE), 5)
    assert np.array_equal(hdu.data, PIXELS[:4, :4])
    assert WCS(hdu.header).world_to_pixel_values(RA, DEC) == pytest.approx((-1.0, -1.0), abs=1e-9)
    hdu, _ = cut(shop, box(2, 2, 17.5, 15.5), 5)
    assert np.array_equal(hdu.data, PIXELS[8:10, 9:11])
    assert WCS(hdu.header).world_to_pixel_values(RA, DEC) == pytest.approx((-10.0, -9.0), abs=1e-9)


def test_without_a_wcs_no_region_is_cut(shop: Shop) -> None:
    with pytest.raises(RequestFault, match=r"no place on the sky .*leave the region out"):
        cut(shop, Circle(RA, DEC, SCALE), 4)


def test_a_region_elsewhere_has_no_pixel(shop: Shop) -> None:
    for elsewhere in (Circle(RA + 1, DEC, SCALE), box(2, 2, 100.0, 5.0)):
        with pytest.raises(NoOverlap, match="the region has no pixel of ztf/alert/1"):
            cut(shop, elsewhere)


def test_arrays_are_cut_too(shop: Shop) -> None:
    made = shop.make("alert/1/Science", stencil=box(2, 1), array=True)
    assert made.tobytes() == b"[[126.0,127.0]]"


def test_what_lies_on_the_same_pixels_is_cut_alike(rubin: Shop) -> None:
    """The variance of a stamp of Rubin is; its point spread function is not."""
    candid, _, stamps = rubin.rows[2]
    alert = rubin.catalog.alerts.alert(rubin.survey, candid)
    stencil = Circle(alert.ra_deg, alert.dec_deg, 1.0 / 3600)
    made = rubin.make(f"alert/{candid}/Science", stencil=stencil, detail="full", checksum=True)
    hdus, stored = opened(made.tobytes(), checksum=True), opened(stamps["Science"] or b"")
    x0, y0 = hdus[0].header["X0"] - 1, hdus[0].header["Y0"] - 1
    rows, columns = hdus[0].data.shape
    assert 10 <= rows <= 16
    for name in (0, "UNCERT"):
        assert np.array_equal(hdus[name].data, stored[name].data[y0 : y0 + rows, x0 : x0 + columns])
        assert hdus[name].verify_checksum() == 1
    assert np.array_equal(hdus["PSFIMAGE"].data, stored["PSFIMAGE"].data)
    x, y = WCS(hdus[0].header).world_to_pixel_values(alert.ra_deg, alert.dec_deg)
    assert np.hypot(x - (columns - 1) / 2, y - (rows - 1) / 2) < 1.0
