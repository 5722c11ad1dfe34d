"""Pieces onto one grid: the pixels of one part of a plan, in strips of bounded memory.

A strip is made band by band, each band by one thread, out of the windows of the pieces that reach it. What
comes out depends neither on strips nor on threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from surveys.errors import RequestFault
from surveys.fits.source import Source
from surveys.mosaic.background import is_matched, match_backgrounds
from surveys.mosaic.bands import Band, Layers, MosaicPiece
from surveys.mosaic.grid import OutputGrid
from surveys.mosaic.opening import Catalog, open_piece, record_of
from surveys.mosaic.overviews import Overviews
from surveys.mosaic.pasting import PastedPiece
from surveys.mosaic.pixeltype import PixelType, pixel_type
from surveys.mosaic.planes import KeptWindows
from surveys.mosaic.reading import OpenPiece, weight_of
from surveys.mosaic.reprojected import ReprojectedPiece
from surveys.mosaic.resampling import ResampledPiece
from surveys.plan import Part
from surveys.request import CutoutRequest
from surveys.sky.overlap import inside_mask
from surveys.sky.pixels import PixelBox
from surveys.sky.stencil import CenteredBox
from surveys.survey import Survey, WeightMeaning

Pixels = NDArray[Any]

#: Gives memory for pixels, of a shape and a type.
Room = Callable[[tuple[int, int], np.dtype[Any]], Pixels]

#: Output pixels a thread makes at once, and the fewest rows of them.
BAND_PIXELS = 1 << 18
BAND_ROWS = 32
#: Bytes a pixel of a band takes beside the product: keys, winners, and what a piece gives to an average.
SCRATCH_BYTES = 24


@dataclass(frozen=True, slots=True)
class Input:
    """What one piece gave to a composition.

    Parameters
    ----------
    dataset
        What follows ``?`` in its identifier.
    scale, offset
        Pixels were multiplied by `scale`, then `offset` was added.
    mjd
        Beginning of its exposure (UTC); None where it is not known.
    fraction
        Part of the output's pixels, 0 to 1, that it gave, or gave to.
    """

    dataset: str
    scale: float
    offset: float
    mjd: float | None
    fraction: float


@dataclass(frozen=True, slots=True)
class ComposedStrip:
    """Rows ``y0 .. y1`` (half-open) of a composition, each array (rows, width)."""

    y0: int
    y1: int
    image: Pixels
    weight: Pixels | None = None
    mask: Pixels | None = None


@dataclass(frozen=True, slots=True)
class Composed:
    """A whole composition; see `Composition` for what its attributes mean."""

    image: Pixels
    weight: Pixels | None
    mask: Pixels | None
    covered: int
    inputs: tuple[Input, ...]
    promoted: str | None


class Composition:
    """The pixels of one part of a plan. Files are opened on entry of the context.

    Parameters
    ----------
    part, request
        Of a plan.
    catalog, source
        Where its images are found.
    threads
        How many work at once.
    layers
        What is made: ``image``, and ``weight`` and ``mask`` where the pieces have such companions.
    generation
        Of the survey's index the plan was made with; None for the one that counts now.
    means
        Whether output pixels that are larger than those of the images have the mean over their area: the
        negative parts of a kernel draw dark rings about stars.

    Attributes
    ----------
    shape
        (height, width).
    dtype
        Of the image, native: float32 or float64, or the integers' own where they are pasted as stored.
    stored
        Whether pixels are integers as stored, with BSCALE, BZERO and BLANK of the first piece.
    promoted
        Says that integers were made into floats and why; None where they were not.
    meaning
        Of the weight: invvar, variance, stddev or relative.
    flux
        Whether values were multiplied by the ratio of the pixels' areas.
    matched
        Whether backgrounds were matched.
    covered
        Output pixels with data; known after the last strip.
    inputs
        One for each piece, in their order; known after the last strip.

    Raises
    ------
    StaleImage, BrokenImage
        When an image is no longer in the index, on entry when its file has changed or is gone, and from
        `strips` when it cannot be read; `dataset` of the error names it.
    RequestFault
        If the pieces cannot be combined as the request has it.
    """

    def __init__(
        self,
        part: Part,
        request: CutoutRequest,
        catalog: Catalog,
        source: Source,
        threads: int = 1,
        layers: Sequence[str] = ("image",),
        generation: int | None = None,
        means: bool = False,
    ) -> None:
        self._part, self._request, self._catalog, self._source = part, request, catalog, source
        self._threads, self._means = threads, means
        survey_name = part.pieces[0].dataset.partition("/")[0]
        self._survey: Survey = catalog.survey(survey_name)
        self._generation = catalog.generation(self._survey.name) if generation is None else generation
        self._records = [record_of(piece, catalog, self._generation) for piece in part.pieces]
        kind: PixelType = pixel_type(part, request, self._records, self._survey)
        self._fill = kind.fill
        self.shape = (part.grid.box.height, part.grid.box.width)
        self.dtype, self.stored, self.promoted = kind.dtype, kind.stored, kind.promoted
        weights = self._survey.layer("weight")
        self.meaning: WeightMeaning = (weights.weight if weights else None) or "relative"
        self.flux = is_flux(part, request, self._survey)
        self.matched = is_matched(part, request, self._survey)
        roles = [{companion.role for companion in piece.companions} for piece in part.pieces]
        self._weighted = len(part.pieces) > 1 and request.mosaic.combine == "weighted"
        self._averaged = self._weighted or (len(part.pieces) > 1 and request.mosaic.combine == "mean")
        if self._weighted and not all("weight" in has for has in roles):
            raise RequestFault(
                f"COMBINE=weighted needs the weights of all images, which {self._survey.name} does not have: "
                "use mean or first"
            )
        self._layers = Layers(
            "weight" in layers and all("weight" in has for has in roles),
            "mask" in layers and all("mask" in has for has in roles),
        )
        self._pieces: list[MosaicPiece] = []
        self._gained = np.zeros(len(part.pieces), np.int64)
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None
        self.covered = 0
        self.inputs: tuple[Input, ...] = ()

    def __enter__(self) -> Self:
        part = self._part
        kept = KeptWindows()
        needed = {"weight": self._layers.weight or self._weighted, "mask": self._layers.mask}
        opened = [
            open_piece(
                piece, i, self._catalog, self._source, self._generation, self._working_type(), needed, kept
            )
            for i, piece in enumerate(part.pieces)
        ]
        if self._request.picture is not None:
            opened = [replace(piece, shown=True) for piece in opened]
        if self._request.picture is not None and self._survey.overviews and self._catalog.overviews:
            overviews = Overviews(self._catalog.overviews)
            opened = [overviews.add_to(piece, self._survey.overviews, self._source) for piece in opened]
        if self.matched:
            offsets = match_backgrounds(opened)
            opened = [replace(piece, offset=offset) for piece, offset in zip(opened, offsets, strict=True)]
        self._grid = OutputGrid.of(part.grid, self._records[0])
        self._pieces = [self._placed(piece) for piece in opened]
        if self._threads > 1:
            self._executor = ThreadPoolExecutor(self._threads, "mosaic")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End its threads; files are the source's."""
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)
        self._pieces = []

    def _working_type(self) -> np.dtype[Any]:
        return np.dtype(np.float64) if self.stored or self.dtype == np.float64 else np.dtype(np.float32)

    def _placed(self, piece: OpenPiece) -> MosaicPiece:
        first = self._request.mosaic.combine == "first"
        if self._part.method == "resample":
            kernel = self._request.mosaic.resample
            if kernel not in ("lanczos3", "bilinear"):
                return ReprojectedPiece(piece, self._grid, kernel, self.flux, ranked=first)
            return ResampledPiece(piece, self._grid, kernel, self.flux, ranked=first, mean=self._means)
        return PastedPiece(piece, self._grid, self._part, self._records[0], self.stored, ranked=first)

    def strips(self, limit_bytes: int, room: Room = np.empty) -> Iterator[ComposedStrip]:
        """Yield the rows from the first one on.

        Parameters
        ----------
        limit_bytes
            Memory of a strip with what is needed to make it, windows of the images apart; at least a row
            is made.
        room
            Gives the memory of the image of a strip, which is not used any more once it is yielded.
        """
        height, width = self.shape
        pixel = self.dtype.itemsize + 4 * self._layers.weight + 8 * self._layers.mask + SCRATCH_BYTES
        rows = max(1, limit_bytes // (pixel * width))
        self._begin()
        for y0 in range(0, height, rows):
            y1 = min(y0 + rows, height)
            strip = self._new_strip(y0, y1, room)
            self._make(strip)
            yield strip
        self._end()

    def whole(self) -> ComposedStrip:
        """All rows at once."""
        self._begin()
        strip = self._new_strip(0, self.shape[0])
        self._make(strip)
        self._end()
        return strip

    def _begin(self) -> None:
        self._gained[:] = 0
        self.covered = 0

    def _end(self) -> None:
        total = self.shape[0] * self.shape[1]
        self.inputs = tuple(
            Input(
                placed.piece.piece.dataset,
                placed.piece.piece.scale,
                placed.piece.offset,
                placed.piece.record.t_min_mjd,
                int(count) / total,
            )
            for placed, count in zip(self._pieces, self._gained, strict=True)
        )

    def _new_strip(self, y0: int, y1: int, room: Room = np.empty) -> ComposedStrip:
        shape = (y1 - y0, self.shape[1])
        return ComposedStrip(
            y0,
            y1,
            room(shape, self.dtype),
            np.empty(shape, np.float32) if self._layers.weight else None,
            np.empty(shape, self.mask_dtype) if self._layers.mask else None,
        )

    @property
    def mask_dtype(self) -> np.dtype[Any]:
        """Of the mask: integers that hold all its bits."""
        records = [
            self._catalog.record(companion.dataset, self._generation)
            for piece in self._part.pieces
            for companion in piece.companions
            if companion.role == "mask"
        ]
        widest = max(
            (record.bitpix if not record.bzero else 2 * record.bitpix for record in records), default=32
        )
        return np.dtype({8: np.uint8, 16: np.int16, 32: np.int32}.get(widest, np.int64))

    def _make(self, strip: ComposedStrip) -> None:
        """Fill a strip, band by band."""
        width = self.shape[1]
        rows = max(BAND_ROWS, BAND_PIXELS // width)
        if self._threads > 1:  # no thread without work
            rows = max(BAND_ROWS, min(rows, -(-(strip.y1 - strip.y0) // self._threads)))
        starts = range(strip.y0, strip.y1, rows)
        if self._executor is None or len(starts) == 1:
            for y0 in starts:
                self._make_band(strip, y0, min(y0 + rows, strip.y1))
            return
        done = [self._executor.submit(self._make_band, strip, y0, min(y0 + rows, strip.y1)) for y0 in starts]
        try:
            for future in done:
                future.result()
        finally:
            for future in done:
                future.cancel()

    def _make_band(self, strip: ComposedStrip, y0: int, y1: int) -> None:
        at = slice(y0 - strip.y0, y1 - strip.y0)
        band = Band.new(y0, strip.image[at], self._fill, self._layers, len(self._pieces))
        outside = self._outside(band) if self._request.mask else None
        if self._averaged:
            band.average(self._pieces, self._weighted, outside)
        else:
            for piece in self._pieces:
                piece.give(band)
            if outside is not None:
                band.blank(outside, self._fill)
        gained, covered = band.counts()
        if strip.weight is not None and band.weight is not None:
            band.weight[band.winner < 0] = np.nan
            strip.weight[at] = weight_of(band.weight, self.meaning, band.is_variance)
        if strip.mask is not None and band.mask is not None:
            band.mask[band.winner < 0] = nodata_bits(self._survey, self._part.band)
            strip.mask[at] = band.mask
        with self._lock:
            self._gained += gained
            self.covered += covered

    def _outside(self, band: Band) -> NDArray[np.bool_] | None:
        """Which pixels of a band have centres outside of the region; None if there can be none."""
        stencil = self._request.stencil
        if stencil is None or isinstance(stencil, CenteredBox):
            return None
        height, width = band.image.shape
        grid = self._grid
        box = PixelBox(grid.x0, grid.x0 + width, grid.y0 + band.y0, grid.y0 + band.y0 + height)
        return ~inside_mask(stencil, grid.wcs, box)


def is_flux(part: Part, request: CutoutRequest, survey: Survey) -> bool:
    """Whether pixel values grow with the area of a pixel; those of pictures do not, so that levels hold."""
    if part.method != "resample" or request.picture is not None:
        return False
    if request.mosaic.flux == "auto":
        return survey.band(part.band).pixel_value == "flux"
    return request.mosaic.flux == "flux"


def nodata_bits(survey: Survey, label: str) -> int:
    """Bits of a mask that stand for no data: as declared for the band, else by its name, else 0."""
    nodata = survey.band(label).nodata
    if nodata is not None and nodata.mask_bits:
        return nodata.mask_bits
    layer = survey.layer("mask")
    named = layer.bits.items() if layer is not None else ()
    return sum(1 << bit for name, bit in named if name.upper().replace("_", "") in ("NODATA", "NODAT"))


def compose(
    part: Part,
    request: CutoutRequest,
    catalog: Catalog,
    source: Source,
    threads: int = 1,
    layers: Sequence[str] = ("image",),
    generation: int | None = None,
    means: bool = False,
) -> Composed:
    """Make the pixels of a part of a plan, all in memory.

    Parameters and errors are those of `Composition`.
    """
    with Composition(part, request, catalog, source, threads, layers, generation, means) as composition:
        made = composition.whole()
        return Composed(
            made.image, made.weight, made.mask, composition.covered, composition.inputs, composition.promoted
        )
