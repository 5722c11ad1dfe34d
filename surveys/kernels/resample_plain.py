"""The plain twins of the kernels of `resample`, in numpy; tests compare the two.

Weights come from the formula here, not from a table, and nothing is done in parts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from surveys.kernels.cells import lanczos_weight
from surveys.kernels.resample import LEAST_WEIGHT, NO_WEIGHT, linear_weight, taps_of

Floats = NDArray[np.float64]
Pixels = NDArray[Any]


def map_plain(nodes: Floats, step: int, u0: int, v0: int, area: tuple[int, int, int, int]) -> Floats:
    """Interpolate a map to the pixels of an area: x, y, key and area ratio, each (rows, columns)."""
    u, v = np.arange(area[0], area[1]) - u0, np.arange(area[2], area[3])[:, np.newaxis] - v0
    i, j = u // step, np.minimum(v // step, nodes.shape[1] - 2)
    s, t = (u - i * step) / step, (v - j * step) / step
    low, high = nodes[:, j, i], nodes[:, j + 1, i]
    low_next, high_next = nodes[:, j, i + 1], nodes[:, j + 1, i + 1]
    made = (1 - t) * ((1 - s) * low + s * low_next) + t * ((1 - s) * high + s * high_next)
    along_u = (1 - t) * (low_next - low) + t * (high_next - high)
    along_v = (1 - s) * (high - low) + s * (high_next - low_next)
    ratio = np.abs(along_u[0] * along_v[1] - along_u[1] * along_v[0]) / step**2
    return np.stack([made[0], made[1], made[2], ratio])


def weights_plain(
    window: Pixels, x: Floats, y: Floats, kernel: str, widths: tuple[float, float]
) -> tuple[NDArray[np.int64], Floats]:
    """Neighbours of positions on a window, as indices into it laid flat, and their weights, which sum to 1.

    Both have the shape (neighbours, positions …); neighbours beyond the window have the index -1.
    """
    weight = lanczos_weight if kernel == "lanczos3" else linear_weight
    lines = []
    for line, width in zip((x, y), widths, strict=True):
        half = taps_of(kernel, width) // 2
        pixels = np.floor(line).astype(np.int64) + np.arange(1 - half, half + 1).reshape(-1, *[1] * x.ndim)
        weights = weight(pixels - line, width)
        lines.append((pixels, weights / weights.sum(axis=0)))
    (columns, across), (rows, along) = lines
    index = rows[:, None] * window.shape[1] + columns
    beyond = (columns < 0) | (columns >= window.shape[1]) | ((rows < 0) | (rows >= window.shape[0]))[:, None]
    index[beyond] = -1
    shape = (-1, *x.shape)
    return index.reshape(shape), (along[:, None] * across).reshape(shape)


def resample_plain(
    window: Pixels, x: Floats, y: Floats, kernel: str, widths: tuple[float, float] = (1.0, 1.0)
) -> Floats:
    """Values at positions on a window, NaN where there are none; the twin of `resample`."""
    index, weights = weights_plain(window, x, y, kernel, widths)
    values = np.where(index < 0, np.nan, window.reshape(-1)[index])
    valid = np.isfinite(values)
    weight = np.where(valid, weights, 0.0).sum(axis=0)
    total = np.where(valid, weights * np.where(valid, values, 0.0), 0.0).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(weight >= LEAST_WEIGHT, total / weight, np.nan)


def variance_plain(
    window: Pixels, x: Floats, y: Floats, kernel: str, widths: tuple[float, float] = (1.0, 1.0)
) -> Floats:
    """Variances at positions on a window of variances; the twin of `variance`."""
    index, weights = weights_plain(window, x, y, kernel, widths)
    values = np.where(index < 0, np.nan, window.reshape(-1)[index])
    valid = np.isfinite(values)
    weight = np.where(valid, weights, 0.0).sum(axis=0)
    total = np.where(valid, weights**2 * np.where(valid, values, 0.0), 0.0).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(weight >= LEAST_WEIGHT, total / weight**2, np.nan)


def mask_bits_plain(
    window: Pixels, x: Floats, y: Floats, kernel: str, widths: tuple[float, float] = (1.0, 1.0)
) -> Pixels:
    """Bits at positions on a window of bits; the twin of `mask_bits`."""
    index, weights = weights_plain(window, x, y, kernel, widths)
    bits = np.where((index < 0) | (np.abs(weights) <= NO_WEIGHT), 0, window.reshape(-1)[index])
    return np.asarray(np.bitwise_or.reduce(bits, axis=0))


def tally_plain(winner: NDArray[np.int16], counts: NDArray[np.int64]) -> None:
    """Count the pixels that each image has given; the twin of `tally`."""
    counts += np.bincount(winner.ravel() + 1, minlength=len(counts) + 1)[1:]
