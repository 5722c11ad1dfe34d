"""Cards that headers have in common, whatever way they are written in."""

from __future__ import annotations

import pytest
from astropy.io import fits

from surveys.mosaic.cards import common_cards, is_wcs, numbers_of, value_of, without


def text_of(*cards: str) -> str:
    return "".join(card.ljust(80) for card in cards)


def common(first: str, second: str, kept: str = "") -> str:
    return common_cards([text_of(first), text_of("OTHER   = 1", second)], lambda name: name == kept).rstrip()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("GAIN    =                  1.5 / e/adu", "GAIN    = 1.50"),
        ("GAIN    =                 1500", "GAIN    = 1.5D3 / written by Fortran"),
        ("FLAG    =                    T", "FLAG    = T / yes"),
        ("FILTER  = 'g       '           / band", "FILTER  = 'g'"),
        ("NAME    = 'it''s / here'", "NAME    = 'it''s / here' / with a comment"),
        ("HISTORY the same words", "HISTORY the same words"),
        ("HIERARCH ESO INS MODE = 'A' / a", "HIERARCH ESO INS MODE = 'A' / b"),
    ],
)
def test_the_same_value_is_the_same(first: str, second: str) -> None:
    assert common(first, second) == first


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("GAIN    =                  1.5", "GAIN    =                  1.6"),
        ("FLAG    =                    T", "FLAG    = 'T       '"),
        ("NUMBER  =                    1", "NUMBER  = '1       '"),
        ("FILTER  = 'g       '", "FILTER  = 'G       '"),
        ("FILTER  = 'g       '", "FILTERS = 'g       '"),
        ("HISTORY the same words", "HISTORY other words"),
        ("GAIN    =                  1.5", "COMMENT GAIN    =                  1.5"),
        ("HIERARCH ESO INS MODE = 'A'", "HIERARCH ESO INS MODUS = 'A'"),
    ],
)
def test_another_value_is_another(first: str, second: str) -> None:
    assert common(first, second) == ""
    assert common(first, second, first[:8].rstrip()) in (first, "")


def test_a_card_stays_if_it_is_to() -> None:
    assert common("BUNIT   = 'nmgy'", "BUNIT   = 'counts'", "BUNIT") == "BUNIT   = 'nmgy'"


def test_a_long_string_is_compared_whole() -> None:
    cards = [fits.Card("LONG", "x" * 100 + end).image for end in ("a", "a", "b")]
    assert common_cards([cards[0], cards[1]], lambda name: False) == cards[0]
    assert common_cards([cards[0], cards[2]], lambda name: False) == ""


def test_keywords_are_found_only_where_cards_begin() -> None:
    text = text_of("COMMENT of old SATURATE=        1.0", "SATURATE=     5E4", "SATURATE=     6E4")
    assert list(numbers_of([text, text_of("SATURATE= 'high'"), text_of("OTHER   = 1")], "SATURATE")) == [
        (0, 50000.0)
    ]
    assert value_of("COMMENT none".ljust(80)) is None


@pytest.mark.parametrize(
    "keyword",
    ["CRPIX1", "CRPIX2A", "CD1_2", "PC1_1B", "PV2_13", "A_ORDER", "BP_0_1", "LTV1", "LTM1_1", "WCSAXES",
     "RADESYS", "EQUINOX", "LONPOLE", "CROTA2", "CTYPE1", "PC001002", "WAT1_001", "AMDX1"],
)  # fmt: skip
def test_cards_of_a_wcs(keyword: str) -> None:
    assert is_wcs(keyword)
    assert without(text_of(f"{keyword:<8}= 1", "GAIN    = 2"), is_wcs).startswith("GAIN")


@pytest.mark.parametrize("keyword", ["DATE-OBS", "MJD-OBS", "A_GAIN", "CDELAY", "PCOUNT", "EXPTIME", "LTVX"])
def test_other_cards(keyword: str) -> None:
    assert not is_wcs(keyword)
