"""Rice decompression and the values of quantised pixels (FITS 4.0, sections 10.2 and 10.4)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]

RANDOM_COUNT = 10000
#: Quantised value that SUBTRACTIVE_DITHER_2 keeps for an exact zero.
ZERO_VALUE = -2147483646

NO_DITHER, DITHER_1, DITHER_2 = 0, 1, 2


def random_values() -> NDArray[np.float32]:
    """Return the 10000 numbers between 0 and 1 that dithering subtracts (FITS 4.0, appendix I)."""
    values = np.empty(RANDOM_COUNT, np.float32)
    seed = 1
    for i in range(RANDOM_COUNT):
        seed = 16807 * seed % 2147483647
        values[i] = seed / 2147483647
    return values


_BIT_LENGTH = np.array([i.bit_length() for i in range(256)], np.int64)


@njit(nogil=True, cache=True)
def _rice(
    data: Bytes, start: int, end: int, blocksize: int, bytepix: int, scratch: NDArray[np.int32], count: int
) -> bool:
    """Decode the first `count` integers of ``data[start:end]``; False if the bytes do not suffice.

    `bits` holds the `nbits` bits that are read but not yet used, the first of them uppermost.
    """
    width = 8 * bytepix
    # Bits of a block's code, and the code of a block that is stored as it is.
    code_bits, plain = (5, 25) if bytepix == 4 else ((4, 14) if bytepix == 2 else (3, 6))
    full = (1 << width) - 1
    unused = 64 - width if width > 8 else 0  # bytes are unsigned, the other integers are not
    if start + bytepix > end:
        return False
    last = 0
    for _ in range(bytepix):
        last = (last << 8) | int(data[start])
        start += 1
    bits, nbits = 0, 0
    i = 0
    while i < count:
        while nbits < code_bits:
            if start >= end:
                return False
            bits = (bits << 8) | int(data[start])
            start += 1
            nbits += 8
        nbits -= code_bits
        split = (bits >> nbits) - 1
        bits &= (1 << nbits) - 1
        stop = min(i + blocksize, count)
        if split < 0:
            scratch[i:stop] = (last << unused) >> unused
            i = stop
            continue
        if split > plain:
            return False
        low_bits = width if split == plain else split
        while i < stop:
            if nbits < 32 and start + 4 <= end:
                word = (int(data[start]) << 24) | (int(data[start + 1]) << 16)
                bits = (bits << 32) | word | (int(data[start + 2]) << 8) | int(data[start + 3])
                start += 4
                nbits += 32
            length = _BIT_LENGTH[bits >> (nbits - 8)] if nbits >= 32 else 0
            if length and split != plain:  # nearly always: the zeros end within 8 bits, all else is there
                nbits -= 9 - length + low_bits
                folded = ((8 - length) << low_bits) | (bits >> nbits) & ((1 << low_bits) - 1)
            else:
                high = 0
                while split != plain:
                    while nbits == 0:
                        if start >= end:
                            return False
                        bits, nbits, start = int(data[start]), 8, start + 1
                    nbits -= 1
                    if bits >> nbits:
                        break
                    high += 1
                bits &= (1 << nbits) - 1
                while nbits < low_bits:
                    if start >= end:
                        return False
                    bits, nbits, start = (bits << 8) | int(data[start]), nbits + 8, start + 1
                nbits -= low_bits
                folded = (high << low_bits) | (bits >> nbits)
            bits &= (1 << nbits) - 1
            last = (last + ((folded >> 1) ^ -(folded & 1))) & full
            scratch[i] = (last << unused) >> unused
            i += 1
    return True


def rice_plain(data: bytes, count: int, blocksize: int, bytepix: int) -> NDArray[np.int32]:
    """Decode like `_rice`, bit by bit; the twin."""
    width = 8 * bytepix
    code_bits, plain = {4: (5, 25), 2: (4, 14), 1: (3, 6)}[bytepix]
    text = "".join(f"{byte:08b}" for byte in data)
    last, at = int(text[:width], 2), width
    values: list[int] = []
    while len(values) < count:
        split, at = int(text[at : at + code_bits], 2) - 1, at + code_bits
        for _ in range(min(blocksize, count - len(values))):
            folded = 0
            if split == plain:
                folded, at = int(text[at : at + width], 2), at + width
            elif split >= 0:
                one = text.index("1", at)
                low = text[one + 1 : one + 1 + split]
                folded, at = ((one - at) << split) + int(low or "0", 2), one + 1 + split
            last = (last + (-(folded + 1) // 2 if folded % 2 else folded // 2)) % 2**width
            values.append(last - 2**width if width > 8 and last >= 2 ** (width - 1) else last)
    return np.array(values, np.int32)


@njit(nogil=True, cache=True)
def _random_at(random: NDArray[np.float32], seed: int, index: int) -> tuple[int, int]:
    """Where the random numbers of a tile stand at its pixel `index`: the next seed's and the next one's."""
    row = seed % RANDOM_COUNT
    at = int(random[row] * np.float32(500))
    while index >= RANDOM_COUNT - at:
        index -= RANDOM_COUNT - at
        row = (row + 1) % RANDOM_COUNT
        at = int(random[row] * np.float32(500))
    return row, at + index


@njit(nogil=True, cache=True)
def _dequantise(
    stored: NDArray[np.int32],
    scale: float,
    zero: float,
    blanks: Ints,
    dither: int,
    random: NDArray[np.float32],
    seed: int,
    index: int,
    out: NDArray[Any],
) -> None:
    """Give the pixels of a tile from its pixel `index` on their values; `blanks` is empty or one number."""
    row, at = 0, 0
    if dither != NO_DITHER:
        row, at = _random_at(random, seed, index)
    for i in range(len(stored)):
        q = np.float64(stored[i])
        if len(blanks) and stored[i] == blanks[0]:
            out[i] = np.nan
        elif dither == NO_DITHER:
            out[i] = q * scale + zero
        elif dither == DITHER_2 and stored[i] == ZERO_VALUE:
            out[i] = 0.0
        else:
            out[i] = (q - np.float64(random[at]) + 0.5) * scale + zero
        if dither != NO_DITHER:
            at += 1
            if at == RANDOM_COUNT:
                row = (row + 1) % RANDOM_COUNT
                at = int(random[row] * np.float32(500))


def dequantise_plain(
    stored: NDArray[np.int32], scale: float, zero: float, blank: int | None, dither: int, seed: int
) -> NDArray[np.float64]:
    """Value of all pixels of a tile; the twin."""
    random = random_values()
    noise: list[np.float32] = []
    while len(noise) < len(stored):
        noise.extend(random[int(random[seed % RANDOM_COUNT] * np.float32(500)) :])
        seed += 1
    values = stored.astype(np.float64)
    if dither != NO_DITHER:
        values = values - np.array(noise[: len(stored)], np.float64) + 0.5
    values = values * scale + zero
    if dither == DITHER_2:
        values[stored == ZERO_VALUE] = 0.0
    if blank is not None:
        values[stored == blank] = np.nan
    return values


@njit(nogil=True, cache=True)
def decode_tiles(
    data: Bytes,
    starts: Ints,
    sizes: Ints,
    rice: Ints,
    shape: Ints,
    ztile: Ints,
    low: Ints,
    high: Ints,
    quantised: NDArray[np.float64],
    blanks: Ints,
    seeds: Ints,
    dither: int,
    random: NDArray[np.float32],
    out: NDArray[Any],
) -> int:
    """Decode the part ``low .. high`` of an image of four axes from its Rice-compressed tiles.

    Parameters
    ----------
    data, starts, sizes
        Bytes, and where in them each touched tile lies, in the order of the file; size 0 is skipped.
    rice
        BLOCKSIZE, BYTEPIX.
    shape, ztile, low, high
        Four numbers each, slowest axis first: of the image, of a tile, of the wanted part (half-open).
    quantised
        (tiles, 2): ZSCALE and ZZERO of each tile; without rows for integers.
    blanks
        (tiles, 1): the stored value that means NaN; (tiles, 0) where there is none.
    seeds
        For each tile its 0-based number in the image plus ZDITHER0, less one.
    dither, random
        `NO_DITHER`, `DITHER_1` or `DITHER_2`; `random_values`.
    out
        The wanted part, of shape ``high - low``, in native byte order.

    Returns
    -------
    int
        Number of the tile whose bytes do not suffice, or -1.
    """
    first = low // ztile
    tiles = (high - 1) // ztile + 1 - first
    extent, begin, stop, origin = np.empty((4, 4), np.int64)
    scratch = np.empty(ztile[0] * ztile[1] * ztile[2] * ztile[3], np.int32)
    for k in range(len(sizes)):
        if sizes[k] == 0:
            continue
        rest = k
        for axis in range(3, -1, -1):
            corner = (first[axis] + rest % tiles[axis]) * ztile[axis]
            rest //= tiles[axis]
            extent[axis] = min(ztile[axis], shape[axis] - corner)
            begin[axis] = max(low[axis] - corner, 0)
            stop[axis] = min(high[axis] - corner, extent[axis])
            origin[axis] = corner - low[axis]
        count = 0
        for axis in range(4):
            count = count * extent[axis] + stop[axis] - 1
        if not _rice(data, starts[k], starts[k] + sizes[k], rice[0], rice[1], scratch, count + 1):
            return k
        rows, lines = stop[1] - begin[1], stop[2] - begin[2]
        x0, x1 = begin[3] + origin[3], stop[3] + origin[3]
        for n in range((stop[0] - begin[0]) * rows * lines):
            a, b, c = begin[0] + n // (rows * lines), begin[1] + n // lines % rows, begin[2] + n % lines
            index = ((a * extent[1] + b) * extent[2] + c) * extent[3] + begin[3]
            stored = scratch[index : index + x1 - x0]
            target = out[a + origin[0], b + origin[1], c + origin[2], x0:x1]
            if len(quantised) == 0:
                target[:] = stored
            else:
                scale, zero = quantised[k]
                _dequantise(stored, scale, zero, blanks[k], dither, random, seeds[k], index, target)
    return -1
