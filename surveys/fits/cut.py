"""The wanted pixels of one HDU, as they are stored, and nothing else of it.

However many axes an image has, its pixels are seen here as a `Frame`: planes of rows, a row being some lines
of pixels along x. Readers take a range of planes and rows at a time, so that memory is bounded by the strip.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager
from io import BufferedReader
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple, Protocol, Self, cast

import numpy as np
from isal import igzip, igzip_lib
from numpy.typing import NDArray

from surveys.errors import BrokenImage
from surveys.fits.source import OpenFile
from surveys.image import ImageRecord
from surveys.plan import Ranges
from surveys.sky.pixels import PixelBox

Pixels = NDArray[Any]
DTYPES: dict[int, np.dtype[Any]] = {
    bitpix: np.dtype(code)
    for bitpix, code in ((8, ">u1"), (16, ">i2"), (32, ">i4"), (64, ">i8"), (-32, ">f4"), (-64, ">f8"))
}
_INFLATE_BYTES = 1 << 20
# isal declares its error as an object, not as a class.
INFLATE_ERRORS = (OSError, EOFError, cast("type[Exception]", igzip_lib.IsalError))


def taken_of(record: ImageRecord, ranges: Ranges) -> list[range]:
    """Tell what is taken of each axis of an image, numpy order."""
    taken = [range(length) for length in record.shape]
    for axis, first, end, step in ranges:
        taken[-1 - axis] = range(first, end, step)
    return taken


class Frame(NamedTuple):
    """The axes of an image, gathered about its two celestial ones.

    An array of pixels has the shape (planes, y, between, x, within): axes slower than y, y itself, axes
    between y and x, x itself, axes faster than x; each group flattened to one axis, of length 1 if empty.
    """

    planes: int
    ny: int
    between: int
    nx: int
    within: int

    @classmethod
    def of(cls, record: ImageRecord, ranges: Ranges = ()) -> Frame:
        """Gather the axes of an image, or of the part of it that some ranges of its other axes make."""
        shape = record.shape
        if len(shape) == 2:
            return cls(1, shape[0], 1, shape[1], 1)
        x = len(shape) - 1 - record.x_axis
        y = len(shape) - 1 - record.y_axis
        if ranges:
            shape = tuple(len(taken) for taken in taken_of(record, ranges))
        return cls(
            math.prod(shape[:y]), shape[y], math.prod(shape[y + 1 : x]), shape[x], math.prod(shape[x + 1 :])
        )

    @property
    def depth(self) -> int:
        """Pixels of all other axes, for one of x and y."""
        return self.planes * self.between * self.within

    def shape(self, planes: int, rows: int, columns: int) -> tuple[int, int, int, int, int]:
        """Shape of an array of so many planes, rows and columns."""
        return planes, rows, self.between, columns, self.within


class Strip(NamedTuple):
    """A range of planes (of those taken, not of the file) and of rows, 0-based and half-open."""

    plane0: int
    plane1: int
    y0: int
    y1: int


def strips(frame: Frame, box: PixelBox, pixel_bytes: int, limit: int, step: int = 1) -> Iterator[Strip]:
    """Cut the rows of `box`, in the order of the file, in strips.

    Parameters
    ----------
    frame, box, pixel_bytes
        The image, the wanted part of it (it may stick out), bytes of a pixel.
    limit
        Bytes of a strip, if that is not less than `step` rows.
    step
        Strips end where the number of a row is a multiple of it: no compression tile is decoded twice.
    """
    row = frame.between * box.width * frame.within * pixel_bytes
    planes = limit // (row * box.height)
    if planes:
        for plane in range(0, frame.planes, planes):
            yield Strip(plane, min(plane + planes, frame.planes), box.y0, box.y1)
        return
    rows = max(1, limit // (row * step)) * step
    for plane in range(frame.planes):
        y = box.y0
        while y < box.y1:
            end = min(y // step * step + rows, box.y1)
            yield Strip(plane, plane + 1, y, end)
            y = end


class Reader(AbstractContextManager["Reader"], Protocol):
    """Reads pixels between the columns it was made for."""

    def read(self, strip: Strip, out: Pixels) -> None:
        """Fill `out`, big-endian, of the shape `Frame.shape`; its last two axes are contiguous.

        Strips come in the order of the file and do not overlap.
        """

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the file."""


def open_reader(record: ImageRecord, box: PixelBox, file: OpenFile, ranges: Ranges = ()) -> Reader:
    """Return a reader of the columns of `box`, a box inside the image, and of ranges of its other axes.

    Its strips have the `Frame` of the image with these ranges.
    """
    if record.storage == "plain":
        return PlainPartReader(record, box, file, ranges) if ranges else PlainReader(record, box, file)
    if record.storage == "gzip":
        return GzipPartReader(record, box, file, ranges) if ranges else GzipReader(record, box, file)
    from surveys.fits.compressed import open_tiles  # numba is imported only where tiles are cut

    return open_tiles(record, box, file, ranges)


class Selection:
    """Which pixels of all axes are wanted, strip by strip.

    Parameters
    ----------
    record, box, ranges
        The image, the wanted columns, and what is taken of its axes beside those of the sky.
    """

    def __init__(self, record: ImageRecord, box: PixelBox, ranges: Ranges) -> None:
        self.taken = taken_of(record, ranges)
        self.y = len(record.shape) - 1 - record.y_axis
        self.x = len(record.shape) - 1 - record.x_axis
        self.taken[self.x] = range(box.x0, box.x1)
        lengths = [len(taken) for taken in self.taken[: self.y]]
        self._planes = math.prod(lengths)
        # Of the axes slower than y the fastest of several pixels, along which planes follow each other.
        self._along = next((axis for axis in range(self.y - 1, -1, -1) if lengths[axis] > 1), 0)
        self._outer = tuple(lengths[: self._along])

    def blocks(self, strip: Strip, out: Pixels) -> Iterator[tuple[list[range], Pixels]]:
        """Yield what is taken of each axis, and the part of `out` for it, in that shape.

        All planes at once, or where the strip does not have them all as many as follow each other.
        """
        rows = range(strip.y0, strip.y1)
        if strip.plane1 - strip.plane0 == self._planes:
            yield self._block(self.taken[: self.y], rows, out)
            return
        along, plane = self._along, strip.plane0
        while plane < strip.plane1:
            outer, first = divmod(plane, len(self.taken[along]))
            end = min(len(self.taken[along]), first + strip.plane1 - plane)
            slow = list(self.taken[: self.y])
            for axis, i in enumerate(np.unravel_index(outer, self._outer)):
                slow[axis] = slow[axis][int(i) : int(i) + 1]
            slow[along] = slow[along][first:end]
            start = plane - strip.plane0
            plane += end - first
            yield self._block(slow, rows, out[start : plane - strip.plane0])

    def _block(self, slow: list[range], rows: range, out: Pixels) -> tuple[list[range], Pixels]:
        taken = [*slow, rows, *self.taken[self.y + 1 :]]
        # The axes of a frame are only split, so that this is `out` itself, never a copy.
        return taken, out.reshape([len(part) for part in taken])


class _RowReader:
    """What readers of rows share: where the wanted columns of a row lie."""

    def __init__(self, record: ImageRecord, box: PixelBox, file: OpenFile) -> None:
        self.frame = Frame.of(record)
        self.offset = record.data_offset
        pixel = self.frame.within * (abs(record.bitpix) // 8)
        self.line_bytes = self.frame.nx * pixel
        self.row_bytes = self.line_bytes * self.frame.between
        self.skip, self.stop = box.x0 * pixel, box.x1 * pixel
        self.file = file

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held by default."""

    def lines_of(self, out: Pixels) -> NDArray[np.uint8]:
        """`out` seen as bytes: (planes, rows, lines, bytes)."""
        planes, rows, between, columns, within = out.shape
        width = columns * within * out.itemsize
        return out.view(np.uint8).reshape(planes, rows, between, width)

    def start_of(self, plane: int, y: int) -> int:
        """Offset of a row in the (inflated) file."""
        return self.offset + (plane * self.frame.ny + y) * self.row_bytes


class PlainReader(_RowReader):
    """Pixels that lie in the file as they are."""

    def read(self, strip: Strip, out: Pixels) -> None:
        """Copy the wanted part of each line."""
        lines = self.lines_of(out)
        offset = self.start_of(strip.plane0, strip.y0) + self.skip
        if lines.shape[3] == self.line_bytes and out.flags.c_contiguous:
            planes, rows, between, _ = lines.shape
            lines = lines.reshape(planes, 1, 1, rows * between * self.line_bytes)
        self.file.copy_lines(offset, (self.row_bytes * self.frame.ny, self.row_bytes, self.line_bytes), lines)


class GzipReader(_RowReader):
    """Pixels in a gzip file: inflated as a stream, as far as the last wanted row, members one by one."""

    def __init__(self, record: ImageRecord, box: PixelBox, file: OpenFile) -> None:
        super().__init__(record, box, file)
        self._name = record.file.name
        self._raw: BufferedReader = file.stream()
        self._stream: BinaryIO = igzip.open(self._raw, "rb")  # type: ignore[no-untyped-call]
        self._position = 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._stream.close()
        self._raw.close()

    def read(self, strip: Strip, out: Pixels) -> None:
        """Inflate whole rows, about a megabyte at a time, and keep the wanted columns."""
        lines = self.lines_of(out)
        at_once = max(1, _INFLATE_BYTES // self.row_bytes)
        for p, plane in enumerate(range(strip.plane0, strip.plane1)):
            self._skip_to(self.start_of(plane, strip.y0))
            for y in range(0, strip.y1 - strip.y0, at_once):
                wanted = lines[p, y : y + at_once]
                inflated = self._take(len(wanted) * self.row_bytes)
                whole = np.frombuffer(inflated, np.uint8).reshape(*wanted.shape[:2], self.line_bytes)
                wanted[...] = whole[:, :, self.skip : self.stop]

    def _skip_to(self, offset: int) -> None:
        while self._position < offset:
            self._take(min(_INFLATE_BYTES, offset - self._position))

    def _take(self, count: int) -> bytes:
        try:
            data = self._stream.read(count)
        except INFLATE_ERRORS as error:
            raise BrokenImage(f"{self._name} cannot be inflated: it is cut short or corrupt.") from error
        if len(data) < count:
            raise BrokenImage(f"{self._name} is shorter than its header says.")
        self._position += count
        return data


class PlainPartReader(_RowReader):
    """A part of the axes of pixels that lie in the file as they are."""

    def __init__(self, record: ImageRecord, box: PixelBox, file: OpenFile, ranges: Ranges) -> None:
        super().__init__(record, box, file)
        self._wanted = Selection(record, box, ranges)
        lengths = record.shape[1:]
        item = abs(record.bitpix) // 8
        self._strides = [item * math.prod(lengths[axis:]) for axis in range(len(record.shape))]

    def read(self, strip: Strip, out: Pixels) -> None:
        """Copy each wanted pixel from its place."""
        for taken, target in self._wanted.blocks(strip, out):
            offset = self.offset + sum(
                part.start * stride for part, stride in zip(taken, self._strides, strict=True)
            )
            strides = tuple(part.step * stride for part, stride in zip(taken, self._strides, strict=True))
            self.file.copy_block(offset, strides, target)


class GzipPartReader(GzipReader):
    """A part of the axes of pixels in a gzip file, inflated as far as the last wanted plane."""

    def __init__(self, record: ImageRecord, box: PixelBox, file: OpenFile, ranges: Ranges) -> None:
        super().__init__(record, box, file)
        self._wanted = Selection(record, box, ranges)
        self._shape = record.shape
        self._dtype = DTYPES[record.bitpix]

    def read(self, strip: Strip, out: Pixels) -> None:
        """Inflate the wanted rows of the wanted planes, and keep the wanted part of each."""
        y = self._wanted.y
        at_once = max(1, _INFLATE_BYTES // self.row_bytes)
        for taken, target in self._wanted.blocks(strip, out):
            kept = tuple(slice(part.start, part.stop, part.step) for part in taken[y + 1 :])
            for index in np.ndindex(*(len(part) for part in taken[:y])):
                place = tuple(part[i] for part, i in zip(taken, index, strict=False))
                plane = int(np.ravel_multi_index(place, self._shape[:y])) if y else 0
                self._skip_to(self.start_of(plane, strip.y0))
                rows = target[index]
                for start in range(0, len(rows), at_once):
                    wanted = rows[start : start + at_once]
                    inflated = self._take(len(wanted) * self.row_bytes)
                    whole = np.frombuffer(inflated, self._dtype).reshape(len(wanted), *self._shape[y + 1 :])
                    wanted[...] = whole[(slice(None), *kept)]
