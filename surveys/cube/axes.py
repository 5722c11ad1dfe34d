"""The axes of a cube beside those of the sky, and the world coordinates of their pixels (wcslib's)."""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS
from numpy.typing import NDArray

from surveys.cube.tables import column
from surveys.errors import ImageRefused
from surveys.image import SideTable
from surveys.sky.plane import CONTACT_PX

Floats = NDArray[np.float64]
Kind = Literal["spectral", "time", "stokes", "other"]
Tables = tuple[SideTable, ...]

#: Of tables of coordinates: more values are not for a header.
MOST_COORDINATES = 1_000_000
#: Of an axis whose coordinates are worked out: memory for some arrays of them is to be had.
MOST_PIXELS = 1 << 22

# FITS 4.0, table 25, and what AIPS wrote before it.
_SPECTRAL = frozenset(
    ("FREQ", "AFRQ", "ENER", "WAVN", "VRAD", "WAVE", "VOPT", "ZOPT", "AWAV", "VELO", "BETA", "FELO")
)
# Names that real files have, and what they can only mean; that of a velocity does not say which.
_OLD_NAMES = {
    "ENERGY": "ENER",
    "LAMBDA": "WAVE",
    "WAVELENG": "WAVE",
    "WAVELNTH": "WAVE",
    "WAVELENGTH": "WAVE",
    "FREQUENC": "FREQ",
    "FREQUENCY": "FREQ",
    "WAVENUM": "WAVN",
    "WAVENUMB": "WAVN",
    "WAVENUMBER": "WAVN",
}
_VAGUE = "VELOCITY"
# FITS 4.0, section 9.2: a time axis may be named after its scale.
_TIME = frozenset(("TIME", "TAI", "TT", "TDT", "ET", "IAT", "UT1", "UTC", "GMT", "TDB", "TCB", "TCG"))
_SIP = re.compile(r"[AB]P?_(ORDER|DMAX|\d+_\d+)\Z")


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis that is not of the sky: its 0-based FITS number, what it is of, its CTYPE, its length."""

    number: int
    kind: Kind
    ctype: str
    length: int


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """World coordinates along an axis, in the units wcslib turns them to (SI where it knows the type).

    Parameters
    ----------
    ctype
        After wcslib has put old types right.
    centers
        Of each pixel, shape ``(n,)``.
    edges
        Where pixels begin and end, shape ``(n + 1,)``: pixel ``i`` reaches from ``edges[i]`` to
        ``edges[i + 1]``. NaN where the coordinate is not defined.
    wcs
        Of this axis alone; frame, rest frequency and the like are in it.
    """

    ctype: str
    centers: Floats
    edges: Floats
    wcs: WCS


@lru_cache(maxsize=512)
def axes_in(wcs_text: str, shape: tuple[int, ...]) -> tuple[Axis, ...]:
    """Tell what the axes of an image are, celestial ones left out.

    Parameters
    ----------
    wcs_text
        Cards of the WCS, 80 characters each.
    shape
        In numpy order.
    """
    header = _header(wcs_text)
    axes = []
    for number, length in enumerate(reversed(shape)):
        ctype = str(value_of(header, f"CTYPE{number + 1}", "")).strip().upper()
        if not re.match(r"(RA|DEC|[GEHS]LON|[GEHS]LAT|[A-Z]{2}L[NT])-", ctype):
            axes.append(Axis(number, _kind(ctype), ctype, length))
    return tuple(axes)


def the_axis(kind: Kind, wcs_text: str, shape: tuple[int, ...]) -> Axis | None:
    """Find the axis of a kind that divides the image: of more than one pixel, of several the first."""
    if len(shape) < 3:
        return None
    return next((axis for axis in axes_in(wcs_text, shape) if axis.kind == kind and axis.length > 1), None)


def axes_to_cut(wcs_text: str, shape: tuple[int, ...]) -> tuple[Axis, ...]:
    """Find the axes that BAND, TIME and POL can cut."""
    found = (the_axis(kind, wcs_text, shape) for kind in ("spectral", "time", "stokes"))
    return tuple(axis for axis in found if axis is not None)


def world_of(axis: Axis, wcs_text: str, tables: Tables) -> World:
    """World coordinates of the pixels of an axis.

    Raises
    ------
    ImageRefused
        If the header does not tell them, with the reason.
    """
    number = axis.number + 1
    if axis.length > MOST_PIXELS:
        raise ImageRefused(f"its axis {number} has {axis.length} pixels, and the limit is {MOST_PIXELS}")
    header = _header(wcs_text)
    ctype = _canonical(axis.ctype)
    lookup = ctype.endswith("-TAB")
    header[f"CTYPE{number}"] = ctype
    unit = header.get(f"CUNIT{number}")
    pixels = np.arange(axis.length * 2 + 1) / 2.0 + 0.5  # edges and centres in turn, 1-based
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            wcs = WCS(_without_tables(header), naxis=[number])
            values = np.asarray(wcs.wcs_pix2world(pixels[:, np.newaxis], 1))[:, 0]
        except Exception as error:  # wcslib's own errors have no common class
            raise ImageRefused(
                f"its axis {number} ({axis.ctype}) has no coordinates of its own: {_reason(error)}"
            ) from error
        if lookup:
            values = _looked_up(header, number, values, tables)
            header[f"CTYPE{number}"] = ctype[:-4].rstrip("-")
            wcs = _told_by(header, number)
            values = values * _si(wcs, unit)
    return World(str(wcs.wcs.ctype[0]), values[1::2], values[::2], wcs)


def is_separate(axis: Axis, wcs_text: str) -> bool:
    """Whether the pixels of an axis move along no other world axis, nor other pixels along its own."""
    number = str(axis.number + 1)
    header = _header(wcs_text)
    for key in header:
        match = re.fullmatch(r"(?:CD|PC)(\d+)_(\d+)", key)
        if match and match[1] != match[2] and number in match.groups() and number_of(header, key, 0.0):
            return False
    return True


def lookups(header: fits.Header, alternate: str = "") -> list[tuple[int, str, int]]:
    """Axes (1-based) given by a table, with the EXTNAME and the EXTVER of that."""
    found = []
    for key in header:
        match = re.fullmatch(rf"CTYPE(\d+){alternate}", key)
        if match and str(header[key]).strip().upper().endswith("-TAB"):
            name = str(header.get(f"PS{match[1]}_0{alternate}", "")).strip()
            found.append((int(match[1]), name, int(header.get(f"PV{match[1]}_1{alternate}", 1))))
    return found


def value_of(header: fits.Header, keyword: str, default: str | float) -> Any:
    """Value of a card, the default where it is missing or cannot be parsed."""
    try:
        value = header.get(keyword, default)
    except (fits.VerifyError, ValueError):
        return default
    return value if isinstance(value, str | int | float) else default


def number_of(header: fits.Header, keyword: str, default: float) -> float:
    """Value of a card that holds a number, else the default, as wcslib has it."""
    value = value_of(header, keyword, default)
    return default if isinstance(value, str | bool) else float(value)


def _header(wcs_text: str) -> fits.Header:
    header = fits.Header.fromstring(wcs_text)
    for key in [key for key in header if _SIP.match(key)]:
        del header[key]
    return header


def _kind(ctype: str) -> Kind:
    name = ctype.partition("-")[0]
    if name in _SPECTRAL or name in _OLD_NAMES or name == _VAGUE:
        return "spectral"
    if name in _TIME:
        return "time"
    return "stokes" if name == "STOKES" else "other"


def _canonical(ctype: str) -> str:
    name, dash, rest = ctype.partition("-")
    if name == _VAGUE:
        raise ImageRefused(f"its CTYPE {ctype!r} does not say which kind of velocity it is")
    if name in _TIME:
        name = "TIME"
    return _OLD_NAMES.get(name, name) + dash + rest


def _looked_up(header: fits.Header, number: int, places: Floats, tables: Tables) -> Floats:
    """Coordinates a table gives for places in it (Greisen et al. 2006, section 6.1), NaN beyond it."""
    name = str(header.get(f"PS{number}_0", "")).strip()
    version = int(header.get(f"PV{number}_1", 1))
    table = find(tables, "lookup", name, version)
    if table is None:
        raise ImageRefused(f"its file lacks the table {name!r} of the axis {number}")
    coordinates = column(table, str(header.get(f"PS{number}_1", "")).strip())
    index_name = str(header.get(f"PS{number}_2", "")).strip()
    if index_name:
        index = column(table, index_name)
        if index.size != coordinates.size:
            raise ImageRefused(f"the index of the table {name!r} is of another length than its coordinates")
        places = _place_in(index, places)
    if coordinates.size == 1:
        return np.where((places >= 0.5) & (places <= 1.5), coordinates[0], np.nan)
    cell = np.clip(np.floor(places).astype(int), 1, coordinates.size - 1)
    values = coordinates[cell - 1] + (places - cell) * (coordinates[cell] - coordinates[cell - 1])
    return np.where((places >= 0.5) & (places <= coordinates.size + 0.5), values, np.nan)


def _place_in(index: Floats, values: Floats) -> Floats:
    """Places (1-based) of values among monotonic ones; half a cell beyond either end still has one."""
    if index.size == 1:
        return np.ones_like(values)
    if not (np.all(np.diff(index) >= 0) or np.all(np.diff(index) <= 0)):
        raise ImageRefused("the index of its table is not monotonic")
    sign = 1.0 if index[-1] >= index[0] else -1.0
    cell = np.clip(np.searchsorted(sign * index, sign * values, side="right"), 1, index.size - 1)
    step = index[cell] - index[cell - 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(step == 0.0, cell, cell + (values - index[cell - 1]) / step))


def _without_tables(header: fits.Header) -> fits.Header:
    """Make axes given by a table linear, in no unit: what comes out is the place in the table."""
    linear = header.copy()
    for number, _, _ in lookups(header):
        linear[f"CTYPE{number}"] = linear[f"CUNIT{number}"] = ""
        for key in [key for key in linear if re.fullmatch(rf"P[SV]{number}_\d+", key)]:
            del linear[key]
    return linear


def _told_by(header: fits.Header, number: int) -> WCS:
    """WCS of an axis as if it were linear, for what else it says: frame, rest frequency, unit."""
    try:
        wcs = WCS(_without_tables(header), naxis=[number])
        wcs.wcs.set()
    except Exception as error:  # as above
        raise ImageRefused(f"its axis {number} is not valid: {_reason(error)}") from error
    return wcs


def _si(wcs: WCS, unit: str | None) -> float:
    """Factor from the unit of a table to the one wcslib would turn the axis to."""
    from astropy import units as u

    try:
        return float(u.Unit(unit).to(wcs.wcs.cunit[0])) if unit else 1.0
    except (ValueError, TypeError) as error:
        raise ImageRefused(f"its unit {unit!r} is not one of this coordinate") from error


def find(tables: Tables, kind: str, name: str = "", version: int | None = None) -> SideTable | None:
    """Table of a kind, by name (in any case) and version where given."""
    for table in tables:
        named = not name or table.name.upper() == name.upper()
        if table.kind == kind and named and version in (None, table.version):
            return table
    return None


def lower_and_upper(world: Floats, centers: Floats) -> tuple[Floats, Floats]:
    """Smallest and largest of each pixel's two edges and its centre; NaN where none is known.

    Parameters
    ----------
    world
        Edges, shape ``(n + 1,)``.
    centers
        Shape ``(n,)``.
    """
    three = np.stack([world[:-1], centers, world[1:]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # "All-NaN slice": that is the answer
        return np.nanmin(three, axis=0), np.nanmax(three, axis=0)


def touched(lower: Floats, upper: Floats, low: float, high: float) -> tuple[int, int] | None:
    """First and end (half-open) of the pixels that an interval reaches into; None where it reaches none.

    A pixel that it only touches at an edge does not count, as on the sky. Of a single value it is the one
    pixel that holds it; on the edge of two, the one that begins there.

    Parameters
    ----------
    lower, upper
        Limits of each pixel, shape ``(n,)``.
    low, high
        Limits of the interval, possibly infinite.
    """
    with np.errstate(invalid="ignore"):
        point = np.isfinite(lower) & (lower == upper)
        if low == high:
            last = (low == upper) & (upper == np.nanmax(upper))
            inside = (lower <= low) & ((low < upper) | last) & ~point | point & (lower == low)
        else:
            inside = (lower < high) & (upper > low) & ~point | point & (lower >= low) & (upper <= high)
    found = np.flatnonzero(inside)
    if not found.size:
        return None
    if low == high:
        return int(found[0]), int(found[0]) + 1
    # Limits that are meant to be those of pixels may be theirs but for rounding.
    lower, upper = lower[found], upper[found]
    with np.errstate(invalid="ignore"):  # an infinite channel has no part of itself
        reach = np.minimum(upper, high) - np.maximum(lower, low) > CONTACT_PX * (upper - lower)
    reached = found[reach | point[found] | ~np.isfinite(upper)]
    found = reached if reached.size else found[:1]
    return int(found[0]), int(found[-1]) + 1


def _reason(error: Exception) -> str:
    known = {
        "NonseparableSubimageCoordinateSystemError": "it is coupled with another axis",
        "SingularMatrixError": "its matrix is singular",
    }
    text = str(error).strip().splitlines()
    return known.get(type(error).__name__, text[-1] if text else "unreadable")


def is_open(low: float, high: float) -> bool:
    """Whether an interval restricts nothing."""
    return math.isinf(low) and math.isinf(high) and low < high
