"""From a request to a plan: which image, which pixels, at what price. Reads the index, never a pixel."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lsst.sphgeom import Region

from surveys.errors import (
    AccessDenied,
    ImageRefused,
    NeedsStencil,
    RequestFault,
    SeveralImages,
    TooLarge,
)
from surveys.fits.product import DEFAULT_SITE, Site, bitpix_of, fits_size
from surveys.image import ImageRecord
from surveys.index.catalog import Candidate, Catalog
from surveys.largest import nearest_allowed
from surveys.plan import Cost, CutoutPlan, Grid, Part, Piece
from surveys.request import CutoutRequest, Interval
from surveys.sky.overlap import centered_box, pixel_box, sticks_out
from surveys.sky.pixels import PixelBox
from surveys.sky.stencil import CenteredBox, Circle, Stencil
from surveys.sky.wcs import CelestialWcs, wcs_of
from surveys.survey import Survey

#: A box is searched for this much wider than its nominal size.
SEARCH_MARGIN = 1.2

#: Where more images have data, one of them is not looked for: each takes about a millisecond.
MOST_IMAGES = 100


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest cutout one request may make."""

    max_pixels: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class _Overlap:
    """What one image has of a stencil: the box asked for (`grid`), its part inside, whether that is all."""

    record: ImageRecord
    grid: PixelBox
    inside: PixelBox
    whole: bool


def is_public(survey: Survey) -> bool:
    """Whether everybody may read `survey`: the rule while no accounts are configured."""
    return survey.is_public


def plan_cutout(
    request: CutoutRequest,
    catalog: Catalog,
    limits: Limits,
    can_read: Callable[[Survey], bool] = is_public,
    site: Site = DEFAULT_SITE,
) -> CutoutPlan:
    """Decide what to read and what to make of it.

    Parameters
    ----------
    request
        Valid and frozen.
    catalog
        The image index.
    limits
        The largest cutout allowed here.
    can_read
        Whether the caller may read a survey.
    site
        Who makes the product: its names are part of the size.

    Returns
    -------
    CutoutPlan
        With one piece; with none when a filter selects nothing of the data (SODA 1.0, section 5.1).

    Raises
    ------
    UnknownDataset, AccessDenied, NeedsStencil, SeveralImages, TooLarge
        The kinds of `RequestFault`; none of them is worth a retry.
    """
    name, *rest = request.dataset.split("/")
    survey = catalog.survey(name)
    if not can_read(survey):
        raise AccessDenied(f"the survey {survey.name} is not open to you")
    _check_filters(request, survey)
    generation = catalog.generation(survey.name)
    if len(rest) >= 2:
        found = _in_image(request, catalog.record(request.dataset, generation))
    else:
        found = _in_survey(request, survey, rest[0] if rest else None, catalog, generation, limits)
    if found is None:
        return CutoutPlan(request, generation, (), Cost(0, 0, 0))
    record = found.record
    depth = _depth(record)
    _check_size(request, found, limits)
    piece = Piece(record.artifact_id, record.dataset, record.file.size, record.file.mtime_ns, found.inside)
    bytes_out = fits_size(record, found.grid, request, catalog, site, clipped=not found.whole)
    cost = Cost(found.inside.pixels * depth, found.grid.pixels * depth, bytes_out)
    part = Part(record.band, (piece,), Grid(found.grid), "copy", not found.whole)
    return CutoutPlan(request, generation, (part,), cost)


def _check_filters(request: CutoutRequest, survey: Survey) -> None:
    known = [band.label for band in survey.bands]
    for label in request.filters:
        if label not in known:
            raise RequestFault(f"FILTER {label!r} is no band of {survey.name}; it has {', '.join(known)}")


def _in_image(request: CutoutRequest, record: ImageRecord) -> _Overlap | None:
    return _overlap(request, record) if _passes(request, record) else None


def _passes(request: CutoutRequest, record: ImageRecord) -> bool:
    """Compare filters with scalar metadata; what is unknown does not restrict (SODA 1.0, section 3.4)."""
    pol_states = set(record.pol_states)
    return (
        (not request.filters or record.band in request.filters)
        and _meets(request.band_m, record.em_min_m, record.em_max_m)
        and _meets(request.time_mjd, record.t_min_mjd, record.t_max_mjd)
        and (not request.pol or not pol_states or not pol_states.isdisjoint(request.pol))
    )


def _meets(wanted: Interval | None, lower: float | None, upper: float | None) -> bool:
    return wanted is None or lower is None or upper is None or wanted.overlaps(lower, upper)


def _overlap(request: CutoutRequest, record: ImageRecord) -> _Overlap | None:
    """Pixels of `record` the stencil asks for; None where it asks for none."""
    stencil = request.stencil
    if stencil is None:
        whole = PixelBox(0, record.nx, 0, record.ny)
        return _Overlap(record, whole, whole, whole=True)
    wcs = _wcs(record)
    if isinstance(stencil, CenteredBox):
        grid = centered_box(stencil, wcs, record.pixel_scale_deg)
        inside = None if grid is None else grid.clip(record.nx, record.ny)
        if grid is None or inside is None:
            return None
        return _Overlap(record, grid, inside, whole=inside == grid)
    box = pixel_box(stencil, wcs)
    return None if box is None else _Overlap(record, box, box, whole=not sticks_out(stencil, wcs))


def _wcs(record: ImageRecord) -> CelestialWcs:
    try:
        return wcs_of(record)
    except ImageRefused as refusal:
        # Images were proved when they were indexed; a psf need not lie on the sky.
        raise RequestFault(f"{record.dataset} has no place on the sky: ask for all of it") from refusal


def _in_survey(
    request: CutoutRequest,
    survey: Survey,
    label: str | None,
    catalog: Catalog,
    generation: int,
    limits: Limits,
) -> _Overlap | None:
    """Find the one image of a survey, or of one of its bands, that answers the request."""
    bands = _wanted_bands(request, survey, label)
    if request.stencil is None:
        raise NeedsStencil(
            f"{request.dataset} is a survey{'' if label is None else ' band'}, which has no whole: "
            f"add POS, CIRCLE, POLYGON or CENTER with SIZE, of at most {limits.max_pixels} px"
        )
    if not bands:
        return None
    candidates = catalog.search(survey.name, bands, _search_region(request.stencil, survey), generation)
    overlaps: list[_Overlap] = []
    for candidate in candidates:
        if (found := _in_image(request, catalog.artifact(candidate.artifact_id))) is not None:
            overlaps.append(found)
        if len(overlaps) > MOST_IMAGES:
            raise SeveralImages(
                f"more than {MOST_IMAGES} images of {survey.name} have data here; name one of them as ID, "
                "or ask for a smaller region or less TIME",
                _datasets(overlaps),
            )
    if not overlaps:
        return None
    if survey.kind == "exposures":
        return _the_only_exposure(overlaps)
    if len(touched := sorted({found.record.band for found in overlaps})) > 1:
        raise SeveralImages(
            f"{survey.name} has data here in the bands {', '.join(touched)}: choose one with FILTER or BAND",
            tuple(f"{survey.name}/{label}" for label in touched),
        )
    return _the_holding_tile(overlaps, candidates)


def _wanted_bands(request: CutoutRequest, survey: Survey, label: str | None) -> list[str]:
    bands = survey.bands if label is None else [survey.band(label)]
    return [
        band.label
        for band in bands
        if (not request.filters or band.label in request.filters)
        and (request.band_m is None or request.band_m.overlaps(band.em_min_m, band.em_max_m))
    ]


def _search_region(stencil: Stencil, survey: Survey) -> Region:
    """Sky region that surely covers the stencil; candidates found in it are tested exactly afterwards."""
    if not isinstance(stencil, CenteredBox):
        return stencil.region()
    scale_deg = survey.pixel_scale_deg
    width, height = stencil.size.width, stencil.size.height
    if stencil.size.in_pixels:
        if scale_deg is None:
            raise RequestFault(
                f"{survey.name} declares no pixel scale: give SIZE in arcsec, or name an image as ID"
            )
        width, height = width * scale_deg, height * scale_deg
    # Distorted images may stray from the nominal scale; a pixel more covers the rounding to whole pixels.
    radius_deg = SEARCH_MARGIN * (math.hypot(width, height) / 2 + 2 * (scale_deg or 0.0))
    return Circle(stencil.ra_deg, stencil.dec_deg, min(radius_deg, 180.0)).region()


def _the_only_exposure(overlaps: Sequence[_Overlap]) -> _Overlap:
    if len(overlaps) == 1:
        return overlaps[0]
    raise SeveralImages(
        f"{len(overlaps)} exposures have data here; name one of them as ID, or leave one by TIME",
        _datasets(overlaps),
    )


def _the_holding_tile(overlaps: Sequence[_Overlap], candidates: Sequence[Candidate]) -> _Overlap:
    """Choose the tile that holds all of the stencil; of several, the one with the nearest centre."""
    holding = [found for found in overlaps if found.whole]
    if not holding and len(overlaps) > 1:
        raise SeveralImages(
            "the region needs several images and none holds all of it; name one of them as ID, "
            "or ask for a smaller region",
            _datasets(overlaps),
        )
    distance = {candidate.artifact_id: candidate.distance_deg for candidate in candidates}
    return min(
        holding or overlaps, key=lambda found: (distance[found.record.artifact_id], found.record.dataset)
    )


def _datasets(overlaps: Sequence[_Overlap]) -> tuple[str, ...]:
    return tuple(sorted(found.record.dataset for found in overlaps))


def _check_size(request: CutoutRequest, found: _Overlap, limits: Limits) -> None:
    """Refuse what passes a limit, before anything is read, with the limit and the nearest allowed size."""
    record, grid = found.record, found.grid
    depth = _depth(record)
    pixel_bytes = abs(bitpix_of(record, grid, request)) // 8
    pixels = grid.pixels * depth
    allowed = min(limits.max_pixels, limits.max_bytes // pixel_bytes)
    if pixels <= allowed:
        return
    planes = f" x {depth} planes" if depth > 1 else ""
    raise TooLarge(
        f"this cutout would be {grid.width} x {grid.height} px{planes} "
        f"({pixels * pixel_bytes / 1e6:.1f} MB); the limit is {allowed} px "
        f"({allowed * pixel_bytes / 1e6:.1f} MB): "
        + nearest_allowed(request.stencil, record, grid, allowed // depth)
    )


def _depth(record: ImageRecord) -> int:
    return math.prod(record.shape) // (record.nx * record.ny)
