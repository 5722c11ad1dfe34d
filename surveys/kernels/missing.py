"""Pixels of floating point without data, counted in the bytes as they lie in a FITS file."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

#: Words as a little-endian processor reads them: the bits of the exponent, which are all set in NaN and in
#: infinities, and those of the mantissa, of which NaN alone has some.
MASKS: dict[int, tuple[Any, Any]] = {
    4: (np.uint32(0x0000807F), np.uint32(0xFFFF7F00)),
    8: (np.uint64(0x000000000000F07F), np.uint64(0xFFFFFFFFFFFF0F00)),
}


# It keeps the interpreter: to let go of it, and to wait for it, takes longer than a strip of pixels does.
@njit(cache=True)
def count_nan(words: NDArray[Any], exponent: Any, mantissa: Any) -> int:
    """Count big-endian numbers that are NaN, read as little-endian words, shape (n,)."""
    found = 0
    for index in range(words.size):
        word = words[index]
        found += ((word & exponent) == exponent) & ((word & mantissa) != 0)
    return found


def warm_up() -> None:
    """Compile the kernel, or load it."""
    for size, masks in MASKS.items():
        count_nan(np.zeros(1, f"<u{size}"), *masks)
