"""A job as JSON. Moments are texts in UTC, as in the documents of UWS; what is not known is null."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from uws.job import Job, JobError, Parameter, ResultRef
from uws.moment import format_moment
from uws.phase import TERMINAL, Phase
from uws.queue.board import Place

#: Of what was expected of a job these are told.
_EXPECTED = ("p50_s", "p90_s", "start_s", "rows", "bytes", "runs")


def progress_value(job: Job) -> dict[str, Any]:
    """Tell how far a job is."""
    counts = job.counts
    return {
        "phase": job.phase,
        "total": counts.total,
        "done": counts.done,
        "empty": counts.empty,
        "failed": counts.failed,
        "poison": counts.poison,
        "bytes": job.bytes_out,
    }


def job_value(job: Job, job_url: str, now_ms: int, *, has_ledger: bool = False) -> dict[str, Any]:
    """Tell what a job is to whoever looks at it.

    Parameters
    ----------
    job
        The job; its parameters are not told.
    job_url
        Its URL, without a slash at the end.
    now_ms
        Now, by the clock of the job.
    has_ledger
        Its rows are told too.
    """
    return {
        "id": job.job_id,
        "url": job_url,
        "label": job.run_id,
        "type": job.type,
        "owner": job.owner or None,
        "actor": job.actor or None,
        "sharedWith": list(job.shared_with),
        "lane": job.lane,
        "created": format_moment(job.created_ms),
        "queued": _moment(job.queued_ms),
        "started": _moment(job.started_ms),
        "ended": _moment(job.ended_ms),
        "destruction": format_moment(job.destruction_ms),
        "quote": _moment(job.quote_ms),
        "expectedEnd": _moment(expected_end_ms(job, now_ms)),
        "executionDuration": job.execution_duration_s,
        **progress_value(job),
        "rate": _rate(job, now_ms),
        "packaged": job.packaged,
        "parent": job.parent_id or None,
        "estimate": _estimate(job),
        "actual": _actual(job),
        "error": _error(job.error),
        "fault": _error(job.fault),
        "ledger": f"{job_url}/ledger" if has_ledger else None,
        "notify": _told_by(job.notify or {}),
        "surveys": list(dict.fromkeys(_surveys(job.sources))),
        "seq": job.event_seq,
        "place": None,
        "link": None,
    }


def parameters_value(parameters: Iterable[Parameter], job_url: str) -> list[dict[str, Any]]:
    """Tell what a job was asked for; a file by its name and its URL."""
    return [
        {
            "name": parameter.name,
            "value": parameter.value,
            "byReference": parameter.by_reference,
            "url": f"{job_url}/parameters/{quote(parameter.name, safe='')}",
        }
        for parameter in parameters
    ]


def results_value(refs: Iterable[ResultRef], job_url: str) -> list[dict[str, Any]]:
    """Tell what a job has given so far."""
    return [
        {
            "id": ref.result_id,
            "url": f"{job_url}/results/{quote(ref.result_id, safe='')}",
            "mediaType": ref.media_type,
            "size": ref.size,
        }
        for ref in refs
    ]


def place_value(job: Job, place: Place) -> dict[str, Any]:
    """Tell where a job waits, when it begins and ends, and why it has not begun."""
    end_ms, estimate = None, job.estimate or {}
    if place.start_ms is not None and "p50_s" in estimate:
        lasts_s = max(0.0, estimate["p50_s"] - estimate.get("start_s", 0.0))
        end_ms = place.start_ms + int(lasts_s * 1000)
    return {
        "position": place.place,
        "jobs": place.jobs,
        "class": place.tier,
        "start": _moment(place.start_ms),
        "end": _moment(end_ms),
        "reason": place.reason,
    }


def expected_end_ms(job: Job, now_ms: int) -> int | None:
    """Tell when a job ends: one that runs by how fast it is, one that waits by what was expected of it."""
    counts = job.counts
    if job.phase is Phase.EXECUTING and job.started_ms is not None and counts.ended:
        return now_ms + max(1, now_ms - job.started_ms) * (counts.total - counts.ended) // counts.ended
    if job.phase in TERMINAL or job.queued_ms is None or job.estimate is None:
        return None
    end_ms = job.queued_ms + int(job.estimate["p50_s"] * 1000)
    return end_ms if end_ms > now_ms else None


def _rate(job: Job, now_ms: int) -> float | None:
    """Rows in a second."""
    if job.started_ms is None or not job.counts.ended:
        return None
    return round(job.counts.ended * 1000 / max(1, (job.ended_ms or now_ms) - job.started_ms), 3)


def _estimate(job: Job) -> dict[str, Any] | None:
    told = job.estimate
    return None if told is None else {name: told[name] for name in _EXPECTED if name in told}


def _actual(job: Job) -> dict[str, Any] | None:
    """Tell what came of a job, in the words of its estimate."""
    if job.phase is not Phase.COMPLETED or job.queued_ms is None:
        return None
    if job.started_ms is None or job.ended_ms is None:
        return None
    return {
        "end_s": (job.ended_ms - job.queued_ms) / 1000,
        "start_s": (job.started_ms - job.queued_ms) / 1000,
        "rows": job.counts.ended,
        "bytes": job.bytes_out,
    }


def _error(error: JobError | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {"message": error.message, "detail": error.detail, "transient": error.transient}


def _told_by(notify: Mapping[str, Any]) -> list[str]:
    # Of a URL the host alone: the rest may be secret, and others may see the job.
    return [(urlsplit(url).hostname or "") if way == "webhook" else way for way, url in notify.items()]


def _surveys(sources: Iterable[str]) -> Iterable[str]:
    """Name what pixels are of, without what of it; see `JobPlan.sources`."""
    return (source.partition("#")[0].partition("/")[0] for source in sources)


def _moment(moment_ms: int | None) -> str | None:
    return None if moment_ms is None else format_moment(moment_ms)
