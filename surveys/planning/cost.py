"""What a plan costs."""

from __future__ import annotations

from collections.abc import Sequence

from surveys.plan import Cost, Part
from surveys.planning.images import depth_of
from surveys.planning.mosaics import Draft
from surveys.request import CutoutRequest

# Bytes of a pixel of a picture before it is compressed.
_PICTURE_BYTES = 3


def cost_of(request: CutoutRequest, drafts: Sequence[Draft], parts: Sequence[Part]) -> Cost:
    """Count the pixels that are read and those that are made, of all layers; bytes of pictures at most.

    Bytes of a FITS file are those of its product, which is described once the plan is there.
    """
    pixels_in = pixels_out = 0
    for draft, part in zip(drafts, parts, strict=True):
        planes = depth_of(request, draft.inputs[0][0])
        layers = 1 + len(_roles(part)) if request.detail == "full" else 1
        pixels_in += planes * sum(piece.box.pixels * (1 + len(piece.companions)) for piece in part.pieces)
        pixels_out += planes * part.grid.box.pixels * layers
    bytes_out = parts[0].grid.box.pixels * _PICTURE_BYTES if request.picture is not None else 0
    return Cost(pixels_in, pixels_out, bytes_out)


def _roles(part: Part) -> set[str]:
    """Layers that are made beside the image, those of all images; a psf is a stamp of its own size."""
    every = [{str(companion.role) for companion in piece.companions} for piece in part.pieces]
    return set.intersection(*every) - {"psf"}
