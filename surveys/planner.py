"""From a request to a plan: which images, which pixels, at what price. Reads the index, never a pixel."""

from __future__ import annotations

from dataclasses import replace

from surveys.access import EVERYBODY, Reader
from surveys.alerts.planner import check_alerts, plan_stamps
from surveys.cube.ranges import depth_of as planes_in
from surveys.errors import AccessDenied, RequestFault
from surveys.fits.product import DEFAULT_SITE, Site, describe
from surveys.index.catalog import Catalog
from surveys.picture.look import look_of
from surveys.plan import Cost, CutoutPlan, Grid, Part
from surveys.planning.bands import draft_fits, draft_picture
from surveys.planning.cost import cost_of
from surveys.planning.images import Overlap, at_the_edge, cut_of, in_image, piece_of
from surveys.planning.limits import Limits as Limits
from surveys.planning.limits import check_bytes, check_image, check_parts
from surveys.planning.mosaics import holder_of
from surveys.planning.parts import parts_of
from surveys.planning.tiles import MOST_IMAGES as MOST_IMAGES
from surveys.planning.tiles import (
    Tiles,
    TileSearch,
    closed_here,
    one_image,
    the_only_exposure,
    wanted_bands,
)
from surveys.request import CutoutRequest
from surveys.survey import Survey


def plan_cutout(
    request: CutoutRequest,
    catalog: Catalog,
    limits: Limits,
    reader: Reader = EVERYBODY,
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
    reader
        Who asks.
    site
        Who makes the product: its names are part of the size.

    Returns
    -------
    CutoutPlan
        Empty when a filter selects nothing of the data (SODA 1.0, section 5.1).

    Raises
    ------
    UnknownDataset, AccessDenied, NeedsStencil, SeveralImages, TooLarge, RequestFault
        None of them is worth a retry.

    Notes
    -----
    Of what somebody may not read nothing is left out silently: a region that needs such an image is refused.
    Exposures, of which a request chooses one, are chosen among those that they may read.
    """
    survey = catalog.survey(request.dataset.partition("/")[0])
    check_access(request.dataset, survey, reader)
    if survey.kind == "alerts":
        check_filters(request, survey)
        plan = plan_stamps(request, survey, catalog, limits, reader)
    else:
        plan = _planned(request, survey, catalog, limits, reader, site)
    if not survey.is_public:
        check_pieces(plan, survey, reader)
    return plan


def check_access(dataset: str, survey: Survey, reader: Reader) -> None:
    """Refuse a dataset that is not open to somebody, and whatever is said to be of a survey that is not.

    Raises
    ------
    AccessDenied
        Whether or not there is such an image or alert.
    """
    if survey.is_public:
        return
    if not survey.access.may_enter(reader):
        raise AccessDenied(f"the survey {survey.name} is not open to you")
    if dataset.count("/") >= 2 and not survey.access.may_read(dataset, reader):
        what = "alert" if survey.kind == "alerts" else "image"
        raise AccessDenied(f"the {what} {dataset} is not open to you")


def check_pieces(plan: CutoutPlan, survey: Survey, reader: Reader) -> None:
    """Refuse a cutout that needs an image, or an alert, which is not open to somebody.

    Raises
    ------
    AccessDenied
        Without its name.
    """
    if plan.stamps:
        check_alerts(plan.datasets, survey, reader)
    elif not all(survey.access.may_read(dataset, reader) for dataset in plan.datasets):
        raise closed_here(survey)


def _planned(
    request: CutoutRequest, survey: Survey, catalog: Catalog, limits: Limits, reader: Reader, site: Site
) -> CutoutPlan:
    rest = request.dataset.split("/")[1:]
    check_filters(request, survey)
    check_product(request, survey)
    generation = catalog.generation(survey.name)
    if len(rest) >= 2:
        found = in_image(request, catalog.record(request.dataset, generation))
        if found is not None and _is_copied(request):
            return _plan_image(request, generation, at_the_edge(request, found), catalog, limits, site)
        tiles = [] if found is None else [one_image(survey.band(found.record.band), found)]
    else:
        tiles = _tiles(request, survey, rest[0] if rest else None, catalog, generation, limits, reader)
    if not tiles:
        return CutoutPlan(request, generation, (), Cost(0, 0, 0))
    if request.picture is not None:
        look_of(request, survey)  # refuses what cannot be drawn
    if len(tiles) == 1 and _is_copied(request) and (only := holder_of(request, tiles[0])) is not None:
        return _plan_image(request, generation, at_the_edge(request, only), catalog, limits, site)
    if request.picture is not None:
        drafts = draft_picture(request, request.picture, tiles, limits)
    else:
        drafts = draft_fits(request, tiles, limits)
    drafts = [draft for draft in drafts if draft.inputs]
    if not drafts:
        return CutoutPlan(request, generation, (), Cost(0, 0, 0))
    parts = parts_of(request, survey, generation, drafts, catalog)
    cost = cost_of(request, drafts, parts)
    check_parts(parts, cost, limits)
    plan = CutoutPlan(request, generation, parts, cost)
    if plan.is_plain:
        # Of several images one had all there is.
        ((record, inside),) = drafts[0].inputs
        found = Overlap(record, drafts[0].box, inside, not drafts[0].clipped)
        return _plan_image(request, generation, found, catalog, limits, site)
    return plan if request.picture is not None else _measured(plan, catalog, limits, site)


def _measured(plan: CutoutPlan, catalog: Catalog, limits: Limits, site: Site) -> CutoutPlan:
    """Give a plan of several images the exact size of its file."""
    # It brings the kernels, which a program that only copies need not load.
    from surveys.mosaic.product import describe_file

    size = describe_file(plan, catalog, site).size
    check_bytes(size, limits)
    return replace(plan, cost=replace(plan.cost, bytes_out=size))


def _tiles(
    request: CutoutRequest,
    survey: Survey,
    label: str | None,
    catalog: Catalog,
    generation: int,
    limits: Limits,
    reader: Reader,
) -> list[Tiles]:
    """Find the images of a survey, or of one of its bands, that answer a request."""
    bands = wanted_bands(request, survey, label)
    search = TileSearch(request, survey, generation, catalog, limits, reader)
    if request.picture is not None and bands:
        bands = [survey.band(label) for label in dict.fromkeys(look_of(request, survey).bands)]
    tiles = search.run(bands)
    return [the_only_exposure(tiles)] if tiles and search.wants_one else tiles


def _is_copied(request: CutoutRequest) -> bool:
    """Whether an image that has all there is is cut as it is: the most frequent request, and the fastest."""
    return request.picture is None and request.mosaic.grid == "native" and request.detail == "image"


def _plan_image(
    request: CutoutRequest, generation: int, found: Overlap, catalog: Catalog, limits: Limits, site: Site
) -> CutoutPlan:
    record = found.record
    check_image(request, record, found.grid, planes_in(record, cut_of(request, record).ranges), limits)
    return plan_copy(request, generation, found, catalog, site)


def plan_copy(
    request: CutoutRequest, generation: int, found: Overlap, catalog: Catalog, site: Site
) -> CutoutPlan:
    """Plan a file of the pixels of one image as they are; whether it is allowed was decided before."""
    record = found.record
    cut = cut_of(request, record)
    product = describe(record, found.grid, request, catalog, site, not found.whole, cut)
    cost = Cost(found.inside.pixels * product.frame.depth, product.pixels, product.size)
    piece = piece_of(record, found.inside, cut)
    part = Part(record.band, (piece,), Grid(found.grid), "copy", not found.whole, cut.remarks)
    return CutoutPlan(request, generation, (part,), cost, described=product)


def check_filters(request: CutoutRequest, survey: Survey) -> None:
    """Refuse a filter that is no band of the survey.

    Raises
    ------
    RequestFault
        With the bands there are.
    """
    if not request.filters:
        return
    known = [band.label for band in survey.bands]
    for label in request.filters:
        if label not in known:
            raise RequestFault(f"FILTER {label!r} is no band of {survey.name}; it has {', '.join(known)}")


def check_product(request: CutoutRequest, survey: Survey) -> None:
    """Refuse a product that only stamps of alerts are made into.

    Raises
    ------
    RequestFault
        Of a survey of images, with what is made of it.
    """
    if request.array:
        asked = "application/json"
    elif request.picture is not None and request.picture.media_type == "image/webp":
        asked = request.picture.media_type
    else:
        return
    raise RequestFault(
        f"RESPONSEFORMAT {asked} is for stamps of alerts, and {survey.name} is a survey of images: "
        "ask for fits, png or jpeg"
    )
