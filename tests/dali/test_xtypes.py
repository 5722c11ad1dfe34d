"""The grammar of values: what is taken, and as what; what is refused, and how that is said."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dali import xtypes
from dali.errors import UsageError

INF = math.inf
Parse = Callable[[str], object]


@pytest.mark.parametrize(
    ("token", "number"),
    [("1", 1.0), ("+1", 1.0), ("-1.5", -1.5), (".5", 0.5), ("12.", 12.0), ("1e3", 1000.0), ("1.E-2", 0.01),
     ("5e-07", 5e-7), ("-.5E+1", -5.0), ("007", 7.0), ("1e-400", 0.0)],
)  # fmt: skip
def test_soda_47_numbers_as_votable_writes_them(token: str, number: float) -> None:
    assert xtypes.parse_number(token, "X") == number


@pytest.mark.parametrize(
    "token",
    ["", ".", "+", "-", "e5", "1e", "1_2", "1,5", "0x10", "１２", "٣", "1\t2", "1\n", "--1", "1 2", "1d5",
     "1e5.0", "nan", "NaN", "infinity", "-Infinity", "ınf", "1" * 65, "9" * 10_000, "1e999", "∞"],
)  # fmt: skip
def test_soda_46_soda_47_no_number_at_all(token: str) -> None:
    with pytest.raises(UsageError) as caught:
        xtypes.parse_number(token, "X", infinite=True)
    assert caught.value.sentence.startswith("X")


@pytest.mark.parametrize(
    ("token", "number"),
    [("Inf", INF), ("inf", INF), ("INF", INF), ("+InF", INF), ("+Inf", INF), ("-Inf", -INF), ("-InF", -INF)],
)
def test_soda_48_infinity_in_any_case_and_with_any_sign(token: str, number: float) -> None:
    assert xtypes.parse_number(token, "X", infinite=True) == number
    with pytest.raises(UsageError, match="finite"):
        xtypes.parse_number(token, "X")


@given(st.floats(allow_nan=False))
def test_soda_47_a_number_written_reads_back_the_same(number: float) -> None:
    assert xtypes.parse_number(xtypes.format_number(number), "X", infinite=True) == number


@pytest.mark.parametrize("separator", [" ", "   ", "      "])
def test_soda_47_spaces_separate_and_surround(separator: str) -> None:
    assert xtypes.parse_circle(separator.join(("", "1", "2", "3", "")), "CIRCLE") == (1.0, 2.0, 3.0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10 0 11 0 11 1", ((10, 0), (11, 0), (11, 1))),
        ("10 0 11 0 11 1 10 0", ((10, 0), (11, 0), (11, 1))),
        ("10 0 10 0 11 0 11 1 11 1", ((10, 0), (11, 0), (11, 1))),
        ("-1 0 1 0 361 1 -1 1", ((359, 0), (1, 0), (1, 1), (359, 1))),
    ],
)
def test_soda_39_polygon_closes_itself(text: str, expected: object) -> None:
    assert xtypes.parse_polygon(text, "POLYGON") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 360 -2 2", (0, 360, -2, 2)),
        ("0 360 89 90", (0, 360, 89, 90)),
        ("-Inf +Inf 89 +Inf", (0, 360, 89, 90)),
        ("-inf inf -inf inf", (0, 360, -90, 90)),
        ("10 +Inf -5 5", (10, 360, -5, 5)),
        ("-Inf 10 -5 5", (0, 10, -5, 5)),
        ("359 1 -1 1", (359, 361, -1, 1)),
        ("359 361 -1 1", (359, 361, -1, 1)),
        ("-1 1 -1 1", (359, 361, -1, 1)),
        ("350 10.1 -1 1", (350, 370.1, -1, 1)),
        ("10 370 0 1", (0, 360, 0, 1)),
        ("10 10 5 5", (10, 10, 5, 5)),
        ("360 360 0 1", (0, 0, 0, 1)),
        ("370 +Inf 0 1", (10, 360, 0, 1)),
        ("0.1 0.3 0 1", (0.1, 0.3, 0, 1)),
    ],
)
def test_soda_32_to_35_range(text: str, expected: object) -> None:
    assert xtypes.parse_range(text, "POS RANGE") == expected


finite = st.floats(-720, 720)


@given(finite, finite)
def test_soda_35_a_range_is_in_order_and_never_wider_than_the_sky(ra1: float, ra2: float) -> None:
    text = xtypes.format_numbers(ra1, ra2, -1.0, 1.0)
    ra_min, ra_max, *_ = xtypes.parse_range(text, "POS RANGE")
    assert 0 <= ra_min < 360
    assert ra_min <= ra_max <= ra_min + 360


@given(st.floats(-1e6, 1e6))
def test_soda_44_longitude_modulo_360(degrees: float) -> None:
    reduced = xtypes.longitude(degrees, "X")
    assert 0 <= reduced < 360
    turns = (degrees - reduced) / 360
    assert abs(turns - round(turns)) < 1e-9


@pytest.mark.parametrize(
    ("text", "expected"),
    [("3e-7 5e-7", (3e-7, 5e-7)), ("-Inf 300e-9", (-INF, 3e-7)), ("750e-9 +Inf", (7.5e-7, INF)),
     ("-Inf +Inf", (-INF, INF)), ("5e-7 5e-7", (5e-7, 5e-7)), ("5e-7", (5e-7, 5e-7)), (" 1   2 ", (1, 2))],
)  # fmt: skip
def test_soda_61_to_63_intervals(text: str, expected: object) -> None:
    assert xtypes.parse_interval(text, "BAND", "metres") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("256", (256, 256, True)),
        ("256px", (256, 256, True)),
        ("256 128", (256, 128, True)),
        ("256 128 px", (256, 128, True)),
        ("256px 128PX", (256, 128, True)),
        ("36arcsec", (0.01, 0.01, False)),
        ("36 arcsec", (0.01, 0.01, False)),
        ('36" 72"', (0.01, 0.02, False)),
        ("2'", (2 / 60, 2 / 60, False)),
        ("6arcmin 12 arcmin", (0.1, 0.2, False)),
        ("0.1deg", (0.1, 0.1, False)),
        ("0.1 .2 deg", (0.1, 0.2, False)),
        ("1e-1deg", (0.1, 0.1, False)),
    ],
)
def test_sizes(text: str, expected: object) -> None:
    assert xtypes.parse_size(text, "SIZE") == expected


@pytest.mark.parametrize("size", ["30arcsec", "0.5arcmin", "0.5'", '30"'])
def test_one_size_in_several_units_is_one_size(size: str) -> None:
    assert xtypes.parse_size(size, "SIZE") == (30 / 3600, 30 / 3600, False)


def parse_range(text: str) -> object:
    return xtypes.parse_range(text, "POS RANGE")


def parse_circle(text: str) -> object:
    return xtypes.parse_circle(text, "CIRCLE")


def parse_polygon(text: str) -> object:
    return xtypes.parse_polygon(text, "POLYGON")


def parse_interval(text: str) -> object:
    return xtypes.parse_interval(text, "TIME", "MJD, days")


def parse_size(text: str) -> object:
    return xtypes.parse_size(text, "SIZE")


@pytest.mark.parametrize(
    ("parse", "text", "said"),
    [
        (
            parse_circle,
            "12.5 -33",
            'CIRCLE needs 3 numbers (ra dec radius, ICRS degrees); got 2 ("12.5 -33").',
        ),
        (parse_circle, "1 2 3 4", "got 4"),
        (parse_circle, "1 2 0", "the radius must be above 0 and at most 180 degrees; got 0"),
        (parse_circle, "1 2 -1", "radius"),
        (parse_circle, "1 2 180.5", "radius"),
        (parse_circle, "1 2 1e-400", "radius"),
        (parse_circle, "1 91 1", "the latitude must be -90 to 90 degrees; got 91"),
        (parse_circle, "1e7 1 1", "longitude"),
        (parse_circle, "1,2,3", "got 1"),
        (parse_circle, "1\t2\t3", "got 1"),
        (parse_circle, "inf 2 3", "finite"),
        (parse_circle, "NaN 2 3", '"NaN"'),
        (parse_polygon, "1 2 3 4", "at least 6 numbers"),
        (parse_polygon, "1 2 3 4 5 6 7", "got 7"),
        (parse_polygon, "1 2 1 2 1 2", "3 different vertices"),
        (parse_polygon, "1 2 3 4 1 2", "3 different vertices"),
        (parse_polygon, "1 2 3 4 5 95", "latitude"),
        (parse_polygon, "1 1 " * 501, "at most 500"),
        (parse_range, "1 2 3", "got 3"),
        (parse_range, "1 2 5 4", "dec1 is above dec2"),
        (parse_range, "1 2 -91 4", "latitude"),
        (parse_range, "+Inf 2 -1 4", "-Inf +Inf"),
        (parse_range, "1 -Inf -1 4", "-Inf +Inf"),
        (parse_range, "1 2 +Inf +Inf", "-Inf +Inf"),
        (parse_interval, "2 1", "the lower limit is above the upper one"),
        (parse_interval, "2020-01-01 2020-01-02", '"2020-01-01"'),
        (parse_interval, "1 2 3", "got 3"),
        (parse_interval, "+Inf +Inf", "no value lies in"),
        (parse_interval, "-Inf -Inf", "no value lies in"),
        (parse_size, "1.5", "a whole number of pixels, or has a unit"),
        (parse_size, "256.0px", "whole number"),
        (parse_size, "0", "at least 1 pixel"),
        (parse_size, "-5px", "whole number"),
        (parse_size, "0deg", "above 0"),
        (parse_size, "-1deg", "above 0"),
        (parse_size, "181deg", "at most 180"),
        (parse_size, "5furlong", "the unit is"),
        (parse_size, "5px 6arcsec", "one unit"),
        (parse_size, "1 2 3px", "one or two numbers"),
        (parse_size, "px", "one or two numbers"),
        (parse_size, "1e5", "whole number"),
        (parse_size, "1px px", "one or two numbers"),
    ],
)
def test_what_is_wrong_is_said(parse: Parse, text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert said in caught.value.sentence
    assert len(caught.value.sentence) < 250
    assert caught.value.fix.startswith("Write ")


@pytest.mark.parametrize("word", ["CIRCLE", "circle", "Circle"])
def test_soda_49_shape_word_in_any_case(word: str) -> None:
    assert xtypes.parse_shape(f"  {word}  1 2 3 ", "POS") == ("CIRCLE", " 1 2 3")


@pytest.mark.parametrize("text", ["", "BOX 1 2 3 4", "CIRCLE1 2 3", "ℂircle 1 2 3", "1 2 3"])
def test_soda_46_unknown_shape(text: str) -> None:
    with pytest.raises(UsageError, match="CIRCLE, RANGE or POLYGON"):
        xtypes.parse_shape(text, "POS")
