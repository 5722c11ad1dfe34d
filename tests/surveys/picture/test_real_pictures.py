"""The Galactic Centre in J, H and K of 2MASS: real images, one grid, real colours."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray
from PIL import Image as Pillow

from surveys.declaration import parse_survey
from surveys.execute import execute
from surveys.fits.source import Source
from surveys.index.catalog import Catalog
from surveys.index.ingest import index_survey
from surveys.planner import Limits, plan_cutout
from surveys.request import CutoutRequest, PictureOptions
from surveys.sky.stencil import CenteredBox, Size
from tests.support.databases import sqlite
from tests.surveys.picture.sky import PNG

FILES = "bands_2mass_gc/gc_2mass_{band}.fits"
CENTRE = (266.4168, -29.0078)  # Sgr A*


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory, real_data: Path) -> Iterator[Catalog]:
    declared = {
        "title": "2MASS at the Galactic Centre", "kind": "coadd", "root": str(real_data), "pixel_scale": 5.0,
        "zeropoint": {"card": "MAGZP"}, "pixel_value": "flux", "background": "present",
        "bands": {
            "J": {"em_min_m": 1.11e-6, "em_max_m": 1.41e-6, "word": "j"},
            "H": {"em_min_m": 1.48e-6, "em_max_m": 1.82e-6, "word": "h"},
            "K": {"em_min_m": 1.95e-6, "em_max_m": 2.36e-6, "word": "k"},
        },
        "layers": {"image": {"path": FILES}},
    }  # fmt: skip
    survey = parse_survey(declared, "gc.toml", "gc", real_data)
    with sqlite(tmp_path_factory.mktemp("gc")) as engine:
        index_survey(engine, survey)
        yield Catalog(engine, [survey])


def picture(
    catalog: Catalog, dataset: str, size_arcsec: float, options: PictureOptions
) -> NDArray[np.float64]:
    size = Size(size_arcsec / 3600, size_arcsec / 3600, in_pixels=False)
    request = CutoutRequest(dataset, CenteredBox(*CENTRE, size), picture=options)
    plan = plan_cutout(request, catalog, Limits(max_pixels=10**7, max_bytes=10**9))
    content = execute(plan, catalog, Source()).tobytes()
    return np.asarray(Pillow.open(BytesIO(content)).convert("RGB"), float)


def test_the_galactic_centre_is_red_and_foreground_stars_are_blue(catalog: Catalog) -> None:
    pixels = picture(catalog, "gc", 1500, PNG)
    assert pixels.shape == (300, 300, 3)
    middle = pixels[130:170, 130:170].mean(axis=(0, 1))
    assert middle[0] > 1.3 * middle[1] > 1.3 * middle[2]  # behind much dust
    bluest = pixels[..., 2] - pixels[..., 0]
    assert bluest.max() > 60
    swapped = picture(catalog, "gc", 1500, replace(PNG, bands=("J", "H", "K")))
    np.testing.assert_array_equal(swapped, pixels[..., ::-1])


def test_a_picture_of_a_part_is_that_part_the_right_way_up(catalog: Catalog, real_data: Path) -> None:
    with fits.open(real_data / FILES.format(band="k")) as hdus, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        x, y = WCS(hdus[0].header).all_world2pix(*CENTRE, 0)
        x0, y0 = int(np.ceil(x - 50)), int(np.ceil(y - 50))
        stored = hdus[0].data[y0 : y0 + 100, x0 : x0 + 100]
    shown = picture(catalog, "gc/K", 500, replace(PNG, stretch="linear"))[..., 0]
    assert shown.shape == stored.shape
    ranks = [np.argsort(np.argsort(values.ravel())) for values in (stored[::-1], shown)]
    assert np.corrcoef(*ranks)[0, 1] > 0.97
