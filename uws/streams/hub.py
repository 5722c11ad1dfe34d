"""The hub: one thread that hears of jobs, and tells all streams of one process.

Rings tell which jobs have changed. Where Redis is silent the database is asked instead, and now and then
where it is not: a ring may be lost. It is asked once for all who follow jobs.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from random import uniform
from typing import Any, TypeAlias

from dali.caller import Caller
from dali.errors import ServiceUnavailable
from uws.bell import Bell, BellSilent, Listener
from uws.documents.teller import JobTeller
from uws.job import Job
from uws.store.changes import Changed, Changes, Happened, Owned
from uws.streams.followers import Brief, Follower, Reader
from uws.streams.frames import HEARTBEAT
from uws.streams.position import MEMORY_MS, OVERLAP_MS
from uws.streams.wires import Wire, Wires

#: The thread looks up so often from listening, and asks the database no more often.
HEAR_S = 0.1
#: How often it is asked what has changed, as long as Redis answers, and when not.
SWEEP_S = 2.0
SILENT_SWEEP_S = 0.5
#: One sweep of so many looks back much further, for what was long in coming to light.
WIDE_SWEEPS = 15
#: The database is asked again after it did not answer; and Redis.
RETRY_S = 1.0
REDIS_RETRY_S = 5.0
HEARTBEAT_S = 15.0
#: After so long a stream ends, and its client comes back: whether it still may is looked at then.
LIFE_S = 600.0
#: With nobody following, the thread stays so long.
IDLE_S = 5.0
#: So many events of a job are read at a time, and so many jobs.
MOST_EVENTS = 500
MOST_JOBS = 500
#: One client takes this share of the places at most: one alone does not keep all others out.
SHARE = 4
#: When clients are to come again that find no place.
RETRY_AFTER_S = 5

MaySee: TypeAlias = Callable[[Caller, Job, str], bool]

_log = logging.getLogger(__name__)


class Hub:
    """Tells the streams of one process. Its thread starts with the first of them, so after any fork.

    Parameters
    ----------
    changes
        The database of jobs.
    bell
        What rings.
    may_see
        Whether somebody may see a job now, by a link perhaps.
    most
        So many streams may there be at a time.
    """

    def __init__(self, changes: Changes, bell: Bell, may_see: MaySee, most: int) -> None:
        self._changes = changes
        self._bell = bell
        self._may_see = may_see
        self._most, self._share = most, max(1, most // SHARE)
        self._lock = threading.Condition()
        #: Each with how jobs are told to it, and when it is to end.
        self._followers: dict[Follower, tuple[JobTeller, float]] = {}
        self._suspects: set[str] = set()
        self._thread: threading.Thread | None = None
        self._is_closed = self._is_draining = False
        self._places = 0
        self._places_of: Counter[str] = Counter()
        self._wires = Wires()
        self._offers: dict[socket.socket, Wire] = {}
        self._told: Callable[[int], object] = lambda count: None
        #: The web server takes connections over: `adopt`.
        self.adopts = False

    def watch(self, told: Callable[[int], object]) -> None:
        """Have `told` told how many streams there are, whenever that changes."""
        self._told = told

    @property
    def count(self) -> int:
        """How many streams there are."""
        return self._places

    def take_place(self, client: str = "") -> None:
        """Take a place for a client, which is given back by `leave` or `give_back`.

        Raises
        ------
        ServiceUnavailable
            If there is none, or the client has its share of them; "" has no share.
        """
        with self._lock:
            is_full = self._places >= self._most or (client and self._places_of[client] >= self._share)
            if is_full or self._is_closed or self._is_draining:
                raise ServiceUnavailable(
                    "there are too many live connections now",
                    "Ask for JSON from time to time instead, or try again.",
                    retry_after_s=RETRY_AFTER_S,
                )
            self._places += 1
            self._places_of[client] += 1
            self._told(self._places)

    def give_back(self, client: str = "") -> None:
        """Give a place back."""
        with self._lock:
            self._places -= 1
            self._places_of[client] -= 1
            self._places_of += Counter()  # without those who have none
            self._told(self._places)
            self._lock.notify_all()

    def follow(self, follower: Follower, teller: JobTeller) -> None:
        """Begin to tell a stream, which has a place."""
        with self._lock:
            # Those who came together do not come back together.
            life_s = LIFE_S * uniform(0.8, 1.0)  # noqa: S311  # no secret
            self._followers[follower] = teller, time.monotonic() + life_s
            self._lock.notify_all()
            if follower.events_after is not None:
                self._suspects.update(follower.job_ids)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="streams", daemon=True)
                self._thread.start()

    def catch_up(self, follower: Follower, teller: JobTeller, missed: Sequence[Changed]) -> None:
        """Tell a stream that nobody else tells yet what it has missed."""
        brief = _Briefs(self._may_see, [changed.job for changed in missed]).of(teller)
        for changed in missed:
            follower.tell(changed, (), brief)

    def leave(self, follower: Follower) -> None:
        """Tell a stream no more; its place is free."""
        with self._lock:
            if self._followers.pop(follower, None) is None:
                return
        follower.outbox.end()
        self.give_back(follower.client)

    def offer(self, line: socket.socket, follower: Follower, *, is_chunked: bool) -> None:
        """Have a connection taken over, as soon as the web server lets go of it."""
        wire = Wire(line, follower.outbox, lambda: self.leave(follower), is_chunked=is_chunked)
        with self._lock:
            self._offers[line] = wire

    def adopt(self, line: socket.socket) -> bool:
        """Take a connection over that was offered; False if it was not."""
        if not self._offers:
            return False
        with self._lock:
            wire = self._offers.pop(line, None)
        if wire is None:
            return False
        self._wires.add(wire)
        return True

    def drain(self) -> None:
        """End all streams at once, and begin no more: their clients come back to whoever serves then."""
        # No lock: this is called from a signal handler, which may have interrupted the holder.
        self._is_draining = True

    def wait_until_empty(self, seconds: float) -> None:
        """Wait so long at most until all have left."""
        with self._lock:
            self._lock.wait_for(lambda: not self._places, seconds)

    def close(self) -> None:
        """End all streams, and the thread."""
        with self._lock:
            self._is_closed = True
            self._lock.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(SWEEP_S)

    def _run(self) -> None:
        ear = self._bell.listen()
        round_ = _Round()
        while self._is_wanted():
            try:
                self._turn(ear, round_)
            except Exception:  # whatever the database has: those who follow are better off with late news
                if not round_.is_failing:
                    _log.warning("the database does not tell of jobs that are followed", exc_info=True)
                round_.is_failing = True
                time.sleep(RETRY_S)
            else:
                round_.is_failing = False
        ear.close()

    def _is_wanted(self) -> bool:
        with self._lock:
            if not (self._is_closed or self._is_draining):
                if self._followers:
                    return True
                if (
                    self._lock.wait_for(lambda: self._followers or self._is_closed, IDLE_S)
                    and self._followers
                ):
                    return True
            followers = list(self._followers)
            self._suspects.clear()
            self._thread = None
        for follower in followers:
            follower.outbox.end()
        return False

    def _turn(self, ear: Listener, round_: _Round) -> None:
        """Hear what there is, ask the database, tell, and keep connections awake."""
        has_missed = self._hear(ear, round_)
        now = time.monotonic()
        with self._lock:
            followers = dict(self._followers)
            suspects, self._suspects = self._suspects, set()
        round_.behind &= followers.keys()
        for follower in [one for one in round_.behind if one.events_after is not None]:
            round_.behind.discard(follower)
            suspects.update(follower.job_ids)
        audience = _Audience(followers)
        try:
            if has_missed or now >= round_.sweep_at:
                self._sweep(audience, round_)
                round_.sweep_at = now + (SWEEP_S if ear.is_open else SILENT_SWEEP_S)
            if suspects:
                self._tell(audience, self._changes.among(suspects), round_)
        except Exception:
            with self._lock:
                self._suspects |= suspects
            raise
        self._keep_awake(followers, now, round_)

    def _hear(self, ear: Listener, round_: _Round) -> bool:
        """Listen for a while; whether something may have been told before that was possible."""
        was_open = ear.is_open
        if time.monotonic() < round_.retry_at:
            time.sleep(HEAR_S)
            return False
        began = time.monotonic()
        try:
            news = ear.next(HEAR_S)
            while news is not None:
                with self._lock:
                    self._suspects.add(news[0])
                # Who rings again and again is heard once.
                news = ear.next(0.01 if time.monotonic() - began < HEAR_S else 0.0)
        except BellSilent:
            round_.retry_at = time.monotonic() + REDIS_RETRY_S
        return ear.is_open and not was_open

    def _sweep(self, audience: _Audience, round_: _Round) -> None:
        """Ask what has changed of late."""
        now_ms = self._changes.now_ms()
        round_.sweeps += 1
        back_ms = MEMORY_MS if round_.sweeps % WIDE_SWEEPS == 0 else OVERLAP_MS
        since_ms = min(now_ms, round_.swept_ms or now_ms) - back_ms
        self._tell(audience, self._changes.since(since_ms), round_)
        round_.swept_ms = now_ms
        for follower in audience.followers:
            follower.advance(now_ms)

    def _tell(self, audience: _Audience, suspects: Iterable[Owned], round_: _Round) -> None:
        job_ids = [one.job_id for one in suspects if audience.has(one)]
        for start in range(0, len(job_ids), MOST_JOBS):
            found = self._changes.named(job_ids[start : start + MOST_JOBS])
            briefs = _Briefs(self._may_see, [changed.job for changed in found])
            for changed in found:
                self._tell_one(audience, changed, briefs, round_)

    def _tell_one(self, audience: _Audience, changed: Changed, briefs: _Briefs, round_: _Round) -> None:
        job, followers = changed.job, audience.of(changed.job)
        brief_of = {follower: briefs.of(audience.followers[follower][0]) for follower in followers}
        events = self._events(job, followers)
        for follower in followers:
            try:
                follower.tell(changed, events.get(follower, ()), brief_of[follower])
            except Exception:  # the others are told all the same
                _log.exception("a stream of jobs broke off", extra={"job_id": job.job_id})
                follower.outbox.end()
            after = follower.events_after
            if (
                follower in events
                and not follower.outbox.is_over
                and (after is None or after < job.event_seq)
            ):
                round_.behind.add(follower)

    def _events(self, job: Job, followers: Iterable[Follower]) -> Mapping[Follower, Sequence[Happened]]:
        """Read what happened to a job for those who want that; who is far behind keeps nobody waiting."""
        wanted = {
            follower: after
            for follower in followers
            if (after := follower.events_after) is not None and after < job.event_seq
        }
        near = [after for after in wanted.values() if job.event_seq - after <= MOST_EVENTS]
        recent = self._changes.events(job.job_id, min(near), MOST_EVENTS) if near else ()
        return {
            follower: recent
            if job.event_seq - after <= MOST_EVENTS
            else self._changes.events(job.job_id, after, MOST_EVENTS)
            for follower, after in wanted.items()
        }

    def _keep_awake(
        self, followers: Mapping[Follower, tuple[JobTeller, float]], now: float, round_: _Round
    ) -> None:
        is_beat = now >= round_.beat_at
        if is_beat:
            round_.beat_at = now + HEARTBEAT_S
        for follower, (_, ends_at) in followers.items():
            if now >= ends_at:
                follower.outbox.end()
            elif is_beat:
                follower.outbox.put(HEARTBEAT)


class _Round:
    """What the thread remembers from one turn to the next."""

    def __init__(self) -> None:
        self.sweep_at = self.retry_at = 0.0
        self.beat_at = time.monotonic() + HEARTBEAT_S
        self.sweeps = 0
        self.swept_ms: int | None = None
        self.is_failing = False
        #: Those who have not been told everything.
        self.behind: set[Follower] = set()


class _Audience:
    """Those who follow jobs, by what they follow."""

    def __init__(self, followers: Mapping[Follower, tuple[JobTeller, float]]) -> None:
        self.followers = followers
        self._by_owner: dict[str, list[Follower]] = defaultdict(list)
        self._by_job: dict[str, list[Follower]] = defaultdict(list)
        for follower in followers:
            if follower.owner:
                self._by_owner[follower.owner].append(follower)
            for job_id in follower.job_ids:
                self._by_job[job_id].append(follower)

    def has(self, one: Owned) -> bool:
        """Whether somebody follows a job."""
        return one.job_id in self._by_job or one.owner in self._by_owner

    def of(self, job: Job) -> Collection[Follower]:
        """Name those who follow a job."""
        found = (*self._by_job.get(job.job_id, ()), *self._by_owner.get(job.owner, ()))
        return [one for one in found if self.followers[one][0].job_type == job.type]


class _Briefs:
    """Jobs as they are told, each once for each caller."""

    def __init__(self, may_see: MaySee, jobs: Iterable[Job]) -> None:
        self._may_see = may_see
        self._jobs = list(jobs)
        self._made: dict[JobTeller, Brief] = {}

    def of(self, teller: JobTeller) -> Brief:
        """Give what tells of these jobs."""
        if teller in self._made:
            return self._made[teller]
        surroundings = teller.surroundings(self._jobs)
        told: dict[tuple[str, Caller, str], Mapping[str, Any]] = {}

        def brief(job: Job, reader: Reader) -> Mapping[str, Any] | None:
            key = job.job_id, reader.caller, reader.list_url
            if not self._may_see(reader.caller, job, reader.link):
                return None
            if key not in told:
                told[key] = teller.brief(job, reader.caller, reader.list_url, surroundings)
            return told[key]

        return self._made.setdefault(teller, brief)
