"""Averages over areas: blocks of pixels, and any fraction of them; those without data do not count."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Pixels = NDArray[Any]

#: Part of an output pixel's area that must have data.
LEAST_AREA = 0.5


@njit(nogil=True, cache=True)
def block_mean(pixels: Pixels, width: int, height: int, out: Pixels) -> None:
    """Average blocks of pixels; a block of which less than half has data has none.

    Parameters
    ----------
    pixels
        (rows, columns); the blocks begin at its corner, the last ones may be cut off by its edges.
    width, height
        Pixels of a block.
    out
        A pixel for each block.
    """
    rows, columns = pixels.shape
    total = np.empty(out.shape[1])
    count = np.empty(out.shape[1], np.int64)
    for j in range(out.shape[0]):
        total[:] = 0.0
        count[:] = 0
        bottom, top = j * height, min((j + 1) * height, rows)
        for y in range(bottom, top):
            for i in range(out.shape[1]):
                for x in range(i * width, min((i + 1) * width, columns)):
                    value = pixels[y, x]
                    if np.isfinite(value):
                        total[i] += value
                        count[i] += 1
        for i in range(out.shape[1]):
            size = (top - bottom) * (min((i + 1) * width, columns) - i * width)
            out[j, i] = total[i] / count[i] if count[i] > 0 and 2 * count[i] >= size else np.nan


def block_mean_plain(pixels: Pixels, width: int, height: int) -> Floats:
    """Average blocks of pixels; the twin."""
    blocks = _blocks(pixels, width, height, np.nan)
    size = _blocks(np.ones_like(pixels), width, height, 0).sum(axis=(1, 3))
    valid = np.isfinite(blocks)
    count = valid.sum(axis=(1, 3))
    total = np.where(valid, blocks, 0.0).sum(axis=(1, 3))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where((count > 0) & (2 * count >= size), total / count, np.nan)


@njit(nogil=True, cache=True)
def block_variance(pixels: Pixels, width: int, height: int, out: Pixels) -> None:
    """Variance of the means of blocks; `pixels` are variances, NaN where there is no data."""
    rows, columns = pixels.shape
    for j in range(out.shape[0]):
        for i in range(out.shape[1]):
            total, count = 0.0, 0
            for y in range(j * height, min((j + 1) * height, rows)):
                for x in range(i * width, min((i + 1) * width, columns)):
                    value = pixels[y, x]
                    if np.isfinite(value):
                        total += value
                        count += 1
            out[j, i] = total / (count * count) if count else np.nan


def block_variance_plain(pixels: Pixels, width: int, height: int) -> Floats:
    """Variance of the means of blocks; the twin."""
    blocks = _blocks(pixels, width, height, np.nan)
    valid = np.isfinite(blocks)
    count = valid.sum(axis=(1, 3))
    total = np.where(valid, blocks, 0.0).sum(axis=(1, 3))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count > 0, total / count.astype(float) ** 2, np.nan)


@njit(nogil=True, cache=True)
def block_or(pixels: Pixels, width: int, height: int, out: Pixels) -> None:
    """Gather all bits of the pixels of each block."""
    rows, columns = pixels.shape
    out[:] = 0
    for j in range(out.shape[0]):
        for i in range(out.shape[1]):
            for y in range(j * height, min((j + 1) * height, rows)):
                for x in range(i * width, min((i + 1) * width, columns)):
                    out[j, i] |= pixels[y, x]


def block_or_plain(pixels: Pixels, width: int, height: int) -> Pixels:
    """Gather all bits of the pixels of each block; the twin."""
    return np.asarray(np.bitwise_or.reduce(_blocks(pixels, width, height, 0), axis=(1, 3)))


def _blocks(pixels: Pixels, width: int, height: int, fill: float) -> Pixels:
    """Return the pixels as (block rows, rows, block columns, columns), filled up to whole blocks."""
    rows, columns = pixels.shape
    down, across = -(-rows // height), -(-columns // width)
    whole = np.full((down * height, across * width), fill, pixels.dtype)
    whole[:rows, :columns] = pixels
    return whole.reshape(down, height, across, width)


@njit(nogil=True, cache=True)
def average(pixels: Pixels, out: Pixels) -> None:
    """Average an image over the pixels of another size of it.

    Each output pixel is the mean of all input pixels it covers, each weighted with the area covered; it has
    no data where less than `LEAST_AREA` of it has.

    Parameters
    ----------
    pixels
        (rows, columns), NaN where there is no data.
    out
        Of any size up to that of `pixels`.
    """
    rows, columns = pixels.shape
    height, width = rows / out.shape[0], columns / out.shape[1]
    first, last, head, tail = _shares(columns, out.shape[1])
    total, weight = np.empty(out.shape[1]), np.empty(out.shape[1])
    for j in range(out.shape[0]):
        total[:] = 0.0
        weight[:] = 0.0
        low, high = j * height, (j + 1) * height
        for y in range(int(low), min(math.ceil(high), rows)):
            share = min(high, y + 1.0) - max(low, float(y))
            if share <= 0.0:
                continue
            for i in range(out.shape[1]):
                value_sum, area = 0.0, 0.0
                for x in range(first[i], last[i] + 1):
                    value = pixels[y, x]
                    if np.isfinite(value):
                        part = head[i] if x == first[i] else (tail[i] if x == last[i] else 1.0)
                        value_sum += part * value
                        area += part
                total[i] += share * value_sum
                weight[i] += share * area
        for i in range(out.shape[1]):
            enough = weight[i] >= LEAST_AREA * height * width
            out[j, i] = total[i] / weight[i] if enough and weight[i] > 0.0 else np.nan


@njit(nogil=True, cache=True)
def _shares(length: int, parts: int) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats, Floats]:
    """First and last pixel of each part of an axis, and how much of these two belongs to it."""
    first, last = np.empty(parts, np.int64), np.empty(parts, np.int64)
    head, tail = np.empty(parts), np.empty(parts)
    size = length / parts
    for i in range(parts):
        low, high = i * size, min((i + 1) * size, float(length))
        first[i] = min(int(low), length - 1)
        last[i] = max(first[i], min(math.ceil(high), length) - 1)
        head[i] = min(high, first[i] + 1.0) - low
        tail[i] = high - max(low, float(last[i]))
    return first, last, head, tail


def average_plain(pixels: Pixels, shape: tuple[int, int]) -> Floats:
    """Average an image over the pixels of another size of it; the twin."""
    down, across = (_overlaps(n, m) for n, m in zip(pixels.shape, shape, strict=True))
    valid = np.isfinite(pixels)
    total = down @ np.where(valid, pixels, 0.0) @ across.T
    weight = down @ valid.astype(float) @ across.T
    least = LEAST_AREA * pixels.size / (shape[0] * shape[1])
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where((weight > 0.0) & (weight >= least - 1e-9), total / weight, np.nan)


def _overlaps(length: int, parts: int) -> Floats:
    """How much of each pixel belongs to each part of an axis, (parts, length)."""
    edges = np.arange(parts + 1) * length / parts
    pixel = np.arange(length)
    overlap = np.minimum(edges[1:, None], pixel + 1.0) - np.maximum(edges[:-1, None], pixel)
    return np.asarray(np.maximum(overlap, 0.0))


def warm_up() -> None:
    """Compile the kernels, or load them from disk, before the first request needs them."""
    for dtype in (np.float32, np.float64):
        pixels, out = np.zeros((2, 2), dtype), np.zeros((1, 1), dtype)
        block_mean(pixels, 2, 2, out)
        block_variance(pixels, 2, 2, out)
        average(pixels, out)
    block_or(np.zeros((2, 2), np.int64), 2, 2, np.zeros((1, 1), np.int64))
