"""Execute a plan: the one way to make a cutout.

Small products are made at once, so that whatever is wrong with a file is known before the first byte is
sent. Large ones are streamed in strips: once over the pixels for what the header says of them, if it says
anything, and once to send them. The file is checked before either.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Protocol

import numpy as np

from surveys.errors import StaleImage, UnknownDataset
from surveys.fits.checksum import Checksum
from surveys.fits.cut import Pixels, open_reader
from surveys.fits.product import DEFAULT_SITE, Product, Site, describe_plan
from surveys.fits.source import OpenFile, Source
from surveys.identifiers import is_layer
from surveys.image import ImageRecord
from surveys.plan import CutoutPlan, Piece

MEDIA_TYPE = "application/fits"

#: Products up to this size are made in one piece of memory.
IN_MEMORY_BYTES = 32 << 20

#: Memory of a strip, small enough for the processor's cache.
STRIP_BYTES = 512 << 10

#: Size of the chunks a product in memory is sent in.
CHUNK_BYTES = 1 << 20


class Catalog(Protocol):
    """What the execution of a plan needs of the image index."""

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
class CutoutResult:
    """A cutout to send or to store.

    Parameters
    ----------
    product
        What it is.
    make
        Yields its bytes.
    """

    product: Product
    make: Callable[[], Iterator[bytes]]
    media_type: str = MEDIA_TYPE

    @property
    def file_name(self) -> str:
        """Name to save it under, without any folder."""
        return self.product.file_name

    @property
    def size(self) -> int:
        """Bytes of all chunks together."""
        return self.product.size

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes, header first, in pieces of bounded size.

        Raises
        ------
        StaleImage, BrokenImage
            While a large product is sent, if its file is changed or fails meanwhile.
        """
        return self.make()

    def tobytes(self) -> bytes:
        """All of it."""
        chunks = list(self.chunks())
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def describe_cutout(plan: CutoutPlan, catalog: Catalog, site: Site = DEFAULT_SITE) -> Product:
    """Return name and size of the cutout of a plan; opens no file.

    Raises
    ------
    StaleImage
        The image was indexed again since the plan was made.
    """
    (piece,) = plan.pieces
    record = record_of(piece, plan.generation, catalog)
    if (record.file.size, record.file.mtime_ns) != (piece.file_size, piece.mtime_ns):
        raise StaleImage(f"{record.file.name} was indexed again since the cutout was planned.")
    return describe_plan(plan, record, catalog, site)


def record_of(piece: Piece, generation: int, catalog: Catalog) -> ImageRecord:
    """Record of what a piece of a plan is cut from.

    Raises
    ------
    StaleImage
        It is no longer in the index.
    """
    if not is_layer(piece.dataset):
        return catalog.artifact(piece.artifact_id)
    # A layer has the sky, time and band of its image, to which no row of the index leads from it.
    try:
        return catalog.record(piece.dataset, generation)
    except UnknownDataset as gone:
        raise StaleImage(f"{piece.dataset} is no longer in the index") from gone


def product_size(plan: CutoutPlan, catalog: Catalog, site: Site = DEFAULT_SITE) -> int:
    """Bytes of the cutout of a plan; opens no file."""
    return describe_cutout(plan, catalog, site).size


def execute(plan: CutoutPlan, catalog: Catalog, source: Source, site: Site = DEFAULT_SITE) -> CutoutResult:
    """Make the cutout of a plan of one piece.

    Raises
    ------
    StaleImage
        The file, or its record, is not the one that was planned with.
    BrokenImage
        The file is gone, or cannot be read.
    """
    product = describe_cutout(plan, catalog, site)
    record = product.record
    place = catalog.place(record)

    def open_file() -> OpenFile:
        return source.open(
            place, record.file.size, record.file.mtime_ns, resolve=lambda: catalog.path(record)
        )

    if product.size <= IN_MEMORY_BYTES:
        content = _make(product, open_file())
        return CutoutResult(product, lambda: _in_chunks(content))
    header = _survey(product, open_file())
    return CutoutResult(product, lambda: _stream(product, header, open_file()))


def _make(product: Product, file: OpenFile) -> bytes:
    """Return the whole product."""
    # The bytes of a BytesIO can be filled in place, and taken out without a copy.
    memory = BytesIO(bytes(product.size))
    buffer = np.frombuffer(memory.getbuffer(), np.uint8)
    start, end = product.header_size, product.header_size + product.data_size
    frame, grid = product.frame, product.grid
    pixels = buffer[start:end].view(product.dtype)
    pixels = pixels.reshape(frame.shape(frame.planes, grid.height, grid.width))
    valid = 0 if product.must_count else product.pixels
    with open_reader(product.record, product.inside, file, product.cut.ranges) as reader:
        for strip in product.strips(STRIP_BYTES):
            part = pixels[strip.plane0 : strip.plane1, strip.y0 - grid.y0 : strip.y1 - grid.y0]
            product.fill(reader, strip, part)
            if product.must_count:
                valid += product.count_valid(part)
    total = Checksum()
    if product.request.checksum:
        total.add(buffer[start : start + product.unit_size])
    if product.tables:
        buffer[start + product.unit_size :] = np.frombuffer(product.tables, np.uint8)
    buffer[:start] = np.frombuffer(product.header(valid, total.value), np.uint8)
    return memory.getvalue()


def _in_chunks(content: bytes) -> Iterator[bytes]:
    for start in range(0, len(content), CHUNK_BYTES):
        yield content[start : start + CHUNK_BYTES]  # all of it, not a copy, where it is short


def _survey(product: Product, file: OpenFile) -> bytes:
    """Return the header of a large product; the pixels are looked at only for what it says of them."""
    valid = 0 if product.must_count else product.pixels
    total = Checksum()
    if product.must_count or product.request.checksum:
        for part in _parts(product, file):
            if product.must_count:
                valid += product.count_valid(part)
            if product.request.checksum:
                total.add(part.reshape(-1).view(np.uint8))
    return product.header(valid, total.value)


def _stream(product: Product, header: bytes, file: OpenFile) -> Iterator[bytes]:
    yield header
    for part in _parts(product, file):
        yield part.tobytes()
    yield bytes(product.unit_size - product.data_size) + product.tables


def _parts(product: Product, file: OpenFile) -> Iterator[Pixels]:
    """Yield the pixels of a product strip by strip, all in the same memory."""
    frame, grid = product.frame, product.grid
    memory = np.empty(0, product.dtype)
    with open_reader(product.record, product.inside, file, product.cut.ranges) as reader:
        for strip in product.strips(STRIP_BYTES):
            shape = frame.shape(strip.plane1 - strip.plane0, strip.y1 - strip.y0, grid.width)
            count = math.prod(shape)
            if memory.size < count:
                memory = np.empty(count, product.dtype)
            part = memory[:count].reshape(shape)
            product.fill(reader, strip, part)
            yield part
