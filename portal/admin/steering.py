"""What those who look after the service do with queues and workers; each act is in the audit log."""

from __future__ import annotations

from dataclasses import dataclass

from accounts.audit import Audit
from dali.caller import TIERS, Caller, Tier
from dali.errors import NotFound, quoted
from uws.job import LANES, Lane
from uws.refusals import missing
from uws.store.queues import QueueStore

#: What a worker is told, and the word by which that is told.
ORDERS = {"drain": "drain", "stop": "stop", "resume": ""}


@dataclass(frozen=True, slots=True)
class Steering:
    """Acts of administrators.

    Parameters
    ----------
    queues
        Does them.
    audit
        Has them written down.
    """

    queues: QueueStore
    audit: Audit

    def pause(self, lane: Lane, caller: Caller, reason: str) -> None:
        """Have nothing taken from a queue; what workers have in hand goes on."""
        self.queues.pause(lane, caller.name, reason)
        self.audit.write(None, caller, "queue paused", lane, reason)

    def resume(self, lane: Lane, caller: Caller, reason: str = "") -> bool:
        """Have workers take from a queue again; False if it was not paused."""
        was_paused = self.queues.resume(lane)
        if was_paused:
            self.audit.write(None, caller, "queue resumed", lane, reason)
        return was_paused

    def prioritise(
        self,
        job_id: str,
        caller: Caller,
        reason: str,
        *,
        tier: Tier | None = None,
        share: float | None = None,
        parallel: int | None = None,
    ) -> None:
        """Give a job another class, share, or number of tasks at a time (0: no limit).

        Raises
        ------
        NotFound
            If it has ended, or there is none of this name.
        """
        rank = None if tier is None else TIERS.index(tier)
        if not self.queues.prioritise(job_id, rank=rank, share=share, parallel=parallel):
            raise missing(job_id)
        told = {"class": tier, "share": share, "parallel": parallel}
        changes = {name: value for name, value in told.items() if value is not None}
        self.audit.write(None, caller, "job prioritised", job_id, reason, changes)

    def order(self, worker_id: str, act: str, caller: Caller, reason: str) -> None:
        """Tell a worker to `drain`, to `stop`, or to `resume` after it was drained.

        Raises
        ------
        NotFound
            If there is none of this name.
        """
        if not self.queues.order(worker_id, ORDERS[act]):
            known = ", ".join(worker.worker_id for worker in self.queues.workers()) or "there are none"
            raise NotFound(f"there is no worker {quoted(worker_id)}", f"Workers: {known}.")
        self.audit.write(None, caller, f"worker told to {act}", worker_id, reason)


def lane_of(text: str) -> Lane:
    """Read the name of a queue.

    Raises
    ------
    NotFound
        If there is none of this name.
    """
    for lane in LANES:
        if lane == text:
            return lane
    raise NotFound(f"there is no queue {quoted(text)}", f"There are {' and '.join(LANES)}.")
