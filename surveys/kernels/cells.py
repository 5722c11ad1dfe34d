"""Rows of the cells of a map, their pixels at equal distances on an image: the hot loops of `resample`.

Pixels that follow each other on the output mostly do so on the image too. Such runs are made by loops without
a branch over memory without gaps, which the compiler turns into vector instructions; weights are polynomials,
which no look-up in a table holds up.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Pixels = NDArray[Any]

#: Sums may be taken in any order, but NaN and infinity keep their meaning.
FAST = {"reassoc", "contract", "nsz", "arcp"}

#: Coefficients of the even and of the odd part of a weight, which is right to 1e-8 with so many.
_TERMS = 6


def lanczos_weight(distance: Floats, width: float = 1.0) -> Floats:
    """Weight of a pixel at a distance in pixels, before the weights are made to sum to 1."""
    scaled = distance / width
    return np.where(np.abs(scaled) < 3.0, np.sinc(scaled) * np.sinc(scaled / 3.0), 0.0)


def _lanczos_terms() -> Floats:
    """Return polynomials of the weights of six neighbours, which sum to 1.

    Returns
    -------
    ndarray
        (3, 2, _TERMS): for the neighbours 0, 1 and 2 the even and the odd powers of the position, counted
        from the middle between the neighbours 2 and 3. Neighbour ``5 - k`` has the same even, and the
        negative odd ones.
    """
    count = 2 * _TERMS
    # The zeros of Chebyshev's polynomial: what goes through these is next to the best.
    position = np.cos(np.pi * (np.arange(count) + 0.5) / count) / 2
    weights = lanczos_weight(np.arange(6) - 2.5 - position[:, np.newaxis])
    weights /= weights.sum(axis=1, keepdims=True)
    terms = np.linalg.solve(np.vander(position, increasing=True), weights)[:, :3]
    return np.ascontiguousarray(np.stack([terms[::2], terms[1::2]]).transpose(2, 0, 1))


_LANCZOS = _lanczos_terms()


@njit(nogil=True, cache=True, fastmath=FAST)
def lanczos_weights(fractions: Pixels, count: int, weights: Pixels) -> None:
    """Weights of six neighbours at some positions.

    Parameters
    ----------
    fractions
        Positions, 0 to 1 from neighbour 2 to neighbour 3.
    count
        Of them.
    weights
        (6, at least `count`); output.
    """
    number = fractions.dtype.type
    for k in range(3):
        even, odd = _LANCZOS[k]
        e0, e1, e2 = number(even[0]), number(even[1]), number(even[2])
        e3, e4, e5 = number(even[3]), number(even[4]), number(even[5])
        o0, o1, o2 = number(odd[0]), number(odd[1]), number(odd[2])
        o3, o4, o5 = number(odd[3]), number(odd[4]), number(odd[5])
        low, high = weights[k], weights[5 - k]
        for n in range(np.uint64(count)):
            t = fractions[n] - number(0.5)
            q = t * t
            a = e0 + q * (e1 + q * (e2 + q * (e3 + q * (e4 + q * e5))))
            b = t * (o0 + q * (o1 + q * (o2 + q * (o3 + q * (o4 + q * o5)))))
            low[n] = a + b
            high[n] = a - b


@njit(nogil=True, cache=True, fastmath=FAST)
def _bilinear_run(
    flat: Pixels, at: Any, width: Any, fx: Pixels, fy: Pixels, first: Any, end: Any, values: Pixels
) -> None:
    one = flat.dtype.type(1)
    above = at + width
    for n in range(first, end):
        m = n - first
        u, v = fx[n], fy[n]
        low = (one - u) * flat[at + m] + u * flat[at + m + np.uint64(1)]
        high = (one - u) * flat[above + m] + u * flat[above + m + np.uint64(1)]
        values[n] = (one - v) * low + v * high


@njit(nogil=True, cache=True, fastmath=FAST)
def _lanczos_run(
    flat: Pixels, at: Any, width: Any, wx: Pixels, wy: Pixels, first: Any, end: Any, values: Pixels
) -> None:
    w0, w1, w2, w3, w4, w5 = wx[0], wx[1], wx[2], wx[3], wx[4], wx[5]  # (unpacked they would be strided)
    for n in range(first, end):
        values[n] = flat.dtype.type(0)
    for k in range(6):
        v = wy[k]
        for n in range(first, end):
            i = at + (n - first)
            values[n] += v[n] * (
                w0[n] * flat[i]
                + w1[n] * flat[i + np.uint64(1)]
                + w2[n] * flat[i + np.uint64(2)]
                + w3[n] * flat[i + np.uint64(3)]
                + w4[n] * flat[i + np.uint64(4)]
                + w5[n] * flat[i + np.uint64(5)]
            )
        at += width


@njit(nogil=True, cache=True, fastmath=FAST)
def interpolate_row(
    flat: Pixels,
    width: Any,
    x0: int,
    y0: int,
    xa: float,
    dx: float,
    ya: float,
    dy: float,
    first: int,
    count: int,
    inverse: float,
    taps: int,
    at: NDArray[np.uint64],
    scratch: Pixels,
    values: Pixels,
) -> bool:
    """Interpolate pixels whose neighbours are all there.

    Parameters
    ----------
    flat, width
        Window of an image laid flat, and the length of its rows.
    x0, y0
        The pixel of the image for which the window's first is the first neighbour.
    xa, dx, ya, dy
        Where on the image the cell begins, and how much further it ends.
    first, count, inverse
        Which of the pixels of the cell, and 1 over how many it has.
    taps
        Neighbours along each axis: 2 is bilinear, 6 Lanczos.
    at, scratch
        Memory, for at least `count` numbers, and (14, at least `count`).
    values
        Output.

    Returns
    -------
    bool
        Whether all are numbers.
    """
    fx, fy = scratch[12], scratch[13]
    for n in range(np.uint64(count)):
        s = (first + np.int64(n)) * inverse
        x, y = xa + s * dx, ya + s * dy
        ix, iy = np.int32(x), np.int32(y)
        fx[n], fy[n] = x - ix, y - iy
        at[n] = np.uint64(iy - y0) * width + np.uint64(ix - x0)
    wx, wy = scratch[:6], scratch[6:12]
    if taps == 6:
        lanczos_weights(fx, count, wx)
        lanczos_weights(fy, count, wy)
    begin = np.uint64(0)
    while begin < np.uint64(count):
        end = begin + np.uint64(1)
        while end < np.uint64(count) and at[end] == at[begin] + (end - begin):
            end += np.uint64(1)
        if taps == 2:
            _bilinear_run(flat, at[begin], width, fx, fy, begin, end, values)
        else:
            _lanczos_run(flat, at[begin], width, wx, wy, begin, end, values)
        begin = end
    good = True
    for n in range(np.uint64(count)):
        good &= np.isfinite(values[n])
    return good
