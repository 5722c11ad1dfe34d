"""Positions as people write them: decimal or sexagesimal. What can be read in two ways is refused, with both.

A number alone is degrees. Three numbers, between colons or spaces, are hours, minutes and seconds of a right
ascension, and degrees, minutes and seconds of a declination; with letters each number says what it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from dali.errors import UsageError, quoted
from dali.xtypes import MAX_NUMBER_LENGTH, Point, latitude, longitude, parse_number

_NUMBER = r"[0-9]+(?:\.[0-9]*)?"
_DECIMAL = re.compile(r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?) ?(d|deg|°)?")
_LETTERS = re.compile(
    rf"([+-]?)({_NUMBER}) ?([hd°]) ?(?:({_NUMBER}) ?[m'′] ?)?(?:({_NUMBER}) ?(?:s|\"|″|''))?"
)
_FIELDS = re.compile(rf"([+-]?)([0-9]+)( *: *| +)({_NUMBER})(?:(?: *: *| +)({_NUMBER}))?")
#: Where the second coordinate begins: at a comma, or at the last sign that is not one of an exponent.
_SIGN = re.compile(r"(.*[^eE+\-,\s])\s*([+\-][^+\-]*)")


@dataclass(frozen=True, slots=True)
class _Axis:
    """One of the two coordinates; the first of three numbers is so many times `turn` degrees."""

    what: str
    turn: int
    example: str


_RA = _Axis("a right ascension", 15, "150.1, 10:00:24 or 10h00m24s")
_DEC = _Axis("a declination", 1, "-2.2, -02:12:00 or -2d12m00s")


def parse_right_ascension(text: str, name: str) -> float:
    """Right ascension as it was written, ICRS degrees in [0, 360)."""
    return longitude(_parse(text, name, _RA), name)


def parse_declination(text: str, name: str) -> float:
    """Declination as it was written, ICRS degrees."""
    return latitude(_parse(text, name, _DEC), name)


def parse_position(text: str, name: str) -> Point:
    """Both in one text: ``150.1 2.2``, ``150.1,2.2``, ``10:00:24 +02:12:00``, ``10h00m24s+2d12m``."""
    first, second = _halves(text, name)
    return parse_right_ascension(first, name), parse_declination(second, name)


def _halves(text: str, name: str) -> tuple[str, str]:
    shown = text.strip().replace("−", "-")
    parts = shown.split()
    if len(shown) <= 2 * MAX_NUMBER_LENGTH and not shown[:1].isalpha():
        if shown.count(",") == 1:
            first, _, second = shown.partition(",")
            return first, second
        if signed := _SIGN.fullmatch(shown):
            return signed[1], signed[2]
        # Four numbers alone could be hours, minutes, degrees, minutes, or a mistake.
        if len(parts) in (2, 6) or (len(parts) == 4 and any(map(str.isalpha, shown))):
            half = len(parts) // 2
            return " ".join(parts[:half]), " ".join(parts[half:])
    raise UsageError(
        f"{name} is a right ascension and a declination; got {quoted(text)}",
        f"Write {name}=150.1,2.2 (degrees) or {name}=10:00:24 +02:12:00 (hours and degrees).",
    )


def _parse(text: str, name: str, axis: _Axis) -> float:
    shown = text.strip().replace("−", "-")  # papers have the true minus sign
    if len(shown) <= MAX_NUMBER_LENGTH:
        if decimal := _DECIMAL.fullmatch(shown):
            return parse_number(decimal[1], name)
        if letters := _LETTERS.fullmatch(shown):
            if letters[3] == "h" and axis is _DEC:
                raise UsageError(f"{name} is {axis.what}, in degrees and not hours; got {quoted(text)}")
            turn = 15 if letters[3] == "h" else 1
            return _sum(letters[1], (letters[2], letters[4] or "0", letters[5] or "0"), turn, name, text)
        if fields := _FIELDS.fullmatch(shown):
            if fields[5] is None and (axis is _RA or ":" not in fields[3]):
                raise _two_readings(fields[1] + fields[2], fields[4], name, axis, text)
            return _sum(fields[1], (fields[2], fields[4], fields[5] or "0"), axis.turn, name, text)
    raise UsageError(f"{name} is {axis.what}; got {quoted(text)}", f"Write {name}={axis.example}.")


def _sum(sign: str, parts: tuple[str, str, str], turn: int, name: str, text: str) -> float:
    """Degrees of hours or degrees, minutes and seconds: the nearest to their exact sum."""
    whole, minutes, seconds = (Fraction(part) for part in parts)
    most = 24 if turn == 15 else 360
    if turn == 15 and (whole >= most or sign == "-"):
        raise UsageError(
            f"{name}: hours are 0 to 23; got {quoted(text)}",
            f"In degrees, write {name}=150d06m00s or {name}=150.1.",
        )
    if minutes >= 60 or seconds >= 60:
        raise UsageError(f"{name}: minutes and seconds are below 60; got {quoted(text)}")
    degrees = float((whole + minutes / 60 + seconds / 3600) * turn)
    return -degrees if sign == "-" else degrees


def _two_readings(whole: str, minutes: str, name: str, axis: _Axis, text: str) -> UsageError:
    """Tell what two numbers may be."""
    if axis is _DEC:
        return UsageError(
            f"{name} {quoted(text)} is two numbers, which may be degrees and minutes or two values",
            f"Write {name}={whole}d{minutes}m for the first, or one number.",
        )
    return UsageError(
        f"{name} {quoted(text)} can be read in two ways, as hours or as degrees with minutes",
        f"Write {name}={whole}h{minutes}m or {name}={whole}d{minutes}m.",
    )
