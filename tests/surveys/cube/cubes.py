"""Cubes whose axes are known, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from surveys.cube.tables import pack
from surveys.image import ImageRecord, SideTable
from surveys.plan import Cost, CutoutPlan, Grid, Part, Piece, Ranges
from surveys.request import CutoutRequest
from surveys.sky.pixels import PixelBox
from tests.support.tiles import FileCatalog, ramp, write_plain

#: What an axis says: keyword without the number of the axis -> value.
Axis = dict[str, Any]

RA: Axis = {"CTYPE": "RA---TAN", "CRVAL": 83.8, "CRPIX": 3.0, "CDELT": -1e-3, "CUNIT": "deg"}
DEC: Axis = {"CTYPE": "DEC--TAN", "CRVAL": -5.4, "CRPIX": 4.0, "CDELT": 1e-3, "CUNIT": "deg"}
FREQ: Axis = {"CTYPE": "FREQ", "CRVAL": 1.0e11, "CRPIX": 2.0, "CDELT": 1e9, "CUNIT": "Hz"}
STOKES: Axis = {"CTYPE": "STOKES", "CRVAL": 1.0, "CRPIX": 1.0, "CDELT": 1.0, "CUNIT": ""}
TIME: Axis = {"CTYPE": "TIME", "CRVAL": 0.0, "CRPIX": 1.0, "CDELT": 3600.0, "CUNIT": "s"}


def cards_of(*axes: Axis, **others: Any) -> list[tuple[str, Any]]:
    """Cards of axes in FITS order; names of `others` have ``_`` for ``-``."""
    cards = [(f"{name}{n}", value) for n, axis in enumerate(axes, 1) for name, value in axis.items()]
    return cards + [(name.replace("_", "-"), value) for name, value in others.items()]


def text_of(*axes: Axis, **others: Any) -> str:
    """Return the same as text, as the index keeps it."""
    header = fits.Header()
    for keyword, value in cards_of(*axes, **others):
        if not hasattr(value, "__len__") or isinstance(value, str):
            header[keyword] = value
    return str(header.tostring(endcard=False, padding=False))


def facts_of(cards: list[tuple[str, Any]]) -> dict[str, Any]:
    """Fields of a record that follow from its WCS."""
    header = fits.Header()
    for keyword, value in cards:
        header[keyword] = value
    kinds = {
        str(header[key])[:2]: int(key[5:]) - 1 for key in header if key[:5] == "CTYPE" and key[5:].isdigit()
    }
    x_axis, y_axis = sorted((kinds["RA"], kinds["DE"]))
    text = header.tostring(endcard=False, padding=False)
    return {"wcs_text": text, "x_axis": x_axis, "y_axis": y_axis}


def plain_cube(
    catalog: FileCatalog, path: Path, lengths: tuple[int, ...], *axes: Axis, **others: Any
) -> ImageRecord:
    """Write a cube of pixels that all differ, `lengths` in FITS order, and add it to a catalog."""
    cards = cards_of(*axes, **others)
    write_plain(path, ramp(lengths[::-1]), cards)
    return catalog.add(path, **facts_of(cards))


def record_with(tmp_path: Path, lengths: tuple[int, ...], *axes: Axis, **others: Any) -> ImageRecord:
    """Record of a cube."""
    return plain_cube(FileCatalog(), tmp_path / "cube.fits", lengths, *axes, **others)


def plan_with(record: ImageRecord, ranges: Ranges, box: PixelBox | None = None, **changes: Any) -> CutoutPlan:
    """Plan of some ranges of the axes of an image."""
    grid = box or PixelBox(0, record.nx, 0, record.ny)
    inside = grid.clip(record.nx, record.ny)
    assert inside is not None
    facts = (record.artifact_id, record.dataset, record.file.size, record.file.mtime_ns)
    part = Part(record.band, (Piece(*facts, inside, ranges),), Grid(grid), "copy", grid != inside)
    return CutoutPlan(CutoutRequest(record.dataset, **changes), 1, (part,), Cost(0, 0, 0))


def part_of(pixels: NDArray[Any], record: ImageRecord, ranges: Ranges, box: PixelBox) -> NDArray[Any]:
    """Return what a cutout has to hold, of all pixels of an image."""
    index = [slice(None)] * pixels.ndim
    index[-1 - record.x_axis] = slice(box.x0, box.x1)
    index[-1 - record.y_axis] = slice(box.y0, box.y1)
    for axis, first, end, step in ranges:
        index[-1 - axis] = slice(first, end, step)
    return pixels[tuple(index)]


def side_table(kind: Any, hdu: fits.BinTableHDU) -> SideTable:
    """Return a table as the index keeps it."""
    header = hdu.header.tostring().encode("ascii")
    data = np.asarray(hdu.data).astype(hdu.data.dtype.newbyteorder(">")).tobytes()
    content = header + data + bytes(-len(data) % 2880)
    return SideTable(kind, hdu.name, hdu.ver, pack(content))
