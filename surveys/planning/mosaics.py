"""Several images of a band onto one grid: which grid, which images, pasted or resampled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from surveys.errors import RequestFault
from surveys.image import ImageRecord
from surveys.plan import Method
from surveys.planning.coverage import Polygon, cells_on, frame_of, meets_uncovered, needed, uncovered
from surveys.planning.images import Overlap, at_the_edge, depth_of, edge_of, sticking_out
from surveys.planning.limits import Limits, check_grid, too_many_images
from surveys.planning.planes import Plane, centre_of
from surveys.planning.tiles import Tiles
from surveys.request import CutoutRequest
from surveys.sky.pixels import PixelBox
from surveys.sky.plane import CONTACT_PX
from surveys.sky.stencil import CenteredBox, Stencil
from surveys.sky.wcs import CelestialWcs, wcs_of
from surveys.survey import Band

# Images are on one pixel grid where whole numbers of pixels lead from one to the other to this, everywhere.
SAME_GRID_PX = 1e-3
# Reach of the widest kernel, in pixels of the coarser of both grids, and a pixel for rounding.
KERNEL_PX = 3
# So many images, those with most of a region, are tried whether they have all there is of it.
HOLDERS = 3


@dataclass(frozen=True, slots=True)
class Draft:
    """An image of a product as it is decided: on which pixels of which plane, out of what.

    Parameters
    ----------
    band
        Its band.
    plane, box
        Its pixels.
    inputs
        Images, and the pixels read of each; the first is the reference. Empty where a box of pixels, placed
        on another grid than that of the images, has none of them.
    method, clipped
        As a `Part` has them.
    """

    band: Band
    plane: Plane
    box: PixelBox
    inputs: tuple[tuple[ImageRecord, PixelBox], ...]
    method: Method
    clipped: bool


def draft_copy(request: CutoutRequest, band: Band, found: Overlap) -> Draft:
    """Cut one image: its pixels as they are.

    Raises
    ------
    RequestFault
        If it sticks out and ``EDGE=error``.
    """
    cut = at_the_edge(request, found)
    inputs = ((cut.record, cut.inside),)
    return Draft(band, Plane.of(cut.record), cut.grid, inputs, "copy", not cut.whole)


def holder_of(request: CutoutRequest, tiles: Tiles) -> Overlap | None:
    """Find the one image that has all there is of a region, so that nothing need be put together.

    Of several, the one whose centre is nearest. None where there is none, or where the request combines all.
    """
    overlaps = tiles.overlaps
    if len(overlaps) == 1:
        return overlaps[0]
    if request.mosaic.combine in ("mean", "weighted"):
        return None
    for found in overlaps:
        if found.whole:
            return found
    largest = sorted(overlaps, key=_inside_deg2, reverse=True)[:HOLDERS]
    return next((found for found in largest if _has_all(found, overlaps)), None)


def _inside_deg2(found: Overlap) -> float:
    return found.inside.pixels * found.record.pixel_scale_deg**2


def _has_all(found: Overlap, overlaps: Sequence[Overlap]) -> bool:
    """Whether what the others have of the region lies on an image too."""
    plane, record = Plane.of(found.record), found.record
    x_max, y_max = record.nx - 0.5 + CONTACT_PX, record.ny - 0.5 + CONTACT_PX
    for other in overlaps:
        if other is found:
            continue
        cells = cells_on(plane, other.inside, wcs_of(other.record))
        if cells is None:
            return False
        if not all(
            -0.5 - CONTACT_PX <= x <= x_max and -0.5 - CONTACT_PX <= y <= y_max
            for cell in cells
            for x, y in cell
        ):
            return False
    return True


def plane_for(request: CutoutRequest, reference: ImageRecord) -> Plane:
    """Plane of a mosaic: that of its reference, or a gnomonic one about the region."""
    if request.mosaic.grid == "native":
        return Plane.of(reference)
    scale_deg = request.mosaic.pixscale_deg or reference.pixel_scale_deg
    return Plane.gnomonic(*centre_of(request.stencil, reference), scale_deg)


def box_on(request: CutoutRequest, plane: Plane, overlaps: Sequence[Overlap]) -> PixelBox:
    """Pixels of a plane that a request asks for: all of the region, or the box about what images have of it.

    Raises
    ------
    RequestFault
        If the region does not fit on the plane.
    """
    stencil = request.stencil
    if stencil is None or edge_of(request) == "clip":
        frame = _frame_on(plane, overlaps)
        box = frame if stencil is None else plane.box_in(stencil, frame)
        # A shape that only just touches its images has a pixel of theirs.
        box = box or frame
    else:
        full = plane.box_of(stencil)
        if full is None:
            raise plane.too_small()
        box = full
    plane.prove(box, _width_deg(stencil, plane, box))
    return box


def _frame_on(plane: Plane, overlaps: Sequence[Overlap]) -> PixelBox:
    """Whole pixels of the plane that hold what images have of a region."""
    polygons: list[Polygon] = []
    for found in overlaps:
        if found.record.dataset == plane.name:
            box = found.inside
            corners = ((box.x0 - 0.5, box.y0 - 0.5), (box.x1 - 0.5, box.y1 - 0.5))
            polygons.append(corners)
            continue
        cells = cells_on(plane, found.inside, wcs_of(found.record))
        if cells is None:
            raise plane.too_small()
        polygons += cells
    return frame_of(polygons)


def _width_deg(stencil: Stencil | None, plane: Plane, box: PixelBox) -> float:
    if stencil is None:
        return max(box.width, box.height) * plane.scale_deg
    if isinstance(stencil, CenteredBox):
        return 2.0 * stencil.bounding_circle(plane.scale_deg).radius_deg
    return 2.0 * stencil.bounding_circle().radius_deg


def draft_mosaic(request: CutoutRequest, tiles: Tiles, limits: Limits) -> Draft:
    """Put the images of one band together, on the grid of the nearest or on one that is asked for.

    Raises
    ------
    RequestFault
        If they cannot be, with the reason.
    """
    plane = plane_for(request, tiles.overlaps[0].record)
    box = box_on(request, plane, tiles.overlaps)
    check_grid(request.stencil, plane, box, 1, limits)
    return draft_on(request, tiles, plane, box, limits)


def draft_on(request: CutoutRequest, tiles: Tiles, plane: Plane, box: PixelBox, limits: Limits) -> Draft:
    """Put the images of one band together on a box of a plane: that of one of them, or one with own words.

    Where all are on one pixel grid with the plane, nothing is resampled.

    Raises
    ------
    RequestFault
        If one of them is a cube.
    TooLarge
        If there are too many.
    """
    records = records_about(request, tiles, plane, box)
    clipped = is_clipped(request, plane, box, records)
    pasted = None if plane.text else _pasted(request, tiles.band, plane, box, records, clipped)
    if pasted is None:
        return draft_resampled(request, tiles.band, plane, box, records, clipped, limits)
    _check(request, pasted, limits)
    return pasted


def draft_resampled(
    request: CutoutRequest,
    band: Band,
    plane: Plane,
    box: PixelBox,
    records: Sequence[ImageRecord],
    clipped: bool,
    limits: Limits,
) -> Draft:
    """Resample images onto a box of a plane; the first of `records` is an image of that plane, if any is.

    Raises
    ------
    RequestFault
        If one of them is a cube.
    TooLarge
        If there are too many.
    """
    inputs = tuple(
        (record, _with_kernel(part, plane, record))
        for record in records
        if (part := _needed(plane, box, record)) is not None
    )
    made = Draft(band, plane, box, inputs, "resample", clipped)
    _check(request, made, limits)
    return made


def records_about(request: CutoutRequest, tiles: Tiles, plane: Plane, box: PixelBox) -> list[ImageRecord]:
    """Images that may have pixels of a box: the plane's own, those of the region, those of its corners."""
    records = list(tiles.records)
    if not request.mask:
        known = {record.artifact_id for record in records}
        records += [record for record in tiles.about(plane, box) if record.artifact_id not in known]
    if plane.name:
        records.sort(key=lambda record: record.dataset != plane.name)
    return records


def _needed(plane: Plane, box: PixelBox, record: ImageRecord) -> PixelBox | None:
    if record.dataset == plane.name:
        return box.clip(record.nx, record.ny)
    return needed(plane, box, wcs_of(record))


def _with_kernel(part: PixelBox, plane: Plane, record: ImageRecord) -> PixelBox:
    """Pixels that a kernel about those of a part reaches."""
    coarser = max(1.0, plane.scale_deg / record.pixel_scale_deg)
    margin = math.ceil(KERNEL_PX * coarser) + 1
    wide = PixelBox(part.x0 - margin, part.x1 + margin, part.y0 - margin, part.y1 + margin)
    return wide.clip(record.nx, record.ny) or part


def _pasted(
    request: CutoutRequest,
    band: Band,
    plane: Plane,
    box: PixelBox,
    records: Sequence[ImageRecord],
    clipped: bool,
) -> Draft | None:
    """Draft without resampling; None where an image is not on the plane's pixel grid."""
    inputs: list[tuple[ImageRecord, PixelBox]] = []
    reference: tuple[int, int] | None = None
    for record in records:
        if _needed(plane, box, record) is None:
            continue
        offset = (0, 0) if record.dataset == plane.name else offset_on(plane.wcs, wcs_of(record))
        if offset is None:
            return None
        part = _moved(box, offset)
        inside = part.clip(record.nx, record.ny)
        if inside is None:
            continue
        if inside == part and request.mosaic.combine not in ("mean", "weighted"):
            return Draft(band, Plane.of(record), part, ((record, inside),), "copy", clipped)
        reference = offset if reference is None else reference
        inputs.append((record, inside))
    if reference is None:
        return None
    own = _moved(box, reference)
    method: Method = "paste" if len(inputs) > 1 else "copy"
    return Draft(band, Plane.of(inputs[0][0]), own, tuple(inputs), method, clipped)


def _moved(box: PixelBox, offset: tuple[int, int]) -> PixelBox:
    """Box of a plane in the pixels of an image that lies on it at an offset."""
    dx, dy = offset
    return PixelBox(box.x0 - dx, box.x1 - dx, box.y0 - dy, box.y1 - dy)


def draft_beside(
    request: CutoutRequest, tiles: Tiles, plane: Plane, box: PixelBox, limits: Limits
) -> Draft | None:
    """Draft a band on the pixels that another band has, in those of an image of its own.

    None where it is on another pixel grid.
    """
    holder = holder_of(request, tiles)
    reference = (holder or tiles.overlaps[0]).record
    offset = offset_on(plane.wcs, wcs_of(reference))
    if offset is None:
        return None
    own = _moved(box, offset)
    inside = own.clip(reference.nx, reference.ny)
    if holder is None or inside is None:
        return draft_on(request, tiles, Plane.of(reference), own, limits)
    clipped = not holder.whole
    if clipped and request.stencil is not None and edge_of(request) == "error":
        raise sticking_out(request.stencil, [reference])
    return Draft(tiles.band, Plane.of(reference), own, ((reference, inside),), "copy", clipped)


def offset_on(one: CelestialWcs, other: CelestialWcs) -> tuple[int, int] | None:
    """Whole pixels that lead from an image's pixels to those of another plane; None where no such do."""
    lattice = np.meshgrid(np.linspace(0, other.nx - 1.0, 5), np.linspace(0, other.ny - 1.0, 5))
    x, y = (axis.ravel() for axis in lattice)
    there_x, there_y = one.to_pixel(other.to_sky(x, y))
    shift_x, shift_y = there_x - x, there_y - y
    if not (np.isfinite(shift_x).all() and np.isfinite(shift_y).all()):
        return None
    dx, dy = round(float(shift_x[12])), round(float(shift_y[12]))
    if max(np.abs(shift_x - dx).max(), np.abs(shift_y - dy).max()) >= SAME_GRID_PX:
        return None
    return dx, dy


def is_clipped(request: CutoutRequest, plane: Plane, box: PixelBox, records: Sequence[ImageRecord]) -> bool:
    """Whether the region reaches beyond all images together.

    Raises
    ------
    RequestFault
        If it does, and ``EDGE=error``.
    """
    stencil = request.stencil
    if stencil is None:
        return False
    if isinstance(stencil, CenteredBox):
        domain = plane.box_of(stencil) or box
    else:
        # A shape that goes on beyond a box that was cut down does so in the pixels next to it.
        domain = PixelBox(box.x0 - 1, box.x1 + 1, box.y0 - 1, box.y1 + 1)
    covers = []
    for record in records:
        if (part := _needed(plane, domain, record)) is not None:
            covers += cells_on(plane, part, wcs_of(record)) or []
    clipped = meets_uncovered(stencil, plane, uncovered(domain, covers))
    if clipped and edge_of(request) == "error":
        raise sticking_out(stencil, list(records))
    return clipped


def _check(request: CutoutRequest, draft: Draft, limits: Limits) -> None:
    for record, _ in draft.inputs:
        if draft.method != "copy" and (depth := depth_of(request, record)) > 1:
            raise RequestFault(
                f"{record.dataset} is a cube of which the request takes {depth} planes, and several are "
                "neither put together nor resampled: choose one by BAND, TIME or POL, or name the cube "
                "as ID, without GRID and PIXSCALE"
            )
    if len(draft.inputs) > limits.max_inputs:
        raise too_many_images(draft.inputs[0][0].survey, limits)
