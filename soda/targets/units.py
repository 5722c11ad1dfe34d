"""Units of positions and sizes, as tables spell them."""

from __future__ import annotations

from collections.abc import Sequence

#: What one of a unit is in degrees, by its spelling in lower case.
DEGREES = {
    **dict.fromkeys(("deg", "degree", "degrees", "°", "degs"), 1.0),
    **dict.fromkeys(("rad", "radian", "radians"), 57.29577951308232),
    **dict.fromkeys(("h", "hr", "hour", "hours", "hourangle"), 15.0),
    **dict.fromkeys(("arcmin", "arcmins", "arcminute", "arcminutes", "amin", "'", "′"), 1 / 60),
    **dict.fromkeys(("arcsec", "arcsecs", "arcsecond", "arcseconds", "asec", '"', "″"), 1 / 3600),
    "mas": 1 / 3_600_000,
}
#: Units of columns of sexagesimal texts, which say themselves what they are.
TEXTUAL = frozenset(("h:m:s", "d:m:s", "hms", "dms", "hh:mm:ss", "dd:mm:ss", "hourangle:m:s"))
_PIXELS = frozenset(("px", "pix", "pixel", "pixels"))
_SPELLED: Sequence[tuple[float, str]] = ((1.0, "deg"), (1 / 60, "arcmin"), (1 / 3600, "arcsec"))


def plain_unit(unit: str) -> str:
    """Spell a unit as the tables here have it."""
    shown = unit.strip().lower()
    return shown.strip("\"'") or shown if len(shown) > 2 else shown


def size_unit(unit: str) -> str | None:
    """Spelling of a unit that sizes have: ``deg``, ``arcmin``, ``arcsec`` ``px``; None if it is another."""
    plain = plain_unit(unit)
    if plain in _PIXELS:
        return "px"
    return next((word for factor, word in _SPELLED if DEGREES.get(plain) == factor), None)
