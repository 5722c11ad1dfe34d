"""The call by which users of a broker ask for stamps, so that their programs need not be changed.

As Fink answers it (github.com/astrolabsoftware/fink-cutout-api and fink-object-api, 2024 and 2025):

- ``POST /api/v1/cutouts`` with a JSON object, and GET with the same names in the query; GET with nothing
  lists the arguments, as ``{"args": [{"name", "required", "description"}, …]}``.
- ``hdfsPath``: a Parquet file, relative to the home of the user of HDFS, or, as its portal sends it,
  absolute without scheme and host. ``objectId`` (of ZTF), or ``diaObjectId`` (of Rubin). ``candid``, or
  ``diaSourceId``, as text or as a number; without, the latest alert of the object in that file.
- ``kind``: Science, Template, Difference; or All, in this order, which goes with arrays alone.
- ``return_type``: array, which is meant where there is none, gives ``application/json``, a list of the
  arrays of the kinds, also of one; FITS gives the file that is stored, as ``application/octet-stream``, an
  attachment that is named after the object, or after the source of Rubin.

Here ``hdfsPath`` is optional, since the index knows where alerts are, and nothing is ever opened by that
name; ``survey`` may be said. Everything else is as by `/sync`: plan, engine, rights, quotas.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dali.errors import NotFound, ProtocolError, UsageError, quoted
from dali.parameters import Parameters, plain_name, refuse_unknown
from soda.engine import Engine
from soda.heavier import Client
from soda.reader import Reader
from soda.refusals import refusal
from soda.service import Sent, SyncService
from soda.table import ARRAY
from surveys.access import Reader as DataReader
from surveys.alert import AlertRecord, candid_of
from surveys.errors import RequestFault, UnknownDataset
from surveys.fits.naming import safe_name
from surveys.survey import Survey

PATH = "/api/v1/cutouts"
EVERY_KIND = "All"
RETURN_TYPES = ("array", "FITS")
BYTES = "application/octet-stream"

#: Names of one meaning.
_ALIASES = {"DIAOBJECTID": "OBJECTID", "DIASOURCEID": "CANDID"}
#: Name as it is written -> whether it has to be there, and what it is.
ARGUMENTS: Mapping[str, tuple[bool, str]] = {
    "hdfsPath": (False, "File of the lake, as the broker names it; the index knows it without"),
    "objectId": (
        False,
        "Object; diaObjectId is the same. Without candid, one with several alerts needs hdfsPath",
    ),
    "kind": (True, "Science, Template, Difference, or All"),
    "candid": (False, "Number of the alert; diaSourceId is the same"),
    "return_type": (False, "array, or FITS, of one kind"),
    "survey": (False, "Survey of alerts, where several have such an alert"),
}
#: Those that may be written as numbers.
NUMBERED = ("objectId", "candid")
_NAMES = tuple(ARGUMENTS)
_WRITTEN = {name.upper(): name for name in (*_NAMES, "diaObjectId", "diaSourceId")}
_KEY = re.compile(rb'"[^"]*"\s*:\s*')
#: So many alerts of an object are named.
_NAMED = 20
_LONGEST = 2000


@dataclass(frozen=True, slots=True)
class BrokerRequest:
    """What is asked; None and "" where nothing is said.

    Parameters
    ----------
    kind
        Of stamp, as it was written; ``All`` for each.
    as_fits
        Whether a file is wanted, and not an array.
    object_id, candid, path, survey
        Which alert.
    is_source
        Whether the alert is called a source, as Rubin does.
    """

    kind: str
    as_fits: bool
    object_id: str | None
    candid: int | None
    path: str | None
    survey: str | None
    is_source: bool = False

    @property
    def is_of_all(self) -> bool:
        """Whether each kind of stamp is asked for."""
        return self.kind.lower() == EVERY_KIND.lower()


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent: the cutout, its media type, and the name of the file; "" of an array."""

    sent: Sent
    media_type: str
    file_name: str = ""


def arguments() -> str:
    """Tell what can be asked, as JSON."""
    told = [
        {"name": name, "required": is_needed, "description": description}
        for name, (is_needed, description) in ARGUMENTS.items()
    ]
    return json.dumps({"args": told})


def pairs_of(body: bytes) -> list[tuple[str, str]]:
    """Read a JSON object as parameters.

    Raises
    ------
    UsageError
        If it is none, or a value is neither a text nor a whole number.
    """
    try:
        told = json.loads(body)
    except (ValueError, RecursionError) as fault:
        raise UsageError("the body is no JSON", 'Write {"objectId": "…", "kind": "Science"}.') from fault
    if not isinstance(told, dict):
        raise UsageError("the body is no JSON object", 'Write {"objectId": "…", "kind": "Science"}.')
    return [(name, _text(name, value)) for name, value in told.items() if value is not None]


def _text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= 64:
        return str(value)
    raise UsageError(f"{_name(name)} is a text or a whole number; got {quoted(json.dumps(value))}")


def _name(name: str) -> str:
    return _WRITTEN.get(name.upper(), plain_name(name))


def parse_broker(parameters: Parameters) -> BrokerRequest:
    """Read a request.

    Raises
    ------
    UsageError
        With every fault found.
    """
    known = frozenset((*(name.upper() for name in _NAMES), *_ALIASES))
    is_source = "DIASOURCEID" in parameters.values
    gathered: dict[str, tuple[str, ...]] = {}
    for name, values in parameters.values.items():
        gathered[_ALIASES.get(name, name)] = gathered.get(_ALIASES.get(name, name), ()) + values
    read = Reader(replace(parameters, values=gathered), several=False)
    for fault in refuse_unknown(parameters, known, _NAMES):
        read.faults.add(fault)
    kind = read.one("KIND", str)
    if kind is None:
        read.refuse("kind is missing", "It is Science, Template, Difference or All.")
    form = read.one("RETURN_TYPE", _return_type)
    found = BrokerRequest(
        kind=(kind or "").strip(),
        as_fits=form == "FITS",
        object_id=read.one("OBJECTID", _short),
        candid=read.one("CANDID", _candid),
        path=read.one("HDFSPATH", _short),
        survey=read.one("SURVEY", _short),
        is_source=is_source,
    )
    if not (read.given("OBJECTID") or read.given("CANDID")):
        read.refuse("objectId or candid is missing", "Say which alert, or of which object.")
    if found.as_fits and found.is_of_all:
        read.refuse(
            "return_type FITS is of one kind, and kind is All", "Name a kind, or leave return_type out."
        )
    read.faults.raise_any()
    return found


def _return_type(text: str) -> str:
    found = next((one for one in RETURN_TYPES if one.lower() == text.strip(" ").lower()), None)
    if found is None:
        raise UsageError(f"return_type is {' or '.join(RETURN_TYPES)}; got {quoted(text)}")
    return found


def _short(text: str) -> str:
    if len(text) > _LONGEST:
        raise UsageError(f"a name has {len(text)} characters; at most {_LONGEST} are taken")
    return text.strip(" ")


def _candid(text: str) -> int:
    found = candid_of(text.strip(" "))
    if found is None:
        raise UsageError(f"candid is a whole number of 64 bits; got {quoted(text)}")
    return found


class Broker:
    """Answers the call.

    Parameters
    ----------
    engine
        Knows the alerts, and who may read them.
    sync
        Makes the stamps.
    """

    def __init__(self, engine: Engine, sync: SyncService) -> None:
        self._engine = engine
        self._sync = sync
        self._surveys = tuple(survey for survey in engine.catalog.surveys if survey.lake is not None)

    def answer(self, parameters: Parameters, client: Client) -> Answer:
        """Find the alert, and make what is asked of its stamps.

        Raises
        ------
        UsageError, NotFound, AuthorizationError, ServiceUnavailable, ServerError
            As `/sync` does; also if it is not clear which alert is meant.
        """
        asked = parse_broker(parameters)
        try:
            alert = self._find(asked, self._engine.asked_by(client.caller).reader)
        except RequestFault as fault:
            raise self._refusal(fault) from fault
        dataset = alert.dataset if asked.is_of_all else f"{alert.dataset}/{asked.kind}"
        pairs = [("ID", self._engine.identifiers.did(dataset))]
        if not asked.as_fits:
            pairs.append(("RESPONSEFORMAT", ARRAY))
        sent = self._sync.cut(self._sync.ask(Parameters.from_pairs(pairs), client))
        if asked.as_fits:
            name = str(alert.candid) if asked.is_source else alert.object_id or str(alert.candid)
            return Answer(sent, BYTES, safe_name(name, ".fits"))
        return Answer(_as_list(sent), ARRAY)

    def _find(self, asked: BrokerRequest, reader: DataReader) -> AlertRecord:
        """Find the one alert that is meant, of those that somebody may know of."""
        surveys = [one for one in self._surveys if one.access.may_enter(reader)]
        if asked.survey is not None:
            surveys = [one for one in surveys if one.name.lower() == asked.survey.lower()]
            if not surveys:
                raise UnknownDataset(f"there is no survey of alerts {asked.survey!r}")
        found: dict[str, Sequence[AlertRecord]] = {}
        for survey in surveys:
            records = (
                self._in_file(asked, survey) if asked.path is not None else self._in_index(asked, survey)
            )
            if records := [one for one in records if survey.access.may_read(one.dataset, reader)]:
                found[survey.name] = records
        if not found:
            raise UnknownDataset(f"there is no such alert: {_described(asked)}")
        if len(found) > 1:
            raise RequestFault(f"several surveys have such an alert: say survey, one of {', '.join(found)}")
        (records,) = found.values()
        if len(records) > 1 and asked.path is None:
            raise _several(records)
        return records[-1]  # the latest, as the broker has it

    def _in_file(self, asked: BrokerRequest, survey: Survey) -> Sequence[AlertRecord]:
        """Alerts in the file that the path names, if it is one of this survey."""
        if survey.lake is None or asked.path is None:
            return ()
        alerts = self._engine.catalog.alerts
        try:
            path = alerts.lakes.files(survey.lake).confine(asked.path)
        except UnknownDataset:
            return ()
        return alerts.in_file(survey, path, asked.object_id, asked.candid)

    def _in_index(self, asked: BrokerRequest, survey: Survey) -> Sequence[AlertRecord]:
        alerts = self._engine.catalog.alerts
        if asked.candid is not None:
            found = alerts.by_candid(survey, [asked.candid]).values()
            named = None if asked.object_id is None else asked.object_id.lower()
            return [one for one in found if named is None or one.object_id.lower() == named]
        try:
            return alerts.epochs(survey, asked.object_id or "")
        except UnknownDataset:
            return ()

    def _refusal(self, fault: RequestFault) -> ProtocolError:
        if isinstance(fault, UnknownDataset):
            return NotFound(str(fault), "It is named by candid, by objectId, or by hdfsPath and one of them.")
        return refusal(fault, self._engine.identifiers)


def _described(asked: BrokerRequest) -> str:
    named = (
        ("hdfsPath", asked.path),
        ("objectId", asked.object_id),
        ("candid", None if asked.candid is None else str(asked.candid)),
        ("survey", asked.survey),
    )
    return ", ".join(f"{name} {quoted(value)}" for name, value in named if value is not None)


def _several(records: Sequence[AlertRecord]) -> RequestFault:
    """Tell which alerts an object has."""
    shown = ", ".join(str(one.candid) for one in records[-_NAMED:])
    more = "" if len(records) <= _NAMED else f", and {len(records) - _NAMED} earlier ones"
    return RequestFault(
        f"the object {records[0].object_id} has {len(records)} alerts: name one by candid ({shown}{more}), "
        f"or have them all by /sync?ID=…{records[0].survey}/object/{records[0].object_id}"
    )


def _as_list(sent: Sent) -> Sent:
    """Make the list of arrays, which the broker gives, of an array, or of an object of arrays by kind."""
    chunks: Iterator[bytes] = iter(()) if sent.chunks is None else sent.chunks
    content = b"".join(chunks).strip()
    if content.startswith(b"{"):
        # Arrays have no quotes.
        content = _KEY.sub(b"", content)[1:-1]
    content = b"[" + content + b"]\n"
    return replace(sent, chunks=iter((content,)), size=len(content))
