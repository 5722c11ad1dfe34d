"""The board: what waits in which order, when it begins, and why it has not begun."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dali.caller import TIERS, Caller, Tier
from uws.forecast import Workload, forecast
from uws.job import Job, Lane
from uws.moment import format_moment
from uws.phase import RUNNABLE
from uws.queue.order import in_order
from uws.settings import JobSettings
from uws.store.pace import Paces
from uws.store.queues import LaneQueue, Queues, QueueStore, Waiting

#: So long the board is shown as it was read last.
KEPT_S = 2.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a job waits.

    Parameters
    ----------
    place, jobs
        Its place in the queue, from 1, and how many wait there.
    tier
        Its priority class.
    start_ms
        When it begins, as likely as not; None while nothing is known of that.
    reason
        Why it waits: a sentence without its full stop.
    """

    lane: Lane
    place: int
    jobs: int
    tier: Tier
    start_ms: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Row:
    """A job of a queue, as somebody sees it: whose it is, is told to its owner alone."""

    place: int
    tier: Tier
    rows: int
    waited_s: float
    own_id: str


@dataclass(frozen=True, slots=True)
class Column:
    """A queue, as somebody sees it."""

    lane: Lane
    queue: LaneQueue
    rows: tuple[Row, ...]

    @property
    def oldest_wait_s(self) -> float:
        """How long the oldest of its jobs has waited."""
        return max((row.waited_s for row in self.rows), default=0.0)


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read, each lane in its order."""

    queues: Queues
    ordered: Mapping[Lane, Sequence[Waiting]]


class QueueBoard:
    """Tells of queues.

    Parameters
    ----------
    store
        Reads them.
    paces
        What was learned of waiting.
    settings
        How many workers there should be.
    kept_s
        So long what was read is used again.
    """

    def __init__(
        self, store: QueueStore, paces: Paces, settings: JobSettings, kept_s: float = KEPT_S
    ) -> None:
        self._store = store
        self._paces = paces
        self._settings = settings
        self._kept_s = kept_s
        self._lock = threading.Lock()
        self._seen: Seen | None = None
        self._read_at = float("-inf")

    def place(self, job: Job) -> Place | None:
        """Tell where a job waits; None of one that does not, or of which a task is worked on."""
        if job.phase not in RUNNABLE:
            return None
        seen = self.look()
        for lane, ordered in seen.ordered.items():
            for number, waiting in enumerate(ordered):
                if waiting.job_id == job.job_id:
                    return self._place(job, lane, seen, number)
        return None

    def numbers(self, jobs: Iterable[Job]) -> Mapping[str, tuple[int, int]]:
        """Tell of those jobs that wait the place, from 1, and how many wait there, by their names."""
        wanted = {job.job_id for job in jobs if job.phase in RUNNABLE}
        if not wanted:
            return {}
        return {
            waiting.job_id: (number, len(ordered))
            for ordered in self.look().ordered.values()
            for number, waiting in enumerate(ordered, 1)
            if waiting.job_id in wanted
        }

    def columns(self, caller: Caller) -> list[Column]:
        """Show all queues to somebody."""
        seen = self.look()
        return [
            Column(
                lane,
                queue,
                tuple(
                    Row(
                        number,
                        TIERS[waiting.rank],
                        waiting.total,
                        max(0, seen.queues.now_ms - waiting.queued_ms) / 1000,
                        waiting.job_id if _is_own(waiting, caller) else "",
                    )
                    for number, waiting in enumerate(seen.ordered[lane], 1)
                ),
            )
            for lane, queue in seen.queues.lanes.items()
        ]

    def _place(self, job: Job, lane: Lane, seen: Seen, number: int) -> Place:
        queue, ordered = seen.queues.lanes[lane], seen.ordered[lane]
        again_ms = self._store.again_ms(job.job_id)
        start_ms = None
        if queue.pause is None and queue.workers:
            start_ms = max(seen.queues.now_ms + int(self._start_s(job, lane) * 1000), again_ms or 0)
        reason = _reason(lane, queue, ordered, number, again_ms)
        return Place(lane, number + 1, len(ordered), TIERS[job.rank], start_ms, reason)

    def _start_s(self, job: Job, lane: Lane) -> float:
        settings = self._settings
        configured = settings.workers + (settings.high_workers if lane == "high" else 0)
        before = self._paces.queue(lane, job.counts.total, configured, settings.lease_s, job.job_id, job.rank)
        return forecast(job.type, Workload({}), before, self._paces.known()).start_s

    def look(self) -> Seen:
        """Give what was read, up to some seconds ago."""
        with self._lock:
            if self._seen is None or time.monotonic() - self._read_at >= self._kept_s:
                queues = self._store.look()
                ordered = {
                    lane: in_order(queue.waiting, queues.busy, queues.now_ms)
                    for lane, queue in queues.lanes.items()
                }
                self._seen, self._read_at = Seen(queues, ordered), time.monotonic()
            return self._seen


def _is_own(waiting: Waiting, caller: Caller) -> bool:
    return bool(caller.name) and waiting.owner == caller.name and not waiting.hidden


def _reason(
    lane: Lane, queue: LaneQueue, ordered: Sequence[Waiting], number: int, again_ms: int | None
) -> str:
    """Say why a job waits."""
    if queue.pause is not None:
        why = f": {queue.pause.reason}" if queue.pause.reason else ""
        return f"the queue {lane} is paused{why}"
    if not queue.workers:
        return f"no worker serves the queue {lane} now"
    if again_ms is not None:
        return f"its last attempt was interrupted; it is tried again at {format_moment(again_ms)}"
    crew = "the only worker is busy" if queue.workers == 1 else f"all {queue.workers} workers are busy"
    if queue.busy < queue.workers:
        return _before(ordered[:number], ordered[number]) if number else "a worker is about to begin it"
    if not number:
        return f"it is the next; {crew}"
    return f"{crew}, and {_before(ordered[:number], ordered[number])}"


def _before(before: Sequence[Waiting], job: Waiting) -> str:
    """Say what goes before a job."""
    higher = sum(other.rank < job.rank for other in before)
    # People who are not known are not one person.
    own = sum(bool(job.owner) and other.owner == job.owner and other.rank == job.rank for other in before)
    kinds = (
        (higher, "of a higher class"),
        (own, "your own"),
        (len(before) - higher - own, "of others, who have less of the workers, or smaller or older jobs"),
    )
    told = [f"{count} {kind}" for count, kind in kinds if count]
    jobs = "1 job goes" if len(before) == 1 else f"{len(before)} jobs go"
    return f"{jobs} before it: {', '.join(told)}"
