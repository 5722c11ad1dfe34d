"""From the frame of an image to ICRS: one rotation for most frames, astropy's own steps for FK4."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from astropy import units
from astropy.coordinates import (
    FK4,
    ICRS,
    BarycentricMeanEcliptic,
    BaseCoordinateFrame,
    CartesianRepresentation,
    Galactic,
    Supergalactic,
    UnitSphericalRepresentation,
)
from astropy.time import Time
from astropy.wcs import WCS
from astropy.wcs.utils import wcs_to_celestial_frame

from surveys.errors import ImageRefused
from surveys.sky.sphere import Floats, normalized, ra_dec_deg, unit_vectors


@dataclass(frozen=True, slots=True, eq=False)
class SkyFrame:
    """The frame of an image's coordinates.

    Parameters
    ----------
    frame
        As astropy knows it.
    rotation
        Matrix that takes vectors of the frame to ICRS; None for FK4, whose E-terms are no rotation.
    """

    frame: BaseCoordinateFrame
    rotation: Floats | None

    def to_icrs(self, vectors: Floats) -> Floats:
        """Turn unit vectors of the frame into ICRS ones."""
        if self.rotation is None:
            return _through_astropy(vectors, self.frame, ICRS())
        return vectors @ self.rotation.T

    def from_icrs(self, vectors: Floats) -> Floats:
        """Turn ICRS unit vectors into those of the frame."""
        if self.rotation is None:
            return _through_astropy(vectors, ICRS(), self.frame)
        return vectors @ self.rotation


def frame_of(wcs: WCS) -> SkyFrame:
    """Frame of a celestial WCS.

    Raises
    ------
    ImageRefused
        If its coordinates are not on the celestial sphere, or RADESYS is not one of FITS 4.0, table 25.
    """
    core = wcs.wcs
    equinox = float(core.equinox)
    return _sky_frame(core.lngtyp.strip(), core.radesys.strip(), None if math.isnan(equinox) else equinox)


@lru_cache(maxsize=256)
def _sky_frame(longitude: str, radesys: str, equinox: float | None) -> SkyFrame:
    frame = _astropy_frame(longitude, radesys, equinox)
    if isinstance(frame, FK4):
        return SkyFrame(frame, None)
    axes = frame.realize_frame(CartesianRepresentation(np.eye(3) * units.one))
    return SkyFrame(frame, np.array(axes.transform_to(ICRS()).cartesian.xyz.value))


def _astropy_frame(longitude: str, radesys: str, equinox: float | None) -> BaseCoordinateFrame:
    # RADESYS says nothing about galactic coordinates, though many galactic images carry it
    if longitude == "GLON":
        return Galactic()
    if longitude == "SLON":
        return Supergalactic()
    try:
        if longitude == "ELON":
            return BarycentricMeanEcliptic(equinox=_epoch(radesys, equinox))
        if longitude != "RA":
            raise ImageRefused(f"its coordinates {longitude} are not on the celestial sphere")
        probe = WCS(naxis=2)
        probe.wcs.ctype = ["RA---TAN", "DEC--TAN"]
        probe.wcs.radesys = radesys
        if equinox is not None:
            probe.wcs.equinox = equinox
        return wcs_to_celestial_frame(probe)
    except ValueError as error:
        given = f"RADESYS {radesys!r}, EQUINOX {equinox}"
        raise ImageRefused(f"its frame is not known: {given}") from error


def _epoch(radesys: str, equinox: float | None) -> Time:
    if equinox is None:
        return Time("J2000")
    return Time(equinox, format="byear" if radesys.startswith("FK4") else "jyear")


def _through_astropy(vectors: Floats, source: Any, target: Any) -> Floats:
    lon, lat = ra_dec_deg(vectors)
    here = source.realize_frame(UnitSphericalRepresentation(lon * units.deg, lat * units.deg))
    there = here.transform_to(target).represent_as(UnitSphericalRepresentation)
    return normalized(unit_vectors(there.lon.deg, there.lat.deg))
