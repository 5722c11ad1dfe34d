"""Deflate by Huffman codes alone: zlib reads it, and writes none that is smaller."""

from __future__ import annotations

import zlib
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from surveys.kernels.huffman import BLOCK, code_lengths, codes_of, count_differences, deflate

Bytes = NDArray[np.uint8]
RNG = np.random.default_rng(11)


def fibonacci(count: int) -> Bytes:
    """Bytes whose best code is as unequal as can be: longer than deflate allows."""
    times = [1, 1]
    while len(times) < count:
        times.append(times[-1] + times[-2])
    return RNG.permutation(np.repeat(np.arange(count), times)).astype(np.uint8)


@pytest.mark.parametrize(
    "data",
    [
        RNG.integers(0, 256, 10_001).astype(np.uint8),
        np.clip(RNG.normal(90, 12, 2 * BLOCK + 3), 0, 255).astype(np.uint8),
        RNG.geometric(0.5, BLOCK).astype(np.uint8),
        np.zeros(5000, np.uint8),
        np.full(1, 200, np.uint8),
        np.arange(BLOCK + 1).astype(np.uint8),
        fibonacci(22),
    ],
)
def test_zlib_reads_it_and_is_not_smaller(data: Bytes) -> None:
    ours = deflate(data).tobytes()
    assert zlib.decompress(ours, -15) == data.tobytes()
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_HUFFMAN_ONLY)
    theirs = squeeze.compress(data.tobytes()) + squeeze.flush()
    assert len(ours) <= 1.005 * len(theirs) + 160


@pytest.mark.parametrize("seed", range(20))
def test_a_code_is_whole_and_no_code_begins_another(seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = np.zeros(257, np.int64)
    used = rng.choice(257, rng.integers(2, 257), replace=False)
    counts[used] = np.exp(rng.uniform(0, 25, used.size)).astype(np.int64) + 1
    lengths = code_lengths(counts)
    assert ((lengths > 0) == (counts > 0)).all()
    assert lengths.max() <= 15
    assert np.sum(0.5 ** lengths[lengths > 0]) == 1.0
    codes = codes_of(lengths)
    words = [f"{codes[s]:0{lengths[s]}b}"[::-1] for s in np.flatnonzero(lengths)]
    ordered = sorted(words)
    assert not any(b.startswith(a) for a, b in pairwise(ordered))


def test_a_code_is_as_short_as_the_entropy_allows() -> None:
    counts = np.bincount(RNG.integers(0, 30, 100_000) + RNG.integers(0, 30, 100_000), minlength=257)
    counts[256] = 1
    share = counts[counts > 0] / counts.sum()
    entropy = -np.sum(share * np.log2(share))
    bits = np.sum(counts * code_lengths(counts)) / counts.sum()
    assert entropy <= bits < entropy + 0.05


@pytest.mark.parametrize("depth", [1, 3])
def test_differences_are_counted(depth: int) -> None:
    rows = RNG.integers(0, 256, (7, 30)).astype(np.uint8)
    value, left, up = (a.astype(int) for a in (rows[1:, depth:], rows[1:, :-depth], rows[:-1, depth:]))
    expected = [value, value - left, value - up, value - (left + up) // 2]
    counts = [np.bincount((kind & 255).ravel(), minlength=256) for kind in expected]
    np.testing.assert_array_equal(count_differences(rows, depth), counts)
