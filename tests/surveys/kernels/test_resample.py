"""Compiled interpolation does as its plain twin does, and as it is defined."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from surveys.kernels import cells
from surveys.kernels import resample as kernels
from surveys.kernels import resample_plain as plain
from tests.support.tiles import sky

EVERYWHERE = np.array([-0.5, 59.5, -0.5, 49.5, -np.inf, np.inf, -np.inf, np.inf])
NO_PIXELS = np.zeros((0, 0), np.uint8)
STEP = 16
KERNELS = [("bilinear", 1.0, 1.0), ("lanczos3", 1.0, 1.0), ("bilinear", 1.5, 1.0), ("lanczos3", 1.3, 1.9)]


def turned(scale: float = 1.0) -> NDArray[np.float64]:
    """A map of 48 by 48 pixels onto an image of 60 by 50, turned, sticking out, and not quite linear."""
    u, v = np.meshgrid(np.arange(4.0) * STEP, np.arange(4.0) * STEP)
    x, y = 8.3 + scale * (0.9 * u - 0.25 * v), -4.6 + scale * (0.2 * u + 1.1 * v) + 1e-3 * u * v
    return np.stack([x, y, (u - 30.0) ** 2])


def holed(dtype: str) -> NDArray[Any]:
    pixels = sky((50, 60), dtype)
    pixels[10:13, 20:24], pixels[30, 30], pixels[40, 5] = np.nan, np.nan, np.inf
    return pixels


def edge_penalty(
    x: NDArray[np.float64], y: NDArray[np.float64], kernel: str, widths: tuple[float, float] = (1.0, 1.0)
) -> NDArray[np.float64]:
    """What is added where neighbours lie beyond the edge of 60 by 50 pixels."""
    reach_x, reach_y = (kernels.weight_table(kernel, width).shape[1] // 2 for width in widths)
    i, j = np.floor(x), np.floor(y)
    inside = (i - reach_x + 1 >= 0) & (i + reach_x <= 59) & (j - reach_y + 1 >= 0) & (j + reach_y <= 49)
    return kernels.EDGE_PENALTY * ~inside


def tables(kernel: str, widths: tuple[float, float], dtype: str) -> list[NDArray[Any]]:
    return [kernels.weight_table(kernel, width).astype(dtype) for width in widths]


def resampled(
    window: NDArray[Any],
    nodes: NDArray[np.float64],
    kernel: str = "lanczos3",
    widths: tuple[float, float] = (1.0, 1.0),
    **changes: Any,
) -> tuple[NDArray[Any], NDArray[np.float64], NDArray[np.int16]]:
    """Output, keys and winners of 48 by 48 pixels."""
    options = {"limits": EVERYWHERE, "outside": NO_PIXELS, "ratio": 0.0, "number": 3} | changes
    out = np.full((48, 48), np.nan, window.dtype)
    best, winner = np.full((48, 48), np.inf), np.full((48, 48), -1, np.int16)
    kernels.resample(
        window, 0, 0, nodes, STEP, 0, 0, (0, 48, 0, 48), *options.values(),
        *tables(kernel, widths, window.dtype.str), out, best, winner,
    )  # fmt: skip
    return out, best, winner


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(("kernel", "wide", "high"), KERNELS)
def test_resampling_is_that_of_the_twin(kernel: str, wide: float, high: float, dtype: str) -> None:
    window, nodes = holed(dtype), turned()
    out, best, winner = resampled(window, nodes, kernel, (wide, high))
    x, y, key, _ = plain.map_plain(nodes, STEP, 0, 0, (0, 48, 0, 48))
    expected = plain.resample_plain(window, x, y, kernel, (wide, high))
    expected[(x < -0.5) | (x > 59.5) | (y < -0.5) | (y > 49.5)] = np.nan
    np.testing.assert_array_equal(np.isnan(out), np.isnan(expected))
    assert 0.5 < np.isfinite(out).mean() < 0.99
    # where little weight is left the table's error and the digits of 32 bits are magnified
    np.testing.assert_allclose(out, expected, rtol=0, atol=5e-3 if dtype == "f4" else 2e-3)
    np.testing.assert_array_equal(winner, np.where(np.isfinite(out), 3, -1))
    key += edge_penalty(x, y, kernel, (wide, high))
    np.testing.assert_allclose(best, np.where(np.isfinite(out), key, np.inf), rtol=1e-12)


@pytest.mark.parametrize("kernel", ["bilinear", "lanczos3"])
@pytest.mark.parametrize("width", [1.0, 1.25, 1.99])
def test_weights_sum_to_one(kernel: str, width: float) -> None:
    table = kernels.weight_table(kernel, width)
    np.testing.assert_allclose(table.sum(axis=1), 1.0, rtol=0, atol=1e-14)
    flat = np.full((50, 60), 7.0)
    out, *_ = resampled(flat, turned(), kernel, (width, width))
    np.testing.assert_allclose(out[np.isfinite(out)], 7.0, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("dtype", "tolerance"), [("f4", 2e-7), ("f8", 2e-8)])
def test_polynomials_of_weights_are_the_kernel(dtype: str, tolerance: float) -> None:
    fractions = np.linspace(0.0, 1.0, 101).astype(dtype)
    weights = np.zeros((6, 101), dtype)
    cells.lanczos_weights(fractions, 101, weights)
    expected = cells.lanczos_weight(np.arange(-2, 4)[:, np.newaxis] - fractions.astype(float))
    np.testing.assert_allclose(weights, expected / expected.sum(axis=0), rtol=0, atol=tolerance)


def test_a_pixel_is_the_same_whatever_it_is_made_with() -> None:
    window, nodes = holed("f4"), turned()
    whole, *_ = resampled(window, nodes)
    for u in range(48):
        out, best = np.full((48, 48), np.nan, np.float32), np.full((48, 48), np.inf)
        kernels.resample(
            window, 0, 0, nodes, STEP, 0, 0, (u, u + 1, 0, 48), EVERYWHERE, NO_PIXELS, 0.0, 3,
            *tables("lanczos3", (1.0, 1.0), "f4"), out, best, np.zeros((48, 48), np.int16),
        )  # fmt: skip
        np.testing.assert_array_equal(out[:, u], whole[:, u])


def test_the_table_is_the_kernel_itself() -> None:
    window = np.zeros((50, 60))
    window[25, 30] = 1.0
    u, v = np.meshgrid(np.arange(4.0) * STEP, np.arange(4.0) * STEP)
    nodes = np.stack([27.0 + u / 8, 22.0 + v / 8, u])
    out, *_ = resampled(window, nodes, "lanczos3")
    x, y = np.meshgrid(27.0 + np.arange(48) / 8 - 30, 22.0 + np.arange(48) / 8 - 25)

    def one(distance: NDArray[np.float64]) -> NDArray[np.float64]:
        near = np.round(distance)
        around = distance - near + np.arange(-3, 4)[:, None, None]
        return cells.lanczos_weight(distance) / cells.lanczos_weight(around).sum(axis=0)

    np.testing.assert_allclose(out, one(x) * one(y), rtol=0, atol=1e-5)


def test_less_than_half_the_weight_is_no_data() -> None:
    window = np.full((50, 60), 5.0)
    window[:, 30:] = np.nan
    u, v = np.meshgrid(np.arange(4.0) * STEP, np.arange(4.0) * STEP)
    nodes = np.stack([27.0 + u / 8, 20.0 + v / 8, u])
    for kernel in ("bilinear", "lanczos3"):
        out, *_ = resampled(window, nodes, kernel)
        x = 27.0 + np.arange(48) / 8
        # half way between the last pixel with data (29) and the first without
        np.testing.assert_array_equal(np.isfinite(out[0]), x <= 29.5)
        np.testing.assert_allclose(out[0, x <= 29.5], 5.0, rtol=1e-12)


def test_the_smallest_key_wins_whatever_the_order() -> None:
    window, nodes = np.full((50, 60), 1.0), turned()
    others = nodes.copy()
    others[2] = 101.37
    results = []
    for order in ((1, 2), (2, 1)):
        out, best = np.full((48, 48), np.nan), np.full((48, 48), np.inf)
        winner = np.full((48, 48), -1, np.int16)
        for number in order:
            kernels.resample(
                window * number, 0, 0, nodes if number == 1 else others, STEP, 0, 0, (0, 48, 0, 48),
                EVERYWHERE, NO_PIXELS, 0.0, number, *tables("bilinear", (1.0, 1.0), "f8"), out, best, winner,
            )  # fmt: skip
        results.append((out, winner))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    # both lie alike on their images: the edge adds the same to either key
    key = plain.map_plain(nodes, STEP, 0, 0, (0, 48, 0, 48))[2]
    inside = results[0][1] >= 0
    np.testing.assert_array_equal(results[0][1][inside], np.where(key < 101.37, 1, 2)[inside])


def test_what_is_not_its_own_has_a_penalty() -> None:
    window, nodes = np.full((50, 60), 1.0), turned()
    limits = EVERYWHERE.copy()
    limits[4:] = 10.0, 40.0, 5.0, 45.0
    outside = np.zeros((48, 48), np.uint8)
    outside[:, :20] = 1
    _, best, winner = resampled(window, nodes, limits=limits, outside=outside)
    x, y, key, _ = plain.map_plain(nodes, STEP, 0, 0, (0, 48, 0, 48))
    foreign = (x < 10) | (x > 40) | (y < 5) | (y > 45) | (outside > 0)
    won = winner >= 0
    expected = key + kernels.PENALTY * foreign + edge_penalty(x, y, "lanczos3")
    np.testing.assert_allclose(best[won], expected[won], rtol=1e-12)


def test_values_grow_with_the_area_of_a_pixel() -> None:
    out, *_ = resampled(np.full((50, 60), 2.0), turned(), ratio=4.0)
    ratio = plain.map_plain(turned(), STEP, 0, 0, (0, 48, 0, 48))[3]
    won = np.isfinite(out)
    np.testing.assert_allclose(out[won], 2.0 * 4.0 * ratio[won], rtol=1e-9)
    assert ratio[won].mean() == pytest.approx(0.9 * 1.1 + 0.25 * 0.2, abs=0.05)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(("kernel", "wide", "high"), KERNELS)
def test_variance_is_that_of_the_twin(kernel: str, wide: float, high: float, dtype: str) -> None:
    window, nodes = np.abs(holed(dtype)), turned()
    _, _, winner = resampled(window, nodes, kernel, (wide, high))
    out = np.full((48, 48), np.nan, np.float32)
    kernels.variance(
        window,
        0,
        0,
        nodes,
        STEP,
        0,
        0,
        (0, 48, 0, 48),
        0.0,
        3,
        *tables(kernel, (wide, high), dtype),
        winner,
        out,
    )
    x, y, _, _ = plain.map_plain(nodes, STEP, 0, 0, (0, 48, 0, 48))
    expected = np.where(winner == 3, plain.variance_plain(window, x, y, kernel, (wide, high)), np.nan)
    np.testing.assert_allclose(out, expected, rtol=1e-3)


@pytest.mark.parametrize(("kernel", "wide", "high"), KERNELS)
def test_masks_are_gathered_as_by_the_twin(kernel: str, wide: float, high: float) -> None:
    window = np.where(np.random.default_rng(4).random((50, 60)) < 0.02, 1 << 33 | 4, 0)
    nodes, winner, out = turned(), np.full((48, 48), 3, np.int16), np.zeros((48, 48), np.int64)
    winner[:5] = 0
    kernels.mask_bits(
        window, 0, 0, nodes, STEP, 0, 0, (0, 48, 0, 48), 3, *tables(kernel, (wide, high), "f8"), winner, out
    )
    x, y, _, _ = plain.map_plain(nodes, STEP, 0, 0, (0, 48, 0, 48))
    expected = plain.mask_bits_plain(window, x, y, kernel, (wide, high))
    expected[:5] = 0
    np.testing.assert_array_equal(out, expected)
    assert set(np.unique(out)) == {0, 1 << 33 | 4}


def test_given_pixels_are_counted_for_each_image() -> None:
    winner = np.array([[-1, 0, 2], [2, 2, -1]], np.int16)
    ours, theirs = np.array([5, 0, 0]), np.array([5, 0, 0])
    kernels.tally(winner, ours)
    plain.tally_plain(winner, theirs)
    assert ours.tolist() == theirs.tolist() == [6, 0, 3]
