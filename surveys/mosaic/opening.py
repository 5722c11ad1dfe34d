"""The files of pieces, found and opened as they were when the plan was made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from surveys.errors import BrokenImage, StaleImage, SurveyError, UnknownDataset
from surveys.fits.source import OpenFile, Source
from surveys.identifiers import is_layer
from surveys.image import ImageRecord
from surveys.mosaic.planes import KeptWindows, Plane
from surveys.mosaic.reading import Asinh, OpenPiece
from surveys.plan import Piece
from surveys.survey import Nodata, Survey


class Catalog(Protocol):
    """What mosaics need of the image index."""

    #: Folder of the overviews of images.
    overviews: Path | None

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


def open_piece(
    piece: Piece,
    number: int,
    catalog: Catalog,
    source: Source,
    generation: int,
    dtype: np.dtype[Any],
    layers: Mapping[str, bool],
    kept: KeptWindows,
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
    kept
        Windows of all pieces that are read together.

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
            planes[companion.role] = _open(layer, facts, piece, catalog, source, kept)
            if (layer.nx, layer.ny) != (record.nx, record.ny):
                raise _named(
                    BrokenImage(f"{layer.file.name} has not the size of {record.file.name}"), layer.dataset
                )
    weights = survey.layer("weight")
    return OpenPiece(
        piece,
        number,
        _open(record, (piece.file_size, piece.mtime_ns), piece, catalog, source, kept),
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
        if is_layer(piece.dataset):
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
    record: ImageRecord,
    facts: tuple[int, int],
    piece: Piece,
    catalog: Catalog,
    source: Source,
    kept: KeptWindows,
) -> Plane:
    place = catalog.place(record)

    def open_file() -> OpenFile:
        return source.open(place, *facts, resolve=lambda: catalog.path(record))

    try:
        if (record.file.size, record.file.mtime_ns) != facts:
            raise StaleImage(f"{record.file.name} was indexed again since the cutout was planned.")
        open_file()  # what is wrong with it is known before a pixel is read
    except (BrokenImage, StaleImage) as error:
        raise _named(error, record.dataset) from error.__cause__
    return Plane.of(record, open_file, piece, kept)


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
