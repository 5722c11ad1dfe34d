"""What a job comes to, before it is stored: its plan or what is wrong with it, and when it will end."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dali.caller import Caller
from dali.errors import ProtocolError, ServerError, ServiceUnavailable, told_to
from dali.parameters import Parameters
from uws.forecast import Forecast, Queue, Workload, forecast
from uws.job import JobError, Lane
from uws.jobtype import JobPlan, JobRefused, JobTypes, UploadSource
from uws.pace import Expected, expectation_of, expectation_of_all
from uws.phase import Phase
from uws.settings import JobSettings
from uws.store.jobs import Jobs
from uws.store.pace import USUAL_TASK_S, Paces


@dataclass(frozen=True, slots=True)
class Planned:
    """What a job comes to.

    Parameters
    ----------
    start
        Its plan, with what is expected of it, or why it would end in ERROR.
    """

    start: JobPlan | JobError

    @property
    def fault(self) -> JobError | None:
        """What is wrong with the parameters."""
        return self.start if isinstance(self.start, JobError) else None

    @property
    def seconds(self) -> float | None:
        """How long the work takes, None while that is unknown."""
        return self.start.seconds if isinstance(self.start, JobPlan) else None

    @property
    def estimate(self) -> Mapping[str, Any] | None:
        """What is expected of the job, None while that is unknown."""
        return self.start.estimate if isinstance(self.start, JobPlan) else None

    @property
    def phase(self) -> Phase:
        """What the job becomes when it is run; one without rows has nothing to wait for."""
        if isinstance(self.start, JobError):
            return Phase.ERROR
        return Phase.QUEUED if self.start.has_work else Phase.COMPLETED


@dataclass(frozen=True, slots=True)
class Outlook:
    """When a job would end that is queued now.

    Parameters
    ----------
    forecast
        By what was learned of such work.
    queue
        What goes before it.
    rows, work
        Of the job.
    """

    forecast: Forecast
    queue: Queue
    rows: int
    work: Workload

    def written(self) -> dict[str, Any]:
        """As a job keeps it; times in seconds from when it is queued."""
        told = self.forecast
        return {
            "p50_s": round(told.p50_s, 3),
            "p90_s": round(told.p90_s, 3),
            "start_s": round(told.start_s, 3),
            "runs": told.run.runs,
            "rows": self.rows,
            "bytes": self.work.size,
            "wait_s": told.wait_s,
            "delay_s": told.delay_s,
            "workers": self.queue.workers,
            "work": self.work.to_json(),
        }


class Planner:
    """Plans jobs.

    Parameters
    ----------
    jobs
        Those that go before, and what was learned of those that have been.
    types
        The kinds of jobs.
    settings
        How many workers there are.
    """

    def __init__(self, jobs: Jobs, types: JobTypes, settings: JobSettings) -> None:
        self._paces = Paces(jobs.engine)
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
            return Planned(JobError.of(told_to(fault, caller.name)))

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
        # Some job types know better.
        if plan.estimate is not None or (outlook := self.outlook(job_type, plan, caller.rank)) is None:
            return Planned(plan)
        return Planned(replace(plan, seconds=outlook.forecast.run.work_s, estimate=outlook.written()))

    def outlook(self, job_type: str, plan: JobPlan, rank: int) -> Outlook | None:
        """Tell when a job would end; None where its plan does not say how much work it is."""
        tasks = expectations(job_type, plan)
        if not tasks:
            return None
        split = None if plan.split is None else expectation_of_all(1, plan.split)
        return self.outlook_of(job_type, plan.lane, plan.total, Workload.of(tasks, split), rank)

    def outlook_of(self, job_type: str, lane: Lane, rows: int, work: Workload, rank: int) -> Outlook:
        """Tell when a job would end of which this much is known."""
        return look_ahead(self._paces, self._settings, job_type, lane, rows, work, rank=rank)

    def foresee(self, job_id: str) -> None:
        """Say what is expected of a job in the queue that was not planned, but made of another."""
        foresee(self._paces, self._settings, job_id, begun=False)


def look_ahead(
    paces: Paces,
    settings: JobSettings,
    job_type: str,
    lane: Lane,
    rows: int,
    work: Workload,
    but: str = "",
    rank: int = 0,
    *,
    begun: bool = False,
) -> Outlook:
    """Tell when a job ends that is queued now.

    Parameters
    ----------
    paces, settings
        What was learned, and how many workers there are.
    job_type, lane, rows, work
        Of the job.
    but
        The job itself, if it is in the queue already.
    rank
        Of the job.
    begun
        It has begun.
    """
    configured = settings.workers + (settings.high_workers if lane == "high" else 0)
    queue = paces.queue(lane, rows, configured, settings.lease_s, but, rank)
    return Outlook(forecast(job_type, work, queue, paces.known(), begun=begun), queue, rows, work)


def foresee(paces: Paces, settings: JobSettings, job_id: str, *, begun: bool) -> None:
    """Say anew when a job will end whose tasks are in the queue; `begun`: it has been split just now."""
    job = paces.tasks(job_id)
    tasks = job.tasks or expectations(job.job_type, JobPlan((), job.lane, job.seconds or 0.0, {}))
    if tasks:
        work = Workload.of(tasks, job.split)
        outlook = look_ahead(
            paces, settings, job.job_type, job.lane, job.rows, work, job_id, job.rank, begun=begun
        )
        paces.expect(job_id, outlook.written(), outlook.forecast.run.work_s)


def expectations(job_type: str, plan: JobPlan) -> Sequence[Expected]:
    """List what the tasks of a plan say of themselves, or its sum where they say nothing."""
    found = [expectation_of(rows, {}) for rows in plan.tasks]
    told = [one for one in found if one is not None]
    if told and len(told) == len(found):
        return told
    if not plan.seconds:
        return []
    count = max(1, len(plan.tasks))
    if plan.split is not None:
        count = max(1, math.ceil(plan.seconds / USUAL_TASK_S))
    return [Expected(job_type, plan.seconds / count, plan.size // count)] * count
