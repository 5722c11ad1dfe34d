"""Queues and workers: what waits, who works, and what they are told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dali.caller import TIERS, Tier
from dali.errors import UsageError
from portal.admin.area import Act, Area, Verb
from portal.admin.asked import Asked
from portal.admin.steering import Steering, lane_of
from portal.words import marked
from uws.job import Lane
from uws.queue.order import in_order
from uws.store.queues import Pause, Queues, Waiting, WorkerState
from uws.store.upkeep import Upkeep

#: Of each queue so many places are shown.
MOST_PLACES = 25


@dataclass(frozen=True, slots=True)
class PlaceLine:
    """A job that waits."""

    place: int
    job_id: str
    owner: str
    tier: Tier
    rows: int
    waited_s: float
    hidden: bool


@dataclass(frozen=True, slots=True)
class LaneLine:
    """A queue.

    Parameters
    ----------
    jobs
        That wait.
    queued, running, late
        Tasks that wait, those in hand, and of these the ones whose worker is not heard of any more.
    workers, busy
        Those that serve it and take tasks; and of these, those that have one.
    """

    lane: Lane
    pause: Pause | None
    jobs: int
    queued: int
    running: int
    late: int
    oldest_wait_s: float
    workers: int
    busy: int
    places: tuple[PlaceLine, ...]


@dataclass(frozen=True, slots=True)
class WorkerLine:
    """A worker, and how it is: `at work`, `idle`, `drains`, `ends`, or `silent` for too long."""

    worker: WorkerState
    state: str


@dataclass(frozen=True, slots=True)
class QueuesShown:
    """All queues and workers."""

    lanes: tuple[LaneLine, ...]
    workers: tuple[WorkerLine, ...]
    now_ms: int


def queues_area(steering: Steering, upkeep: Upkeep, alive_s: float) -> Area:
    """Make the area.

    Parameters
    ----------
    steering
        Acts, and knows queues and workers.
    upkeep
        Counts tasks.
    alive_s
        A worker that was heard of within so many seconds lives.
    """

    def look(asked: Asked) -> QueuesShown:
        found = steering.queues.look()
        lanes = tuple(_lane(lane, found, upkeep) for lane in found.lanes)
        workers = tuple(WorkerLine(one, state_of(one, alive_s)) for one in steering.queues.workers())
        return QueuesShown(lanes, workers, found.now_ms)

    def resume(act: Act) -> None:
        if not steering.resume(lane_of(act.of), act.caller, act.reason):
            raise UsageError(f"the queue {act.of} is not paused", status=409)

    verbs = {
        "pause": Verb(lambda act: steering.pause(lane_of(act.of), act.caller, act.reason)),
        "resume": Verb(resume),
        "drain": Verb(_order(steering, "drain")),
        "take": Verb(_order(steering, "resume")),
        "stop": Verb(_order(steering, "stop")),
    }
    return Area("queues", "Queues and workers", look, verbs)


def state_of(worker: WorkerState, alive_s: float) -> str:
    """Say in a word how a worker is."""
    if worker.silent_s > alive_s:
        return marked("silent")
    if worker.wanted:
        return marked("drains") if worker.wanted == "drain" else marked("ends")
    return marked("idle") if worker.task_id is None else marked("at work")


def _order(steering: Steering, order: str) -> Callable[[Act], None]:
    def do(act: Act) -> None:
        steering.order(act.of, order, act.caller, act.reason)

    return do


def _lane(lane: Lane, found: Queues, upkeep: Upkeep) -> LaneLine:
    queue, state = found.lanes[lane], upkeep.lane_state(lane)
    return LaneLine(
        lane,
        queue.pause,
        len(queue.waiting),
        state.queued,
        state.running,
        state.late,
        state.oldest_wait_s,
        queue.workers,
        queue.busy,
        _places(in_order(queue.waiting, found.busy, found.now_ms), found.now_ms),
    )


def _places(waiting: Sequence[Waiting], now_ms: int) -> tuple[PlaceLine, ...]:
    return tuple(
        PlaceLine(
            number,
            job.job_id,
            job.owner,
            TIERS[job.rank],
            job.total,
            max(0, now_ms - job.queued_ms) / 1000,
            job.hidden,
        )
        for number, job in enumerate(waiting[:MOST_PLACES], 1)
    )
