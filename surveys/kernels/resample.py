"""Pixels of an image at positions between them: bilinear, Lanczos-3, and both widened.

Where an output pixel lies on an image is known at nodes every `step` output pixels, and interpolated linearly
between them. All kernels share these arguments:

``window, x0, y0``
    Pixels of the image, NaN where there is no data, and which pixel of the image the first of them is. What
    lies beyond the window lies beyond the image.
``nodes, step, u0, v0``
    (3, rows, columns): x and y on the image (0-based, centres whole), and a key; their spacing in output
    pixels, and the row `v0` and column `u0` of the output arrays at the first of them.
``area``
    Columns and rows of the output arrays to be made: first and end column, first and end row.
``limits``
    Four numbers, x from and to and y from and to: pixels outside are not of the image; four more: pixels
    outside have `PENALTY` added to their key.
``outside``
    Of the shape of the output: where it is not 0 the key has `PENALTY` added; empty where it never has.

The weights of a pixel's neighbours sum to 1. Neighbours without data have none; the others are then scaled
up if at least half the weight is theirs, and else the pixel has no data.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from surveys.kernels.cells import FAST, interpolate_row, lanczos_weight

Floats = NDArray[np.float64]
Pixels = NDArray[Any]

#: Positions between two pixels for which weights are tabulated; they are linear between these.
PHASES = 1024
#: Least part of the weight that pixels with data must have: half of it, whatever the last digits are.
LEAST_WEIGHT = 0.5 - 1e-6
#: Added to keys, which lie between -4 and 4: where an image has no right of its own, and where the neighbours
#: of a position reach beyond its edge. The larger one decides.
PENALTY, EDGE_PENALTY = 16.0, 8.0
# Pixels by which positions may differ that are worked out in two ways.
_LAST_DIGITS = 1e-9
#: Neighbours of less weight do not contribute to a mask.
NO_WEIGHT = 1e-7


def linear_weight(distance: Floats, width: float = 1.0) -> Floats:
    """Weight of a pixel in bilinear interpolation; what a box of that width has of it, where it is wider.

    So wide pixels get the mean over their area, and every pixel is given away in full.
    """
    return np.clip((width + 1.0) / 2.0 - np.abs(distance), 0.0, 1.0)


def taps_of(kernel: str, width: float) -> int:
    """Neighbours along one axis."""
    return 2 * math.ceil(3.0 * width if kernel == "lanczos3" else (width + 1.0) / 2.0)


def weight_table(kernel: str, width: float = 1.0) -> Floats:
    """Tabulate the weights of the neighbours along one axis.

    Parameters
    ----------
    kernel
        ``lanczos3`` or ``bilinear``.
    width
        How much wider than one pixel the kernel is.

    Returns
    -------
    ndarray
        (PHASES + 2, taps): for a position ``i + phase / PHASES`` the weights of the pixels
        ``i - taps / 2 + 1`` and following; they sum to 1.
    """
    weight = lanczos_weight if kernel == "lanczos3" else linear_weight
    half = taps_of(kernel, width) // 2
    offsets = np.arange(1 - half, half + 1)
    # One phase more than there are: the fraction of a tiny negative number rounds to 1.
    phase = np.minimum(np.arange(PHASES + 2), PHASES)[:, np.newaxis] / PHASES
    weights = weight(offsets - phase, width)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


@njit(nogil=True, cache=True, fastmath=FAST)
def _lines(nodes: Floats, step: int, row: int, first: int, last: int, line: Floats) -> tuple[int, float]:
    """Interpolate x, y and key of the nodes `first .. last` to a row counted from the first node."""
    j = min(row // step, nodes.shape[1] - 2)
    t = (row - j * step) / step
    for k in range(3):
        for i in range(first, last + 1):
            line[k, i] = nodes[k, j, i] + t * (nodes[k, j + 1, i] - nodes[k, j, i])
    return j, t


@njit(nogil=True, cache=True, fastmath=FAST)
def _misses(line: Floats, i: int, limits: Floats) -> Any:
    """Whether a cell of the map surely has no pixel of the image."""
    xa, xb, ya, yb = line[0, i], line[0, i + 1], line[1, i], line[1, i + 1]
    return (
        (xa < limits[0] and xb < limits[0])
        or (xa > limits[1] and xb > limits[1])
        or (ya < limits[2] and yb < limits[2])
        or (ya > limits[3] and yb > limits[3])
    )


@njit(nogil=True, cache=True, fastmath=FAST)
def _is_inside(line: Floats, i: int, limits: Floats) -> Any:
    """Whether a cell of the map is surely inside the image, and where nothing is added to its key."""
    xa, xb, ya, yb = line[0, i], line[0, i + 1], line[1, i], line[1, i + 1]
    return (
        min(xa, xb) >= max(limits[0], limits[4])
        and max(xa, xb) <= min(limits[1], limits[5])
        and min(ya, yb) >= max(limits[2], limits[6])
        and max(ya, yb) <= min(limits[3], limits[7])
    )


@njit(nogil=True, cache=True, fastmath=FAST)
def _has_neighbours(line: Floats, i: int, x0: int, y0: int, last_x: int, last_y: int) -> Any:
    """Whether all neighbours of all pixels of a cell of the map are in the window."""
    xa, xb, ya, yb = line[0, i], line[0, i + 1], line[1, i], line[1, i + 1]
    return (
        min(xa, xb) >= max(x0, 0)
        and max(xa, xb) < x0 + last_x + 1
        and min(ya, yb) >= max(y0, 0)
        and max(ya, yb) < y0 + last_y + 1
    )


@njit(nogil=True, cache=True, fastmath=FAST)
def _with_neighbours(
    xa: float,
    dx: float,
    ya: float,
    dy: float,
    begin: int,
    start: int,
    end: int,
    inverse: float,
    x0: int,
    y0: int,
    last_x: int,
    last_y: int,
) -> tuple[int, int]:
    """First and end column of the pixels of a row of a cell whose neighbours are all in the window.

    Those on the very limit, where last digits decide, are not among them.
    """
    x_low, x_high = max(x0, 0) + _LAST_DIGITS, x0 + last_x + 1 - _LAST_DIGITS
    y_low, y_high = max(y0, 0) + _LAST_DIGITS, y0 + last_y + 1 - _LAST_DIGITS
    for turn in range(2):
        while start < end:
            s = ((start if turn == 0 else end - 1) - begin) * inverse
            x, y = xa + s * dx, ya + s * dy
            if x >= x_low and x < x_high and y >= y_low and y < y_high:
                break
            if turn == 0:
                start += 1
            else:
                end -= 1
    return start, end


@njit(nogil=True, cache=True, fastmath=FAST)
def _key(
    key: float, x: float, y: float, limits: Floats, outside: NDArray[np.uint8], row: int, column: int
) -> float:
    if len(outside) and outside[row, column]:
        return key + PENALTY
    if not (x >= limits[4] and x <= limits[5] and y >= limits[6] and y <= limits[7]):
        return key + PENALTY
    return key


@njit(nogil=True, cache=True, fastmath=FAST)
def _area_ratio(nodes: Floats, j: int, i: int, t: float, s: float, step: int) -> Any:
    """Area of an output pixel in pixels of the image, at the place (s, t) of a cell of the map."""
    xu = (1.0 - t) * (nodes[0, j, i + 1] - nodes[0, j, i]) + t * (nodes[0, j + 1, i + 1] - nodes[0, j + 1, i])
    yu = (1.0 - t) * (nodes[1, j, i + 1] - nodes[1, j, i]) + t * (nodes[1, j + 1, i + 1] - nodes[1, j + 1, i])
    xv = (1.0 - s) * (nodes[0, j + 1, i] - nodes[0, j, i]) + s * (nodes[0, j + 1, i + 1] - nodes[0, j, i + 1])
    yv = (1.0 - s) * (nodes[1, j + 1, i] - nodes[1, j, i]) + s * (nodes[1, j + 1, i + 1] - nodes[1, j, i + 1])
    return abs(xu * yv - xv * yu) / (step * step)


@njit(nogil=True, cache=True, fastmath=FAST)
def _some_weights(table: Pixels, fraction: float, weights: Pixels) -> None:
    phase = fraction * PHASES
    i = min(int(phase), PHASES - 1)
    f = phase - i
    for k in range(table.shape[1]):
        weights[k] = table[i, k] + f * (table[i + 1, k] - table[i, k])


@njit(nogil=True, cache=True, fastmath=FAST)
def _careful(window: Pixels, ix: int, iy: int, wx: Pixels, wy: Pixels) -> tuple[float, float]:
    """Weighted sum of the pixels that have data, and their weight; `ix`, `iy` of the first of them all."""
    total = 0.0
    weight = 0.0
    for b in range(len(wy)):
        y = iy + b
        if y < 0 or y >= window.shape[0]:
            continue
        for a in range(len(wx)):
            x = ix + a
            if x < 0 or x >= window.shape[1]:
                continue
            value = window[y, x]
            if np.isfinite(value):
                k = wx[a] * wy[b]
                total += k * value
                weight += k
    return total, weight


@njit(nogil=True, cache=True, fastmath=FAST)
def _renormalised(window: Pixels, ix: int, iy: int, wx: Pixels, wy: Pixels) -> float:
    total, weight = _careful(window, ix, iy, wx, wy)
    return total / weight if weight >= LEAST_WEIGHT else np.nan


@njit(nogil=True, cache=True, fastmath=FAST)
def _is_lanczos(table: Pixels) -> Any:
    """Whether a table is that of Lanczos with six neighbours; wide boxes have no negative weight."""
    return table.shape[1] == 6 and table[PHASES // 2, 1] < 0


@njit(nogil=True, cache=True, fastmath=FAST)
def _may_win(
    best: Floats, start: int, end: int, begin: int, inverse: float, key: float, change: float
) -> Any:
    """Whether any pixel of a row of a cell has a larger key than this image gives it."""
    any_wins = False
    for c in range(np.uint64(start), np.uint64(end)):
        any_wins |= key + (np.int64(c) - begin) * inverse * change < best[c]
    return any_wins


@njit(nogil=True, cache=True, fastmath=FAST)
def _keep(
    values: Pixels,
    start: int,
    end: int,
    begin: int,
    inverse: float,
    key: float,
    change: float,
    number: int,
    out: Pixels,
    best: Floats,
    winner: NDArray[np.int16],
) -> None:
    """Keep the values of a row of a cell where its keys are the smallest."""
    for n in range(np.uint64(end - start)):
        c = np.uint64(start) + n
        own = key + (start + np.int64(n) - begin) * inverse * change
        if own < best[c]:
            out[c] = values[n]
            best[c] = own
            winner[c] = number


@njit(nogil=True, cache=True, fastmath=FAST)
def resample(
    window: Pixels,
    x0: int,
    y0: int,
    nodes: Floats,
    step: int,
    u0: int,
    v0: int,
    area: tuple[int, int, int, int],
    limits: Floats,
    outside: NDArray[np.uint8],
    ratio: float,
    number: int,
    x_table: Pixels,
    y_table: Pixels,
    out: Pixels,
    best: Floats,
    winner: NDArray[np.int16],
) -> None:
    """Give each output pixel for which this image has the smallest key, and data, its value.

    Parameters
    ----------
    window, x0, y0, nodes, step, u0, v0, area, limits, outside
        See the module.
    ratio
        Not 0: multiply by this and by the area of the output pixel, in pixels of the window.
    number
        Of the image.
    x_table, y_table
        Of `weight_table`, along x and y.
    out, best, winner
        Output; the smallest key so far, and the number of the image that had it.
    """
    across, along = x_table.shape[1], y_table.shape[1]
    wx, wy = np.empty(across, window.dtype), np.empty(along, window.dtype)
    line = np.empty((3, nodes.shape[2]))
    values, at = np.empty(step, window.dtype), np.empty(step, np.uint64)
    scratch = np.empty((14, step), window.dtype)
    width = np.uint64(window.shape[1])
    flat = window.reshape(-1)
    last_x, last_y = window.shape[1] - across, window.shape[0] - along
    x0, y0 = x0 + across // 2 - 1, y0 + along // 2 - 1
    inverse = 1.0 / step
    taps = across if across == along and (across == 2 or _is_lanczos(x_table)) else 0
    first, last = (area[0] - u0) // step, (area[1] - 1 - u0) // step
    for row in range(area[2], area[3]):
        j, t = _lines(nodes, step, row - v0, first, last + 1, line)
        out_row, best_row, winner_row = out[row], best[row], winner[row]
        for i in range(first, last + 1):
            if _misses(line, i, limits):
                continue
            simple = len(outside) == 0 and _is_inside(line, i, limits)
            begin = u0 + i * step
            xa, ya, ka = line[0, i], line[1, i], line[2, i]
            dx, dy, dk = (line[0, i + 1] - xa), (line[1, i + 1] - ya), (line[2, i + 1] - ka)
            start, end = max(begin, area[0]), min(begin + step, area[1])
            lower, upper, good = start, end, False
            if simple and not _may_win(best_row, start, end, begin, inverse, ka, dk):
                continue
            if taps:
                if not (simple and _has_neighbours(line, i, x0, y0, last_x, last_y)):
                    lower, upper = _with_neighbours(
                        xa, dx, ya, dy, begin, start, end, inverse, x0, y0, last_x, last_y
                    )
                good = interpolate_row(
                    flat, width, x0, y0, xa, dx, ya, dy, lower - begin, upper - lower, inverse, taps, at,
                    scratch, values,
                )  # fmt: skip
            if simple and good and upper - lower == end - start:
                if ratio:
                    for n in range(end - start):
                        s = (start + n - begin) * inverse
                        values[n] *= ratio * _area_ratio(nodes, j, i, t, s, step)
                _keep(values, start, end, begin, inverse, ka, dk, number, out_row, best_row, winner_row)
                continue
            for column in range(start, end):
                c = np.uint64(column)
                s = (column - begin) * inverse
                key = ka + s * dk
                if key >= best_row[c]:
                    continue
                x = xa + s * dx
                y = ya + s * dy
                if not simple:
                    if not (x >= limits[0] and x <= limits[1] and y >= limits[2] and y <= limits[3]):
                        continue
                    key = _key(key, x, y, limits, outside, row, column)
                    if key >= best_row[c]:
                        continue
                ix, iy = math.floor(x), math.floor(y)
                fx, fy = x - ix, y - iy
                ix, iy = ix - x0, iy - y0
                value = np.nan
                if ix < 0 or iy < 0 or ix > last_x or iy > last_y:
                    key += EDGE_PENALTY
                    if key >= best_row[c]:
                        continue
                elif taps and column >= lower and column < upper:
                    value = values[column - lower]
                if not np.isfinite(value):
                    _some_weights(x_table, fx, wx)
                    _some_weights(y_table, fy, wy)
                    value = _renormalised(window, ix, iy, wx, wy)
                    if not np.isfinite(value):
                        continue
                if ratio:
                    value *= ratio * _area_ratio(nodes, j, i, t, s, step)
                out_row[c] = value
                best_row[c] = key
                winner_row[c] = number


@njit(nogil=True, cache=True, fastmath=FAST)
def variance(
    window: Pixels,
    x0: int,
    y0: int,
    nodes: Floats,
    step: int,
    u0: int,
    v0: int,
    area: tuple[int, int, int, int],
    ratio: float,
    number: int,
    x_table: Pixels,
    y_table: Pixels,
    winner: NDArray[np.int16],
    out: Pixels,
) -> None:
    """Variance of the pixels this image has given: the sum of k² σ²; `window` holds σ²."""
    wx, wy = np.empty(x_table.shape[1], window.dtype), np.empty(y_table.shape[1], window.dtype)
    line = np.empty((3, nodes.shape[2]))
    for row in range(area[2], area[3]):
        first, last = (area[0] - u0) // step, (area[1] - 1 - u0) // step
        j, t = _lines(nodes, step, row - v0, first, last + 1, line)
        for column in range(area[0], area[1]):
            if winner[row, column] != number:
                continue
            i = (column - u0) // step
            s = (column - u0 - i * step) / step
            x = line[0, i] + s * (line[0, i + 1] - line[0, i])
            y = line[1, i] + s * (line[1, i + 1] - line[1, i])
            ix, iy = math.floor(x), math.floor(y)
            _some_weights(x_table, x - ix, wx)
            _some_weights(y_table, y - iy, wy)
            ix, iy = ix - x0 - len(wx) // 2 + 1, iy - y0 - len(wy) // 2 + 1
            total = 0.0
            weight = 0.0
            for b in range(max(0, -iy), min(len(wy), window.shape[0] - iy)):
                for a in range(max(0, -ix), min(len(wx), window.shape[1] - ix)):
                    value = window[iy + b, ix + a]
                    if np.isfinite(value):
                        k = wx[a] * wy[b]
                        weight += k
                        total += k * k * value
            if weight < LEAST_WEIGHT:
                out[row, column] = np.nan
                continue
            value = total / (weight * weight)
            if ratio:
                value *= (ratio * _area_ratio(nodes, j, i, t, s, step)) ** 2
            out[row, column] = value


@njit(nogil=True, cache=True, fastmath=FAST)
def mask_bits(
    window: Pixels,
    x0: int,
    y0: int,
    nodes: Floats,
    step: int,
    u0: int,
    v0: int,
    area: tuple[int, int, int, int],
    number: int,
    x_table: Pixels,
    y_table: Pixels,
    winner: NDArray[np.int16],
    out: Pixels,
) -> None:
    """Bits of the pixels this image has given: all that any contributing neighbour has."""
    wx, wy = np.empty(x_table.shape[1], x_table.dtype), np.empty(y_table.shape[1], y_table.dtype)
    line = np.empty((3, nodes.shape[2]))
    for row in range(area[2], area[3]):
        first, last = (area[0] - u0) // step, (area[1] - 1 - u0) // step
        _lines(nodes, step, row - v0, first, last + 1, line)
        for column in range(area[0], area[1]):
            if winner[row, column] != number:
                continue
            i = (column - u0) // step
            s = (column - u0 - i * step) / step
            x = line[0, i] + s * (line[0, i + 1] - line[0, i])
            y = line[1, i] + s * (line[1, i + 1] - line[1, i])
            ix, iy = math.floor(x), math.floor(y)
            _some_weights(x_table, x - ix, wx)
            _some_weights(y_table, y - iy, wy)
            ix, iy = ix - x0 - len(wx) // 2 + 1, iy - y0 - len(wy) // 2 + 1
            bits = window.dtype.type(0)
            for b in range(max(0, -iy), min(len(wy), window.shape[0] - iy)):
                for a in range(max(0, -ix), min(len(wx), window.shape[1] - ix)):
                    if abs(wx[a] * wy[b]) > NO_WEIGHT:
                        bits |= window[iy + b, ix + a]
            out[row, column] = bits


@njit(nogil=True, cache=True)
def tally(winner: NDArray[np.int16], counts: NDArray[np.int64]) -> None:
    """Add to the counts of images the number of pixels each has given; -1 is none of them."""
    for row in range(winner.shape[0]):
        for column in range(winner.shape[1]):
            number = winner[row, column]
            if number >= 0:
                counts[np.uint64(number)] += 1


def warm_up() -> None:
    """Compile the kernels, or load them from disk, before the first request needs them."""
    nodes = np.zeros((3, 2, 2))
    limits, outside = np.zeros(8), np.zeros((0, 0), np.uint8)
    best, winner = np.zeros((1, 1)), np.zeros((1, 1), np.int16)
    area = (0, 1, 0, 1)
    for dtype in (np.float32, np.float64):
        window, table = np.zeros((8, 8), dtype), weight_table("bilinear").astype(dtype)
        place = (0, 0, nodes, 64, 0, 0)
        resample(
            window, *place, area, limits, outside, 1.0, 0, table, table, np.zeros((1, 1), dtype), best, winner
        )
        variance(window, *place, area, 1.0, 0, table, table, winner, np.zeros((1, 1), np.float32))
        bits = np.zeros((8, 8), np.int64)
        mask_bits(bits, *place, area, 0, table, table, winner, np.zeros((1, 1), np.int64))
    tally(winner, np.zeros(1, np.int64))
