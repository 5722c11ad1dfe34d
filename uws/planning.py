"""What a job comes to, before it is stored: its plan or what is wrong with it, and how long it will wait."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dali.errors import ProtocolError, ServerError, ServiceUnavailable
from dali.parameters import Parameters
from uws.job import Caller, JobError
from uws.jobtype import JobPlan, JobRefused, JobTypes, UploadSource
from uws.phase import Phase
from uws.settings import JobSettings
from uws.store.jobs import Jobs


@dataclass(frozen=True, slots=True)
class Planned:
    """What a job comes to.

    Parameters
    ----------
    start
        Its plan, or why it would end in ERROR.
    wait_s
        So long the work before it takes.
    """

    start: JobPlan | JobError
    wait_s: float = 0.0

    @property
    def fault(self) -> JobError | None:
        """What is wrong with the parameters."""
        return self.start if isinstance(self.start, JobError) else None

    @property
    def seconds(self) -> float | None:
        """How long the work takes, None while that is unknown."""
        return self.start.seconds if isinstance(self.start, JobPlan) else None

    @property
    def phase(self) -> Phase:
        """What the job becomes when it is run; one without rows has nothing to wait for."""
        if isinstance(self.start, JobError):
            return Phase.ERROR
        return Phase.QUEUED if self.start.has_work else Phase.COMPLETED


class Planner:
    """Plans jobs.

    Parameters
    ----------
    jobs
        Those that go before.
    types
        The kinds of jobs.
    settings
        How many workers there are.
    """

    def __init__(self, jobs: Jobs, types: JobTypes, settings: JobSettings) -> None:
        self._jobs = jobs
        self._types = types
        self._settings = settings

    def plan(
        self,
        job_type: str,
        parameters: Parameters,
        caller: Caller,
        uploads: Mapping[str, UploadSource] = {},
    ) -> Planned:
        """Plan a job, or say what is wrong with its parameters.

        Raises
        ------
        JobRefused
            If a limit forbids it.
        ServiceUnavailable, ServerError
            If that cannot be told now.
        """
        try:
            return self.plan_right(job_type, parameters, caller, uploads)
        except (JobRefused, ServiceUnavailable, ServerError):
            raise
        except ProtocolError as fault:
            return Planned(JobError.of(fault))

    def plan_right(
        self,
        job_type: str,
        parameters: Parameters,
        caller: Caller,
        uploads: Mapping[str, UploadSource] = {},
    ) -> Planned:
        """Plan a job whose parameters must be right.

        Raises
        ------
        ProtocolError
            If they are not.
        """
        kind = self._types[job_type]
        plan = kind.plan(kind.parse(parameters, caller, uploads))
        return Planned(plan, self._jobs.backlog_s(plan.lane) / max(1, self._settings.workers))
