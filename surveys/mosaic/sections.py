"""The parts of a product's file: HDUs that are made together, headers and sizes known before a pixel is.

`Copied` is an image as it is stored, with its layers; `Composite` is an image, or a cube of several, put
together out of pieces.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from surveys.errors import BrokenImage, StaleImage
from surveys.fits.checksum import Checksum
from surveys.fits.cut import open_reader
from surveys.fits.hdus import HduHeader, padded
from surveys.fits.header import Value
from surveys.fits.out import Out
from surveys.fits.product import Product
from surveys.fits.source import OpenFile, Source
from surveys.image import ImageRecord
from surveys.mosaic.compose import ComposedStrip, Composition, Input
from surveys.mosaic.header import FRAC_OK, SATURATE, MosaicFacts
from surveys.mosaic.opening import Catalog

#: Memory of a strip of stored pixels, small enough for the processor's cache.
COPY_BYTES = 512 << 10
#: Memory of a strip that is composed, with what that takes: enough work for all threads.
STRIP_BYTES = 48 << 20


@dataclass(frozen=True, slots=True)
class Tools:
    """What products are made with: the index, the files, and how many threads."""

    catalog: Catalog
    source: Source
    threads: int = 1

    def open(self, record: ImageRecord) -> OpenFile:
        """Open the file of an image, which must be the one that was indexed."""
        catalog, file = self.catalog, record.file
        return self.source.open(
            catalog.place(record), file.size, file.mtime_ns, resolve=lambda: catalog.path(record)
        )


@dataclass(frozen=True, slots=True)
class Hdu:
    """An HDU but for its pixels: its header, bytes of its data without padding, and its pixels' type."""

    header: HduHeader
    data_size: int = 0
    dtype: np.dtype[Any] = field(default_factory=lambda: np.dtype(np.uint8))

    @property
    def size(self) -> int:
        """Bytes of all of it."""
        return self.header.size + padded(self.data_size)


@dataclass(slots=True)
class Writing:
    """An HDU whose pixels are being written, row by row."""

    hdu: Hdu
    offset: int
    out: Out
    written: int = 0
    total: Checksum = field(default_factory=Checksum)

    def room(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Memory for the next pixels: if it can be, the very place where they will stand."""
        same = dtype == self.hdu.dtype.newbyteorder("=")
        room = self.out.room(self._end, shape, self.hdu.dtype) if same else None
        return np.empty(shape, dtype) if room is None else room

    def put(self, pixels: NDArray[Any]) -> None:
        """Write the next pixels."""
        data = self.out.put(self._end, pixels, self.hdu.dtype)
        self.written += data.size
        if self.hdu.header.has_checksum:
            self.total.add(data)

    @property
    def _end(self) -> int:
        return self.offset + self.hdu.header.size + self.written

    def close(self, values: Mapping[str, Value]) -> None:
        """Write the header, now that all is known."""
        self.out.write(self.offset, self.hdu.header.write(values, self.total.value))


@dataclass(frozen=True, slots=True)
class Made:
    """What became of a section.

    Parameters
    ----------
    covered, pixels
        Pixels of its images (not of other layers) with data, and all of them.
    inputs
        What each piece gave.
    """

    covered: int
    pixels: int
    inputs: tuple[Input, ...]


class Section(Protocol):
    """HDUs that are made together."""

    @property
    def size(self) -> int:
        """Bytes of all of them."""

    @property
    def remarks(self) -> Sequence[str]:
        """What was done to pixel values that is not asked for."""

    def make(self, out: Out, offset: int, tools: Tools) -> Made:
        """Write them, from `offset` on.

        Raises
        ------
        StaleImage, BrokenImage
            If a file is not the one that was indexed, or cannot be read; `dataset` names it.
        """


def writings(hdus: Sequence[Hdu], out: Out, offset: int) -> Iterator[Writing]:
    """Give each HDU its place, one after the other."""
    for hdu in hdus:
        yield Writing(hdu, offset, out)
        offset += hdu.size


@dataclass(frozen=True, slots=True)
class Copied:
    """An image as it is stored, and layers of it.

    Parameters
    ----------
    products, headers
        Of the image, then of its layers: pixels, and headers as they are in this file.
    """

    products: tuple[Product, ...]
    headers: tuple[HduHeader, ...]

    @property
    def size(self) -> int:
        """Bytes of all of it: the image, its layers, and the tables that belong to the axes of a cube."""
        return sum(hdu.size for hdu in self._hdus) + len(self.products[0].tables)

    @property
    def remarks(self) -> Sequence[str]:
        """Whether integers of the image were made into floats."""
        return self.products[0].remarks

    @property
    def _hdus(self) -> Sequence[Hdu]:
        return [
            Hdu(header, product.data_size, product.dtype)
            for product, header in zip(self.products, self.headers, strict=True)
        ]

    def make(self, out: Out, offset: int, tools: Tools) -> Made:
        """Copy them."""
        counts = []
        for product, writing in zip(self.products, writings(self._hdus, out, offset), strict=True):
            valid = 0 if product.must_count else product.pixels
            with named(product.record):
                for part in _copied(product, tools.open(product.record)):
                    writing.put(part)
                    if product.must_count:
                        valid += product.count_valid(part)
            writing.close({FRAC_OK: valid / product.pixels})
            counts.append(valid)
        image = self.products[0]
        out.write(offset + self.size - len(image.tables), image.tables)
        given = Input(image.record.dataset, 1.0, 0.0, image.record.t_min_mjd, counts[0] / image.pixels)
        return Made(counts[0], image.pixels, (given,))


def _copied(product: Product, file: OpenFile) -> Iterator[NDArray[Any]]:
    """Yield the pixels of a product strip by strip."""
    with open_reader(product.record, product.inside, file, product.cut.ranges) as reader:
        for strip in product.strips(COPY_BYTES):
            shape = product.frame.shape(strip.plane1 - strip.plane0, strip.y1 - strip.y0, product.grid.width)
            part = np.empty(shape, product.dtype)
            product.fill(reader, strip, part)
            yield part


@dataclass(frozen=True, slots=True)
class Composite:
    """An image put together out of pieces, or a cube of several, with their weights and masks.

    Parameters
    ----------
    planes
        What it is made of: one image, or the planes of a cube.
    image, weight, mask
        HDUs; None where there is none.
    copied
        Layers of the first image that are copied: its point spread function.
    """

    planes: tuple[MosaicFacts, ...]
    image: Hdu
    weight: Hdu | None = None
    mask: Hdu | None = None
    copied: Copied | None = None

    @property
    def size(self) -> int:
        """Bytes of the image, its weight, its mask, and what is copied."""
        return sum(hdu.size for hdu in self._made) + (self.copied.size if self.copied else 0)

    @property
    def remarks(self) -> Sequence[str]:
        """Why integers were made into floats, if they were."""
        return [facts.composition.promoted for facts in self.planes if facts.composition.promoted]

    @property
    def _made(self) -> list[Hdu]:
        return [hdu for hdu in (self.image, self.weight, self.mask) if hdu is not None]

    def make(self, out: Out, offset: int, tools: Tools) -> Made:
        """Compose it, strip by strip."""
        places = list(writings(self._made, out, offset))
        image, *layers = places
        weight = layers.pop(0) if self.weight is not None else None
        mask = layers.pop(0) if self.mask is not None else None
        covered, pixels, levels = 0, 0, []
        inputs: list[Input] = []
        for facts in self.planes:
            with _composition(facts, tools, weight is not None, mask is not None) as composition:
                for strip in composition.strips(STRIP_BYTES, image.room):
                    _put(strip, facts, image, weight, mask)
            covered += composition.covered
            pixels += math.prod(composition.shape)
            levels.append(facts.saturation(composition.inputs))
            inputs += composition.inputs
        values: dict[str, Value] = {FRAC_OK: covered / pixels}
        known = [level for level in levels if level is not None]
        if known:
            values[SATURATE] = min(known)
        for writing in places:
            writing.close(values)
        if self.copied is not None:
            self.copied.make(out, offset + sum(hdu.size for hdu in self._made), tools)
        return Made(covered, pixels, tuple(inputs))


def _composition(facts: MosaicFacts, tools: Tools, weight: bool, mask: bool) -> Composition:
    """Return the composition of a part, to be opened."""
    layers = ["image", *(["weight"] if weight else []), *(["mask"] if mask else [])]
    return Composition(
        facts.part,
        facts.request,
        tools.catalog,
        tools.source,
        tools.threads,
        layers,
        facts.generation,
    )


def _put(
    strip: ComposedStrip, facts: MosaicFacts, image: Writing, weight: Writing | None, mask: Writing | None
) -> None:
    """Write a strip to the HDUs there are."""
    pixels = strip.image
    if facts.composition.stored and image.hdu.dtype.kind == "f":
        # Another plane of the cube has no such integers.
        pixels = physical(pixels, facts.reference)
    image.put(pixels)
    for writing, layer in ((weight, strip.weight), (mask, strip.mask)):
        if writing is not None and layer is not None:
            writing.put(layer)


def physical(stored: NDArray[Any], record: ImageRecord) -> NDArray[np.float64]:
    """Values of integers as an image stores them, NaN for BLANK."""
    values = stored * np.float64(record.bscale) + np.float64(record.bzero)
    if record.blank is not None:
        values[stored == record.blank] = np.nan
    return np.asarray(values)


@contextmanager
def named(record: ImageRecord) -> Iterator[None]:
    """Let an error of a file say which image it is."""
    try:
        yield
    except (StaleImage, BrokenImage) as error:
        error.dataset = error.dataset or record.dataset
        raise
