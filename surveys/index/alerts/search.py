"""Alerts by constraints of ObsCore, as many as there are: streamed, a page at a time.

A stream holds no transaction and no connection between two pages. It reads one generation throughout, whose
rows are kept for a day after the next one is published.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from lsst.sphgeom import Angle, Box, Circle, Region

from surveys.alert import AlertRecord, candid_of
from surveys.errors import TooLarge
from surveys.index.alerts.queries import CELLS, FILES
from surveys.index.alerts.units import DAY, EARLIEST_MJD, LATEST_MJD, cell_ranges
from surveys.index.obscore import ObsConstraints
from surveys.request import Interval
from surveys.sky.sphere import unit_vectors
from surveys.sky.stencil import SPHERE_DEG2, Shape
from surveys.survey import Survey

if TYPE_CHECKING:
    from surveys.index.alerts.catalog import AlertCatalog

#: Rows of the first page, which somebody waits for, and of the others.
FIRST_PAGE = 100
PAGE = 1_000
#: Cells looked up at a time, of which an alert has one.
_CELLS = 4_000
#: A region is covered by at most so many ranges of cells; the rest is left to the positions. One of a radius
#: below this holds few alerts: queries take longer than these.
_FEW_RANGES, _MOST_RANGES = 8, 128
_SMALL_DEG = 0.5
#: Objects that are looked up at a time, and how many alerts they may have together.
_OBJECTS = 20
MOST_OF_OBJECTS = 50_000


def search(
    catalog: AlertCatalog, survey: Survey, wanted: ObsConstraints, known: Mapping[str, int]
) -> Iterator[AlertRecord]:
    """Alerts of a survey that satisfy constraints.

    Parameters
    ----------
    catalog
        The index of alerts.
    survey
        The survey.
    wanted
        What is asked: a shape is met by the circle of the survey's stamps about the alert.
    known
        ``survey_id`` and ``generation``.
    """
    lake = survey.lake
    if lake is None or not _may_satisfy(survey, wanted):
        return
    labels = _labels(survey, wanted.em_m)
    values = {**known, **_limits(wanted.t_mjd)}
    radius_deg = lake.stamp_radius_deg
    everywhere = any(shape.area_deg2 >= SPHERE_DEG2 * (1.0 - 1e-12) for shape in wanted.shapes)
    if wanted.datasets:
        pages = _pages_by_name(catalog, survey, wanted.datasets, known["generation"])
    elif wanted.targets:
        pages = _pages_by_object(catalog, survey, wanted.targets, values)
    elif wanted.shapes and not everywhere:
        pages = _pages_by_place(catalog, values, wanted.shapes, radius_deg)
    else:
        pages = _pages_by_file(catalog, values)
    for page in pages:
        if wanted.shapes and not everywhere:
            page = _meeting(page, wanted.shapes, radius_deg)
        for alert in page:
            in_time = not wanted.t_mjd or any(one.overlaps(alert.mjd, alert.mjd) for one in wanted.t_mjd)
            is_wanted = not wanted.targets or alert.object_id in wanted.targets
            if in_time and is_wanted and (labels is None or alert.band in labels):
                yield alert


def _may_satisfy(survey: Survey, wanted: ObsConstraints) -> bool:
    """Whether alerts satisfy what is the same for all of them; how long they were exposed is not known."""
    lake = survey.lake
    fov = 2 * lake.stamp_radius_deg if lake is not None else 0.0
    return (
        not wanted.t_exptime_s
        and (not wanted.pol or not set(wanted.pol).isdisjoint(survey.pol_states))
        and (not wanted.calib_levels or survey.calib_level in wanted.calib_levels)
        and (not wanted.product_types or "image" in wanted.product_types)
        and (not wanted.s_fov_deg or (fov > 0 and any(one.overlaps(fov, fov) for one in wanted.s_fov_deg)))
    )


def _labels(survey: Survey, em_m: Sequence[Interval]) -> frozenset[str] | None:
    """Labels of the bands of some wavelengths; None where none are asked for."""
    if not em_m:
        return None
    return frozenset(
        band.label for band in survey.bands if any(one.overlaps(band.em_min_m, band.em_max_m) for one in em_m)
    )


def _limits(t_mjd: Sequence[Interval]) -> dict[str, int]:
    """First and last time that is asked for, as the index has them, a unit beyond for their rounding."""
    first = max(min((one.lower for one in t_mjd), default=-math.inf), EARLIEST_MJD)
    last = min(max((one.upper for one in t_mjd), default=math.inf), LATEST_MJD)
    return {"first_mjd": math.floor(first * DAY) - 1, "last_mjd": math.ceil(last * DAY) + 1}


def _meeting(
    alerts: Sequence[AlertRecord], shapes: Sequence[Shape], radius_deg: float
) -> Sequence[AlertRecord]:
    """Those of some alerts whose circle has a point in common with one of some shapes."""
    if not alerts:
        return alerts
    positions = np.array([(alert.ra_deg, alert.dec_deg) for alert in alerts])
    vectors = unit_vectors(positions[:, 0], positions[:, 1])
    near = np.zeros(len(alerts), dtype=bool)
    for shape in shapes:
        near |= shape.signed_distance_deg(vectors) <= radius_deg
    return [alert for alert, is_near in zip(alerts, near, strict=True) if is_near]


def _pages_by_name(
    catalog: AlertCatalog, survey: Survey, datasets: Sequence[str], generation: int
) -> Iterator[Sequence[AlertRecord]]:
    beginning = f"{survey.name.lower()}/alert/"
    numbers = [name.removeprefix(beginning) for name in datasets if name.startswith(beginning)]
    candids = sorted({candid for number in numbers if (candid := candid_of(number)) is not None})
    for start in range(0, len(candids), PAGE):
        yield list(catalog.with_candids(survey, candids[start : start + PAGE], generation).values())


def _pages_by_object(
    catalog: AlertCatalog, survey: Survey, targets: Sequence[str], values: Mapping[str, int]
) -> Iterator[Sequence[AlertRecord]]:
    """Alerts of objects, a few of these at a time; of so many that no page takes them, out of all others."""
    names = sorted({name.lower() for name in targets})
    for start in range(0, len(names), _OBJECTS):
        some = names[start : start + _OBJECTS]
        try:
            yield from catalog.of_objects(survey, some, values["generation"], MOST_OF_OBJECTS).values()
        except TooLarge:
            for page in _pages_by_file(catalog, values):
                yield [alert for alert in page if alert.object_id.lower() in some]


def _pages_by_file(catalog: AlertCatalog, values: Mapping[str, int]) -> Iterator[Sequence[AlertRecord]]:
    """Alerts of a time, in the order of their keys."""
    after, most = -1, FIRST_PAGE
    while files := catalog.reads.rows(FILES, **values, after=after, most=PAGE):
        for first, rows in files:
            start, end = first, first + rows
            while start < end:
                yield catalog.counting(range(start, min(start + most, end)), values)
                start, most = start + most, PAGE
        after = files[-1][0]


def _pages_by_place(
    catalog: AlertCatalog, values: Mapping[str, int], shapes: Sequence[Shape], radius_deg: float
) -> Iterator[Sequence[AlertRecord]]:
    """Alerts near some shapes, each once, in the order of their cells."""
    page: list[int] = []
    most = FIRST_PAGE
    for first, last in _merged(_ranges(shapes, radius_deg)):
        for keys in _keys(catalog, first, last):
            page += keys
            while len(page) >= most:
                yield catalog.counting(page[:most], values)
                page, most = page[most:], PAGE
    if page:
        yield catalog.counting(page, values)


def _keys(catalog: AlertCatalog, first: int, last: int) -> Iterator[list[int]]:
    """Keys of alerts of a range of cells."""
    after, most = -1, FIRST_PAGE
    while True:
        rows = catalog.reads.rows(CELLS, first=first, last=last, after=after, most=most)
        yield [key for _, key in rows]
        if len(rows) < most:
            return
        (first, after), most = rows[-1], _CELLS


def _ranges(shapes: Sequence[Shape], radius_deg: float) -> Iterator[tuple[int, int]]:
    for shape in shapes:
        region = _widened(shape, radius_deg)
        is_small = region.getBoundingCircle().getOpeningAngle().asDegrees() < _SMALL_DEG
        yield from cell_ranges(region, _FEW_RANGES if is_small else _MOST_RANGES)


def _widened(shape: Shape, by_deg: float) -> Region:
    """Region that holds all positions within an angle of a shape."""
    region, angle = shape.region(), Angle.fromDegrees(by_deg)
    match region:
        case Circle() | Box():
            return region.dilatedBy(angle)
        case _:
            return region.getBoundingBox().dilatedBy(angle)


def _merged(ranges: Iterator[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges without overlaps."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged
