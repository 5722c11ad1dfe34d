"""One stamp as a lake stores it: a FITS file, gzipped or not, read as a stranger's and with a bound.

Whatever is wrong with it is a `StampFault`: its words follow the name of the stamp (``The Science stamp of
ztf/alert/123 …``), and hold no path.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from isal import igzip_lib, isal_zlib
from numpy.typing import NDArray

BLOCK, CARD = 2880, 80

#: Inflated; stamps are of some tens of kilobytes.
MOST_BYTES = 16 << 20
#: Cards of a header, and HDUs, that are read; and members of a gzip file.
_MOST_CARDS, _MOST_HDUS, _MOST_MEMBERS = 5000, 100, 100

_GZIP = b"\x1f\x8b"
#: Of zlib: a gzip stream with the largest window.
_GZIP_WINDOW = 31
# The stubs of isal call its exception a value.
_DAMAGED = cast(type[Exception], igzip_lib.IsalError)

_END = b"END".ljust(CARD)
_UNPRINTABLE = re.compile(r"[^ -~]")
_NUMBER = re.compile(r"([A-Z0-9_-]+) *= *([+-]?(?:\d+\.?\d*|\.\d+)(?:[EDed][+-]?\d+)?) *(?:/|$)")
_DTYPES = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}


class StampFault(ValueError):
    """What is wrong with a stamp."""


@dataclass(frozen=True, slots=True)
class StoredStamp:
    """A stamp that was opened.

    Parameters
    ----------
    fits
        The FITS file.
    gzip
        The same as it is stored; None where it is stored as it is, or in a way that not every program
        inflates.
    """

    fits: bytes
    gzip: bytes | None = None


@dataclass(frozen=True, slots=True)
class StampHdu:
    """An HDU of a stamp.

    Parameters
    ----------
    number
        0 for the primary.
    text
        Its cards, 80 characters each, without END; what is no printable ASCII became ``?``.
    numbers
        Values of its cards that hold one.
    bitpix, shape
        Of its data, axes in numpy's order; () where there are none.
    data
        As stored, without padding.
    """

    number: int
    text: str
    numbers: dict[str, float | int]
    bitpix: int
    shape: tuple[int, ...]
    data: bytes

    @property
    def name(self) -> str:
        """EXTNAME, "" for none."""
        for place in range(0, len(self.text), CARD):
            if self.text.startswith("EXTNAME =", place):
                return self.text[place + 9 : place + CARD].partition("'")[2].partition("'")[0].strip()
        return ""

    @property
    def is_image(self) -> bool:
        """Whether it holds pixels on two axes; further ones of length 1 do no harm."""
        plain = self.number == 0 or self.text.startswith("XTENSION= 'IMAGE")
        if not plain or len(self.shape) < 2 or min(self.shape) < 1 or math.prod(self.shape[:-2]) != 1:
            return False
        # An image has neither a heap nor groups.
        return len(self.data) == abs(self.bitpix) // 8 * math.prod(self.shape)

    @property
    def stored(self) -> NDArray[Any]:
        """Pixels as they are stored, shape (rows, columns), big-endian; of an image."""
        return np.frombuffer(self.data, _DTYPES[self.bitpix]).reshape(self.shape[-2:])

    @property
    def blank(self) -> int | None:
        """Stored value of a pixel without data, of integers."""
        blank = self.numbers.get("BLANK")
        if self.bitpix < 0 or not isinstance(blank, int):
            return None
        limits = np.iinfo(_DTYPES[self.bitpix])
        return blank if limits.min <= blank <= limits.max else None

    @property
    def scaling(self) -> tuple[float, float]:
        """BSCALE and BZERO."""
        return self.numbers.get("BSCALE", 1.0), self.numbers.get("BZERO", 0.0)

    def physical(self) -> NDArray[np.float64] | NDArray[np.float32]:
        """Values of its pixels, NaN where there is no data; in single precision where they are stored so."""
        stored = self.stored
        scale, zero = self.scaling
        if self.bitpix == -32 and (scale, zero) == (1.0, 0.0):
            return stored.astype(np.float32)
        with np.errstate(all="ignore"):
            values: NDArray[np.float64] = stored.astype(np.float64) * scale + zero
        if self.blank is not None:
            values[stored == self.blank] = np.nan
        return values


def open_stamp(stored: bytes | None) -> StoredStamp:
    """Open what a lake stores, and see that it begins as a FITS file does, and is all there.

    Raises
    ------
    StampFault
        If there is nothing, it is something else, is damaged or cut short, or is too large.
    """
    if not stored:
        raise StampFault("is not there" if stored is None else "is empty")
    if len(stored) > MOST_BYTES:
        raise StampFault(f"is larger than {MOST_BYTES >> 20} MB")
    if not stored.startswith(_GZIP):
        if not stored.startswith(b"SIMPLE  ="):
            raise StampFault("is neither gzip nor FITS")
        return StoredStamp(_complete(stored))
    fits, members, rest = _inflated(stored)
    if not fits.startswith(b"SIMPLE  ="):
        raise StampFault("is gzip of something that is not FITS")
    # Browsers take one gzip member, and what is behind it for damage.
    return StoredStamp(_complete(fits), stored if members == 1 and not rest else None)


def _inflated(stored: bytes) -> tuple[bytes, int, bytes]:
    """Inflate a gzip file: its content, how many members it has, and the zeros behind them."""
    parts: list[bytes] = []
    left, room = stored, MOST_BYTES
    while left.startswith(_GZIP):
        stream = isal_zlib.decompressobj(wbits=_GZIP_WINDOW)
        try:
            # Checks length and CRC, where it comes to the end.
            part = stream.decompress(left, room + 1)
        except _DAMAGED as error:
            raise StampFault("is damaged: its gzip stream does not agree with itself") from error
        if len(part) > room:
            raise StampFault(f"inflates beyond {MOST_BYTES >> 20} MB")
        if not stream.eof:
            raise StampFault("is cut short: its gzip stream has no end")
        room -= len(part)
        parts.append(part)
        left = stream.unused_data
        if len(parts) == _MOST_MEMBERS and left.startswith(_GZIP):
            # What is left is copied each time.
            raise StampFault(f"is damaged: its gzip file has more than {_MOST_MEMBERS} members")
    if left.strip(b"\0"):
        raise StampFault("is damaged: something follows its gzip stream")
    return (parts[0] if len(parts) == 1 else b"".join(parts)), len(parts), left


def _complete(fits: bytes) -> bytes:
    """Return a FITS file whose first HDU is all there."""
    _hdu(fits, 0, 0)
    return fits


def read_hdus(fits: bytes) -> tuple[StampHdu, ...]:
    """Take a FITS file apart.

    Raises
    ------
    StampFault
        If a header makes no HDU, or the file is cut short.
    """
    hdus: list[StampHdu] = []
    offset = 0
    while offset < len(fits) and (not hdus or fits.startswith(b"XTENSION=", offset)):
        if len(hdus) == _MOST_HDUS:
            raise StampFault(f"has more than {_MOST_HDUS} HDUs")
        hdu, offset = _hdu(fits, offset, len(hdus))
        hdus.append(hdu)
    return tuple(hdus)


def image_of(hdus: tuple[StampHdu, ...]) -> StampHdu:
    """Choose the HDU with the image of the sky: the first that is an image.

    Raises
    ------
    StampFault
        If there is none.
    """
    for hdu in hdus:
        if hdu.is_image:
            return hdu
    raise StampFault("has no image of two axes")


def _hdu(fits: bytes, offset: int, number: int) -> tuple[StampHdu, int]:
    """Read the HDU at `offset`, and tell where the next one begins."""
    header = _header(fits, offset, number)
    text = _UNPRINTABLE.sub("?", header.decode("latin-1"))
    cards = (text[place : place + CARD] for place in range(0, len(text), CARD))
    matches = (_NUMBER.match(line) for line in cards)
    numbers = {match[1]: _value(match[2]) for match in matches if match is not None}
    bitpix, shape, size = _layout(numbers, number)
    start = offset + -(-(len(header) + CARD) // BLOCK) * BLOCK
    if start + size > len(fits):
        raise StampFault(f"is cut short: HDU {number} has less data than its header says")
    hdu = StampHdu(number, text, numbers, bitpix, shape, fits[start : start + size])
    return hdu, start + -(-size // BLOCK) * BLOCK


def _header(fits: bytes, offset: int, number: int) -> bytes:
    """Cards of the header at `offset`, without END."""
    most = min(len(fits), offset + _MOST_CARDS * CARD)
    for place in range(offset, most - CARD + 1, CARD):
        if fits.startswith(_END, place):
            return fits[offset:place]
    raise StampFault(f"is damaged: the header of HDU {number} has no end")


def _layout(numbers: dict[str, float | int], number: int) -> tuple[int, tuple[int, ...], int]:
    """BITPIX, shape and bytes of the data (FITS 4.0, section 4.4.1)."""
    bitpix, naxis = numbers.get("BITPIX"), numbers.get("NAXIS")
    if bitpix not in _DTYPES or not isinstance(naxis, int) or not 0 <= naxis <= 999:
        raise StampFault(f"is damaged: BITPIX and NAXIS of HDU {number} make no HDU")
    lengths = [numbers.get(f"NAXIS{axis}") for axis in range(naxis, 0, -1)]
    shape = tuple(length for length in lengths if isinstance(length, int) and length >= 0)
    if len(shape) < naxis:
        raise StampFault(f"is damaged: an axis of HDU {number} has no length")
    heap, groups = (numbers.get("PCOUNT", 0), numbers.get("GCOUNT", 1)) if number else (0, 1)
    if not isinstance(heap, int) or not isinstance(groups, int) or min(heap, groups) < 0:
        raise StampFault(f"is damaged: PCOUNT and GCOUNT of HDU {number} make no HDU")
    size = abs(int(bitpix)) // 8 * groups * (heap + math.prod(shape)) if shape else 0
    return int(bitpix), shape, size


def _value(text: str) -> float | int:
    return int(text) if text.lstrip("+-").isdigit() else float(text.upper().replace("D", "E"))
