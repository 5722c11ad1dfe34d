"""Writes down what became of tasks, in a thread of its own: meanwhile the child has the next one in hand."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from uws.bell import Bell
from uws.herald import MOST_RINGS
from uws.job import LANES, Claim, Counts, Settlement
from uws.jobtype import Ending
from uws.learning import Learner
from uws.phase import Phase
from uws.results import ResultStore
from uws.settings import JobSettings
from uws.store.claims import Claims, Hold
from uws.store.settling import LostClaim
from uws.store.upkeep import Upkeep
from uws.tally import Counted, Tally
from uws.trouble import DatabaseAway, Trouble
from uws.verdict import Answer, Died, Ended, Halt, Killed, give_up, judge

#: How long nothing is done after a failure.
REST_S = 2.0
#: Pause before a commit is tried again.
AGAIN_S = 0.5

UNRECORDED = "Error: what became of the row could not be recorded"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tools:
    """What the threads of a worker share.

    Parameters
    ----------
    finish
        Decides how jobs of a type end.
    database
        What is said while the database is away.
    stop
        The worker is to stop.
    go_on
        Says that a thread does not hang.
    """

    claims: Claims
    upkeep: Upkeep
    results: ResultStore
    bell: Bell
    settings: JobSettings
    tally: Tally
    learner: Learner
    finish: Callable[[str], Callable[[Counts], Ending]]
    database: Trouble
    stop: threading.Event
    go_on: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Done:
    """A task that is over, of which nothing is written down yet.

    Parameters
    ----------
    path
        Its container.
    hold
        What the worker had of it at the end.
    took_s
        Seconds since it was asked for.
    is_cold
        It was the first of its process.
    """

    claim: Claim
    path: Path
    ended: Ended
    hold: Hold
    took_s: float
    is_cold: bool

    @property
    def can_wait(self) -> bool:
        """Whether another task may be claimed before this one is written down.

        The tasks of a split are not there before; and what was tried before may bring the worker down now,
        and the task beside it.
        """
        return isinstance(self.ended, Answer) and self.claim.kind != "split" and self.claim.attempts <= 1


class Pen:
    """Writes down one task after the other. One thread may use it.

    Parameters
    ----------
    tools
        Of the worker.
    release
        Called when a task is no longer in hand.
    """

    def __init__(self, tools: Tools, release: Callable[[Claim], None]) -> None:
        self._tools = tools
        self._release = release
        self._thread = ThreadPoolExecutor(1, "pen")
        self._writing: Future[None] | None = None

    def write(self, done: Done, *, beside: bool) -> None:
        """Begin to write down a task, after the one before it.

        `beside`: the child does another one meanwhile.
        """
        self.wait()
        self._writing = self._thread.submit(self._record, done, beside)

    def wait(self) -> None:
        """Wait until all is written down."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def close(self) -> None:
        """End its thread, when all is written down."""
        self._thread.shutdown()

    def _record(self, done: Done, beside: bool) -> None:
        """Commit what became of a task."""
        try:
            self._commit(done, beside)
        except DatabaseAway as fault:
            self._tools.database.say(fault)
            self._tools.stop.wait(REST_S)
        except Exception:
            # As when the main thread fails.
            _log.exception("the worker failed, and goes on", extra={"job_id": done.claim.job_id})
            self._tools.stop.wait(REST_S)
        finally:
            self._release(done.claim)

    def _commit(self, done: Done, beside: bool) -> None:
        tools, began = self._tools, time.monotonic()
        claim, hold, ended = done.claim, done.hold, self._published(done)
        if not (isinstance(ended, Answer) and ended.has_files):
            tools.results.discard(claim)
        self._count_death(ended)
        if hold is Hold.OVERDUE:
            # Unless it has just been given more time, the job ends here, and the rows are not taken back.
            for job_id, phase in tools.upkeep.overdue():
                tools.bell.tell(job_id, phase)
        if hold in (Hold.LOST, Hold.ENDED):
            self._let_go(claim, hold)
            return
        settled = self._settle(claim, judge(claim, ended, tools.settings))
        if settled is not None:
            took_s = done.took_s + (0.0 if beside else time.monotonic() - began)
            self._learn(claim, *settled, took_s, is_cold=done.is_cold)
        if claim.kind == "split":  # what it has written is in the database by now
            tools.results.discard(claim)

    def _published(self, done: Done) -> Ended:
        """Have the container of a task put where it can be read."""
        claim, ended = done.claim, done.ended
        if not isinstance(ended, Answer) or not ended.has_files or ended.split is not None:
            return ended
        try:
            return replace(ended, reports=self._tools.results.publish(claim, done.path, ended.reports))
        except OSError as fault:
            say_unstored(claim, fault)
            return ended.without_files()

    def _settle(self, claim: Claim, settlement: Settlement) -> tuple[Settlement, Phase] | None:
        """Commit a settlement; while the database is away it is tried again, for as long as a lease lasts.

        Returns what was committed, and the phase of the job after that.
        """
        tools, began = self._tools, time.monotonic()
        while True:
            tools.go_on()
            try:
                phase = tools.claims.settle(claim, settlement, tools.finish(claim.job_type))
            except LostClaim:
                self._lost(claim)
                return None
            except DatabaseAway as fault:
                tools.database.say(fault)
                patience_s = tools.settings.drain_s if tools.stop.is_set() else tools.settings.lease_s
                if time.monotonic() - began > patience_s:
                    # Whether it was committed is not known, so the container stays: if no row names it, it is
                    # found by its age.
                    return None
                time.sleep(AGAIN_S)
                continue
            except Exception:
                if settlement.split is None and all(
                    report.message == UNRECORDED for report in settlement.reports
                ):
                    raise
                _log.exception("what became of a task cannot be recorded", extra={"job_id": claim.job_id})
                tools.results.discard(claim)
                settlement = give_up(claim, UNRECORDED)
                continue
            tools.tally.settled(settlement)
            tools.bell.tell(claim.job_id, phase)
            if phase is Phase.EXECUTING and settlement.split is not None:
                for lane in LANES:
                    tools.bell.top_up(lane, min(settlement.split.tasks, MOST_RINGS))
            return settlement, phase

    def _learn(
        self, claim: Claim, settlement: Settlement, phase: Phase, took_s: float, *, is_cold: bool
    ) -> None:
        try:
            self._tools.learner.settled(claim, settlement, phase, took_s, is_cold=is_cold)
        except DatabaseAway as fault:
            self._tools.database.say(fault)

    def _lost(self, claim: Claim) -> None:
        """Clear away what was done of a task that could not be settled, unless an earlier try has done it."""
        if not self._tools.claims.is_settled(claim):
            self._let_go(claim, self._tools.claims.look(claim))

    def _let_go(self, claim: Claim, hold: Hold) -> None:
        """Clear away what was done of a task that is not to be done any more, or not here."""
        _log.info("a task is given up", extra={"job_id": claim.job_id, "why": hold.value})
        self._tools.results.discard(claim)
        if hold is Hold.LOST:
            self._tools.tally.add(Counted.LOST_CLAIMS)
        else:
            self._tools.claims.drop(claim)

    def _count_death(self, ended: Ended) -> None:
        match ended:
            case Died(cause=cause):
                self._tools.tally.add(Counted.CHILD_DEATHS, cause)
                _log.warning("the child died", extra={"cause": cause, "row": ended.row})
            case Killed(halt=Halt.ROW_LIMIT):
                self._tools.tally.add(Counted.CHILD_DEATHS, ended.halt.value)


def say_unstored(claim: Claim, fault: OSError) -> None:
    """Say that the container of a task has no place."""
    _log.warning("results could not be stored: %s", fault, extra={"job_id": claim.job_id})
