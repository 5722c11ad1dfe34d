"""Clients that wait for a job to leave its phase, and the thread that wakes them (UWS 1.1, section 2.2.1.1).

Phases are heard of through Redis. Where it is silent the database is asked instead, and now and then where it
is not: a message may be lost.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from uws.bell import Bell, BellSilent, Listener
from uws.phase import Phase
from uws.store.jobs import Jobs

#: How often the database is asked for all jobs that are waited for, as long as Redis answers, and when not.
LOOK_S = 2.0
SILENT_LOOK_S = 0.25
#: Redis is asked again after it did not answer.
RETRY_S = 1.0
#: How often it is seen whether a client is still there.
GONE_S = 1.0
#: The thread looks up so often from listening.
HEAR_S = 0.5
#: With nobody waiting, phases are listened to for so long.
IDLE_S = 30.0

#: A job goes through its phases in this order, so news of an earlier one are old.
_ORDER = {Phase.PENDING: 0, Phase.QUEUED: 1, Phase.EXECUTING: 2}
_LAST = 3

_log = logging.getLogger(__name__)


class _Waiter:
    """Somebody who waits for a job to leave a phase."""

    def __init__(self, phase: Phase) -> None:
        self._order = _ORDER.get(phase, _LAST)
        self.is_over = threading.Event()

    def hear(self, phase: Phase | None) -> None:
        """Wake up if the job is in a later phase, or gone."""
        if phase is None or _ORDER.get(phase, _LAST) > self._order:
            self.is_over.set()


class Waiting:
    """Those who wait, in one process. Its thread starts with the first of them, so after any fork.

    Parameters
    ----------
    jobs
        The database of jobs.
    bell
        What tells of phases.
    most
        So many may wait at a time.
    """

    def __init__(self, jobs: Jobs, bell: Bell, most: int) -> None:
        self._jobs = jobs
        self._bell = bell
        self._most = most
        self._count = 0
        self._waiters: dict[str, set[_Waiter]] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._idle_since = 0.0
        self._is_closed = False
        self._told: Callable[[int], object] = lambda count: None

    def watch(self, told: Callable[[int], object]) -> None:
        """Have `told` told how many wait, whenever that changes."""
        self._told = told

    @property
    def count(self) -> int:
        """How many wait."""
        return self._count

    def wait(
        self, job_id: str, phase: Phase, seconds: float, is_gone: Callable[[], bool] | None = None
    ) -> None:
        """Wait until a job is no longer in `phase`, or the time is over.

        Returns at once where too many wait already.

        Parameters
        ----------
        job_id
            The job; one that is gone is waited for no longer.
        phase
            As it was when it was last read.
        seconds
            Longest time.
        is_gone
            Tells that the client went away; asked about once in a second.
        """
        deadline = time.monotonic() + seconds
        waiter = _Waiter(phase)
        if not self._enter(job_id, waiter):
            return
        try:
            # The job may have changed between its reading and here; from here on, changes are heard of.
            seen = self._jobs.look([job_id]).get(job_id)
            waiter.hear(None if seen is None else seen.phase)
            while (left := deadline - time.monotonic()) > 0:
                if waiter.is_over.wait(min(left, GONE_S)) or (is_gone is not None and is_gone()):
                    return
        finally:
            self._leave(job_id, waiter)

    def nudge(self, job_id: str, phase: Phase) -> None:
        """Tell of a change that this process made."""
        self._hear(job_id, phase)

    def close(self) -> None:
        """Send all away, and let nobody wait any more."""
        with self._changed:
            self._is_closed = True
            for waiters in self._waiters.values():
                for waiter in waiters:
                    waiter.hear(None)
            self._changed.notify_all()
        if self._thread is not None:
            self._bell.tell("", Phase.UNKNOWN)  # anything wakes it up
            self._thread.join(LOOK_S)

    def _enter(self, job_id: str, waiter: _Waiter) -> bool:
        with self._changed:
            if self._is_closed or self._count >= self._most:
                return False
            self._count += 1
            self._told(self._count)
            self._waiters.setdefault(job_id, set()).add(waiter)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="waiting", daemon=True)
                self._thread.start()
            self._changed.notify_all()
            return True

    def _leave(self, job_id: str, waiter: _Waiter) -> None:
        with self._changed:
            self._count -= 1
            self._told(self._count)
            waiters = self._waiters[job_id]
            waiters.discard(waiter)
            if not waiters:
                del self._waiters[job_id]

    def _hear(self, job_id: str, phase: Phase | None) -> None:
        with self._changed:
            for waiter in self._waiters.get(job_id, ()):
                waiter.hear(phase)

    def _run(self) -> None:
        ear = self._bell.listen()
        look_at = retry_at = 0.0
        is_failing = False
        while self._is_wanted(ear):
            was_open, news = ear.is_open, None
            if time.monotonic() < retry_at:
                self._pause(SILENT_LOOK_S)
            else:
                try:
                    news = ear.next(HEAR_S)
                except BellSilent:
                    retry_at = time.monotonic() + RETRY_S
            if news is not None:
                self._hear(*news)
            has_missed = ear.is_open and not was_open
            if self._count and (has_missed or time.monotonic() >= look_at):
                is_failing = not self._look(is_failing)
                look_at = time.monotonic() + (LOOK_S if ear.is_open else SILENT_LOOK_S)
        ear.close()

    def _is_wanted(self, ear: Listener) -> bool:
        """Whether to go on; sleeps while nobody has waited for long."""
        with self._changed:
            if self._count:
                self._idle_since = time.monotonic()
            elif not self._is_closed and time.monotonic() - self._idle_since > IDLE_S:
                ear.close()
                self._changed.wait_for(lambda: self._count > 0 or self._is_closed)
            return not self._is_closed

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed, seconds)

    def _look(self, is_failing: bool) -> bool:
        """Ask the database for all jobs that are waited for; False if it does not answer."""
        with self._changed:
            job_ids = list(self._waiters)
        try:
            seen = self._jobs.look(job_ids)
        except Exception:  # whatever the database has: those who wait are better off with late news than none
            if not is_failing:
                _log.warning("the database does not tell of jobs that are waited for", exc_info=True)
            return False
        for job_id in job_ids:
            found = seen.get(job_id)
            self._hear(job_id, None if found is None else found.phase)
        return True
