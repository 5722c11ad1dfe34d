"""Pixels of tile-compressed images (FITS 4.0, section 10).

Of a Rice-compressed image only the rows of the table and the bytes of the heap that belong to the wanted
tiles are read, and a tile is decoded only as far as its last wanted pixel. Every other method goes through
astropy. Both give the same bits.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any, Self

import numpy as np
from astropy.io import fits
from isal import igzip
from numpy.typing import NDArray

from surveys.errors import BrokenImage
from surveys.fits.cut import DTYPES, INFLATE_ERRORS, Pixels, Reader, Selection, Strip
from surveys.fits.source import OpenFile
from surveys.image import ImageRecord, ZtileLayout
from surveys.kernels import rice as kernels
from surveys.plan import Ranges
from surveys.sky.pixels import PixelBox

Ints = NDArray[np.int64]
Axes = tuple[int, ...]
_DITHER = {
    "": kernels.NO_DITHER,
    "NO_DITHER": kernels.NO_DITHER,
    "SUBTRACTIVE_DITHER_1": kernels.DITHER_1,
    "SUBTRACTIVE_DITHER_2": kernels.DITHER_2,
}
_ITEM_BYTES = {"B": 1, "I": 2, "J": 4, "E": 4, "D": 8, "K": 8}
_RANDOM = kernels.random_values()


def open_tiles(record: ImageRecord, box: PixelBox, file: OpenFile, ranges: Ranges = ()) -> Reader:
    """Return a reader of the columns of `box` of a tile-compressed image, and of ranges of its other axes."""
    layout = record.ztiles
    if layout is None:
        raise BrokenImage(f"The index does not say how {record.file.name} is compressed.")
    if _is_native(record, layout):
        return RiceReader(record, layout, box, file, ranges)
    return SectionReader(record, box, file, ranges)


def _is_native(record: ImageRecord, layout: ZtileLayout) -> bool:
    """Whether `RiceReader` takes it: Rice as every usual program writes it."""
    columns = {name: form.lstrip("01")[:2] for name, (_, form) in layout.columns.items()}
    return (
        layout.method in ("RICE_1", "RICE_ONE")
        and layout.parameters.get("BYTEPIX", 4) in (1, 2, 4)
        and columns.get("COMPRESSED_DATA") in ("PB", "QB")
        and sum(length > 1 for length in record.shape) <= 4
        and (_is_quantised(layout, columns) if record.bitpix < 0 else _is_integer(record, columns))
    )


def _is_integer(record: ImageRecord, columns: dict[str, str]) -> bool:
    return record.bitpix in (8, 16, 32) and not {"ZSCALE", "ZZERO", "ZBLANK"} & set(columns)


def _is_quantised(layout: ZtileLayout, columns: dict[str, str]) -> bool:
    dither = _DITHER.get(layout.quantize)
    return (
        (dither == kernels.NO_DITHER or (dither is not None and layout.dither_seed > 0))
        and (columns.get("ZSCALE") == "D" or ("ZSCALE" not in columns and layout.zscale is not None))
        and (columns.get("ZZERO") == "D" or ("ZZERO" not in columns and layout.zzero is not None))
        and columns.get("ZBLANK", "J") == "J"
    )


def warm_up() -> None:
    """Compile the kernels, or load them from disk, before the first request needs them."""
    one = np.ones(4, np.int64)
    data = np.zeros(8, np.uint8)
    data.flags.writeable = False
    tile = np.zeros(1, np.int64)
    for dtype, quantised in ((np.int32, 0), (np.float32, 1), (np.float64, 1)):
        kernels.decode_tiles(
            data, tile, tile + 8, np.array([32, 4]), one, one, one - 1, one, np.ones((quantised, 2)),
            np.zeros((1, 0), np.int64), tile, kernels.DITHER_1, _RANDOM, np.empty((1, 1, 1, 1), dtype),
        )  # fmt: skip


class _TileReader(ABC):
    """What readers of tiles share: strips as ranges on the axes of the image."""

    def __init__(self, record: ImageRecord, box: PixelBox, ranges: Ranges) -> None:
        self.record = record
        self._wanted = Selection(record, box, ranges)

    def __enter__(self) -> Self:
        return self

    def __exit__(  # noqa: B027 - most readers have nothing to let go
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held by default."""

    def read(self, strip: Strip, out: Pixels) -> None:
        """Decode the wanted part of each axis; where pixels of one are skipped, those taken one by one."""
        for taken, target in self._wanted.blocks(strip, out):
            skipping = [axis for axis, part in enumerate(taken) if part.step != 1]
            for index in np.ndindex(*(len(taken[axis]) for axis in skipping)):
                place: list[slice] = [slice(None)] * len(taken)
                block = list(taken)
                for axis, i in zip(skipping, index, strict=True):
                    place[axis] = slice(i, i + 1)
                    block[axis] = range(taken[axis][i], taken[axis][i] + 1)
                low, high = tuple(part.start for part in block), tuple(part.stop for part in block)
                target[tuple(place)] = self._decode(low, high).reshape([len(part) for part in block])

    @abstractmethod
    def _decode(self, low: Axes, high: Axes) -> Pixels:
        """Return the pixels between `low` and `high`, one number for each axis of the image."""


class SectionReader(_TileReader):
    """Pixels of any compressed image, by astropy."""

    def __init__(self, record: ImageRecord, box: PixelBox, file: OpenFile, ranges: Ranges = ()) -> None:
        super().__init__(record, box, ranges)
        self._stream = file.stream()
        try:
            self._hdus = fits.open(self._stream, do_not_scale_image_data=True)
        except Exception as error:  # as below
            self._stream.close()
            raise BrokenImage(f"{record.file.name} cannot be decompressed: it is corrupt.") from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._hdus.close()
        self._stream.close()

    def _decode(self, low: Axes, high: Axes) -> Pixels:
        ranges = tuple(slice(start, stop) for start, stop in zip(low, high, strict=True))
        try:
            return np.asarray(self._hdus[self.record.hdu].section[ranges])
        except Exception as error:  # what astropy and its codecs raise for corrupt bytes has no common class
            raise BrokenImage(f"{self.record.file.name} cannot be decompressed: it is corrupt.") from error


class RiceReader(_TileReader):
    """Decodes the wanted tiles of a Rice-compressed image, each as far as its last wanted pixel."""

    def __init__(
        self,
        record: ImageRecord,
        layout: ZtileLayout,
        box: PixelBox,
        file: OpenFile,
        ranges: Ranges = (),
    ) -> None:
        super().__init__(record, box, ranges)
        self._layout, self._file = layout, file
        native = DTYPES[record.bitpix].newbyteorder("=")
        self._dtype = native if record.bitpix < 0 else np.dtype(np.int32)
        # Axes of length 1 change no order; the others are filled up to the four of the kernel.
        axes = [axis for axis, length in enumerate(record.shape) if length > 1]
        self._axes = [-1] * (4 - len(axes)) + axes
        self._shape = self._four(record.shape, 1)
        self._ztile = np.minimum(self._four(layout.ztile, 1), self._shape)
        self._tiles = -(-self._shape // self._ztile)
        parameters = layout.parameters
        self._rice = np.array([parameters.get("BLOCKSIZE", 32), parameters.get("BYTEPIX", 4)], np.int64)

    def _four(self, values: Axes, missing: int) -> Ints:
        return np.array([missing if axis < 0 else values[axis] for axis in self._axes], np.int64)

    def _decode(self, low: Axes, high: Axes) -> Pixels:
        start, stop = self._four(low, 0), self._four(high, 1)
        numbers = self._numbers(start, stop)
        rows = self._rows(numbers)
        sizes, offsets = self._descriptors(rows, "COMPRESSED_DATA")
        data, starts = self._file.gather(offsets, sizes)
        out = np.empty(tuple(stop - start), self._dtype)
        bad = kernels.decode_tiles(
            data,
            starts,
            sizes,
            self._rice,
            self._shape,
            self._ztile,
            start,
            stop,
            self._scales(rows),
            self._blanks(rows),
            numbers + self._layout.dither_seed - 1,
            _DITHER[self._layout.quantize],
            _RANDOM,
            out,
        )
        if bad >= 0:
            raise BrokenImage(
                f"{self.record.file.name} is corrupt: its tile {numbers[bad] + 1} cannot be decoded."
            )
        for k in np.flatnonzero(sizes == 0):
            self._paste(int(numbers[k]), rows[k], start, out)
        return out

    def _numbers(self, low: Ints, high: Ints) -> Ints:
        """Return the numbers (0-based rows of the table) of the tiles with a pixel in ``low .. high``."""
        ranges = [np.arange(a // z, (b - 1) // z + 1) for a, b, z in zip(low, high, self._ztile, strict=True)]
        return np.ravel_multi_index(np.ix_(*ranges), tuple(self._tiles)).reshape(-1).astype(np.int64)

    def _rows(self, numbers: Ints) -> NDArray[np.uint8]:
        """Return these rows of the table, (rows, bytes)."""
        layout = self._layout
        if numbers[-1] >= layout.rows:
            raise BrokenImage(f"{self.record.file.name} is corrupt: its table lacks rows.")
        width = np.full(len(numbers), layout.row_bytes, np.int64)
        data, starts = self._file.gather(layout.table_offset + numbers * layout.row_bytes, width)
        return np.asarray(data[starts[:, np.newaxis] + np.arange(layout.row_bytes)])

    def _field(self, rows: NDArray[np.uint8], name: str, dtype: str) -> NDArray[Any]:
        """Return a column of the table, (rows, values)."""
        at = self._layout.columns[name][0]
        width = 16 if dtype == ">i8" and name.endswith("DATA") else 8 if name != "ZBLANK" else 4
        return np.ascontiguousarray(rows[:, at : at + width]).view(dtype)

    def _descriptors(self, rows: NDArray[np.uint8], name: str) -> tuple[Ints, Ints]:
        """Return the bytes of each array in the heap, and where in the file they start."""
        letters = self._layout.columns[name][1].lstrip("01")[:2]
        pairs = self._field(rows, name, ">i8" if letters[0] == "Q" else ">i4").astype(np.int64)
        return pairs[:, 0] * _ITEM_BYTES[letters[1]], pairs[:, 1] + self._layout.heap_offset

    def _scales(self, rows: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return ZSCALE and ZZERO of each tile, from the table or else the header."""
        if self.record.bitpix > 0:
            return np.empty((0, 2))
        scales = np.empty((len(rows), 2))
        for i, (name, constant) in enumerate(
            (("ZSCALE", self._layout.zscale), ("ZZERO", self._layout.zzero))
        ):
            in_table = name in self._layout.columns
            scales[:, i] = self._field(rows, name, ">f8")[:, 0] if in_table else constant
        return scales

    def _blanks(self, rows: NDArray[np.uint8]) -> Ints:
        """Return the stored value that stands for NaN in each tile, (rows, 1), or (rows, 0) without one."""
        if self.record.bitpix < 0 and "ZBLANK" in self._layout.columns:
            return self._field(rows, "ZBLANK", ">i4").astype(np.int64)
        blank = self._layout.zblank if self._layout.zblank is not None else self.record.blank
        if self.record.bitpix > 0 or blank is None:
            return np.empty((len(rows), 0), np.int64)
        return np.full((len(rows), 1), blank, np.int64)

    def _paste(self, number: int, row: NDArray[np.uint8], low: Ints, out: Pixels) -> None:
        """Put a tile that could not be compressed with Rice, and is stored otherwise, into `out`."""
        corner = np.array(np.unravel_index(number, tuple(self._tiles))) * self._ztile
        extent = np.minimum(self._ztile, self._shape - corner)
        pixels = self._stored_otherwise(number, row, int(extent.prod())).reshape(extent)
        begin, end = np.maximum(corner, low), np.minimum(corner + extent, low + out.shape)
        source = tuple(slice(a, b) for a, b in zip(begin - corner, end - corner, strict=True))
        target = tuple(slice(a, b) for a, b in zip(begin - low, end - low, strict=True))
        out[target] = pixels[source]

    def _stored_otherwise(self, number: int, row: NDArray[np.uint8], count: int) -> NDArray[Any]:
        for name in ("GZIP_COMPRESSED_DATA", "UNCOMPRESSED_DATA"):
            if name not in self._layout.columns:
                continue
            sizes, offsets = self._descriptors(row[np.newaxis], name)
            if not sizes[0]:
                continue
            data, starts = self._file.gather(offsets, sizes)
            content = data[starts[0] : starts[0] + sizes[0]].tobytes()
            try:
                if name == "GZIP_COMPRESSED_DATA":
                    content = igzip.decompress(content)  # type: ignore[no-untyped-call]
                bitpix = self.record.bitpix if self.record.bitpix < 0 else len(content) // count * 8
                return np.frombuffer(content, DTYPES[bitpix], count)
            except (*INFLATE_ERRORS, ValueError, KeyError) as error:
                raise BrokenImage(
                    f"{self.record.file.name} is corrupt: its tile {number + 1} cannot be inflated."
                ) from error
        raise BrokenImage(f"{self.record.file.name} is corrupt: its tile {number + 1} has no data.")
