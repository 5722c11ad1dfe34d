"""Mosaics, bands and layers of real surveys, planned and made; every file is opened as astropy demands it."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from surveys.declaration import parse_survey
from surveys.execute import execute, product_size
from surveys.fits.source import Source
from surveys.index.catalog import Catalog
from surveys.index.ingest import index_survey
from surveys.planner import Limits, plan_cutout
from surveys.request import CutoutRequest, MosaicOptions, PictureOptions
from surveys.sky.stencil import CenteredBox, Size
from tests.support.databases import sqlite
from tests.surveys.test_real_index import DECLARED

LIMITS = Limits(max_pixels=10**8, max_bytes=10**9)
NAMES = ("tiles_2mass_m17", "bands_des_coadd", "bands_unwise", "compressed_legacysurvey")


@pytest.fixture(scope="module")
def catalog(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    surveys = [
        parse_survey({"title": name, "root": name, **DECLARED[name]}, f"{name}.toml", name, real_data)
        for name in NAMES
    ]
    with sqlite(tmp_path_factory.mktemp("db")) as engine:
        for survey in surveys:
            index_survey(engine, survey)
        yield Catalog(engine, surveys)


def middle_of(catalog: Catalog, survey: str, band: str) -> tuple[float, float]:
    """Middle of one of its images."""
    place = next(iter(catalog.datasets(survey, catalog.generation(survey))))
    record = catalog.record(place, catalog.generation(survey))
    header = fits.Header.fromstring(record.wcs_text)
    ra, dec = WCS(header, naxis=2).all_pix2world(record.nx / 2, record.ny / 2, 0)
    return float(ra), float(dec)


def made(catalog: Catalog, dataset: str, ra: float, dec: float, side: int, **changes: Any) -> bytes:
    options = {key: changes.pop(key) for key in list(changes) if key in MosaicOptions.__slots__}
    request = CutoutRequest(
        dataset, CenteredBox(ra, dec, Size(side, side, True)), mosaic=MosaicOptions(**options), **changes
    )
    plan = plan_cutout(request, catalog, LIMITS)
    content = execute(plan, catalog, Source()).tobytes()
    assert product_size(plan, catalog) in (len(content), None)
    return content


def opened(content: bytes) -> fits.HDUList:
    hdus = fits.open(BytesIO(content), checksum=True)
    hdus.verify("exception")
    for hdu in hdus:
        assert hdu.verify_checksum() == 1
        if hdu.is_image and hdu.header["NAXIS"] and hdu.name != "PSF":
            header = hdu.header
            sky = WCS(header, naxis=2).all_pix2world(header["NAXIS1"] / 2, header["NAXIS2"] / 2, 0)
            assert np.isfinite(sky).all()
    return hdus


@pytest.mark.parametrize("grid", ["native", "tan"])
def test_tiles_of_2mass(catalog: Catalog, grid: Any) -> None:
    with opened(made(catalog, "tiles_2mass_m17/Ks", 275.123, -16.16, 300, grid=grid, checksum=True)) as hdus:
        header, inputs = hdus[0].header, hdus["INPUTS"].data
        assert header["NINPUT"] == len(inputs) >= 2
        assert header["RESAMPLD"] is True
        assert header["FRAC_OK"] == pytest.approx(np.isfinite(hdus[0].data).mean())
        assert inputs["FRACTION"].sum() == pytest.approx(header["FRAC_OK"])
        assert 630 < np.nanmin(hdus[0].data) < np.nanmedian(hdus[0].data) < 800  # sky, and nebula
        ra, dec = WCS(header).all_pix2world(149.5, 149.5, 0)
        assert np.hypot((ra - 275.123) * np.cos(np.radians(dec)), dec + 16.16) * 3600 < 1.0
        assert "ORIG_FLE" not in header


def test_bands_and_layers_of_des(catalog: Catalog) -> None:
    ra, dec = middle_of(catalog, "bands_des_coadd", "g")
    content = made(catalog, "bands_des_coadd", ra, dec, 40, detail="full", checksum=True, filters=("g", "r"))
    with opened(content) as hdus:
        names = [hdu.header.get("EXTNAME") for hdu in hdus[1:]]
        assert names == ["g", "g_WEIGHT", "g_MASK", "r", "r_WEIGHT", "r_MASK", "INPUTS"]
        assert {hdu.data.shape for hdu in hdus[1:-1]} == {(40, 40)}
    content = made(
        catalog, "bands_des_coadd", ra, dec, 40, layout="cube", checksum=True, filters=("g", "r", "i")
    )
    with opened(content) as hdus:
        assert hdus[0].data.shape == (3, 40, 40)
        assert list(hdus["BANDS"].data["BAND"]) == ["g", "r", "i"]


def test_bands_of_unwise(catalog: Catalog) -> None:
    ra, dec = middle_of(catalog, "bands_unwise", "W1")
    with opened(made(catalog, "bands_unwise", ra, dec, 50, checksum=True)) as hdus:
        assert [hdu.header.get("EXTNAME") for hdu in hdus[1:]] == ["W1", "W2", "W3", "W4", "INPUTS"]


def test_the_weight_of_a_compressed_brick(catalog: Catalog) -> None:
    ra, dec = middle_of(catalog, "compressed_legacysurvey", "z")
    content = made(catalog, "compressed_legacysurvey/z", ra, dec, 64, detail="full", checksum=True)
    with opened(content) as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "WEIGHT"]
        assert (hdus["WEIGHT"].data >= 0).all()


def test_a_picture_of_des(catalog: Catalog) -> None:
    ra, dec = middle_of(catalog, "bands_des_coadd", "g")
    content = made(
        catalog, "bands_des_coadd", ra, dec, 100, picture=PictureOptions("image/png", bands=("i", "r", "g"))
    )
    assert content.startswith(b"\x89PNG")
