"""The parameters of ``{links}`` (section 2.1)."""

from __future__ import annotations

from dataclasses import dataclass

from dali.errors import Faults, UsageError, quoted
from dali.parameters import Parameters, parse_max_records, parse_run_id, refuse_unknown, refuse_uploads
from dali.votable import MEDIA_TYPE

#: To the letter: clients compare it so.
LINKS_TYPE = f"{MEDIA_TYPE};content=datalink"

#: RESPONSEFORMAT without its parameters, in lower case -> the media type of the answer.
MEDIA_TYPES = {"votable": LINKS_TYPE, MEDIA_TYPE: LINKS_TYPE, "text/xml": "text/xml"}
NAMES = ("ID", "RESPONSEFORMAT", "MAXREC", "RUNID")
_KNOWN = frozenset((*NAMES, "REQUEST", "VERSION", "UPLOAD"))


@dataclass(frozen=True, slots=True)
class LinksRequest:
    """A valid request: the IDs, each once, in the order they came; MAXREC, None where it is not given."""

    ids: tuple[str, ...]
    max_records: int | None
    media_type: str
    run_id: str


def parse_request(parameters: Parameters) -> LinksRequest:
    """Turn parameters into a request. No ID is as good as many (section 2.1.1).

    Raises
    ------
    UsageError
        With every fault found.
    """
    faults = Faults()
    for fault in (*refuse_unknown(parameters, _KNOWN, NAMES), *refuse_uploads(parameters)):
        faults.add(fault)
    media_type = faults.attempt(lambda: _media_type(parameters))
    limit = parameters.all("MAXREC")
    max_records = faults.attempt(lambda: parse_max_records(parameters.one("MAXREC") or "")) if limit else None
    run_id = faults.attempt(lambda: parse_run_id(parameters.one("RUNID") or ""))
    faults.raise_any()
    ids = tuple(dict.fromkeys(parameters.all("ID")))
    return LinksRequest(ids, max_records, media_type or LINKS_TYPE, run_id or "")


def _media_type(parameters: Parameters) -> str:
    text = parameters.one("RESPONSEFORMAT") or MEDIA_TYPE
    media_type = MEDIA_TYPES.get(text.partition(";")[0].strip(" ").lower())
    if media_type is None:
        raise UsageError(f"RESPONSEFORMAT is {', '.join(MEDIA_TYPES)}; got {quoted(text)}")
    return media_type
