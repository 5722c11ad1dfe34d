"""Deflate without repetitions: each byte by a Huffman code of its own (RFC 1951), for pictures of noise.

In noise nothing is repeated, and to search for repetitions takes most of the time and finds short ones that
cost more than they save.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]

#: Bytes that share a code.
BLOCK = 1 << 18

#: Literals and the end of a block; bits of a code at most.
_SYMBOLS, _END, _LONGEST = 257, 256, 15
#: Bytes of the description of a block's code, at most.
_HEADER = 160


@njit(nogil=True, cache=True)
def code_lengths(counts: Ints) -> Ints:
    """Bits of each symbol in a Huffman code, 15 at most.

    Parameters
    ----------
    counts
        How often each symbol occurs; at least two do.

    Returns
    -------
    array
        0 for those that do not occur.
    """
    weights = counts.copy()
    while True:
        lengths = _unlimited_lengths(weights)
        if lengths.max() <= _LONGEST:
            return lengths
        # Rare symbols are taken for less rare until no code is too long.
        for i in range(weights.size):
            if weights[i] > 0:
                weights[i] = (weights[i] >> 2) + 1


@njit(nogil=True, cache=True)
def _unlimited_lengths(weights: Ints) -> Ints:
    """Join the two lightest nodes until one is left: leaves wait in order, joined nodes come in order."""
    used = np.flatnonzero(weights > 0)
    used = used[np.argsort(weights[used], kind="mergesort")]
    count = used.size
    weight = np.empty(2 * count - 1, np.int64)
    parent = np.zeros(2 * count - 1, np.int64)
    weight[:count] = weights[used]
    leaf, joined = 0, count
    for node in range(count, 2 * count - 1):
        total = 0
        for _ in range(2):
            if leaf < count and (joined >= node or weight[leaf] <= weight[joined]):
                one, leaf = leaf, leaf + 1
            else:
                one, joined = joined, joined + 1
            parent[one] = node
            total += weight[one]
        weight[node] = total
    depth = np.zeros(2 * count - 1, np.int64)
    for node in range(2 * count - 3, -1, -1):
        depth[node] = depth[parent[node]] + 1
    lengths = np.zeros(weights.size, np.int64)
    lengths[used] = depth[:count]
    return lengths


@njit(nogil=True, cache=True)
def codes_of(lengths: Ints) -> Ints:
    """Codes of symbols with their bits in the order they are written, the first lowest (RFC 1951, 3.2.2)."""
    codes = np.zeros(lengths.size, np.int64)
    code = 0
    for length in range(1, _LONGEST + 1):
        for symbol in range(lengths.size):
            if lengths[symbol] == length:
                turned, rest = 0, code
                for _ in range(length):
                    turned, rest = (turned << 1) | (rest & 1), rest >> 1
                codes[symbol] = turned
                code += 1
        code <<= 1
    return codes


@njit(nogil=True, cache=True)
def _deflate(data: Bytes, block: int, out: Bytes) -> int:
    bits, held, at = np.uint64(0), np.uint64(0), 0
    counts = np.empty((4, _SYMBOLS), np.int64)
    for start in range(0, data.size, block):
        end = min(start + block, data.size)
        counts[:] = 0
        # Equal bytes follow each other often: counted in turns, no count waits for the one before.
        for i in range(start, end - 3, 4):
            counts[0, data[i]] += 1
            counts[1, data[i + 1]] += 1
            counts[2, data[i + 2]] += 1
            counts[3, data[i + 3]] += 1
        for i in range(end - (end - start) % 4, end):
            counts[0, data[i]] += 1
        counts[0, _END] = 1
        lengths = code_lengths(counts[0] + counts[1] + counts[2] + counts[3])
        codes = codes_of(lengths)
        pieces = _described(lengths, end == data.size)
        for i in range(pieces.shape[0]):
            bits |= np.uint64(pieces[i, 0]) << held
            held += np.uint64(pieces[i, 1])
            while held >= np.uint64(8):
                out[at] = bits & np.uint64(255)
                bits, held, at = bits >> np.uint64(8), held - np.uint64(8), at + 1
        # Code and length of a symbol lie in one number, so that one look-up finds both.
        table = ((codes << 4) | lengths).astype(np.uint64)
        for i in range(start, end - 1, 2):
            first, second = table[data[i]], table[data[i + 1]]
            length = first & np.uint64(15)
            bits |= ((first >> np.uint64(4)) | (second >> np.uint64(4)) << length) << held
            held += length + (second & np.uint64(15))
            if held >= np.uint64(32):
                out[at] = bits & np.uint64(255)
                out[at + 1] = (bits >> np.uint64(8)) & np.uint64(255)
                out[at + 2] = (bits >> np.uint64(16)) & np.uint64(255)
                out[at + 3] = (bits >> np.uint64(24)) & np.uint64(255)
                bits, held, at = bits >> np.uint64(32), held - np.uint64(32), at + 4
        if (end - start) % 2:
            bits |= np.uint64(codes[data[end - 1]]) << held
            held += np.uint64(lengths[data[end - 1]])
        bits |= np.uint64(codes[_END]) << held
        held += np.uint64(lengths[_END])
        while held >= np.uint64(8):
            out[at] = bits & np.uint64(255)
            bits, held, at = bits >> np.uint64(8), held - np.uint64(8), at + 1
    if held > np.uint64(0):
        out[at] = bits
        at += 1
    return at


@njit(nogil=True, cache=True)
def _described(lengths: Ints, last: bool) -> Ints:
    """Begin a block: values and their numbers of bits, shape (n, 2) (RFC 1951, 3.2.7).

    Lengths of codes are written by a code of their own, in which 0 to 15 have four bits each.
    """
    order = np.array([16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15])
    pieces = np.empty((5 + order.size + lengths.size + 2, 2), np.int64)
    # Whether it is the last, the kind of block, numbers of codes: of literals, distances, lengths.
    for i, (value, count) in enumerate(
        ((int(last), 1), (2, 2), (lengths.size - 257, 5), (1, 5), (order.size - 4, 4))
    ):
        pieces[i, 0], pieces[i, 1] = value, count
    for i in range(order.size):
        pieces[5 + i, 0], pieces[5 + i, 1] = (4 if order[i] < 16 else 0), 3
    # Two distances that nothing uses, as there must be some.
    for i in range(lengths.size + 2):
        length = lengths[i] if i < lengths.size else 1
        turned = ((length & 1) << 3) | ((length & 2) << 1) | ((length & 4) >> 1) | (length >> 3)
        pieces[5 + order.size + i, 0], pieces[5 + order.size + i, 1] = turned, 4
    return pieces


def deflate(data: Bytes) -> Bytes:
    """Write bytes, one at least, as a raw deflate stream of Huffman codes alone."""
    # No Huffman code is longer than one of 8 bits for most bytes and 9 for the others.
    room = data.size + data.size // 7 + (data.size // BLOCK + 2) * _HEADER
    out = np.empty(room, np.uint8)
    size: Any = _deflate(data, BLOCK, out)
    return out[:size]


@njit(nogil=True, cache=True)
def count_differences(rows: Bytes, depth: int) -> Ints:
    """Count the values that bytes have as they are, and as differences from the left, upper and both.

    Parameters
    ----------
    rows
        Shape (h, n). The first row is only what the next differs from.
    depth
        Bytes of a pixel.

    Returns
    -------
    array
        Shape (4, 256).
    """
    counts = np.zeros((4, 256), np.int64)
    height, width = rows.shape
    for y in range(1, height):
        for x in range(depth, width):
            value, left, up = int(rows[y, x]), int(rows[y, x - depth]), int(rows[y - 1, x])
            counts[0, value] += 1
            counts[1, (value - left) & 255] += 1
            counts[2, (value - up) & 255] += 1
            counts[3, (value - ((left + up) >> 1)) & 255] += 1
    return counts
