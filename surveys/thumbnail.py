"""Small pictures of files, and their headers, whatever they are of: nothing is known but what is in them."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol, cast

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from surveys.errors import ImageRefused
from surveys.index.fitsfile import FitsFile, Hdu, card_number, card_value, whole_number
from surveys.kernels import area
from surveys.kernels import picture as kernels
from surveys.picture.colours import NO_DATA, paint_of
from surveys.picture.curves import ASINH_SOFTENING, curve, limits_of
from surveys.picture.encode import encode_png
from surveys.request import Cuts

#: How brightness can be shown; the first is the usual one.
STRETCHES = ("asinh", "linear", "sqrt", "log")
#: Files up to this size are read at once.
_WHOLE_BYTES = 4 << 20
#: Of larger ones so much is read where one begins to look, for its header.
_AHEAD_BYTES = 64 << 10
#: Larger images are drawn of some of their rows, so many for each of the picture.
_PIXELS, _ROWS_EACH = 1 << 20, 2
#: Pictures are made here in these formats alone.
_FORMATS = ("PNG", "JPEG", "WEBP")
#: Larger pictures are not decoded.
_MOST_PICTURE_PIXELS = 64_000_000
#: HDUs and cards that are told.
MOST_HDUS, MOST_CARDS = 500, 20_000
_DTYPES = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}


class Stored(Protocol):
    """A file that is read in ranges."""

    @property
    def size(self) -> int:
        """Bytes of it."""

    def fetch(self, wanted: Sequence[tuple[int, int]]) -> list[bytes]:
        """Read some ranges: of each, the first byte and the one after the last."""


@dataclass(frozen=True, slots=True)
class Cards:
    """The header of an HDU.

    Parameters
    ----------
    number
        0 for the primary.
    name
        EXTNAME, "" for none.
    kind
        `image` or `table`.
    shape
        Lengths of the axes, NAXIS1 first.
    cards
        Keyword, value and comment of each; a value is None where there is none.
    """

    number: int
    name: str
    kind: str
    shape: tuple[int, ...]
    cards: tuple[tuple[str, str | int | float | bool | None, str], ...]


def draw_fits(file: Stored, side: int, stretch: str = STRETCHES[0]) -> bytes:
    """Draw the first plane of the first image of a FITS file in grey; PNG.

    Black and white are those of zscale. Pixels without data are transparent, and the first row is at the
    bottom. A smaller image is not enlarged.

    Parameters
    ----------
    side
        Pixels of the longer side, at most.
    stretch
        One of `STRETCHES`.

    Raises
    ------
    ImageRefused
        If it has no image, or is broken.
    """
    whole = _in_memory(file)
    for hdu in _hdus(whole):
        shape = _shape(hdu)
        if len(shape) > 1 and min(shape) > 0 and _is_image(hdu) and hdu.complete:
            return _painted(_reduced(_plane(whole, hdu, shape, side), shape, side), stretch)
    raise ImageRefused("there is no image in it")


def draw_picture(file: Stored, side: int) -> bytes:
    """Make a picture smaller; PNG.

    Raises
    ------
    ImageRefused
        If it is none, or is too large.
    """
    (content,) = file.fetch([(0, file.size)])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            # Of other formats Pillow runs other programs, such as Ghostscript.
            picture: Image.Image = Image.open(io.BytesIO(content), formats=_FORMATS)
        if picture.width * picture.height > _MOST_PICTURE_PIXELS:
            raise ImageRefused("the picture is too large to be made smaller here")
        picture.draft("RGB", (side, side))
        if picture.mode not in ("L", "RGB") or "transparency" in picture.info:
            picture = picture.convert("RGBA")
        picture.thumbnail((side, side), Image.Resampling.BOX, reducing_gap=2.0)
        picture.load()  # one that is small enough has not been read yet
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as fault:
        raise ImageRefused("the picture cannot be read") from fault
    made = io.BytesIO()
    picture.info = {}
    picture.save(made, "PNG", compress_level=1)
    return made.getvalue()


def read_headers(file: Stored) -> tuple[tuple[Cards, ...], bool]:
    """Read the headers of a FITS file, and tell whether there are more than are read.

    Raises
    ------
    ImageRefused
        If it is none, or is broken.
    """
    found: list[Cards] = []
    left = MOST_CARDS
    for hdu in _hdus(_in_memory(file)):
        if len(found) == MOST_HDUS or left <= 0:
            return tuple(found), True
        cards = tuple(_cards(hdu.header))[:left]
        left -= len(cards)
        name = card_value(hdu.header, "EXTNAME")
        kind = "image" if _is_image(hdu) else "table"
        found.append(Cards(hdu.number, name if isinstance(name, str) else "", kind, _shape(hdu), cards))
    return tuple(found), False


def _cards(header: fits.Header) -> Iterator[tuple[str, str | int | float | bool | None, str]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        for card in header.cards:
            try:
                value: Any = card.value
                comment = card.comment
            except (fits.VerifyError, ValueError):
                value, comment = card.rawvalue if card.keyword else "", ""
            if not isinstance(value, str | int | float | bool):
                value = None if isinstance(value, fits.card.Undefined) else str(value)
            yield card.keyword, value, comment


def _shape(hdu: Hdu) -> tuple[int, ...]:
    return tuple(
        whole_number(hdu.header, f"NAXIS{axis}") for axis in range(1, whole_number(hdu.header, "NAXIS") + 1)
    )


def _is_image(hdu: Hdu) -> bool:
    return hdu.number == 0 or str(card_value(hdu.header, "XTENSION")).strip() == "IMAGE"


def _plane(file: Stored, hdu: Hdu, shape: tuple[int, ...], side: int) -> NDArray[np.float32]:
    """Physical values of the first plane, or of some rows of a large one; NaN where there are none."""
    width, height = shape[:2]
    dtype = np.dtype(_DTYPES[whole_number(hdu.header, "BITPIX")])
    row_bytes = width * dtype.itemsize
    start = hdu.data_offset
    if width * height <= _PIXELS:
        (content,) = file.fetch([(start, start + row_bytes * height)])
    else:
        rows = np.linspace(0, height - 1, min(height, _ROWS_EACH * side)).round().astype(int).tolist()
        content = b"".join(
            file.fetch([(start + row * row_bytes, start + (row + 1) * row_bytes) for row in rows])
        )
        height = len(rows)
    stored = np.frombuffer(content, dtype).reshape(height, width)
    values = stored.astype(np.float32)
    scale, zero = card_number(hdu.header, "BSCALE"), card_number(hdu.header, "BZERO")
    if dtype.kind != "f":
        blank = card_number(hdu.header, "BLANK")
        if blank is not None:
            values[stored == int(blank)] = np.nan
    if scale not in (None, 1.0) or zero not in (None, 0.0):
        values = values * np.float32(1.0 if scale is None else scale) + np.float32(zero or 0.0)
    return values


def _reduced(values: NDArray[np.float32], shape: tuple[int, ...], side: int) -> NDArray[np.float32]:
    """Average an image of some shape, of which some rows may be left out, to a smaller one."""
    width, height = shape[:2]
    share = min(1.0, side / max(height, width))
    out = np.empty((max(1, round(height * share)), max(1, round(width * share))), np.float32)
    if out.shape == values.shape:
        return values
    area.average(values, out)
    return out


def _painted(values: NDArray[np.float32], stretch: str) -> bytes:
    black, white = limits_of(values, Cuts("zscale"))
    limits, starts = curve(stretch, ASINH_SOFTENING if stretch == "asinh" else 0.0)
    paint = paint_of("", False)
    nothing = np.array(NO_DATA[: paint.shape[1]], np.uint8)
    pixels = np.empty((*values.shape, paint.shape[1]), np.uint8)
    missing = kernels.shade(values, black, white - black, limits, starts, paint, nothing, pixels)
    return encode_png(pixels, transparent=bool(missing))


def _hdus(file: Stored) -> Iterator[Hdu]:
    if file.fetch([(0, 9)]) != [b"SIMPLE  ="]:
        raise ImageRefused("it is no FITS file")
    return FitsFile(cast(BinaryIO, _Stream(file)), file.size).hdus()


def _in_memory(file: Stored) -> Stored:
    if file.size > _WHOLE_BYTES:
        return file
    (content,) = file.fetch([(0, file.size)])
    return _Memory(content)


@dataclass(frozen=True, slots=True)
class _Memory:
    """A file that was read."""

    content: bytes

    @property
    def size(self) -> int:
        return len(self.content)

    def fetch(self, wanted: Sequence[tuple[int, int]]) -> list[bytes]:
        return [self.content[start:stop] for start, stop in wanted]


class _Stream:
    """Reads a stored file block after block, with one reading for many blocks."""

    def __init__(self, file: Stored) -> None:
        self._file = file
        self._place = self._start = 0
        self._ahead = b""

    def seek(self, place: int) -> None:
        self._place = place

    def read(self, length: int) -> bytes:
        start, stop = self._place, min(self._place + length, self._file.size)
        if not self._start <= start <= stop <= self._start + len(self._ahead):
            self._start = start
            ahead = min(max(stop, start + _AHEAD_BYTES), self._file.size)
            (self._ahead,) = self._file.fetch([(start, ahead)])
        self._place = stop
        return self._ahead[start - self._start : stop - self._start]
