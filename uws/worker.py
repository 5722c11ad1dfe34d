"""A worker: claims tasks, has its child do them, commits what became of them.

The main thread claims, and watches the child. A second one, the pen, commits what became of a task while the
child has the next one in hand already: so a worker has two claims at most. A third one, the heart, says that
the worker lives, renews the claims in hand, and ends the process when the others hang. Rings only save time:
without Redis the database is asked every now and then.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from sqlalchemy import Engine

from uws.bell import Bell, BellSilent
from uws.job import Claim, Lane
from uws.jobtype import JobTypes
from uws.learning import Learner
from uws.memory import own_bytes
from uws.orders import Orders
from uws.pen import Done, Pen, Tools, say_unstored
from uws.phase import Phase
from uws.results import ResultStore
from uws.runner import Child
from uws.settings import JobSettings
from uws.splitting import SplitWork
from uws.store.claims import Claims
from uws.store.upkeep import Upkeep
from uws.tally import Tally
from uws.trouble import DatabaseAway, Trouble
from uws.verdict import Answer, Ended, finish_with
from uws.watch import LOOK_S, Watch

#: A ring is answered for so long at most; then the queues are asked again which is first.
ANSWER_S = 30.0
#: How often the database is asked for work while Redis is silent; how long it is left alone when it fails.
ASK_S = 2.0
BEAT_S = 5.0
#: How often one that is drained sees whether it is to take tasks again.
REST_S = 0.5
#: In a flood of work for the first lane the others get a task now and then.
TURN_S = 10.0
#: A main thread that hangs for so many leases with a task in hand never gets it done.
STUCK_LEASES = 20
#: Wait for a child that is being started, before looking whether to stop.
WARM_S = 0.2

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Begun:
    """A task that the child has in hand.

    Parameters
    ----------
    path
        Where its container goes.
    failed
        How it ended, if it could not be handed to the child.
    """

    path: Path
    watch: Watch
    is_cold: bool
    failed: Ended | None = None


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
        self._child = Child(types, settings)
        self._results = results
        self._bell = bell
        self._settings = settings
        self._lanes = tuple(lanes)
        self._tally = Tally()
        self._learner = Learner(engine, settings)
        self._warm: int | None = None  # process that has done a task
        self._orders = Orders()
        self._stop, self._rest = self._orders.stop, self._orders.rest
        self._gone = threading.Event()
        self._in_hand: dict[tuple[int, int], Claim] = {}  # by task and fence; the heart renews them
        self._pulse = 0  # grows as long as the main thread and the pen go on
        self._turn_at = time.monotonic()  # when a task of another lane than the first was asked for
        self._database = Trouble("the database")
        self._heart = Trouble("the heartbeat")
        self._tools = Tools(
            self._claims,
            self._upkeep,
            results,
            bell,
            settings,
            self._tally,
            self._learner,
            finish_with(types()),
            self._database,
            self._stop,
            self._go_on,
        )
        self._pen = Pen(self._tools, self._release)
        self._done: Done | None = None  # the last task, until the pen has it

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT; the row in hand is finished first. Call it from the main thread."""
        self._orders.obey_signals()
        heart = threading.Thread(target=self._live, name="heart", daemon=True)
        heart.start()
        _log.info("the worker serves", extra={"worker": self.worker_id, "lanes": " ".join(self._lanes)})
        try:
            while not self._stop.is_set():
                if self._rest.is_set():
                    self._stop.wait(REST_S)
                else:
                    self._serve()
        finally:
            self._child.stop()
            self._pen.close()
            self._gone.set()
            heart.join(LOOK_S)
            self._leave()

    def _serve(self) -> None:
        """Answer rings; ask the database by itself while there is nobody to ring."""
        try:
            # Work may have come while nobody listened.
            self._answer()
            self._bell.serve(self._lanes, self._answer, self._rest)
        except BellSilent:
            _log.warning("nobody rings: the database is asked for work")
            while not self._rest.is_set():
                self._answer()
                if self._bell.check() is None:
                    return
                self._rest.wait(ASK_S)

    def _answer(self) -> None:
        """Do what there is to do in the lanes; pass the ring on if that is too much for one."""
        until = time.monotonic() + ANSWER_S
        try:
            try:
                while time.monotonic() < until and not self._rest.is_set():
                    if not self._step():
                        break
                else:
                    self._pass_on()
            finally:
                self._write_down()
                self._pen.wait()
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
        if self._done is not None and not (self._done.can_wait and self._child.ready(0)):
            self._write_down()
        while not self._rest.is_set() and not self._child.ready(WARM_S):
            pass
        self._pen.wait()  # no more than two claims are in hand
        asked_at = time.monotonic()
        ended = None if self._done is None else self._done.claim
        if self._rest.is_set() or (claim := self._claims.claim(self._lanes_now(), ended)) is None:
            self._write_down()
            self._pen.wait()
            return ended is not None  # there may be something to do by now
        self._in_hand[_key(claim)] = claim
        try:
            begun = self._begin(claim)
            self._write_down(beside=True)
            finished = begun.failed or self._child.end(begun.watch)
        except BaseException:
            self._release(claim)
            raise
        took_s = time.monotonic() - asked_at
        self._done = Done(claim, begun.path, finished, begun.watch.hold, took_s, begun.is_cold)
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

    def _release(self, claim: Claim) -> None:
        self._in_hand.pop(_key(claim), None)

    def _write_down(self, *, beside: bool = False) -> None:
        """Have the pen write down the last task; `beside`: the child does another one."""
        done, self._done = self._done, None
        if done is not None:
            self._pen.write(done, beside=beside)

    def _begin(self, claim: Claim) -> _Begun:
        """Hand a claimed task to the child."""
        is_cold, self._warm = self._child.pid != self._warm, self._child.pid
        if claim.started:
            self._bell.tell(claim.job_id, Phase.EXECUTING)
        watch = Watch(self._tools, claim, self._child)
        try:
            path = self._results.spool(claim)
            self._child.begin(claim, path, self._split_work(claim))
        except OSError as fault:
            say_unstored(claim, fault)
            return _Begun(Path(), watch, is_cold, Answer(()).without_files())
        return _Begun(path, watch, is_cold)

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

    def _live(self) -> None:
        """Say that this worker lives, and renew the claims in hand, until the end."""
        pause = min(self._settings.renew_s, BEAT_S)
        seen, still_s = -1, 0.0
        while not self._gone.is_set():
            # Counted in beats: a process that was frozen as a whole goes on when it wakes.
            still_s = still_s + pause if self._in_hand and self._pulse == seen else 0.0
            seen = self._pulse
            if still_s > STUCK_LEASES * self._settings.lease_s:
                _end_stuck(self.worker_id)
            try:
                # A claim is renewed while it is being settled too, and after it has been drained.
                for claim in list(self._in_hand.values()):
                    self._claims.renew(claim)
                self._beat()
                self._tally.store(self._upkeep.count)
                self._learner.store()
                self._heart.over()
            except Exception as fault:
                self._heart.say(fault)
            self._gone.wait(pause)

    def _beat(self) -> None:
        """Tell of this worker, and obey what it is told."""
        in_hand = next(reversed(self._in_hand.copy()), (None, 0))[0]
        held = own_bytes() + (own_bytes(pid) if (pid := self._child.pid) is not None else 0)
        host = socket.gethostname()
        wanted = self._upkeep.beat(self.worker_id, host, os.getpid(), self._lanes, held, in_hand)
        self._orders.obey(wanted)

    def _leave(self) -> None:
        try:
            self._tally.store(self._upkeep.count)
            self._learner.store()
            self._upkeep.leave(self.worker_id)
        except DatabaseAway as fault:
            self._database.say(fault)
        _log.info("the worker has stopped", extra={"worker": self.worker_id})


def _key(claim: Claim) -> tuple[int, int]:
    return claim.task_id, claim.fence


def _end_stuck(worker_id: str) -> NoReturn:
    """End at once: whoever started this process starts another, and the lease of the task ends."""
    _log.critical("the worker hangs, and ends itself", extra={"worker": worker_id})
    os._exit(os.EX_SOFTWARE)
