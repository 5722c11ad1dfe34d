"""Polarization states along a STOKES axis."""

from __future__ import annotations

import math
from collections.abc import Sequence

from astropy.io import fits

from surveys.cube.axes import number_of

#: Codes of FITS 4.0, table 29.
STATES = {1: "I", 2: "Q", 3: "U", 4: "V", -1: "RR", -2: "LL", -3: "RL", -4: "LR"} | {
    -5: "XX",
    -6: "YY",
    -7: "XY",
    -8: "YX",
}


#: A longer axis has codes that are none of these.
MOST_STATES = 16


def states_along(header: fits.Header, axis: int, length: int) -> tuple[str, ...]:
    """State of each plane, "" where its code is none of the standard.

    Parameters
    ----------
    header
        Of the image; its STOKES axis is linear, and separate from all others.
    axis, length
        Its 0-based FITS number, and how many planes it has.
    """
    number = axis + 1
    start, pixel = number_of(header, f"CRVAL{number}", 0.0), number_of(header, f"CRPIX{number}", 0.0)
    step = number_of(header, f"CD{number}_{number}", math.nan)
    if math.isnan(step):
        step = number_of(header, f"CDELT{number}", 1.0) * number_of(header, f"PC{number}_{number}", 1.0)
    codes = [start + step * (plane + 1 - pixel) for plane in range(length)]
    return tuple(
        STATES.get(round(code), "") if math.isfinite(code) and abs(code - round(code)) < 1e-6 else ""
        for code in codes
    )


def planes_of(wanted: Sequence[str], states: Sequence[str]) -> range | None:
    """Planes to take for some states: evenly spaced, as the coordinates of an axis are.

    None where none is wanted. Where the wanted ones are not evenly spaced (I, Q and V of I Q U V), the
    fewest evenly spaced planes that hold them all.
    """
    found = [plane for plane, state in enumerate(states) if state in wanted]
    if not found:
        return None
    step = math.gcd(*(plane - found[0] for plane in found)) or 1
    return range(found[0], found[-1] + 1, step)
