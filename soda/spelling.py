"""The canonical spelling of requests: what asks the same is spelled the same."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from urllib.parse import quote_plus

from dali import xtypes
from soda.table import ARRAY
from surveys.identifiers import Identifiers
from surveys.request import AS_DECLARED, CutoutRequest, Cuts, PictureOptions
from surveys.sky.stencil import CenteredBox, Circle, Polygon, Range, Size, Stencil

# What stays as it is beside letters, digits and -._~.
_SAFE = ":/?@,~"
_AS_IT_IS = re.compile(rf"[A-Za-z0-9._{_SAFE} -]*")


def with_url(cutout: CutoutRequest, identifiers: Identifiers) -> CutoutRequest:
    """Complete a request by its canonical spelling: ``sync?ID=…&CIRCLE=…``, relative to the service."""
    return replace(cutout, canonical=f"sync?{canonical_query(cutout, identifiers)}")


def plain_request(dataset: str, stencil: Stencil | None, identifiers: Identifiers) -> CutoutRequest:
    """Make the request that says nothing but where, with its canonical spelling: most are such."""
    query = _joined(_spell_place(dataset, stencil, identifiers))
    return CutoutRequest(dataset, stencil, canonical=f"sync?{query}")


def canonical_query(request: CutoutRequest, identifiers: Identifiers) -> str:
    """Spell the parameters of `request` the one way: ``ID=…&CIRCLE=…``."""
    return _joined(canonical_pairs(request, identifiers))


def _joined(pairs: Iterable[tuple[str, str]]) -> str:
    return "&".join([f"{name}={_quoted(value)}" for name, value in pairs])


def _quoted(value: str) -> str:
    """Quote a value, most of which are of no other characters than numbers and identifiers have."""
    return value.replace(" ", "+") if _AS_IT_IS.fullmatch(value) else quote_plus(value, safe=_SAFE)


def canonical_pairs(request: CutoutRequest, identifiers: Identifiers) -> list[tuple[str, str]]:
    """Spell the parameters of `request` the one way, as names and values.

    Notes
    -----
    ``POS=CIRCLE`` and ``CIRCLE`` are the same question (section 3.3.2), so they are spelled the same.
    """
    pairs = _spell_place(request.dataset, request.stencil, identifiers)
    for name, interval in (("BAND", request.band_m), ("TIME", request.time_mjd)):
        if interval is not None:
            pairs.append((name, xtypes.format_numbers(interval.lower, interval.upper)))
    pairs += [("POL", state) for state in request.pol]
    pairs += [("FILTER", label) for label in request.filters]
    pairs += [(name, "true") for name, on in (("MASK", request.mask), ("CHECKSUM", request.checksum)) if on]
    pairs += _spell_mosaic(request)
    if request.picture is not None:
        pairs += _spell_picture(request.picture)
    if request.array:
        pairs.append(("RESPONSEFORMAT", ARRAY))
    return pairs


def _spell_mosaic(request: CutoutRequest) -> list[tuple[str, str]]:
    """Spell how images become one, as far as it is not what is done anyway."""
    asked, usual = request.mosaic, AS_DECLARED
    words = (
        ("COMBINE", asked.combine, usual.combine),
        ("GRID", asked.grid, usual.grid),
        ("RESAMPLE", asked.resample, usual.resample),
        ("PHOTSCALE", asked.photscale, usual.photscale),
        ("BACKGROUND", asked.background, usual.background),
        ("FLUX", asked.flux, usual.flux),
        ("EDGE", request.edge, "auto"),
        ("DETAIL", request.detail, "image"),
        ("LAYOUT", request.layout, "mef"),
    )
    pairs: list[tuple[str, str]] = [(name, word) for name, word, default in words if word != default]
    if asked.pixscale_deg is not None:
        pairs.append(("PIXSCALE", f"{xtypes.format_number(asked.pixscale_deg)}deg"))
    return pairs


def _spell_picture(picture: PictureOptions) -> list[tuple[str, str]]:
    """Spell how pixels become a picture, as far as it is said."""
    texts = (
        ("RESPONSEFORMAT", picture.media_type),
        ("RECIPE", picture.recipe),
        ("ALGORITHM", picture.algorithm),
        ("VARIANT", picture.variant),
        ("RGB", ",".join(picture.bands)),
        ("STRETCH", picture.stretch),
        ("CUTS", "" if picture.cuts is None else _spell_cuts(picture.cuts)),
        ("INVERT", "true" if picture.invert else ""),
        ("CMAP", picture.colormap),
        ("MINIMUM", xtypes.format_numbers(*picture.minimum)),
        ("ORIENT", "" if picture.orient == "native" else picture.orient),
        ("DRAW", ",".join(picture.draw)),
        ("LABEL", picture.label),
    )
    numbers = (
        ("POWER", picture.power),
        ("Q", picture.q),
        ("SOFTENING", picture.softening),
        ("CONTRAST", picture.contrast),
        ("SATURATION", picture.saturation),
        ("WIDTH", picture.width),
        ("HEIGHT", picture.height),
        ("QUALITY", picture.quality),
    )
    pairs = [(name, text) for name, text in texts if text]
    return pairs + [(name, xtypes.format_number(number)) for name, number in numbers if number is not None]


def _spell_cuts(cuts: Cuts) -> str:
    match cuts.kind:
        case "zscale":
            return "zscale"
        case "percent":
            return f"{xtypes.format_number(cuts.low)}% {xtypes.format_number(cuts.high)}%"
        case "values":
            return xtypes.format_numbers(cuts.low, cuts.high)


def _spell_place(dataset: str, stencil: Stencil | None, identifiers: Identifiers) -> list[tuple[str, str]]:
    return [("ID", identifiers.did(dataset)), *_spell_stencil(stencil)]


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
            return [("CENTER", center), ("SIZE", spell_size(stencil.size))]


def spell_size(size: Size) -> str:
    """Spell the size of a box."""
    sides = (size.width,) if size.width == size.height else (size.width, size.height)
    return xtypes.format_numbers(*sides) + ("px" if size.in_pixels else "deg")
