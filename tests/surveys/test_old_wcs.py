"""Ways to give a WCS older than the standard that wcslib still reads: DSS plates, IRAF's TNX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from astropy.wcs.utils import wcs_to_celestial_frame

from surveys.declaration import parse_survey
from surveys.execute import execute
from surveys.fits.source import Source
from surveys.index.catalog import Catalog
from surveys.index.ingest import index_survey
from surveys.planner import Limits, plan_cutout
from surveys.request import CutoutRequest
from surveys.sky.sphere import unit_vectors
from surveys.sky.stencil import Circle
from surveys.sky.wcs import wcs_of
from surveys.survey import Survey
from tests.support.databases import sqlite
from tests.support.tiles import assert_same_sky, open_product, ramp

SHAPE = (60, 80)
TERMS = "3. 3. 3. 2. -0.1 0.1 -0.1 0.1 1.E-2 2.E-2 3.E-1 4.E-2 5.E-1 6.E-1 "


def plate(**cards: Any) -> fits.Header:
    """Polynomials of plate coordinates, as the Digitized Sky Survey has them; 1.7 arcsec a pixel."""
    header = fits.Header()
    for keyword, value in {
        "PLTRAH": 5, "PLTRAM": 46, "PLTRAS": 51.77, "PLTDECSN": "+", "PLTDECD": 24,
        "PLTDECM": 3, "PLTDECS": 42.6, "EQUINOX": 2000.0, "PLTSCALE": 67.2, "CNPIX1": 12500, "CNPIX2": 2700,
        "XPIXELSZ": 25.28445, "YPIXELSZ": 25.28445, "PPO1": -3069417.0, "PPO2": 0.0,
        "PPO3": 177500.0, "PPO4": 0.0, "PPO5": 3069417.0, "PPO6": 177500.0,
    }.items():  # fmt: skip
        header[keyword] = value
    for axis in "XY":
        for number in range(1, 21):
            header[f"AMD{axis}{number}"] = 0.0
    for axis, numbers in {"X": (67.22, 0.76, -94.5), "Y": (67.23, -0.76, 19.2)}.items():
        for number, value in enumerate(numbers, 1):
            header[f"AMD{axis}{number}"] = value
        header[f"AMD{axis}8"] = header[f"AMD{axis}10"] = 2.2e-6
    header.update(cards)
    return header


def iraf() -> fits.Header:
    """A distortion spelled in WAT cards."""
    header = fits.Header()
    for axis, (name, value) in enumerate((("RA--", 150.0), ("DEC-", 2.0)), 1):
        header[f"CTYPE{axis}"] = f"{name}-TNX"
        header[f"CRVAL{axis}"], header[f"CRPIX{axis}"] = value, 30.5
    header["CD1_1"], header["CD2_2"], header["RADESYS"] = -7e-5, 7e-5, "ICRS"
    header["WAT0_001"] = "system=image"
    for axis, words in enumerate(("ra lngcor", "dec latcor"), 1):
        axtype, name = words.split()
        text = f'wtype=tnx axtype={axtype} {name} = "{TERMS}"'
        for start in range(0, len(text), 68):
            header[f"WAT{axis}_{start // 68 + 1:03d}"] = text[start : start + 68]
    return header


PLAIN_TOO = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 86.0, "CRVAL2": 24.0, "CRPIX1": 1.0}
HEADERS = {
    "plate": plate(),
    # a plate solution beside a plain WCS is the one that counts for wcslib
    "plate and TAN": plate(**PLAIN_TOO | {"CRPIX2": 1.0, "CDELT1": -5e-4, "CDELT2": 5e-4}),
    "TNX": iraf(),
}


def survey_of(root: Path) -> Survey:
    content: dict[str, Any] = {
        "title": "Old",
        "kind": "exposures",
        "root": str(root),
        "bands": {"x": {"em_min_m": 4e-7, "em_max_m": 5e-7}},
        "layers": {"image": {"path": "*.fits"}},
    }
    return parse_survey(content, "old.toml", "old", root)


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS.keys())
def test_soda_31_images_of_old_kinds_are_cut_where_astropy_says(tmp_path: Path, header: fits.Header) -> None:
    fits.PrimaryHDU(ramp(SHAPE), header).writeto(tmp_path / "a.fits")
    source = fits.getheader(tmp_path / "a.fits")
    judge = WCS(source)
    with sqlite(tmp_path) as engine:
        survey = survey_of(tmp_path)
        assert index_survey(engine, survey).refused == ()
        catalog = Catalog(engine, [survey])
        record = catalog.record("old/x/a", 1)
        ra, dec = judge.all_pix2world(20, 30, 0)
        x, y = wcs_of(record).to_pixel(wcs_of(record).to_sky(20.0, 30.0))
        assert (float(x), float(y)) == pytest.approx((20, 30), abs=1e-6)
        place = SkyCoord(ra, dec, unit="deg", frame=wcs_to_celestial_frame(judge)).icrs
        offset = wcs_of(record).to_sky(20.0, 30.0) - unit_vectors(place.ra.deg, place.dec.deg)
        assert np.degrees(np.linalg.norm(offset)) < 1e-9
        circle = Circle(float(place.ra.deg), float(place.dec.deg), 5 * record.pixel_scale_deg)
        request = CutoutRequest("old/x/a", circle)
        plan = plan_cutout(request, catalog, Limits(10**6, 10**7))
        product = open_product(execute(plan, catalog, Source()).tobytes())
    box = plan.grid
    assert box is not None
    assert abs((box.x0 + box.x1 - 1) / 2 - 20) <= 0.5
    assert abs((box.y0 + box.y1 - 1) / 2 - 30) <= 0.5
    assert np.array_equal(product.data, ramp(SHAPE)[box.y0 : box.y1, box.x0 : box.x1])
    assert_same_sky(product.header, source, box)
    if "CNPIX1" in source:
        moved = (product.header["CNPIX1"], product.header["CNPIX2"])
        assert moved == (source["CNPIX1"] + box.x0, source["CNPIX2"] + box.y0)
