"""What happened to a job, told in sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from portal import figures
from portal.words import gettext as _
from uws.store.everybody import EventLine

#: Further ones are not told; the newest are.
MOST = 60


@dataclass(frozen=True, slots=True)
class Told:
    """Something that happened.

    Parameters
    ----------
    at_ms
        When.
    text
        A sentence.
    job_id
        Another job that it is about, "" for none.
    times
        So often, one after the other.
    """

    at_ms: int
    text: str
    job_id: str = ""
    times: int = 1


def story(events: Iterable[EventLine]) -> list[Told]:
    """Tell of events, which come the newest first; those of one kind in a row are told as one."""
    told: list[Told] = []
    kinds: list[str] = []
    for event in events:
        text, job_id = _sentence(event)
        is_again = bool(kinds) and kinds[-1] == event.kind and event.kind in ("rows", "download")
        if is_again:
            last = told[-1]
            told[-1] = Told(last.at_ms, last.text, last.job_id, last.times + 1)
            continue
        told.append(Told(event.at_ms, text, job_id))
        kinds.append(event.kind)
    return told[:MOST]


def _sentence(event: EventLine) -> tuple[str, str]:
    data = event.data
    if event.kind == "phase":
        parent = str(data.get("parent", ""))
        return _phase(str(data.get("phase", ""))) if not parent else _(
            "Made to do what is missing of"
        ), parent
    if event.kind == "retry":
        return _("What was missing is done by"), str(data.get("child", ""))
    tell = _SENTENCES.get(event.kind)
    return (tell(data) if tell else event.kind), ""


def _phase(phase: str) -> str:
    return {
        "PENDING": _("Made, and not started yet."),
        "QUEUED": _("Put into the queue."),
        "EXECUTING": _("Started."),
        "COMPLETED": _("Done."),
        "ERROR": _("Failed."),
        "ABORTED": _("Aborted."),
    }.get(phase, phase)


def _rows(data: Mapping[str, Any]) -> str:
    ended, total = figures.count(data.get("ended", 0)), figures.count(data.get("total", 0))
    return _("{ended} of {total} rows had ended.").format(ended=ended, total=total)


_SENTENCES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "rows": _rows,
    "download": lambda data: _("Result {name} was downloaded.").format(name=data.get("result", "")),
    "priority": lambda data: _("Its priority was changed."),
    "created": lambda data: _("Made."),
    "parameters": lambda data: _("Its parameters were changed."),
    "destruction": lambda data: _("It is kept until another day."),
    "duration": lambda data: _("It may run for another time."),
    "shared": lambda data: _("Whom it is shared with was changed."),
    "notices": lambda data: _("Who is told of it was changed."),
    "link": lambda data: _("A link was made by which it can be seen."),
    "unlink": lambda data: _("Its link was taken back."),
}
