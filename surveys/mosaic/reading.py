"""Windows of images as physical numbers, NaN without data, averaged in blocks where that is asked for."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from surveys.errors import BrokenImage, RequestFault, StaleImage, SurveyError, UnknownDataset
from surveys.fits.cut import DTYPES, Frame, Strip, open_reader
from surveys.fits.source import OpenFile, Source
from surveys.image import ImageRecord
from surveys.kernels.area import block_mean, block_or, block_variance
from surveys.plan import Piece
from surveys.sky.pixels import PixelBox
from surveys.survey import Nodata, Survey, WeightMeaning

Pixels = NDArray[Any]

#: Pixels read at once where they are averaged.
CHUNK_PIXELS = 1 << 20
#: Windows of a gzip file, which can only be inflated from its start, are kept up to so many bytes.
KEPT_BYTES = 64 << 20
#: Kept windows are so much wider than a plan has it: kernels need neighbours.
MARGIN_PX = 64


class Catalog(Protocol):
    """What mosaics need of the image index."""

    def survey(self, name: str) -> Survey:
        """Survey of this name."""

    def generation(self, survey: str) -> int:
        """Which generation of a survey's index counts now."""

    def artifact(self, artifact_id: int) -> ImageRecord:
        """Return the record of an image by its key."""

    def record(self, dataset: str, generation: int) -> ImageRecord:
        """Return the record of an image, or of another layer, as a generation has it."""

    def header_text(self, record: ImageRecord) -> str:
        """80-character cards of the image HDU, with inherited primary cards, without END."""

    def place(self, record: ImageRecord) -> str:
        """Where the file is to be found; symbolic links may stand in the way."""

    def path(self, record: ImageRecord) -> Path:
        """Where the file really lies, inside the survey's folders."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """Pixels of an image that are averaged before they are used: so many along x, and along y."""

    width: int = 1
    height: int = 1

    @property
    def single(self) -> bool:
        """Whether nothing is averaged."""
        return self.width == self.height == 1

    def size(self, nx: int, ny: int) -> tuple[int, int]:
        """Size in blocks of an image of `nx` by `ny` pixels."""
        return -(-nx // self.width), -(-ny // self.height)


SINGLE = Blocks()


@dataclass(frozen=True, slots=True)
class Plane:
    """One plane of the pixels of one HDU, as they are stored.

    Parameters
    ----------
    record, file
        The HDU.
    box
        What a plan means to read of it.
    plane, between, within
        Which of the pixels of its other axes: see `Frame`.
    """

    record: ImageRecord
    file: OpenFile
    box: PixelBox
    plane: int
    between: int
    within: int
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _kept: dict[PixelBox, Pixels] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, record: ImageRecord, file: OpenFile, piece: Piece) -> Plane:
        """Return the plane a piece has.

        Raises
        ------
        RequestFault
            If it has several.
        """
        shape = record.shape
        index = []
        for axis, length in enumerate(shape):
            number = len(shape) - 1 - axis
            if number in (record.x_axis, record.y_axis):
                continue
            first, end = next(((a, b) for n, a, b in piece.ranges if n == number), (0, length))
            if end - first != 1:
                raise RequestFault(
                    f"{record.dataset} has several planes, which are not put together with other images: "
                    "choose one of them by BAND, TIME or POL, or name the image as ID"
                )
            index.append(first)
        y, x = len(shape) - 1 - record.y_axis, len(shape) - 1 - record.x_axis
        groups = (shape[:y], shape[y + 1 : x], shape[x + 1 :])
        at = []
        for group in groups:
            chosen, index = index[: len(group)], index[len(group) :]
            at.append(int(np.ravel_multi_index(chosen, group)) if group else 0)
        return cls(record, file, piece.box, at[0], at[1], at[2])

    def read(self, box: PixelBox) -> Pixels:
        """Pixels of a box inside the image, (rows, columns), big-endian."""
        if self.record.storage == "plain":
            return self._read(box)
        if self.record.storage == "tiles" and self.record.ztiles and self.record.ztiles.method[:4] == "RICE":
            return self._read(box)
        with self._lock:
            return self._read(box) if self.record.storage == "tiles" else self._read_kept(box)

    def _read_kept(self, box: PixelBox) -> Pixels:
        """Read, of a file that is read from its start, all that is wanted at once if that is not much."""
        for kept, pixels in self._kept.items():
            if kept.clip(box.x1, box.y1) and _holds(kept, box):
                return pixels[box.y0 - kept.y0 : box.y1 - kept.y0, box.x0 - kept.x0 : box.x1 - kept.x0]
        own = self.box
        wide = PixelBox(
            min(own.x0 - MARGIN_PX, box.x0),
            max(own.x1 + MARGIN_PX, box.x1),
            min(own.y0 - MARGIN_PX, box.y0),
            max(own.y1 + MARGIN_PX, box.y1),
        ).clip(self.record.nx, self.record.ny)
        if wide is None or wide.pixels * abs(self.record.bitpix) // 8 > KEPT_BYTES:
            return self._read(box)
        self._kept.clear()
        self._kept[wide] = self._read(wide)
        return self._read_kept(box)

    def _read(self, box: PixelBox) -> Pixels:
        frame = Frame.of(self.record)
        stored = np.empty(frame.shape(1, box.height, box.width), DTYPES[self.record.bitpix])
        with open_reader(self.record, box, self.file) as reader:
            reader.read(Strip(self.plane, self.plane + 1, box.y0, box.y1), stored)
        return stored[0, :, self.between, :, self.within]

    def blank(self) -> int | None:
        """BLANK, if the pixels are integers and have one."""
        return self.record.blank if self.record.bitpix > 0 else None


def _holds(outer: PixelBox, inner: PixelBox) -> bool:
    return outer.x0 <= inner.x0 and inner.x1 <= outer.x1 and outer.y0 <= inner.y0 and inner.y1 <= outer.y1


@dataclass(frozen=True, slots=True)
class Asinh:
    """Pixels on an asinh scale: value = `boffset` + 2 `bsoften` sinh(stored / (2.5 / ln 10))."""

    boffset: float
    bsoften: float

    def linear(self, pixels: Pixels) -> Pixels:
        """Return the pixels on a linear scale."""
        a = 2.5 / math.log(10.0)
        return np.asarray(self.boffset + 2.0 * self.bsoften * np.sinh(pixels.astype(np.float64) / a))


@dataclass(frozen=True, slots=True)
class OpenPiece:
    """A piece of a mosaic, its files open.

    Parameters
    ----------
    piece, number
        Which.
    image, weight, mask
        Its layers, as far as they are needed.
    dtype
        float32 or float64: what its pixels are read as.
    nodata, meaning, asinh
        As the survey declares them.
    offset
        Added to its pixels, once they are scaled.
    """

    piece: Piece
    number: int
    image: Plane
    weight: Plane | None
    mask: Plane | None
    dtype: np.dtype[Any]
    nodata: Nodata
    meaning: WeightMeaning
    asinh: Asinh | None
    offset: float = 0.0

    @property
    def record(self) -> ImageRecord:
        """Of its image."""
        return self.image.record

    def stored(self, box: PixelBox) -> tuple[Pixels, NDArray[np.bool_]]:
        """Pixels as they are stored, in native byte order, and which of them have data."""
        stored = self._guarded(self.image, box)
        native = stored.astype(stored.dtype.newbyteorder("="))
        return native, self._valid(box, native)

    def _valid(self, box: PixelBox, stored: Pixels) -> NDArray[np.bool_]:
        record = self.record
        valid = np.isfinite(stored) if record.bitpix < 0 else np.ones(stored.shape, bool)
        if (blank := self.image.blank()) is not None:
            valid &= stored != blank
        if self.nodata.value is not None and not math.isnan(self.nodata.value):
            valid &= stored != (self.nodata.value - record.bzero) / record.bscale
        if self.nodata.weight_zero and self.weight is not None:
            valid &= self._numbers(self.weight, box, np.dtype(np.float64)) > 0
        if self.nodata.mask_bits and self.mask is not None:
            valid &= (self._integers(box) & self.nodata.mask_bits) == 0
        return valid

    def pixels(self, box: PixelBox, blocks: Blocks = SINGLE) -> Pixels:
        """Physical pixels, scaled and offset, NaN without data; `box` is counted in blocks."""
        if blocks.single:
            return self._pixels(box)
        out = np.empty((box.height, box.width), self.dtype)
        for part, inside in self._chunks(box, blocks):
            block_mean(self._pixels(inside), blocks.width, blocks.height, out[part])
        return out

    def _pixels(self, box: PixelBox) -> Pixels:
        record = self.record
        stored = self._guarded(self.image, box)
        pixels = np.ascontiguousarray(stored, self.dtype)
        if self._is_plain():
            return pixels
        valid = self._valid(box, stored)
        if (record.bscale, record.bzero) != (1.0, 0.0):
            pixels = pixels * self.dtype.type(record.bscale) + self.dtype.type(record.bzero)
        if self.asinh is not None:
            pixels = self.asinh.linear(pixels).astype(self.dtype)
        if self.piece.scale != 1.0:
            pixels *= self.dtype.type(self.piece.scale)
        if self.offset:
            pixels += self.dtype.type(self.offset)
        pixels[~valid] = np.nan
        return pixels

    def _is_plain(self) -> bool:
        """Whether physical pixels are the stored ones."""
        record, nodata = self.record, self.nodata
        return (
            record.bitpix < 0
            and (record.bscale, record.bzero) == (1.0, 0.0)
            and (nodata.value is None or math.isnan(nodata.value))
            and not (nodata.weight_zero or nodata.mask_bits or self.asinh)
            and self.piece.scale == 1.0
            and not self.offset
        )

    def weights(self, box: PixelBox) -> Pixels:
        """Pixels of the weight, as it is declared, brought to the scale of the first piece; float32."""
        weights = self._numbers(self._has(self.weight), box, np.dtype(np.float64))
        scale = self.piece.scale
        factor = {"variance": scale**2, "stddev": abs(scale)}.get(self.meaning, scale**-2)
        return (weights * factor).astype(np.float32)

    def variances(self, box: PixelBox, blocks: Blocks = SINGLE) -> Pixels:
        """Variances of `pixels`, NaN where these have no data or none is known."""
        if blocks.single:
            return self._variances(box)
        out = np.empty((box.height, box.width), self.dtype)
        for part, inside in self._chunks(box, blocks):
            block_variance(self._variances(inside), blocks.width, blocks.height, out[part])
        return out

    def _variances(self, box: PixelBox) -> Pixels:
        variances = variance_of(self.weights(box).astype(self.dtype), self.meaning)
        variances[~np.isfinite(self._pixels(box))] = np.nan
        return variances

    def bits(self, box: PixelBox, blocks: Blocks = SINGLE) -> NDArray[np.int64]:
        """Pixels of the mask."""
        if blocks.single:
            return self._integers(box)
        out = np.empty((box.height, box.width), np.int64)
        for part, inside in self._chunks(box, blocks):
            block_or(self._integers(inside), blocks.width, blocks.height, out[part])
        return out

    def _chunks(self, box: PixelBox, blocks: Blocks) -> Iterator[tuple[slice, PixelBox]]:
        """Cut a box of blocks in rows of them, and say which pixels these have."""
        nx, ny = self.record.nx, self.record.ny
        x0, x1 = box.x0 * blocks.width, min(box.x1 * blocks.width, nx)
        rows = max(1, CHUNK_PIXELS // ((x1 - x0) * blocks.height))
        for row in range(box.y0, box.y1, rows):
            end = min(row + rows, box.y1)
            inside = PixelBox(x0, x1, row * blocks.height, min(end * blocks.height, ny))
            yield slice(row - box.y0, end - box.y0), inside

    def _integers(self, box: PixelBox) -> NDArray[np.int64]:
        mask = self._has(self.mask)
        return self._guarded(mask, box).astype(np.int64) + int(mask.record.bzero)

    def _has(self, plane: Plane | None) -> Plane:
        if plane is None:
            raise ValueError(f"{self.record.dataset} has no such layer")
        return plane

    def _numbers(self, plane: Plane, box: PixelBox, dtype: np.dtype[Any]) -> Pixels:
        stored = self._guarded(plane, box)
        numbers = np.ascontiguousarray(stored, dtype) * plane.record.bscale + plane.record.bzero
        if (blank := plane.blank()) is not None:
            numbers[stored == blank] = np.nan
        return np.asarray(numbers)

    def _guarded(self, plane: Plane, box: PixelBox) -> Pixels:
        try:
            return plane.read(box)
        except (BrokenImage, StaleImage) as error:
            error.dataset = plane.record.dataset
            raise


def variance_of(weights: Pixels, meaning: WeightMeaning) -> Pixels:
    """Variances that weights stand for; NaN where they stand for none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if meaning == "variance":
            variances = weights.copy()
        elif meaning == "stddev":
            variances = weights * weights
        else:
            variances = np.where(weights > 0, 1 / weights, np.nan).astype(weights.dtype)
        variances[~(variances >= 0)] = np.nan
    return variances


def weight_of(values: Pixels, meaning: WeightMeaning, is_variance: bool) -> Pixels:
    """Weights as a survey declares its own, out of them or of variances.

    Without data (NaN) they are 0, or NaN where 0 would mean that there is no noise.
    """
    if meaning == "variance":
        return values
    if meaning == "stddev":
        return np.sqrt(values) if is_variance else values
    with np.errstate(divide="ignore"):
        weights = 1 / values if is_variance else values.copy()
    weights[~np.isfinite(weights)] = 0
    return np.asarray(weights)


def open_piece(
    piece: Piece,
    number: int,
    catalog: Catalog,
    source: Source,
    generation: int,
    dtype: np.dtype[Any],
    layers: Mapping[str, bool],
) -> OpenPiece:
    """Open the files of a piece.

    Parameters
    ----------
    piece, number
        Which, and its place in the plan.
    catalog, source, generation
        Where it is found.
    dtype
        What its pixels are read as.
    layers
        Whether the weight and the mask are needed for more than to tell pixels without data.

    Raises
    ------
    StaleImage, BrokenImage
        With the attribute `dataset`.
    """
    record = record_of(piece, catalog, generation)
    survey = catalog.survey(record.survey)
    nodata = survey.band(record.band).nodata or Nodata(value=record.nodata)
    wanted = {"weight": layers.get("weight", False) or nodata.weight_zero}
    wanted["mask"] = layers.get("mask", False) or bool(nodata.mask_bits)
    planes: dict[str, Plane] = {}
    for companion in piece.companions:
        if wanted.get(companion.role):
            layer = _companion(companion.dataset, catalog, generation)
            facts = (companion.file_size, companion.mtime_ns)
            planes[companion.role] = _open(layer, facts, piece, catalog, source)
            if (layer.nx, layer.ny) != (record.nx, record.ny):
                raise _named(
                    BrokenImage(f"{layer.file.name} has not the size of {record.file.name}"), layer.dataset
                )
    weights = survey.layer("weight")
    return OpenPiece(
        piece,
        number,
        _open(record, (piece.file_size, piece.mtime_ns), piece, catalog, source),
        planes.get("weight"),
        planes.get("mask"),
        dtype,
        nodata,
        (weights.weight if weights else None) or "relative",
        _asinh_of(record, survey, catalog),
    )


def record_of(piece: Piece, catalog: Catalog, generation: int) -> ImageRecord:
    """Record of the image of a piece.

    Raises
    ------
    StaleImage
        It is no longer in the index, or was indexed again.
    """
    try:
        if piece.dataset.count("/") > 2:
            return _companion(piece.dataset, catalog, generation)
        return catalog.artifact(piece.artifact_id)
    except StaleImage as error:
        raise _named(error, piece.dataset) from None


def _companion(dataset: str, catalog: Catalog, generation: int) -> ImageRecord:
    try:
        return catalog.record(dataset, generation)
    except UnknownDataset as gone:
        raise _named(StaleImage(f"{dataset} is no longer in the index"), dataset) from gone


def _open(
    record: ImageRecord, facts: tuple[int, int], piece: Piece, catalog: Catalog, source: Source
) -> Plane:
    try:
        if (record.file.size, record.file.mtime_ns) != facts:
            raise StaleImage(f"{record.file.name} was indexed again since the cutout was planned.")
        file = source.open(catalog.place(record), *facts, resolve=lambda: catalog.path(record))
    except (BrokenImage, StaleImage) as error:
        raise _named(error, record.dataset) from error.__cause__
    return Plane.of(record, file, piece)


def _named(error: SurveyError, dataset: str) -> SurveyError:
    if isinstance(error, BrokenImage | StaleImage):
        error.dataset = dataset
    return error


def _asinh_of(record: ImageRecord, survey: Survey, catalog: Catalog) -> Asinh | None:
    if survey.linearise != "asinh" or record.role != "image":
        return None
    text = catalog.header_text(record)
    values = []
    for keyword in ("BOFFSET", "BSOFTEN"):
        cards = (text[i : i + 80] for i in range(0, len(text), 80))
        card = next((card for card in cards if card[:8].strip() == keyword), "")
        try:
            values.append(float(card[10:].partition("/")[0].replace("D", "E")))
        except ValueError:
            raise _named(
                BrokenImage(f"{record.file.name} has no card {keyword}, which its asinh scale needs."),
                record.dataset,
            ) from None
    return Asinh(*values)
