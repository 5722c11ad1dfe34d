"""From the coordinates of a spectral axis to vacuum wavelengths at the barycentre of the solar system.

Formulas are those of Greisen et al. 2006, A&A 446, 747 (FITS Paper III), table 3 and section 4; wcslib
applies the algorithms by which the axes themselves are non-linear (-LOG, F2W and the like).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from astropy.io import fits

from surveys.cube.axes import Axis, Floats, Tables, World, find, lower_and_upper, world_of
from surveys.cube.tables import column
from surveys.errors import ImageRefused
from surveys.image import SideTable
from surveys.sky.sphere import Vector

C_M_S = 299_792_458.0
H_J_S = 6.626_070_15e-34

#: Velocity of the Sun in the local standard of rest (LSRK): 20 km/s towards 18h +30d (B1900), ICRS axes
#: (Gordon 1975, Methods of Experimental Physics 12C, 281).
SUN_IN_LSRK_M_S: Vector = (289.99706839034606, -17317.264789717928, 10001.41199546947)

#: What VELREF says of the frame where SPECSYS is missing (AIPS), without its 256 for radio velocities.
_VELREF = {1: "LSRK", 2: "HELIOCEN", 3: "TOPOCENT"}


@dataclass(frozen=True, slots=True, eq=False)
class Channels:
    """Vacuum wavelengths of channels, metres, in the frame of the header.

    `lower` and `upper` have the shape ``(n,)``; `frame` is SPECSYS, "" where unknown.
    """

    lower: Floats
    upper: Floats
    frame: str

    def barycentric(self, direction: Vector | None) -> tuple[Floats, Floats]:
        """Limits of each channel at the barycentre.

        Parameters
        ----------
        direction
            Of the source, ICRS; without it, and in frames that are not converted, they are as they are.
        """
        factor = 1.0
        if self.frame == "LSRK" and direction is not None:
            factor = lsrk_to_barycentre(direction)
        return self.lower * factor, self.upper * factor

    def remark(self, direction: Vector | None) -> str:
        """Tell what a user should know of the frame; "" if there is nothing. `direction` as above."""
        if self.frame == "BARYCENT" or (self.frame == "LSRK" and direction is not None):
            return ""
        if not self.frame:
            return "BAND: no SPECSYS in the header; the axis is taken as barycentric"
        return f"BAND: the spectral axis is {self.frame}, not converted to barycentric"


def lsrk_to_barycentre(direction: Vector) -> float:
    """Factor from a wavelength in the local standard of rest to that at the barycentre."""
    beta = sum(v * n for v, n in zip(SUN_IN_LSRK_M_S, direction, strict=True)) / C_M_S
    return math.sqrt((1.0 - beta) / (1.0 + beta))


@lru_cache(maxsize=64)
def channels_of(axis: Axis, wcs_text: str, tables: Tables) -> Channels:
    """Wavelengths of the channels of a spectral axis.

    Raises
    ------
    ImageRefused
        If they cannot be told, with the reason: a velocity without a rest frequency, for one.
    """
    if axis.ctype.startswith("ENER") and (bounds := find(tables, "bounds")) is not None:
        return _by_bounds(bounds, axis.length)
    world = world_of(axis, wcs_text, tables)
    edges, centers = (wavelengths(world, values) for values in (world.edges, world.centers))
    lower, upper = lower_and_upper(edges, centers)
    return Channels(lower, upper, _frame(world, wcs_text))


def wavelengths(world: World, values: Floats) -> Floats:
    """Vacuum wavelengths, metres, of coordinates of a spectral axis.

    Infinite where a frequency or an energy is not positive, NaN where there is no such wavelength.
    """
    kind = world.ctype[:4]
    with np.errstate(divide="ignore", invalid="ignore"):
        match kind:
            case "WAVE":
                return values
            case "AWAV":
                return vacuum(values)
            case "FREQ":
                return _inverse(C_M_S, values)
            case "AFRQ":
                return _inverse(2.0 * math.pi * C_M_S, values)
            case "ENER":
                return _inverse(H_J_S * C_M_S, values)
            case "WAVN":
                return _inverse(1.0, values)
        rest_m = _rest_wavelength(world)
        match kind:
            case "VRAD":
                return _inverse(rest_m, 1.0 - values / C_M_S)
            case "VOPT":
                return rest_m * (1.0 + values / C_M_S)
            case "ZOPT":
                return rest_m * (1.0 + values)
            case "VELO" | "BETA":
                beta = values / C_M_S if kind == "VELO" else values
                return np.asarray(rest_m * np.sqrt((1.0 + beta) / (1.0 - beta)))
    raise ImageRefused(f"its spectral axis is of an unknown type, {world.ctype!r}")


def vacuum(air_m: Floats) -> Floats:
    """Vacuum wavelengths of wavelengths in air, metres, as wcslib has them.

    Greisen et al. 2006, equation 65, the index of refraction taken at the wavelength in air.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        s = 1.0 / air_m**2
        return np.asarray(air_m * (1.000064328 + 2.554e8 / (0.41e14 - s) + 294.981e8 / (1.46e14 - s)))


def _inverse(numerator: float, values: Floats) -> Floats:
    return np.asarray(np.where(values > 0.0, numerator / values, np.where(np.isnan(values), np.nan, np.inf)))


def _rest_wavelength(world: World) -> float:
    frequency, wavelength = world.wcs.wcs.restfrq, world.wcs.wcs.restwav
    if wavelength > 0.0:
        return float(wavelength)
    if frequency > 0.0:
        return C_M_S / float(frequency)
    raise ImageRefused(
        f"its spectral axis is a velocity ({world.ctype}) and its header has neither RESTFRQ nor RESTWAV"
    )


def _frame(world: World, wcs_text: str) -> str:
    frame = str(world.wcs.wcs.specsys).strip().upper()
    if frame:
        return {"LSR": "LSRK", "BARY": "BARYCENT", "TOPO": "TOPOCENT"}.get(frame, frame)
    velref = fits.Header.fromstring(wcs_text).get("VELREF")
    return _VELREF.get(velref & 255, "") if isinstance(velref, int) and world.ctype[:4] != "WAVE" else ""


def _by_bounds(table: SideTable, length: int) -> Channels:
    """Limits of channels as EBOUNDS gives them (OGIP memo CAL/GEN/92-002), usually in keV."""
    names = {name.upper(): name for name in _column_names(table)}
    if not {"E_MIN", "E_MAX"} <= names.keys():
        raise ImageRefused(f"its table {table.name!r} has no columns E_MIN and E_MAX")
    limits = []
    for name in ("E_MIN", "E_MAX"):
        joules = column(table, names[name]) * _joules(table, names[name])
        if joules.size != length:
            raise ImageRefused(f"its table {table.name!r} has {joules.size} rows for {length} channels")
        with np.errstate(divide="ignore"):
            limits.append(_inverse(H_J_S * C_M_S, joules))
    return Channels(np.minimum(*limits), np.maximum(*limits), "BARYCENT")


def _column_names(table: SideTable) -> list[str]:
    from surveys.cube.tables import open_table

    return list(open_table(table).columns.names)


def _joules(table: SideTable, name: str) -> float:
    from astropy import units as u

    from surveys.cube.tables import open_table

    unit = open_table(table).columns[name].unit
    try:
        return float(u.Unit(re.sub(r"(?i)\Akev\Z", "keV", unit or "keV")).to(u.J))
    except (ValueError, TypeError) as error:
        raise ImageRefused(f"its table {table.name!r} is in the unit {unit!r}, which is no energy") from error
