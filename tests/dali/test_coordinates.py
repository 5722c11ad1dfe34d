"""Positions as people write them; astropy is the judge."""

from __future__ import annotations

import pytest
from astropy import units as u
from astropy.coordinates import Angle
from hypothesis import given
from hypothesis import strategies as st

from dali.coordinates import parse_declination, parse_position, parse_right_ascension
from dali.errors import UsageError


@pytest.mark.parametrize(
    ("text", "degrees"),
    [
        ("150.1", 150.1),
        (" 150.1 ", 150.1),
        ("150.1d", 150.1),
        ("150.1 deg", 150.1),
        ("150.1°", 150.1),
        ("1.501e2", 150.1),
        ("10:00:24", 150.1),
        ("10 00 24", 150.1),
        ("10h00m24s", 150.1),
        ("10h 00m 24.0s", 150.1),
        ("10h0.4m", 150.1),
        ("150d06m00s", 150.1),
        ("150d06'00\"", 150.1),
        ("150°06′00″", 150.1),
        ("15h", 225.0),
        ("-10", 350.0),
        ("360", 0.0),
        ("0:00:00.0", 0.0),
        ("23:59:59.999", 359.99999583333334),
    ],
)
def test_right_ascensions(text: str, degrees: float) -> None:
    assert parse_right_ascension(text, "RA") == degrees


@pytest.mark.parametrize(
    ("text", "degrees"),
    [
        ("2.2", 2.2),
        ("+2.2", 2.2),
        ("-2.2", -2.2),
        ("−2.2", -2.2),
        ("+02:12:00", 2.2),
        ("-02:12:00", -2.2),
        ("-00:12:00", -0.2),
        ("-0 12 0", -0.2),
        ("-00d12m", -0.2),
        ("02:12", 2.2),
        ("-2d12m00s", -2.2),
        ("-2°12'0''", -2.2),
        ("90", 90.0),
        ("-90:00:00", -90.0),
    ],
)
def test_declinations(text: str, degrees: float) -> None:
    assert parse_declination(text, "DEC") == degrees


@pytest.mark.parametrize(
    "text",
    [
        "150.1 2.2",
        "150.1,2.2",
        "150.1, +2.2",
        "150.1+2.2",
        "10:00:24 +02:12:00",
        "10:00:24 02:12:00",
        "10:00:24+02:12:00",
        "10 00 24 +02 12 00",
        "10 00 24 02 12 00",
        "10h00m24s +2d12m00s",
        "10h00m24s+2d12m",
        "10h 00m 24s 2d 12m 0s",
        "10:00:24, 2.2",
        "150d6m 2d12m",
    ],
)
def test_positions(text: str) -> None:
    assert parse_position(text, "POS") == (150.1, 2.2)


@pytest.mark.parametrize("text", ["150.1 -2.2", "10:00:24-02:12:00", "10h00m24s,-2d12m", "10 00 24 -2 12 0"])
def test_positions_in_the_south(text: str) -> None:
    assert parse_position(text, "POS") == (150.1, -2.2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("10:30", "in two ways, as hours or as degrees"),
        ("10 30", "in two ways, as hours or as degrees"),
        ("150:06:00", "hours are 0 to 23"),
        ("24:00:00", "hours are 0 to 23"),
        ("-10:00:00", "hours are 0 to 23"),
        ("10:60:00", "below 60"),
        ("10:00:60", "below 60"),
        ("10h00m61s", "below 60"),
        ("10:00:24:00", "is a right ascension"),
        ("10:00:2_4", "is a right ascension"),
        ("", "is a right ascension"),
        ("M17", "is a right ascension"),
        ("nan", "is a right ascension"),
        ("１０", "is a right ascension"),
        ("1" * 65, "is a right ascension"),
        ("1e9", "beyond"),
        ("1e999", "too large"),
        ("10m", "is a right ascension"),
        ("10h00s24m", "is a right ascension"),
        (":" * 60, "is a right ascension"),
    ],
)
def test_what_is_no_right_ascension(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        parse_right_ascension(text, "RA")
    assert caught.value.sentence.startswith("RA")


def test_both_readings_are_told() -> None:
    with pytest.raises(UsageError) as caught:
        parse_right_ascension("10:30", "RA")
    assert caught.value.fix == "Write RA=10h30m or RA=10d30m."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("91", "-90 to 90"),
        ("2h", "not hours"),
        ("2 12", "two numbers"),
        ("90:00:01", "-90 to 90"),
        ("x", "decl"),
    ],
)
def test_what_is_no_declination(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_declination(text, "DEC")


@pytest.mark.parametrize(
    "text",
    [
        "150.1",
        "12 34 7 8",
        "1 2 3",
        "CIRCLE 1 2 3",
        "1,2,3",
        "M 17",
        "1 2 3 4 5 6 7",
        "1 " * 200,
        "",
        "+",
        "-,-",
    ],
)
def test_what_is_no_position(text: str) -> None:
    with pytest.raises(UsageError, match="POS"):
        parse_position(text, "POS")


@given(st.integers(0, 23), st.integers(0, 59), st.integers(0, 59999), st.sampled_from("hc "))
def test_hours_as_astropy_reads_them(hours: int, minutes: int, milliseconds: int, form: str) -> None:
    seconds = milliseconds / 1000
    text = {"h": f"{hours}h{minutes}m{seconds}s", "c": f"{hours}:{minutes}:{seconds}"}.get(
        form, f"{hours} {minutes} {seconds}"
    )
    truth = Angle(hours + minutes / 60 + seconds / 3600, u.hourangle).deg
    assert parse_right_ascension(text, "RA") == pytest.approx(truth, abs=1e-12)


@given(st.floats(0, 359.99), st.floats(-90, 90), st.sampled_from([" ", ",", ", "]))
def test_degrees_are_kept_to_the_last_digit(ra: float, dec: float, between: str) -> None:
    assert parse_position(f"{ra!r}{between}{dec!r}", "POS") == (ra, dec)
