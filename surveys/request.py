"""Everything a client asked for, already valid and frozen."""

from __future__ import annotations

from dataclasses import dataclass

from surveys.sky.stencil import Stencil


@dataclass(frozen=True, slots=True)
class Interval:
    """A closed interval; an open end is an infinity."""

    lower: float
    upper: float

    def overlaps(self, lower: float, upper: float) -> bool:
        """Whether it has a point in common with the closed interval ``[lower, upper]``."""
        return self.lower <= upper and lower <= self.upper


@dataclass(frozen=True, slots=True)
class CutoutRequest:
    """One cutout: which dataset, which part of it, which product.

    Parameters
    ----------
    dataset
        What follows ``?`` in the publisher DID: ``survey``, ``survey/band``, ``survey/band/image`` or
        ``survey/band/image/weight``, as the client wrote it (look-up ignores case).
    stencil
        ICRS region, or None for the whole image.
    band_m
        Vacuum wavelength interval, metres.
    time_mjd
        Time interval, MJD (UTC).
    pol
        Polarization states, one filter (their union); empty for none.
    filters
        Band labels of the survey (``g``), one filter (their union); empty for none.
    mask
        Blank the pixels of the box whose centres lie outside the stencil.
    checksum
        Write CHECKSUM and DATASUM.
    canonical
        The request in its canonical spelling (``sync?ID=…&CIRCLE=…``), for the card CUT_URL; no host.
    """

    dataset: str
    stencil: Stencil | None = None
    band_m: Interval | None = None
    time_mjd: Interval | None = None
    pol: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    mask: bool = False
    checksum: bool = False
    canonical: str = ""
