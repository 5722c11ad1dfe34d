"""A job as its UWS document tells, and waiting for it (UWS 1.1)."""

from __future__ import annotations

import io
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from config.batch.faults import BatchFault, Unreachable
from config.batch.service import Service, parse_xml, shown

#: Namespace of what our jobs tell in jobInfo.
JOBINFO = "urn:sodafountain:jobinfo:1.0"

TERMINAL = ("COMPLETED", "ERROR", "ABORTED", "ARCHIVED")
WAITING = ("PENDING", "QUEUED", "HELD", "SUSPENDED", "UNKNOWN")
#: A service that answers sooner than it was asked to is not asked again before this.
LEAST_PAUSE_S = 1.0
_GRACE_S = 60.0


@dataclass(frozen=True, slots=True)
class Rows:
    """How many rows there are, and what became of how many; `total` is 0 while that is unknown."""

    total: int = 0
    done: int = 0
    empty: int = 0
    failed: int = 0

    @property
    def ended(self) -> int:
        """How many have come to something."""
        return self.done + self.empty + self.failed


@dataclass(frozen=True, slots=True)
class JobState:
    """What a job is just now.

    Parameters
    ----------
    url
        Of the job.
    phase
        In the words of UWS.
    rows
        Of its list, as far as the service tells.
    results
        URL of each result.
    message
        Of its error, or what is wrong with its parameters.
    seconds
        From its start to its end, None before.
    destruction
        When it is destroyed, as it was written.
    """

    url: str
    phase: str
    rows: Rows = Rows()
    results: Mapping[str, str] = field(default_factory=dict)
    message: str = ""
    seconds: float | None = None
    destruction: str = ""

    @property
    def is_over(self) -> bool:
        """Whether nothing more becomes of it."""
        return self.phase in TERMINAL


def read_job(document: bytes, url: str) -> JobState:
    """Read the document of a job.

    Raises
    ------
    BatchFault
        If it is none.

    Notes
    -----
    pyvo reads what UWS has; of jobInfo it keeps no attributes, which have our counts.
    """
    from pyvo.io.uws import parse_job

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            job = parse_job(io.BytesIO(document).read)
        info = parse_xml(document)
    except Exception as error:
        raise BatchFault(f"what is at {shown(url)} is no job of UWS") from error
    if not job.phase:
        raise BatchFault(f"what is at {shown(url)} is no job of UWS")
    return JobState(
        url=url,
        phase=str(job.phase).strip(),
        rows=_rows(info),
        results={result.id_: result.href for result in job.results if result.href},
        message=_message(job, info),
        seconds=_seconds(job),
        destruction=_text(info, "{*}destruction"),
    )


def _rows(info: Any) -> Rows:
    found = info.find(f".//{{{JOBINFO}}}rows")
    if found is None:
        return Rows()
    counts = {name: int(value) for name, value in found.attrib.items() if value.isdigit()}
    return Rows(
        counts.get("total", 0),
        counts.get("done", 0),
        counts.get("empty", 0),
        counts.get("failed", 0) + counts.get("poison", 0),
    )


def _message(job: Any, info: Any) -> str:
    if job.errorsummary is not None and job.errorsummary.message is not None:
        return str(job.errorsummary.message.content or "").strip()
    fault = info.find(f".//{{{JOBINFO}}}fault")
    return "" if fault is None else " ".join(text for child in fault for text in [child.text] if text)


def _text(info: Any, tag: str) -> str:
    return (info.findtext(tag) or "").strip()


def _seconds(job: Any) -> float | None:
    if job.starttime is None or job.endtime is None:
        return None
    return float((job.endtime - job.starttime).sec)


class RemoteJob:
    """A job of a service, by its URL."""

    def __init__(self, service: Service, url: str) -> None:
        self._service = service
        self.url = url.rstrip("/")

    def state(self) -> JobState:
        """Ask what it is now, once."""
        return read_job(self._service.read_once(self.url), self.url)

    def wait(self, told: Callable[[JobState], object], every_s: float) -> JobState:
        """Wait until it is over.

        Parameters
        ----------
        told
            Is told what the job is whenever that is known anew.
        every_s
            How often that is to be; the service is asked to answer sooner if the phase changes.

        Raises
        ------
        Unreachable
            If the service is silent for longer than `Service.patiently` has patience.
        """
        state = self._service.patiently(self.state)
        told(state)
        while not state.is_over:
            began = time.monotonic()
            state = self._service.patiently(partial(self._changed, state.phase, every_s))
            told(state)
            # UWS 1.0 knows no WAIT, and a busy service may not wait either.
            early = min(every_s, LEAST_PAUSE_S) - (time.monotonic() - began)
            if early > 0 and not state.is_over:
                time.sleep(early)
        return state

    def _changed(self, phase: str, most_s: float) -> JobState:
        # WAIT=-1 is as long as the service likes, but progress is to be told meanwhile.
        asked = [("WAIT", f"{max(1, round(most_s))}")]
        if phase not in ("SUSPENDED", "HELD", "UNKNOWN"):
            asked.append(("PHASE", phase))
        try:
            with self._service.get(self.url, asked, timeout_s=(10.0, most_s + _GRACE_S)) as answer:
                return read_job(answer.content, self.url)
        except Unreachable:
            # Something between here and there may not like to wait; a plain question does no harm.
            return self.state()
