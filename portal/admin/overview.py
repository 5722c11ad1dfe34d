"""How the service is, at a glance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from accounts.announcements import Announcement, Announcements
from accounts.audit import Audit, Entry
from portal.admin.area import Area
from portal.admin.asked import Asked
from portal.admin.estimates import shown as estimates_shown
from portal.admin.failures import FailuresShown
from portal.admin.queues import QueuesShown
from uws.phase import Phase
from uws.store.calibration import Calibration
from uws.store.everybody import Everybody
from uws.store.retention import Amount, Keeping

LAST_ENTRIES = 8
LAST_JOBS = 200


@dataclass(frozen=True, slots=True)
class LaneFigures:
    """A queue in figures."""

    lane: str
    jobs: int
    tasks: int
    oldest_wait_s: float
    is_paused: bool
    workers: int


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything in figures.

    Parameters
    ----------
    parts
        Of the service, and whether each works.
    lanes
        Queues.
    workers
        How many there are of each state.
    phases
        How many jobs there are of each phase.
    failed_rows, failed_jobs
        Within 24 h; `is_all` says that these are all.
    kept, day
        What is kept, and what of it is destroyed within 24 h.
    estimates_middle
        Of actual to expected times of the last jobs; None where nothing is known.
    estimates_good
        Whether that is where it should be.
    announcements
        That are shown now.
    entries
        What administrators did last.
    """

    parts: Mapping[str, bool]
    lanes: tuple[LaneFigures, ...]
    workers: Mapping[str, int]
    phases: Mapping[Phase, int]
    failed_rows: int
    failed_jobs: int
    is_all: bool
    kept: Amount
    day: Amount
    estimates_middle: float | None
    estimates_good: bool
    announcements: tuple[Announcement, ...]
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the figures come from; `parts` tells which parts of the service work."""

    parts: Callable[[], Mapping[str, bool]]
    queues: Callable[[Asked], QueuesShown]
    failures: Callable[[Asked], FailuresShown]
    everybody: Everybody
    keeping: Keeping
    calibration: Calibration
    announcements: Announcements
    audit: Audit


def overview_area(sources: Sources) -> Area:
    """Make the area, at ``/admin`` itself."""

    def look(asked: Asked) -> Overview:
        queues, failures = sources.queues(Asked({})), sources.failures(Asked({}))
        estimates = estimates_shown(sources.calibration.compared(LAST_JOBS), ())
        retention = sources.keeping.look(1, 1)
        lanes = tuple(
            LaneFigures(
                lane.lane,
                lane.jobs,
                lane.queued,
                lane.oldest_wait_s,
                lane.pause is not None,
                lane.workers,
            )
            for lane in queues.lanes
        )
        states: dict[str, int] = {}
        for worker in queues.workers:
            states[worker.state] = states.get(worker.state, 0) + 1
        return Overview(
            sources.parts(),
            lanes,
            states,
            sources.everybody.phases(),
            failures.rows,
            failures.jobs,
            failures.is_all,
            retention.kept,
            retention.day,
            estimates.middle,
            estimates.is_good,
            tuple(sources.announcements.current()),
            sources.audit.read(LAST_ENTRIES),
        )

    return Area("", "Overview", look)
