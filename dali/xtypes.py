"""The grammar of parameter values: numbers, intervals, shapes, sizes. Text in, plain numbers out.

Every function takes the name of the parameter as an error should show it (``CIRCLE``, ``POS CIRCLE``)
and raises `UsageError`, which names it, the value and what is allowed.
"""

from __future__ import annotations

import math
import re

from dali.errors import UsageError, quoted

#: No sensible number is longer; the cap comes before the regular expression.
MAX_NUMBER_LENGTH = 64
MAX_VERTICES = 500
#: Beyond this, a longitude modulo 360 has lost the digits that matter.
MAX_LONGITUDE_DEG = 1e6

# float() alone would take "1_2", full-width digits, "nan" and "infinity" (VOTable 1.5, section 6).
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INFINITY = {"inf": math.inf, "+inf": math.inf, "-inf": -math.inf}
_SIZE_TOKEN = re.compile(r"([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)?([A-Za-z'\"]*)")
_PER_DEG = {
    "deg": 1,
    "arcmin": 60,
    "'": 60,
    "arcsec": 3600,
    '"': 3600,
}

Point = tuple[float, float]


def tokens(text: str) -> list[str]:
    """Parts of a value between spaces. Nothing else separates: a tab or a comma is part of a token."""
    return [token for token in text.split(" ") if token]


def parse_number(token: str, name: str, *, infinite: bool = False) -> float:
    """Read a decimal number; with `infinite`, also Inf in any case and with any sign.

    Notes
    -----
    Section 3.3.1: the text form of VOTable. NaN is never a limit or a position.
    """
    if len(token) <= MAX_NUMBER_LENGTH and _NUMBER.fullmatch(token):
        number = float(token)
        if math.isinf(number):
            raise UsageError(f"{name}: {quoted(token)} is too large for a number")
        return number
    infinity = _INFINITY.get(token.lower()) if len(token) == len("inf") or token[:1] in "+-" else None
    if infinity is None:
        raise UsageError(f"{name} takes decimal numbers separated by spaces; {quoted(token)} is not one")
    if not infinite:
        raise UsageError(f"{name} takes finite numbers; got {quoted(token)}")
    return infinity


def parse_point(text: str, name: str) -> Point:
    """RA and Dec, ICRS degrees; the longitude comes back in [0, 360)."""
    try:
        ra, dec = _numbers(text, name, 2, "ra dec, ICRS degrees")
        return longitude(ra, name), latitude(dec, name)
    except UsageError as fault:
        _explain(fault, name, "ra dec", "150.1 2.2")
        raise


def parse_circle(text: str, name: str, *, point: bool = False) -> tuple[float, float, float]:
    """RA, Dec, radius, ICRS degrees, ``0 < radius <= 180`` (section 3.3.6); 0 too where it may be a point."""
    try:
        ra, dec, radius = _numbers(text, name, 3, "ra dec radius, ICRS degrees")
        if not (0 < radius <= 180 or (point and radius == 0)):
            lowest = "at least 0" if point else "above 0"
            raise UsageError(f"{name}: the radius must be {lowest} and at most 180 degrees; got {radius:g}")
        return longitude(ra, name), latitude(dec, name), radius
    except UsageError as fault:
        _explain(fault, name, "ra dec radius", "150.1 2.2 0.02")
        raise


def parse_polygon(text: str, name: str) -> tuple[Point, ...]:
    """Vertices, ICRS degrees, at least three different ones; a repeated one counts once (section 3.3.7).

    Notes
    -----
    The polygon closes itself; DALI 1.2, section 3.10, tolerates the first vertex repeated as the last.
    """
    try:
        parts = tokens(text)
        if len(parts) % 2 or len(parts) < 6:
            raise UsageError(
                f"{name} needs an even count of at least 6 numbers (ra dec of each vertex, ICRS degrees); "
                f"got {len(parts)} ({quoted(text)})"
            )
        if len(parts) > 2 * MAX_VERTICES:
            raise UsageError(f"{name} has {len(parts) // 2} vertices; at most {MAX_VERTICES} are taken")
        numbers = [parse_number(part, name) for part in parts]
        pairs = zip(numbers[::2], numbers[1::2], strict=True)
        vertices = _without_repeats([(longitude(ra, name), latitude(dec, name)) for ra, dec in pairs])
        if len(set(vertices)) < 3:
            raise UsageError(f"{name} needs at least 3 different vertices; got {quoted(text)}")
        return tuple(vertices)
    except UsageError as fault:
        _explain(fault, name, "ra1 dec1 ra2 dec2 ra3 dec3 …", "10 0 11 0 11 1")
        raise


def parse_range(text: str, name: str) -> tuple[float, float, float, float]:
    """Limits in longitude and latitude: ``ra_min, ra_max, dec_min, dec_max``.

    Returns
    -------
    tuple
        ``0 <= ra_min < 360`` and ``ra_min <= ra_max <= ra_min + 360``, so a range across longitude 0 has
        ``ra_max`` above 360; ``-90 <= dec_min <= dec_max <= 90``.

    Notes
    -----
    SODA 1.0, section 3.3.1: infinities are open limits. ``ra1 > ra2`` goes through 0 (DALI 1.2,
    section 3.9).
    """
    try:
        ra1, ra2, dec1, dec2 = _numbers(text, name, 4, "ra1 ra2 dec1 dec2, ICRS degrees", infinite=True)
        for lower, upper, axis in ((ra1, ra2, "ra"), (dec1, dec2, "dec")):
            if lower == math.inf or upper == -math.inf:
                raise UsageError(f"{name}: an open {axis} range is written -Inf +Inf; got {quoted(text)}")
        dec1 = latitude(max(dec1, -90.0) if math.isinf(dec1) else dec1, name)
        dec2 = latitude(min(dec2, 90.0) if math.isinf(dec2) else dec2, name)
        if dec1 > dec2:
            raise UsageError(f"{name}: dec1 is above dec2; got {quoted(text)}")
        return (
            *_longitudes(0.0 if math.isinf(ra1) else ra1, 360.0 if math.isinf(ra2) else ra2, name),
            dec1,
            dec2,
        )
    except UsageError as fault:
        _explain(fault, name, "ra1 ra2 dec1 dec2", "10 11 -5 5")
        raise


def parse_shape(text: str, name: str) -> tuple[str, str]:
    """Shape word, in upper case, and the rest of a POS value; the word may be in any case."""
    word, _, rest = text.strip(" ").partition(" ")
    if word.upper() not in ("CIRCLE", "RANGE", "POLYGON") or not word.isascii():
        raise UsageError(
            f"{name} begins with CIRCLE, RANGE or POLYGON; got {quoted(text)}",
            f"Write {name}=CIRCLE ra dec radius, {name}=RANGE ra1 ra2 dec1 dec2 or {name}=POLYGON ra1 dec1 …",
        )
    return word.upper(), rest


def parse_interval(text: str, name: str, meaning: str) -> Point:
    """Lower and upper limit, either may be infinite; one number alone is both (section 3.3.4).

    Parameters
    ----------
    meaning
        Quantity and unit, for errors: "vacuum wavelengths in metres".
    """
    try:
        parts = tokens(text)
        if len(parts) not in (1, 2):
            raise UsageError(f"{name} needs 2 numbers ({meaning}); got {len(parts)} ({quoted(text)})")
        limits = [parse_number(part, name, infinite=True) for part in parts]
        lower, upper = limits[0], limits[-1]
        if lower > upper:
            raise UsageError(f"{name}: the lower limit is above the upper one; got {quoted(text)}")
        if lower == math.inf or upper == -math.inf:
            raise UsageError(f"{name}: no value lies in {quoted(text)}")
        return lower, upper
    except UsageError as fault:
        _explain(fault, name, "lower upper", f"-Inf +Inf, for {meaning}")
        raise


def parse_size(text: str, name: str) -> tuple[float, float, bool]:
    """Width, height, and whether they are pixels (else degrees).

    One number makes a square. Units: deg, arcmin or ', arcsec or ", px; a whole number without a unit
    is pixels, a decimal without one is refused: it could be either.
    """
    try:
        pairs = _sizes(text, name)
        unit = pairs[-1][1]
        if any(pair[1] not in ("", unit) for pair in pairs):
            raise UsageError(f"{name} takes one unit for both numbers; got {quoted(text)}")
        numbers = [pair[0] for pair in pairs]
        if unit in ("", "px"):
            width, height = _pixels(numbers[0], name, text), _pixels(numbers[-1], name, text)
            return width, height, True
        if unit not in _PER_DEG:
            raise UsageError(f"{name}: the unit is deg, arcmin, ', arcsec, \" or px; got {quoted(text)}")
        width, height = (parse_number(number, name) / _PER_DEG[unit] for number in (numbers[0], numbers[-1]))
        if not (0 < width <= 180 and 0 < height <= 180):
            raise UsageError(f"{name} must be above 0 and at most 180 degrees; got {quoted(text)}")
        return width, height, False
    except UsageError as fault:
        _explain(fault, name, "width [height] unit", f"30arcsec, {name}=2' or {name}=256px")
        raise


def parse_angle(text: str, name: str, lowest_deg: float, highest_deg: float) -> float:
    """Read an angle with its unit, between two limits; degrees come back.

    Units are those of `parse_size`, pixels left out. A number without one is refused: it could be degrees or
    arcseconds.
    """
    between = f"{format_angle(lowest_deg)} to {format_angle(highest_deg)}"
    try:
        pairs = _sizes(text, name)
        if len(pairs) != 1:
            raise UsageError(f"{name} is one number with a unit, {between}; got {quoted(text)}")
        ((number, unit),) = pairs
        if unit not in _PER_DEG:
            raise UsageError(f"{name} has a unit, deg, arcmin, ', arcsec or \"; got {quoted(text)}")
        degrees = parse_number(number, name) / _PER_DEG[unit]
        if not lowest_deg <= degrees <= highest_deg:
            raise UsageError(f"{name} is an angle from {between}; got {quoted(text)}")
        return degrees
    except UsageError as fault:
        _explain(fault, name, "number unit", "0.3arcsec")
        raise


def longitude(degrees: float, name: str) -> float:
    """Longitude reduced to [0, 360), as everywhere here (DALI 1.2, section 3.7)."""
    if 0.0 <= degrees < 360.0:
        return degrees + 0.0  # no -0.0
    if abs(degrees) > MAX_LONGITUDE_DEG:
        raise UsageError(f"{name}: the longitude {degrees:g} is beyond ±{MAX_LONGITUDE_DEG:g} degrees")
    reduced = degrees % 360.0
    return 0.0 if reduced >= 360.0 else reduced  # -1e-20 % 360 is 360


def latitude(degrees: float, name: str) -> float:
    """Latitude, which must lie in [-90, 90]."""
    if not -90.0 <= degrees <= 90.0:
        raise UsageError(f"{name}: the latitude must be -90 to 90 degrees; got {degrees:g}")
    return degrees + 0.0


def format_number(number: float) -> str:
    """Shortest text that reads back as `number`; infinities as -Inf and +Inf."""
    if math.isinf(number):
        return "+Inf" if number > 0 else "-Inf"
    return repr(number).removesuffix(".0")


def format_angle(degrees: float) -> str:
    """Show an angle to people, in degrees or arcseconds, whichever is nearer to 1."""
    return f"{degrees:g}deg" if degrees >= 0.1 else f"{degrees * 3600:g}arcsec"


def format_numbers(*numbers: float) -> str:
    """Numbers separated by single spaces."""
    return " ".join(map(format_number, numbers))


def assigned(name: str) -> str:
    """How a value is written after `name`: ``CIRCLE=``, ``POS=CIRCLE``, ready for the first number."""
    parameter, _, shape = name.partition(" ")
    return f"{parameter}={shape} " if shape else f"{parameter}="


def _explain(fault: UsageError, name: str, form: str, example: str) -> None:
    """Give every error of one grammar the same hint: the form to write, and an example."""
    begin = assigned(name)
    fault.fix = fault.fix or f"Write {begin}{form}, such as {begin}{example}."


def _numbers(text: str, name: str, count: int, form: str, *, infinite: bool = False) -> list[float]:
    parts = tokens(text)
    if len(parts) != count:
        raise UsageError(f"{name} needs {count} numbers ({form}); got {len(parts)} ({quoted(text)})")
    return [parse_number(part, name, infinite=infinite) for part in parts]


def _longitudes(ra1: float, ra2: float, name: str) -> Point:
    if ra2 - ra1 >= 360.0:
        return 0.0, 360.0
    lower = longitude(ra1, name)
    if ra1 <= ra2:
        # Where nothing was reduced the upper limit stays as written, to the last digit.
        upper = ra2 if lower == ra1 else lower + (ra2 - ra1)
    else:
        upper = longitude(ra2, name)
        upper += 0.0 if upper >= lower else 360.0
    return (lower, upper) if upper < lower + 360.0 else (0.0, 360.0)


def _without_repeats(vertices: list[Point]) -> list[Point]:
    following = [*vertices[1:], vertices[0]]
    return [vertex for vertex, after in zip(vertices, following, strict=True) if vertex != after]


def _sizes(text: str, name: str) -> list[tuple[str, str]]:
    """One or two pairs of number and unit in lower case; a unit alone belongs to the number before it."""
    pairs: list[tuple[str, str]] = []
    for token in tokens(text):
        match = _SIZE_TOKEN.fullmatch(token) if len(token) <= MAX_NUMBER_LENGTH else None
        if match is None:
            break
        number, unit = match[1], match[2].lower()
        if number:
            pairs.append((number, unit))
        elif pairs and not pairs[-1][1]:
            pairs[-1] = (pairs[-1][0], unit)
        else:
            break
    else:
        if len(pairs) in (1, 2):
            return pairs
    raise UsageError(f"{name} needs one or two numbers and a unit; got {quoted(text)}")


def _pixels(number: str, name: str, text: str) -> float:
    if not (number.isdigit() and len(number) <= 9):
        raise UsageError(
            f"{name} is a whole number of pixels, or has a unit (deg, arcmin, arcsec); got {quoted(text)}"
        )
    if not (pixels := int(number)):
        raise UsageError(f"{name} must be at least 1 pixel; got {quoted(text)}")
    return float(pixels)
