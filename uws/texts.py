"""What single resources of a job say (section 2.2.1): each is one text."""

from __future__ import annotations

from dali.errors import NotFound
from uws.job import Job
from uws.moment import format_moment


def phase(job: Job) -> str:
    """Tell the phase."""
    return job.phase


def duration(job: Job) -> str:
    """Tell for how long it may run, in seconds."""
    return str(job.execution_duration_s)


def destruction(job: Job) -> str:
    """Tell when it is destroyed."""
    return format_moment(job.destruction_ms)


def quote(job: Job) -> str:
    """Tell when it is expected to end."""
    return "" if job.quote_ms is None else format_moment(job.quote_ms)


def owner(job: Job) -> str:
    """Tell whose it is."""
    return job.owner


def error(job: Job) -> str:
    """Give the whole error (DALI 1.1, section 4.2)."""
    if job.error is None:
        raise NotFound(f"the job has no error; it is {job.phase}")
    return "\n".join(line for line in (job.error.message, job.error.detail) if line)
