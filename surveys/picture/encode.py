"""Pixels of a picture into PNG or JPEG files, the same bytes every time."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray
from PIL import Image

from surveys.kernels.huffman import count_differences
from surveys.kernels.huffman import deflate as huffman
from surveys.kernels.png import filter_rows
from surveys.picture.colours import NO_DATA

Bytes = NDArray[np.uint8]

#: Quality of JPEG where none is asked for.
QUALITY = 90

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _COLOUR = 0, 2

#: Beginning of a zlib stream (RFC 1950).
_ZLIB = b"\x78\x01"

#: Parts of their size to which ISA-L makes some pictures smaller: those with much that is equal, for which
#: zlib finds more, and is quick; and those nearly all of which is smooth.
_SPARSE, _SMOOTH = 0.3, 0.1

#: Strips of a picture, and rows of each, that tell how it is best compressed.
_TRIED, _TRIED_ROWS = 8, 9


def encode_png(pixels: Bytes, xmp: bytes = b"", *, transparent: bool = False) -> bytes:
    """Write a PNG file.

    Sky noise is what fills astronomical pictures: differences between noisy neighbours are larger than the
    pixels themselves, and no search for repetitions finds any that are worth it. Such pictures are written
    in a Huffman code as they are; others are compressed in some of the usual ways, and the smallest is taken.

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
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    try:
        return _jpeg(image, xmp, quality, optimize=True)
    except OSError:
        # To optimize, Pillow has room for a byte a pixel, which noise may pass; as it is, it needs none.
        return _jpeg(image, xmp, quality, optimize=False)


def _jpeg(image: Image.Image, xmp: bytes, quality: int, *, optimize: bool) -> bytes:
    buffer = BytesIO()
    more = {"xmp": xmp} if xmp else {}
    # Colours of stars are small: colour has every pixel, as brightness has.
    image.save(buffer, "JPEG", quality=quality, subsampling=0, optimize=optimize, **more)
    return buffer.getvalue()


def _deflate(pixels: Bytes) -> bytes:
    """Compress rows, the kind of their differences before each, the way that suits the picture."""
    height, width, depth = pixels.shape
    rows = pixels.reshape(height, width * depth)
    plain = np.empty((height, width * depth + 1), np.uint8)
    plain[:, 0] = 0
    plain[:, 1:] = rows
    if _is_noise(rows, depth):
        check = isal_zlib.adler32(plain.data)
        return b"".join((_ZLIB, huffman(plain.reshape(-1)).tobytes(), struct.pack(">I", check)))
    best = bytes(isal_zlib.compress(plain.data, 1))
    if len(best) < _SPARSE * rows.size:
        best = min(best, zlib.compress(plain.data, 4), key=len)
    filter_rows(rows, depth, plain)
    best = min(best, bytes(isal_zlib.compress(plain.data, 1)), key=len)
    if len(best) < _SMOOTH * rows.size:
        squeeze = zlib.compressobj(6, zlib.DEFLATED, 15, 9, zlib.Z_FILTERED)
        best = min(best, squeeze.compress(plain.data) + squeeze.flush(), key=len)
    return best


def _is_noise(rows: Bytes, depth: int) -> bool:
    """Whether neither repetitions nor differences make bytes smaller than a Huffman code of them does.

    A few strips of the picture are tried.
    """
    strips = np.linspace(0, max(len(rows) - _TRIED_ROWS, 0), _TRIED, dtype=int)
    sample = [rows[start : start + _TRIED_ROWS] for start in strips]
    counts = sum((count_differences(strip, depth) for strip in sample), np.zeros((4, 256), np.int64))
    total = counts[0].sum()
    if total == 0:
        return False
    share = counts / total
    bits = -(share * np.log2(share, out=np.zeros_like(share), where=share > 0)).sum(axis=1)
    tried = np.concatenate(sample).reshape(-1)
    return bool(bits[0] <= bits.min()) and huffman(tried).size <= len(isal_zlib.compress(tried.data, 1))


def _chunk(name: bytes, content: bytes) -> bytes:
    check = isal_zlib.crc32(content, isal_zlib.crc32(name))
    return b"".join((struct.pack(">I", len(content)), name, content, struct.pack(">I", check)))
