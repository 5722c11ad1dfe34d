"""SODA sync: parameters in, a cutout out. Knows no request and no response."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace

from dali.errors import ProtocolError, ServiceUnavailable, UsageError
from dali.parameters import Parameters
from soda.engine import Engine
from soda.gate import PixelGate, Turns
from soda.heavier import RETRY_AFTER_S, SOMEBODY, Client, Heavier, job_request
from soda.making import with_current
from soda.params import SodaRequest, parse_request
from soda.refusals import NO_ROOM, out_of_reach, refusal
from soda.speed import Speeds
from soda.spelling import canonical_query
from soda.table import ARRAY, FITS, PICTURE_TYPES
from soda.validators import of_images, of_stamps
from surveys.errors import BrokenImage, NoOverlap, NoRoom, RequestFault, SeveralImages, StaleImage, TooLarge
from surveys.execute import CutoutFacts, describe_cutout, record_of
from surveys.plan import CutoutPlan
from surveys.planner import MOST_IMAGES, Limits
from surveys.survey import Survey

#: Key of the WSGI environment of a request: the cutout it is answered with (`Sent`).
SENT = "soda.sent"

#: Cutouts of plain files up to this size are light: a fraction of a millisecond, mostly to copy.
LIGHT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, what it comes to, and how its answer is told from others.

    Parameters
    ----------
    request
        What was asked.
    plan
        What would be done; empty where nothing overlaps.
    etag
        Strong: the same for the same bytes; "" for an empty plan.
    modified_s
        When the data, or their index, last changed, seconds since 1970; 0 where that is not known.
    client
        Who asked.
    is_light
        Whether its cutout is made in next to no time: a few pixels that lie plain in their file.
    is_public
        Whether it is the same for everybody, and caches of others may keep it.
    """

    request: SodaRequest
    plan: CutoutPlan
    etag: str
    modified_s: float
    client: Client = SOMEBODY
    is_light: bool = False
    is_public: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether the filters select no pixel (section 5.1)."""
        return self.plan.is_empty


@dataclass(frozen=True, slots=True)
class Sent:
    """A cutout on its way.

    Parameters
    ----------
    asked
        What it answers.
    file_name, size
        Its name, and its bytes; `size` is None where only making it can tell.
    facts
        What else is told of it.
    chunks
        Its bytes, the first of them already made; None where only the headers were asked for.
    made_here
        Whether this process makes it, and not a worker.
    turns
        How long it has worked on pixels.
    gzip
        The same bytes gzipped, where they are stored so.
    is_gzip
        Whether they go out so.
    """

    asked: Asked
    file_name: str
    size: int | None
    facts: CutoutFacts
    chunks: Iterator[bytes] | None = None
    made_here: bool = True
    turns: Turns = field(default_factory=Turns)
    gzip: bytes | None = None
    is_gzip: bool = False

    def as_stored(self) -> Sent:
        """Give it gzipped, as it is stored, if it is."""
        if self.gzip is None:
            return self
        chunks = None if self.chunks is None else iter((self.gzip,))
        return replace(self, size=len(self.gzip), chunks=chunks, is_gzip=True)


class SyncService:
    """Answers SODA sync requests.

    Parameters
    ----------
    engine
        Plans and makes cutouts.
    gate
        Bounds the requests that work on pixels at a time.
    heavier
        Makes the larger cutouts; None where all are made here.
    light_bytes
        Cutouts of plain files up to this size take no turn in the gate.
    speeds
        Tell which ones take too long, and are for jobs; None where all are made.
    """

    def __init__(
        self,
        engine: Engine,
        gate: PixelGate,
        heavier: Heavier | None = None,
        light_bytes: int = LIGHT_BYTES,
        speeds: Speeds | None = None,
    ) -> None:
        self._engine = engine
        self._catalog = engine.catalog
        self._identifiers = engine.identifiers
        self._gate = gate
        self._made_by = repr(engine.site)
        self._declared = {survey.name: repr(survey) for survey in engine.catalog.surveys if survey.lake}
        self._heavier = heavier
        self._light_bytes = light_bytes
        self._speeds = speeds

    def ask(self, parameters: Parameters, client: Client = SOMEBODY) -> Asked:
        """Decide what a request comes to, without reading a pixel.

        Raises
        ------
        UsageError, NotFound, AuthorizationError
            If it cannot be answered.
        """
        asked = self._plan(parse_request(parameters, self._identifiers), client)
        if not (asked.is_light or asked.is_empty):
            self._refuse_if_slow(asked)
        return asked

    def describe(self, asked: Asked) -> Sent:
        """Tell name and size of a cutout, without reading a pixel; a stamp is read, which alone tells."""
        if asked.plan.stamps and asked.is_light:
            return replace(self._current(asked, self._cut), chunks=None)
        return self._current(asked, self._describe)

    def cut(self, asked: Asked) -> Sent:
        """Make a cutout.

        Raises
        ------
        ServiceUnavailable
            If too many requests work on pixels, or it is for a worker and there is none.
        ServerError
            If its file is broken. Whatever can be known of that before the first byte, is.
        NoOverlap
            If the region has no pixel of a stamp, of which the plan could not tell.
        """
        if self._heavier is not None and not asked.is_light and self._is_for_a_worker(asked.plan):
            heavier = self._heavier
            return self._current(asked, lambda asked: self._have_made(asked, heavier))
        return self._current(asked, self._cut)

    def _plan(self, request: SodaRequest, client: Client) -> Asked:
        try:
            plan = self._engine.asked_by(client.caller).plan(request.cutout)
        except RequestFault as fault:
            raise self._refusal(fault, request, client) from fault
        if plan.is_empty:
            return Asked(request, plan, "", 0.0, client)
        survey = self._catalog.survey(plan.request.dataset.partition("/")[0])
        few = plan.cost.bytes_out <= self._light_bytes and not self._is_for_a_worker(plan)
        if plan.stamps:
            found = of_stamps(plan, self._declared[survey.name], self._made_by)
            is_light = few and _is_light(plan, survey)
        else:
            records = [record_of(piece, plan.generation, self._catalog) for piece in plan.pieces]
            found = of_images(plan, records, survey, self._made_by)
            is_light = few and plan.is_plain and records[0].storage == "plain"
        return Asked(request, plan, found.etag, found.modified_s, client, is_light, survey.is_public)

    def _refuse_if_slow(self, asked: Asked) -> None:
        if (speeds := self._speeds) is None:
            return
        plan = asked.plan
        records = [record_of(piece, plan.generation, self._catalog) for piece in plan.pieces]
        seconds = speeds.p90(plan, records, by_worker=self._is_for_a_worker(plan))
        if speeds.is_too_slow(seconds):
            command = job_request(self._query(asked.request), asked.client.base_url)
            raise UsageError(
                f"this cutout would take up to {math.ceil(seconds)} s; sync makes what takes up to "
                f"{speeds.max_seconds:g} s: ask for less, or for a job",
                f"To have it made by a job: {command}",
            )

    def _is_for_a_worker(self, plan: CutoutPlan) -> bool:
        return self._heavier is not None and self._heavier.takes(plan)

    def _current(self, asked: Asked, make: Callable[[Asked], Sent]) -> Sent:
        """Make something of a plan; plan again if a file has changed since."""
        try:
            return with_current(self._engine, asked, lambda: self._again(asked), make)
        except (StaleImage, BrokenImage) as fault:
            raise out_of_reach(fault, asked.plan, "Please report the request id to this service.") from fault
        except NoOverlap:
            raise
        except RequestFault as fault:
            raise self._refusal(fault, asked.request, asked.client) from fault
        except NoRoom as fault:
            raise ServiceUnavailable(NO_ROOM, retry_after_s=RETRY_AFTER_S) from fault

    def _again(self, asked: Asked) -> Asked:
        again = self._plan(asked.request, asked.client)
        if again.is_empty:
            raise StaleImage("there is nothing any more that the filters leave")
        return again

    def _describe(self, asked: Asked) -> Sent:
        product = describe_cutout(asked.plan, self._catalog, self._engine.site)
        return Sent(asked, product.file_name, product.size, CutoutFacts(asked.plan, None, product.remarks))

    def _cut(self, asked: Asked) -> Sent:
        turns = Turns()
        # Those that are made in no time do not wait for those that are not.
        with nullcontext() if asked.is_light else turns.count(self._gate.admit()):
            result = self._engine.execute(asked.plan)
            chunks = result.chunks()
            first = next(chunks)
        is_whole = len(first) == result.size
        stream = iter((first,)) if is_whole else self._stream(first, chunks, turns)
        return Sent(asked, result.file_name, result.size, result.facts, stream, turns=turns, gzip=result.gzip)

    def _stream(self, first: bytes, rest: Iterator[bytes], turns: Turns) -> Iterator[bytes]:
        yield first
        while True:
            # A place in the gate is held for the pixels of a chunk, never while a slow client takes it.
            with turns.count(self._gate.resume()):
                chunk = next(rest, None)
            if chunk is None:
                return
            yield chunk

    def _have_made(self, asked: Asked, heavier: Heavier) -> Sent:
        made = heavier.make(self._query(asked.request), asked.client)
        # The worker has planned for itself: it is the same cutout if there is but one plan, before and after.
        self._catalog.refresh()
        if self._plan(asked.request, asked.client).etag != asked.etag:
            raise StaleImage("the image was indexed again while its cutout was made")
        remarks = describe_cutout(asked.plan, self._catalog, self._engine.site).remarks
        facts = CutoutFacts(asked.plan, made.covered, remarks)
        return Sent(asked, made.file_name, made.size, facts, made.chunks, made_here=False)

    def _query(self, request: SodaRequest) -> str:
        query = canonical_query(request.cutout, self._identifiers)
        # Pictures and arrays are, in the canonical spelling.
        is_told = request.media_type in (FITS, ARRAY, *PICTURE_TYPES)
        return query if is_told else f"{query}&RESPONSEFORMAT={request.media_type}"

    def _refusal(self, fault: RequestFault, request: SodaRequest, client: Client) -> ProtocolError:
        error = refusal(fault, self._identifiers)
        if self._heavier is not None and self._can_be_a_job(fault, request, client, self._heavier.limits):
            command = job_request(self._query(request), client.base_url)
            error.fix = "\n".join(filter(None, (error.fix, f"To have it made by a job: {command}")))
        return error

    def _can_be_a_job(
        self, fault: RequestFault, request: SodaRequest, client: Client, limits: Limits
    ) -> bool:
        if isinstance(fault, SeveralImages):
            survey = self._catalog.survey(request.cutout.dataset.partition("/")[0])
            return survey.kind == "exposures" and len(fault.datasets) <= MOST_IMAGES
        if not isinstance(fault, TooLarge):
            return False
        try:
            self._engine.within(limits).asked_by(client.caller).plan(request.cutout)
        except RequestFault:
            return False
        return True


def _is_light(plan: CutoutPlan, survey: Survey) -> bool:
    """Whether stamps are sent in next to no time: those of one alert, on a disk here, as they are."""
    is_near = survey.lake is not None and "://" not in survey.lake.root
    return is_near and len(plan.stamps) == 1 and plan.request.picture is None and not plan.request.array
