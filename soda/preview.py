"""Previews of whole images: one identifier in, a picture out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from dali.errors import AuthorizationError, NotFound, ServerError, UsageError
from dali.parameters import Parameters, refuse_unknown
from soda.gate import PixelGate
from surveys.errors import BrokenImage, StaleImage, UnknownDataset
from surveys.fits.source import Source
from surveys.identifiers import Identifiers
from surveys.image import ImageRecord
from surveys.index.catalog import Catalog
from surveys.planner import is_public
from surveys.preview import make_preview
from surveys.survey import Survey

#: A change of the drawing changes every ETag.
DRAWING = 1


@dataclass(frozen=True, slots=True)
class Preview:
    """An image to be drawn, and how its picture is told from others."""

    record: ImageRecord
    etag: str
    modified_s: float


class PreviewService:
    """Draws images.

    Parameters
    ----------
    catalog, source
        The image index, and the files.
    identifiers
        Publisher DIDs of this service.
    gate
        Bounds the requests that work on pixels at a time.
    can_read
        Whether the caller may read a survey.
    """

    def __init__(
        self,
        catalog: Catalog,
        source: Source,
        identifiers: Identifiers,
        gate: PixelGate,
        can_read: Callable[[Survey], bool] = is_public,
    ) -> None:
        self._catalog = catalog
        self._source = source
        self._identifiers = identifiers
        self._gate = gate
        self._can_read = can_read

    def find(self, parameters: Parameters) -> Preview:
        """Find the image, without reading a pixel.

        Raises
        ------
        UsageError, NotFound, AuthorizationError
            If there is none to draw.
        """
        faults = refuse_unknown(parameters, frozenset({"ID"}), ("ID",))
        if faults:
            raise faults[0]
        did = parameters.one("ID")
        if did is None:
            raise UsageError("ID is missing", f"Write ID={self._identifiers.did('survey/band/image')}.")
        try:
            dataset = self._identifiers.parse(did)
            survey = self._catalog.survey(dataset.partition("/")[0])
            if not self._can_read(survey):
                raise AuthorizationError(f"the survey {survey.name} is not open to you")
            if dataset.count("/") < 2:
                raise UsageError(f"{dataset} is no image, and only images have previews", "Name an image.")
            record = self._catalog.record(dataset, self._catalog.generation(survey.name))
        except UnknownDataset as fault:
            raise NotFound(
                str(fault), f"IDs here are {self._identifiers.did('survey/band/image')}."
            ) from fault
        file = record.file
        facts = (DRAWING, record.artifact_id, file.size, file.mtime_ns, record.indexed_at, record.nodata)
        etag = hashlib.blake2b(repr(facts).encode(), digest_size=16).hexdigest()
        return Preview(record, etag, max(file.mtime_ns / 1e9, record.indexed_at.timestamp()))

    def draw(self, preview: Preview) -> bytes:
        """Draw the picture; PNG.

        Raises
        ------
        ServiceUnavailable
            If too many requests work on pixels.
        ServerError
            If its file is broken, or is not the one that was indexed.
        """
        record = preview.record
        with self._gate.admit():
            try:
                path = self._catalog.path(record)
                file = self._source.open(path, record.file.size, record.file.mtime_ns)
                return make_preview(record, file)
            except (BrokenImage, StaleImage) as fault:
                raise ServerError(
                    f"the image {record.dataset} cannot be read at the moment",
                    "Please report the request id to this service.",
                ) from fault
