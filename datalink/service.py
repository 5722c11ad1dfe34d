"""The links of datasets, and the document that holds them (section 3)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from dali.caller import Caller
from dali.errors import ProtocolError
from dali.votable import OK, STATUS, Info, Param, ServiceDescriptor, Values, text_param, votable_chunks
from datalink.alerts import AlertLinks
from datalink.links import FIELDS, ID_FIELD, Link, WholeImage
from datalink.params import LINKS_TYPE, MEDIA_TYPES, LinksRequest
from surveys.access import Reader
from surveys.errors import AccessDenied, TooLarge, UnknownDataset
from surveys.identifiers import Identifiers, is_layer
from surveys.image import ImageRecord
from surveys.index.catalog import Catalog
from surveys.index.facts import DatasetFacts
from surveys.planner import check_access
from surveys.survey import Survey

STANDARD_ID = "ivo://ivoa.net/std/DataLink#links-1.1"
THIS = "#this"
MAX_ID_LENGTH = 500


class Cutouts(Protocol):
    """Describes the services that cut."""

    def of_dataset(self, facts: DatasetFacts, did: str, base_url: str) -> tuple[ServiceDescriptor, ...]:
        """Describe them for one dataset, with its limits."""

    def of_column(self, field_id: str, base_url: str) -> tuple[ServiceDescriptor, ...]:
        """Describe them for all datasets whose identifiers stand in a column."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """Who asks, and where the service is for them."""

    caller: Caller
    base_url: str


class LinksService:
    """Answers requests for links.

    Parameters
    ----------
    catalog
        The image index.
    identifiers
        Publisher DIDs of this service.
    cutouts
        Describes the services that cut.
    whole
        Tells how a caller gets the whole image of a publisher DID from the service at a URL; raises
        `ProtocolError` where it is not given.
    preview
        Gives the path and media type of the picture of a publisher DID.
    reader_of
        Tells what a caller may read.
    max_ids
        So many IDs are answered in one request.
    """

    def __init__(
        self,
        catalog: Catalog,
        identifiers: Identifiers,
        cutouts: Cutouts,
        whole: Callable[[str, Caller, str], WholeImage],
        preview: Callable[[str], tuple[str, str]],
        reader_of: Callable[[Caller], Reader],
        *,
        max_ids: int,
    ) -> None:
        self._catalog = catalog
        self._identifiers = identifiers
        self._cutouts = cutouts
        self._whole = whole
        self._preview = preview
        self._reader_of = reader_of
        self._max_ids = max_ids

    def document(self, request: LinksRequest, caller: Caller, base_url: str) -> bytes:
        """Write the links of every ID asked for, up to the limits; what is left out is said at the end.

        Notes
        -----
        The links of an ID are all there or none (section 2.1.1): clients send again what is missing.
        """
        reader = self._reader_of(caller)
        found = [self._look_up(did, reader) for did in request.ids[: self._max_ids]]
        services = self._services(request.ids, found, base_url)
        asked = _Asked(caller, base_url)
        links: list[Link] = []
        answered = 0
        for did, facts in zip(request.ids, found, strict=False):
            some = [facts] if isinstance(facts, Link) else self._links(did, facts, services, asked)
            if request.max_records is not None and len(links) + len(some) > request.max_records:
                break
            links += some
            answered += 1
        missing = len(request.ids) - answered
        chunks = votable_chunks(
            FIELDS,
            [link.row() for link in links],
            table="links",
            infos=(OK, Info("standardID", STANDARD_ID)),
            descriptors=(*services, _self_description(base_url)),
            ending=lambda: _overflow(missing) if missing or request.max_records == 0 else None,
        )
        return b"".join(chunks)

    def _look_up(self, did: str, reader: Reader) -> DatasetFacts | Link:
        """Find what is known of a dataset, or make a link that says why nothing is."""
        try:
            if len(did) > MAX_ID_LENGTH:
                raise UnknownDataset("no dataset has so long an ID")
            dataset = self._identifiers.parse(did)
            survey = self._catalog.survey(dataset.partition("/")[0])
            check_access(dataset, survey, reader)
            return self._catalog.describe(dataset, reader)
        except UnknownDataset as fault:
            return Link(id=did, semantics=THIS, error_message=f"NotFoundFault: {fault}.")
        except TooLarge as fault:
            return Link(id=did, semantics=THIS, error_message=f"DefaultFault: {fault}.")
        except AccessDenied as fault:
            refusal = f"DefaultFault: {fault}."
            return Link(id=did, semantics=THIS, error_message=refusal, is_public=False, authorized=False)

    def _services(
        self, ids: Sequence[str], found: Sequence[DatasetFacts | Link], base_url: str
    ) -> tuple[ServiceDescriptor, ...]:
        """Describe cutouts: with limits for one dataset, without for several, which share the description."""
        match found:
            case [] | [Link()] if len(ids) <= 1:
                return ()
            case [DatasetFacts() as facts] if len(ids) == 1:
                can_be_cut = facts.on_sky or facts.alerts
                return self._cutouts.of_dataset(facts, ids[0], base_url) if can_be_cut else ()
            case _:
                return self._cutouts.of_column(ID_FIELD, base_url)

    def _links(
        self,
        did: str,
        facts: DatasetFacts,
        services: Sequence[ServiceDescriptor],
        asked: _Asked,
    ) -> list[Link]:
        """Links of one dataset; surveys and their bands have no whole to link to."""
        caller, base_url = asked.caller, asked.base_url
        can_be_cut = facts.on_sky or bool(facts.alerts)
        cutouts = [_cutout_link(did, facts, service) for service in services if can_be_cut]
        if facts.alerts:

            def whole(other: str) -> WholeImage:
                return self._whole(other, caller, base_url)

            alerts = AlertLinks(did, facts, self._identifiers, base_url, whole)
            return [*alerts.links(), *cutouts]
        if facts.image is None:
            return cutouts
        survey = facts.survey
        this = self._whole_link(did, THIS, facts.image, survey, caller, base_url)
        layers = [
            self._whole_link(did, _semantics(layer, survey), layer, survey, caller, base_url)
            for layer in self._layers(facts.image)
        ]
        if is_layer(facts.dataset):
            return [this, *cutouts]
        return [this, *cutouts, self._preview_link(did, facts.image, survey, base_url), *layers]

    def _preview_link(self, did: str, image: ImageRecord, survey: Survey, base_url: str) -> Link:
        path, media_type = self._preview(self._identifiers.did(image.dataset))
        return Link(
            id=did,
            semantics="#preview",
            access_url=f"{base_url}/{path}",
            description=f"A small picture of the whole {image.role}",
            content_type=media_type,
            content_qualifier="#image",
            is_public=survey.access.is_open_to_all(image.dataset),
            authorized=True,
        )

    def _layers(self, image: ImageRecord) -> Iterable[ImageRecord]:
        """Weight, mask and psf of an image; they themselves have none."""
        if is_layer(image.dataset):
            return ()
        return self._catalog.companions(image, self._catalog.generation(image.survey)).values()

    def _whole_link(
        self, did: str, semantics: str, image: ImageRecord, survey: Survey, caller: Caller, base_url: str
    ) -> Link:
        what = f"The whole {image.role}"
        try:
            whole = self._whole(self._identifiers.did(image.dataset), caller, base_url)
        except ProtocolError as fault:
            reason = f"{fault.fault_word}: {fault.sentence} {fault.fix}".rstrip()
            return Link(id=did, semantics=semantics, error_message=reason, description=what)
        return Link(
            id=did,
            semantics=semantics,
            access_url=f"{base_url}/{whole.path}",
            description=f"{what}, {image.nx} x {image.ny} px, band {image.band} of {survey.title}",
            content_type=whole.media_type,
            content_length=whole.size,
            content_qualifier=_kind(image),
            is_public=survey.access.is_open_to_all(image.dataset),
            authorized=True,
        )


def _semantics(image: ImageRecord, survey: Survey) -> str:
    """Say what a layer is to its image, in the terms of http://www.ivoa.net/rdf/datalink/core."""
    weight = survey.layer("weight")
    if image.role != "weight" or weight is None:
        return "#auxiliary"
    return "#error" if weight.weight in ("variance", "stddev") else "#weight"


def _cutout_link(did: str, facts: DatasetFacts, service: ServiceDescriptor) -> Link:
    content_type = next((str(param.value) for param in service.params if param.name == "contentType"), None)
    image = facts.image
    what = f"the {image.role} {facts.dataset}" if image is not None else f"any region of {facts.dataset}"
    if facts.alerts:
        what = f"any epochs of {facts.dataset}" if facts.is_object else facts.dataset
    return Link(
        id=did,
        # Of one alert nothing is cut out: it is made into something else.
        semantics="#proc" if facts.alerts and not facts.is_object else "#cutout",
        service_def=service.id,
        description=f"{service.description}: {what}",
        content_type=content_type,
        content_qualifier=None if image is None else _kind(image),
        is_public=facts.survey.access.is_open_to_all(facts.dataset),
        authorized=True,
    )


def _kind(image: ImageRecord) -> str:
    return "#cube" if math.prod(image.shape) > image.nx * image.ny else "#image"


def _overflow(missing: int) -> Info:
    return Info(STATUS, "OVERFLOW", f"{missing} more IDs were sent than are answered here; send them again.")


def _self_description(base_url: str) -> ServiceDescriptor:
    return ServiceDescriptor(
        name="links",
        description="Links of datasets",
        utype="adhoc:this",
        params=(
            text_param("standardID", STANDARD_ID),
            text_param("accessURL", f"{base_url}/links", ucd="meta.ref.url"),
            text_param("contentType", LINKS_TYPE),
        ),
        inputs=(
            Param(name="ID", ucd="meta.id;meta.main", description="Publisher DID; may be repeated"),
            Param(
                name="RESPONSEFORMAT",
                ucd="meta.code.mime",
                description="Media type of the answer",
                values=Values(options=tuple(MEDIA_TYPES)),
            ),
            Param(name="MAXREC", datatype="int", description="So many rows at most"),
        ),
    )
