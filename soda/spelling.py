"""The canonical spelling of requests: what asks the same is spelled the same."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote_plus

from dali import xtypes
from surveys.identifiers import Identifiers
from surveys.request import CutoutRequest
from surveys.sky.stencil import CenteredBox, Circle, Polygon, Range, Size, Stencil


def with_url(cutout: CutoutRequest, identifiers: Identifiers) -> CutoutRequest:
    """Complete a request by its canonical spelling: ``sync?ID=…&CIRCLE=…``, relative to the service."""
    return replace(cutout, canonical=f"sync?{canonical_query(cutout, identifiers)}")


def canonical_query(request: CutoutRequest, identifiers: Identifiers) -> str:
    """Spell the parameters of `request` the one way: ``ID=…&CIRCLE=…``."""
    pairs = canonical_pairs(request, identifiers)
    return "&".join(f"{name}={quote_plus(value, safe=':/?@,~')}" for name, value in pairs)


def canonical_pairs(request: CutoutRequest, identifiers: Identifiers) -> list[tuple[str, str]]:
    """Spell the parameters of `request` the one way, as names and values.

    Notes
    -----
    ``POS=CIRCLE`` and ``CIRCLE`` are the same question (section 3.3.2), so they are spelled the same.
    """
    pairs = [("ID", identifiers.did(request.dataset)), *_spell_stencil(request.stencil)]
    for name, interval in (("BAND", request.band_m), ("TIME", request.time_mjd)):
        if interval is not None:
            pairs.append((name, xtypes.format_numbers(interval.lower, interval.upper)))
    pairs += [("POL", state) for state in request.pol]
    pairs += [("FILTER", label) for label in request.filters]
    pairs += [(name, "true") for name, on in (("MASK", request.mask), ("CHECKSUM", request.checksum)) if on]
    return pairs


def _spell_stencil(stencil: Stencil | None) -> list[tuple[str, str]]:
    match stencil:
        case None:
            return []
        case Circle():
            return [("CIRCLE", xtypes.format_numbers(stencil.ra_deg, stencil.dec_deg, stencil.radius_deg))]
        case Polygon():
            return [
                ("POLYGON", xtypes.format_numbers(*(v for vertex in stencil.vertices_deg for v in vertex)))
            ]
        case Range():
            # Above 360 the range goes through 0. Both subtraction here and addition in parsing are exact.
            ra_max = stencil.ra_max_deg - 360.0 if stencil.ra_max_deg > 360.0 else stencil.ra_max_deg
            limits = (stencil.ra_min_deg, ra_max, stencil.dec_min_deg, stencil.dec_max_deg)
            return [("POS", f"RANGE {xtypes.format_numbers(*limits)}")]
        case CenteredBox():
            center = xtypes.format_numbers(stencil.ra_deg, stencil.dec_deg)
            return [("CENTER", center), ("SIZE", _spell_size(stencil.size))]


def _spell_size(size: Size) -> str:
    sides = (size.width,) if size.width == size.height else (size.width, size.height)
    return xtypes.format_numbers(*sides) + ("px" if size.in_pixels else "deg")
