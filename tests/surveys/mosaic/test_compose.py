"""A known sky in tiles is got back: exactly on the same grid, within the kernel's error on others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import reproject

from surveys.sky.pixels import PixelBox
from surveys.survey import Band, Nodata
from tests.support.tiles import ramp, sky
from tests.surveys.mosaic.skies import (
    SCALE,
    SkyCatalog,
    composed,
    moved,
    sampled,
    survey_of,
    tan,
    text_of,
    wcs_of_cards,
)


@pytest.fixture
def catalog(tmp_path: Path) -> SkyCatalog:
    return SkyCatalog(root=tmp_path)


def test_tiles_of_one_grid_give_the_sky_back_exactly(catalog: SkyCatalog) -> None:
    whole, cards = sky((300, 400)), tan(size=(400, 300))
    for x, y in ((0, 0), (180, 0), (0, 130), (180, 130)):
        catalog.tile(whole[y : y + 170, x : x + 220], moved(cards, x, y))
    box = PixelBox(20, 390, 10, 295)
    made = composed(catalog, box, "paste")
    np.testing.assert_array_equal(made.image, whole[10:295, 20:390])
    assert made.covered == box.pixels
    assert sum(one.fraction for one in made.inputs) == pytest.approx(1.0)
    # the middle of the overlap parts the tiles
    assert made.inputs[0].fraction == pytest.approx((200 - 20) * (150 - 10) / box.pixels, abs=0.01)


@pytest.mark.parametrize("kernel", ["bilinear", "lanczos3"])
def test_resampling_to_the_same_grid_changes_nothing(catalog: SkyCatalog, kernel: str) -> None:
    whole, cards = sky((120, 150)), tan(size=(150, 120))
    catalog.tile(whole[:, :90], cards)
    catalog.tile(whole[:, 60:], moved(cards, 60, 0))
    made = composed(catalog, PixelBox(0, 150, 0, 120), resample=kernel)
    np.testing.assert_allclose(made.image, whole, rtol=0, atol=1e-3)


def test_bilinear_is_that_of_reproject(catalog: SkyCatalog) -> None:
    pixels, cards = sky((200, 200)), tan(angle=7.0)
    catalog.tile(pixels, cards)
    target = tan(150.001, 2.001)
    made = composed(catalog, PixelBox(0, 180, 0, 180), wcs_text=text_of(target), resample="bilinear")
    theirs, inside = reproject.reproject_interp(
        (pixels, wcs_of_cards(cards)), wcs_of_cards(target), (180, 180)
    )
    inside[np.isnan(theirs)] = 0
    core = np.zeros(inside.shape, bool)
    core[3:-3, 3:-3] = np.min(
        [inside[3 + dy : 177 + dy, 3 + dx : 177 + dx] for dy in (-3, 0, 3) for dx in (-3, 0, 3)], axis=0
    )
    assert core.mean() > 0.8
    assert np.abs(made.image - theirs)[core].max() < 1e-5 * np.nanmax(pixels)


def test_holes_are_not_filled_and_no_data_never_wins(catalog: SkyCatalog) -> None:
    whole, cards = sky((100, 150)), tan(size=(150, 100))
    left, right = whole[:, :90].copy(), whole[:, 60:].copy()
    left[40:50, 65:72] = np.nan  # nearer to the left tile, there in the right one
    left[10:20, 20:30] = np.nan  # nowhere else
    catalog.tile(left, cards)
    catalog.tile(right, moved(cards, 60, 0))
    box = PixelBox(-5, 150, 0, 100)
    made = composed(catalog, box, "paste")
    expected = np.full((100, 155), np.nan, "f4")
    expected[:, 5:] = whole
    expected[10:20, 25:35] = np.nan
    np.testing.assert_array_equal(made.image, expected)
    assert made.covered == np.isfinite(expected).sum()
    resampled = composed(catalog, box)
    np.testing.assert_array_equal(np.isnan(resampled.image[5:-5, 8:]), np.isnan(expected[5:-5, 8:]))


def test_integers_are_pasted_as_stored(catalog: SkyCatalog) -> None:
    whole, cards = ramp((60, 100), "i2"), tan(size=(100, 60)) | {"BZERO": 32768, "BLANK": -32768}
    catalog.tile(whole[:, :60], cards)
    catalog.tile(whole[:, 50:], moved(cards, 50, 0))
    made = composed(catalog, PixelBox(0, 110, 0, 60), "paste")
    assert made.image.dtype == np.int16
    assert made.promoted is None
    np.testing.assert_array_equal(made.image[:, :100], whole)
    assert (made.image[:, 100:] == -32768).all()
    assert made.covered == 100 * 60


@pytest.mark.parametrize("nodata", [None, -99.0, 1e30, np.inf, np.nan])
def test_integers_of_any_declared_no_data_value(catalog: SkyCatalog, nodata: float | None) -> None:
    whole, cards = ramp((60, 100), "i2"), tan(size=(100, 60))
    whole[20:30, 10:20] = -99
    band = Band("g", 4e-7, 5.5e-7, ("g",), nodata=None if nodata is None else Nodata(value=nodata))
    catalog.declared = survey_of(band)
    catalog.tile(whole[:, :60], cards)
    catalog.tile(whole[:, 50:], moved(cards, 50, 0))
    made = composed(catalog, PixelBox(0, 100, 0, 60), "paste")
    np.testing.assert_array_equal(made.image, whole)
    assert made.image.dtype == np.int16
    assert made.covered == 60 * 100 - (100 if nodata == -99.0 else 0)


def test_integers_without_blank_become_floats_where_there_are_holes(catalog: SkyCatalog) -> None:
    whole, cards = ramp((60, 100), "i2"), tan(size=(100, 60)) | {"BSCALE": 2.0, "BZERO": 10.0}
    catalog.tile(whole, cards)
    made = composed(catalog, PixelBox(0, 110, 0, 60), "paste")
    assert made.image.dtype == np.float32
    assert made.promoted is not None
    assert "BLANK" in made.promoted
    np.testing.assert_array_equal(made.image[:, :100], whole * 2.0 + 10.0)
    assert np.isnan(made.image[:, 100:]).all()


def test_a_smooth_sky_comes_back_on_another_grid(catalog: SkyCatalog) -> None:
    def waves(ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
        return 50.0 + 10.0 * np.sin((ra - 150.0) * 700.0) * np.cos((dec - 2.0) * 900.0)

    for ra, dec, angle in (
        (150.0, 2.0, 0.0),
        (150.012, 2.0, 3.0),
        (150.0, 2.012, -5.0),
        (150.012, 2.012, 90.0),
    ):
        cards = tan(ra, dec, (260, 260), angle=angle)
        catalog.tile(sampled(waves, cards, (260, 260)).astype("f4"), cards)
    target = tan(150.006, 2.006, (220, 220), angle=20.0)
    made = composed(catalog, PixelBox(0, 220, 0, 220), wcs_text=text_of(target))
    assert made.covered == 220 * 220
    assert all(one.fraction > 0.1 for one in made.inputs)
    np.testing.assert_allclose(made.image, sampled(waves, target, (220, 220)), rtol=0, atol=0.02)


@pytest.mark.parametrize("algorithm", ["interp", "adaptive", "exact"])
def test_reproject_runs_instead_on_request(catalog: SkyCatalog, algorithm: str) -> None:
    pixels, cards = sky((120, 130)), tan(size=(130, 120), angle=15.0, scale=1.1 * SCALE)
    catalog.tile(pixels, cards)
    catalog.tile(sky((120, 130), seed=2), tan(150.004, size=(130, 120)))
    target = tan(149.9995, 2.0005, size=(50, 40))
    made = composed(catalog, PixelBox(0, 50, 0, 40), wcs_text=text_of(target), resample=algorithm)
    run = getattr(reproject, f"reproject_{algorithm}")
    theirs, _ = run((pixels, wcs_of_cards(cards)), wcs_of_cards(target), (40, 50))
    assert np.isfinite(theirs).all()
    assert made.inputs[0].fraction > 0.5
    first = made.inputs[0].fraction
    same = np.abs(made.image - theirs) < 1e-4 * theirs.max()
    assert same.mean() == pytest.approx(first, abs=0.01)
