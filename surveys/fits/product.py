"""The FITS product of a cutout: what it will be, known before a pixel is read, and how its bytes are made.

A product is one simple primary HDU with the pixels as the source stores them; of a cube, tables that belong
to its axes follow. Where it needs pixels that do not exist (outside of the image, or of the stencil with
``MASK=true``) these are NaN, or BLANK; integers that have no BLANK are then turned into physical
floating-point values, and HISTORY says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from surveys.cube.ranges import WHOLE, AxisCut, label_of, side_tables
from surveys.fits.cut import DTYPES, Frame, Pixels, Reader, Strip, strips
from surveys.fits.hdus import padded
from surveys.fits.header import end_header
from surveys.fits.missing import count_nan
from surveys.fits.naming import product_name
from surveys.fits.provenance import DEFAULT_SITE as DEFAULT_SITE
from surveys.fits.provenance import HeaderTexts as HeaderTexts
from surveys.fits.provenance import Site as Site
from surveys.fits.provenance import axes_of as axes_of
from surveys.fits.provenance import is_masked as is_masked
from surveys.fits.provenance import last_cards, promotion, source_template, with_checksums
from surveys.fits.template import HeaderTemplate
from surveys.image import ImageRecord
from surveys.lru import Lru
from surveys.plan import CutoutPlan
from surveys.request import CutoutRequest
from surveys.sky.overlap import inside_mask
from surveys.sky.pixels import PixelBox
from surveys.sky.stencil import CenteredBox
from surveys.sky.wcs import wcs_of

# Physical values of 8 and 16 bits are exact enough in a 32-bit float.
_PROMOTED = {8: -32, 16: -32, 32: -64, 64: -64}


# Pure memory: a template depends on nothing but its key, which names a file as it was when it was indexed.
_templates: Lru[object, HeaderTemplate] = Lru(128)


@dataclass(frozen=True, slots=True)
class Product:
    """A FITS product, all but its pixels.

    Parameters
    ----------
    record, request, grid, clipped
        Of which image, for what, which pixels of it; `grid` may stick out of the image.
    frame
        The axes of the image.
    inside
        The part of `grid` inside the image; `grid` itself if that is all.
    bitpix
        Of the product.
    template, tail
        The two parts of its header.
    pixels
        Their number, all axes counted.
    size
        Bytes of the whole product.
    cut
        What is taken of the axes beside those of the sky.
    tables
        The HDUs behind the pixels.
    padding
        Physical value of pixels that do not exist, where it is neither NaN nor BLANK.
    site
        Who makes it.
    """

    record: ImageRecord
    request: CutoutRequest
    grid: PixelBox
    clipped: bool
    frame: Frame
    inside: PixelBox
    bitpix: int
    template: HeaderTemplate
    tail: str
    pixels: int
    size: int
    cut: AxisCut = WHOLE
    tables: bytes = b""
    padding: float | None = None
    site: Site = DEFAULT_SITE

    @property
    def file_name(self) -> str:
        """Name for Content-Disposition."""
        planes = label_of(self.record, self.cut.ranges)
        return product_name(self.record, self.request.stencil, self.grid, planes)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was done to pixel values that is not asked for: integers made into floats."""
        return promotion(self.record, self.bitpix)

    @property
    def header_size(self) -> int:
        """Bytes of the header."""
        return self.template.size + len(self.tail)

    @property
    def data_size(self) -> int:
        """Bytes of the pixels, without padding."""
        return self.pixels * abs(self.bitpix) // 8

    @property
    def unit_size(self) -> int:
        """Bytes of the pixels in whole blocks."""
        return padded(self.data_size)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels, big-endian."""
        return DTYPES[self.bitpix]

    @property
    def must_count(self) -> bool:
        """Whether pixels without data can occur; if not, FRAC_OK is 1 without looking."""
        return self.bitpix < 0 or _blank_of(self.record) is not None or self._nodata is not None

    def header(self, valid: int, data_sum: int) -> bytes:
        """Return the header, once the pixels are known.

        Parameters
        ----------
        valid
            Number of pixels that hold data.
        data_sum
            Checksum of the data, used where the request asks for one.
        """
        values = {
            "nx": self.grid.width,
            "ny": self.grid.height,
            "x0": self.grid.x0,
            "y0": self.grid.y0,
            "frac_ok": valid / self.pixels,
        }
        for axis, first, end, step in self.cut.ranges:
            values |= {f"n{axis}": len(range(first, end, step)), f"o{axis}": first}
        header = (self.template.write(values) + self.tail).encode("ascii")
        return with_checksums(header, self.template.size, data_sum) if self.request.checksum else header

    def strips(self, limit: int) -> Iterator[Strip]:
        """Cut the product in strips of about `limit` bytes."""
        step = 1
        if self.record.ztiles is not None:
            step = self.record.ztiles.ztile[len(self.record.shape) - 1 - self.record.y_axis]
        return strips(self.frame, self.grid, self.dtype.itemsize, limit, step)

    def fill(self, reader: Reader, strip: Strip, out: Pixels) -> None:
        """Make the pixels of `strip` (rows of the source image, perhaps outside of it) into `out`.

        `out` has the shape of `Frame.shape`, contiguous, and the type of the product.
        """
        if self.inside is self.grid and self.bitpix == self.record.bitpix:
            reader.read(strip, out)
        else:
            self._fill_around(reader, strip, out)
        if is_masked(self.request):
            self._mask(strip, out)

    def _fill_around(self, reader: Reader, strip: Strip, out: Pixels) -> None:
        out[...] = self._blank
        y0, y1 = max(strip.y0, self.inside.y0), min(strip.y1, self.inside.y1)
        if y0 >= y1:
            return
        columns = slice(self.inside.x0 - self.grid.x0, self.inside.x1 - self.grid.x0)
        part = out[:, y0 - strip.y0 : y1 - strip.y0, :, columns]
        wanted = Strip(strip.plane0, strip.plane1, y0, y1)
        if self.bitpix == self.record.bitpix:
            reader.read(wanted, part)
            return
        stored = np.empty(part.shape, DTYPES[self.record.bitpix])
        reader.read(wanted, stored)
        part[...] = stored * np.float64(self.record.bscale) + np.float64(self.record.bzero)

    def _mask(self, strip: Strip, out: Pixels) -> None:
        stencil = self.request.stencil
        if stencil is None or isinstance(stencil, CenteredBox):
            return
        box = PixelBox(self.grid.x0, self.grid.x1, strip.y0, strip.y1)
        outside = ~inside_mask(stencil, wcs_of(self.record), box)
        out.transpose(1, 3, 0, 2, 4)[outside] = self._blank

    @property
    def _blank(self) -> float | int:
        if self.padding is not None:
            stored = (self.padding - self.record.bzero) / self.record.bscale
            return round(stored) if self.bitpix > 0 else stored
        blank = _blank_of(self.record)
        return math.nan if self.bitpix < 0 or blank is None else blank

    def count_valid(self, out: Pixels) -> int:
        """Pixels of `out` that hold data: neither NaN, nor BLANK, nor the declared value of no data."""
        values = [value for value in (_blank_of(self.record), self._nodata) if value is not None]
        if self.bitpix < 0 and not values:
            return out.size - count_nan(out)
        empty = np.isnan(out) if self.bitpix < 0 else np.zeros(out.shape, bool)
        for value in values:
            empty |= out == value
        return int(out.size - np.count_nonzero(empty))

    @property
    def _nodata(self) -> float | None:
        """The declared value of no data as it would be stored in the product."""
        nodata = self.record.nodata
        if nodata is None or math.isnan(nodata):
            return None
        if self.bitpix != self.record.bitpix:
            return nodata
        return (nodata - self.record.bzero) / self.record.bscale


def _blank_of(record: ImageRecord) -> int | None:
    """Return BLANK of integer pixels, if they can hold it."""
    if record.blank is None or record.bitpix < 0:
        return None
    limits = np.iinfo(DTYPES[record.bitpix])
    return record.blank if limits.min <= record.blank <= limits.max else None


def bitpix_of(record: ImageRecord, grid: PixelBox, request: CutoutRequest) -> int:
    """Return BITPIX of the product: the record's own, unless integers without BLANK are to be blanked."""
    if record.bitpix < 0 or _blank_of(record) is not None:
        return record.bitpix
    blanked = grid.clip(record.nx, record.ny) is not grid or is_masked(request)
    return _PROMOTED[record.bitpix] if blanked else record.bitpix


def describe(
    record: ImageRecord,
    grid: PixelBox,
    request: CutoutRequest,
    catalog: HeaderTexts,
    site: Site,
    clipped: bool = False,
    cut: AxisCut = WHOLE,
    padding: float | None = None,
) -> Product:
    """Describe the product of `grid`; reads no pixel, and the header text only the first time.

    Pixels that do not exist have the physical value `padding`, by default NaN or BLANK.
    """
    inside = grid.clip(record.nx, record.ny)
    if inside is None:
        raise ValueError("the box has no pixel of the image")
    bitpix = bitpix_of(record, grid, request) if padding is None else record.bitpix
    tables = side_tables(record, cut.ranges, request.checksum)
    axes = axes_of(record, cut, bool(tables))
    kind = (bitpix, request.stencil is not None, clipped, site, axes)
    key = (record.file, record.hdu, record.header_key, record.dataset, record.indexed_at, kind)
    template = _templates.get(key, lambda: source_template(record, catalog, *kind))
    tail = end_header(last_cards(record, grid, request, bitpix, site, cut), template.size)
    frame = Frame.of(record, cut.ranges)
    pixels = grid.pixels * frame.depth
    unit_size = padded(pixels * abs(bitpix) // 8)
    return Product(
        record,
        request,
        grid,
        clipped,
        frame,
        inside,
        bitpix,
        template,
        tail,
        pixels,
        template.size + len(tail) + unit_size + len(tables),
        cut,
        tables,
        padding,
        site,
    )


def describe_plan(plan: CutoutPlan, record: ImageRecord, catalog: HeaderTexts, site: Site) -> Product:
    """Describe the product of a plan of one piece; one that was described when it was planned is that."""
    (part,), known = plan.parts, plan.described
    (piece,), grid = part.pieces, part.grid.box
    if (
        isinstance(known, Product)
        and known.record is record
        and known.request is plan.request
        and known.grid is grid
        and known.clipped is part.clipped
        and known.cut.ranges is piece.ranges
        and known.cut.remarks is part.remarks
        and known.site is site
    ):
        return known
    cut = AxisCut(piece.ranges, plan.remarks)
    return describe(record, grid, plan.request, catalog, site, part.clipped, cut)
