"""Which HDUs hold pixels, and how: shape, scaling, offset, the layout of tile-compressed ones."""

from __future__ import annotations

import io
import math
import re
import warnings
from dataclasses import dataclass
from typing import BinaryIO, TypedDict, cast

from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from surveys.errors import ImageRefused
from surveys.image import Storage, ZtileLayout
from surveys.index.fitsfile import FitsFile, Hdu, card_number, card_value, whole_number

_TFORM = re.compile(r"(?P<repeat>\d*)(?P<type>[LXBIJKAEDCMPQ])")
_TYPE_BYTES = {
    "L": 1,
    "B": 1,
    "I": 2,
    "J": 4,
    "K": 8,
    "A": 1,
    "E": 4,
    "D": 8,
    "C": 8,
    "M": 16,
    "P": 8,
    "Q": 16,
}
_PARTS = ("COMPRESSED_DATA", "GZIP_COMPRESSED_DATA", "UNCOMPRESSED_DATA", "ZSCALE", "ZZERO", "ZBLANK")
#: Cards that turn stored pixels into physical values.
SCALING = frozenset(("BSCALE", "BZERO", "BLANK"))
_METHODS = ("RICE_1", "GZIP_1", "GZIP_2", "PLIO_1", "HCOMPRESS_1", "NOCOMPRESS")


@dataclass(frozen=True, slots=True)
class Pixels:
    """How the pixels of one HDU are stored (fields as in `surveys.image.ImageRecord`), and its header."""

    storage: Storage
    data_offset: int
    shape: tuple[int, ...]
    bitpix: int
    bscale: float
    bzero: float
    blank: int | None
    ztiles: ZtileLayout | None
    text: str


def has_pixels(hdu: Hdu) -> bool:
    """Whether an HDU is an image of two axes or more with at least one pixel, plain or tile-compressed."""
    header = hdu.header
    if is_tiled(hdu):
        return True
    if hdu.number and str(card_value(header, "XTENSION")).strip() != "IMAGE":
        return False
    naxis = whole_number(header, "NAXIS")
    return naxis >= 2 and all(whole_number(header, f"NAXIS{axis}") > 0 for axis in range(1, naxis + 1))


def is_tiled(hdu: Hdu) -> bool:
    """Whether an HDU is a tile-compressed image."""
    return hdu.number > 0 and card_value(hdu.header, "ZIMAGE") is True


def read_pixels(file: FitsFile, hdu: Hdu) -> Pixels:
    """Find out how the pixels of an HDU are stored.

    Raises
    ------
    ImageRefused
        If the file is too short for them, or they are stored in a way that is not read.
    """
    if not hdu.complete:
        raise ImageRefused("the file is cut short: it has fewer bytes than its header says")
    if is_tiled(hdu):
        if file.compression == "gzip":
            raise ImageRefused("a tile-compressed image within a gzip file is not read")
        return _tiled(file.stream, hdu)
    header = hdu.header
    if hdu.number and (whole_number(header, "PCOUNT", 0), whole_number(header, "GCOUNT", 1)) != (0, 1):
        raise ImageRefused("PCOUNT and GCOUNT are not those of an image")
    shape = _shape(header, "NAXIS")
    bitpix = whole_number(header, "BITPIX")
    return Pixels(
        storage=file.compression,
        data_offset=hdu.data_offset,
        shape=shape,
        bitpix=bitpix,
        **scaling(header, bitpix),
        ztiles=None,
        text=hdu.text,
    )


def _shape(header: fits.Header, keyword: str) -> tuple[int, ...]:
    naxis = whole_number(header, keyword)
    if not 2 <= naxis <= 32:
        raise ImageRefused(f"{keyword} is {naxis}; an image has at least two axes")
    shape = tuple(whole_number(header, f"{keyword}{axis}") for axis in range(naxis, 0, -1))
    if min(shape) < 1 or max(shape) >= 2**31:
        raise ImageRefused("the image has no pixels, or an axis of more than 2^31")
    return shape


class Scaling(TypedDict):
    """Physical value = bzero + bscale * stored value, but for those equal to blank."""

    bscale: float
    bzero: float
    blank: int | None


def scaling(header: fits.Header, bitpix: int) -> Scaling:
    """Read what turns stored pixels into physical values."""
    bscale, bzero = card_number(header, "BSCALE"), card_number(header, "BZERO")
    blank = (
        card_number(header, "BLANK") if bitpix > 0 else None
    )  # it means nothing for floats (FITS 4.0, 4.4.2.5)
    if bscale == 0:
        raise ImageRefused("BSCALE is 0")
    return {
        "bscale": 1.0 if bscale is None else bscale,
        "bzero": 0.0 if bzero is None else bzero,
        # a BLANK that no integer can hold blanks nothing
        "blank": int(blank) if blank is not None and blank.is_integer() and abs(blank) < 2**63 else None,
    }


def _tiled(stream: BinaryIO, hdu: Hdu) -> Pixels:
    header = hdu.header
    shape, bitpix = _shape(header, "ZNAXIS"), whole_number(header, "ZBITPIX")
    if bitpix not in (8, 16, 32, 64, -32, -64):
        raise ImageRefused(f"ZBITPIX is {bitpix}")
    text = _decompressed_header(stream, hdu.number)
    return Pixels(
        storage="tiles",
        data_offset=hdu.data_offset,
        shape=shape,
        bitpix=bitpix,
        **scaling(header, bitpix),
        ztiles=_layout(hdu, shape, bitpix),
        text=text,
    )


def _layout(hdu: Hdu, shape: tuple[int, ...], bitpix: int) -> ZtileLayout:
    header = hdu.header
    row_bytes, rows = whole_number(header, "NAXIS1"), whole_number(header, "NAXIS2")
    naxis = len(shape)
    # Without ZTILEn a tile is one row (FITS 4.0, section 10.1.1).
    ztile = tuple(
        whole_number(header, f"ZTILE{axis}", shape[-1] if axis == 1 else 1) for axis in range(naxis, 0, -1)
    )
    if min(ztile) < 1:
        raise ImageRefused("a ZTILE is below 1")
    if rows != math.prod(-(-length // tile) for length, tile in zip(shape, ztile, strict=True)):
        raise ImageRefused("the number of compression tiles does not fit the shape of the image")
    method = str(card_value(header, "ZCMPTYPE") or "").strip().replace("RICE_ONE", "RICE_1")
    if method not in _METHODS:
        raise ImageRefused(f"the compression {method!r} is not read")
    columns, width = _columns(header)
    if width != row_bytes or not columns:
        raise ImageRefused("the table of compression tiles contradicts its header")
    heap = whole_number(header, "THEAP", row_bytes * rows)
    quantize = str(card_value(header, "ZQUANTIZ") or "NO_DITHER").strip() if bitpix < 0 else ""
    zblank = card_number(header, "ZBLANK")
    return ZtileLayout(
        table_offset=hdu.data_offset,
        row_bytes=row_bytes,
        rows=rows,
        heap_offset=hdu.data_offset + heap,
        columns=columns,
        ztile=ztile,
        method=method,
        parameters=_parameters(header),
        zscale=card_number(header, "ZSCALE"),
        zzero=card_number(header, "ZZERO"),
        zblank=None if zblank is None else int(zblank),
        quantize=quantize,
        dither_seed=whole_number(header, "ZDITHER0", 0),
    )


def _columns(header: fits.Header) -> tuple[dict[str, tuple[int, str]], int]:
    """Columns that matter, with their offsets in a row, and the width of all of them."""
    columns: dict[str, tuple[int, str]] = {}
    offset = 0
    for number in range(1, whole_number(header, "TFIELDS") + 1):
        form = str(card_value(header, f"TFORM{number}") or "").strip()
        parts = _TFORM.match(form)
        if parts is None:
            raise ImageRefused(f"TFORM{number} is malformed")
        name = str(card_value(header, f"TTYPE{number}") or "").strip().upper()
        if name in _PARTS:
            columns[name] = (offset, form)
        repeat = int(parts["repeat"] or 1)
        offset += -(-repeat // 8) if parts["type"] == "X" else repeat * _TYPE_BYTES[parts["type"]]
    return columns, offset


def _parameters(header: fits.Header) -> dict[str, int]:
    parameters: dict[str, int] = {}
    for number in range(1, 100):
        name = card_value(header, f"ZNAME{number}")
        if not isinstance(name, str):
            break
        value = card_number(header, f"ZVAL{number}")
        if value is not None and value.is_integer():
            parameters[name.strip().upper()] = int(value)
    return parameters


def _decompressed_header(stream: BinaryIO, number: int) -> str:
    """Header of the image a tile-compressed HDU stands for, as astropy restores it.

    The headers before it were walked under a bound already, and astropy is given the open file, never its
    name, which it would take for a URL where it looks like one.
    """
    stream.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            hdus = fits.open(cast(io.IOBase, stream), mode="readonly", memmap=False, lazy_load_hdus=True)
            header = hdus[number].header
            text = header.tostring(sep="", endcard=False, padding=False)
        except Exception as error:  # astropy raises whatever its parts raise
            raise ImageRefused(f"astropy cannot restore its image header: {error}") from error
    hdus.close(closed=False)
    return cast(str, text)
