"""Execute a plan: the one way to make a cutout.

Small products are made at once, so that whatever is wrong with a file is known before the first byte is
sent. A large one of one image as it is stored is streamed in strips: once over the pixels for what the header
says of them, if it says anything, and once to send them; the file is checked before either. Any other large
product, which takes longer to make than to send, is made into a temporary file first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from surveys.errors import StaleImage, UnknownDataset
from surveys.fits.checksum import Checksum
from surveys.fits.cut import Pixels, open_reader
from surveys.fits.out import open_out
from surveys.fits.product import DEFAULT_SITE, Product, Site, describe_plan
from surveys.fits.source import OpenFile, Source
from surveys.identifiers import is_layer
from surveys.image import ImageRecord
from surveys.plan import CutoutPlan, Described, Piece

if TYPE_CHECKING:
    from surveys.alerts.reading import StampCatalog

    # It brings numba, which is imported only where pixels are put together.
    from surveys.picture.product import PictureCatalog as Catalog

MEDIA_TYPE = "application/fits"

#: Products up to this size are made in one piece of memory.
IN_MEMORY_BYTES = 32 << 20

#: Memory of a strip, small enough for the processor's cache.
STRIP_BYTES = 512 << 10

#: Size of the chunks a product in a file is sent in; what is in memory is sent as it is.
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Workshop:
    """What the making of a cutout may use.

    Parameters
    ----------
    threads
        That put one mosaic together.
    folder
        For the temporary files of large products; None for that of the system.
    """

    threads: int = 1
    folder: Path | None = None


WORKSHOP = Workshop()


@dataclass(frozen=True, slots=True)
class CutoutFacts:
    """What a client is told beside the cutout; worked out when it is asked for.

    Parameters
    ----------
    plan
        Of the cutout.
    covered
        Share of its pixels that have data; None before it is made.
    found
        What describing or making it has shown, a sentence each.
    recipe
        Of a picture: by what it was made, with all numbers; "" before it is made.
    beyond
        What became of a region beyond a stamp, which shows when it is made.
    """

    plan: CutoutPlan
    covered: float | None = None
    found: tuple[str, ...] = ()
    recipe: str = ""
    beyond: Literal["", "clipped", "padded"] = ""

    @property
    def clipped(self) -> bool:
        """Whether the region reaches beyond the data."""
        return self.plan.clipped or self.beyond != ""

    @property
    def padded(self) -> bool:
        """Whether pixels that no image has stand in the product."""
        return self.plan.padded or self.beyond == "padded"

    @property
    def resampled(self) -> bool:
        """Whether pixel values are interpolated."""
        return self.plan.resampled

    @property
    def inputs(self) -> int:
        """Number of images, or of alerts, it is made of."""
        return len(self.plan.pieces) or len(self.plan.stamps)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What else should be known of it, a sentence each."""
        return (*self.plan.remarks, *self.found)


@dataclass(frozen=True, slots=True)
class CutoutResult:
    """A cutout to send or to store.

    Parameters
    ----------
    product
        What it is.
    make
        Yields its bytes.
    size
        Bytes of all chunks together.
    facts
        What else is to be told of it.
    media_type
        Of its bytes.
    gzip
        The same bytes gzipped, where they are stored so.
    """

    product: Described
    make: Callable[[], Iterator[bytes]]
    size: int
    facts: CutoutFacts
    media_type: str = MEDIA_TYPE
    gzip: bytes | None = None

    @property
    def file_name(self) -> str:
        """Name to save it under, without any folder."""
        return self.product.file_name

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes, header first: in one piece what is in memory, else in pieces of bounded size.

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


def describe_cutout(plan: CutoutPlan, catalog: Catalog, site: Site = DEFAULT_SITE) -> Described:
    """Return name and size of the cutout of a plan; opens no file.

    Raises
    ------
    StaleImage
        An image was indexed again since the plan was made.
    RequestFault
        Images cannot be put together as the request has it.
    """
    if plan.stamps:
        from surveys.alerts.product import describe_stamps

        return describe_stamps(plan, cast("StampCatalog", catalog), site)
    if plan.is_plain:
        return _describe_plain(plan, catalog, site)
    if plan.request.picture is not None:
        from surveys.picture.product import describe_picture

        return describe_picture(plan, catalog, site)
    from surveys.mosaic.product import describe_file

    return describe_file(plan, catalog, site)


def _describe_plain(plan: CutoutPlan, catalog: Catalog, site: Site) -> Product:
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


def product_size(plan: CutoutPlan, catalog: Catalog, site: Site = DEFAULT_SITE) -> int | None:
    """Bytes of the cutout of a plan, None where only making it can tell; opens no file."""
    return describe_cutout(plan, catalog, site).size


def execute(
    plan: CutoutPlan,
    catalog: Catalog,
    source: Source,
    site: Site = DEFAULT_SITE,
    workshop: Workshop = WORKSHOP,
) -> CutoutResult:
    """Make the cutout of a plan.

    Parameters
    ----------
    plan
        Not empty.
    catalog, source
        The image index, and the files.
    site
        Who makes the product.
    workshop
        What it may use: threads, and a folder for large products.

    Raises
    ------
    StaleImage
        A file, or its record, is not the one that was planned with.
    BrokenImage
        A file is gone, or cannot be read. Where there are several, `dataset` of the error names it.
    RequestFault
        Images cannot be put together as the request has it.
    NoRoom
        There is no room for a large product while it is made.
    """
    if plan.is_empty:
        raise ValueError("an empty plan makes no cutout")
    if plan.stamps:
        return _stamp(plan, catalog, site)
    if plan.is_plain:
        return _copy(plan, catalog, source, site)
    if plan.request.picture is not None:
        return _draw(plan, catalog, source, site, workshop)
    return _compose(plan, catalog, source, site, workshop)


def _copy(plan: CutoutPlan, catalog: Catalog, source: Source, site: Site) -> CutoutResult:
    """Make the cutout of one image as it is stored."""
    product = _describe_plain(plan, catalog, site)
    record = product.record
    place = catalog.place(record)

    def open_file() -> OpenFile:
        return source.open(
            place, record.file.size, record.file.mtime_ns, resolve=lambda: catalog.path(record)
        )

    if product.size <= IN_MEMORY_BYTES:
        content, valid = _make(product, open_file())
        facts = CutoutFacts(plan, valid / product.pixels, product.remarks)
        return CutoutResult(product, lambda: iter((content,)), product.size, facts)
    header, valid = _survey(product, open_file())
    facts = CutoutFacts(plan, valid / product.pixels, product.remarks)
    return CutoutResult(product, lambda: _stream(product, header, open_file()), product.size, facts)


def _compose(
    plan: CutoutPlan, catalog: Catalog, source: Source, site: Site, workshop: Workshop
) -> CutoutResult:
    """Make a FITS file of several images, or of pixels that are put together."""
    from surveys.mosaic.product import describe_file
    from surveys.mosaic.sections import Tools

    product = describe_file(plan, catalog, site)
    out = open_out(product.size, IN_MEMORY_BYTES, workshop.folder)
    covered = product.make(out, Tools(catalog, source, workshop.threads))
    return CutoutResult(
        product, lambda: out.chunks(CHUNK_BYTES), product.size, CutoutFacts(plan, covered, product.remarks)
    )


def _draw(plan: CutoutPlan, catalog: Catalog, source: Source, site: Site, workshop: Workshop) -> CutoutResult:
    """Make a picture."""
    from surveys.picture.product import describe_picture

    product = describe_picture(plan, catalog, site)
    picture = product.make(catalog, source, workshop.threads)
    missing = tuple(f"there are no data in the band {band}" for band in picture.missing)
    facts = CutoutFacts(plan, picture.covered, missing, picture.recipe)
    content = picture.content
    return CutoutResult(product, lambda: iter((content,)), len(content), facts, picture.media_type)


def _stamp(plan: CutoutPlan, catalog: Catalog, site: Site) -> CutoutResult:
    """Make a product of stamps of alerts."""
    from surveys.alerts.product import describe_stamps

    stamps = cast("StampCatalog", catalog)
    product = describe_stamps(plan, stamps, site)
    made = product.make(stamps)
    facts = CutoutFacts(plan, made.covered, made.remarks, made.recipe, made.beyond)
    content = made.content
    return CutoutResult(product, lambda: iter((content,)), len(content), facts, made.media_type, made.gzip)


def _make(product: Product, file: OpenFile) -> tuple[bytes, int]:
    """Return the whole product, and how many of its pixels hold data."""
    # The bytes of a BytesIO can be filled in place, and taken out without a copy.
    memory = BytesIO(bytes(product.size))
    valid = _make_into(memory.getbuffer(), product, file)
    return memory.getvalue(), valid


def _make_into(buffer: memoryview, product: Product, file: OpenFile) -> int:
    """Write the whole product, and return how many of its pixels hold data."""
    start, frame, grid = product.header_size, product.frame, product.grid
    shape = frame.shape(frame.planes, grid.height, grid.width)
    pixels: Pixels = np.ndarray(shape, product.dtype, buffer, start)
    valid = 0 if product.must_count else product.pixels
    with open_reader(product.record, product.inside, file, product.cut.ranges) as reader:
        for strip in product.strips(STRIP_BYTES):
            part = pixels[strip.plane0 : strip.plane1, strip.y0 - grid.y0 : strip.y1 - grid.y0]
            product.fill(reader, strip, part)
            if product.must_count:
                valid += product.count_valid(part)
    data_sum = 0
    if product.request.checksum:
        total = Checksum()
        total.add(np.frombuffer(buffer, np.uint8, product.unit_size, start))
        data_sum = total.value
    if product.tables:
        buffer[start + product.unit_size :] = product.tables
    buffer[:start] = product.header(valid, data_sum)
    return valid


def _survey(product: Product, file: OpenFile) -> tuple[bytes, int]:
    """Return the header of a large product, and how many of its pixels hold data.

    The pixels are looked at only for what the header says of them.
    """
    valid = 0 if product.must_count else product.pixels
    total = Checksum()
    if product.must_count or product.request.checksum:
        for part in _parts(product, file):
            if product.must_count:
                valid += product.count_valid(part)
            if product.request.checksum:
                total.add(part.reshape(-1).view(np.uint8))
    return product.header(valid, total.value), valid


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
