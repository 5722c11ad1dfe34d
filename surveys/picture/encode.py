"""Pixels of a picture into PNG or JPEG files, the same bytes every time."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray
from PIL import Image

from surveys.kernels.png import filter_rows
from surveys.picture.colours import NO_DATA

Bytes = NDArray[np.uint8]

#: Quality of JPEG where none is asked for.
QUALITY = 90

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _COLOUR = 0, 2

#: Parts of its size to which ISA-L makes a picture of noise smaller at most. Where it gets below, zlib is
#: tried too, which finds more, and is quick on such pictures; below the second one with differences.
_NOISY, _SMOOTH = 0.3, 0.1


def encode_png(pixels: Bytes, xmp: bytes = b"", *, transparent: bool = False) -> bytes:
    """Write a PNG file.

    Sky noise is what fills astronomical pictures: differences between noisy neighbours are larger than the
    pixels themselves, and no search for repetitions finds any. Such pictures go through the fast deflate of
    ISA-L as they are.

    Parameters
    ----------
    pixels
        Shape (h, w, 1) for grey, (h, w, 3) for colours; the upper row first.
    xmp
        XMP packet, UTF-8.
    transparent
        Whether the colour `NO_DATA` is transparent.
    """
    height, width, depth = pixels.shape
    kind = _GREY if depth == 1 else _COLOUR
    chunks = [_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0))]
    if transparent:
        chunks.append(_chunk(b"tRNS", struct.pack(f">{depth}H", *NO_DATA[:depth])))
    if xmp:
        # Uncompressed, as the XMP specification asks.
        chunks.append(_chunk(b"iTXt", b"XML:com.adobe.xmp\x00\x00\x00\x00\x00" + xmp))
    chunks += [_chunk(b"IDAT", _deflate(pixels)), _chunk(b"IEND", b"")]
    return _SIGNATURE + b"".join(chunks)


def encode_jpeg(pixels: Bytes, xmp: bytes = b"", quality: int = QUALITY) -> bytes:
    """Write a JPEG file.

    Parameters
    ----------
    pixels
        Shape (h, w, 1) for grey, (h, w, 3) for colours; the upper row first.
    xmp
        XMP packet, UTF-8.
    quality
        From 1 to 95.
    """
    buffer = BytesIO()
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    # Colours of stars are small: colour has every pixel, as brightness has.
    image.save(buffer, "JPEG", quality=quality, subsampling=0, optimize=True, **({"xmp": xmp} if xmp else {}))
    return buffer.getvalue()


def _deflate(pixels: Bytes) -> bytes:
    height, width, depth = pixels.shape
    rows = pixels.reshape(height, width * depth)
    plain = np.empty((height, width * depth + 1), np.uint8)
    plain[:, 0] = 0
    plain[:, 1:] = rows
    best = bytes(isal_zlib.compress(plain.data, 1))
    if len(best) < _NOISY * rows.size:
        best = min(best, zlib.compress(plain.data, 4), key=len)
    if len(best) < _SMOOTH * rows.size:
        filter_rows(rows, depth, plain)
        squeeze = zlib.compressobj(6, zlib.DEFLATED, 15, 9, zlib.Z_FILTERED)
        best = min(best, squeeze.compress(plain.data) + squeeze.flush(), key=len)
    return best


def _chunk(name: bytes, content: bytes) -> bytes:
    check = isal_zlib.crc32(content, isal_zlib.crc32(name))
    return b"".join((struct.pack(">I", len(content)), name, content, struct.pack(">I", check)))
