"""Overviews: images made smaller by whole factors when they are indexed, for pictures of much sky.

Each is a plain FITS file of 32-bit floats, the physical values of the image averaged in squares, NaN where
less than half of a square has data. They serve pictures alone: what FITS files hold comes from the images'
own pixels.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Protocol, cast

import numpy as np
from astropy.io import fits

from surveys.errors import BrokenImage, RequestFault, StaleImage
from surveys.fits.source import OpenFile, Source
from surveys.image import FileFacts, ImageRecord
from surveys.mosaic.opening import Catalog, open_piece
from surveys.mosaic.planes import KeptWindows, Plane
from surveys.mosaic.reading import Blocks, OpenPiece, Overview
from surveys.plan import Companion, Piece
from surveys.sky.pixels import PixelBox
from surveys.survey import Nodata, Role, Survey

#: Of the header of an overview: one block of FITS.
HEADER_BYTES = 2880
#: Rows of blocks made at once take about so much memory.
STRIP_BYTES = 32 << 20
#: Images looked up at once.
AT_ONCE = 500

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class OverviewReport:
    """What became of the overviews of a survey: files made, kept and removed, and images that failed."""

    made: int
    kept: int
    removed: int
    failed: tuple[str, ...]


class Index(Catalog, Protocol):
    """What overviews need of the image index."""

    def datasets(self, survey: str, generation: int) -> list[str]:
        """List the identifiers of every image of a survey."""

    def companions_of(
        self, images: Sequence[ImageRecord], generation: int
    ) -> dict[int, dict[str, ImageRecord]]:
        """Weight, mask and psf of images of one survey, where there are any: by artifact, then by role."""


def images_of(survey: Survey, index: Index) -> Iterator[tuple[ImageRecord, tuple[Companion, ...]]]:
    """Go through all images of a survey, each with the layers that tell which of its pixels have data."""
    generation = index.generation(survey.name)
    datasets = iter(index.datasets(survey.name, generation))
    while some := list(islice(datasets, AT_ONCE)):
        images = [index.record(dataset, generation) for dataset in some]
        layers = index.companions_of(images, generation)
        for image in images:
            nodata = survey.band(image.band).nodata or Nodata()
            needed = {"weight": nodata.weight_zero, "mask": bool(nodata.mask_bits)}
            found = layers[image.artifact_id].items()
            yield image, tuple(companion_of(layer) for role, layer in found if needed.get(role))


def companion_of(layer: ImageRecord) -> Companion:
    """Return a layer as a plan names it."""
    return Companion(cast(Role, layer.role), layer.dataset, layer.file.size, layer.file.mtime_ns)


class Overviews:
    """Overviews of the images of all surveys, below one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, record: ImageRecord, factor: int) -> Path:
        """Where an overview of an image lies, as that was when it was indexed; the file need not be there."""
        facts: list[object] = [record.file.path, record.hdu, record.file.size, record.file.mtime_ns]
        facts += [record.bscale, record.bzero, record.blank, record.nodata]
        name = hashlib.blake2b(repr(facts).encode(), digest_size=12).hexdigest()
        return self._folder / record.survey / name[:2] / f"{name}-{factor}.fits"

    def add_to(self, piece: OpenPiece, factors: Iterable[int], source: Source) -> OpenPiece:
        """Give a piece the overviews of its image that are there."""
        found = [self._open(piece.record, factor, source) for factor in sorted(factors, reverse=True)]
        return replace(piece, overviews=tuple(overview for overview in found if overview is not None))

    def _open(self, image: ImageRecord, factor: int, source: Source) -> Overview | None:
        path = self.path(image, factor)
        try:
            stat = path.stat()
            source.open(path, stat.st_size, stat.st_mtime_ns)
        except (OSError, StaleImage, BrokenImage):
            return None
        nx, ny = Blocks(factor, factor).size(image.nx, image.ny)
        record = replace(
            image,
            file=FileFacts(path.name, stat.st_size, stat.st_mtime_ns),
            storage="plain",
            data_offset=HEADER_BYTES,
            shape=(ny, nx),
            x_axis=0,
            y_axis=1,
            bitpix=-32,
            bscale=1.0,
            bzero=0.0,
            blank=None,
            nodata=None,
            ztiles=None,
        )
        if stat.st_size != HEADER_BYTES + -(-4 * nx * ny // HEADER_BYTES) * HEADER_BYTES:
            return None

        def open_file() -> OpenFile:
            return source.open(path, stat.st_size, stat.st_mtime_ns)

        return Overview(factor, Plane(record, open_file, PixelBox(0, nx, 0, ny)))

    def make(
        self,
        survey: Survey,
        images: Iterable[tuple[ImageRecord, tuple[Companion, ...]]],
        catalog: Catalog,
        source: Source,
        *,
        threads: int = 1,
        progress: Progress | None = None,
    ) -> OverviewReport:
        """Make the overviews of a survey that are missing, and remove those that no image has any more.

        Parameters
        ----------
        survey
            Its `overviews` are the factors.
        images
            All its images, with the layers that tell which of their pixels have data.
        catalog, source
            Where they are found.
        threads
            How many images are read at once.
        progress
            Called with the number of images done and of all.
        """
        wanted, todo = set(), []
        for image, companions in images:
            paths = [self.path(image, factor) for factor in survey.overviews]
            wanted.update(paths)
            if not all(path.exists() for path in paths):
                todo.append((image, companions))
        failed: list[str] = []
        generation = catalog.generation(survey.name)

        def make_one(image: ImageRecord, companions: tuple[Companion, ...]) -> str | None:
            try:
                self._make(survey, image, companions, catalog, source, generation)
            except (BrokenImage, StaleImage, RequestFault) as fault:
                return f"{image.dataset}: {fault}"
            return None

        with ThreadPoolExecutor(threads, "overviews") as pool:
            for done, fault in enumerate(pool.map(lambda one: make_one(*one), todo), start=1):
                failed += [fault] if fault else []
                if progress is not None:
                    progress(done, len(todo))
        unwanted = [path for path in self._files(survey) if path not in wanted]
        for path in unwanted:
            path.unlink(missing_ok=True)
        made = sum(path.exists() for path in wanted)
        new = (len(todo) - len(failed)) * len(survey.overviews)
        return OverviewReport(new, made - new, len(unwanted), tuple(failed))

    def _files(self, survey: Survey) -> Iterator[Path]:
        return (self._folder / survey.name).glob("*/*.fits")

    def _make(
        self,
        survey: Survey,
        image: ImageRecord,
        companions: tuple[Companion, ...],
        catalog: Catalog,
        source: Source,
        generation: int,
    ) -> None:
        """Make all overviews of one image, the smaller ones of the larger ones."""
        whole = PixelBox(0, image.nx, 0, image.ny)
        stamp = (image.artifact_id, image.dataset, image.file.size, image.file.mtime_ns)
        piece = Piece(*stamp, whole, companions=companions)
        opened = open_piece(piece, 0, catalog, source, generation, np.dtype(np.float32), {}, KeptWindows())
        opened = replace(opened, shown=True)  # they serve pictures alone
        for factor in sorted(survey.overviews):
            path = self.path(image, factor)
            if not path.exists():
                _write(path, opened, factor)
            opened = self.add_to(opened, [f for f in survey.overviews if f <= factor], source)


def _write(path: Path, piece: OpenPiece, factor: int) -> None:
    """Write an overview, which appears when it is whole."""
    blocks = Blocks(factor, factor)
    nx, ny = blocks.size(piece.record.nx, piece.record.ny)
    rows = max(1, STRIP_BYTES // (4 * nx))
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
        part = Path(file.name)
        try:
            file.write(_header(nx, ny, piece.record, factor))
            for y0 in range(0, ny, rows):
                strip = piece.pixels(PixelBox(0, nx, y0, min(y0 + rows, ny)), blocks)
                file.write(strip.astype(">f4").tobytes())
            file.write(bytes(-4 * nx * ny % HEADER_BYTES))
        except BaseException:
            part.unlink()
            raise
    os.chmod(part, 0o644)
    part.replace(path)


def _header(nx: int, ny: int, image: ImageRecord, factor: int) -> bytes:
    header = fits.Header()
    header["SIMPLE"], header["BITPIX"], header["NAXIS"] = True, -32, 2
    header["NAXIS1"], header["NAXIS2"] = nx, ny
    header["BLOCK"] = (factor, "pixels of the image along each side of one")
    header["ORIG_FLE"], header["ORIG_EXT"] = image.file.name[:60], image.hdu
    text: str = header.tostring()
    return text.encode("ascii")
