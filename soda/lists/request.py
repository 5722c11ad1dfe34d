"""From the parameters a client sent with a table of targets to a `ListRequest`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from dali.caller import ANONYMOUS, Caller
from dali.errors import UsageError, quoted
from dali.parameters import Parameters, parse_max_records, parse_run_id, refuse_unknown
from soda.lists.levels import JobLevel, parse_radius
from soda.params import parse_box_size, parse_dataset, parse_media_type
from soda.reader import Reader
from soda.table import JOB_PARAMETERS
from soda.targets import ColumnMapping, parse_mapping
from surveys.identifiers import Identifiers
from surveys.sky.stencil import Size
from uws.jobtype import UploadSource

OnBad = Literal["skip", "fail"]
ON_BAD: tuple[OnBad, ...] = ("skip", "fail")

#: What the table of targets is called in UPLOAD.
TABLE = "targets"

_REGIONS = ("POS", "CIRCLE", "POLYGON", "CENTER")
_NAMES = tuple(p.name for p in JOB_PARAMETERS if p.name not in _REGIONS)
#: What says something of the list, and nothing of its products.
_OWN = ("UPLOAD", "COLUMNS", "ONBAD", "ID", "SIZE", "RADIUS", "RESPONSEFORMAT", "RUNID", *_REGIONS)
_WITHOUT_EFFECT = ("REQUEST", "VERSION", "MAXREC")
_KNOWN = frozenset((*_NAMES, *_REGIONS, *_WITHOUT_EFFECT))


@dataclass(frozen=True, slots=True)
class ListRequest:
    """What is asked of many targets.

    Parameters
    ----------
    upload
        Their table.
    mapping
        Which of its columns are which, as far as the client says so.
    on_bad
        What becomes of the job where some targets cannot be read.
    job
        Settings of all of them.
    run_id
        The client's RUNID, "" for none.
    caller
        Who asks.
    """

    upload: UploadSource
    mapping: ColumnMapping
    on_bad: OnBad
    job: JobLevel
    run_id: str
    caller: Caller = ANONYMOUS


def is_list(parameters: Parameters) -> bool:
    """Whether a job is asked for many targets."""
    return "UPLOAD" in parameters.values


def refuse_without_list(parameters: Parameters) -> None:
    """Refuse parameters that belong to a table of targets, where there is none.

    Raises
    ------
    UsageError
        With every such parameter.
    """
    if given := [name for name in ("COLUMNS", "ONBAD", "RADIUS") if name in parameters.values]:
        belong = "belongs" if len(given) == 1 else "belong"
        raise UsageError(
            f"{', '.join(given)} {belong} to a table of targets, and there is no UPLOAD",
            "Send the table too: UPLOAD=targets,param:t, and the file as the part t of a multipart request.",
        )


def parse_list(
    parameters: Parameters, identifiers: Identifiers, uploads: Mapping[str, UploadSource]
) -> ListRequest:
    """Turn parameters into a request for many targets; what is said of products is looked at later.

    Raises
    ------
    UsageError
        With every fault found, in the words of sync.
    """
    read = Reader(parameters, several=True)
    for fault in refuse_unknown(parameters, _KNOWN, _NAMES):
        read.faults.add(fault)
    for name in _REGIONS:
        if read.given(name):
            read.refuse(
                f"{name} beside UPLOAD: each target of the table has a box about its own position",
                f"Leave {name} out, and say the size by SIZE or RADIUS.",
            )
    upload = uploads.get(TABLE)
    if upload is None:
        read.refuse(
            f"UPLOAD names the table {TABLE}; got {quoted(parameters.all('UPLOAD')[0])}",
            f"Write UPLOAD={TABLE},param:t, and send the file as the part t.",
        )
    size = _size(read)
    formats = parameters.all("RESPONSEFORMAT")
    read.each("RESPONSEFORMAT", parse_media_type)
    datasets = read.each("ID", lambda did: parse_dataset(did, identifiers))
    mapping = read.faults.attempt(lambda: parse_mapping(parameters.all("COLUMNS")))
    on_bad = read.word("ONBAD", ON_BAD)
    run_id = read.one("RUNID", parse_run_id) or ""
    read.one("MAXREC", parse_max_records)
    read.faults.raise_any()
    if upload is None or mapping is None:
        raise UsageError("the table of targets is missing")
    options = {
        name: texts
        for name, texts in parameters.values.items()
        if name not in _OWN and name not in _WITHOUT_EFFECT
    }
    job = JobLevel(_different(datasets), size, _different(formats), Parameters(options))
    return ListRequest(upload, mapping, on_bad, job, run_id)


def _size(read: Reader) -> Size | None:
    if read.given("SIZE") and read.given("RADIUS"):
        read.refuse("SIZE and RADIUS each are a size; one is taken", "Send one of them.")
    parse: Callable[[str], Size] = parse_radius if read.given("RADIUS") else parse_box_size
    return read.one("RADIUS" if read.given("RADIUS") else "SIZE", parse)


def _different(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Leave out what is there twice, in whatever case."""
    found: dict[str, str] = {}
    for text in texts:
        found.setdefault(text.lower(), text)
    return tuple(found.values())
