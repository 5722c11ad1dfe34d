"""Compiled averages do as their plain twins do, and keep what they average."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from surveys.kernels import area
from tests.support.tiles import sky


def holed(dtype: str = "f4") -> NDArray[Any]:
    pixels = sky((53, 71), dtype)
    pixels[10:20, 30:41], pixels[:, 70], pixels[5, 5] = np.nan, np.nan, np.inf
    return pixels


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(("width", "height"), [(2, 2), (3, 5), (1, 4), (80, 80)])
def test_blocks_are_averaged_as_by_the_twins(width: int, height: int, dtype: str) -> None:
    pixels = holed(dtype)
    shape = (-(-53 // height), -(-71 // width))
    for kernel, twin in (
        (area.block_mean, area.block_mean_plain),
        (area.block_variance, area.block_variance_plain),
    ):
        out = np.empty(shape, dtype)
        kernel(np.abs(pixels), width, height, out)
        np.testing.assert_allclose(out, twin(np.abs(pixels), width, height), rtol=1e-5)
    bits = np.random.default_rng(1).integers(0, 1 << 40, (53, 71))
    gathered = np.empty(shape, np.int64)
    area.block_or(bits, width, height, gathered)
    np.testing.assert_array_equal(gathered, area.block_or_plain(bits, width, height))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("shape", [(53, 71), (20, 30), (17, 71), (1, 1), (52, 3)])
def test_any_size_is_averaged_as_by_the_twin(shape: tuple[int, int], dtype: str) -> None:
    pixels = holed(dtype)
    out = np.empty(shape, dtype)
    area.average(pixels, out)
    np.testing.assert_allclose(out, area.average_plain(pixels, shape), rtol=1e-4)
    if shape == pixels.shape:
        np.testing.assert_array_equal(out, np.where(np.isfinite(pixels), pixels, np.nan))


def test_averaging_keeps_the_mean() -> None:
    pixels = sky((90, 120), "f8")
    out = np.empty((37, 53))
    area.average(pixels, out)
    assert out.mean() == pytest.approx(pixels.mean(), rel=1e-12)
