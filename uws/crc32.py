"""CRC-32 of a part of a file whose own is known, without reading the part again.

The CRC-32 of zips is linear over the bits of what it is of, so what stands before and after a part can be
taken out of that of the whole (the same algebra by which zlib's ``crc32_combine`` puts parts together).
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

Crcs = NDArray[np.uint32]

_POLYNOMIAL = np.uint32(0xEDB88320)
_TOP, _ONE = np.uint32(1 << 31), np.uint32(1)
_BITS = 32


def crc32_inside(whole: Crcs, before: Crcs, part_bytes: int, zeros_after: int) -> Crcs:
    """CRC-32 of the middle of files that are ``before + part + zeros``.

    Parameters
    ----------
    whole, before
        CRC-32 of the files, and of what stands before the parts; shape (n,).
    part_bytes, zeros_after
        Lengths of the part, and of the zero bytes after it, the same for all files.
    """
    rest = whole ^ _apply(_power(_forth(), part_bytes + zeros_after), before)
    return _apply(_power(_back(), zeros_after), rest ^ np.uint32(zlib.crc32(bytes(zeros_after))))


def _forth() -> Crcs:
    """Give what a zero byte makes of each bit of a CRC."""
    images = _ONE << np.arange(_BITS, dtype=np.uint32)
    for _ in range(8):
        images = (images >> _ONE) ^ np.where(images & _ONE, _POLYNOMIAL, np.uint32(0))
    return images


def _back() -> Crcs:
    """Give the inverse: the polynomial has the highest bit, which nothing else can have set."""
    images = _ONE << np.arange(_BITS, dtype=np.uint32)
    for _ in range(8):
        was_odd = (images & _TOP) != 0
        images = np.where(was_odd, ((images ^ _POLYNOMIAL) << _ONE) | _ONE, images << _ONE)
    return images


def _apply(images: Crcs, values: Crcs) -> Crcs:
    """Apply a linear map, which is told by the images of the bits."""
    result = np.zeros_like(values)
    for bit in range(_BITS):
        result ^= np.where(values >> np.uint32(bit) & _ONE, images[bit], np.uint32(0))
    return result


def _power(images: Crcs, times: int) -> Crcs:
    result = _ONE << np.arange(_BITS, dtype=np.uint32)
    while times:
        if times & 1:
            result = _apply(images, result)
        images = _apply(images, images)
        times >>= 1
    return result
