"""What BAND, TIME and POL select of the axes of an image."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from astropy.io import fits

from surveys.cube.axes import Axis, is_open, is_separate, the_axis, touched
from surveys.cube.spectral import channels_of
from surveys.cube.stokes import MOST_STATES, planes_of, states_along
from surveys.cube.tables import carried
from surveys.cube.times import moments_of
from surveys.errors import ImageRefused, RequestFault
from surveys.image import ImageRecord
from surveys.plan import Ranges
from surveys.request import CutoutRequest, Interval
from surveys.sky.sphere import Vector, unit_vector
from surveys.sky.stencil import CenteredBox
from surveys.sky.wcs import wcs_of

# The centre of a larger region is no direction.
_HALF_SKY_DEG = 45.0


@dataclass(frozen=True, slots=True)
class AxisCut:
    """The part of an image along its axes beside those of the sky.

    Parameters
    ----------
    ranges
        ``(axis, first, end, step)`` of each axis that is not taken whole: 0-based FITS number, half-open.
    remarks
        What the user should know of it, a sentence each.
    """

    ranges: Ranges = ()
    remarks: tuple[str, ...] = ()


WHOLE = AxisCut()


def axis_ranges(record: ImageRecord, request: CutoutRequest) -> AxisCut | None:
    """Decide which planes of an image the filters select; None if they select none.

    Axes of a single pixel are always kept: there is nothing to choose, and the scalar metadata of the image
    were compared already. So are those of an image that has no such axis.

    Raises
    ------
    RequestFault
        If a filter cannot be applied to an axis, with the reason.

    Notes
    -----
    SODA 1.0, sections 3.3.4 to 3.3.6.
    """
    if len(record.shape) < 3 or (request.band_m is None and request.time_mjd is None and not request.pol):
        return WHOLE
    ranges: list[tuple[int, int, int, int]] = []
    remarks: list[str] = []
    for select in (_channels, _moments, _planes):
        found = select(record, request)
        if found is None:
            return None
        ranges += found.ranges
        remarks += found.remarks
    return AxisCut(tuple(sorted(ranges)), tuple(remarks))


def depth_of(record: ImageRecord, ranges: Ranges = ()) -> int:
    """Count the planes of the sky in an image, or in a part of it."""
    shape = list(record.shape)
    for axis, first, end, step in ranges:
        shape[-1 - axis] = len(range(first, end, step))
    return math.prod(shape) // (record.nx * record.ny)


def label_of(record: ImageRecord, ranges: Ranges) -> str:
    """Part of a file name that tells cutouts of different planes apart; "" for all planes."""
    words = []
    for axis, first, end, step in ranges:
        kind = next((a.kind for a in _axes(record) if a is not None and a.number == axis), "other")
        letters = {"spectral": "ch", "time": "t", "stokes": "pol"}.get(kind, f"ax{axis + 1}-")
        last = first + (end - 1 - first) // step * step + 1
        words.append(f"{letters}{first + 1}" + (f"-{last}" if last != first + 1 else ""))
        words[-1] += f"s{step}" if step != 1 else ""
    return "_".join(words)


def side_tables(record: ImageRecord, ranges: Ranges, checksum: bool) -> bytes:
    """Tables that a cutout carries behind its pixels, as bytes of whole HDUs."""
    if not record.tables:
        return b""
    spectral, _, stokes = (None if axis is None else axis.number for axis in _axes(record))
    return carried(record.tables, ranges, spectral, stokes, checksum)


def _axes(record: ImageRecord) -> tuple[Axis | None, Axis | None, Axis | None]:
    return (
        the_axis("spectral", record.wcs_text, record.shape),
        the_axis("time", record.wcs_text, record.shape),
        the_axis("stokes", record.wcs_text, record.shape),
    )


def _channels(record: ImageRecord, request: CutoutRequest) -> AxisCut | None:
    band = request.band_m
    axis = the_axis("spectral", record.wcs_text, record.shape)
    if band is None or axis is None or is_open(band.lower, band.upper):
        return WHOLE
    try:
        channels = channels_of(axis, record.wcs_text, record.tables)
    except ImageRefused as refusal:
        raise _refused("BAND", record, refusal) from refusal
    direction = _direction(record, request) if channels.frame == "LSRK" else None
    return _cut(axis, *channels.barycentric(direction), band, channels.remark(direction))


def _moments(record: ImageRecord, request: CutoutRequest) -> AxisCut | None:
    time = request.time_mjd
    axis = the_axis("time", record.wcs_text, record.shape)
    if time is None or axis is None or is_open(time.lower, time.upper):
        return WHOLE
    try:
        lower, upper = moments_of(axis, record.wcs_text, record.tables)
    except ImageRefused as refusal:
        raise _refused("TIME", record, refusal) from refusal
    return _cut(axis, lower, upper, time, "")


def _planes(record: ImageRecord, request: CutoutRequest) -> AxisCut | None:
    axis = the_axis("stokes", record.wcs_text, record.shape)
    if not request.pol or axis is None or axis.length > MOST_STATES:
        return WHOLE
    if not is_separate(axis, record.wcs_text):
        raise _refused("POL", record, f"its axis {axis.number + 1} (STOKES) is coupled with another axis")
    states = states_along(fits.Header.fromstring(record.wcs_text), axis.number, axis.length)
    if not any(states):
        return WHOLE  # codes of no standard: unknown, which restricts nothing
    planes = planes_of(request.pol, states)
    if planes is None:
        return None
    extra = [states[plane] or f"plane {plane + 1}" for plane in planes if states[plane] not in request.pol]
    remark: tuple[str, ...] = ()
    if extra:
        remark = (f"POL: {', '.join(extra)} came along, as the planes of an axis are evenly spaced",)
    if len(planes) == axis.length:
        return AxisCut((), remark)
    return AxisCut(((axis.number, planes.start, planes[-1] + 1, planes.step),), remark)


def _refused(name: str, record: ImageRecord, reason: object) -> RequestFault:
    return RequestFault(f"{name} cannot be applied to {record.dataset}: {reason}; leave {name} out")


def _cut(axis: Axis, lower: object, upper: object, wanted: Interval, remark: str) -> AxisCut | None:
    limits = touched(np.asarray(lower), np.asarray(upper), wanted.lower, wanted.upper)
    if limits is None:
        return None
    ranges = () if limits == (0, axis.length) else ((axis.number, *limits, 1),)
    return AxisCut(ranges, (remark,) if remark else ())


def _direction(record: ImageRecord, request: CutoutRequest) -> Vector | None:
    """Direction of what is cut: the centre of the region, else of the image; None where that is no sky."""
    stencil = request.stencil
    if isinstance(stencil, CenteredBox):
        return unit_vector(stencil.ra_deg, stencil.dec_deg)
    if stencil is not None and (circle := stencil.bounding_circle()).radius_deg < _HALF_SKY_DEG:
        return unit_vector(circle.ra_deg, circle.dec_deg)
    try:
        wcs = wcs_of(record)
    except ImageRefused:
        return None
    x, y, z = (float(v) for v in wcs.to_sky((record.nx - 1) / 2, (record.ny - 1) / 2))
    return (x, y, z) if math.isfinite(x + y + z) else None
