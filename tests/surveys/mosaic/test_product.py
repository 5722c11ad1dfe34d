"""FITS files of mosaics: pixels, sky, what the header says and what it leaves out, the table INPUTS."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

import surveys.execute
from surveys.errors import BrokenImage, StaleImage
from surveys.execute import CutoutFacts, Workshop, describe_cutout, execute
from surveys.fits.product import Site
from surveys.fits.source import Source
from surveys.sky.pixels import PixelBox
from surveys.sky.stencil import Circle
from surveys.survey import Band, Zeropoint
from tests.support.tiles import ramp, same_bits, sky
from tests.surveys.mosaic.products import assert_sky_of, made, opened, opened_plan, part_of, plan_of
from tests.surveys.mosaic.skies import SCALE, SkyCatalog, moved, survey_of, tan, text_of, wcs_of_cards

BOX = PixelBox(20, 390, 10, 295)
WIDE = PixelBox(-10, 410, -5, 305)


@pytest.fixture
def catalog(tmp_path: Path) -> SkyCatalog:
    return SkyCatalog(root=tmp_path)


def four_tiles(catalog: SkyCatalog, extra: Any = (), **changes: Any) -> Any:
    """A sky of 400 x 300 in four tiles of one grid, each with its own of the `extra` cards."""
    whole, cards = sky((300, 400)), tan(size=(400, 300))
    for n, (x, y) in enumerate(((0, 0), (180, 0), (0, 130), (180, 130))):
        own = {key: values[n] for key, values in dict(extra).items() if values[n] is not None}
        catalog.tile(whole[y : y + 170, x : x + 220], moved(cards, x, y) | own, **changes)
    return whole, cards


def test_tiles_of_one_grid_are_pasted_exactly(catalog: SkyCatalog) -> None:
    whole, cards = four_tiles(catalog)
    with opened(catalog, [part_of(catalog, BOX, "paste")]) as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "INPUTS"]
        header, inputs = hdus[0].header, hdus["INPUTS"].data
        assert same_bits(hdus[0].data, whole[10:295, 20:390])
        assert (header["RESAMPLD"], header["NINPUT"], header["FRAC_OK"]) == (False, 4, 1.0)
        assert (header["CLIPPED"], header["COMBINE"], "KERNEL" in header) == (False, "auto", False)
        assert (header["X0"], header["Y0"]) == (21, 11)
        assert_sky_of(header, wcs_of_cards(cards), 20, 10)
        assert inputs["FRACTION"].sum() == pytest.approx(1.0)
        assert inputs["FRACTION"][0] == pytest.approx((200 - 20) * (150 - 10) / BOX.pixels, abs=0.01)
        assert [row["ID"].partition("?")[2] for row in inputs] == [f"demo/g/t{n}" for n in range(4)]


def test_every_wcs_of_the_reference_is_extended(catalog: SkyCatalog) -> None:
    whole, cards = sky((150, 200)), tan(size=(120, 150))
    cards |= {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP"}
    cards |= {"A_ORDER": 2, "A_2_0": 2e-6, "B_ORDER": 2, "B_0_2": 3e-6, "B_1_1": 1e-6}
    own = dict(cards)
    alternate = {f"{key}A": value for key, value in tan(size=(120, 150)).items() if key != "RADESYS"}
    cards |= alternate | {"CTYPE1A": "GLON-TAN", "CTYPE2A": "GLAT-TAN"}
    catalog.tile(whole[:, :120], cards, wcs_text=text_of(own))
    other = moved(own, 80, 0) | {"CRPIX1A": 3.0, "CTYPE1A": "XOFFSET", "CTYPE2A": "YOFFSET"}
    catalog.tile(whole[:, 80:], other, wcs_text=text_of(moved(own, 80, 0)))
    box = PixelBox(-5, 190, 3, 150)
    with opened(catalog, [part_of(catalog, box, "paste", clipped=True)]) as hdus:
        header = hdus[0].header
        for key in (" ", "A"):
            assert_sky_of(header, WCS(fits.Header(cards), key=key), -5, 3, key)
        assert (header["LTV1"], header["LTM1_1"]) == (5, 1)
        assert header["CLIPPED"] is True
        assert np.isnan(hdus[0].data[:, :5]).all()
        assert header["FRAC_OK"] == 190 / 195
        assert any("beyond the images; pixels without data are NaN" in line for line in header["HISTORY"])


def test_a_grid_of_its_own_has_its_own_wcs_alone(catalog: SkyCatalog) -> None:
    angled = tan(angle=20.0, size=(200, 200)) | {"CRVAL1A": 5.0, "LTV1": 3.0, "EQUINOX": 2000.0}
    catalog.tile(sky((200, 200)), angled, wcs_text=text_of(tan(angle=20.0, size=(200, 200))))
    north = tan(size=(100, 90), scale=1.5 * SCALE)
    part = part_of(catalog, PixelBox(0, 100, 0, 90), "resample", text_of(north))
    with opened(catalog, [part], resample="bilinear") as hdus:
        header = hdus[0].header
        assert (header["NAXIS1"], header["NAXIS2"], header["NINPUT"]) == (100, 90, 1)
        assert_sky_of(header, wcs_of_cards(north))
        assert not {"LTV1", "X0", "CRVAL1A", "EQUINOX", "COMBINE"} & set(header)
        assert (header["RESAMPLD"], header["KERNEL"], header["FLUX"]) == (True, "bilinear", "sb")
        assert any("noise of neighbouring pixels is correlated" in line for line in header["HISTORY"])
        assert header["REF_ID"].endswith("?demo/g/t0")
        assert np.nanmean(hdus[0].data) == pytest.approx(100, abs=1)


EXTRA = {
    "EXPTIME": (90.0, 90.0, 80.0, 90.0),
    "FILTER": ("g", "g", "g", "g"),
    "GAIN": (1.5, 1.50, 1.5, 1.5),
    "DATE-OBS": ("2001-01-01", "2001-01-02", "2001-01-01", "2001-01-01"),
    "MAGZERO": (22.5, 25.0, 22.5, 22.5),
    "BUNIT": ("nmgy", "counts", "nmgy", "nmgy"),
    "SATURATE": (60000.0, 500000.0, None, 65000.0),
    "ONLYONE": (1, None, None, None),
    "DATAMAX": (3.0, 3.0, 3.0, 3.0),
    "ORIG_FLE": ("x", "x", "x", "x"),
    "HISTORY": ("same", "same", "same", "same"),
    "COMMENT": ("a", "b", "c", "d"),
}


def test_the_header_has_what_all_inputs_say(catalog: SkyCatalog) -> None:
    catalog.declared = survey_of(Band("g", 4e-7, 5e-7, ("g",), zeropoint=Zeropoint(card="MAGZERO")))
    four_tiles(catalog, EXTRA)
    catalog.pieces[1] = replace(catalog.pieces[1], scale=0.1)
    with opened(catalog, [part_of(catalog, BOX, "paste")]) as hdus:
        header = hdus[0].header
        expected = {"FILTER": "g", "GAIN": 1.5, "MAGZERO": 22.5, "BUNIT": "nmgy", "SATURATE": 50000.0}
        assert {key: header[key] for key in expected} == expected
        gone = {"EXPTIME", "DATE-OBS", "ONLYONE", "DATAMAX", "COMMENT", "ORIG_FLE", "ORIG_EXT"}
        assert not gone & set(header)
        assert "same" in header["HISTORY"]
        assert any("multiplied by SCALE" in line for line in header["HISTORY"])
        np.testing.assert_array_equal(hdus["INPUTS"].data["SCALE"], [1.0, 0.1, 1.0, 1.0])


def test_without_one_zero_point_none_is_told(catalog: SkyCatalog) -> None:
    catalog.declared = survey_of(Band("g", 4e-7, 5e-7, ("g",), zeropoint=Zeropoint(card="MAGZERO")))
    four_tiles(catalog, EXTRA)
    with opened(catalog, [part_of(catalog, BOX, "paste")], photscale="none") as hdus:
        assert "MAGZERO" not in hdus[0].header
        assert hdus[0].header["PHOTSCAL"] == "none"


def test_the_exposure_time_stays_where_the_zero_point_is_counted_with_it(catalog: SkyCatalog) -> None:
    zeropoint = Zeropoint(card="MAGZERO", exptime=True)
    catalog.declared = survey_of(Band("g", 4e-7, 5e-7, ("g",), zeropoint=zeropoint))
    four_tiles(catalog, EXTRA)
    with opened(catalog, [part_of(catalog, BOX, "paste")]) as hdus:
        assert hdus[0].header["EXPTIME"] == 90.0


def test_backgrounds_that_are_matched_are_told(catalog: SkyCatalog) -> None:
    whole, cards = sky((100, 200)), tan(size=(200, 100))
    catalog.tile(whole[:, :120], cards | {"SATURATE": 1000.0})
    catalog.tile(whole[:, 80:] + np.float32(40.0), moved(cards, 80, 0) | {"SATURATE": 1010.0})
    part = part_of(catalog, PixelBox(0, 200, 0, 100), "paste")
    with opened(catalog, [part], background="match") as hdus:
        offsets = hdus["INPUTS"].data["OFFSET"]
        assert offsets[0] - offsets[1] == pytest.approx(40.0, abs=0.01)
        assert hdus[0].header["BACKGRND"] == "match"
        levels = [1000.0 + offsets[0], 1010.0 + offsets[1]]
        assert hdus[0].header["SATURATE"] == pytest.approx(min(levels), abs=1e-3)


def test_saturation_on_an_asinh_scale_is_not_that_of_the_linear_pixels(catalog: SkyCatalog) -> None:
    catalog.declared = survey_of(linearise="asinh")
    asinh = {"BSOFTEN": 2.5, "BOFFSET": 0.0}
    four_tiles(catalog, {"SATURATE": (9.0,) * 4} | {key: (value,) * 4 for key, value in asinh.items()})
    with opened(catalog, [part_of(catalog, BOX, "paste")]) as hdus:
        assert not {"SATURATE", *asinh} & set(hdus[0].header)


def test_provenance(catalog: SkyCatalog) -> None:
    four_tiles(catalog)
    site = Site("An Observatory", "Soda Fountain 1.0", "ivo://obs.example/cutouts?")
    plan = plan_of([part_of(catalog, BOX, "paste")], canonical="sync?ID=x", stencil=Circle(150.1, 2.5, 0.1))
    header = fits.Header.fromstring(execute(plan, catalog, Source(), site).tobytes())
    expected = {
        "ORIGIN": "An Observatory", "CREATOR": "Soda Fountain 1.0", "DATE": "2026-11-20T12:34:56",
        "ORIG_ID": "ivo://obs.example/cutouts?demo/g", "REF_ID": "ivo://obs.example/cutouts?demo/g/t0",
        "RA_OBJ": 150.1, "DEC_OBJ": 2.5, "CUT_URL": "sync?ID=x", "EXTEND": True,
    }  # fmt: skip
    assert {key: header[key] for key in expected} == expected
    assert header["HISTORY"][0].startswith("Soda Fountain 1.0: 4 images of demo/g")
    assert not {"PHOTZP", "CHECKSUM"} & set(header)


def test_the_name_says_where_and_which_band(catalog: SkyCatalog) -> None:
    four_tiles(catalog)
    plan = plan_of([part_of(catalog, BOX, "paste")])
    assert describe_cutout(plan, catalog).file_name == "DEMOJ100000.00+020000.0_g_370x285.fits"


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4"])
def test_integers_stay_or_say_why_not(catalog: SkyCatalog, dtype: str) -> None:
    whole, cards = ramp((60, 100), dtype), tan(size=(100, 60)) | {"BSCALE": 0.5, "BZERO": 7.0}
    for x in (0, 50):
        catalog.tile(whole[:, x : x + 60], moved(cards, x, 0))
    with opened(catalog, [part_of(catalog, PixelBox(0, 100, 0, 60), "paste")]) as hdus:
        assert same_bits(hdus[0].data, whole)
        assert (hdus[0].header["BSCALE"], hdus[0].header["BZERO"]) == (0.5, 7.0)
    with opened(catalog, [part_of(catalog, PixelBox(0, 103, 0, 60), "paste", clipped=True)]) as hdus:
        assert hdus[0].header["BITPIX"] == (-64 if dtype == "i4" else -32)
        np.testing.assert_array_equal(hdus[0].data[:, :100], whole * 0.5 + 7.0)
        assert np.isnan(hdus[0].data[:, 100:]).all()
        assert not {"BSCALE", "BZERO", "BLANK"} & set(hdus[0].header)
        assert any("Integers made into physical" in line for line in hdus[0].header["HISTORY"])


def test_integers_with_blank_are_padded_with_it(catalog: SkyCatalog) -> None:
    whole, cards = ramp((60, 100), "i2"), tan(size=(100, 60)) | {"BLANK": -32768}
    for x in (0, 50):
        catalog.tile(whole[:, x : x + 60], moved(cards, x, 0))
    with opened(catalog, [part_of(catalog, PixelBox(0, 103, 0, 60), "paste", clipped=True)]) as hdus:
        assert (hdus[0].header["BLANK"], hdus[0].header["BITPIX"]) == (-32768, 16)
        assert (hdus[0].data[:, 100:] == -32768).all()
        assert hdus[0].header["FRAC_OK"] == 100 / 103


def test_a_mask_blanks_what_is_outside_of_the_region(catalog: SkyCatalog) -> None:
    whole, _ = four_tiles(catalog)
    circle = Circle(150.0, 2.0, 60 * SCALE)
    part = part_of(catalog, PixelBox(130, 270, 80, 220), "paste")
    with opened(catalog, [part], stencil=circle, mask=True) as hdus:
        y, x = np.mgrid[80:220, 130:270]
        inside = np.hypot(x - 199.5, y - 149.5) <= 60
        near = np.abs(np.hypot(x - 199.5, y - 149.5) - 60) < 0.01
        np.testing.assert_array_equal(np.isfinite(hdus[0].data)[~near], inside[~near])
        np.testing.assert_array_equal(hdus[0].data[inside], whole[80:220, 130:270][inside])
        assert hdus[0].header["FRAC_OK"] == np.isfinite(hdus[0].data).mean()


def test_degenerate_axes_stay(catalog: SkyCatalog) -> None:
    whole, cards = sky((1, 60, 100)), tan(size=(100, 60))
    cards |= {"CTYPE3": "FREQ", "CRVAL3": 1.4e9, "CRPIX3": 1.0, "CD3_3": 1e6, "CUNIT3": "Hz"}
    for x in (0, 40):
        catalog.tile(whole[:, :, x : x + 60], moved(cards, x, 0))
    with opened(catalog, [part_of(catalog, PixelBox(0, 100, 0, 60), "paste")]) as hdus:
        assert same_bits(hdus[0].data, whole)
        assert hdus[0].header["CRVAL3"] == 1.4e9


def test_what_is_told_beside_it(catalog: SkyCatalog) -> None:
    four_tiles(catalog)
    plan = plan_of([part_of(catalog, WIDE, "paste", clipped=True)])
    facts = made(catalog, plan).facts
    assert (facts.clipped, facts.padded, facts.resampled, facts.inputs) == (True, True, False, 4)
    assert facts.covered == 400 * 300 / WIDE.pixels
    clipped = replace(plan, request=replace(plan.request, edge="clip"))
    assert not CutoutFacts(clipped).padded


def test_the_same_bytes_whatever_the_place_they_are_made_in(
    catalog: SkyCatalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    four_tiles(catalog)
    plan = plan_of([part_of(catalog, WIDE, "resample", clipped=True)], checksum=True)
    in_memory = execute(plan, catalog, Source()).tobytes()
    monkeypatch.setattr(surveys.execute, "IN_MEMORY_BYTES", 1000)
    spool = tmp_path / "spool"
    result = execute(plan, catalog, Source("pread"), workshop=Workshop(2, spool))
    assert b"".join(result.chunks()) == b"".join(result.chunks()) == in_memory
    assert list(spool.iterdir()) == []


def test_memory_is_bounded(catalog: SkyCatalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surveys.execute, "IN_MEMORY_BYTES", 1000)
    monkeypatch.setattr("surveys.mosaic.sections.STRIP_BYTES", 2 << 20)
    whole, cards = sky((2000, 3000)), tan(size=(3000, 2000))
    for x in (0, 1400):
        catalog.tile(whole[:, x : x + 1600], moved(cards, x, 0))
    plan = plan_of([part_of(catalog, PixelBox(0, 3000, 0, 2000), "paste")], checksum=True)
    del whole
    tracemalloc.start()
    try:
        result = execute(plan, catalog, Source())
        assert sum(len(chunk) for chunk in result.chunks()) == result.size > 24e6
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()


def test_a_tile_that_breaks_in_the_middle_is_named(
    catalog: SkyCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("surveys.mosaic.sections.STRIP_BYTES", 1 << 16)
    four_tiles(catalog)
    record = catalog.records[catalog.pieces[2].artifact_id]
    path = catalog.path(record)
    path.write_bytes(path.read_bytes()[: 2880 * 10])
    short = catalog.accept(record)
    catalog.pieces[2] = replace(catalog.pieces[2], file_size=short.file.size, mtime_ns=short.file.mtime_ns)
    with pytest.raises(BrokenImage) as caught:
        execute(plan_of([part_of(catalog, BOX, "paste")]), catalog, Source("pread"))
    assert caught.value.dataset == "demo/g/t2"


def test_a_tile_that_was_indexed_again_is_stale(catalog: SkyCatalog) -> None:
    four_tiles(catalog)
    catalog.pieces[3] = replace(catalog.pieces[3], mtime_ns=1)
    plan = plan_of([part_of(catalog, BOX, "paste")])
    for act in (lambda: describe_cutout(plan, catalog), lambda: execute(plan, catalog, Source())):
        with pytest.raises(StaleImage) as caught:
            act()
        assert caught.value.dataset == "demo/g/t3"


def test_inputs_tell_when_the_images_were_taken(catalog: SkyCatalog) -> None:
    whole, cards = sky((60, 100)), tan(size=(100, 60))
    catalog.tile(whole[:, :60], cards, t_min_mjd=58849.25)
    catalog.tile(whole[:, 40:], moved(cards, 40, 0))
    with opened_plan(catalog, plan_of([part_of(catalog, PixelBox(0, 100, 0, 60), "paste")])) as hdus:
        table = hdus["INPUTS"]
        assert table.data["MJD"][0] == 58849.25
        assert np.isnan(table.data["MJD"][1])
        assert [table.data["FILE"][n] for n in range(2)] == ["t0.fits", "t1.fits"]
        assert table.columns["MJD"].unit == "d"
