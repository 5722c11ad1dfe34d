"""Products: the right sky, padding and masks that say so, provenance, names, checksums."""

from __future__ import annotations

import math
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.wcs import WCS
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from surveys.execute import describe_cutout, execute, product_size
from surveys.fits.checksum import Checksum
from surveys.fits.naming import centre_deg, position_name, product_name
from surveys.fits.product import DEFAULT_SITE, Site, describe
from surveys.fits.source import Source
from surveys.image import ImageRecord
from surveys.request import CutoutRequest
from surveys.sky.pixels import PixelBox
from surveys.sky.stencil import CenteredBox, Circle, Polygon, Range, Size, Stencil
from tests.support.tiles import (
    TAN,
    FileCatalog,
    assert_same_sky,
    box_request,
    cut,
    open_product,
    plan_of,
    ramp,
    same_bits,
    sky,
    write_compressed,
    write_plain,
)

SHAPE = (100, 120)
BOX = PixelBox(10, 30, 20, 50)
SIP = (
    ("CTYPE1", "RA---TAN-SIP"), ("CTYPE2", "DEC--TAN-SIP"), *TAN[2:],
    ("A_ORDER", 2), ("A_2_0", 2e-5), ("A_1_1", -1e-5), ("B_ORDER", 2), ("B_0_2", 3e-5), ("B_1_1", 1e-5),
    ("AP_ORDER", 2), ("AP_2_0", -2e-5), ("BP_ORDER", 2), ("BP_0_2", -3e-5),
)  # fmt: skip
TPV = (
    ("CTYPE1", "RA---TPV"), ("CTYPE2", "DEC--TPV"), *TAN[2:],
    ("PV1_0", 1e-5), ("PV1_1", 1.01), ("PV1_2", 1e-3), ("PV1_7", 1e-2),
    ("PV2_0", -1e-5), ("PV2_1", 0.99), ("PV2_4", 0.02),
)  # fmt: skip
ALTERNATE = (
    *TAN,
    *[
        (f"{key}A", {"RA---TAN": "GLON-CAR", "DEC--TAN": "GLAT-CAR"}.get(str(value), value))
        for key, value in TAN[:12]
    ],
)
DEFAULTED = tuple(card for card in TAN if card[0] != "CRPIX1")
PROJECTIONS = {
    name: (("CTYPE1", f"RA---{name}"), ("CTYPE2", f"DEC--{name}"), *TAN[2:])
    for name in ("SIN", "ZEA", "CAR", "AIT", "STG")
}
BOXES = (BOX, PixelBox(-7, 40, 80, 130), PixelBox(0, 120, 0, 100), PixelBox(119, 120, 99, 100))


def catalog_of(
    tmp_path: Path, pixels: NDArray[Any], cards: Any = TAN, **changes: Any
) -> tuple[FileCatalog, ImageRecord]:
    catalog = FileCatalog()
    return catalog, catalog.add(write_plain(tmp_path / "tile.fits", pixels, cards), **changes)


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize(
    "cards",
    [TAN, SIP, TPV, DEFAULTED, *PROJECTIONS.values()],
    ids=["TAN", "SIP", "TPV", "default", *PROJECTIONS],
)
def test_a_product_has_the_sky_of_its_source(tmp_path: Path, cards: Any, box: PixelBox) -> None:
    catalog, record = catalog_of(tmp_path, ramp(SHAPE), cards)
    assert_same_sky(cut(catalog, record, box).header, fits.getheader(tmp_path / "tile.fits"), box)


@pytest.mark.parametrize("box", BOXES)
def test_an_alternate_wcs_keeps_its_sky(tmp_path: Path, box: PixelBox) -> None:
    catalog, record = catalog_of(tmp_path, ramp(SHAPE), ALTERNATE)
    product, source = cut(catalog, record, box).header, fits.getheader(tmp_path / "tile.fits")
    for key in (" ", "A"):
        assert_same_sky(product, source, box, key)


def test_pixels_and_wcs_are_those_of_cutout2d(tmp_path: Path) -> None:
    catalog, record = catalog_of(tmp_path, sky(SHAPE))
    with fits.open(tmp_path / "tile.fits") as hdus:
        theirs = Cutout2D(hdus[0].data, (50, 40), (31, 21), WCS(hdus[0].header))
        x0, y0 = theirs.origin_original
        ours = cut(catalog, record, PixelBox(x0, x0 + 21, y0, y0 + 31))
        assert same_bits(ours.data, theirs.data)
    np.testing.assert_allclose(WCS(ours.header).wcs.crpix, theirs.wcs.wcs.crpix, atol=1e-9)


def test_scaled_pixels_are_those_of_the_slice(tmp_path: Path) -> None:
    cards = (*TAN, ("BSCALE", 0.045777764213996), ("BZERO", 1500.0), ("BLANK", 17))
    catalog, record = catalog_of(tmp_path, ramp(SHAPE, "i2"), cards)
    with fits.open(tmp_path / "tile.fits") as hdus:
        wanted = hdus[0].data[0:50, 10:30]
    box = PixelBox(10, 30, 0, 50)
    assert same_bits(cut(catalog, record, box, scaled=True).data, wanted)
    assert cut(catalog, record, box).header["FRAC_OK"] == pytest.approx(999 / 1000)


@pytest.mark.parametrize("read", ["mmap", "pread"])
@pytest.mark.parametrize("dtype", ["f4", "f8", "i2"])
@pytest.mark.parametrize(
    "box", [PixelBox(-5, 20, 90, 110), PixelBox(100, 130, -10, 5), PixelBox(-3, 123, -4, 104)]
)
def test_pixels_outside_of_the_image_are_nan_or_blank(
    tmp_path: Path, read: Any, dtype: str, box: PixelBox
) -> None:
    pixels = ramp(SHAPE, dtype)
    cards = (*TAN, ("BLANK", -32768)) if dtype == "i2" else TAN
    catalog, record = catalog_of(tmp_path, pixels, cards)
    fill = -32768 if dtype == "i2" else np.nan
    wide = np.pad(pixels, 20, constant_values=fill)
    hdu = cut(catalog, record, box, Source(read))
    assert same_bits(hdu.data, wide[box.y0 + 20 : box.y1 + 20, box.x0 + 20 : box.x1 + 20])
    inside = box.clip(120, 100)
    assert inside is not None
    assert hdu.header["FRAC_OK"] == inside.pixels / box.pixels
    assert (hdu.header["X0"], hdu.header["Y0"]) == (box.x0 + 1, box.y0 + 1)
    assert hdu.header["CLIPPED"] is True


@pytest.mark.parametrize(("dtype", "promoted"), [("u1", "f4"), ("i2", "f4"), ("i4", "f8"), ("i8", "f8")])
def test_integers_without_blank_are_promoted_where_pixels_are_missing(
    tmp_path: Path, dtype: str, promoted: str
) -> None:
    cards = (*TAN, ("BSCALE", 0.5), ("BZERO", 10.0))
    catalog, record = catalog_of(tmp_path, ramp(SHAPE, dtype), cards)
    box = PixelBox(-5, 20, 90, 110)
    hdu = cut(catalog, record, box)
    wanted = np.full((20, 25), np.nan, promoted)
    wanted[:10, 5:] = ramp(SHAPE, dtype)[90:, :20] * 0.5 + 10.0
    assert same_bits(hdu.data, wanted)
    assert not {"BSCALE", "BZERO", "BLANK"} & set(hdu.header)
    assert any("physical" in line for line in hdu.header["HISTORY"])
    assert hdu.header["FRAC_OK"] == 0.4
    request = CutoutRequest(record.dataset)
    (remark,) = describe(record, box, request, catalog, DEFAULT_SITE).remarks
    assert remark in hdu.header["HISTORY"]
    # inside of the image nothing is changed
    assert describe(record, BOX, request, catalog, DEFAULT_SITE).remarks == ()
    assert cut(catalog, record, BOX).data.dtype == np.dtype(dtype).newbyteorder(">")


def test_a_blank_that_the_pixels_cannot_hold_is_none(tmp_path: Path) -> None:
    catalog, record = catalog_of(tmp_path, ramp(SHAPE, "u1"), (*TAN, ("BLANK", -1)))
    hdu = cut(catalog, record, PixelBox(-5, 20, 90, 110))
    assert hdu.data.dtype == np.dtype(">f4")
    assert hdu.header["FRAC_OK"] == 0.4
    assert "BLANK" not in hdu.header


def test_padding_of_compressed_cubes(tmp_path: Path) -> None:
    path = write_compressed(tmp_path / "cube.fits", sky((3, 100, 120), "i4"), (), compression_type="RICE_1")
    catalog = FileCatalog()
    record = catalog.add(path, 1, blank=-1)
    with fits.open(path) as hdus:
        wide = np.pad(hdus[1].data, ((0, 0), (9, 9), (9, 9)), constant_values=-1)
    box = PixelBox(-9, 60, 50, 109)
    assert same_bits(cut(catalog, record, box).data, wide[:, 59:118, 0:69])


CIRCLE = Circle(150.1, -2.2, 20 * 7.3e-5)


@pytest.mark.parametrize("dtype", ["f4", "i2", "i4"])
def test_a_mask_blanks_pixels_with_centres_outside(tmp_path: Path, dtype: str) -> None:
    pixels = sky((2, *SHAPE), dtype)
    catalog, record = catalog_of(
        tmp_path, pixels, TAN, wcs_text=fits.Header(TAN).tostring(endcard=False, padding=False)
    )
    box = PixelBox(15, 70, 10, 60)
    hdu = cut(catalog, record, box, stencil=CIRCLE, mask=True)
    y, x = np.mgrid[10:60, 15:70]
    ra, dec = WCS(fits.Header(TAN)).all_pix2world(x, y, 0)
    north = np.cos(np.radians(dec)) * np.cos(np.radians(-2.2)) * np.cos(np.radians(ra - 150.1))
    inside = (
        np.degrees(np.arccos(north + np.sin(np.radians(dec)) * np.sin(np.radians(-2.2)))) <= CIRCLE.radius_deg
    )
    assert 0.3 < inside.mean() < 0.8
    np.testing.assert_array_equal(np.isfinite(hdu.data), np.broadcast_to(inside, hdu.data.shape))
    np.testing.assert_array_equal(hdu.data[:, inside], pixels[:, 10:60, 15:70][:, inside])
    assert hdu.header["FRAC_OK"] == inside.mean()
    assert any("MASK=true" in line for line in hdu.header["HISTORY"])


def test_without_mask_the_corners_stay(tmp_path: Path) -> None:
    catalog, record = catalog_of(tmp_path, sky(SHAPE))
    assert np.isfinite(cut(catalog, record, BOX, stencil=CIRCLE).data).all()


@pytest.mark.parametrize(
    ("dtype", "cards", "nodata", "good"),
    [
        ("f4", (), None, lambda p: ~np.isnan(p)),
        ("f4", (), math.nan, lambda p: ~np.isnan(p)),
        ("f4", (), 0.0, lambda p: ~np.isnan(p) & (p != 0)),
        ("i2", (), None, lambda p: np.ones(p.shape, bool)),
        ("i2", (("BLANK", 5),), None, lambda p: p != 5),
        ("i2", (), math.nan, lambda p: np.ones(p.shape, bool)),
        ("i2", (), 3.0, lambda p: p != 3),
        ("i2", (("BLANK", 5),), 3.0, lambda p: (p != 5) & (p != 3)),
        ("i2", (("BSCALE", 2.0), ("BZERO", 1.0)), 7.0, lambda p: p != 3),
        ("i2", (("BSCALE", 2.0), ("BZERO", 1.0)), 8.0, lambda p: np.ones(p.shape, bool)),
    ],
)
def test_frac_ok_counts_pixels_with_data(
    tmp_path: Path, dtype: str, cards: Any, nodata: float | None, good: Any
) -> None:
    pixels = np.random.default_rng(1).integers(0, 9, SHAPE).astype(dtype)
    if dtype == "f4":
        pixels[30:40, 15:18] = np.nan
    catalog, record = catalog_of(tmp_path, pixels, (*TAN, *cards), nodata=nodata)
    assert cut(catalog, record, BOX).header["FRAC_OK"] == good(pixels[20:50, 10:30]).mean()


def test_nodata_of_a_promoted_product(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 9, SHAPE).astype("i2")
    catalog, record = catalog_of(tmp_path, pixels, (*TAN, ("BSCALE", 2.0), ("BZERO", 1.0)), nodata=7.0)
    header = cut(catalog, record, PixelBox(-5, 20, 90, 110)).header
    assert header["FRAC_OK"] == (pixels[90:, :20] != 3).sum() / 500


@pytest.mark.parametrize("dtype", ["u1", "i2", "f4", "f8"])
@pytest.mark.parametrize("width", [1, 2, 3, 7, 61])
def test_checksums_are_valid(tmp_path: Path, dtype: str, width: int) -> None:
    catalog, record = catalog_of(tmp_path, sky(SHAPE, dtype))
    plan = plan_of(record, PixelBox(3, 3 + width, 1, 98), checksum=True, canonical="sync?ID=x")
    content = execute(plan, catalog, Source()).tobytes()
    with fits.open(
        BytesIO(content), checksum=True
    ) as hdus:  # a wrong sum is a warning, which is an error here
        assert hdus[0].verify_checksum() == 1
        assert hdus[0].verify_datasum() == 1
    broken = bytearray(content)
    broken[-2880] ^= 1
    with pytest.warns(UserWarning, match="verification failed"):
        open_product(bytes(broken))


@given(st.lists(st.binary(max_size=9), max_size=12))
def test_a_checksum_does_not_depend_on_the_pieces(parts: list[bytes]) -> None:
    whole, pieces = Checksum(), Checksum()
    whole.add(np.frombuffer(b"".join(parts), np.uint8))
    for part in parts:
        pieces.add(np.frombuffer(part, np.uint8))
    assert pieces.value == whole.value


def test_provenance(tmp_path: Path) -> None:
    catalog, record = catalog_of(
        tmp_path, ramp(SHAPE), (*TAN, ("ORIGIN", "elsewhere"), ("X0", 5), ("DATE", "2001-01-01"))
    )
    record = catalog.records[1] = replace(
        record, file=replace(record.file, path="deep/down/tile.fits", sha256="ab" * 32)
    )
    site = Site("An Observatory", "Soda Fountain 1.0", "ivo://obs.example/cutouts?")
    url = "sync?ID=ivo%3A%2F%2Fobs.example%2Fcutouts%3Fdemo%2Fg%2Ftile&CENTER=150.1%20-2.2&SIZE=20px%2030px"
    plan = plan_of(record, BOX, canonical=url)
    header = fits.Header.fromstring(execute(plan, catalog, Source(), site).tobytes())
    expected = {
        "ORIGIN": "An Observatory", "CREATOR": "Soda Fountain 1.0", "DATE": "2026-11-20T12:34:56",
        "ORIG_ID": "ivo://obs.example/cutouts?demo/g/tile.fits", "ORIG_FLE": "tile.fits", "ORIG_EXT": 0,
        "ORIG_SHA": "ab" * 32, "X0": 11, "Y0": 21, "CLIPPED": False, "RESAMPLD": False, "FRAC_OK": 1.0,
        "NINPUT": 1, "RA_OBJ": 150.1, "DEC_OBJ": -2.2, "CUT_URL": url,
    }  # fmt: skip
    assert {key: header[key] for key in expected} == expected
    assert len([key for key in header if key == "ORIGIN"]) == 1
    assert header["HISTORY"][-1] == "Soda Fountain 1.0: pixels [11:30,21:50] of tile.fits[0]"
    assert "deep" not in repr(header)


def test_a_whole_image_has_no_centre_of_ours(tmp_path: Path) -> None:
    catalog, record = catalog_of(tmp_path, ramp(SHAPE), (*TAN, ("RA_OBJ", 3.0)))
    assert cut(catalog, record).header["RA_OBJ"] == 3.0
    header = cut(catalog, record, BOX).header
    assert (header["RA_OBJ"], header["DEC_OBJ"]) == (150.1, -2.2)


@pytest.mark.parametrize("box", [None, *BOXES])
@pytest.mark.parametrize(
    "options", [{}, {"checksum": True, "canonical": "x" * 500}, {"mask": True, "stencil": CIRCLE}]
)
def test_the_size_is_known_before_a_file_is_opened(
    tmp_path: Path, box: PixelBox | None, options: dict[str, Any]
) -> None:
    catalog, record = catalog_of(
        tmp_path, ramp(SHAPE, "i2"), TAN, wcs_text=fits.Header(TAN).tostring(endcard=False, padding=False)
    )
    plan = plan_of(record, box, **options)
    content = execute(plan, catalog, Source()).tobytes()
    (tmp_path / "tile.fits").unlink()
    assert product_size(plan, catalog) == len(content)
    assert describe_cutout(plan, catalog).size == len(content)
    assert plan.grid is not None
    assert describe(record, plan.grid, plan.request, catalog, DEFAULT_SITE).size == len(content)


@pytest.mark.parametrize(
    ("ra", "dec", "name"),
    [
        (0.0, 0.0, "J000000.00+000000.0"),
        (0.1, -0.1, "J000024.00-000600.0"),
        (30.0, 45.5, "J020000.00+453000.0"),
        (359.99999999, -89.99999999, "J235959.99-895959.9"),
        (59.0899, -52.811, "J035621.57-524839.6"),
        (-0.1, 1e-09, "J235936.00+000000.0"),
    ],
)
def test_positions_are_truncated_in_names(ra: float, dec: float, name: str) -> None:
    assert position_name(ra, dec) == name


def test_names_of_products(tmp_path: Path) -> None:
    _, record = catalog_of(tmp_path, ramp(SHAPE))
    assert (
        product_name(record, CenteredBox(150.1, -2.2, Size(20, 30, True)), BOX)
        == "DEMOJ100024.00-021200.0_g_20x30.fits"
    )
    for file, hdu, storage, name in (
        ("deep/coadd-g.fits", 0, "plain", "coadd-g.fits"),
        ("coadd-g.fits.fz", 1, "tiles", "coadd-g.fits"),
        ("coadd-g.fits.gz", 2, "gzip", "coadd-g_hdu2.fits"),
        ('caf\u00e9 "b"/c; d.fit', 0, "plain", "c_d.fits"),
        ("x" * 300 + ".fits", 0, "plain", "x" * 115 + ".fits"),
    ):
        changed: Any = {"hdu": hdu, "storage": storage, "file": replace(record.file, path=file)}
        assert product_name(replace(record, **changed), None, BOX) == name


@pytest.mark.parametrize(
    ("stencil", "centre"),
    [
        (Circle(361.0, 5.0, 1.0), (1.0, 5.0)),
        (Range(350.0, 372.0, -10.0, 20.0), (1.0, 5.0)),
        (Polygon(((359.0, -1.0), (3.0, -1.0), (3.0, 1.0), (359.0, 1.0))), (1.0, 0.0)),
    ],
)
def test_the_centre_of_a_stencil(stencil: Stencil, centre: tuple[float, float]) -> None:
    assert centre_deg(stencil) == pytest.approx(centre, abs=1e-12)


def test_a_box_without_a_pixel_of_the_image_is_no_product(tmp_path: Path) -> None:
    catalog, record = catalog_of(tmp_path, ramp(SHAPE))
    with pytest.raises(ValueError, match="no pixel"):
        describe(record, PixelBox(120, 130, 0, 5), box_request(), catalog, DEFAULT_SITE)
