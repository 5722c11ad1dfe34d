"""Binary and ASCII tables of FITS files: checked against the size of the file, then read by astropy."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from astropy.io import fits

from dali.errors import quoted
from soda.targets.source import Body, Column, Field, Wanted, check_columns, too_many_rows
from soda.targets.table import TargetLimits, UploadRefused

_BLOCK = 2880
#: Header of a table of a thousand columns, with ten cards each, and as much again.
_MOST_BLOCKS = 600
_MOST_HDUS = 100
_ROWS_AT_ONCE = 2000
#: Characters of a column of texts: those of some rows are decoded at once.
_MOST_TEXT = 4096
_TFORM = re.compile(r"([0-9]{0,9})([LXBIJKAEDCMPQ])(.*)")
_WIDTHS = {"L": 1, "B": 1, "I": 2, "J": 4, "K": 8, "A": 1, "E": 4, "D": 8, "C": 8, "M": 16, "P": 8, "Q": 16}
_ASCII_FORM = re.compile(r"(?:A([0-9]{1,4})|I([0-9]{1,4})|[FED]([0-9]{1,4})\.[0-9]{1,4})")


@dataclass(frozen=True, slots=True)
class _Found:
    """The first table of a file: its number among the HDUs, and its header, which has been checked."""

    number: int
    header: fits.Header


class FitsSource:
    """The first table of a FITS file."""

    has_names = True

    def __init__(self, path: Path, limits: TargetLimits) -> None:
        self._path = path
        try:
            with warnings.catch_warnings(), path.open("rb") as file:
                warnings.simplefilter("ignore")
                self._found = _find(file, path.stat().st_size, limits)
                header = self._found.header
                self.fields = [_field(header, number) for number in range(1, header["TFIELDS"] + 1)]
        except UploadRefused:
            raise
        except Exception as fault:  # whatever astropy makes of a header
            raise _unreadable() from fault

    def read(self, wanted: Sequence[Wanted], most: int | None = None) -> Body:
        """Read the wanted columns, some rows at a time."""
        for one in wanted:
            _check_scalar(self._found.header, one.index + 1, self.fields[one.index].name)
        try:
            with (
                warnings.catch_warnings(),
                self._path.open("rb") as file,
                fits.open(
                    file,
                    memmap=False,
                    lazy_load_hdus=True,
                    disable_image_compression=True,
                    character_as_bytes=True,
                ) as hdus,
            ):
                warnings.simplefilter("ignore")
                return self._body(hdus[self._found.number].data, wanted, most)
        except UploadRefused:
            raise
        except Exception as fault:
            raise _unreadable() from fault

    def _body(self, data: Any, wanted: Sequence[Wanted], most: int | None) -> Body:
        rows = self._found.header["NAXIS2"]
        rows = rows if most is None else min(rows, most)
        nulls = [self._found.header.get(f"TNULL{one.index + 1}") for one in wanted]
        gathered: list[list[Any]] = [[] for _ in wanted]
        for start in range(0, rows, _ROWS_AT_ONCE):
            part = data[start : min(start + _ROWS_AT_ONCE, rows)]
            for one, values, null in zip(wanted, gathered, nulls, strict=True):
                values.append(_plain(part.field(one.index), null))
        return Body([_joined(values) for values in gathered], rows)


def _plain(values: Any, null: object) -> Column:
    """Values of some rows: texts without the blanks after them, or numbers of this machine's order."""
    array = np.asarray(values)
    if array.dtype.kind == "S":
        # ASCII by the standard; where there is anything else, it is UTF-8 more often than not.
        return [text.split(b"\0", 1)[0].decode("utf-8", "replace").rstrip() for text in array.tolist()]
    if array.dtype.kind == "U":
        return [text.rstrip() for text in array.tolist()]
    if isinstance(null, int) and array.dtype.kind in "iu":
        return ["" if value == null else str(value) for value in array.tolist()]
    return array.astype(array.dtype.newbyteorder("="))


def _joined(parts: list[Any]) -> Column:
    if isinstance(parts[0], np.ndarray):
        joined: Column = np.concatenate(parts)
        return joined
    return [text for part in parts for text in part]


def _find(file: BinaryIO, size: int, limits: TargetLimits) -> _Found:
    """Go from header to header until there is a table; no byte of data is looked at."""
    at = 0
    for number in range(_MOST_HDUS):
        if at >= size:
            raise UploadRefused(
                "the FITS file has no table", "Targets are rows of a binary or an ASCII table."
            )
        file.seek(at)
        header, length = _header(file, number)
        data = _data_size(header, number)
        if at + length + data > size:
            raise UploadRefused(
                f"HDU {number} of the FITS file claims {data} bytes of data, "
                f"and the file has {max(0, size - at - length)} after its header",
                "The file may have been cut off; send it again.",
            )
        if _is_table(header):
            _check_table(header, limits)
            return _Found(number, header)
        at += length + -(-data // _BLOCK) * _BLOCK
    raise UploadRefused(f"the first {_MOST_HDUS} HDUs of the FITS file have no table")


def _header(file: BinaryIO, number: int) -> tuple[fits.Header, int]:
    """Header from here, and its length; reading until an END that never comes has a limit."""
    content = bytearray()
    for _ in range(_MOST_BLOCKS):
        block = file.read(_BLOCK)
        if len(block) < _BLOCK:
            break
        content += block
        if any(block[card : card + 80].rstrip() == b"END" for card in range(0, _BLOCK, 80)):
            header = fits.Header.fromstring(bytes(content))
            first = next(iter(header), "")
            if first != ("XTENSION" if number else "SIMPLE"):
                raise UploadRefused(f"HDU {number} of the FITS file begins with {quoted(first)}")
            return header, len(content)
    raise UploadRefused(f"the header of HDU {number} of the FITS file does not end")


def _data_size(header: fits.Header, number: int) -> int:
    """Bytes of data that a header claims."""
    axes = _whole(header, "NAXIS", 0, 999)
    if not axes:
        return 0
    if abs(_whole(header, "BITPIX", -64, 64)) not in (8, 16, 32, 64) or header.get("GROUPS") is True:
        raise UploadRefused(f"HDU {number} of the FITS file has a BITPIX that there is not, or random groups")
    size: int = abs(header["BITPIX"]) // 8
    elements = 1
    for axis in range(1, axes + 1):
        elements *= _whole(header, f"NAXIS{axis}", 0, 1 << 62)
    groups = _whole(header, "GCOUNT", 0, 1 << 62, 1)
    return size * groups * (_whole(header, "PCOUNT", 0, 1 << 62, 0) + elements)


def _whole(header: fits.Header, key: str, lowest: int, highest: int, default: int | None = None) -> int:
    value = header.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise UploadRefused(
            f"{key} of the FITS file is {quoted(str(value))}; a whole number from {lowest} is right"
        )
    return int(value)


def _is_table(header: fits.Header) -> bool:
    compressed = header.get("ZIMAGE") is True or header.get("ZTABLE") is True
    return str(header.get("XTENSION", "")).strip() in ("BINTABLE", "TABLE") and not compressed


def _check_table(header: fits.Header, limits: TargetLimits) -> None:
    """Compare what the header says of columns with what it says of a row."""
    columns = _whole(header, "TFIELDS", 0, 999_999)
    check_columns(columns, limits)
    if not columns:
        raise UploadRefused("the table of the FITS file has no columns")
    if header["NAXIS"] != 2 or header["BITPIX"] != 8:
        raise UploadRefused("a table of FITS has NAXIS = 2 and BITPIX = 8")
    rows = header["NAXIS2"]
    if rows > limits.rows:
        raise too_many_rows(limits)
    if not rows:
        raise UploadRefused("the table of the FITS file has no rows")
    if header["XTENSION"].strip() == "TABLE":
        widths = [_ascii_width(header, number) for number in range(1, columns + 1)]
        ends = [_whole(header, f"TBCOL{n}", 1, header["NAXIS1"]) - 1 + w for n, w in enumerate(widths, 1)]
        fits_in = max(ends) <= header["NAXIS1"]
    else:
        fits_in = sum(_width(header, number) for number in range(1, columns + 1)) == header["NAXIS1"]
    if not fits_in:
        raise UploadRefused(
            f"the columns of the FITS table (TFORMn) do not fit its rows of {header['NAXIS1']} bytes"
        )


def _form(header: fits.Header, number: int) -> tuple[int, str, str]:
    text = str(header.get(f"TFORM{number}", "")).strip()
    form = _TFORM.fullmatch(text)
    if form is None:
        raise UploadRefused(f"TFORM{number} of the FITS table is {quoted(text)}, which is no format")
    return int(form[1] or 1), form[2], form[3]


def _width(header: fits.Header, number: int) -> int:
    repeat, code, _ = _form(header, number)
    return -(-repeat // 8) if code == "X" else repeat * _WIDTHS[code]


def _ascii_width(header: fits.Header, number: int) -> int:
    text = str(header.get(f"TFORM{number}", "")).strip()
    form = _ASCII_FORM.fullmatch(text)
    if form is None:
        raise UploadRefused(f"TFORM{number} of the FITS table is {quoted(text)}, which is no format")
    return int(form[1] or form[2] or form[3])


def _check_scalar(header: fits.Header, number: int, name: str) -> None:
    """Refuse a wanted column that has other than one value a row."""
    if header["XTENSION"].strip() == "TABLE":
        return
    repeat, code, _ = _form(header, number)
    is_one = repeat <= _MOST_TEXT if code == "A" else repeat == 1
    if code in "PQXCM" or not is_one or f"TDIM{number}" in header:
        raise UploadRefused(
            f"column {quoted(name)} of the FITS table is {quoted(str(header[f'TFORM{number}']))}; "
            f"one number a row, or a text of at most {_MOST_TEXT} characters, is taken"
        )


def _field(header: fits.Header, number: int) -> Field:
    name, ucd, unit = (str(header.get(f"{key}{number}", "")).strip() for key in ("TTYPE", "TUCD", "TUNIT"))
    return Field(name, ucd=ucd, unit=unit, frame=_frame(header))


def _frame(header: fits.Header) -> str:
    """System of coordinates, where the header of the table says one."""
    said = str(header.get("RADESYS", header.get("RADECSYS", ""))).strip().lower()
    if said in ("", "icrs"):
        return ""
    equinox = header.get("EQUINOX")
    if said == "fk5" and equinox in (None, 2000, 2000.0):
        return ""
    return said if equinox is None else f"{said} {float(equinox):g}"


def _unreadable() -> UploadRefused:
    return UploadRefused("the FITS file cannot be read as a table", "Check it with fitsverify, or send CSV.")
