"""What the axes of a cube cover altogether: wavelengths, times and polarizations, for its scalar metadata."""

from __future__ import annotations

import numpy as np
from astropy.io import fits

from surveys.cube.axes import Floats, Tables, the_axis, value_of
from surveys.cube.spectral import C_M_S, SUN_IN_LSRK_M_S, channels_of, lsrk_to_barycentre
from surveys.cube.stokes import MOST_STATES, states_along
from surveys.cube.times import moments_of
from surveys.errors import ImageRefused
from surveys.sky.wcs import CelestialWcs


def wavelengths_of(
    wcs_text: str, shape: tuple[int, ...], tables: Tables, wcs: CelestialWcs
) -> tuple[float, float] | None:
    """Shortest and longest wavelength of the channels of an image, vacuum, barycentric, metres.

    None where it has no axis of several channels, or that does not tell. From the local standard of rest
    they are converted for every direction in the image.
    """
    axis = the_axis("spectral", wcs_text, shape)
    if axis is None:
        return None
    try:
        channels = channels_of(axis, wcs_text, tables)
    except ImageRefused:
        return None
    low, high = _limits(channels.lower, channels.upper)
    if channels.frame == "LSRK":
        factors = _factors(wcs)
        low, high = low * min(factors), high * max(factors)
    return (low, high) if 0.0 < low <= high < np.inf else None


def times_of_axis(wcs_text: str, shape: tuple[int, ...], tables: Tables) -> tuple[float, float] | None:
    """Begin and end of a time axis of several pixels, MJD (UTC); None as above."""
    axis = the_axis("time", wcs_text, shape)
    if axis is None:
        return None
    try:
        begin, end = _limits(*moments_of(axis, wcs_text, tables))
    except ImageRefused:
        return None
    return (begin, end) if np.isfinite(begin + end) else None


def states_of(header: fits.Header, shape: tuple[int, ...]) -> tuple[str, ...]:
    """Polarization states along the STOKES axis of an image, in its order; () where unknown."""
    for number in range(len(shape)):
        if str(value_of(header, f"CTYPE{number + 1}", "")).strip().upper() == "STOKES":
            length = shape[-1 - number]
            states = states_along(header, number, length) if length <= MOST_STATES else ()
            return states if all(states) else ()
    return ()


def _limits(lower: Floats, upper: Floats) -> tuple[float, float]:
    lower, upper = lower[np.isfinite(lower)], upper[np.isfinite(upper)]
    return (float(lower.min()), float(upper.max())) if lower.size and upper.size else (np.nan, np.nan)


def _factors(wcs: CelestialWcs) -> list[float]:
    """Factors from LSRK to the barycentre at the corners, edges and centre of an image."""
    x, y = np.meshgrid(np.linspace(-0.5, wcs.nx - 0.5, 3), np.linspace(-0.5, wcs.ny - 0.5, 3))
    vectors = wcs.to_sky(x.ravel(), y.ravel())
    if np.isfinite(vectors).all() and np.min(vectors @ vectors.T) > 0.8:
        return [lsrk_to_barycentre((float(v[0]), float(v[1]), float(v[2]))) for v in vectors]
    # a large part of the sky, or an image with corners beyond it: any direction
    speed = float(np.linalg.norm(SUN_IN_LSRK_M_S)) / C_M_S
    return [1.0 - speed, 1.0 + speed]
