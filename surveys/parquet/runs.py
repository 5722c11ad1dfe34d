"""Small whole numbers as Parquet packs them: runs of one number, and of numbers of so many bits each."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np

from surveys.parquet.thrift import Malformed

_MOST_BITS = 32


class Runs:
    """Numbers of Parquet's hybrid of run lengths and packed bits; nothing is unpacked but what is asked for.

    Parameters
    ----------
    data
        The runs.
    width
        Bits of a number.
    count
        How many numbers there are.

    Raises
    ------
    Malformed
        If there are fewer.
    """

    def __init__(self, data: memoryview, width: int, count: int) -> None:
        if width > _MOST_BITS:
            raise Malformed
        self._width = width
        self._firsts: list[int] = []
        self._runs: list[int | memoryview] = []
        at = first = 0
        try:
            while first < count:
                head, at = _unsigned(data, at)
                size = (head >> 1) * width if head & 1 else (width + 7) // 8
                numbers = (head >> 1) * 8 if head & 1 else head >> 1
                if not numbers:
                    raise Malformed
                stored = data[at : at + size]
                # Writers may leave out what of the last bits no number needs.
                if len(stored) * 8 < (min(numbers, count - first) * width if head & 1 else size * 8):
                    raise Malformed
                self._firsts.append(first)
                self._runs.append(stored if head & 1 else int.from_bytes(stored, "little"))
                at, first = at + size, first + numbers
        except IndexError:
            raise Malformed from None
        self.count = count

    def at(self, place: int) -> int:
        """Give the number at a place, from 0."""
        run = bisect_right(self._firsts, place) - 1
        stored = self._runs[run]
        if isinstance(stored, int):
            return stored
        bit = (place - self._firsts[run]) * self._width
        some = int.from_bytes(stored[bit // 8 : (bit + self._width + 7) // 8], "little")
        return some >> bit % 8 & (1 << self._width) - 1

    def count_of(self, number: int, end: int) -> int:
        """Count the places before `end` that have a number."""
        counted = 0
        for run, first in enumerate(self._firsts):
            if first >= end:
                break
            last = self._firsts[run + 1] if run + 1 < len(self._firsts) else self.count
            places = min(last, end) - first
            stored = self._runs[run]
            if isinstance(stored, int):
                counted += places if stored == number else 0
            else:
                counted += _count_packed(stored, self._width, places, number)
        return counted

    def is_all(self, number: int) -> bool:
        """Whether every place has this number, as one run."""
        return self._runs == [number]


def _count_packed(stored: memoryview, width: int, places: int, number: int) -> int:
    if not width:
        return places if number == 0 else 0
    bits = np.unpackbits(np.frombuffer(stored, np.uint8), count=places * width, bitorder="little")
    wanted = np.array([number >> bit & 1 for bit in range(width)], np.uint8)
    return int((bits.reshape(places, width) == wanted).all(axis=1).sum())


def _unsigned(data: memoryview, at: int) -> tuple[int, int]:
    number = shift = 0
    while (byte := data[at]) & 0x80:
        number |= (byte & 0x7F) << shift
        shift += 7
        at += 1
        if shift > _MOST_BITS:
            raise Malformed
    return number | byte << shift, at + 1
