"""SODA sync: parameters in, a cutout out. Knows no request and no response."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dali.errors import AuthorizationError, NotFound, ProtocolError, ServerError, UsageError
from dali.parameters import Parameters
from soda.gate import PixelGate
from soda.params import SodaRequest, parse_request
from surveys.errors import AccessDenied, BrokenImage, RequestFault, SeveralImages, StaleImage, UnknownDataset
from surveys.execute import describe_cutout, execute, record_of
from surveys.identifiers import Identifiers
from surveys.index.catalog import Catalog
from surveys.plan import CutoutPlan
from surveys.planner import Limits, is_public, plan_cutout
from surveys.product import Site
from surveys.source import Source
from surveys.survey import Survey

#: So many IDs are named where a region needs several images.
NAMED_IMAGES = 8


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, what it comes to, and how its answer is told from others.

    Parameters
    ----------
    request
        What was asked.
    plan
        What would be done; no pieces where nothing overlaps.
    etag
        Strong: the same for the same bytes; "" for an empty plan.
    modified_s
        When the data, or their index, last changed, seconds since 1970.
    """

    request: SodaRequest
    plan: CutoutPlan
    etag: str
    modified_s: float

    @property
    def is_empty(self) -> bool:
        """Whether the filters select no pixel (section 5.1)."""
        return not self.plan.pieces


@dataclass(frozen=True, slots=True)
class Sent:
    """A cutout on its way: its name, its size, and its bytes, the first of them already made.

    `chunks` is None where only the headers were asked for.
    """

    asked: Asked
    file_name: str
    size: int
    chunks: Iterator[bytes] | None = None


class SyncService:
    """Answers SODA sync requests.

    Parameters
    ----------
    catalog, source
        The image index, and the files.
    identifiers
        Publisher DIDs of this service.
    limits
        The largest cutout one request may make.
    gate
        Bounds the requests that work on pixels at a time.
    site
        Who makes the products.
    can_read
        Whether the caller may read a survey.
    """

    def __init__(
        self,
        catalog: Catalog,
        source: Source,
        identifiers: Identifiers,
        limits: Limits,
        gate: PixelGate,
        site: Site,
        can_read: Callable[[Survey], bool] = is_public,
    ) -> None:
        self._catalog = catalog
        self._source = source
        self._identifiers = identifiers
        self._limits = limits
        self._gate = gate
        self._site = site
        self._made_by = repr(site)
        self._can_read = can_read

    def ask(self, parameters: Parameters) -> Asked:
        """Decide what a request comes to, without reading a pixel.

        Raises
        ------
        UsageError, NotFound, AuthorizationError
            If it cannot be answered.
        """
        return self._plan(parse_request(parameters, self._identifiers))

    def describe(self, asked: Asked) -> Sent:
        """Tell name and size of a cutout, without reading a pixel."""
        return self._current(asked, self._describe)

    def cut(self, asked: Asked) -> Sent:
        """Make a cutout.

        Raises
        ------
        ServiceUnavailable
            If too many requests work on pixels.
        ServerError
            If its file is broken. Whatever can be known of that before the first byte, is.
        """
        return self._current(asked, self._cut)

    def _plan(self, request: SodaRequest) -> Asked:
        try:
            plan = plan_cutout(request.cutout, self._catalog, self._limits, self._can_read, self._site)
        except RequestFault as fault:
            raise self._refusal(fault) from fault
        if not plan.pieces:
            return Asked(request, plan, "", 0.0)
        records = [record_of(piece, plan.generation, self._catalog) for piece in plan.pieces]
        # What the bytes depend on: request and program, files, when they were indexed (card DATE), and what
        # the declaration says of their pixels today.
        facts: list[str | float | None] = [request.cutout.canonical, self._made_by]
        for piece, record in zip(plan.pieces, records, strict=True):
            facts += [piece.artifact_id, piece.file_size, piece.mtime_ns, record.indexed_at.timestamp()]
            facts += [record.pixel_scale_deg, record.nodata]
        etag = hashlib.blake2b(repr(facts).encode(), digest_size=16).hexdigest()
        modified_s = max(max(r.file.mtime_ns / 1e9, r.indexed_at.timestamp()) for r in records)
        return Asked(request, plan, etag, modified_s)

    def _current(self, asked: Asked, make: Callable[[Asked], Sent]) -> Sent:
        """Make something of a plan; plan again, once, if a file has changed since."""
        try:
            return make(asked)
        except StaleImage:
            self._catalog.refresh()
            asked = self._plan(asked.request)
        except BrokenImage as fault:
            raise _broken(asked) from fault
        try:
            return make(asked)
        except (StaleImage, BrokenImage) as fault:
            raise _broken(asked) from fault

    def _describe(self, asked: Asked) -> Sent:
        product = describe_cutout(asked.plan, self._catalog, self._site)
        return Sent(asked, product.file_name, product.size)

    def _cut(self, asked: Asked) -> Sent:
        with self._gate.admit():
            result = execute(asked.plan, self._catalog, self._source, self._site)
            chunks = result.chunks()
            first = next(chunks)
        return Sent(asked, result.file_name, result.size, self._stream(first, chunks, result.size))

    def _stream(self, first: bytes, rest: Iterator[bytes], size: int) -> Iterator[bytes]:
        if len(first) == size:
            return iter((first,))
        return self._stream_rest(first, rest)

    def _stream_rest(self, first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
        yield first
        while True:
            # A place in the gate is held for the pixels of a chunk, never while a slow client takes it.
            with self._gate.resume():
                chunk = next(rest, None)
            if chunk is None:
                return
            yield chunk

    def _refusal(self, fault: RequestFault) -> ProtocolError:
        match fault:
            case UnknownDataset():
                return NotFound(
                    str(fault), f"IDs here are {self._identifiers.did('survey/band/image')}, or shorter."
                )
            case AccessDenied():
                return AuthorizationError(str(fault), "Ask the people who run this service.")
            case SeveralImages():
                dids = [self._identifiers.did(dataset) for dataset in fault.datasets]
                more = f" and {len(dids) - NAMED_IMAGES} more" if len(dids) > NAMED_IMAGES else ""
                return UsageError(str(fault), f"IDs: {', '.join(dids[:NAMED_IMAGES])}{more}")
            case _:
                return UsageError(str(fault))


def _broken(asked: Asked) -> ServerError:
    dataset = asked.plan.pieces[0].dataset if asked.plan.pieces else asked.request.cutout.dataset
    return ServerError(
        f"the image {dataset} cannot be read at the moment", "Please report the request id to this service."
    )
