"""A worker: claims tasks, has its child do them, commits what became of them.

The main thread claims, watches the child and commits; a second one says that the worker lives, renews the
claim in hand, and ends the process when the first one hangs. Rings only save time: without Redis the database
is asked every now and then.
"""

from __future__ import annotations

import logging
import os
import queue
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from types import FrameType
from typing import NoReturn

from sqlalchemy import Engine
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from uws.bell import Bell, BellSilent
from uws.herald import MOST_RINGS
from uws.job import LANES, Claim, Lane, Settlement
from uws.jobtype import JobTypes
from uws.learning import Learner
from uws.phase import Phase
from uws.results import ResultStore
from uws.runner import Child
from uws.settings import JobSettings
from uws.splitting import SplitWork
from uws.store.claims import Claims, Hold
from uws.store.settling import LostClaim
from uws.store.upkeep import Upkeep
from uws.tally import Counted, Tally
from uws.trouble import Trouble
from uws.verdict import Answer, Died, Ended, Halt, Killed, finish_with, give_up, judge

#: A ring is answered for so long at most; then the queues are asked again which is first.
ANSWER_S = 30.0
#: How often the database is asked for work while Redis is silent; how long it is left alone when it fails.
ASK_S = 2.0
#: How often it is asked whether the task in hand is still wanted.
LOOK_S = 1.0
BEAT_S = 5.0
#: In a flood of work for the first lane the others get a task now and then.
TURN_S = 10.0
#: A main thread that hangs for so many leases with a task in hand never gets it done.
STUCK_LEASES = 20
#: Wait for a child that is being started, before looking whether to stop.
WARM_S = 0.2

#: What a database gives that is away, or read-only, or has too much to do, or has ended the transaction of
#: one who was frozen: it is asked again.
DatabaseAway = (OperationalError, InterfaceError, InternalError, PoolTimeoutError)

UNRECORDED = "Error: what became of the row could not be recorded"

_log = logging.getLogger(__name__)


class Worker:
    """Does tasks until it is told to stop.

    Parameters
    ----------
    engine
        Database of the jobs.
    types
        Makes the job types; it can be pickled, since the child makes its own.
    results
        Where containers go.
    bell
        Wakes it, and is told of phases.
    settings
        How jobs are run.
    lanes
        What it serves, the first one first.
    """

    def __init__(
        self,
        engine: Engine,
        types: Callable[[], JobTypes],
        results: ResultStore,
        bell: Bell,
        settings: JobSettings,
        lanes: Sequence[Lane],
    ) -> None:
        self.worker_id = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._claims = Claims(engine, self.worker_id, settings.lease_s)
        self._upkeep = Upkeep(engine)
        self._finish = finish_with(types())
        self._child = Child(types, settings)
        self._results = results
        self._bell = bell
        self._settings = settings
        self._lanes = tuple(lanes)
        self._tally = Tally()
        self._learner = Learner(engine, settings)
        self._asked_at = 0.0  # when the task in hand was asked for
        self._warm: int | None = None  # process that has done a task
        self._is_cold = True  # whether the task in hand is the first of its process
        self._stop = threading.Event()
        self._gone = threading.Event()
        self._claim: Claim | None = None  # in hand; the heart renews it
        self._pulse = 0  # grows as long as the main thread goes on
        self._turn_at = time.monotonic()  # when a task of another lane than the first was asked for
        self._database = Trouble("the database")
        self._heart = Trouble("the heartbeat")

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT; the row in hand is finished first. Call it from the main thread."""
        _stop_on_signals(self._stop)
        heart = threading.Thread(target=self._live, name="heart", daemon=True)
        heart.start()
        _log.info("the worker serves", extra={"worker": self.worker_id, "lanes": " ".join(self._lanes)})
        try:
            while not self._stop.is_set():
                self._serve()
        finally:
            self._child.stop()
            self._gone.set()
            heart.join(LOOK_S)
            self._leave()

    def _serve(self) -> None:
        """Answer rings; ask the database by itself while there is nobody to ring."""
        try:
            # Work may have come while nobody listened.
            self._answer()
            self._bell.serve(self._lanes, self._answer, self._stop)
        except BellSilent:
            _log.warning("nobody rings: the database is asked for work")
            while not self._stop.is_set():
                self._answer()
                if self._bell.check() is None:
                    return
                self._stop.wait(ASK_S)

    def _answer(self) -> None:
        """Do what there is to do in the lanes; pass the ring on if that is too much for one."""
        until = time.monotonic() + ANSWER_S
        try:
            while time.monotonic() < until and not self._stop.is_set():
                if not self._step():
                    break
            else:
                self._pass_on()
            self._database.over()
        except DatabaseAway as fault:
            self._database.say(fault)
            self._stop.wait(ASK_S)
        except Exception:
            # The lease of a task in hand ends, so it is tried a few times, and given up then.
            _log.exception("the worker failed, and goes on")
            self._stop.wait(ASK_S)

    def _pass_on(self) -> None:
        for lane in self._lanes:
            if self._upkeep.claimable(lane, 1):
                self._bell.ring(lane)

    def _step(self) -> bool:
        """Do one task; False if there is none, or this is to stop."""
        while not self._stop.is_set() and not self._child.ready(WARM_S):
            pass
        self._asked_at = time.monotonic()
        if self._stop.is_set() or (claim := self._claims.claim(self._lanes_now())) is None:
            return False
        self._claim = claim
        self._is_cold, self._warm = self._child.pid != self._warm, self._child.pid
        try:
            if claim.started:
                self._bell.tell(claim.job_id, Phase.EXECUTING)
            self._do(claim)
        finally:
            self._claim = None
        return True

    def _lanes_now(self) -> Sequence[Lane]:
        """Lanes in the order in which it is their turn."""
        now = time.monotonic()
        if now - self._turn_at < TURN_S:
            return self._lanes
        self._turn_at = now
        return self._lanes[::-1]

    def _go_on(self) -> None:
        self._pulse += 1

    def _do(self, claim: Claim) -> None:
        """Have a claimed task done, and commit what became of it."""
        watch = _Watch(
            self._claims,
            claim,
            self._child,
            self._stop,
            self._settings.drain_s,
            self._database,
            self._go_on,
        )
        ended = self._published(claim, watch)
        if not (isinstance(ended, Answer) and ended.has_files):
            self._results.discard(claim)
        self._count_death(ended)
        if watch.hold is Hold.OVERDUE:
            # Unless it has just been given more time, the job ends here, and the rows are not taken back.
            for job_id, phase in self._upkeep.overdue():
                self._bell.tell(job_id, phase)
        if watch.hold in (Hold.LOST, Hold.ENDED):
            self._let_go(claim, watch.hold)
        else:
            self._settle(claim, judge(claim, ended, self._settings))
            if claim.kind == "split":  # what it has written is in the database by now
                self._results.discard(claim)

    def _published(self, claim: Claim, watch: _Watch) -> Ended:
        """Have the rows done, and their container put where it can be read."""
        done = Answer(())
        try:
            path = self._results.spool(claim)
            ended = self._child.do(claim, path, watch, self._split_work(claim))
            if not isinstance(ended, Answer) or not ended.has_files:
                return ended
            if ended.split is not None:
                return ended
            done = ended
            return replace(ended, reports=self._results.publish(claim, path, ended.reports))
        except OSError as fault:
            _log.warning("results could not be stored: %s", fault, extra={"job_id": claim.job_id})
            return done.without_files()

    def _split_work(self, claim: Claim) -> SplitWork | None:
        """Have a folder ready for a split, and the files that came with its job."""
        if claim.kind != "split":
            return None
        folder = self._results.scratch(claim)
        uploads = []
        for number, upload in enumerate(claim.uploads):
            path = self._results.local_upload(upload.stored)
            if path is None:
                path = folder / f"upload-{number}"
                with suppress(FileNotFoundError):  # the split will say that it is not there
                    self._results.fetch_upload(upload, path)
            uploads.append((upload, path))
        settings = self._settings
        return SplitWork(
            folder, claim.parameters, tuple(uploads), settings.upload_hosts, settings.max_upload_bytes
        )

    def _settle(self, claim: Claim, settlement: Settlement) -> None:
        """Commit a settlement; while the database is away it is tried again, for as long as a lease lasts."""
        began = time.monotonic()
        while True:
            self._go_on()
            try:
                phase = self._claims.settle(claim, settlement, self._finish(claim.job_type))
            except LostClaim:
                self._lost(claim)
                return
            except DatabaseAway as fault:
                self._database.say(fault)
                patience_s = self._settings.drain_s if self._stop.is_set() else self._settings.lease_s
                if time.monotonic() - began > patience_s:
                    # Whether it was committed is not known, so the container stays: if no row names it, it is
                    # found by its age.
                    return
                time.sleep(LOOK_S / 2)
                continue
            except Exception:
                if settlement.split is None and all(
                    report.message == UNRECORDED for report in settlement.reports
                ):
                    raise
                _log.exception("what became of a task cannot be recorded", extra={"job_id": claim.job_id})
                self._results.discard(claim)
                settlement = give_up(claim, UNRECORDED)
                continue
            self._tally.settled(settlement)
            if phase is not Phase.EXECUTING:
                self._bell.tell(claim.job_id, phase)
            elif settlement.split is not None:
                for lane in LANES:
                    self._bell.top_up(lane, min(settlement.split.tasks, MOST_RINGS))
            self._learn(claim, settlement, phase)
            return

    def _learn(self, claim: Claim, settlement: Settlement, phase: Phase) -> None:
        try:
            took_s = time.monotonic() - self._asked_at
            self._learner.settled(claim, settlement, phase, took_s, is_cold=self._is_cold)
        except DatabaseAway as fault:
            self._database.say(fault)

    def _lost(self, claim: Claim) -> None:
        """Clear away what was done of a task that could not be settled, unless an earlier try has done it."""
        if not self._claims.is_settled(claim):
            self._let_go(claim, self._claims.look(claim))

    def _let_go(self, claim: Claim, hold: Hold) -> None:
        """Clear away what was done of a task that is not to be done any more, or not here."""
        _log.info("a task is given up", extra={"job_id": claim.job_id, "why": hold.value})
        self._results.discard(claim)
        if hold is Hold.LOST:
            self._tally.add(Counted.LOST_CLAIMS)
        else:
            self._claims.drop(claim)

    def _count_death(self, ended: Ended) -> None:
        match ended:
            case Died(cause=cause):
                self._tally.add(Counted.CHILD_DEATHS, cause)
                _log.warning("the child died", extra={"cause": cause, "row": ended.row})
            case Killed(halt=Halt.ROW_LIMIT):
                self._tally.add(Counted.CHILD_DEATHS, ended.halt.value)

    def _live(self) -> None:
        """Say that this worker lives, and renew the claim in hand, until the end."""
        pause = min(self._settings.renew_s, BEAT_S)
        seen, still_s = -1, 0.0
        while not self._gone.is_set():
            # Counted in beats: a process that was frozen as a whole goes on when it wakes.
            still_s = still_s + pause if self._claim is not None and self._pulse == seen else 0.0
            seen = self._pulse
            if still_s > STUCK_LEASES * self._settings.lease_s:
                _end_stuck(self.worker_id)
            try:
                # A claim is renewed while it is being settled too, and after it has been drained.
                if (claim := self._claim) is not None:
                    self._claims.renew(claim)
                self._upkeep.beat(self.worker_id, socket.gethostname(), os.getpid(), self._lanes)
                self._tally.store(self._upkeep.count)
                self._learner.store()
                self._heart.over()
            except Exception as fault:
                self._heart.say(fault)
            self._gone.wait(pause)

    def _leave(self) -> None:
        try:
            self._tally.store(self._upkeep.count)
            self._learner.store()
            self._upkeep.leave(self.worker_id)
        except DatabaseAway as fault:
            self._database.say(fault)
        _log.info("the worker has stopped", extra={"worker": self.worker_id})


class _Watch:
    """Looks after a task while the child does it."""

    def __init__(
        self,
        claims: Claims,
        claim: Claim,
        child: Child,
        stop: threading.Event,
        drain_s: float,
        trouble: Trouble,
        go_on: Callable[[], None],
    ) -> None:
        self.hold = Hold.HELD
        self._claims = claims
        self._claim = claim
        self._child = child
        self._stop = stop
        self._drain_s = drain_s
        self._trouble = trouble
        self._go_on = go_on
        self._looked = time.monotonic()
        self._drained: float | None = None

    def __call__(self) -> Halt | None:
        """Say whether the child is to be killed, and why."""
        now = time.monotonic()
        self._go_on()
        if self._stop.is_set():
            if self._drained is None:
                self._drained = now
                self._child.drain()
            if now - self._drained > self._drain_s:
                return Halt.DRAIN
        if now - self._looked > LOOK_S:
            self._looked = now
            self._look()
        return None if self.hold is Hold.HELD else Halt.CLAIM

    def _look(self) -> None:
        try:
            self.hold = self._claims.look(self._claim)
            self._trouble.over()
        except DatabaseAway as fault:
            # The work may be in vain, or not.
            self._trouble.say(fault)


def _end_stuck(worker_id: str) -> NoReturn:
    """End at once: whoever started this process starts another, and the lease of the task ends."""
    _log.critical("the worker hangs, and ends itself", extra={"worker": worker_id})
    os._exit(os.EX_SOFTWARE)


def _stop_on_signals(stop: threading.Event) -> None:
    """Set `stop` when told to end, however often."""
    told: queue.SimpleQueue[int] = queue.SimpleQueue()

    def tell(number: int, frame: FrameType | None) -> None:
        # The handler may interrupt whoever holds the lock of the event; this queue may be put to at any time.
        told.put(number)

    def wait() -> None:
        _log.info("told to stop", extra={"signal": signal.Signals(told.get()).name})
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, tell)
    threading.Thread(target=wait, name="signals", daemon=True).start()
