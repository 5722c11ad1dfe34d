"""What jobs that have reserved something came to: told by whoever knows jobs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from accounts.quota.kinds import Amounts


@dataclass(frozen=True, slots=True)
class Execution:
    """Cutouts that were made together: those of one task, or those that were made at once within a second.

    Parameters
    ----------
    at_ms
        When the last of them was made, None for now.
    account, actor
        Who asked, and the service that did so for them.
    how
        `sync` or `async`.
    cutouts, failed
        How many were made, and how many could not be.
    images, bytes, seconds, wait_s
        Images that were read, bytes that were made, seconds of work, and how long they waited for it.
    """

    account: str
    how: str
    survey: str
    cutouts: int
    failed: int = 0
    images: int = 0
    bytes: int = 0
    seconds: float = 0.0
    wait_s: float = 0.0
    actor: str = ""
    job_id: str = ""
    at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a job has used that has ended.

    Parameters
    ----------
    used
        Its `jobs` are 0.
    is_kept
        Whether its results are there still.
    executions
        What it has done, task by task.
    """

    used: Amounts
    is_kept: bool
    executions: Sequence[Execution] = ()


class Outcomes(Protocol):
    """Tells what became of jobs."""

    def ended(self, job_ids: Collection[str]) -> Mapping[str, Outcome]:
        """Tell what those have used that have ended; jobs nobody knows have used nothing."""

    def needs(self, job_ids: Collection[str]) -> Mapping[str, Amounts]:
        """Tell what those need that have not ended, as far as it is known by now."""

    def gone(self, job_ids: Collection[str]) -> Collection[str]:
        """Name those whose results are not kept any more."""
