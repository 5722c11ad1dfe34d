"""One of the values that a block of snappy holds, without the others being unpacked.

What compresses to snappy does so 64 kB after 64 kB, and refers to nothing before: so it is enough to know
where each of these begins, and where the wanted value lies. Values stand one after the other, each after its
length in four bytes; of all that is before the wanted one, nothing but these lengths is looked up.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]

#: Bytes that are compressed for themselves, and the most that they come to.
PART = 1 << 16
MOST_COMPRESSED = 32 + PART + PART // 6

#: What `find_value` comes to: it wants the bytes that follow; the value is found; or this is not what snappy
#: writes, or not such values, and may be unpacked as a whole if it can be.
MORE, FOUND, OTHER = range(3)

#: What it keeps between calls: bytes unpacked so far, and bytes taken; where the next byte of a length is
#: among those unpacked; how many values are before the wanted one; how many bytes of a length are known,
#: and what they make; begin and end of the value, once they are known; steps made.
OUT, TAKEN, AT, BEFORE, KNOWN, LENGTH, BEGIN, END, STEPS = range(9)
#: Bytes of lengths may be copies of copies, of which so many are looked up.
_MOST_STEPS = 1 << 15


def new_state(place: int) -> Ints:
    """State before the first call, for the value at a place."""
    state = np.zeros(9, np.int64)
    state[BEFORE] = place
    state[END] = -1
    return state


@njit(nogil=True, cache=True)
def find_value(
    data: Bytes, size: int, total: int, first: int, state: Ints, parts: Ints, ends: Ints, sources: Ints
) -> int:
    """Find a value in compressed bytes.

    Parameters
    ----------
    data, size
        Compressed bytes from where the last call came to, and how many; at least `MOST_COMPRESSED`, or all.
    total
        Bytes unpacked, of all.
    first
        Where `data` begins, among all compressed bytes.
    state
        See `new_state`.
    parts
        Filled with where each part of 64 kB begins, among all compressed bytes; one more than there are.
    ends, sources
        Room for `PART` numbers each.
    """
    taken = 0
    while True:
        out = state[OUT]
        if out < total:
            parts[out // PART] = first + taken
        state[TAKEN] = taken
        if state[END] >= 0 and out >= state[END]:
            return FOUND
        if out >= total:
            return OTHER
        if size - taken < MOST_COMPRESSED and first + size < parts[-1]:
            return MORE
        stop = min(out + PART, total)
        taken, count = _walk(data, size, taken, stop - out, ends, sources)
        if count < 0 or not _follow(data, total, out, stop, count, state, ends, sources):
            return OTHER
        state[OUT] = stop


@njit(nogil=True, cache=True)
def _walk(data: Bytes, size: int, at: int, length: int, ends: Ints, sources: Ints) -> tuple[int, int]:
    """Walk over the elements of a part: where it ends, and how many they are; -1 if it is none."""
    count, end = 0, 0
    while end < length:
        if at >= size:
            return at, -1
        tag = int(data[at])
        kind = tag & 3
        extra = (tag >> 2) - 59 if kind == 0 and tag >> 2 > 59 else (0, 1, 2, 4)[kind]
        if at + 1 + extra > size:
            return at, -1
        number = 0
        for i in range(extra):
            number |= int(data[at + 1 + i]) << (8 * i)
        at += 1 + extra
        if kind == 0:
            run = number + 1 if extra else (tag >> 2) + 1
            if at + run > size:
                return at, -1
            sources[count] = at
            at += run
        else:
            run = (tag >> 2) + 1
            if kind == 1:
                run = ((tag >> 2) & 7) + 4
                number |= (tag >> 5) << 8
            if not 0 < number <= end:
                return at, -1
            sources[count] = -number
        end += run
        ends[count] = end
        count += 1
    return at, count if end == length else -1


@njit(nogil=True, cache=True)
def _follow(
    data: Bytes, total: int, out: int, stop: int, count: int, state: Ints, ends: Ints, sources: Ints
) -> bool:
    """Follow the lengths of values through a part; False if they lead out of all."""
    while state[END] < 0 and state[AT] < stop:
        byte = _byte(data, state[AT] - out, count, state, ends, sources)
        if byte < 0:
            return False
        state[LENGTH] |= byte << (8 * state[KNOWN])
        state[KNOWN] += 1
        state[AT] += 1
        if state[KNOWN] == 4:
            end = state[AT] + state[LENGTH]
            if end > total:
                return False
            if state[BEFORE] == 0:
                state[BEGIN], state[END] = state[AT], end
            state[AT], state[KNOWN], state[LENGTH] = end, 0, 0
            state[BEFORE] -= 1
    return True


@njit(nogil=True, cache=True)
def _byte(data: Bytes, place: int, count: int, state: Ints, ends: Ints, sources: Ints) -> int:
    """Byte at a place of a part: of a copy, what it is a copy of; -1 if that takes too long."""
    while True:
        low, high = 0, count - 1
        while low < high:
            middle = (low + high) // 2
            if ends[middle] > place:
                high = middle
            else:
                low = middle + 1
        begin = ends[low - 1] if low else 0
        if sources[low] >= 0:
            return int(data[sources[low] + place - begin])
        # A copy may reach into itself: then it repeats what is before it.
        place = begin + (place - begin) % -sources[low] + sources[low]
        state[STEPS] += 1
        if state[STEPS] > _MOST_STEPS:
            return -1


def find_value_plain(unpacked: bytes, place: int) -> tuple[int, int]:
    """Begin and end of a value, as `find_value` finds them, of what is unpacked."""
    at = 0
    for _ in range(place):
        at += 4 + int.from_bytes(unpacked[at : at + 4], "little")
    return at + 4, at + 4 + int.from_bytes(unpacked[at : at + 4], "little")


def warm_up() -> None:
    """Compile the kernels, or load them."""
    room = np.zeros(PART, np.int64)
    data = np.frombuffer(b"\x10\x01\x00\x00\x00a", np.uint8)
    parts = np.array([0, len(data)], np.int64)
    find_value(data, len(data), 5, 0, new_state(0), parts, room, room.copy())
