"""The nearest request that would be taken, for one that is refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

from dali import xtypes
from surveys.errors import RequestFault, TooLarge
from surveys.plan import CutoutPlan
from surveys.request import CutoutRequest
from surveys.sky.stencil import CenteredBox, Circle, Size, Stencil

#: A region is halved so often at most, then found to better than one per cent between the last two.
HALVINGS = 20
REFINEMENTS = 6

Plan = Callable[[CutoutRequest], CutoutPlan]


def nearest_size(request: CutoutRequest, plan: Plan) -> Mapping[str, str] | None:
    """Find the largest region of the same shape and place that is not too large, as parameters.

    Parameters
    ----------
    request
        Refused as too large.
    plan
        Plans a request within the limits.

    Returns
    -------
    Mapping or None
        None where the region cannot be made smaller by one number, or no smaller one is taken either.
    """

    def fits(share: float) -> bool | None:
        stencil = _shrunk(request.stencil, share)
        if stencil is None:
            return None
        try:
            plan(replace(request, stencil=stencil))
        except TooLarge:
            return False
        except RequestFault:
            return None
        return True

    if fits(1.0) is not False:
        return None
    low, high = 0.5, 1.0
    for _ in range(HALVINGS):
        if (verdict := fits(low)) is not False:
            break
        low, high = low / 2.0, low
    if verdict is not True:
        return None
    for _ in range(REFINEMENTS):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if fits(middle) else (low, middle)
    return _spelled(_shrunk(request.stencil, low))


def _shrunk(stencil: Stencil | None, share: float) -> Stencil | None:
    """Make a region smaller, its numbers rounded down to three digits; None if it cannot be."""
    match stencil:
        case CenteredBox(size=Size(width, height, in_pixels)):
            sides = (_rounded(width * share, in_pixels), _rounded(height * share, in_pixels))
            return None if 0.0 in sides else replace(stencil, size=Size(*sides, in_pixels))
        case Circle():
            return replace(stencil, radius_deg=_rounded(stencil.radius_deg * share, whole=False))
        case _:
            return None


def _rounded(value: float, whole: bool) -> float:
    if whole:
        return float(math.floor(value))
    step = 10.0 ** (math.floor(math.log10(value)) - 2)
    return float(f"{math.floor(value / step) * step:.3g}")


def _spelled(stencil: Stencil | None) -> Mapping[str, str] | None:
    match stencil:
        case CenteredBox(size=Size(width, height, in_pixels)):
            sides = (width,) if width == height else (width, height)
            return {"SIZE": xtypes.format_numbers(*sides) + ("px" if in_pixels else "deg")}
        case Circle():
            return {"CIRCLE": xtypes.format_numbers(stencil.ra_deg, stencil.dec_deg, stencil.radius_deg)}
        case _:
            return None
