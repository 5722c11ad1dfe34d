"""Tells of jobs after the commit: workers that there is work, and clients that a phase has changed."""

from __future__ import annotations

from uws.bell import Bell
from uws.jobtype import JobPlan
from uws.phase import Phase
from uws.planning import Planned
from uws.store.family import Born
from uws.waiting import Waiting

#: A job with many tasks wakes so many workers at once; the reconciler wakes others.
MOST_RINGS = 16


class Herald:
    """Tells of jobs.

    Parameters
    ----------
    bell
        Reaches workers and other web servers.
    waiting
        The clients of this one.
    """

    def __init__(self, bell: Bell, waiting: Waiting) -> None:
        self._bell = bell
        self._waiting = waiting

    def announce(self, job_id: str, planned: Planned) -> None:
        """Tell of a job that was run."""
        if isinstance(planned.start, JobPlan) and planned.start.tasks:
            self._bell.top_up(planned.start.lane, min(len(planned.start.tasks), MOST_RINGS))
        if isinstance(planned.start, JobPlan) and planned.start.split is not None:
            self._bell.top_up("high", 1)
        self.tell(job_id, planned.phase)

    def announce_born(self, job_id: str, born: Born) -> None:
        """Tell of a job that was made of another."""
        self._bell.top_up(born.lane, min(born.tasks, MOST_RINGS))
        self.tell(job_id, Phase.QUEUED)

    def tell(self, job_id: str, phase: Phase) -> None:
        """Tell of a job whose phase has changed."""
        self._bell.tell(job_id, phase)
        self._waiting.nudge(job_id, phase)
