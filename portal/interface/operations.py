"""What can be asked of the service by programs that read JSON: paths, parameters, answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from portal.interface.schemas import (
    MOMENT,
    NUMBER,
    PHASES,
    TEXT,
    TRUTH,
    WHOLE,
    Schema,
    one_of,
    ref,
)
from portal.jobs.acts import ACTS
from portal.texts import HABITS
from soda.broker.call import ARGUMENTS, NUMBERED
from soda.broker.call import PATH as BROKER
from soda.habits import OWN
from soda.table import JOB_PARAMETERS, PARAMETERS, SodaParameter

JSON = "application/json"
FORM, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"
STREAM = "text/event-stream"
ANYTHING: Schema = {}
_FILE: Schema = {"type": "string", "contentMediaType": "application/octet-stream"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A parameter of a request; of several values where it is `many`."""

    name: str
    schema: Schema
    description: str = ""
    is_required: bool = False
    is_many: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """An answer: what it is, and of which media types."""

    description: str
    content: Mapping[str, Schema] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """Something that can be asked for.

    Parameters
    ----------
    method, path
        Of the request; what varies of the path stands in braces.
    name
        Of the operation, for programs that are made of the document.
    summary
        What it does.
    tag
        What it belongs to.
    asked
        Parameters of the query, or of the form.
    answers
        By the state of HTTP.
    body
        Media types of a form; () where there is none.
    """

    method: Literal["get", "post", "delete"]
    path: str
    name: str
    summary: str
    tag: Literal["cutouts", "jobs", "service", "account"]
    answers: Mapping[int, Told]
    asked: Sequence[Asked] = ()
    body: Sequence[str] = ()


def _json(schema: str, description: str = "The answer") -> Mapping[int, Told]:
    return {200: Told(description, {JSON: ref(schema)})}


def _soda(parameter: SodaParameter) -> Asked:
    schema: Schema = {"int": WHOLE, "double": NUMBER}.get(parameter.datatype, TEXT)
    if parameter.arraysize is not None:
        schema = TEXT
    if parameter.options:
        schema = one_of(*parameter.options) if parameter.name != "RESPONSEFORMAT" else TEXT
    unit = f" [{parameter.unit}]" if parameter.unit else ""
    several = parameter.many or parameter.product
    return Asked(parameter.name, schema, f"{parameter.description}{unit}", is_many=several)


_WORDS = tuple(Asked(name.lower(), TEXT, HABITS[name]) for name in OWN)
_LIMIT = Asked("LIMIT", WHOLE, "How many at a time")
_LINK = Asked("LINK", TEXT, "Key of a link to the job")
_RUN = (
    Asked("PHASE", one_of("RUN"), "RUN: it is run at once"),
    Asked("NOTIFY", TEXT, "Who is told what becomes of it: mail, none, or a URL"),
)
_CUTOUT = dict.fromkeys(("application/fits", "image/png", "image/jpeg"), _FILE)
#: Of stamps of alerts there is more.
_SENT = {**_CUTOUT, "image/webp": _FILE, JSON: ANYTHING}
_GIVEN = {200: Told("The cutout", _SENT), 204: Told("There are no data in the region")}
_SYNC = tuple(_soda(parameter) for parameter in PARAMETERS)
_JOB = tuple(_soda(parameter) for parameter in JOB_PARAMETERS)
_PLANNED = (
    *_JOB,
    Asked("VERDICTS", TRUTH, "Whether each row is told"),
    _LIMIT,
    Asked("AFTER", WHOLE, "After this row"),
)
_BY_ID = "/async/{job_id}"
_STAMPS = {
    200: Told(
        "The arrays of the stamps, in a list also of one; or the file; of a GET of nothing the arguments",
        {JSON: ANYTHING, "application/octet-stream": _FILE},
    )
}
_STAMP = tuple(
    Asked(name, {"type": ["string", "integer"]}, told, is_required=is_needed)
    if name in NUMBERED
    else Asked(name, TEXT, told, is_required=is_needed)
    for name, (is_needed, told) in ARGUMENTS.items()
)

OPERATIONS: Sequence[Operation] = (
    Operation(
        "get",
        "/cutout",
        "cutout",
        "A cutout, in the words people know from other services",
        "cutouts",
        {200: Told("The cutout", _CUTOUT)},
        _WORDS,
    ),
    Operation("get", "/sync", "sync", "A cutout at once (SODA sync)", "cutouts", _GIVEN, _SYNC),
    Operation(
        "post",
        "/sync",
        "syncByForm",
        "A cutout at once, asked for by a form",
        "cutouts",
        _GIVEN,
        _SYNC,
        (FORM,),
    ),
    Operation(
        "get",
        BROKER,
        "stamps",
        "Stamps of an alert, by the call that users of a broker know",
        "cutouts",
        _STAMPS,
        tuple(replace(asked, is_required=False) for asked in _STAMP),
    ),
    Operation(
        "post",
        BROKER,
        "stampsByBody",
        "Stamps of an alert, asked for by a JSON object or a form",
        "cutouts",
        _STAMPS,
        _STAMP,
        (JSON, FORM),
    ),
    Operation(
        "get",
        "/estimate",
        "estimate",
        "What a request would come to; nothing is made",
        "cutouts",
        _json("Estimate"),
        _PLANNED,
    ),
    Operation(
        "post",
        "/estimate",
        "estimateOfTable",
        "What a request with a table would come to",
        "cutouts",
        _json("Estimate"),
        _PLANNED,
        (FORM, MULTIPART),
    ),
    Operation(
        "get",
        "/surveys",
        "surveys",
        "The surveys that are open to the caller",
        "cutouts",
        _json("Surveys"),
        (
            Asked("POS", TEXT, "A place, in any notation: bands are told by whether they cover it"),
            Asked("SIZE", TEXT, "How large a region: 2arcmin"),
        ),
    ),
    Operation(
        "get",
        "/position",
        "position",
        "A place in all notations",
        "cutouts",
        _json("Place"),
        (Asked("TEXT", TEXT, "As somebody wrote it", is_required=True),),
    ),
    Operation(
        "get",
        "/async",
        "jobs",
        "The caller's jobs",
        "jobs",
        _json("Jobs"),
        (
            Asked("PHASE", one_of(*PHASES), "Of these phases", is_many=True),
            Asked("AFTER", MOMENT, "Made after this moment"),
            Asked("LAST", WHOLE, "The newest so many"),
            Asked("TEXT", TEXT, "Part of label, id or parameters"),
            Asked("SHARED", TRUTH, "Those of others that are shared with groups of the caller"),
            Asked("JOB", TEXT, "By id", is_many=True),
            _LIMIT,
            Asked("PAGE", TEXT, "Key of a page"),
        ),
    ),
    Operation(
        "post",
        "/async",
        "makeJob",
        "Make a job (SODA async)",
        "jobs",
        {303: Told("The job is at the URL of the header Location")},
        (*_JOB, *_RUN),
        (FORM, MULTIPART),
    ),
    Operation("get", _BY_ID, "job", "A job", "jobs", _json("WholeJob"), (_LINK,)),
    Operation(
        "post",
        _BY_ID,
        "changeJob",
        "Share it, make a link to it, or try it again",
        "jobs",
        {
            200: Told("Of ACTION=LINK", {JSON: ref("Link")}),
            303: Told("Done; of ACTION=RETRY the new job is at the URL of the header Location"),
        },
        (
            Asked("ACTION", one_of("DELETE", "RETRY", "RESUME", "SHARE", "LINK", "UNLINK"), "What is done"),
            Asked("SHARE", TEXT, "Groups"),
            Asked("DAYS", NUMBER, "How long a link lasts"),
            Asked("NOTIFY", TEXT, "Who is told what becomes of it"),
        ),
        (FORM,),
    ),
    Operation("delete", _BY_ID, "deleteJob", "Delete a job", "jobs", {303: Told("It is deleted")}),
    Operation(
        "post",
        f"{_BY_ID}/phase",
        "steerJob",
        "Run or abort a job",
        "jobs",
        {303: Told("Done")},
        (Asked("PHASE", one_of("RUN", "ABORT"), "Which", is_required=True),),
        (FORM,),
    ),
    Operation(
        "get",
        f"{_BY_ID}/events",
        "eventsOfJob",
        "What happened to a job",
        "jobs",
        {200: Told("Events", {JSON: ref("Events"), STREAM: TEXT})},
        (Asked("AFTER", WHOLE, "After this event"), _LIMIT, _LINK),
    ),
    Operation(
        "get",
        f"{_BY_ID}/ledger",
        "ledger",
        "What became of each row",
        "jobs",
        _json("Ledger"),
        (
            Asked("STATUS", TEXT, "Of these statuses", is_many=True),
            Asked("ID", TEXT, "The target's own name", is_many=True),
            Asked("ROWS", TEXT, "Rows of the table: 1-500"),
            Asked("SORT", TEXT, "A column of it or of the table that was sent; column,desc turns it round"),
            Asked("TEXT", TEXT, "Part of the name, the file or the sentence of a row"),
            _LIMIT,
            Asked("AFTER", TEXT, "Where the page before ended"),
            Asked("OFFSET", WHOLE, "So many rows are passed over, instead of AFTER"),
            _LINK,
        ),
    ),
    Operation("get", f"{_BY_ID}/causes", "causes", "Why rows failed", "jobs", _json("Causes"), (_LINK,)),
    Operation(
        "get",
        f"{_BY_ID}/results/{{result_id}}/header",
        "header",
        "The cards of a FITS file",
        "jobs",
        _json("Header"),
        (_LINK,),
    ),
    Operation(
        "get",
        "/events",
        "news",
        "How jobs are, whenever they change",
        "jobs",
        {200: Told("News", {JSON: ref("News"), STREAM: TEXT})},
        (
            Asked("JOB", TEXT, "By id, instead of the caller's own", is_many=True),
            Asked("AFTER", TEXT, "Where the last answer ended"),
            _LINK,
        ),
    ),
    Operation(
        "post",
        "/jobs",
        "act",
        "Do something to several jobs",
        "jobs",
        _json("Acted"),
        (
            Asked("ACT", one_of(*ACTS), "What", is_required=True),
            Asked("OF", TEXT, "Ids", is_required=True, is_many=True),
            Asked("DAYS", NUMBER, "By how much it is extended, or how long a link lasts"),
            Asked("GROUP", TEXT, "With whom it is shared"),
        ),
        (FORM,),
    ),
    Operation("get", "/queue", "queue", "How much waits", "service", _json("Queues")),
    Operation("get", "/quota", "quota", "What the caller has used", "service", _json("Quota")),
    Operation("get", "/status", "status", "How the service is", "service", _json("Status")),
    Operation("get", "/login", "ways", "Ways to sign in", "account", _json("Ways")),
    Operation("get", "/account", "account", "Who the caller is here", "account", _json("Account")),
    Operation("get", "/account/tokens", "tokens", "The caller's tokens", "account", _json("Tokens")),
    Operation(
        "post",
        "/account/tokens",
        "makeToken",
        "Make a token; for who has signed in",
        "account",
        {201: Told("The token, told this once", {JSON: ref("Token")})},
        (
            Asked("TITLE", TEXT, "What it is for", is_required=True),
            Asked("SCOPES", one_of("read", "submit", "admin"), "What it may", is_required=True, is_many=True),
            Asked("DAYS", NUMBER, "How long it lasts"),
        ),
        (FORM,),
    ),
    Operation(
        "delete",
        "/account/tokens/{token_id}",
        "revokeToken",
        "Revoke a token",
        "account",
        {204: Told("It is revoked")},
    ),
)
