"""Positions of rows: numbers or texts of any unit and system in, ICRS degrees out, NaN where one is wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dali.coordinates import parse_declination, parse_right_ascension
from dali.errors import UsageError, quoted
from dali.xtypes import MAX_NUMBER_LENGTH
from soda.targets.source import Column, Field
from soda.targets.table import UploadRefused
from soda.targets.units import DEGREES, TEXTUAL, plain_unit

# float() alone would take "1_2", full-width digits, "nan" and "infinity".
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
#: The two usual sexagesimal forms, whole; `dali.coordinates` reads these too, and all others, but slowly.
_FIELDS = re.compile(r"([+-]?)([0-9]{1,3})([: ])([0-9]{1,2})\3([0-9]{1,2})(?:\.([0-9]{0,12}))?", re.ASCII)
_LETTERS = re.compile(r"([+-]?)([0-9]{1,3})([hd])([0-9]{1,2})m([0-9]{1,2})(?:\.([0-9]{0,12}))?s", re.ASCII)
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")
#: Equatorial systems that are ICRS for a cutout: FK5 J2000 differs by some 20 mas.
_AS_ICRS = frozenset(("", "icrs", "fk5"))
_BEYOND = {"ra": "0 to 360 degrees", "dec": "-90 to 90 degrees"}


@dataclass(slots=True)
class _Axis:
    """One coordinate of all rows, degrees; what is wrong, by row; how many were sexagesimal."""

    degrees: NDArray[np.float64]
    faults: dict[int, str]
    sexagesimal: int = 0


@dataclass(frozen=True, slots=True)
class Positions:
    """Positions of all rows, ICRS; faults by row, from 0; warnings about all of them."""

    ra_deg: NDArray[np.float64]
    dec_deg: NDArray[np.float64]
    faults: dict[int, str]
    warnings: list[str]


def read_positions(columns: Sequence[Column], fields: Sequence[Field], frame: str) -> Positions:
    """Read both coordinates of all rows.

    Parameters
    ----------
    columns, fields
        Of right ascension and declination, or of the longitude and latitude of `frame`.

    Raises
    ------
    UploadRefused
        If a unit is none of an angle, or nothing is known of the system.
    """
    equatorial = _is_equatorial(frame)
    ra, dec = (
        _axis(column, field, axis, equatorial)
        for column, field, axis in zip(columns, fields, ("ra", "dec"), strict=True)
    )
    warnings = []
    if ra.sexagesimal:
        warnings.append(
            f"{ra.sexagesimal} right ascensions of column {quoted(fields[0].name)} are sexagesimal, "
            "and were read as hours, minutes and seconds"
        )
    _check_range(ra, columns[0], fields[0], "ra", dec.degrees)
    _check_range(dec, columns[1], fields[1], "dec", ra.degrees)
    faults = {**dec.faults, **ra.faults}
    bad = np.isnan(ra.degrees) | np.isnan(dec.degrees)
    ra.degrees[bad] = dec.degrees[bad] = np.nan
    ra.degrees[ra.degrees == 360.0] = 0.0
    if frame.lower() not in _AS_ICRS:
        _to_icrs(ra.degrees, dec.degrees, frame)
        warnings.append(f"positions were converted from {frame} to ICRS")
    return Positions(ra.degrees + 0.0, dec.degrees + 0.0, faults, warnings)  # no -0.0


def no_positions(rows: int) -> Positions:
    """Positions of a table that has none: nobody is at fault."""
    return Positions(np.full(rows, np.nan), np.full(rows, np.nan), {}, [])


def _is_equatorial(frame: str) -> bool:
    return frame.lower() in _AS_ICRS or frame.lower().startswith(("fk4", "fk5"))


def _axis(column: Column, field: Field, axis: str, equatorial: bool) -> _Axis:
    factor = _factor(field)
    if isinstance(column, np.ndarray):
        if column.dtype.kind not in "iuf":
            raise UploadRefused(f"column {quoted(field.name)} is a position, and holds no numbers")
        degrees = column.astype(np.float64) * factor
        return _Axis(degrees, {})
    degrees = np.full(len(column), np.nan)
    read = _Axis(degrees, {})
    match = _NUMBER.fullmatch
    for row, text in enumerate(column):
        if len(text) <= MAX_NUMBER_LENGTH and match(text):
            degrees[row] = float(text) * factor
        else:
            _read_other(read, row, text, field.name, axis, equatorial)
    return read


def _factor(field: Field) -> float:
    unit = plain_unit(field.unit)
    if not unit or unit in TEXTUAL:
        return 1.0
    factor = DEGREES.get(unit)
    if factor is None:
        raise UploadRefused(
            f"column {quoted(field.name)} is a position, and its unit is {quoted(field.unit)}",
            "Units of positions are deg, rad, hourangle, arcmin, arcsec.",
        )
    return factor


def _read_other(read: _Axis, row: int, text: str, name: str, axis: str, equatorial: bool) -> None:
    """Read a text that is no plain number."""
    if not text or text.lower() in ("nan", "null", "--", "n/a", "none"):
        read.faults[row] = (
            f"{name} is empty" if not text else f"{name} is {quoted(text)}, which is no position"
        )
        return
    if not equatorial:
        read.faults[row] = f"{name} is a number of degrees; got {quoted(text)}"
        return
    degrees = _sexagesimal(text, axis)
    if degrees is None:
        if _DECIMAL_COMMA.fullmatch(text[:MAX_NUMBER_LENGTH]):
            read.faults[row] = f"{name} {quoted(text)} has a decimal comma; write {text.replace(',', '.')}"
            return
        try:
            degrees = (parse_right_ascension if axis == "ra" else parse_declination)(text, name)
        except UsageError as fault:
            read.faults[row] = " ".join(filter(None, (fault.sentence, fault.fix)))
            return
    read.degrees[row] = degrees
    read.sexagesimal += axis == "ra" and "d" not in text


def _sexagesimal(text: str, axis: str) -> float | None:
    """Degrees of a text in one of the usual forms; None if it is in another one, or wrong.

    Whole numbers are divided once, so that the result is the nearest to the exact value.
    """
    if len(text) > MAX_NUMBER_LENGTH:
        return None
    if parts := _FIELDS.fullmatch(text):
        in_hours = axis == "ra"
    elif parts := _LETTERS.fullmatch(text):
        in_hours = parts[3] == "h"
    else:
        return None
    sign, whole, _, minutes, seconds, decimals = parts.groups()
    most = 24 if in_hours else 360
    if (
        int(whole) >= most
        or int(minutes) >= 60
        or int(seconds) >= 60
        or (in_hours and (axis == "dec" or sign == "-"))
    ):
        return None
    decimals = decimals or ""
    scale = 10 ** len(decimals)
    total = (int(whole) * 3600 + int(minutes) * 60) * scale + int(seconds + decimals)
    degrees: float = total * (15 if in_hours else 1) / (3600 * scale)
    return -degrees if sign == "-" else degrees


def _check_range(read: _Axis, column: Column, field: Field, axis: str, other: NDArray[np.float64]) -> None:
    """Take away what is beyond the limits, with a sentence about each."""
    lowest, highest = (0.0, 360.0) if axis == "ra" else (-90.0, 90.0)
    right = (read.degrees >= lowest) & (read.degrees <= highest)
    for row in np.flatnonzero(~right).tolist():
        degrees = float(read.degrees[row])
        read.degrees[row] = np.nan
        if row in read.faults:
            continue
        shown = str(column[row])
        unit = "" if DEGREES.get(plain_unit(field.unit), 1.0) == 1.0 else f" {field.unit}"
        if degrees != degrees:
            read.faults[row] = f"{field.name} is empty, or not a number"
            continue
        read.faults[row] = (
            f"{field.name} is {_BEYOND[axis]}; got {quoted(shown + unit)}{_hint(degrees, axis, other[row])}"
        )


def _hint(degrees: float, axis: str, other: float) -> str:
    if axis == "ra" and abs(degrees) < 1e6:
        return f"; did you mean {round(degrees % 360.0, 9):g}?" if abs(degrees) < 1000 else ""
    if axis == "dec" and 90 < degrees <= 360 and abs(other) <= 90:
        return "; are ra and dec exchanged?"
    return ""


def _to_icrs(lon_deg: NDArray[np.float64], lat_deg: NDArray[np.float64], frame: str) -> None:
    """Convert all positions in place."""
    # Imported late: the sky of astropy takes half a second, and few tables need it.
    from astropy import units as u
    from astropy.coordinates import FK4, FK5, Galactic, SkyCoord

    kind, _, equinox = frame.lower().partition(" ")
    year = equinox.removeprefix("j").removeprefix("b") or ("1950" if kind == "fk4" else "2000")
    if not re.fullmatch(r"(?:1[89]|20)[0-9]{2}(?:\.[0-9]{1,3})?", year):
        raise UploadRefused(
            f"the equinox of the positions is {quoted(equinox)}", "Equinoxes are 1800 to 2099."
        )
    if kind == "galactic":
        system = Galactic()
    elif kind == "fk5":
        system = FK5(equinox=f"J{year}")
    elif kind == "fk4":
        system = FK4(equinox=f"B{year}")
    else:
        raise UploadRefused(
            f"positions of the system {quoted(frame)} are not converted here", "Send them in ICRS, degrees."
        )
    good = ~np.isnan(lon_deg)
    sky = SkyCoord(lon_deg[good] * u.deg, lat_deg[good] * u.deg, frame=system).icrs
    lon_deg[good], lat_deg[good] = sky.ra.deg % 360.0, sky.dec.deg
