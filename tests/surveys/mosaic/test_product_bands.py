"""FITS files of several bands and of layers beside an image: extensions, cubes, weights, masks, PSFs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.wcs import WCS

from surveys.errors import RequestFault, StaleImage
from surveys.execute import describe_cutout, execute
from surveys.fits.source import Source
from surveys.plan import Companion, Grid, Part
from surveys.sky.pixels import PixelBox
from surveys.sky.stencil import Circle
from surveys.survey import Layer, WeightMeaning
from surveys.template import PathTemplate
from tests.support.tiles import ramp, same_bits, sky, write_plain
from tests.surveys.mosaic.products import (
    BANDS,
    assert_sky_of,
    band_part,
    made,
    opened,
    part_of,
    plan_of,
)
from tests.surveys.mosaic.skies import SCALE, SkyCatalog, moved, survey_of, tan, text_of, wcs_of_cards

BOX = PixelBox(10, 90, 5, 55)


def layer(role: Any, **changes: Any) -> Layer:
    return Layer(role, PathTemplate(f"{{x}}-{role}.fits"), **changes)


BITS = {"SAT": 1, "BAD": 0, "NO_DATA": 5, "cosmic ray!": 3}


def layers_of(meaning: WeightMeaning = "invvar") -> tuple[Layer, ...]:
    return layer("image"), layer("weight", weight=meaning), layer("mask", bits=BITS), layer("psf")


@pytest.fixture
def catalog(tmp_path: Path) -> SkyCatalog:
    return SkyCatalog(root=tmp_path, declared=survey_of(bands=BANDS, layers=layers_of()))


def three_bands(catalog: SkyCatalog, dtypes: tuple[str, ...] = ("f4", "f4", "f4"), **cards: Any) -> Any:
    """Three bands of one grid, copied."""
    pixels = [sky((60, 100), dtype, seed) for seed, dtype in enumerate(dtypes)]
    for plane in pixels:
        catalog.tile(plane, tan(size=(100, 60)) | cards)
    return pixels, [band_part(catalog, n, band.label, BOX) for n, band in enumerate(BANDS)]


def test_each_band_is_an_extension(catalog: SkyCatalog) -> None:
    pixels, parts = three_bands(catalog, ("f4", "i2", "f8"), EXTNAME="SCI", EXTVER=2)
    with opened(catalog, parts, dataset="demo", canonical="sync?ID=x") as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "g", "r", "i", "INPUTS"]
        primary = hdus[0].header
        assert (primary["NAXIS"], primary["NINPUT"], primary["FRAC_OK"]) == (0, 3, 1.0)
        assert (primary["RESAMPLD"], primary["CLIPPED"], primary["CUT_URL"]) == (False, False, "sync?ID=x")
        assert primary["ORIG_ID"].endswith("?demo")
        for n, plane in enumerate(pixels):
            assert same_bits(hdus[n + 1].data, plane[5:55, 10:90])
            header = hdus[n + 1].header
            assert_sky_of(header, wcs_of_cards(tan(size=(100, 60))), 10, 5)
            assert (header["X0"], header["ORIG_FLE"], header["O_EXTNM"]) == (11, f"t{n}.fits", "SCI")
            assert "EXTVER" not in header
        assert list(hdus["INPUTS"].data["BAND"]) == ["g", "r", "i"]
        assert list(hdus["INPUTS"].data["FRACTION"]) == [1.0, 1.0, 1.0]


def test_bands_that_are_mosaics_stand_beside_those_that_are_not(catalog: SkyCatalog) -> None:
    whole, cards = sky((60, 100)), tan(size=(100, 60))
    catalog.tile(whole[:, :60], cards)
    catalog.tile(whole[:, 40:], moved(cards, 40, 0))
    mosaic = Part("g", tuple(catalog.pieces), Grid(BOX), "paste")
    catalog.tile(whole * 2, cards)
    single = band_part(catalog, 2, "r", PixelBox(10, 120, 5, 55))
    with opened(catalog, [mosaic, single], dataset="demo") as hdus:
        assert same_bits(hdus["g"].data, whole[5:55, 10:90])
        assert same_bits(hdus["r"].data[:, :90], whole[5:55, 10:100] * 2)
        assert (hdus["g"].header["NINPUT"], hdus["r"].header["NINPUT"]) == (2, 1)
        assert hdus[0].header["FRAC_OK"] == pytest.approx((80 + 90) / (80 + 110))
        assert hdus[0].header["CLIPPED"] is True
        inputs = hdus["INPUTS"].data
        assert list(inputs["BAND"]) == ["g", "g", "r"]
        assert inputs["FRACTION"][2] == pytest.approx(90 / 110)
    plan = plan_of([mosaic, single], dataset="demo")
    assert made(catalog, plan).file_name == "DEMOJ100000.00+020000.0_gr_80x50.fits"


def test_a_cube_has_the_bands_along_its_third_axis(catalog: SkyCatalog) -> None:
    pixels, parts = three_bands(catalog, PIXTYPE="x")
    with opened(catalog, parts, dataset="demo", layout="cube") as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "INPUTS", "BANDS"]
        header = hdus[0].header
        assert same_bits(hdus[0].data, np.stack(pixels)[:, 5:55, 10:90])
        assert (header["NAXIS3"], header["NINPUT"], header["PIXTYPE"]) == (3, 3, "x")
        assert_sky_of(header, wcs_of_cards(tan(size=(100, 60))), 10, 5)
        wcs = WCS(header)
        assert wcs.wcs.ctype[2] == "BAND"
        np.testing.assert_allclose(wcs.all_pix2world(0, 0, np.arange(3), 0)[2], [1, 2, 3])
        bands = hdus["BANDS"]
        assert [tuple(row) for row in bands.data] == [(b.label, b.em_min_m, b.em_max_m) for b in BANDS]
        assert bands.columns["EM_MIN"].unit == "m"
        assert any(line.startswith("Plane 2: r") for line in header["HISTORY"])


def test_the_sky_of_a_distorted_cube(catalog: SkyCatalog) -> None:
    sip = {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2, "A_2_0": 1e-5, "B_ORDER": 2}
    _, parts = three_bands(catalog, **sip, B_1_1=2e-5, WCSAXES=2)
    with opened(catalog, parts, dataset="demo", layout="cube") as hdus:
        assert hdus[0].header["CTYPE3"] == "BAND"
        assert "WCSAXES" not in hdus[0].header
        assert_sky_of(hdus[0].header, wcs_of_cards(tan(size=(100, 60)) | sip | {"B_1_1": 2e-5}), 10, 5)


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [(("i2", "i2", "i2"), ">i2"), (("i2", "f4", "u1"), ">f4"), (("i4", "f4", "f4"), ">f8")],
)
def test_planes_of_a_cube_have_one_type(catalog: SkyCatalog, dtypes: tuple[str, ...], expected: str) -> None:
    pixels, parts = three_bands(catalog, dtypes)
    with opened(catalog, parts, dataset="demo", layout="cube") as hdus:
        assert hdus[0].data.dtype == expected
        np.testing.assert_array_equal(hdus[0].data, np.stack(pixels)[:, 5:55, 10:90])
        promoted = any("made into physical floats" in line for line in hdus[0].header["HISTORY"])
        assert promoted is (expected != ">i2")


def test_bands_of_other_grids_are_no_cube(catalog: SkyCatalog) -> None:
    _, parts = three_bands(catalog)
    catalog.tile(sky((60, 100)), tan(size=(100, 60), ra=150.0 + 0.3 * SCALE))
    plan = plan_of([*parts[:2], band_part(catalog, 3, "i", BOX)], dataset="demo", layout="cube")
    with pytest.raises(RequestFault, match=r"that of i is not that of g: ask for GRID=tan"):
        describe_cutout(plan, catalog)


def full_tile(catalog: SkyCatalog, pixels: Any, cards: Any, weight: float = 4.0) -> None:
    shape = pixels.shape
    mask = ramp(shape, "i2") % 4
    layers = {"weight": np.full(shape, weight, "f4"), "mask": mask.astype("i2")}
    catalog.tile(pixels, cards, layers)


def with_psf(catalog: SkyCatalog) -> None:
    """Give the first piece a point spread function, an image without a place on the sky."""
    psf = sky((15, 17))
    record = catalog.add(
        write_plain(catalog.root / "psf.fits", psf, [("PSFWORD", "x")]), dataset="demo/g/t0/psf", role="psf"
    )
    companion = Companion("psf", record.dataset, record.file.size, record.file.mtime_ns)
    first = catalog.pieces[0]
    catalog.pieces[0] = replace(first, companions=(*first.companions, companion))


def test_one_image_has_its_layers_beside_it(catalog: SkyCatalog) -> None:
    pixels = sky((60, 100))
    full_tile(catalog, pixels, tan(size=(100, 60)))
    with_psf(catalog)
    box = PixelBox(-5, 90, 5, 55)
    inside = PixelBox(0, 90, 5, 55)
    part = Part("g", (replace(catalog.pieces[0], box=inside),), Grid(box), "copy", True)
    with opened(catalog, [part], detail="full") as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "WEIGHT", "MASK", "PSF"]
        assert same_bits(hdus[0].data[:, 5:], pixels[5:55, :90])
        assert np.isnan(hdus[0].data[:, :5]).all()
        for hdu in hdus[:3]:
            assert_sky_of(hdu.header, wcs_of_cards(tan(size=(100, 60))), -5, 5)
        weight, mask, psf = hdus["WEIGHT"], hdus["MASK"], hdus["PSF"]
        assert (weight.header["WEIGHTIS"], (weight.data[:, :5] == 0).all()) == ("invvar", True)
        assert (weight.data[:, 5:] == 4).all()
        assert mask.data.dtype == ">i2"
        assert (mask.data[:, :5] == 32).all()
        assert same_bits(mask.data[:, 5:], (ramp((60, 100), "i2") % 4).astype("i2")[5:55, :90])
        bits = {"MP_BAD": 0, "MP_SAT": 1, "MP_COSMIC_RAY_": 3, "MP_NO_DATA": 5, "MASKNONE": 32}
        assert {key: mask.header[key] for key in bits} == bits
        assert (psf.data.shape, psf.header["PSFWORD"]) == ((15, 17), "x")
    assert made(catalog, plan_of([part])).file_name == made(catalog, plan_of([part], detail="full")).file_name


@pytest.mark.parametrize("meaning", ["invvar", "variance", "stddev"])
def test_a_mosaic_has_its_layers_beside_it(catalog: SkyCatalog, meaning: WeightMeaning) -> None:
    catalog.declared = survey_of(bands=BANDS, layers=layers_of(meaning))
    whole, cards = sky((60, 100)), tan(size=(100, 60))
    full_tile(catalog, whole[:, :60], cards)
    full_tile(catalog, whole[:, 40:], moved(cards, 40, 0), weight=9.0)
    with_psf(catalog)
    part = part_of(catalog, PixelBox(-5, 100, 0, 60), "paste", clipped=True)
    with opened(catalog, [part], detail="full") as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "WEIGHT", "MASK", "PSF", "INPUTS"]
        weight, mask = hdus["WEIGHT"], hdus["MASK"]
        assert weight.header["WEIGHTIS"] == meaning
        for hdu in (weight, mask):
            assert_sky_of(hdu.header, wcs_of_cards(cards), -5, 0)
        nothing = weight.data[:, :5]
        assert np.isnan(nothing).all() if meaning in ("variance", "stddev") else (nothing == 0).all()
        assert (weight.data[:, 5:50] == 4).all()
        assert (weight.data[:, 60:] == 9).all()
        assert (mask.data[:, :5] == 32).all()
        assert set(np.unique(mask.data[:, 5:])) == {0, 1, 2, 3}
        assert "ORIG_FLE" not in weight.header
        assert hdus["PSF"].data.shape == (15, 17)


def test_bands_with_layers(catalog: SkyCatalog) -> None:
    whole, cards = sky((60, 100)), tan(size=(100, 60))
    for _ in BANDS:
        full_tile(catalog, whole, cards)
    with_psf(catalog)
    parts = [band_part(catalog, n, band.label, BOX) for n, band in enumerate(BANDS)]
    with opened(catalog, parts, dataset="demo", detail="full") as hdus:
        names = [hdu.header.get("EXTNAME") for hdu in hdus[1:]]
        assert names[:4] == ["g", "g_WEIGHT", "g_MASK", "g_PSF"]
        assert names[4:] == ["r", "r_WEIGHT", "r_MASK", "i", "i_WEIGHT", "i_MASK", "INPUTS"]
    with opened(catalog, parts, dataset="demo", detail="full", layout="cube") as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "WEIGHT", "MASK", "INPUTS", "BANDS"]
        assert hdus["WEIGHT"].data.shape == hdus["MASK"].data.shape == hdus[0].data.shape == (3, 50, 80)


def test_masked_pixels_have_no_weight(catalog: SkyCatalog) -> None:
    full_tile(catalog, sky((60, 100)), tan(size=(100, 60)))
    part = Part("g", tuple(catalog.pieces), Grid(PixelBox(0, 100, 0, 60)), "copy")
    circle = Circle(150.0, 2.0, 20 * SCALE)
    with opened(catalog, [part], detail="full", stencil=circle, mask=True) as hdus:
        outside = np.isnan(hdus[0].data)
        assert 0.5 < outside.mean() < 0.9
        np.testing.assert_array_equal(hdus["WEIGHT"].data == 0, outside)
        np.testing.assert_array_equal(hdus["MASK"].data == 32, outside)


def test_layers_of_a_resampled_image(catalog: SkyCatalog) -> None:
    full_tile(catalog, sky((60, 100)), tan(size=(100, 60)))
    north = text_of(tan(size=(50, 40), angle=10.0))
    part = part_of(catalog, PixelBox(0, 50, 0, 40), "resample", north)
    with opened(catalog, [part], detail="full", resample="bilinear") as hdus:
        assert hdus["WEIGHT"].data.dtype == ">f4"
        # the variance of a weighted mean is less than that of a pixel
        assert hdus["WEIGHT"].data.min() >= 4
        assert set(np.unique(hdus["MASK"].data)) <= {0, 1, 2, 3}


def test_a_layer_that_was_indexed_again_is_stale(catalog: SkyCatalog) -> None:
    full_tile(catalog, sky((60, 100)), tan(size=(100, 60)))
    piece = catalog.pieces[0]
    changed = tuple(replace(companion, mtime_ns=1) for companion in piece.companions)
    part = Part("g", (replace(piece, companions=changed),), Grid(PixelBox(0, 100, 0, 60)), "copy")
    with pytest.raises(StaleImage) as caught:
        execute(plan_of([part], detail="full"), catalog, Source())
    assert caught.value.dataset == "demo/g/t0/weight"
