"""What one image has of a region, and what is cut of it where one is enough."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from surveys.cube.ranges import WHOLE, AxisCut, axis_ranges
from surveys.cube.ranges import depth_of as planes_in
from surveys.errors import ImageRefused, RequestFault
from surveys.image import ImageRecord
from surveys.plan import Piece
from surveys.request import CutoutRequest, Edge, Interval
from surveys.sky.overlap import box_and_rest, centered_box, full_box
from surveys.sky.pixels import PixelBox
from surveys.sky.sphere import circle_points, unit_vectors
from surveys.sky.stencil import CenteredBox, Stencil
from surveys.sky.wcs import CelestialWcs, wcs_of

#: Points of a region, along each direction, that tell how much of it lies outside.
_LATTICE = 64


@dataclass(frozen=True, slots=True)
class Overlap:
    """What one image has of a stencil.

    Parameters
    ----------
    record
        The image.
    grid
        The box asked for; of a shape, the part inside unless the cutout is padded.
    inside
        Its part inside the image.
    whole
        Whether that is all.
    """

    record: ImageRecord
    grid: PixelBox
    inside: PixelBox
    whole: bool


def cut_of(request: CutoutRequest, record: ImageRecord) -> AxisCut:
    """Tell what is taken of the axes of an image that passes the filters, those of the sky left out."""
    return axis_ranges(record, request) or WHOLE


def depth_of(request: CutoutRequest, record: ImageRecord) -> int:
    """Count the planes of an image that a request takes."""
    return planes_in(record, cut_of(request, record).ranges)


def piece_of(record: ImageRecord, box: PixelBox, cut: AxisCut = WHOLE) -> Piece:
    """Return the piece of an image that is one box of it."""
    return Piece(record.artifact_id, record.dataset, record.file.size, record.file.mtime_ns, box, cut.ranges)


def passes(request: CutoutRequest, record: ImageRecord) -> bool:
    """Compare filters with scalar metadata, and with the axes of cubes (SODA 1.0, section 3.4).

    Raises
    ------
    RequestFault
        If a filter cannot be applied to an axis.
    """
    return is_wanted(request, record) and axis_ranges(record, request) is not None


def is_wanted(request: CutoutRequest, record: ImageRecord) -> bool:
    """Compare filters with scalar metadata alone; what is unknown does not restrict."""
    pol_states = set(record.pol_states)
    return (
        (not request.filters or record.band in request.filters)
        and _meets(request.band_m, record.em_min_m, record.em_max_m)
        and _meets(request.time_mjd, record.t_min_mjd, record.t_max_mjd)
        and (not request.pol or not pol_states or not pol_states.isdisjoint(request.pol))
    )


def _meets(wanted: Interval | None, lower: float | None, upper: float | None) -> bool:
    return wanted is None or lower is None or upper is None or wanted.overlaps(lower, upper)


def in_image(request: CutoutRequest, record: ImageRecord) -> Overlap | None:
    """Pixels of an image that a request selects; None where there are none."""
    return overlap(request.stencil, record) if passes(request, record) else None


def overlap(stencil: Stencil | None, record: ImageRecord) -> Overlap | None:
    """Pixels of an image the stencil asks for; None where it asks for none."""
    if stencil is None:
        whole = PixelBox(0, record.nx, 0, record.ny)
        return Overlap(record, whole, whole, whole=True)
    wcs = placed(record)
    if isinstance(stencil, CenteredBox):
        grid = centered_box(stencil, wcs, record.pixel_scale_deg)
        inside = None if grid is None else grid.clip(record.nx, record.ny)
        if grid is None or inside is None:
            return None
        return Overlap(record, grid, inside, whole=inside == grid)
    found = box_and_rest(stencil, wcs)
    if found is None:
        return None
    box, has_rest = found
    return Overlap(record, box, box, whole=not has_rest)


def placed(record: ImageRecord) -> CelestialWcs:
    """WCS of an image.

    Raises
    ------
    RequestFault
        If it has none.
    """
    try:
        return wcs_of(record)
    except ImageRefused as refusal:
        # Images were proved when they were indexed; a psf need not lie on the sky.
        raise RequestFault(f"{record.dataset} has no place on the sky: ask for all of it") from refusal


def edge_of(request: CutoutRequest) -> Edge:
    """Decide what becomes of the part of a region beyond the data: clip, pad or error."""
    if request.edge != "auto":
        return request.edge
    return "pad" if isinstance(request.stencil, CenteredBox) else "clip"


def at_the_edge(request: CutoutRequest, found: Overlap) -> Overlap:
    """Clip or pad what sticks out of one image.

    Raises
    ------
    RequestFault
        For ``EDGE=error``.
    """
    stencil = request.stencil
    if found.whole or stencil is None:
        return found
    match edge_of(request):
        case "clip":
            return replace(found, grid=found.inside)
        case "error":
            raise sticking_out(stencil, [found.record])
        case _ if isinstance(stencil, CenteredBox):
            return found
        case _:
            box = full_box(stencil, wcs_of(found.record))
            if box is None:
                raise RequestFault(
                    f"the pixel grid of {found.record.dataset} does not reach over all of the region: "
                    "ask for EDGE=clip, or for a smaller region"
                )
            return replace(found, grid=box)


def sticking_out(stencil: Stencil, records: list[ImageRecord]) -> RequestFault:
    """Tell how much of a region lies outside of some images, nearest first, and what to ask instead."""
    share = share_outside(stencil, records)
    amount = f"{math.floor(100 * share)} %" if share >= 0.01 else "less than 1 %"
    return RequestFault(
        f"{amount} of the region lies outside of the data, which EDGE=error does not allow: ask for "
        "EDGE=clip to have what there is, EDGE=pad to have the rest without data, or for a smaller region"
    )


def share_outside(stencil: Stencil, records: list[ImageRecord]) -> float:
    """Estimate the share of a region that no image has."""
    nearest = records[0]
    if isinstance(stencil, CenteredBox):
        wcs = wcs_of(nearest)
        box = centered_box(stencil, wcs, nearest.pixel_scale_deg)
        if box is None:
            return 1.0
        lattice = np.meshgrid(
            np.linspace(box.x0, box.x1 - 1.0, _LATTICE), np.linspace(box.y0, box.y1 - 1.0, _LATTICE)
        )
        points = wcs.to_sky(*(axis.ravel() for axis in lattice))
    else:
        circle = stencil.bounding_circle()
        # Rings of the same area.
        radii = circle.radius_deg * np.sqrt((np.arange(_LATTICE) + 0.5) / _LATTICE)
        center = unit_vectors(circle.ra_deg, circle.dec_deg)
        points = np.concatenate([circle_points(center, radius, _LATTICE) for radius in radii])
        points = np.concatenate([points[stencil.contains(points)], stencil.boundary(_LATTICE)])
    left = points[np.isfinite(points).all(axis=-1)]
    for record in records:
        x, y = wcs_of(record).to_pixel(left)
        here = (x >= -0.5) & (x <= record.nx - 0.5) & (y >= -0.5) & (y <= record.ny - 0.5)
        left = left[~here]
    return len(left) / max(len(points), 1)
