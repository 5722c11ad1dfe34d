"""Times along a time axis, as MJD (UTC)."""

from __future__ import annotations

import math
import warnings
from functools import lru_cache

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.time import Time

from surveys.cube.axes import Axis, Floats, Tables, lower_and_upper, number_of, value_of, world_of
from surveys.errors import ImageRefused

_SCALES = {
    "UTC": "utc",
    "GMT": "utc",
    "TAI": "tai",
    "IAT": "tai",
    "TT": "tt",
    "TDT": "tt",
    "ET": "tt",
    "TDB": "tdb",
    "TCB": "tcb",
    "TCG": "tcg",
    "UT1": "ut1",
}

_JD_OF_MJD = 2_400_000.5


@lru_cache(maxsize=64)
def moments_of(axis: Axis, wcs_text: str, tables: Tables) -> tuple[Floats, Floats]:
    """Begin and end of each pixel of a time axis, MJD (UTC), shape ``(n,)`` each.

    Raises
    ------
    ImageRefused
        If they cannot be told, with the reason.

    Notes
    -----
    FITS 4.0, section 9: value in CUNIT (seconds) since MJDREF, JDREF or DATEREF (MJD 0), in the scale that
    CTYPE or TIMESYS (UTC) names; TIMEOFFS, in TIMEUNIT, is added.
    """
    world = world_of(axis, wcs_text, tables)
    header = fits.Header.fromstring(wcs_text)
    name = axis.ctype.partition("-")[0]
    scale = name if name != "TIME" else str(value_of(header, "TIMESYS", "UTC")).strip().upper()
    if scale not in _SCALES:
        raise ImageRefused(f"its times are in a scale that is not known, {scale!r}")
    of_all = str(value_of(header, "TIMEUNIT", "s"))
    days = _days(str(world.wcs.wcs.cunit[0]) or of_all)
    start = _reference_mjd(world.wcs.wcs.mjdref, header)
    if offset := number_of(header, "TIMEOFFS", 0.0):
        start += offset * _days(of_all)
    edges, centers = (
        _utc_mjd(start, values * days, _SCALES[scale]) for values in (world.edges, world.centers)
    )
    return lower_and_upper(edges, centers)


def _days(unit: str) -> float:
    try:
        return float(u.Unit(unit).to(u.day))
    except (ValueError, TypeError) as error:
        raise ImageRefused(f"its unit of time is not known, {unit!r}") from error


def _reference_mjd(mjdref: Floats, header: fits.Header) -> float:
    """Moment that times are counted from; wcslib has it of all cards but JDREF, and 0 without any."""
    found = math.fsum(float(part) for part in mjdref if math.isfinite(part))
    return found or number_of(header, "JDREF", _JD_OF_MJD) - _JD_OF_MJD


def _utc_mjd(start: float, days: Floats, scale: str) -> Floats:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "dubious year": leap seconds of the future are not known
        if scale == "utc":
            return start + days
        try:
            return np.asarray(Time(start, days, format="mjd", scale=scale).utc.mjd)
        except Exception as error:  # what erfa and astropy raise for times out of their range
            raise ImageRefused("its times are none that a calendar has") from error
