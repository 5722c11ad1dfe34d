"""Schemas of what is answered as JSON (JSON Schema 2020-12, as OpenAPI 3.1 has it)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

TEXT: Schema = {"type": "string"}
URL: Schema = {"type": "string", "format": "uri"}
MOMENT: Schema = {"type": "string", "format": "date-time"}
NUMBER: Schema = {"type": "number"}
WHOLE: Schema = {"type": "integer"}
TRUTH: Schema = {"type": "boolean"}
ANYTHING: Schema = {}


def maybe(schema: Schema) -> Schema:
    """Let something be null."""
    if "type" in schema and isinstance(schema["type"], str):
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def many(schema: Schema, description: str = "") -> Schema:
    """Make a list of something."""
    return {"type": "array", "items": schema, **({"description": description} if description else {})}


def by_name(schema: Schema, description: str = "") -> Schema:
    """Make an object whose members are all alike, by names that differ."""
    told = {"description": description} if description else {}
    return {"type": "object", "additionalProperties": schema, **told}


def one_of(*words: str) -> Schema:
    """Make a text of few values."""
    return {"type": "string", "enum": list(words)}


def ref(name: str) -> Schema:
    """Refer to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def shape(about: str = "", /, *, rare: Any = (), **members: Schema) -> Schema:
    """Make an object that has these members always, but for those that are `rare` (names)."""
    return {
        "type": "object",
        **({"description": about} if about else {}),
        "properties": members,
        "required": [name for name in members if name not in rare],
    }


def said(schema: Schema, description: str) -> Schema:
    """Say what something is."""
    return {**schema, "description": description}


PHASES = ("PENDING", "QUEUED", "EXECUTING", "COMPLETED", "ERROR", "ABORTED", "HELD", "SUSPENDED", "UNKNOWN")
_ERROR = maybe(shape(rare=("transient",), message=TEXT, detail=maybe(TEXT), transient=TRUTH))
_PROGRESS: Mapping[str, Schema] = {
    "phase": one_of(*PHASES),
    "total": said(maybe(WHOLE), "Rows; null while that is not known"),
    "done": WHOLE,
    "empty": said(WHOLE, "Rows without data"),
    "failed": WHOLE,
    "poison": said(WHOLE, "Rows that were set aside: they crashed"),
    "bytes": said(WHOLE, "Of results"),
}
_EXPECTED = (*(f"p{share}_s" for share in (50, 90)), "start_s", "rows", "bytes", "runs")
_JOB: Mapping[str, Schema] = {
    "id": TEXT,
    "url": URL,
    "label": said(maybe(TEXT), "The RUNID that the job was given"),
    "type": TEXT,
    "owner": said(maybe(TEXT), "Account; null for somebody whom nobody knows"),
    "actor": said(maybe(TEXT), "Account of a service that acted for the owner"),
    "sharedWith": many(TEXT, "Groups"),
    "lane": maybe(one_of("high", "low")),
    "created": MOMENT,
    "queued": maybe(MOMENT),
    "started": maybe(MOMENT),
    "ended": maybe(MOMENT),
    "destruction": said(MOMENT, "When it is removed, with its results"),
    "quote": maybe(MOMENT),
    "expectedEnd": maybe(MOMENT),
    "executionDuration": said(WHOLE, "Seconds that it may run; 0 is no limit"),
    **_PROGRESS,
    "rate": said(maybe(NUMBER), "Rows in a second"),
    "packaged": TRUTH,
    "parent": said(maybe(TEXT), "Id of the job that it was made of by ACTION=RETRY"),
    "estimate": maybe(
        shape(
            "What was expected when it was queued", rare=_EXPECTED, **dict.fromkeys(_EXPECTED, maybe(NUMBER))
        )
    ),
    "actual": maybe(
        shape(
            "What came of it",
            rare=("start_s", "end_s", "rows", "bytes"),
            **dict.fromkeys(("start_s", "end_s", "rows", "bytes"), maybe(NUMBER)),
        )
    ),
    "error": _ERROR,
    "fault": _ERROR,
    "ledger": maybe(URL),
    "notify": many(TEXT, "mail, and hosts of webhooks"),
    "surveys": many(TEXT),
    "seq": said(WHOLE, "Number of its last event"),
    "place": maybe(
        shape(
            "Where it waits",
            rare=("class", "reason"),
            position=WHOLE,
            jobs=WHOLE,
            start=maybe(MOMENT),
            end=maybe(MOMENT),
            reason=maybe(TEXT),
            **{"class": TEXT},
        )
    ),
    "link": maybe(shape("A link by which anybody may look at it", until=MOMENT)),
    "mine": TRUTH,
    "may": shape("What the caller may", change=TRUTH, results=TRUTH),
}
_BAND = shape(
    rare=("covered",),
    name=TEXT,
    did=said(maybe(TEXT), "Publisher DID: a value of ID; null of alerts, whose bands are values of FILTER"),
    em_min_m=said(NUMBER, "Shortest wavelength, metres"),
    em_max_m=NUMBER,
    images=WHOLE,
    alerts=WHOLE,
    hips=said(maybe(TEXT), "Path of its HiPS, below the root"),
    covered=said(TRUTH, "Whether it has an image at POS"),
)
_RECIPE_NUMBERS = ("q", "softening", "contrast", "saturation", "stretch", "variant", "unit")
_RECIPE = shape(
    rare=_RECIPE_NUMBERS,
    name=TEXT,
    version=WHOLE,
    algorithm=one_of("grey", "lupton", "stiff"),
    bands=many(TEXT, "Red, green and blue; of grey those that it is for"),
    q=NUMBER,
    softening=NUMBER,
    contrast=NUMBER,
    saturation=NUMBER,
    stretch=TEXT,
    variant=TEXT,
    unit=TEXT,
)
_STATES = ("ok", "limited", "down", "off", "unknown")
_VERDICTS = ("covered", "partial", "outside", "no_rights", "band_missing", "rejected", "unknown")

SCHEMAS: Mapping[str, Schema] = {
    "Error": shape(
        "What a client is told where there is no result",
        error=said(TEXT, "Label: UsageError, AuthorizationError, …; /help#errors tells what each means"),
        status=WHOLE,
        faults=many(shape(message=TEXT, fix=said(TEXT, "What to do instead, or nothing"))),
        request_id=TEXT,
    ),
    "Survey": shape(
        name=TEXT,
        title=TEXT,
        description=TEXT,
        credit=TEXT,
        kind=one_of("coadd", "exposures", "alerts"),
        did=TEXT,
        public=said(TRUTH, "Whether it is open to everybody"),
        pixel_scale_arcsec=maybe(NUMBER),
        images=WHOLE,
        alerts=WHOLE,
        area_deg2=NUMBER,
        center=maybe(many(NUMBER, "RA and Dec of some image")),
        bands=many(_BAND),
        recipes=many(_RECIPE),
        moc=said(TEXT, "Path of its coverage, below the root"),
        hips=maybe(TEXT),
        stamps=many(
            shape(name=TEXT, did=said(TEXT, "A value of ID in a list, whose rows name alerts or objects"))
        ),
        example=said(maybe(TEXT), "Of a survey of alerts: path of a picture of an object of it"),
    ),
    "Surveys": shape(surveys=many(ref("Survey")), limits=by_name(NUMBER, "How much may be asked for")),
    "Place": shape(
        ra=said(NUMBER, "ICRS degrees"),
        dec=NUMBER,
        decimal=TEXT,
        sexagesimal=TEXT,
        galactic=many(NUMBER, "Longitude and latitude, degrees"),
        constellation=TEXT,
        understood=one_of("equatorial", "galactic", "name"),
    ),
    "Quota": shape(
        account=TEXT,
        quotas=many(
            shape(
                subject=TEXT,
                kind=one_of("cutouts", "cpu_s", "bytes", "jobs"),
                used=NUMBER,
                reserved=said(NUMBER, "By jobs that have not ended"),
                limit=maybe(NUMBER),
                left=maybe(NUMBER),
                resets=maybe(MOMENT),
            )
        ),
        rows_of_a_job=shape(limit=maybe(NUMBER)),
        rate=maybe(shape(limit=NUMBER, seconds=NUMBER, at_once=NUMBER)),
        **{"class": TEXT},
    ),
    "Queues": shape(
        queues=many(
            shape(
                queue=TEXT,
                jobs=WHOLE,
                running_tasks=WHOLE,
                workers=WHOLE,
                oldest_wait_s=NUMBER,
                paused=maybe(shape(since=MOMENT, reason=TEXT)),
                places=many(
                    shape(
                        rare=("job_id", "url"),
                        place=WHOLE,
                        rows=maybe(WHOLE),
                        waited_s=NUMBER,
                        own=TRUTH,
                        job_id=said(TEXT, "Of one's own"),
                        url=URL,
                        **{"class": TEXT},
                    )
                ),
            )
        )
    ),
    "Status": shape(
        state=one_of(*_STATES),
        checked=said(maybe(MOMENT), "When it was found out"),
        age_s=maybe(NUMBER),
        version=TEXT,
        parts=many(
            shape(name=TEXT, title=TEXT, state=one_of(*_STATES), since=MOMENT, note=said(TEXT, "In English"))
        ),
        announcements=many(shape(level=one_of("note", "warning"), text=TEXT)),
    ),
    "Ways": shape(
        anonymous=said(TRUTH, "Whether those who do not sign in are let in"),
        ways=many(shape(label=TEXT, title=TEXT, kind=one_of("password", "elsewhere"), url=URL)),
    ),
    "Account": shape(
        rare=("title", "email"),
        account=TEXT,
        title=TEXT,
        email=TEXT,
        actor=TEXT,
        way=TEXT,
        scopes=many(TEXT),
        groups=many(TEXT),
        share=NUMBER,
        admin=TRUTH,
        **{"class": TEXT},
    ),
    "Token": shape(
        rare=("token",),
        id=TEXT,
        title=TEXT,
        scopes=many(one_of("read", "submit", "admin")),
        created=MOMENT,
        expires=MOMENT,
        used=maybe(MOMENT),
        token=said(TEXT, "The token itself: told once, when it is made"),
    ),
    "Tokens": shape(tokens=many(ref("Token"))),
    "Job": shape("A job, as lists have it", **_JOB),
    "WholeJob": shape(
        "A job with what it was asked for, and what it has given",
        **_JOB,
        parameters=many(shape(name=TEXT, value=TEXT, byReference=TRUTH, url=URL)),
        results=many(shape(id=TEXT, url=URL, mediaType=maybe(TEXT), size=maybe(WHOLE))),
    ),
    "Jobs": shape(
        jobs=many(ref("Job")), next=maybe(URL), counts=by_name(WHOLE, "Jobs of each phase, all together")
    ),
    "Event": shape(seq=WHOLE, at=MOMENT, kind=TEXT, data=by_name(ANYTHING)),
    "Events": shape(events=many(ref("Event")), job=ref("Job"), next=maybe(URL)),
    "News": shape(
        jobs=many(ref("Job")),
        gone=many(TEXT, "Ids of those that were deleted"),
        reset=said(TRUTH, "Whether too much has happened since: read the list anew"),
        cursor=said(TEXT, "For AFTER of the next request"),
    ),
    "Ledger": shape(
        job=URL,
        phase=one_of(*PHASES),
        total=maybe(WHOLE),
        ended=WHOLE,
        next=maybe(URL),
        rows=many(by_name(ANYTHING, "Columns: /help#manifest")),
    ),
    "Causes": shape(
        statuses=by_name(WHOLE, "Rows of each status"),
        failures=WHOLE,
        causes=many(
            shape(
                key=TEXT,
                kind=TEXT,
                text=TEXT,
                rows=WHOLE,
                messages=many(shape(message=TEXT, rows=WHOLE)),
                samples=many(shape(row=WHOLE, id=maybe(TEXT))),
            )
        ),
    ),
    "Header": shape(
        hdus=many(
            shape(
                number=WHOLE,
                name=TEXT,
                kind=TEXT,
                shape=maybe(many(WHOLE)),
                cards=many(shape(keyword=TEXT, value=ANYTHING, comment=TEXT)),
            )
        )
    ),
    "Estimate": shape(
        "What a request would come to",
        rare=("row_verdicts",),
        rows=by_name(WHOLE, "total; of lists also ok, warned, rejected, targets"),
        verdicts=by_name(WHOLE, f"Rows of each verdict: {', '.join(_VERDICTS)}"),
        columns=maybe(
            many(
                shape(
                    "A column of the table of targets",
                    name=TEXT,
                    unit=maybe(TEXT),
                    ucd=maybe(TEXT),
                    found_by=maybe(TEXT),
                    values=many(ANYTHING),
                    **{"as": said(maybe(TEXT), "What it is taken for")},
                )
            )
        ),
        faults=many(
            shape(
                "What is wrong with a row",
                row=maybe(WHOLE),
                line=maybe(WHOLE),
                kind=one_of("warning", "error"),
                reason=TEXT,
            )
        ),
        more_faults=WHOLE,
        images=WHOLE,
        cutouts=WHOLE,
        bytes=WHOLE,
        seconds=maybe(shape(p50=NUMBER, p90=NUMBER, runs=said(WHOLE, "Past runs that it rests on"))),
        queue=maybe(shape(position=WHOLE, start=MOMENT, end=MOMENT, workers=WHOLE)),
        expiry=MOMENT,
        limits=by_name(maybe(NUMBER)),
        quota=many(
            shape(
                subject=TEXT,
                kind=TEXT,
                limit=maybe(NUMBER),
                needed=NUMBER,
                left=maybe(NUMBER),
                left_after=maybe(NUMBER),
            )
        ),
        sync=said(maybe(TEXT), "URL that gives it at once"),
        not_sync=said(maybe(TEXT), "Why there is none"),
        refused=maybe(shape(label=TEXT, sentence=TEXT, fix=TEXT)),
        nearest=said(maybe(by_name(TEXT)), "The nearest request that is taken"),
        row_verdicts=by_name(ANYTHING, "With VERDICTS=true: columns of equal length"),
        **{"async": said(maybe(TEXT), "Command that makes a job of it")},
    ),
    "Acted": shape(
        act=TEXT,
        done=many(TEXT, "Ids"),
        refused=many(shape(id=TEXT, why=TEXT, fix=TEXT)),
        made=many(TEXT, "Ids of jobs that came of it"),
        links=by_name(TEXT),
    ),
    "Link": shape(url=URL, until=MOMENT),
}
