"""What a cutout costs the worker that makes it.

Measured on one core of a machine with two, tiles in the page cache: a plain cutout of 64 x 64 takes about a
millisecond, and large ones 10 to 14 ns for a pixel of four bytes, nearly all of it for checksums and to
write; of compressed images every pixel that must be decoded, wanted or not, adds 15 to 35 ns. A pixel that
is resampled takes 15 ns (bilinear) to 35 ns (Lanczos-3), one that is read to be averaged or pasted 15 ns,
and one of a picture 40 ns more for each band, to colour and to encode it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from surveys.image import ImageRecord
from surveys.plan import CutoutPlan, Part
from surveys.sky.pixels import PixelBox
from surveys.sky.stencil import CenteredBox, Circle

#: Classes of size: up to so many pixels of the product; larger ones are the last.
SIZES = {"s": 1 << 14, "m": 1 << 18, "l": 1 << 22, "x": 1 << 26}
LARGEST = "xx"
#: Of any cutout: to look its image up and to open the file.
CUTOUT_S = 0.001
#: The same of one of many that are copied of one image: what they share is worked out once.
LISTED_S = 0.0003
#: Of a byte of the product.
BYTE_S = 3e-9
#: Of a pixel that is decoded: Rice, or gzip.
DECODED_S = 25e-9
#: Of an image that is put together with others: its coordinates on the common grid.
INPUT_S = 0.002
#: Of an image whose sky level is compared with those of its neighbours.
MATCHED_S = 0.01
#: Of a pixel of a layer that is resampled, by kernel; of one by an algorithm of the package reproject.
RESAMPLED_S = {"bilinear": 15e-9, "lanczos3": 35e-9, "interp": 2e-6, "adaptive": 10e-6, "exact": 10e-6}
#: Of a pixel that is read to be pasted or averaged.
READ_S = 15e-9
#: Of a pixel of a band of a picture.
PICTURE_S = 40e-9
#: Of a stamp of an alert: to find its page, and to inflate both; and to draw it. Of a number that is written.
STAMP_S, DRAWN_S, NUMBER_S = 0.0004, 0.002, 1e-6


def seconds_of(plan: CutoutPlan, records: Sequence[ImageRecord]) -> float:
    """Estimate the time to make the cutout of a plan, whose pieces are cut from `records`."""
    seconds = CUTOUT_S + BYTE_S * plan.cost.bytes_out
    for piece, record in zip(plan.pieces, records, strict=True):
        layers = 1 + len(piece.companions)
        seconds += DECODED_S * decoded_pixels(piece.box, record) * layers
    if plan.stamps:
        return seconds + _stamps_s(plan)
    return seconds + sum(_composing_s(plan, part) for part in plan.parts)


def kind_of(plan: CutoutPlan) -> str:
    """Name the kind of work that a cutout is, as it takes longer or shorter than others than was thought.

    From general to special: format; one image or several, pasted or resampled, or stamps; size; survey.
    """
    picture = plan.request.picture
    form = "fits" if picture is None else picture.media_type.rpartition("/")[2]
    form = "json" if plan.request.array else form
    images = "stamps" if plan.stamps else "one"
    if any(part.method != "copy" for part in plan.parts):
        images = f"resampled-{plan.request.mosaic.resample}" if plan.resampled else "several"
    survey = plan.request.dataset.partition("/")[0]
    return f"soda/{form}/{images}/{size_of(plan.cost.pixels_out)}/{survey}"


def kind_of_listed(form: str, pixels: int, survey: str, *, is_copied: bool) -> str:
    """Name the kind of work that rows of a list are: what they share is worked out but once.

    From general to special, as above; `form` is fits, png or jpeg, and `pixels` those of one of them.
    """
    images = "listed" if is_copied else "listed-several"
    return f"soda/{form}/{images}/{size_of(pixels)}/{survey}"


def size_of(pixels: int) -> str:
    """Class of size of a product."""
    return next((name for name, most in SIZES.items() if pixels <= most), LARGEST)


def _stamps_s(plan: CutoutPlan) -> float:
    """Estimate the time that stamps take, beyond the writing of them."""
    stamps = sum(len(stamp.kinds) for stamp in plan.stamps)
    if plan.request.picture is not None:
        return (STAMP_S + DRAWN_S) * stamps + PICTURE_S * plan.cost.pixels_out
    return STAMP_S * stamps + (NUMBER_S * plan.cost.pixels_out if plan.request.array else 0.0)


def _composing_s(plan: CutoutPlan, part: Part) -> float:
    """Estimate the time that an image takes beyond its reading and writing."""
    made = PICTURE_S * part.grid.box.pixels if plan.request.picture is not None else 0.0
    if part.method == "copy":
        return made
    layers = 1 + max(len(piece.companions) for piece in part.pieces)
    input_s = INPUT_S + (MATCHED_S if _may_be_matched(plan, part) else 0.0)
    made += input_s * len(part.pieces) + READ_S * layers * sum(piece.box.pixels for piece in part.pieces)
    if part.method == "resample":
        made += RESAMPLED_S[plan.request.mosaic.resample] * layers * part.grid.box.pixels
    return made


def _may_be_matched(plan: CutoutPlan, part: Part) -> bool:
    """Whether sky levels may be compared, as far as a plan tells."""
    background = plan.request.mosaic.background
    if len(part.pieces) < 2:
        return False
    return background == "match" or (background == "auto" and plan.request.picture is not None)


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


def covered_fraction(plan: CutoutPlan, records: Sequence[ImageRecord]) -> float | None:
    """Tell which share of a region has data, by the boxes of its images; None where that cannot be told."""
    if not plan.clipped:
        return 1.0
    scale = next((r.pixel_scale_deg for r in records if r.pixel_scale_deg), None)
    match plan.request.stencil:
        case CenteredBox(size=size) if size.in_pixels:
            asked = size.width * size.height
        case CenteredBox(size=size) if scale is not None:
            asked = size.width * size.height / scale**2
        case Circle(radius_deg=radius) if scale is not None:
            asked = (2.0 * radius / scale) ** 2
        case _:
            return None
    held = min(sum(piece.box.pixels for piece in part.pieces) for part in plan.parts)
    return min(1.0, held / max(1.0, asked))
