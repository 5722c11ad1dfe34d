"""Time and polarization of an image, as its header tells them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from astropy.io import fits
from astropy.time import Time

from surveys.cube.extent import states_of
from surveys.index.fitsfile import card_number, card_value
from surveys.survey import Survey, TimeCards

_SECONDS_A_DAY = 86400.0
# Moments that belong to a coadd say so by their name; MJD-OBS in a coadd is that of one of its inputs.
_STARTS = ("MJD-BEG", "DATE-BEG", "MJDMIN", "MJDSTART")
_ENDS = ("MJD-END", "DATE-END", "MJDMAX", "MJDEND")
_EXPOSURE_STARTS = (*_STARTS, "MJD-OBS", "DATE-OBS")
_EXPTIMES = ("EXPTIME", "XPOSURE", "EXPOSURE", "TEXPTIME", "TELAPSE")
_MIDDLES = ("MJD-AVG", "DATE-AVG", "MJD-MID")

_ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)(T\d\d:\d\d(:\d\d(\.\d*)?)?Z?)?\Z")
_OLD = re.compile(r"(\d\d)/(\d\d)/(\d\d)\Z")
_SCALES = {"UTC": "utc", "TAI": "tai", "TT": "tt", "TDT": "tt", "TDB": "tdb", "TCB": "tcb", "TCG": "tcg"}


@dataclass(frozen=True, slots=True)
class Times:
    """When an image was taken (MJD, UTC) and how long it was exposed (s); None where that is unknown."""

    t_min: float | None = None
    t_max: float | None = None
    t_exptime: float | None = None


def times_of(header: fits.Header, survey: Survey) -> Times:
    """Find the times of an image by the cards the survey declares, else by the usual ones.

    The usual cards of a single observation (MJD-OBS, DATE-OBS) are taken for exposures only.
    """
    declared = survey.time
    single = survey.kind == "exposures"
    starts = (declared.t_min,) if declared.t_min else _EXPOSURE_STARTS if single else _STARTS
    ends = (declared.t_max,) if declared.t_max else _ENDS
    start = _first_moment(header, starts)
    end = _first_moment(header, ends)
    exptime = _exptime(header, declared)
    days = None if exptime is None else exptime / _SECONDS_A_DAY
    if start is None and single and days is not None:
        middle = _first_moment(header, _MIDDLES)
        start = None if middle is None else middle - days / 2
    if end is None and single and start is not None and days is not None:
        end = start + days
    if start is None or end is None or end < start:
        # Half an interval, or one that runs backwards, would filter wrongly: it counts as unknown.
        return Times(None, None, exptime)
    return Times(start, end, exptime)


def pol_states_of(header: fits.Header, shape: tuple[int, ...], survey: Survey) -> tuple[str, ...]:
    """Polarization states along the STOKES axis in its order, else those declared."""
    return states_of(header, shape) or survey.pol_states


def _exptime(header: fits.Header, declared: TimeCards) -> float | None:
    for keyword in (declared.exptime,) if declared.exptime else _EXPTIMES:
        seconds = card_number(header, keyword)
        if seconds is not None and seconds >= 0:
            return seconds
    return None


def _first_moment(header: fits.Header, keywords: tuple[str, ...]) -> float | None:
    for keyword in keywords:
        moment = _moment(header, keyword)
        if moment is not None:
            return moment
    return None


def _moment(header: fits.Header, keyword: str) -> float | None:
    """MJD (UTC) a card tells: a number is MJD, a text an ISO date or the old ``dd/mm/yy``."""
    value = card_value(header, keyword)
    scale = _SCALES.get(str(card_value(header, "TIMESYS") or "UTC").strip().upper())
    if scale is None or value is None or isinstance(value, bool):
        return None
    if isinstance(value, str):
        text = value.strip()
        if old := _OLD.match(text):
            text = f"19{old[3]}-{old[2]}-{old[1]}"
        if not _ISO.match(text):
            return None
        try:
            return _utc_mjd(Time(text.rstrip("Z"), scale=scale, format="isot" if "T" in text else "iso"))
        except ValueError:
            return None
    # 0 stands for "unknown" in many headers; beyond, it is no MJD but a JD or something else.
    if not math.isfinite(value) or not 0 < value < 200_000:
        return None
    return _utc_mjd(Time(value, format="mjd", scale=scale))


def _utc_mjd(time: Time) -> float:
    return float(time.utc.mjd)
