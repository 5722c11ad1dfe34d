"""Drafts made into parts: with zero points, unique areas, and the layers that are read with the images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from surveys.errors import RequestFault
from surveys.image import ImageRecord
from surveys.index.catalog import Catalog
from surveys.plan import Companion, Part, Piece
from surveys.planning.images import cut_of, piece_of
from surveys.planning.mosaics import Draft
from surveys.planning.photometry import scales_of
from surveys.request import CutoutRequest
from surveys.sky.sphere import circle_points, ra_dec_deg, unit_vectors
from surveys.survey import Band, Role, Survey, UniqueBorder

# Sides of the polygon that stands for a circle.
_SIDES = 32


def parts_of(
    request: CutoutRequest, survey: Survey, generation: int, drafts: Sequence[Draft], catalog: Catalog
) -> tuple[Part, ...]:
    """Make the parts of a plan.

    Raises
    ------
    RequestFault
        If zero points forbid to put images together, or a layer is asked for that is not there.
    """
    return tuple(_part(request, survey, generation, draft, catalog) for draft in drafts)


def _part(request: CutoutRequest, survey: Survey, generation: int, draft: Draft, catalog: Catalog) -> Part:
    records = [record for record, _ in draft.inputs]
    known: dict[int, Mapping[str, Any]] = {}

    def attributes() -> Mapping[int, Mapping[str, Any]]:
        if not known:
            known.update(catalog.attributes_of(records))
        return known

    scales = scales_of(request, draft.band, records, attributes, catalog.header_text)
    areas: Sequence[tuple[float, ...]] = [()] * len(records)
    if len(records) > 1:
        if isinstance(survey.unique, UniqueBorder):
            areas = [(float(survey.unique.pixels),)] * len(records)
        elif survey.unique is not None:
            areas = [area_of(attributes()[record.artifact_id].get("unique")) for record in records]
    layers = _companions(request, survey, draft, generation, catalog)
    cuts = [cut_of(request, record) for record in records]
    pieces = tuple(
        replace(
            piece_of(record, box, cut),
            scale=scale,
            unique=area,
            companions=layers.get(record.artifact_id, ()),
        )
        for (record, box), scale, area, cut in zip(draft.inputs, scales, areas, cuts, strict=True)
    )
    remarks = tuple(dict.fromkeys(remark for cut in cuts for remark in cut.remarks))
    if request.detail == "full" and request.picture is None and records[0].role == "image":
        roles = roles_of(request, survey, draft.band, composed=draft.method != "copy")
        remarks += tuple(_left_out(pieces, roles))
    return Part(draft.band.label, pieces, draft.plane.grid(draft.box), draft.method, draft.clipped, remarks)


def roles_of(request: CutoutRequest, survey: Survey, band: Band, *, composed: bool) -> tuple[Role, ...]:
    """Layers that are read with the images of a band.

    Parameters
    ----------
    composed
        Whether images are put together, resampled or made into a picture, for which it is asked which pixels
        have data.
    """
    roles: list[Role] = []
    nodata = band.nodata
    full = request.detail == "full"
    weighted = request.mosaic.combine == "weighted" and composed
    if full or weighted or (composed and nodata is not None and nodata.weight_zero):
        roles.append("weight")
    if full or (composed and nodata is not None and nodata.mask_bits):
        roles.append("mask")
    if full and request.picture is None:
        roles.append("psf")
    if weighted and survey.layer("weight") is None:
        raise RequestFault(
            f"{survey.name} has no weights, which COMBINE=weighted needs: ask for COMBINE=mean, or for none"
        )
    return tuple(role for role in roles if survey.layer(role) is not None)


def _companions(
    request: CutoutRequest, survey: Survey, draft: Draft, generation: int, catalog: Catalog
) -> dict[int, tuple[Companion, ...]]:
    images = [record for record, _ in draft.inputs if record.role == "image"]
    composed = draft.method != "copy" or request.picture is not None
    roles = roles_of(request, survey, draft.band, composed=composed)
    if not images or not roles:
        return {}
    found = catalog.companions_of(images, generation)
    if request.mosaic.combine == "weighted" and composed:
        _check_weights(images, found)
    return {
        key: tuple(_companion(role, layers[role]) for role in roles if role in layers)
        for key, layers in found.items()
    }


def _left_out(pieces: Sequence[Piece], roles: Sequence[Role]) -> Iterator[str]:
    """Say which layers an image is without, since not all that it is made of have them."""
    for role in roles:
        # A psf is that of the first.
        counted = pieces[:1] if role == "psf" else pieces
        without = [piece.dataset for piece in counted if role not in {c.role for c in piece.companions}]
        if without:
            more = f" and {len(without) - 1} more" if len(without) > 1 else ""
            yield f"There is no {role}: {without[0]}{more} has none"


def _check_weights(images: Sequence[ImageRecord], found: Mapping[int, Mapping[str, ImageRecord]]) -> None:
    for image in images:
        if "weight" not in found[image.artifact_id]:
            raise RequestFault(
                f"{image.dataset} has no weights, which COMBINE=weighted needs: ask for COMBINE=mean, "
                "or for none"
            )


def _companion(role: Role, record: ImageRecord) -> Companion:
    return Companion(role, record.dataset, record.file.size, record.file.mtime_ns)


def area_of(unique: Mapping[str, Any] | None) -> tuple[float, ...]:
    """Numbers of a unique area as the index has it: limits of RA and Dec, or vertices of a polygon.

    () where there is none, or it is of a shape that says nothing here.
    """
    if not unique:
        return ()
    if "border_px" in unique:
        return (float(unique["border_px"]),)
    if "region" not in unique:
        return tuple(float(unique[limit]) for limit in ("ra_min", "ra_max", "dec_min", "dec_max"))
    words = str(unique["region"]).replace(",", " ").replace("(", " ").replace(")", " ").upper().split()
    shape, numbers = words[:1], _numbers(words[1:])
    match shape, len(numbers):
        case ["POLYGON"], count if count >= 6 and count % 2 == 0:
            return numbers
        case ["CIRCLE"], 3:
            center = unit_vectors(numbers[0], numbers[1])
            ra, dec = ra_dec_deg(circle_points(center, numbers[2], _SIDES))
            return tuple(float(value) for value in np.stack([ra, dec], axis=-1).ravel())
        case ["RANGE"], 4:
            return numbers
    return ()


def _numbers(words: Sequence[str]) -> tuple[float, ...]:
    """Numbers among words; the frame of an STC-S region is none."""
    numbers = []
    for word in words:
        try:
            numbers.append(float(word))
        except ValueError:
            continue
    return tuple(numbers)
