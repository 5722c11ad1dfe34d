"""From a request for stamps to a plan: which stamps of which alerts. Reads the index, never a pixel.

Identifiers are ``survey/alert/candid`` and ``survey/object/objectId``, either with a kind of stamp behind it
or without. Objects of some surveys are numbers, as alerts are: hence the words.
"""

from __future__ import annotations

from collections.abc import Sequence

from surveys.access import Reader
from surveys.alert import AlertName, AlertRecord
from surveys.errors import AccessDenied, RequestFault, TooLarge
from surveys.index.alerts.facts import unnamed
from surveys.index.catalog import Catalog
from surveys.lake import Lake
from surveys.plan import Cost, CutoutPlan, Stamp
from surveys.planning.limits import Limits
from surveys.request import AS_DECLARED, CutoutRequest, PictureOptions
from surveys.survey import Survey

#: Side of a stamp whose size is not declared, pixels; of the products only making tells the true one.
SIDE_PX = 64
#: Of a FITS stamp beside its pixels, and of a pixel: as it is stored, and as a number in JSON.
HEADER_BYTES, PIXEL_BYTES, NUMBER_BYTES = 5760, 4, 20
#: Side of a stamp in a picture of several, at least.
PANEL_PX = 120


def lake_of(survey: Survey) -> Lake:
    """Lake of a survey of alerts."""
    if survey.lake is None:
        raise ValueError(f"{survey.name} is no survey of alerts")
    return survey.lake


def plan_stamps(
    request: CutoutRequest, survey: Survey, catalog: Catalog, limits: Limits, reader: Reader
) -> CutoutPlan:
    """Decide which stamps of which alerts to take.

    Parameters
    ----------
    request
        Valid and frozen.
    survey
        Of alerts; that `reader` may enter it, and may read what the request names, was looked at before.
    catalog
        The index.
    limits
        The largest product allowed here.
    reader
        Who asks: of what may not be read by them, nothing is said.

    Returns
    -------
    CutoutPlan
        Without stamps where filters leave no alert (SODA 1.0, section 5.1).

    Raises
    ------
    UnknownDataset, AccessDenied, TooLarge, RequestFault
        None of them is worth a retry.
    """
    name = AlertName.parse(request.dataset, lake_of(survey))
    if name is None:
        known = catalog.alerts if survey.access.may_read_all(reader) else None
        raise unnamed(survey, request.dataset, known)
    _check(request, survey, name)
    records: Sequence[AlertRecord]
    if name.what == "alert":
        records = (catalog.alerts.alert(survey, name.candid),)
    else:
        bands = _bands(request, survey) or ()
        records = catalog.alerts.epochs(survey, name.key, request.time_mjd, bands)
    # Before their number is told.
    check_alerts([record.dataset for record in records], survey, reader)
    _check_number(records, limits)
    return plan_records(request, survey, records, catalog, limits)


def check_alerts(datasets: Sequence[str], survey: Survey, reader: Reader) -> None:
    """Refuse alerts of which some are not open to somebody.

    Raises
    ------
    AccessDenied
        Without their names.
    """
    if not (survey.is_public or all(survey.access.may_read(dataset, reader) for dataset in datasets)):
        raise AccessDenied(f"{survey.name} has alerts among these that are not open to you")


def plan_records(
    request: CutoutRequest, survey: Survey, records: Sequence[AlertRecord], catalog: Catalog, limits: Limits
) -> CutoutPlan:
    """Plan the stamps of alerts that were looked up before; filters are heeded here too.

    Parameters
    ----------
    request, survey, catalog, limits
        As `plan_stamps` has them.
    records
        The alert that the request names, or the alerts of the object, in order of time.

    Raises
    ------
    UnknownDataset, TooLarge, RequestFault
        None of them is worth a retry.
    """
    name = name_of(request.dataset, survey)
    _check(request, survey, name)
    bands = _bands(request, survey)
    records = [record for record in records if _is_within(record, request, bands)]
    generation = catalog.generation(survey.name)
    if not records:
        return CutoutPlan(request, generation, (), Cost(0, 0, 0))
    kinds = kinds_of(name, survey)
    cost = _cost(request, survey, len(records), len(kinds))
    _check_cost(cost, len(records), name, kinds, limits)
    stamps = tuple(Stamp(one.id, one.dataset, kinds, one.file.size, one.file.version) for one in records)
    return CutoutPlan(request, generation, (), cost, stamps)


def name_of(dataset: str, survey: Survey) -> AlertName:
    """Read an identifier that says whether it is of an alert or of an object.

    Raises
    ------
    UnknownDataset
        If it does not, or nothing can have that name.
    """
    name = AlertName.parse(dataset, lake_of(survey))
    if name is None:
        raise unnamed(survey, dataset, None)
    return name


def kinds_of(name: AlertName, survey: Survey) -> tuple[str, ...]:
    """Kinds of stamps that an identifier means."""
    return (name.kind,) if name.kind else tuple(kind.name for kind in lake_of(survey).stamps)


def _check(request: CutoutRequest, survey: Survey, name: AlertName) -> None:
    """Refuse what cannot be made of stamps, whichever they are."""
    refuse_meaningless(request)
    _check_stencil(request, survey, name)


def refuse_meaningless(request: CutoutRequest) -> None:
    """Refuse what has a meaning for images alone.

    Raises
    ------
    RequestFault
        With the name of the parameter.
    """
    mosaic, usual = request.mosaic, AS_DECLARED
    asked: tuple[tuple[str, bool], ...] = (
        ("POL", bool(request.pol)),
        ("MASK", request.mask),
        ("LAYOUT", request.layout != "mef"),
        ("EDGE", request.edge != "auto" and request.stencil is None),
        ("COMBINE", mosaic.combine != usual.combine),
        ("GRID", mosaic.grid != usual.grid),
        ("RESAMPLE", mosaic.resample != usual.resample),
        ("PHOTSCALE", mosaic.photscale != usual.photscale),
        ("BACKGROUND", mosaic.background != usual.background),
        ("FLUX", mosaic.flux != usual.flux),
    )
    if names := [name for name, is_asked in asked if is_asked]:
        has_have = "has" if len(names) == 1 else "have"
        raise RequestFault(
            f"{' and '.join(names)} {has_have} no meaning for stamps of alerts, which are given as they are: "
            f"leave {'it' if len(names) == 1 else 'them'} out"
        )


def _check_stencil(request: CutoutRequest, survey: Survey, name: AlertName) -> None:
    """Refuse a region of what is more than one stamp; whether one has a WCS is seen when it is read."""
    if request.stencil is None or (name.what == "alert" and name.kind):
        return
    kind = lake_of(survey).stamps[0].name
    if name.what == "object":
        raise RequestFault(
            "a region cannot be cut of all epochs of an object: name one stamp of an alert, "
            f"{survey.name}/alert/<number>/{kind}, or leave the region out"
        )
    raise RequestFault(
        f"a region is cut of one stamp: name its kind, {survey.name}/alert/{name.key}/{kind}, "
        "or leave the region out"
    )


def _bands(request: CutoutRequest, survey: Survey) -> tuple[str, ...] | None:
    """Labels of the bands that filters leave; None where there are no filters, which leaves them all."""
    if not request.filters and request.band_m is None:
        return None
    wanted, band_m = request.filters, request.band_m
    return tuple(
        band.label
        for band in survey.bands
        if (not wanted or band.label in wanted)
        and (band_m is None or band_m.overlaps(band.em_min_m, band.em_max_m))
    )


def _is_within(record: AlertRecord, request: CutoutRequest, bands: tuple[str, ...] | None) -> bool:
    """Whether filters leave an alert."""
    time = request.time_mjd
    return (bands is None or record.band in bands) and (time is None or time.overlaps(record.mjd, record.mjd))


def stamp_side_px(survey: Survey) -> int:
    """Side of a stamp as far as it can be told from what is declared."""
    radius_deg, scale_deg = lake_of(survey).stamp_radius_deg, survey.pixel_scale_deg
    return max(1, round(2.0 * radius_deg / scale_deg)) if radius_deg and scale_deg else SIDE_PX


def _cost(request: CutoutRequest, survey: Survey, epochs: int, kinds: int) -> Cost:
    """Estimate what a product takes: the true sizes of stamps stand in their files alone."""
    side, stamps = stamp_side_px(survey), epochs * kinds
    pixels = side**2 * stamps
    drawn, size = pixels, HEADER_BYTES * stamps + PIXEL_BYTES * pixels
    if (picture := request.picture) is not None:
        drawn = size = _drawn(picture, side, epochs, kinds)
    elif request.array:
        size = NUMBER_BYTES * pixels
    return Cost(pixels, drawn, size)


def _drawn(picture: PictureOptions, side: int, epochs: int, kinds: int) -> int:
    """Pixels of a picture: WIDTH and HEIGHT are of the whole of it."""
    width, height = picture.width or picture.height, picture.height or picture.width
    if epochs * kinds == 1:
        return (width or side) * (height or side)
    frames = epochs if picture.media_type == "image/webp" else 1
    if picture.width and picture.height:
        return picture.width * picture.height * frames
    # Panels are enlarged until they fill the width, or are large enough to be seen.
    columns = kinds if frames > 1 else epochs if epochs > 1 else kinds
    panel = max(side, PANEL_PX, (width or 0) // columns)
    return panel**2 * epochs * kinds


def _check_number(records: Sequence[AlertRecord], most: Limits) -> None:
    """Refuse a product of too many epochs.

    Raises
    ------
    TooLarge
        With the limit.
    """
    if len(records) > most.max_inputs:
        raise TooLarge(
            f"this would be {len(records)} epochs; the limit is {most.max_inputs}: "
            "pick some by TIME or FILTER"
        )


def _check_cost(cost: Cost, epochs: int, name: AlertName, kinds: Sequence[str], most: Limits) -> None:
    """Refuse a product that passes a limit, with what makes it smaller.

    Raises
    ------
    TooLarge
        Before anything is read.
    """
    share = max(
        cost.pixels_out / most.max_pixels,
        cost.pixels_in / most.max_pixels_in,
        cost.bytes_out / most.max_bytes,
    )
    if share <= 1.0:
        return
    ways = []
    if cost.pixels_out > cost.pixels_in:
        ways.append("ask for a smaller WIDTH and HEIGHT")
    if epochs > 1:
        ways.append(f"ask by TIME or FILTER for {max(1, int(epochs / share))} of the {epochs} epochs")
    if len(kinds) > 1:
        ways.append(f"name one kind of stamp, …/{name.key}/{kinds[0]}")
    raise TooLarge(
        f"this would be {epochs * len(kinds)} stamps, about {cost.pixels_out} px "
        f"({cost.bytes_out / 1e6:.1f} MB); the limit is {most.max_pixels} px "
        f"({most.max_bytes / 1e6:.1f} MB): {', or '.join(ways) or 'have it made by a job'}"
    )
