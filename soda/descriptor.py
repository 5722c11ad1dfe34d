"""Service descriptors of SODA (section 4; DataLink 1.1, section 4): how a program is told what it may ask.

Of one dataset they carry its limits, so that only what gives data is offered; beside a table of datasets
they refer to the column of identifiers and carry none, since limits of one row would be taken for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dali.votable import Param, ServiceDescriptor, Values, text_param
from soda.spelling import canonical_query
from soda.table import FITS, IMAGE_TYPES, LISTS, MEDIA_TYPES, PARAMETERS, WEBP, SodaParameter
from surveys.identifiers import Identifiers
from surveys.index.facts import DatasetFacts
from surveys.request import Interval

_ID = PARAMETERS[0]
#: All but the identifier, and what a client calls its request.
_TOLD = tuple(parameter for parameter in PARAMETERS if parameter.name not in ("ID", "RUNID"))
#: What stamps of alerts take, beside the grey of pictures and what picks epochs.
_OF_STAMPS = (
    "CHECKSUM",
    "DETAIL",
    "RECIPE",
    "WIDTH",
    "HEIGHT",
    "QUALITY",
    "LABEL",
    "CUTS",
    "SOFTENING",
    "RESPONSEFORMAT",
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A resource that takes the parameters of SODA.

    Parameters
    ----------
    path
        Below the base of the service.
    standard_id
        Of the standard it follows.
    id
        XML ID of its descriptor, told apart from the others in a document. pyvo sorts links by it and most
        programs take the first: that of sync comes first in the alphabet.
    description
        What one gets, and when.
    content_type
        Of what it answers; "" where that depends.
    by_get
        Whether one URL gives the answer, so that there may be an example of it.
    more
        Parameters that this resource alone has.
    """

    path: str
    standard_id: str
    id: str
    description: str
    content_type: str = ""
    by_get: bool = True
    more: tuple[SodaParameter, ...] = ()


SYNC = Endpoint(
    "sync",
    "ivo://ivoa.net/std/SODA#sync-1.0",
    "soda",
    "Cutouts, sent at once",
    FITS,
)
#: What it answers is a job, as UWS describes it; parameters that multiply may be repeated.
ASYNC = Endpoint(
    "async",
    "ivo://ivoa.net/std/SODA#async-1.0",
    "soda_async",
    "Cutouts, made by a job, one for each combination of values, or for each target of a table",
    "application/xml",
    by_get=False,
    more=LISTS,
)


class Descriptors:
    """Writes descriptors of the endpoints there are.

    Parameters
    ----------
    endpoints
        In the order they are offered.
    identifiers
        Publisher DIDs of this service.
    resource
        IVOID of the service's record; "" while it has none.
    """

    def __init__(self, endpoints: Sequence[Endpoint], identifiers: Identifiers, resource: str = "") -> None:
        self.endpoints = tuple(endpoints)
        self._identifiers = identifiers
        self._resource = resource

    def of_dataset(self, facts: DatasetFacts, did: str, base_url: str) -> tuple[ServiceDescriptor, ...]:
        """Descriptors of one dataset, `did` being its identifier as a client wrote it."""
        inputs = [_input(_ID, value=did)]
        inputs += [_input(parameter, limits=_limits(parameter, facts)) for parameter in _offered(facts)]
        query = "" if facts.example is None else canonical_query(facts.example, self._identifiers)
        return tuple(self._descriptor(endpoint, inputs, base_url, query) for endpoint in self.endpoints)

    def of_column(self, field_id: str, base_url: str) -> tuple[ServiceDescriptor, ...]:
        """Descriptors of all datasets whose identifiers stand in the column of this XML ID."""
        inputs = [_input(_ID, ref=field_id), *map(_input, _TOLD)]
        return tuple(self._descriptor(endpoint, inputs, base_url) for endpoint in self.endpoints)

    def _descriptor(
        self, endpoint: Endpoint, inputs: Sequence[Param], base_url: str, example: str = ""
    ) -> ServiceDescriptor:
        url = f"{base_url}/{endpoint.path}"
        params = [
            text_param("standardID", endpoint.standard_id),
            text_param("accessURL", url, ucd="meta.ref.url"),
        ]
        if self._resource:
            params.append(text_param("resourceIdentifier", self._resource))
        if endpoint.content_type:
            params.append(text_param("contentType", endpoint.content_type))
        if example and endpoint.by_get:
            params.append(text_param("exampleURL", f"{url}?{example}", "A small cutout"))
        return ServiceDescriptor(
            id=endpoint.id,
            name=endpoint.path,
            description=endpoint.description,
            params=tuple(params),
            inputs=(*inputs, *map(_input, endpoint.more)),
        )


def _offered(facts: DatasetFacts) -> list[SodaParameter]:
    """Parameters that restrict a dataset; one whose values are unknown would not (section 4)."""
    if facts.alerts:
        return [parameter for parameter in _TOLD if _suits_stamps(parameter, facts)]
    missing = set()
    if facts.image is not None and facts.time_mjd is None:
        missing.add("TIME")
    if not facts.pol_states:
        missing.add("POL")
    if "/" in facts.dataset:  # of one band
        missing |= {parameter.name for parameter in _TOLD if parameter.of_colour} | {"LAYOUT"}
    return [parameter for parameter in _TOLD if parameter.name not in missing]


def _suits_stamps(parameter: SodaParameter, facts: DatasetFacts) -> bool:
    """Whether it says something of stamps; of one alert there is nothing to choose."""
    if parameter.name in ("BAND", "TIME", "FILTER"):
        return facts.is_object
    return parameter.name in _OF_STAMPS or parameter.concern == "grey"


def _limits(parameter: SodaParameter, facts: DatasetFacts) -> Values | None:
    """Values of a parameter that select something of a dataset; None where that cannot be said."""
    match parameter.name:
        case "CIRCLE" if (circle := facts.circle) is not None:
            return Values(maximum=(circle.ra_deg, circle.dec_deg, circle.radius_deg))
        case "POLYGON" if (polygon := facts.polygon) is not None:
            return Values(maximum=tuple(number for vertex in polygon.vertices_deg for number in vertex))
        case "BAND":
            return _between(facts.band_m)
        case "TIME" if facts.time_mjd is not None:
            return _between(facts.time_mjd)
        case "POL":
            return Values(options=facts.pol_states)
        case "FILTER":
            return Values(options=facts.filters)
        case "RESPONSEFORMAT":
            return Values(options=_formats(facts))
        case _ if parameter.options:
            return Values(options=parameter.options)
        case _:
            return None


def _formats(facts: DatasetFacts) -> tuple[str, ...]:
    """List formats: of stamps bare numbers are one too, of several epochs an animation."""
    if not facts.alerts:
        return tuple(IMAGE_TYPES)
    return tuple(word for word, media_type in MEDIA_TYPES.items() if facts.is_object or media_type != WEBP)


def _between(interval: Interval) -> Values:
    return Values(interval.lower, interval.upper)


def _input(
    parameter: SodaParameter, *, value: str | None = None, ref: str = "", limits: Values | None = None
) -> Param:
    # A number that nobody has filled in is null, at which pyvo fails; a text is empty.
    is_number = parameter.datatype != "char" and parameter.arraysize is None
    return Param(
        name=parameter.name,
        datatype="char" if is_number else parameter.datatype,
        arraysize="*" if is_number else parameter.arraysize,
        unit=parameter.unit,
        ucd=parameter.ucd,
        xtype=parameter.xtype,
        description=parameter.description,
        value=value,
        ref=ref,
        values=limits,
    )
