"""Tables that belong to the axes of an image: packed for the index, opened, cut down with the axes."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from surveys.errors import ImageRefused
from surveys.image import SideTable
from surveys.plan import Ranges

Floats = NDArray[np.float64]

BLOCK = 2880
# Cards of a table of which rows were taken away that would no longer be true.
_STALE = ("CHECKSUM", "DATASUM")


def pack(content: bytes) -> str:
    """Deflate an HDU for the index."""
    return base64.b64encode(zlib.compress(content, 9)).decode("ascii")


@lru_cache(maxsize=16)
def unpack(packed: str) -> bytes:
    """Return the HDU as it stands in its file: header and data, each of whole blocks."""
    return zlib.decompress(base64.b64decode(packed))


def column(table: SideTable, name: str) -> Floats:
    """Values of a column, of all rows, as one list of numbers.

    Raises
    ------
    ImageRefused
        If there is no such column, or it holds no numbers.
    """
    try:
        values = open_table(table).data[name]
        return np.asarray(values, dtype=np.float64).reshape(-1)
    except (KeyError, ValueError, TypeError) as error:
        raise ImageRefused(f"its table {table.name!r} has no numbers in a column {name!r}") from error


def open_table(table: SideTable) -> fits.BinTableHDU:
    """Return the table as astropy has it; not to be written to."""
    return _opened(table.packed)


@lru_cache(maxsize=16)
def _opened(packed: str) -> fits.BinTableHDU:
    hdu = fits.BinTableHDU.fromstring(unpack(packed))
    hdu.data  # noqa: B018 - read now, by one thread
    return hdu


def carried(
    tables: Sequence[SideTable],
    ranges: Ranges,
    spectral: int | None,
    stokes: int | None,
    checksum: bool = False,
) -> bytes:
    """HDUs that go with a cutout: tables of coordinates whole, the others with the rows of its planes.

    Parameters
    ----------
    tables
        Those of the image.
    ranges
        What is taken of its axes: ``(axis, first, end, step)``.
    spectral, stokes
        0-based FITS numbers of these axes, None where there is none.
    checksum
        Write CHECKSUM and DATASUM into those that are made anew.
    """
    of_axis = {axis: range(first, end, step) for axis, first, end, step in ranges}
    channels = None if spectral is None else of_axis.get(spectral)
    planes = None if stokes is None else of_axis.get(stokes)
    content = b""
    for table in tables:
        if table.kind == "lookup" or (channels is None and planes is None):
            content += unpack(table.packed)
        elif table.kind == "beams":
            content += _cut_beams(table, channels, planes, checksum)
        else:
            content += _cut_bounds(table, channels, checksum)
    return content


def _cut_beams(table: SideTable, channels: range | None, planes: range | None, checksum: bool) -> bytes:
    """Rows of the beams of some channels and polarizations, which are numbered anew from 0."""
    header, rows = _rows(table)
    kept = np.ones(len(rows), bool)
    for name, count, chosen in (("CHAN", "NCHAN", channels), ("POL", "NPOL", planes)):
        if chosen is None or name not in (rows.dtype.names or ()):
            continue
        kept &= np.isin(rows[name], chosen)
        rows[name] = (rows[name] - chosen.start) // chosen.step
        if count in header:
            header[count] = len(chosen)
    return _write(header, rows[kept], checksum)


def _cut_bounds(table: SideTable, channels: range | None, checksum: bool) -> bytes:
    """Rows of the limits of some channels; their numbers begin as they did."""
    header, rows = _rows(table)
    if channels is None:
        return _write(header, rows, checksum)
    kept = rows[channels.start : channels.stop : channels.step].copy()
    name = next((name for name in rows.dtype.names or () if name.upper() == "CHANNEL"), None)
    if name is not None:
        kept[name] = rows[name][: len(kept)]
    return _write(header, kept, checksum)


def _rows(table: SideTable) -> tuple[fits.Header, NDArray[np.void]]:
    """Copy the header and the rows as they are stored."""
    hdu = open_table(table)
    content = unpack(table.packed)
    dtype = hdu.columns.dtype.newbyteorder(">")
    return hdu.header.copy(), np.frombuffer(
        content, dtype, hdu.header["NAXIS2"], _header_size(content)
    ).copy()


def _header_size(content: bytes) -> int:
    end = 0
    while True:
        block = content[end : end + BLOCK]
        end += BLOCK
        if any(block[at : at + 80].rstrip() == b"END" for at in range(0, BLOCK, 80)):
            return end


def _write(header: fits.Header, rows: NDArray[np.void], checksum: bool) -> bytes:
    header["NAXIS2"] = len(rows)
    for keyword in _STALE:
        header.remove(keyword, ignore_missing=True)
    data = rows.tobytes()
    data += bytes(-len(data) % BLOCK)
    if checksum:
        hdu = fits.BinTableHDU.fromstring(header.tostring().encode("ascii") + data)
        hdu.add_checksum(when="checksum")  # else the comment tells the time: other bytes each time
        header = hdu.header
    return bytes(header.tostring().encode("ascii")) + data
