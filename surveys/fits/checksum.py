"""The FITS checksum (FITS 4.0, appendix J): a 32-bit ones' complement sum, and its ASCII coding."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_PUNCTUATION = frozenset(range(0x3A, 0x41)) | frozenset(range(0x5B, 0x61))


class Checksum:
    """The sum of bytes that come in pieces of any length."""

    def __init__(self, value: int = 0) -> None:
        self._sum = value
        self._rest = b""

    def add(self, data: NDArray[np.uint8]) -> None:
        """Add the next bytes (one axis, contiguous)."""
        if self._rest:
            missing = min(4 - len(self._rest), len(data))
            self._rest += data[:missing].tobytes()
            data = data[missing:]
            if len(self._rest) < 4:
                return
            self._sum += int.from_bytes(self._rest, "big")
        whole = len(data) // 4 * 4
        self._sum += int(data[:whole].view(">u4").sum(dtype=np.uint64))
        self._rest = data[whole:].tobytes()

    @property
    def value(self) -> int:
        """The sum so far, the bytes taken to end with zeros up to a whole word."""
        total = self._sum + int.from_bytes(self._rest.ljust(4, b"\0"), "big")
        while total >> 32:
            total = (total & 0xFFFFFFFF) + (total >> 32)
        return total


def encode(value: int) -> str:
    """Code the complement of a sum as the 16 characters of CHECKSUM.

    Each byte of the complement becomes four characters whose excess over ``0`` adds up to it; pairs of them
    are shifted apart until none is punctuation; the whole is rotated by one, as the card starts at column 12.
    """
    coded = bytearray(16)
    for i, byte in enumerate((value ^ 0xFFFFFFFF).to_bytes(4, "big")):
        quarter, rest = divmod(byte, 4)
        letters = [0x30 + quarter + rest, *[0x30 + quarter] * 3]
        for first in (0, 2):
            while letters[first] in _PUNCTUATION or letters[first + 1] in _PUNCTUATION:
                letters[first] += 1
                letters[first + 1] -= 1
        coded[i::4] = bytes(letters)
    return (coded[-1:] + coded[:-1]).decode("ascii")
