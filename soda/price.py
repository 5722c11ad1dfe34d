"""What a cutout costs the worker that makes it.

Measured on one core of a machine with two, tiles in the page cache: a plain cutout of 64 x 64 takes about a
millisecond, and large ones 10 to 14 ns for a pixel of four bytes, nearly all of it for checksums and to
write; of compressed images every pixel that must be decoded, wanted or not, adds 15 to 35 ns.
"""

from __future__ import annotations

import math

from surveys.image import ImageRecord
from surveys.plan import CutoutPlan
from surveys.sky.pixels import PixelBox

#: Of any cutout: to look its image up and to open the file.
CUTOUT_S = 0.001
#: Of a byte of the product.
BYTE_S = 3e-9
#: Of a pixel that is decoded: Rice, or gzip.
DECODED_S = 25e-9


def seconds_of(plan: CutoutPlan, record: ImageRecord) -> float:
    """Estimate the time to make the cutout of a plan of one piece, which is cut from `record`."""
    (piece,) = plan.pieces
    return CUTOUT_S + BYTE_S * plan.cost.bytes_out + DECODED_S * decoded_pixels(piece.box, record)


def decoded_pixels(box: PixelBox, record: ImageRecord) -> int:
    """Count the pixels that must be decoded to have those of `box`; none where they lie plain in the file."""
    depth = math.prod(record.shape) // (record.nx * record.ny)
    if record.storage == "gzip":
        # A stream is inflated from its beginning to the last row that is wanted.
        return box.y1 * record.nx * depth
    if record.ztiles is None:
        return 0
    last = len(record.shape) - 1
    width = _whole(box.x0, box.x1, record.ztiles.ztile[last - record.x_axis])
    height = _whole(box.y0, box.y1, record.ztiles.ztile[last - record.y_axis])
    return width * height * depth


def _whole(start: int, stop: int, step: int) -> int:
    """Length of all tiles of `step` pixels that the range touches."""
    return (-(-stop // step) - start // step) * step
