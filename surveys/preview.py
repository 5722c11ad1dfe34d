"""A small picture of a whole image, to look at before asking for pixels."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from surveys.fits.cut import DTYPES, Frame, Pixels, Strip, open_reader
from surveys.fits.source import OpenFile
from surveys.image import ImageRecord
from surveys.sky.pixels import PixelBox

MEDIA_TYPE = "image/png"

#: Pixels of the longer side, at most.
SIDE = 256

#: Shares of the pixels that are darker than black, and than white.
BLACK, WHITE = 0.01, 0.997

#: Brightness in units of which the stretch turns from linear to logarithmic, of the range shown.
SOFTENING = 0.1


def make_preview(record: ImageRecord, file: OpenFile) -> bytes:
    """Draw an image in grey, first row at the bottom, pixels without data transparent; PNG.

    Not for measuring: of each block of pixels one row is read, and averaged. Of a cube it is the first
    plane. Grey is an asinh of brightness between two percentiles.

    Parameters
    ----------
    record
        The image.
    file
        Its file, open.

    Raises
    ------
    BrokenImage
        If the file cannot be read.
    """
    shades = _shades(_thinned(record, file))
    buffer = BytesIO()
    Image.fromarray(np.ascontiguousarray(shades[::-1])).save(buffer, "PNG")
    return buffer.getvalue()


def _thinned(record: ImageRecord, file: OpenFile) -> NDArray[np.float64]:
    """Means of pixels along x, of one row in each `step`; NaN where none has data."""
    step = -(-max(record.nx, record.ny) // SIDE)
    frame = Frame.of(record)
    rows = range(min(step // 2, record.ny - 1), record.ny, step)
    thinned = np.empty((len(rows), -(-record.nx // step)))
    line = np.empty(frame.shape(1, 1, record.nx), DTYPES[record.bitpix])
    with open_reader(record, PixelBox(0, record.nx, 0, record.ny), file) as reader:
        for number, y in enumerate(rows):
            reader.read(Strip(0, 1, y, y + 1), line)
            thinned[number] = _means(_physical(line[0, 0, 0, :, 0], record), step)
    return thinned


def _physical(stored: Pixels, record: ImageRecord) -> NDArray[np.float64]:
    """Values of a row, NaN where it has no data."""
    values = stored.astype(np.float64)
    if record.bitpix > 0 and record.blank is not None:
        values[stored == record.blank] = np.nan
    values = values * record.bscale + record.bzero
    if record.nodata is not None:
        values[values == record.nodata] = np.nan
    values[np.isinf(values)] = np.nan
    return values


def _means(values: NDArray[np.float64], step: int) -> NDArray[np.float64]:
    """Means of blocks of `step` values, of those with data; the last block may be shorter."""
    starts = np.arange(0, values.size, step)
    known = np.isfinite(values)
    count = np.add.reduceat(known.astype(np.int64), starts)
    total = np.add.reduceat(np.where(known, values, 0.0), starts)
    means = np.full(starts.size, np.nan)
    np.divide(total, count, out=means, where=count > 0)
    return means


def _shades(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Grey and opacity of each value, shape (rows, columns, 2)."""
    known = np.isfinite(values)
    shades = np.zeros((*values.shape, 2), np.uint8)
    if known.any():
        black, white = np.quantile(values[known], (BLACK, WHITE))
        share = np.clip((values[known] - black) / ((white - black) or 1.0), 0.0, 1.0)
        grey = np.arcsinh(share / SOFTENING) / np.arcsinh(1.0 / SOFTENING)
        shades[known, 0] = np.rint(255 * grey)
        shades[known, 1] = 255
    return shades
