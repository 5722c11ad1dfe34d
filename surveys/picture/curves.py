"""Curves from brightness to level, and the cuts between which brightness is measured.

Every curve rises from 0 at 0 to 1 at 1. It is given by its inverse: a level begins where the curve passes the
middle between it and the level below, so that a pixel has the level nearest to the curve's value, exactly.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from surveys.kernels.picture import STEPS
from surveys.request import Cuts

Floats = NDArray[np.float64]

#: The scale of the logarithm: as in DS9.
LOG_SCALE = 1000.0

#: Softening of asinh, as a part of the range between the cuts, where nothing else is said.
ASINH_SOFTENING = 0.1

#: Of screens: STIFF writes brightness to this power.
SCREEN = 1 / 2.2

#: zscale: numbers of IRAF's display, which DS9 has too.
_SAMPLES, _CONTRAST, _REJECT, _LEAST, _SIGMAS, _ROUNDS = 1000, 0.25, 0.5, 5, 2.5, 5


@lru_cache(maxsize=64)
def curve(stretch: str, parameter: float = 0.0) -> tuple[Floats, NDArray[np.uint8]]:
    """Levels of a curve, for the kernels.

    Parameters
    ----------
    stretch
        ``linear``: x; ``sqrt``: √x; ``log``: log(1000 x + 1) / log 1001; ``asinh``: asinh(x/a) / asinh(1/a);
        ``power``: x to the power p.
    parameter
        a, p.
    """
    y: Floats = np.linspace(0.5, 254.5, 255) / 255.0
    x: Floats
    with np.errstate(under="ignore"):
        match stretch:
            case "linear":
                x = y
            case "sqrt":
                x = y**2
            case "log":
                x = np.expm1(y * math.log1p(LOG_SCALE)) / LOG_SCALE
            case "asinh":
                # a so small that sinh would overflow is a logarithm
                x = np.exp(np.log(parameter) + _log_sinh(y * math.asinh(1.0 / parameter)))
            case "power":
                x = y ** (1.0 / parameter)
            case _:
                raise ValueError(f"unknown stretch {stretch!r}")
    return thresholds(x)


def thresholds(curve_inverse: Floats) -> tuple[Floats, NDArray[np.uint8]]:
    """Prepare a rising curve for `shade` and `stiff`.

    Parameters
    ----------
    curve_inverse
        Where the curve has 0.5/255, 1.5/255 … 254.5/255, shape (255,), rising.

    Returns
    -------
    limits
        Shape (256,): brightness from which a pixel has level 1, 2 … 255, and infinity.
    starts
        Shape (STEPS + 1,): level at the lower end of each step of brightness from 0 to 1.
    """
    limits = np.append(curve_inverse, np.inf)
    starts = np.searchsorted(limits, np.arange(STEPS + 1) / STEPS, side="right")
    return limits, starts.astype(np.uint8)


def _log_sinh(x: Floats) -> Floats:
    return np.asarray(x + np.log(-np.expm1(-2.0 * x)) - math.log(2.0))


def limits_of(values: NDArray[np.float32], cuts: Cuts) -> tuple[float, float]:
    """Values of black and white.

    Parameters
    ----------
    values
        Pixels; those that are not finite do not count.
    cuts
        ``values`` are returned as they are.

    Returns
    -------
    black, white
        Different even where all pixels are equal or none has data.
    """
    if cuts.kind == "values":
        return cuts.low, cuts.high
    known = values[np.isfinite(values)]
    if known.size == 0:
        return 0.0, 1.0
    if cuts.kind == "percent":
        black, white = (float(one) for one in np.percentile(known.astype(np.float64), (cuts.low, cuts.high)))
    else:
        black, white = zscale(known)
    return (black, white) if white > black else (black, black + (abs(black) or 1.0))


def zscale(known: NDArray[np.float32]) -> tuple[float, float]:
    """Black and white by the algorithm zscale of IRAF.

    A line is fitted to a sorted sample of the pixels, without those far from it, and made steeper: faint
    structures about the median fill the range.

    Parameters
    ----------
    known
        Pixels with data, one at least, in the order of the image.
    """
    sample = np.sort(known[:: max(1, known.size // _SAMPLES)][:_SAMPLES].astype(np.float64))
    black, white, count = float(sample[0]), float(sample[-1]), sample.size
    at_least = max(_LEAST, int(count * _REJECT))
    grow = np.ones(max(1, int(count * 0.01)), bool)
    rank = np.arange(count)
    good, before, slope = np.ones(count, bool), count + 1, 0.0
    left = count
    for _ in range(_ROUNDS):
        if left >= before or left < at_least:
            break
        slope, start = np.polyfit(rank, sample, 1, w=good.astype(int))
        away = sample - (start + slope * rank)
        limit = _SIGMAS * away[good].std()
        good &= np.abs(away) <= limit
        good = ~np.convolve(~good, grow, mode="same")
        before, left = left, int(good.sum())
    if left >= at_least:
        slope /= _CONTRAST
        middle, median = (count - 1) // 2, float(np.median(sample))
        black = max(black, median - (middle - 1) * float(slope))
        white = min(white, median + (count - middle) * float(slope))
    return black, white
