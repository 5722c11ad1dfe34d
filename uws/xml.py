"""Documents of UWS 1.1, valid against its schema, as clients of every kind read them.

The prefixes are literally ``uws`` and ``xlink``: some clients look for those letters. Elements stand in the
order of the schema; what is not known is nil. What is ours stands in jobInfo, in a namespace of our own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any
from urllib.parse import quote, urlsplit

from lxml import etree

from uws.job import Job, JobError, JobRef, Parameter, ResultRef
from uws.moment import format_moment
from uws.phase import Phase
from uws.queue.board import Place

MEDIA_TYPE = "application/xml"
VERSION = "1.1"

UWS = "http://www.ivoa.net/xml/UWS/v1.0"
XLINK = "http://www.w3.org/1999/xlink"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
#: Namespace of what jobInfo tells.
JOBINFO = "urn:sodafountain:jobinfo:1.0"

_NAMESPACES = {"uws": UWS, "xlink": XLINK, "xsi": XSI}
_NIL = f"{{{XSI}}}nil"
_TYPE, _HREF = f"{{{XLINK}}}type", f"{{{XLINK}}}href"
# Whatever XML 1.0 does not have, not even escaped.
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_REPLACEMENT = "\ufffd"


def jobs_document(refs: Iterable[JobRef], list_url: str) -> bytes:
    """List of jobs (section 2.2.2.1)."""
    root = _root("jobs", version=VERSION)
    for ref in refs:
        element = etree.SubElement(root, f"{{{UWS}}}jobref", {"id": ref.job_id})
        element.set(_TYPE, "simple")
        element.set(_HREF, f"{list_url}/{ref.job_id}")
        _add(element, "phase", ref.phase)
        if ref.run_id:
            _add(element, "runId", ref.run_id)
        _add(element, "ownerId", ref.owner or None)
        _add(element, "creationTime", format_moment(ref.created_ms))
    return _written(root)


def job_document(
    job: Job,
    results: Iterable[ResultRef],
    job_url: str,
    now_ms: int,
    ledger_url: str = "",
    place: Place | None = None,
) -> bytes:
    """Write a job (section 2.2.2.2).

    Parameters
    ----------
    job
        The job.
    results
        Its results so far.
    job_url
        Its URL, without a slash at the end.
    now_ms
        Now, by the clock of the job.
    ledger_url
        Where its rows are told; "" for a job that has results only.
    place
        Where it waits, if it does.
    """
    root = _root("job", version=VERSION)
    _add(root, "jobId", job.job_id)
    if job.run_id:
        _add(root, "runId", job.run_id)
    _add(root, "ownerId", job.owner or None)
    _add(root, "phase", job.phase)
    _add(root, "quote", _moment(job.quote_ms))
    _add(root, "creationTime", format_moment(job.created_ms))
    _add(root, "startTime", _moment(job.started_ms))
    _add(root, "endTime", _moment(job.ended_ms))
    _add(root, "executionDuration", str(job.execution_duration_s))
    _add(root, "destruction", _moment(job.destruction_ms))
    _add_parameters(etree.SubElement(root, f"{{{UWS}}}parameters"), job.parameters, job_url)
    etree.SubElement(root, f"{{{UWS}}}results")
    if job.error is not None:
        _add_error(root, job.error)
    _add_info(root, job, now_ms, ledger_url, job_url.rpartition("/")[0], place)
    return _with_results(_written(root), results, job_url)


def parameters_document(parameters: Iterable[Parameter], job_url: str) -> bytes:
    """Parameters of a job, one element for each value (section 2.2.2.4)."""
    root = _root("parameters")
    _add_parameters(root, parameters, job_url)
    return _written(root)


def results_document(results: Iterable[ResultRef], job_url: str) -> bytes:
    """Results of a job (section 2.2.2.3)."""
    return _with_results(_written(_root("results")), results, job_url)


def _root(tag: str, **attributes: str) -> etree._Element:
    return etree.Element(f"{{{UWS}}}{tag}", attributes, nsmap=_NAMESPACES)


def _written(root: etree._Element) -> bytes:
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def _add(parent: etree._Element, tag: str, text: str | None) -> None:
    """Add an element of the schema: nil if there is no text."""
    element = etree.SubElement(parent, f"{{{UWS}}}{tag}")
    if text is None:
        element.set(_NIL, "true")
    else:
        element.text = _legal(text)


def _add_parameters(parent: etree._Element, parameters: Iterable[Parameter], job_url: str) -> None:
    for parameter in parameters:
        element = etree.SubElement(parent, f"{{{UWS}}}parameter", {"id": _legal(parameter.name)})
        # The schema: a value that XML cannot hold is given by its URL.
        if parameter.by_reference or _ILLEGAL.search(parameter.value):
            element.set("byReference", "true")
            element.text = f"{job_url}/parameters/{quote(parameter.name, safe='')}"
        else:
            element.text = parameter.value


def _with_results(document: bytes, results: Iterable[ResultRef], job_url: str) -> bytes:
    """Fill in the results, as text: a job may have thousands, and each poll shows them all."""
    base = escape(f"{job_url}/results/")
    lines = [
        f'    <uws:result id="{escape(ref.result_id)}" xlink:type="simple" '
        f'xlink:href="{base}{quote(ref.result_id, safe="")}" '
        f'{_sized(ref)}mime-type="{escape(ref.media_type)}"/>\n'
        for ref in results
    ]
    # Whatever clients said was escaped, so the first empty element `results` is the one.
    before, start, after = document.partition(b"<uws:results")
    attributes, _, rest = after.partition(b"/>")
    if not lines:
        return document
    return b"".join((before, start, attributes, b">\n", "".join(lines).encode(), b"  </uws:results>", rest))


def _sized(ref: ResultRef) -> str:
    return "" if ref.size is None else f'size="{ref.size}" '


def _add_error(root: etree._Element, error: JobError) -> None:
    kind = "transient" if error.transient else "fatal"
    detail = "true" if error.detail else "false"
    element = etree.SubElement(root, f"{{{UWS}}}errorSummary", {"type": kind, "hasDetail": detail})
    _add(element, "message", error.message)


def _add_info(
    root: etree._Element, job: Job, now_ms: int, ledger_url: str, list_url: str, place: Place | None
) -> None:
    """Add how far the job is, or what is wrong with the parameters of one in PENDING; else nothing."""
    told = (job.fault, job.estimate, job.counts.total, ledger_url, job.parent_id, place, job.notify)
    if not (any(told) or job.actor or job.shared_with):
        return
    info = etree.SubElement(root, f"{{{UWS}}}jobInfo")
    if job.fault is not None:
        label, _, sentence = job.fault.message.partition(": ")
        fault = _add_own(info, "fault", label=label)
        _add_own(fault, "sentence", sentence)
        if job.fault.detail:
            _add_own(fault, "fix", job.fault.detail)
    if place is not None:
        _add_place(info, place)
    if job.counts.total:
        _add_progress(info, job, now_ms)
    if ledger_url:
        _add_own(info, "ledger", ledger_url)
    if job.estimate is not None:
        _add_estimate(info, job, job.estimate)
    for channel, url in (job.notify or {}).items():
        # Of a URL the host alone: the rest may be secret, and others may see the job.
        _add_own(info, "notify", urlsplit(url).hostname if channel == "webhook" else channel)
    if job.parent_id:
        _add_own(info, "parent", f"{list_url}/{job.parent_id}")
    if job.actor:
        _add_own(info, "actor", job.actor)
    for group in job.shared_with:
        _add_own(info, "sharedWith", group)


def _add_place(info: etree._Element, place: Place) -> None:
    """Add where a job waits, when it begins, and why it has not."""
    told = {"lane": place.lane, "place": str(place.place), "jobs": str(place.jobs), "class": place.tier}
    element = _add_own(info, "queue", **told)
    if place.start_ms is not None:
        _add_own(element, "start", format_moment(place.start_ms))
    _add_own(element, "reason", place.reason)


def _add_progress(info: etree._Element, job: Job, now_ms: int) -> None:
    counts = job.counts
    numbers = {name: str(getattr(counts, name)) for name in ("total", "done", "empty", "failed", "poison")}
    _add_own(info, "rows", **numbers)
    if job.packaged:
        _add_own(info, "bytes", str(job.bytes_out))
    if job.started_ms is None or not counts.ended:
        return
    lasted_ms = max(1, (job.ended_ms or now_ms) - job.started_ms)
    _add_own(info, "rate", f"{counts.ended * 1000 / lasted_ms:.3f}", unit="rows/s")
    if job.phase is Phase.EXECUTING:
        left_ms = lasted_ms * (counts.total - counts.ended) // counts.ended
        _add_own(info, "estimatedEnd", format_moment(now_ms + left_ms))


def _add_estimate(info: etree._Element, job: Job, estimate: Mapping[str, Any]) -> None:
    """Add what was expected of a job when it was queued and, once it is done, what came of it."""
    told = {name: str(estimate[name]) for name in ("rows", "bytes", "runs") if name in estimate}
    element = _add_own(info, "estimate", unit="s", **told)
    for name in ("p50", "p90", "start"):
        if (seconds := estimate.get(f"{name}_s")) is not None:
            _add_own(element, name, f"{seconds:.3f}")
    if job.phase is Phase.COMPLETED and None not in (job.queued_ms, job.started_ms, job.ended_ms):
        queued_ms = job.queued_ms or 0
        actual = _add_own(info, "actual", unit="s", rows=str(job.counts.ended), bytes=str(job.bytes_out))
        _add_own(actual, "end", f"{((job.ended_ms or 0) - queued_ms) / 1000:.3f}")
        _add_own(actual, "start", f"{((job.started_ms or 0) - queued_ms) / 1000:.3f}")


def _add_own(parent: etree._Element, tag: str, text: str | None = None, **attributes: str) -> etree._Element:
    element = etree.SubElement(parent, f"{{{JOBINFO}}}{tag}", attributes, nsmap={"job": JOBINFO})
    if text is not None:
        element.text = _legal(text)
    return element


def _moment(moment_ms: int | None) -> str | None:
    return None if moment_ms is None else format_moment(moment_ms)


def _legal(text: str) -> str:
    return _ILLEGAL.sub(_REPLACEMENT, text)
