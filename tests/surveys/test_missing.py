"""Pixels without data are counted alike by numpy and by the kernel, whatever their bits are."""

from __future__ import annotations

import numpy as np
import pytest

from surveys.fits.missing import count_nan, warm_up
from surveys.kernels import missing


@pytest.mark.parametrize("size", [4, 8])
def test_every_kind_of_number_is_told(size: int) -> None:
    """Each pattern of sign and exponent, with mantissas that have bits in any one of their bytes, or none."""
    exponents = np.arange(1 << (9 if size == 4 else 12), dtype=f"u{size}") << (23 if size == 4 else 52)
    bits = np.array([0, *(1 << n for n in range(23 if size == 4 else 52))], f"u{size}")
    words = (exponents[:, None] | bits).astype(f">u{size}")
    pixels = words.view(f">f{size}")
    assert np.isnan(pixels).sum() == 2 * (len(bits) - 1)
    found = missing.count_nan(pixels.reshape(-1).view(f"<u{size}"), *missing.MASKS[size])
    assert found == np.isnan(pixels).sum()


def test_the_kernel_takes_over_once_it_is_loaded() -> None:
    pixels = np.random.default_rng(1).standard_normal((1, 50, 1, 70, 1)).astype(">f4")
    pixels[0, 3, 0, 4:9] = np.nan
    pixels[0, 5, 0, 6] = np.inf
    pixels[0, 7, 0, 8] = -np.nan
    for _ in range(2):
        assert count_nan(pixels) == 6
        assert count_nan(pixels[:, 3:4, :, ::2]) == 3
        assert count_nan(pixels.astype(">f8")) == 6
        assert count_nan(pixels[:0]) == 0
        warm_up()
