"""``/position``: a place on the sky, as somebody wrote it, in all the ways in which it is written."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from flask import Blueprint, Response, request

from dali.coordinates import parse_position
from dali.errors import UsageError, quoted
from dali.parameters import refuse_unknown
from dali.responses import JSON
from dali.views import read_parameters
from dali.xtypes import latitude, longitude, parse_number

MOST_CHARACTERS = 100
_GALACTIC = re.compile(r"(?:gal(?:actic)?\.?\s+|[lL]\s*=\s*)(.+)", re.IGNORECASE)
_NAME = re.compile(r"[JB]?(\d{2})(\d{2})(\d{2}(?:\.\d+)?)([+\-−])(\d{2})(\d{2})(\d{2}(?:\.\d+)?)?")
_DECIMALS = 7


@dataclass(frozen=True, slots=True)
class Place:
    """A place on the sky.

    Parameters
    ----------
    ra_deg, dec_deg
        ICRS, degrees.
    understood
        How it was read: ``equatorial``, ``galactic`` or ``name``.
    """

    ra_deg: float
    dec_deg: float
    understood: str

    @property
    def sexagesimal(self) -> str:
        """Hours and degrees: ``10:00:24.000 +02:12:00.00``."""
        from astropy.coordinates import Angle

        ra, dec = Angle(self.ra_deg, "deg"), Angle(self.dec_deg, "deg")
        first = ra.to_string("hour", sep=":", precision=3, pad=True)
        # What is rounded up to a whole turn begins anew.
        first = first.replace("24:00:00.000", "00:00:00.000")
        return f"{first} {dec.to_string('deg', sep=':', precision=2, pad=True, alwayssign=True)}"

    @property
    def decimal(self) -> str:
        """Degrees, as parameters take them."""
        return f"{_short(self.ra_deg)} {_short(self.dec_deg)}"

    def told(self) -> dict[str, object]:
        """All of it, as JSON has it."""
        from astropy.coordinates import SkyCoord, get_constellation

        # Imported here: it takes longer than most requests, and few processes need it.
        sky = SkyCoord(self.ra_deg, self.dec_deg, unit="deg")
        galactic = sky.galactic
        return {
            "ra": round(self.ra_deg, _DECIMALS),
            "dec": round(self.dec_deg, _DECIMALS),
            "decimal": self.decimal,
            "sexagesimal": self.sexagesimal,
            "galactic": [round(float(galactic.l.deg), 5), round(float(galactic.b.deg), 5)],
            "constellation": str(get_constellation(sky)),
            "understood": self.understood,
        }


def parse_place(text: str, name: str = "TEXT") -> Place:
    """Read a place: degrees, hours and degrees, ``J100024.0+021200``, or ``gal 236.8 42.1``.

    Raises
    ------
    UsageError
        If it is none, or can be read in two ways.
    """
    text = text.strip()
    if len(text) > MOST_CHARACTERS:
        raise UsageError(f"{name} has {MOST_CHARACTERS} characters at most; got {len(text)}")
    if found := _NAME.fullmatch(text):
        hours, minutes, seconds, sign, degrees, arcmin, arcsec = found.groups()
        written = f"{hours}:{minutes}:{seconds} {sign}{degrees}:{arcmin}:{arcsec or '0'}"
        return Place(*parse_position(written, name), "name")
    if found := _GALACTIC.fullmatch(text):
        return _galactic(found[1], name, text)
    return Place(*parse_position(text, name), "equatorial")


def make_blueprint() -> Blueprint:
    """Make the resource."""
    blueprint = Blueprint("position", __name__)

    @blueprint.get("/position")
    def show() -> Response:
        parameters = read_parameters(request)
        for fault in refuse_unknown(parameters, frozenset({"TEXT"}), ("TEXT",)):
            raise fault
        text = parameters.one("TEXT")
        if not text:
            raise UsageError("TEXT is missing: a place on the sky", "Write TEXT=10:00:24 +02:12:00.")
        answer = Response(json.dumps(parse_place(text).told()), content_type=JSON)
        answer.headers["Cache-Control"] = "public, max-age=86400"
        return answer

    return blueprint


def _galactic(text: str, name: str, whole: str) -> Place:
    from astropy.coordinates import SkyCoord

    numbers = re.sub(r"[bB]\s*=", " ", text).replace(",", " ").replace("−", "-").split()
    if len(numbers) != 2:
        raise UsageError(f"{name} has a galactic longitude and a latitude; got {quoted(whole)}")
    lon, lat = longitude(parse_number(numbers[0], name), name), latitude(parse_number(numbers[1], name), name)
    sky = SkyCoord(lon, lat, unit="deg", frame="galactic").icrs
    return Place(float(sky.ra.deg), float(sky.dec.deg), "galactic")


def _short(degrees: float) -> str:
    return f"{degrees:.{_DECIMALS}f}".rstrip("0").rstrip(".")
