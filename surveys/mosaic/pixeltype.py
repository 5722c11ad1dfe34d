"""What kind of numbers a mosaic is made of, known before a pixel is read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from surveys.fits.product import is_masked
from surveys.image import ImageRecord
from surveys.mosaic.background import is_matched
from surveys.mosaic.placement import covers, shift_of
from surveys.plan import Part
from surveys.request import CutoutRequest
from surveys.survey import Nodata, Survey

#: Floats that hold the physical value of integers.
_FLOATS = {8: np.float32, 16: np.float32, 32: np.float64, 64: np.float64, -32: np.float32, -64: np.float64}
_INTEGERS: dict[int, type[np.integer[Any]]] = {8: np.uint8, 16: np.int16, 32: np.int32, 64: np.int64}


@dataclass(frozen=True, slots=True)
class PixelType:
    """The pixels of a composition.

    Parameters
    ----------
    dtype
        Native byte order.
    stored
        Whether they are integers as they are stored, with BSCALE, BZERO and BLANK of the first piece.
    fill
        Value of a pixel without data.
    promoted
        One sentence saying that integers were made into floats, and why; None where they were not.
    """

    dtype: np.dtype[Any]
    stored: bool
    fill: float | int
    promoted: str | None


def pixel_type(
    part: Part, request: CutoutRequest, records: Sequence[ImageRecord], survey: Survey
) -> PixelType:
    """Decide what the pixels of a part are kept as; opens no file.

    Parameters
    ----------
    part, request
        Of a plan.
    records
        Of its pieces, in their order.
    survey
        They belong to.
    """
    floats = np.result_type(*(_FLOATS[record.bitpix] for record in records))
    if all(record.bitpix < 0 for record in records):
        return PixelType(floats, False, math.nan, None)
    reason, fill = _why_floats(part, request, records, survey)
    if reason is None:
        return PixelType(np.dtype(_INTEGERS[records[0].bitpix]), True, fill, None)
    promoted = f"Integers made into physical {floats.itemsize * 8}-bit floats: {reason}"
    return PixelType(floats, False, math.nan, promoted)


def _why_floats(
    part: Part, request: CutoutRequest, records: Sequence[ImageRecord], survey: Survey
) -> tuple[str | None, int]:
    """Say why integers cannot stay what they are, or None and the integer of a pixel without data."""
    first = records[0]
    nodata = survey.band(part.band).nodata or Nodata(value=first.nodata)
    if part.method == "resample":
        return "they are resampled", 0
    if request.picture is not None:
        return "for a picture", 0
    if survey.linearise:
        return "they are made linear", 0
    if any(piece.scale != 1.0 for piece in part.pieces):
        return "they are scaled to one zero point", 0
    if len(records) > 1 and request.mosaic.combine in ("mean", "weighted"):
        return "they are averaged", 0
    if is_matched(part, request, survey):
        return "their backgrounds are matched", 0
    if len({(r.bitpix, r.bscale, r.bzero, r.blank) for r in records}) > 1:
        return "the images store them differently", 0
    limits = np.iinfo(_INTEGERS[first.bitpix])
    if first.blank is not None and limits.min <= first.blank <= limits.max:
        return None, first.blank
    holes = is_masked(request) or not covers(
        part.grid.box, [(shift_of(part, record, first), record) for record in records]
    )
    if holes or nodata.weight_zero or nodata.mask_bits:
        return "no BLANK stands for pixels without data", 0
    if nodata.value is None:
        return None, 0
    value = (nodata.value - first.bzero) / first.bscale
    # No pixel has a value that such integers cannot hold, NaN among them.
    return None, round(value) if limits.min <= value <= limits.max else 0
