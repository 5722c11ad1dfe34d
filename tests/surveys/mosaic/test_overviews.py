"""Overviews: images made smaller when they are indexed."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from surveys.fits.source import Source
from surveys.image import ImageRecord
from surveys.mosaic.overviews import OverviewReport, Overviews
from surveys.plan import Companion
from surveys.request import CutoutRequest, PictureOptions
from surveys.sky.pixels import PixelBox
from surveys.survey import Band, Nodata
from tests.support.tiles import sky
from tests.surveys.mosaic.skies import SkyCatalog, composed, survey_of, tan, text_of

SIZE = (203, 150)
FACTORS = (4, 8)
PICTURE = CutoutRequest("demo/g", picture=PictureOptions("image/png"))


@pytest.fixture
def catalog(tmp_path: Path) -> SkyCatalog:
    band = Band("g", 4e-7, 5.5e-7, ("g",), nodata=Nodata(weight_zero=True))
    made = SkyCatalog(root=tmp_path, declared=survey_of(band, overviews=FACTORS))
    made.overviews = tmp_path / "overviews"
    return made


def add_tile(catalog: SkyCatalog, pixels: NDArray[np.float32]) -> None:
    weights = np.ones_like(pixels)
    weights[:20, :20] = pixels[:20, :20] = 0.0
    catalog.tile(pixels, tan(size=SIZE), {"weight": weights})


def make(catalog: SkyCatalog) -> OverviewReport:
    assert catalog.overviews is not None
    images: list[tuple[ImageRecord, tuple[Companion, ...]]] = [
        (catalog.artifact(piece.artifact_id), piece.companions) for piece in catalog.pieces
    ]
    return Overviews(catalog.overviews).make(catalog.declared, images, catalog, Source(), threads=2)


def block_means(pixels: NDArray[np.float32], factor: int) -> NDArray[np.float64]:
    """Means of squares, those at the edges cut off by it; NaN where less than half has data."""
    down, across = (-(-length // factor) for length in pixels.shape)
    means = np.empty((down, across))
    for j, i in np.ndindex(down, across):
        block = pixels[j * factor : (j + 1) * factor, i * factor : (i + 1) * factor].astype(float)
        known = np.isfinite(block)
        means[j, i] = block[known].mean() if 2 * known.sum() >= block.size else np.nan
    return means


def test_an_overview_holds_the_means_of_squares_of_pixels_with_data(catalog: SkyCatalog) -> None:
    pixels = sky(SIZE[::-1]).astype(np.float32)
    pixels[100:103, 50:60] = np.nan
    add_tile(catalog, pixels)
    assert make(catalog) == OverviewReport(2, 0, 0, ())
    pixels[:20, :20] = np.nan  # where it has no weight
    image = catalog.artifact(catalog.pieces[0].artifact_id)
    assert catalog.overviews is not None
    smallest = block_means(pixels, 4)
    with fits.open(Overviews(catalog.overviews).path(image, 4)) as hdus:
        hdus.verify("exception")
        np.testing.assert_allclose(hdus[0].data, smallest, rtol=1e-6)
        assert hdus[0].header["BLOCK"] == 4
    with fits.open(Overviews(catalog.overviews).path(image, 8)) as hdus:
        np.testing.assert_allclose(hdus[0].data, block_means(smallest.astype(np.float32), 2), rtol=1e-6)


@pytest.mark.parametrize("factor", [4, 8, 9.3, 16.5])
def test_a_picture_from_overviews_is_that_from_the_pixels(catalog: SkyCatalog, factor: float) -> None:
    x, y = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
    add_tile(catalog, (100 + np.sin(x / 40.0) * np.cos(y / 35.0)).astype(np.float32))
    coarse = tan(scale=7.3e-5 * factor, size=(int(SIZE[0] / factor), int(SIZE[1] / factor)))
    box = PixelBox(0, int(SIZE[0] / factor), 0, int(SIZE[1] / factor))
    from_pixels = composed(catalog, box, wcs_text=text_of(coarse), request=PICTURE).image
    make(catalog)
    for piece in catalog.pieces:
        # Who reads the image now learns it: overviews were read if nothing changes.
        path = catalog.path(catalog.artifact(piece.artifact_id))
        stat = path.stat()
        with path.open("r+b") as file:
            file.seek(2880)
            file.write(bytes(stat.st_size - 2880))
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    from_overviews = composed(catalog, box, wcs_text=text_of(coarse), request=PICTURE).image
    both = np.isfinite(from_pixels) & np.isfinite(from_overviews)
    assert both.mean() > 0.8
    # Blocks of 8 and of 9 pixels sample the waves, of amplitude 1, a little differently near gaps.
    np.testing.assert_allclose(from_overviews[both], from_pixels[both], atol=0.03)
    from_zeros = composed(catalog, box, wcs_text=text_of(coarse)).image
    assert np.nanmax(np.abs(from_zeros)) == 0.0, "FITS is made of the images' own pixels"


def test_scale_and_offset_apply_to_overviews(catalog: SkyCatalog) -> None:
    add_tile(catalog, np.full(SIZE[::-1], 10.0, np.float32))
    make(catalog)
    catalog.pieces[0] = replace(catalog.pieces[0], scale=2.5)
    coarse = tan(scale=7.3e-5 * 8, size=(20, 15))
    image = composed(catalog, PixelBox(0, 20, 0, 15), wcs_text=text_of(coarse), request=PICTURE).image
    assert np.nanmin(image) == np.nanmax(image) == 25.0


def test_overviews_are_made_once_and_go_with_their_images(catalog: SkyCatalog) -> None:
    add_tile(catalog, sky(SIZE[::-1]).astype(np.float32))
    add_tile(catalog, sky(SIZE[::-1], seed=2).astype(np.float32))
    assert make(catalog) == OverviewReport(4, 0, 0, ())
    assert make(catalog) == OverviewReport(0, 4, 0, ())
    catalog.pieces.pop()
    assert make(catalog) == OverviewReport(0, 2, 2, ())


def test_an_image_that_cannot_be_read_has_none_and_stops_no_other(catalog: SkyCatalog) -> None:
    add_tile(catalog, sky(SIZE[::-1]).astype(np.float32))
    add_tile(catalog, sky(SIZE[::-1], seed=2).astype(np.float32))
    catalog.path(catalog.artifact(catalog.pieces[0].artifact_id)).unlink()
    report = make(catalog)
    assert (report.made, report.kept) == (2, 0)
    (failed,) = report.failed
    assert failed.startswith(f"{catalog.pieces[0].dataset}: ")


def test_without_overviews_pictures_are_made_of_the_pixels(catalog: SkyCatalog) -> None:
    add_tile(catalog, np.full(SIZE[::-1], 10.0, np.float32))
    make(catalog)
    assert catalog.overviews is not None
    shutil.rmtree(catalog.overviews)
    coarse = tan(scale=7.3e-5 * 8, size=(20, 15))
    image = composed(catalog, PixelBox(0, 20, 0, 15), wcs_text=text_of(coarse), request=PICTURE).image
    assert np.nanmax(image) == 10.0


def test_pictures_show_what_pixels_of_weight_0_hold(catalog: SkyCatalog) -> None:
    pixels = sky(SIZE[::-1]).astype(np.float32)
    weights = np.ones_like(pixels)
    weights[40:60, 30:50] = 0.0
    pixels[40:60, 30:50] = 60000.0  # a star that saturated
    pixels[40:44, 30:50] = 0.0  # beside what was observed
    catalog.tile(pixels, tan(size=SIZE), {"weight": weights})
    whole = PixelBox(0, SIZE[0], 0, SIZE[1])
    shown = composed(catalog, whole, "copy", request=PICTURE).image
    kept = composed(catalog, whole, "copy").image
    assert np.isnan(kept[40:60, 30:50]).all()
    assert np.isnan(shown[40:44, 30:50]).all()
    assert (shown[44:60, 30:50] == 60000.0).all()
