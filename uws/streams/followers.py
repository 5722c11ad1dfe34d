"""What a stream tells: of one job each event, or of several jobs how they are. One thread uses them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from dali.caller import Caller
from uws.documents.job import progress_value
from uws.job import Job
from uws.moment import format_moment
from uws.phase import TERMINAL
from uws.store.changes import Changed, Happened
from uws.streams.frames import event
from uws.streams.outbox import Outbox
from uws.streams.position import Position

#: With so much waiting to be sent, further events wait in the database.
ENOUGH_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads a stream, and below which URL jobs are for them.

    Parameters
    ----------
    link
        The key of one that they came by.
    client
        Whose streams are counted together, "" where they are not.
    """

    caller: Caller
    list_url: str
    link: str = ""
    client: str = ""


#: Tells of a job; None if the reader may not see it any more.
Brief = Callable[[Job, Reader], Mapping[str, Any] | None]


class Follower(Protocol):
    """A stream, as the hub knows it."""

    @property
    def outbox(self) -> Outbox:
        """What it has to send."""

    @property
    def client(self) -> str:
        """Whose streams are counted together with it."""

    @property
    def owner(self) -> str:
        """Whose jobs it follows, "" for those of no owner."""

    @property
    def job_ids(self) -> Collection[str]:
        """Which jobs it follows beside those."""

    @property
    def events_after(self) -> int | None:
        """From which number on it wants events; None if it wants none, or has enough to send."""

    def tell(self, changed: Changed, events: Iterable[Happened], brief: Brief) -> None:
        """Hear how a job is, and what happened to it."""

    def advance(self, now_ms: int) -> None:
        """Hear that nothing else has come to light until now."""


class JobFollower:
    """Tells of each event of a job after a number; one that has ended is told to its end."""

    owner = ""

    def __init__(self, reader: Reader, job_id: str, after: int) -> None:
        self.outbox, self.client = Outbox(), reader.client
        self.job_ids = (job_id,)
        self._reader = reader
        self._after = after

    @property
    def events_after(self) -> int | None:
        """From which number on it wants events."""
        return self._after if self.outbox.size < ENOUGH_BYTES and not self.outbox.is_over else None

    def tell(self, changed: Changed, events: Iterable[Happened], brief: Brief) -> None:
        """Tell what happened, with how far the job is now."""
        job = changed.job
        if not changed.is_gone and brief(job, self._reader) is None:
            self.outbox.end()  # to come again is to be told why
            return
        progress = progress_value(job)
        for one in events:
            if self._after < one.seq <= job.event_seq:
                self.outbox.put(event("event", {**happened_value(one), "job": progress}, one.seq))
                self._after = one.seq
        if self._after >= job.event_seq and (changed.is_gone or job.phase in TERMINAL):
            self.outbox.put(event("end", {**progress, "gone": changed.is_gone}, self._after))
            self.outbox.end()

    def advance(self, now_ms: int) -> None:
        """Numbers of events have no gap: nothing is to be done."""


class ListFollower:
    """Tells how jobs are whenever they have changed: those of the reader, or those of some names."""

    events_after = None

    def __init__(self, reader: Reader, job_ids: Collection[str] | None, position: Position) -> None:
        self.outbox, self.client = Outbox(), reader.client
        self.owner = reader.caller.name if job_ids is None else ""
        self.job_ids = frozenset(job_ids or ())
        self._reader = reader
        self._position = position

    def tell(self, changed: Changed, events: Iterable[Happened], brief: Brief) -> None:
        """Tell how a job is, unless that was told."""
        if self._position.has(changed):
            return
        self._position.take(changed)
        value = None if changed.is_gone else brief(changed.job, self._reader)
        if value is None:
            self.outbox.put(event("gone", {"id": changed.job.job_id}, str(self._position)))
        else:
            self.outbox.put(event("job", value, str(self._position)))

    def advance(self, now_ms: int) -> None:
        """Have what is older than half a minute behind it."""
        self._position.advance(now_ms)


def happened_value(one: Happened) -> dict[str, Any]:
    """Tell an event."""
    return {"seq": one.seq, "at": format_moment(one.at_ms), "kind": one.kind, "data": dict(one.data)}
