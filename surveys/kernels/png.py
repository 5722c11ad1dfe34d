"""Rows of a picture as differences from their neighbours: the filters of PNG (PNG 1.2, section 6)."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

#: Kinds of differences: none, from the left, from above, from their mean, from Paeth's choice.
KINDS = 5


@njit(nogil=True, cache=True)
def _expected(kind: int, left: int, up: int, corner: int) -> int:
    """Guess a byte from its neighbours."""
    if kind == 0:
        return 0
    if kind == 1:
        return left
    if kind == 2:
        return up
    if kind == 3:
        return (left + up) >> 1
    guess = left + up - corner
    by_left, by_up, by_corner = abs(guess - left), abs(guess - up), abs(guess - corner)
    if by_left <= by_up and by_left <= by_corner:
        return left
    return up if by_up <= by_corner else corner


@njit(nogil=True, cache=True)
def filter_rows(rows: Bytes, depth: int, out: Bytes) -> None:
    """Write each row as the kind of differences whose sum (of signed bytes, without sign) is least.

    Parameters
    ----------
    rows
        Shape (h, n), the upper row first.
    depth
        Bytes of a pixel.
    out
        Shape (h, n + 1), filled: number of the kind, differences.
    """
    height, count = rows.shape
    tried = np.empty((KINDS, count), np.uint8)
    for y in range(height):
        best, least = 0, 1 << 62
        for kind in range(KINDS):
            total = 0
            for x in range(count):
                left = int(rows[y, x - depth]) if x >= depth else 0
                up = int(rows[y - 1, x]) if y > 0 else 0
                corner = int(rows[y - 1, x - depth]) if x >= depth and y > 0 else 0
                difference = (int(rows[y, x]) - _expected(kind, left, up, corner)) & 255
                tried[kind, x] = difference
                total += min(difference, 256 - difference)
            if total < least:
                best, least = kind, total
        out[y, 0] = best
        out[y, 1:] = tried[best]


def filter_rows_plain(rows: Bytes, depth: int, out: Bytes) -> None:
    """Write rows like `filter_rows`; the twin."""
    whole = np.zeros((rows.shape[0] + 1, rows.shape[1] + depth), np.int64)
    whole[1:, depth:] = rows
    left, up, corner = whole[1:, :-depth], whole[:-1, depth:], whole[:-1, :-depth]
    guess = left + up - corner
    near = np.abs(np.stack([guess - left, guess - up, guess - corner])).argmin(axis=0)
    paeth = np.choose(near, [left, up, corner])
    tried = np.stack([rows - e for e in (np.zeros_like(left), left, up, (left + up) // 2, paeth)]) & 255
    best = np.minimum(tried, 256 - tried).sum(axis=-1).argmin(axis=0)
    out[:, 0] = best
    out[:, 1:] = np.take_along_axis(tried, best[None, :, None], axis=0)[0]
