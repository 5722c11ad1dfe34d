"""What a plan costs."""

from __future__ import annotations

from collections.abc import Sequence

from surveys.fits.header import BLOCK
from surveys.image import ImageRecord
from surveys.plan import Cost, Part
from surveys.planning.images import depth_of
from surveys.planning.mosaics import Draft
from surveys.request import CutoutRequest

# A row of the table of inputs, and the header of an image, about.
_ROW_BYTES = 160
_HEADER_BYTES = 4 * BLOCK
# Of a pixel that is not copied.
_FLOAT_BYTES = 4
# Bytes of a pixel of a picture, before it is compressed.
_PICTURE_BYTES = 3


def cost_of(request: CutoutRequest, drafts: Sequence[Draft], parts: Sequence[Part]) -> Cost:
    """Count the pixels that are read, of all layers, and those that are made; the bytes are estimated."""
    pixels_in = pixels_out = bytes_out = 0
    for draft, part in zip(drafts, parts, strict=True):
        planes = depth_of(request, draft.inputs[0][0])
        layers = 1 + sum(role != "psf" for role in _roles(part)) if request.detail == "full" else 1
        pixels_in += planes * sum(piece.box.pixels * (1 + len(piece.companions)) for piece in part.pieces)
        pixels_out += planes * part.grid.box.pixels * layers
        size = planes * part.grid.box.pixels * layers * _pixel_bytes(draft)
        bytes_out += _HEADER_BYTES + _ROW_BYTES * len(part.pieces) + -(-size // BLOCK) * BLOCK
    if request.picture is not None:
        bytes_out = parts[0].grid.box.pixels * _PICTURE_BYTES
    return Cost(pixels_in, pixels_out, bytes_out)


def _roles(part: Part) -> set[str]:
    return {companion.role for piece in part.pieces for companion in piece.companions}


def _pixel_bytes(draft: Draft) -> int:
    if draft.method == "resample":
        return _FLOAT_BYTES
    return max(_stored_bytes(record) for record, _ in draft.inputs)


def _stored_bytes(record: ImageRecord) -> int:
    return max(_FLOAT_BYTES, abs(record.bitpix) // 8)
