"""FITS files read as strangers: block by block, nothing taken on trust, nothing read without a bound.

Only headers are read (and, in a gzip file, what lies between them, because a stream has to be inflated to
be passed over). Where the pixels lie follows from the header; whether they are all there, from the file.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal, cast

from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning
from isal import igzip, igzip_lib

from surveys.errors import ImageRefused

BLOCK = 2880
CARD = 80
#: 50,000 cards; the longest real header known has some 5,000.
MAX_HEADER_BYTES = 4_000_000
#: A gzip file is inflated to its end at ingest and up to the last row at each cut: more is not for gzip.
MAX_INFLATED_BYTES = 4 * 2**30
MAX_HDUS = 10_000

_UNPRINTABLE = re.compile(r"[^ -~]")
_END = "END".ljust(CARD)
# The stubs of isal call its exception a value.
_DAMAGED = (OSError, cast(type[Exception], igzip_lib.IsalError))


@dataclass(frozen=True, slots=True)
class Hdu:
    """One HDU as it is stored.

    Parameters
    ----------
    number
        0 for the primary.
    text
        Its cards as stored, 80 characters each, without END; what is no printable ASCII became ``?``.
    header
        The same, parsed.
    data_offset, data_bytes
        Where its data lie (in a gzip file: in the inflated stream), and how much the header says there is.
    complete
        Whether the file is long enough for them.
    """

    number: int
    text: str
    header: fits.Header
    data_offset: int
    data_bytes: int
    complete: bool


class FitsFile:
    """An open file, seen as a sequence of HDUs.

    Parameters
    ----------
    stream
        Opened for reading in binary; closed by whoever opened it.
    size
        Length of the file, bytes.

    Raises
    ------
    ImageRefused
        If it is no FITS file.
    """

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self.stream = stream
        self.compression: Literal["plain", "gzip"] = _sniff(stream, size)
        self._bytes: _Plain | _Inflated = (
            _Plain(stream, size) if self.compression == "plain" else _Inflated(stream)
        )

    def hdus(self) -> Iterator[Hdu]:
        """Every HDU in turn, up to the end of the file or to the first thing that is not one.

        Raises
        ------
        ImageRefused
            If a header is malformed or has no end, or the stream is damaged.
        """
        offset = 0
        for number in range(MAX_HDUS):
            text = self._header_text(offset, number)
            if text is None:
                return
            header = parse_cards(text)
            start = offset + _header_bytes(len(text))
            length = _data_bytes(header, number)
            end = start + length
            yield Hdu(number, text, header, start, length, self._bytes.reaches(end))
            offset = start + -(-length // BLOCK) * BLOCK

    def read(self, offset: int, length: int) -> bytes:
        """Read bytes of the (inflated) file; of a gzip file only forward, and not while `hdus` is walking."""
        return self._bytes.read(offset, length)

    def _header_text(self, offset: int, number: int) -> str | None:
        """Cards of the header that begins at `offset`; None where no HDU begins."""
        text = ""
        while len(text) < MAX_HEADER_BYTES:
            raw = self._bytes.read(offset + len(text), BLOCK)
            if not text and not _begins_hdu(raw, number):
                return None
            if len(raw) < BLOCK:
                raise ImageRefused(f"the header of HDU {number} is cut short")
            block = raw.decode("latin-1")
            for place in range(0, BLOCK, CARD):
                if block.startswith(_END, place):
                    return _UNPRINTABLE.sub("?", text + block[:place])
            text += block
        raise ImageRefused(f"the header of HDU {number} has no END within {MAX_HEADER_BYTES} bytes")


def parse_cards(text: str) -> fits.Header:
    """Cards without END, parsed; what astropy has to say about them is not a fault of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            return cast(fits.Header, fits.Header.fromstring(text))
        except (ValueError, fits.VerifyError) as error:
            raise ImageRefused(f"the header cannot be parsed: {error}") from error


def whole_number(header: fits.Header, keyword: str, default: int | None = None) -> int:
    """Value of a card that must be a whole number.

    Raises
    ------
    ImageRefused
        If it is missing and has no default, or is something else.
    """
    value = card_value(header, keyword)
    if value is None and default is not None:
        return default
    if isinstance(value, bool) or not isinstance(value, int):
        raise ImageRefused(f"{keyword} is not a whole number")
    return value


def card_value(header: fits.Header, keyword: str) -> str | int | float | bool | None:
    """Value of a card, None where it is missing, undefined or not to be parsed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            value = header.get(keyword)
        except (fits.VerifyError, ValueError):
            return None
    return value if isinstance(value, str | int | float | bool) else None


def card_number(header: fits.Header, keyword: str) -> float | None:
    """Value of a card as a finite number; None where it is none."""
    value = card_value(header, keyword)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _sniff(stream: BinaryIO, size: int) -> Literal["plain", "gzip"]:
    if size == 0:
        raise ImageRefused("the file is empty")
    stream.seek(0)
    start = stream.read(CARD)
    if start.startswith(b"\x1f\x8b"):
        return "gzip"
    if start.startswith(b"\x1f\x9d"):
        raise ImageRefused("Unix compress (.Z) is not read; store it plain, gzipped or tile-compressed")
    if start.startswith(b"version https://git-lfs"):
        raise ImageRefused("this is a Git LFS pointer, not the file it stands for")
    if not start.startswith(b"SIMPLE  ="):
        raise ImageRefused("this is not a FITS file: it does not begin with SIMPLE")
    return "plain"


def _begins_hdu(raw: bytes, number: int) -> bool:
    if number > 0:
        return raw.startswith(b"XTENSION=")
    if not raw.startswith(b"SIMPLE  ="):
        raise ImageRefused("this is not a FITS file: it does not begin with SIMPLE")
    return True


def _header_bytes(card_bytes: int) -> int:
    return -(-(card_bytes + CARD) // BLOCK) * BLOCK


def _data_bytes(header: fits.Header, number: int) -> int:
    """Length of the data as FITS 4.0, section 4.4.1, has it."""
    bitpix, naxis = whole_number(header, "BITPIX"), whole_number(header, "NAXIS")
    if bitpix not in (8, 16, 32, 64, -32, -64) or not 0 <= naxis <= 999:
        raise ImageRefused(f"BITPIX {bitpix} and NAXIS {naxis} make no HDU")
    lengths = [whole_number(header, f"NAXIS{axis}") for axis in range(1, naxis + 1)]
    if any(length < 0 for length in lengths):
        raise ImageRefused("an axis has a negative length")
    if not lengths:
        return 0
    if number == 0 and lengths[0] == 0 and card_value(header, "GROUPS") is True:
        raise ImageRefused("random groups are not images")
    pcount = whole_number(header, "PCOUNT", 0) if number else 0
    gcount = whole_number(header, "GCOUNT", 1) if number else 1
    if pcount < 0 or gcount < 0:
        raise ImageRefused("PCOUNT or GCOUNT is negative")
    return abs(bitpix) // 8 * gcount * (pcount + math.prod(lengths))


class _Plain:
    """Bytes of a file that is not compressed."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self._size = size

    def read(self, offset: int, length: int) -> bytes:
        if offset >= self._size:
            return b""
        self._stream.seek(offset)
        return self._stream.read(length)

    def reaches(self, end: int) -> bool:
        return end <= self._size


class _Inflated:
    """Bytes of a gzip stream, read forward only, up to a bound."""

    def __init__(self, stream: BinaryIO) -> None:
        stream.seek(0)
        self._stream = cast(BinaryIO, igzip.open(stream, "rb"))  # type: ignore[no-untyped-call]
        self._offset = 0

    def read(self, offset: int, length: int) -> bytes:
        return self._take(length) if self.reaches(offset) else b""

    def reaches(self, end: int) -> bool:
        """Inflate up to `end`; False where the stream ends before."""
        if end > MAX_INFLATED_BYTES:
            raise ImageRefused(f"a gzip file of more than {MAX_INFLATED_BYTES} bytes inflated is not read")
        while self._offset < end:
            if not self._take(min(end - self._offset, io.DEFAULT_BUFFER_SIZE * 128)):
                return False
        return True

    def _take(self, length: int) -> bytes:
        try:
            taken = self._stream.read(length)
        except EOFError as error:
            raise ImageRefused("the gzip stream is cut short") from error
        except _DAMAGED as error:
            raise ImageRefused("the gzip stream is damaged") from error
        self._offset += len(taken)
        return taken
