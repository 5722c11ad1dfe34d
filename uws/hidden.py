"""Jobs that only serve a sync request: nobody sees them, one client waits, and they are soon destroyed."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable
from dataclasses import replace

from dali.caller import Caller
from dali.errors import ServiceUnavailable
from dali.parameters import Parameters
from uws.bell import Bell
from uws.herald import Herald
from uws.job import Job, NewJob
from uws.jobtype import JobPlan
from uws.params import flat
from uws.phase import ACTIVE, Phase
from uws.planning import Planned, Planner
from uws.quota import Quotas, within
from uws.settings import JobSettings
from uws.store.jobs import Jobs
from uws.waiting import Waiting

RETRY_AFTER_S = 10
#: Beyond the time a job is waited for: it is aborted by then, unless the web server was lost.
EXTRA_S = 5


class HiddenJobs:
    """Runs hidden jobs.

    Parameters
    ----------
    jobs
        Where jobs are kept.
    planner
        Plans them.
    bell
        Tells whether workers can be reached.
    herald
        Wakes them.
    waiting
        Waits for jobs.
    settings
        When jobs are destroyed.
    quotas
        Keeps count of what jobs need; `jobs` asks the same.
    """

    def __init__(
        self,
        jobs: Jobs,
        planner: Planner,
        bell: Bell,
        herald: Herald,
        waiting: Waiting,
        settings: JobSettings,
        quotas: Quotas,
    ) -> None:
        self._jobs = jobs
        self._planner = planner
        self._bell = bell
        self._herald = herald
        self._waiting = waiting
        self._settings = settings
        self._quotas = quotas

    def run(
        self,
        job_type: str,
        parameters: Parameters,
        caller: Caller,
        seconds: float,
        is_gone: Callable[[], bool] | None = None,
    ) -> Job:
        """Do the work of `JobService.run_hidden`, for which there is room."""
        planned = _urgent(self._planner.plan_right(job_type, parameters, caller))
        if self._bell.check() is not None:
            raise ServiceUnavailable(
                "requests of this size are made by workers, which cannot be reached now",
                "Try again later, or ask for less.",
                retry_after_s=RETRY_AFTER_S,
            )
        new = NewJob(
            secrets.token_hex(16),
            job_type,
            caller.name,
            "",
            flat(parameters),
            execution_duration_s=math.ceil(seconds) + EXTRA_S,
            destruction_s=self._settings.hidden_destruction_s,
            hidden=True,
            seconds=planned.seconds,
            estimate=planned.estimate,
            actor=caller.actor,
            rank=caller.rank,
            share=caller.share,
        )
        job = within(self._quotas, caller, lambda: self._jobs.create(new, planned.start, caller))
        self._herald.announce(job.job_id, planned)
        deadline = time.monotonic() + seconds
        job = self._wait(job, deadline, is_gone)
        if job.phase in ACTIVE and self._jobs.end(job.job_id, Phase.ABORTED):
            self._herald.tell(job.job_id, Phase.ABORTED)
            is_late = time.monotonic() >= deadline
            raise _too_late(
                f"the workers are busy: this was not done within {seconds:g} s"
                if is_late
                else "too many requests wait for jobs already"
            )
        return self._again(job) if job.phase in ACTIVE else job

    def _wait(self, job: Job, deadline: float, is_gone: Callable[[], bool] | None) -> Job:
        while job.phase in ACTIVE and (left := deadline - time.monotonic()) > 0:
            before = job.phase
            self._waiting.wait(job.job_id, before, left, is_gone)
            job = self._again(job)
            if job.phase is before:  # the client is gone, the time is over, or too many wait already
                break
        return job

    def _again(self, job: Job) -> Job:
        found = self._jobs.get(job.job_id)
        if found is None:
            raise _too_late("this was given up before it was done")
        return found


def _urgent(planned: Planned) -> Planned:
    """Have work done before that of others, however much it is: a client waits for it."""
    if not isinstance(planned.start, JobPlan):
        return planned
    return replace(planned, start=replace(planned.start, lane="high"))


def _too_late(sentence: str) -> ServiceUnavailable:
    fix = "Try again later, or ask for it as a job, at /async."
    return ServiceUnavailable(sentence, fix, retry_after_s=RETRY_AFTER_S)
