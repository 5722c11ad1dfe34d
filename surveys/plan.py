"""A cutout, decided and priced before a pixel is read."""

from __future__ import annotations

from dataclasses import dataclass

from surveys.pixels import PixelBox
from surveys.request import CutoutRequest

PLAN_VERSION = 1


@dataclass(frozen=True, slots=True)
class Piece:
    """What one image gives to a cutout: `box`, inside the image of that artifact as it was indexed."""

    artifact_id: int
    dataset: str
    file_size: int
    mtime_ns: int
    box: PixelBox


@dataclass(frozen=True, slots=True)
class Cost:
    """Price of a cutout: pixels read and made, bytes of the product (exact for one image)."""

    pixels_in: int
    pixels_out: int
    bytes_out: int


@dataclass(frozen=True, slots=True)
class CutoutPlan:
    """What will be read and made; JSON-serialisable by `to_json`, no pixel was looked at.

    Parameters
    ----------
    pieces
        Empty when the filters select nothing: that is an answer, not an error.
    grid
        The output's box in pixels of the first piece's image. It may stick out of the image
        (CENTER + SIZE): then the product is padded. None when `pieces` is empty.
    clipped
        Whether the stencil reaches beyond the image and the product was cut down to it.
    """

    request: CutoutRequest
    generation: int
    pieces: tuple[Piece, ...]
    grid: PixelBox | None
    clipped: bool
    cost: Cost
    plan_version: int = PLAN_VERSION
