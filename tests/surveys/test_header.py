"""Cards as astropy reads them, and templates that keep the source's cards and shift its pixels."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from surveys.errors import BrokenImage
from surveys.fits.header import BLOCK, card, end_header, format_value, history, printable
from surveys.sky.pixels import PixelBox
from tests.support.tiles import TAN, FileCatalog, cut, ramp, write_compressed, write_plain

TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=400)
BOX = PixelBox(10, 30, 20, 50)


def read(text: str) -> fits.Header:
    """Cards as astropy reads them, the strictest way."""
    assert len(text) % 80 == 0
    header = fits.Header.fromstring(text)
    for one in header.cards:
        one.verify("exception")
    return header


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False), st.text("abc /'", max_size=60))
@example(1e-05, "")
@example(1e22, "")
@example(-1.2345678901234567e-100, "comment")
def test_floats_come_back_bit_by_bit(value: float, comment: str) -> None:
    found = read(card("KEY", value, comment))["KEY"]
    assert found == value
    assert math.copysign(1, found) == math.copysign(1, value)
    assert isinstance(found, float)


@given(st.integers(-(2**63), 2**63))
def test_integers_come_back(value: int) -> None:
    found = read(card("KEY", value, "comment"))["KEY"]
    assert found == value
    assert isinstance(found, int)


@pytest.mark.parametrize("value", [True, False])
def test_logicals_stand_in_column_30(value: bool) -> None:
    text = card("KEY", value, "comment")
    assert text[29] == ("T" if value else "F")
    assert read(text)["KEY"] is value


@settings(max_examples=400, deadline=None)
@given(TEXT)
@example("'" * 68)
@example("x" * 67 + "'")
@example("x" * 66 + "''" + "y" * 100)
@example("ends with &")
@example("")
def test_strings_of_any_length_come_back(value: str) -> None:
    # FITS does not keep blanks at the end of a string. Astropy reads no quote before a slash.
    assume("'/" not in value)
    assert read(card("KEY", value, "comment"))["KEY"].rstrip() == value.rstrip()


def test_a_long_comment_gives_way_whole() -> None:
    assert card("KEY", "x" * 60, "this does not fit").rstrip() == f"KEY     = '{'x' * 60}'"


def test_what_fits_forbids_is_percent_encoded() -> None:
    assert printable("a\nb\u00e9\t") == "a%0Ab%C3%A9%09"
    assert read(card("KEY", "caf\u00e9"))["KEY"] == "caf%C3%A9"


@given(TEXT)
def test_history_of_any_length_comes_back(text: str) -> None:
    found = "".join(str(line).ljust(72) for line in read(history(text)).get("HISTORY", []))
    assert found.rstrip() == text.rstrip()


@pytest.mark.parametrize("count", [0, 1, 34, 35, 36, 71])
@pytest.mark.parametrize("before", [0, 80, 2880, 2800, 80 * 35])
def test_a_header_ends_with_its_block(count: int, before: int) -> None:
    end = end_header(" " * 80 * count, before)
    assert (before + len(end)) % BLOCK == 0
    assert end[80 * count : 80 * count + 80] == "END".ljust(80)
    assert len(end) - 80 * count <= BLOCK


def test_format_value_is_fixed_format() -> None:
    assert format_value(1.0) == "                 1.0"
    assert format_value(-7e-05) == "            -7.0E-05"
    assert format_value("ab") == "'ab      '          "


def product(
    tmp_path: Path, cards: tuple[Any, ...], box: PixelBox | None = BOX, **changes: Any
) -> fits.Header:
    catalog = FileCatalog()
    record = catalog.add(write_plain(tmp_path / "tile.fits", ramp((100, 120)), cards), **changes)
    return cut(catalog, record, box).header


def test_source_cards_stay_as_they_are_in_their_order(tmp_path: Path) -> None:
    cards = [
        ("OBJECT", "M 17", "a comment"),
        ("GAIN", 1.5e-05, "[e/ADU]"),
        ("COMMENT", "first"),
        ("", "a text without keyword"),
        ("NOTE", "a long string " * 12, "of several cards"),
        ("HIERARCH ESO TEL AIRM START", 1.25, "airmass"),
        ("UNDEF", fits.card.Undefined(), "no value"),
        ("HISTORY", "was reduced"),
        ("FLAG", True),
        ("HISTORY", "was reduced again"),
    ]
    source = fits.Header([fits.Card(*card) for card in cards])
    header = product(tmp_path, (*TAN, *cards))
    found = [str(card.image) for card in header.cards]
    wanted = [str(card.image) for card in source.cards]
    start = found.index(wanted[0])
    assert found[start : start + len(wanted)] == wanted
    assert header["NOTE"].strip() == ("a long string " * 12).strip()
    assert list(header["HISTORY"])[:2] == ["was reduced", "was reduced again"]
    assert len(header["HISTORY"]) == 3


def test_structure_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "mef.fits"
    extension = fits.ImageHDU(ramp((100, 120)), fits.Header(TAN), name="SCI")
    extension.header["EXTVER"], extension.header["INHERIT"] = 2, True
    primary = fits.PrimaryHDU()
    primary.header["TELESCOP"] = ("Blanco", "inherited")
    fits.HDUList([primary, extension]).writeto(path, checksum=True)
    catalog = FileCatalog()
    header = cut(catalog, catalog.add(path, 1), BOX).header
    assert list(header)[:5] == ["SIMPLE", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2"]
    assert (header["NAXIS1"], header["NAXIS2"]) == (20, 30)
    assert header["TELESCOP"] == "Blanco"
    assert (header["EXTNAME"], header["EXTVER"], header["ORIG_EXT"]) == ("SCI", 2, 1)
    for keyword in ("XTENSION", "PCOUNT", "GCOUNT", "EXTEND", "INHERIT", "CHECKSUM", "DATASUM"):
        assert keyword not in header


@pytest.mark.parametrize("dtype", ["f4", "i2"])
def test_nothing_of_the_compression_stays(tmp_path: Path, dtype: str) -> None:
    cards = (*TAN, ("ZEROPT", 25.0), ("ZD", 33.0), ("TELRA", 1.0), ("ZSCALEX", 2.0))
    path = write_compressed(tmp_path / "rice.fits", ramp((100, 120), dtype), cards, compression_type="RICE_1")
    catalog = FileCatalog()
    header = cut(catalog, catalog.add(path, 1), BOX).header
    kept = {"ZEROPT", "ZD", "ZSCALEX", "TELRA"}
    assert {key for key in header if key[0] in "ZT" and key != "TFIELDS"} == kept
    assert "TFIELDS" not in header
    assert "EXTNAME" not in header


def test_a_plain_image_keeps_cards_that_look_like_those_of_compression(tmp_path: Path) -> None:
    header = product(tmp_path, (*TAN, ("ZSCALE", 2.0), ("TTYPE1", "x")))
    assert header["ZSCALE"] == 2.0
    assert header["TTYPE1"] == "x"


def test_blank_stays_for_integers_and_goes_for_floats(tmp_path: Path) -> None:
    assert "BLANK" not in product(tmp_path, (*TAN, ("BLANK", -1)))
    catalog = FileCatalog()
    path = write_plain(tmp_path / "i2.fits", ramp((100, 120), "i2"), (*TAN, ("BLANK", -1), ("BSCALE", 2.0)))
    header = cut(catalog, catalog.add(path), BOX).header
    assert (header["BLANK"], header["BSCALE"]) == (-1, 2.0)


def test_blank_that_only_the_compression_knew_is_written(tmp_path: Path) -> None:
    path = write_compressed(tmp_path / "rice.fits", ramp((100, 120), "i2"), TAN, compression_type="RICE_1")
    catalog = FileCatalog()
    assert cut(catalog, catalog.add(path, 1, blank=-7), BOX).header["BLANK"] == -7


def test_reference_pixels_are_shifted_in_place_with_their_comments(tmp_path: Path) -> None:
    cards = (("CRPIX1", 41.25, "its comment"), ("CRPIX2", 33, "an integer"))
    header = product(tmp_path, (*cards, *[card for card in TAN if not card[0].startswith("CRPIX")]))
    assert (header["CRPIX1"], header["CRPIX2"]) == (31.25, 13.0)
    assert header.comments["CRPIX1"] == "its comment"
    assert list(header)[5:7] == ["CRPIX1", "CRPIX2"]


@pytest.mark.parametrize("comment", ["", "its comment", "x" * 47])
@pytest.mark.parametrize(
    "crpix", [10.25, 10.0, 10.000123456789012, 10.00000001, 9.999876543210988, 2.5e17, -123456.78901234]
)
def test_numbers_are_written_as_in_any_card(tmp_path: Path, crpix: float, comment: str) -> None:
    """Long ones, and those with an exponent, too: they may leave no room for the comment."""
    cards = [one for one in TAN if not one[0].startswith("CRPIX")]
    header = product(tmp_path, (("CRPIX1", crpix, comment), ("CRPIX2", 33.75, "another"), *cards))
    assert str(header.cards["CRPIX1"].image) == card("CRPIX1", crpix - BOX.x0, comment)
    assert str(header.cards["CRPIX2"].image) == card("CRPIX2", 33.75 - BOX.y0, "another")


def test_a_reference_pixel_left_at_its_default_is_shifted_too(tmp_path: Path) -> None:
    cards = [card for card in TAN if not card[0].startswith("CRPIX")]
    header = product(tmp_path, tuple(cards))
    assert (header["CRPIX1"], header["CRPIX2"]) == (-10.0, -20.0)


def test_alternate_wcs_are_shifted_where_they_describe_the_axis(tmp_path: Path) -> None:
    alternates = (
        ("CTYPE1A", "GLON-TAN"), ("CTYPE2A", "GLAT-TAN"), ("CRPIX1A", 41.25), ("CRPIX2A", 33.75),
        ("CRVAL1B", 1.0), ("CD2_2C", 2.0), ("CRPIX1P", 1.0), ("CRVAL1P", 500.0), ("PC1_2Z", 1.0),
        ("WCSNAMEQ", "a name alone"),
    )  # fmt: skip
    header = product(tmp_path, (*TAN, *alternates))
    shifted = {key: header[key] for key in header if key.startswith("CRPIX") and len(key) == 7}
    assert shifted == {
        "CRPIX1A": 31.25, "CRPIX2A": 13.75, "CRPIX1B": -10.0, "CRPIX2C": -20.0, "CRPIX1P": -9.0,
        "CRPIX1Z": -10.0, "CRPIX2Z": -20.0,
    }  # fmt: skip


def test_plate_and_physical_coordinates_are_composed(tmp_path: Path) -> None:
    cards = (
        ("CNPIX1", 7000),
        ("CNPIX2", 8000.5),
        ("LTV1", -100.0),
        ("LTV2", 3),
        ("LTM1_1", 0.5),
        ("LTM2_2", 0.5),
    )
    header = product(tmp_path, (*TAN, *cards))
    assert (header["CNPIX1"], header["CNPIX2"]) == (7010, 8020.5)
    assert isinstance(header["CNPIX1"], int)
    assert (header["LTV1"], header["LTV2"]) == (-110.0, -17.0)
    assert (header["LTM1_1"], header["LTM2_2"]) == (0.5, 0.5)


def test_physical_coordinates_are_added(tmp_path: Path) -> None:
    header = product(tmp_path, TAN)
    assert (header["LTV1"], header["LTV2"]) == (-10.0, -20.0)
    assert (header["LTM1_1"], header["LTM2_2"]) == (1.0, 1.0)


def test_other_axes_are_not_shifted(tmp_path: Path) -> None:
    cards = (("CRPIX1", 1.0), ("CRPIX2", 2.0), ("CRPIX3", 3.0), ("CTYPE1", "FREQ"))
    path = write_plain(tmp_path / "cube.fits", ramp((100, 120, 5)), cards)
    catalog = FileCatalog()
    header = cut(catalog, catalog.add(path, x_axis=1, y_axis=2), BOX).header
    assert [header[f"CRPIX{i}"] for i in (1, 2, 3)] == [1.0, -8.0, -17.0]
    assert [header[f"LTM{i}_{i}"] for i in (1, 2, 3)] == [1.0, 1.0, 1.0]
    assert "LTV1" not in header
    assert (header["LTV2"], header["LTV3"]) == (-10.0, -20.0)


def test_without_any_wcs_none_is_invented(tmp_path: Path) -> None:
    assert not [key for key in product(tmp_path, ()) if key.startswith("CRPIX")]


def test_exponents_of_fortran_are_read(tmp_path: Path) -> None:
    cards = tuple(card for card in TAN if card[0] != "CRPIX1")
    path = write_plain(tmp_path / "tile.fits", ramp((100, 120)), (("CRPIX1", 41.25), *cards))
    content = path.read_bytes().replace(b"CRPIX1  =                41.25", b"CRPIX1  =            4.125D+01")
    path.write_bytes(content)
    catalog = FileCatalog()
    assert cut(catalog, catalog.add(path), BOX).header["CRPIX1"] == 31.25


def test_a_reference_pixel_that_is_no_number_breaks_the_image(tmp_path: Path) -> None:
    cards = tuple(card for card in TAN if card[0] != "CRPIX1")
    with pytest.raises(BrokenImage, match=r"^The card CRPIX1 of tile\.fits does not hold a number\.$"):
        product(tmp_path, (("CRPIX1", "forty"), *cards))
