"""How many pixels of floating point have no data: by a compiled kernel, once it is loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def _by_numpy(pixels: NDArray[np.floating[Any]]) -> int:
    # Big-endian as it is: numpy turns it a little at a time, and needs no memory for a copy.
    return int(np.count_nonzero(np.isnan(pixels)))


class _Way:
    """How it is counted: a program that only copies need not wait for the kernel, which takes a second."""

    count: Callable[[NDArray[np.floating[Any]]], int] = staticmethod(_by_numpy)


def count_nan(pixels: NDArray[np.floating[Any]]) -> int:
    """Count the pixels that are NaN; big-endian, of any shape and strides."""
    return _Way.count(pixels)


def warm_up() -> None:
    """Load the kernel; from then on it counts."""
    from surveys.kernels import missing

    missing.warm_up()

    def by_kernel(pixels: NDArray[np.floating[Any]]) -> int:
        if not pixels.flags.c_contiguous:
            return _by_numpy(pixels)
        size = pixels.itemsize
        return int(missing.count_nan(pixels.reshape(-1).view(f"<u{size}"), *missing.MASKS[size]))

    _Way.count = staticmethod(by_kernel)
