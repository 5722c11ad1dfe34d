"""Which bands make a product, and on which grids."""

from __future__ import annotations

import math
from collections.abc import Sequence

from surveys.errors import RequestFault
from surveys.mosaic.grid import OutputGrid
from surveys.picture.avm import fit_plane, tan_cards
from surveys.picture.size import View, view_of
from surveys.planning.images import depth_of
from surveys.planning.limits import Limits, check_grid, check_picture
from surveys.planning.mosaics import (
    Draft,
    box_on,
    draft_beside,
    draft_copy,
    draft_mosaic,
    draft_on,
    draft_resampled,
    holder_of,
    is_clipped,
    plane_for,
    records_about,
)
from surveys.planning.planes import Plane, centre_of, zoomed
from surveys.planning.tiles import Tiles
from surveys.request import CutoutRequest, PictureOptions
from surveys.sky.pixels import PixelBox


def draft_fits(request: CutoutRequest, tiles: Sequence[Tiles], limits: Limits) -> list[Draft]:
    """Draft the images of a FITS file, one a band.

    Raises
    ------
    RequestFault
        If they cannot be made.
    """
    if len(tiles) > 1 and (request.layout == "cube" or request.mosaic.grid == "tan"):
        return _on_one_grid(request, tiles, limits)
    return [_draft(request, of_band, limits) for of_band in tiles]


def _draft(request: CutoutRequest, tiles: Tiles, limits: Limits) -> Draft:
    if request.mosaic.grid == "native" and (found := holder_of(request, tiles)) is not None:
        return draft_copy(request, tiles.band, found)
    return draft_mosaic(request, tiles, limits)


def _on_one_grid(request: CutoutRequest, tiles: Sequence[Tiles], limits: Limits) -> list[Draft]:
    """Draft several bands on the grid of the first; nothing is resampled for that alone."""
    plane = plane_for(request, tiles[0].overlaps[0].record)
    box = _box_of_all(request, plane, tiles)
    check_grid(request.stencil, plane, box, len(tiles), limits)
    if plane.text:
        return [draft_on(request, of_band, plane, box, limits) for of_band in tiles]
    drafts: list[Draft] = []
    for of_band in tiles:
        draft = draft_beside(request, of_band, plane, box, limits)
        if draft is None:
            raise RequestFault(
                f"LAYOUT=cube needs all bands on one pixel grid, and that of {of_band.band.label} is not "
                f"that of {tiles[0].band.label}: ask for GRID=tan, or for LAYOUT=mef"
            )
        drafts.append(draft)
    return drafts


def _box_of_all(request: CutoutRequest, plane: Plane, tiles: Sequence[Tiles]) -> PixelBox:
    return box_on(request, plane, [found for of_band in tiles for found in of_band.overlaps])


def draft_picture(
    request: CutoutRequest, options: PictureOptions, tiles: Sequence[Tiles], limits: Limits
) -> list[Draft]:
    """Draft the images of a picture, one a band, all with the same pixels: of the size of the picture.

    Raises
    ------
    RequestFault
        If they cannot be made.
    """
    _refuse_cubes(request, tiles)
    reference = (holder_of(request, tiles[0]) or tiles[0].overlaps[0]).record
    plane = Plane.of(reference)
    if options.orient == "north" or request.mosaic.grid == "tan":
        scale_deg = request.mosaic.pixscale_deg or reference.pixel_scale_deg
        plane = Plane.gnomonic(*centre_of(request.stencil, reference), scale_deg)
    box = _box_of_all(request, plane, tiles)
    fitted = fit_plane(OutputGrid(plane.wcs, box.x0, box.y0, box.width, box.height))
    if not fitted.is_avm and math.isfinite(fitted.error_px):
        # Its own coordinates could not be written into the picture.
        plane = Plane.from_text(tan_cards(fitted), plane.scale_deg, box.width, box.height)
        box = _box_of_all(request, plane, tiles)
    view = view_of(box, options, plane.scale_deg, request.mosaic.pixscale_deg)
    check_picture(view.width, view.height, len(tiles), limits)
    drafts = [
        draft_beside(request, of_band, plane, box, limits) if view.shows(box) and not plane.text else None
        for of_band in tiles
    ]
    if all(draft is not None for draft in drafts):
        return [draft for draft in drafts if draft is not None]
    resized = _resized(plane.in_own_words(reference), view)
    return [
        draft or _draft_resized(request, of_band, plane, box, resized, view, limits)
        for draft, of_band in zip(drafts, tiles, strict=True)
    ]


def _resized(plane: Plane, view: View) -> Plane:
    text = zoomed(plane.text, view.left, view.bottom, view.zoom)
    return Plane.from_text(text, plane.scale_deg / view.zoom, view.width, view.height)


def _draft_resized(
    request: CutoutRequest,
    tiles: Tiles,
    plane: Plane,
    box: PixelBox,
    resized: Plane,
    view: View,
    limits: Limits,
) -> Draft:
    """Resample a band onto the pixels of a picture of a box of a plane."""
    pixels = PixelBox(0, view.width, 0, view.height)
    holder = holder_of(request, tiles)
    if holder is not None and not view.is_wider_than(box):
        records = [holder.record]
    else:
        records = records_about(request, tiles, resized, pixels)
    clipped = is_clipped(request, plane, box, records)
    return draft_resampled(request, tiles.band, resized, pixels, records, clipped, limits)


def _refuse_cubes(request: CutoutRequest, tiles: Sequence[Tiles]) -> None:
    for of_band in tiles:
        for found in of_band.overlaps:
            if (depth := depth_of(request, found.record)) > 1:
                raise RequestFault(
                    f"{found.record.dataset} is a cube of which the request takes {depth} planes, and a "
                    "picture shows one: choose it by BAND, TIME or POL, or ask for FITS"
                )
