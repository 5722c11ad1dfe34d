"""FITS files of the demo survey: plain, or Rice-compressed as fpack leaves them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from surveys.simulation import Image


def write_whole(path: Path, write: Callable[[Path], object], parts: Path) -> None:
    """Let `write` fill a file in the folder `parts`, then move it to `path`: nobody ever sees half a file."""
    part = parts / path.name
    write(part)
    part.replace(path)


def plain(image: Image, header: fits.Header) -> fits.HDUList:
    """Put the image into the primary HDU."""
    return fits.HDUList([fits.PrimaryHDU(image, header)])


def rice(image: Image, header: fits.Header, rng: np.random.Generator) -> fits.HDUList:
    """Compress by Rice as fpack does: a row a tile, steps of a quarter of the noise, subtractive dither."""
    compressed = fits.CompImageHDU(
        image,
        header,
        compression_type="RICE_1",
        quantize_level=4.0,
        quantize_method=1,
        dither_seed=int(rng.integers(1, 10_000)),
    )
    return fits.HDUList([fits.PrimaryHDU(), compressed])


def rice_scaled(counts: NDArray[np.int16], header: fits.Header, scale: float) -> fits.HDUList:
    """Compress whole numbers without loss; a pixel is worth `scale` times its number."""
    compressed = fits.CompImageHDU(counts, header, compression_type="RICE_1")
    # Given with the data, they would be taken for cards of the numbers before, and dropped.
    compressed.header["BSCALE"] = (scale, "pixel = BZERO + BSCALE * stored")
    compressed.header["BZERO"] = 0.0
    return fits.HDUList([fits.PrimaryHDU(), compressed])
