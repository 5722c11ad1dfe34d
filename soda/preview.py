"""Previews of whole images: one identifier in, a picture out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from dali.caller import ANONYMOUS, Caller
from dali.errors import NotFound, ServerError, UsageError
from dali.parameters import Parameters, refuse_unknown
from soda.engine import Engine
from soda.gate import PixelGate
from soda.refusals import refusal
from surveys.errors import AccessDenied, BrokenImage, StaleImage, UnknownDataset
from surveys.image import ImageRecord
from surveys.planner import check_access
from surveys.preview import MEDIA_TYPE, make_preview

#: A change of the drawing changes every ETag.
DRAWING = 1


@dataclass(frozen=True, slots=True)
class Preview:
    """An image to be drawn, how its picture is told from others, and whether caches of others may keep it."""

    record: ImageRecord
    etag: str
    modified_s: float
    is_public: bool


class PreviewService:
    """Draws images.

    Parameters
    ----------
    engine
        Knows the images.
    gate
        Bounds the requests that work on pixels at a time.
    """

    def __init__(self, engine: Engine, gate: PixelGate) -> None:
        self._engine = engine
        self._catalog = engine.catalog
        self._identifiers = engine.identifiers
        self._gate = gate

    def of_stamps(self, parameters: Parameters) -> Parameters | None:
        """Give the request for the same of `/sync`, where alerts are named; None where none are.

        Raises
        ------
        UsageError
            If there is more than an ID.
        """
        _expect_id_alone(parameters)
        try:
            dataset = self._identifiers.parse(parameters.one("ID") or "")
            survey = self._catalog.survey(dataset.partition("/")[0])
        except UnknownDataset:
            return None
        if survey.lake is None:
            return None
        return Parameters({"ID": parameters.all("ID"), "RESPONSEFORMAT": (MEDIA_TYPE,)})

    def find(self, parameters: Parameters, caller: Caller = ANONYMOUS) -> Preview:
        """Find the image, without reading a pixel.

        Raises
        ------
        UsageError, NotFound, AuthorizationError
            If there is none to draw.
        """
        _expect_id_alone(parameters)
        did = parameters.one("ID")
        if did is None:
            raise UsageError("ID is missing", f"Write ID={self._identifiers.did('survey/band/image')}.")
        try:
            dataset = self._identifiers.parse(did)
            survey = self._catalog.survey(dataset.partition("/")[0])
            check_access(dataset, survey, self._engine.asked_by(caller).reader)
            if dataset.count("/") < 2:
                raise UsageError(f"{dataset} is no image, and only images have previews", "Name an image.")
            record = self._catalog.record(dataset, self._catalog.generation(survey.name))
        except AccessDenied as fault:
            raise refusal(fault, self._identifiers) from fault
        except UnknownDataset as fault:
            raise NotFound(
                str(fault), f"IDs here are {self._identifiers.did('survey/band/image')}."
            ) from fault
        file = record.file
        facts = (DRAWING, record.artifact_id, file.size, file.mtime_ns, record.indexed_at, record.nodata)
        etag = hashlib.blake2b(repr(facts).encode(), digest_size=16).hexdigest()
        modified_s = max(file.mtime_ns / 1e9, record.indexed_at.timestamp())
        return Preview(record, etag, modified_s, survey.is_public)

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
                file = self._engine.source.open(path, record.file.size, record.file.mtime_ns)
                return make_preview(record, file)
            except (BrokenImage, StaleImage) as fault:
                raise ServerError(
                    f"the image {record.dataset} cannot be read at the moment",
                    "Please report the request id to this service.",
                ) from fault


def _expect_id_alone(parameters: Parameters) -> None:
    if faults := refuse_unknown(parameters, frozenset({"ID"}), ("ID",)):
        raise faults[0]
