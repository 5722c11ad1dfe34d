"""Tables that belong to the axes of an image, found in its file and packed for the index."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

from astropy.io import fits

from surveys.cube.axes import MOST_COORDINATES, axes_in, find, lookups
from surveys.cube.tables import open_table, pack
from surveys.errors import ImageRefused
from surveys.image import SideTable
from surveys.index.fitsfile import BLOCK, CARD, FitsFile, Hdu, card_value, whole_number

#: A larger table is not kept: it is no list of coordinates or beams.
MOST_BYTES = 16 << 20

_ALTERNATES = ("", *string.ascii_uppercase)


@dataclass(frozen=True, slots=True)
class _Wanted:
    kind: Literal["lookup", "beams", "bounds"]
    name: str
    version: int | None


def read_side_tables(
    stream: BinaryIO, size: int, header: fits.Header, wcs_text: str, shape: tuple[int, ...]
) -> tuple[SideTable, ...]:
    """Read the tables the header of an image refers to; most refer to none, and nothing is read.

    Parameters
    ----------
    stream, size
        The file.
    header, wcs_text, shape
        Of the image.

    Raises
    ------
    ImageRefused
        If an axis is given by a table (-TAB) that has no name, that the file lacks, or that a cutout cannot
        carry. Beams and energies that are missing or odd are left out.
    """
    for number, name, _ in lookups(header):
        if not name:
            raise ImageRefused(f"its axis {number} is given by a table (-TAB) that its header does not name")
    wanted = list(_wanted(header, wcs_text, shape))
    if not wanted:
        return ()
    found = list(_find(stream, size, wanted))
    for number, name, version in lookups(header):
        table = find(tuple(found), "lookup", name, version)
        if table is None:
            raise ImageRefused(f"its axis {number} is given by a table (-TAB) {name!r} that the file lacks")
        _check_lookup(table, str(card_value(header, f"PS{number}_1") or "").strip(), number)
    return tuple(found)


def _wanted(header: fits.Header, wcs_text: str, shape: tuple[int, ...]) -> Iterator[_Wanted]:
    seen = set()
    for alternate in _ALTERNATES:
        for _, name, version in lookups(header, alternate):
            if name and (name.upper(), version) not in seen:
                seen.add((name.upper(), version))
                yield _Wanted("lookup", name, version)
    if card_value(header, "CASAMBM") is True:
        yield _Wanted("beams", "BEAMS", None)
    if any(axis.ctype.startswith("ENER") and axis.length > 1 for axis in axes_in(wcs_text, shape)):
        yield _Wanted("bounds", "EBOUNDS", None)


def _find(stream: BinaryIO, size: int, wanted: list[_Wanted]) -> Iterator[SideTable]:
    left = list(wanted)
    walk = FitsFile(stream, size).hdus()
    places: list[tuple[_Wanted, Hdu]] = []
    try:
        for hdu in walk:
            match = next((one for one in left if _is_it(one, hdu)), None)
            if match is not None:
                left.remove(match)
                places.append((match, hdu))
            if not left:
                break
    except ImageRefused:
        pass  # what is broken lies behind all that was found; what is missing is told by the caller
    for want, hdu in places:
        start = hdu.data_offset - -(-(len(hdu.text) + CARD) // BLOCK) * BLOCK
        end = hdu.data_offset + -(-hdu.data_bytes // BLOCK) * BLOCK
        if end - start > MOST_BYTES:
            continue
        # a stream of its own: what is inflated is read forward only
        content = FitsFile(stream, size).read(start, end - start).ljust(end - start, b"\0")
        version = whole_number(hdu.header, "EXTVER", 1)
        table = SideTable(want.kind, str(card_value(hdu.header, "EXTNAME")).strip(), version, pack(content))
        if want.kind == "lookup" or _is_plain(table):
            yield table


def _is_it(wanted: _Wanted, hdu: Hdu) -> bool:
    header = hdu.header
    return (
        str(card_value(header, "XTENSION") or "").strip() == "BINTABLE"
        and str(card_value(header, "EXTNAME") or "").strip().upper() == wanted.name.upper()
        and (wanted.version is None or whole_number(header, "EXTVER", 1) == wanted.version)
        and hdu.complete
    )


def _is_plain(table: SideTable) -> bool:
    """Whether rows can be taken out of a table: all is in them, and numbers are stored as they are."""
    try:
        hdu = open_table(table)
        return (
            hdu.header["PCOUNT"] == 0
            and hdu.columns.dtype.itemsize == hdu.header["NAXIS1"]
            and not any(re.match(r"T(SCAL|ZERO)\d", key) for key in hdu.header)
        )
    except Exception:  # astropy raises whatever its parts raise
        return False


def _check_lookup(table: SideTable, name: str, number: int) -> None:
    try:
        hdu = open_table(table)
        shape = hdu.data[name].shape
    except Exception as error:  # as above
        raise ImageRefused(f"the table {table.name!r} of its axis {number} cannot be read") from error
    if shape[0] != 1 or sum(length > 1 for length in shape) > 1:
        raise ImageRefused(
            f"its axis {number} is given by a table (-TAB) of several dimensions, which a cutout cannot carry"
        )
    if max(shape) > MOST_COORDINATES:
        raise ImageRefused(f"the table {table.name!r} of its axis {number} is too long")
