"""Windows of images as physical numbers, NaN without data, averaged in blocks where that is asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from surveys.errors import BrokenImage, StaleImage
from surveys.image import ImageRecord
from surveys.kernels.area import block_mean, block_or, block_variance
from surveys.mosaic.planes import Plane
from surveys.plan import Piece
from surveys.sky.pixels import PixelBox
from surveys.survey import Nodata, WeightMeaning

Pixels = NDArray[Any]

#: Pixels read at once where they are averaged.
CHUNK_PIXELS = 1 << 20


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
class Asinh:
    """Pixels on an asinh scale: value = `boffset` + 2 `bsoften` sinh(stored / (2.5 / ln 10))."""

    boffset: float
    bsoften: float

    def linear(self, pixels: Pixels) -> Pixels:
        """Return the pixels on a linear scale; infinite where that is more than their type holds."""
        a = 2.5 / math.log(10.0)
        with np.errstate(over="ignore"):  # such pixels count as none
            linear = self.boffset + 2.0 * self.bsoften * np.sinh(pixels.astype(np.float64) / a)
            return np.asarray(linear.astype(pixels.dtype))


@dataclass(frozen=True, slots=True)
class Overview:
    """An image made smaller when it was indexed: `factor` by `factor` of its physical pixels are one."""

    factor: int
    plane: Plane


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
    overviews
        May be read instead of its pixels where these are averaged; the smallest first.
    shown
        Whether it is for a picture, which shows what pixels of weight 0 hold, if that is not 0: cores of
        stars that saturated have a weight of 0 in many surveys, and would be holes.
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
    overviews: tuple[Overview, ...] = ()
    shown: bool = False

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
            known = self._numbers(self.weight, box, np.dtype(np.float64)) > 0
            valid &= known | (stored != -record.bzero / record.bscale) if self.shown else known
        if self.nodata.mask_bits and self.mask is not None:
            valid &= (self._integers(box) & self.nodata.mask_bits) == 0
        return valid

    def pixels(self, box: PixelBox, blocks: Blocks = SINGLE) -> Pixels:
        """Physical pixels, scaled and offset, NaN without data; `box` is counted in blocks."""
        if blocks.single:
            return self._pixels(box)
        for overview in self.overviews:
            if blocks.width % overview.factor == 0 == blocks.height % overview.factor:
                return self._from_overview(box, blocks, overview)
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
            pixels = self.asinh.linear(pixels)
        if self.piece.scale != 1.0:
            pixels *= self.dtype.type(self.piece.scale)
        if self.offset:
            pixels += self.dtype.type(self.offset)
        pixels[~valid] = np.nan
        return pixels

    def blocks(self, width: float, height: float, count: int = 1) -> Blocks:
        """Blocks to average for output pixels of so many pixels, `count` along each or more.

        Where an overview can be read, they are its own, or made of them, even if these are fewer.
        """
        # The last digits of a scale must not decide.
        across, up = (max(1, math.floor(size + 1e-3)) for size in (width, height))
        for overview in self.overviews:
            if min(across, up) >= overview.factor:
                return Blocks(
                    *(overview.factor * max(1, n // overview.factor // count) for n in (across, up))
                )
        return Blocks(max(1, across // count), max(1, up // count))

    def _from_overview(self, box: PixelBox, blocks: Blocks, overview: Overview) -> Pixels:
        width, height = blocks.width // overview.factor, blocks.height // overview.factor
        record = overview.plane.record
        inside = PixelBox(box.x0 * width, box.x1 * width, box.y0 * height, box.y1 * height)
        inside = inside.clip(record.nx, record.ny) or inside
        small = np.ascontiguousarray(self._guarded(overview.plane, inside), self.dtype)
        out = np.empty((box.height, box.width), self.dtype)
        block_mean(small, width, height, out)
        out *= self.dtype.type(self.piece.scale)
        out += self.dtype.type(self.offset)
        return out

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
