"""What is said of jobs with which something cannot be done, and of those that are not there."""

from __future__ import annotations

from collections.abc import Collection

from dali.caller import TIERS, Caller
from dali.errors import NotFound, UsageError, quoted
from uws.job import Job
from uws.phase import Phase


def owner_of(job: Job) -> Caller:
    """Tell whose job it is, as far as the job knows."""
    return Caller(job.owner, actor=job.actor, tier=TIERS[job.rank], rank=job.rank, share=job.share)


def require_pending(job: Job, what: str) -> None:
    """See that a job waits to be run.

    Raises
    ------
    UsageError
        If not.
    """
    if job.phase is not Phase.PENDING:
        raise illegal(job, what, (Phase.PENDING,))


def illegal(job: Job, what: str, phases: Collection[Phase]) -> UsageError:
    """Say that a job is in no phase for this (section 2.2: 403)."""
    expected = " or ".join(phase for phase in Phase if phase in phases)
    return UsageError(f"{what} of a job in {expected} only; this one is {job.phase}", status=403)


def missing(job_id: str) -> NotFound:
    """Say that there is no such job."""
    return NotFound(f"there is no job {quoted(job_id)}", "It may have been deleted, or destroyed.")


def nothing_missing(job: Job) -> UsageError:
    """Say that there is nothing to be done again of a job."""
    if job.counts.total:
        sentence = f"nothing is missing of this job: of its {job.counts.total} rows none has failed"
        if job.counts.failed or job.counts.poison:
            sentence = "nothing of this job can be tried again: its rows were refused before they were begun"
        return UsageError(sentence, "Its results are at /results.", status=403)
    return UsageError(
        "nothing of this job was begun, so there is nothing to try again",
        "Make a new job, with parameters that its error asks for.",
        status=403,
    )
