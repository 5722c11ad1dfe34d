"""What may happen to a job that somebody is told of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from uws.job import Counts

Event = Literal["done", "failed", "expiring", "expired"]
EVENTS: tuple[Event, ...] = get_args(Event)
Channel = Literal["mail", "webhook"]


@dataclass(frozen=True, slots=True)
class Notice:
    """Somebody is to be told something. Moments are milliseconds since 1970.

    Parameters
    ----------
    dedupe
        Job, event and channel: its name for ever, and that of what is sent.
    url
        Of a webhook.
    facts
        Of the job, as it was then.
    attempts
        How often it was tried before.
    is_handed
        It was being handed over to a mail server when whoever did so died: it may have arrived.
    """

    notice_id: int
    job_id: str
    event: Event
    channel: Channel
    dedupe: str
    owner: str
    url: str
    facts: Facts
    created_ms: int
    attempts: int
    is_handed: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """Of a job, for a notice.

    Parameters
    ----------
    name
        Its RUNID, "" if it has none.
    size
        Bytes of its results.
    error
        Why it failed.
    """

    name: str
    phase: str
    counts: Counts
    size: int
    error: str
    ended_ms: int
    destruction_ms: int

    def to_json(self) -> dict[str, Any]:
        """As it is kept, and sent to webhooks."""
        counts = self.counts
        return {
            "run_id": self.name,
            "phase": self.phase,
            "rows": {name: getattr(counts, name) for name in Counts.__slots__},
            "bytes": self.size,
            "error": self.error,
            "ended_ms": self.ended_ms,
            "destruction_ms": self.destruction_ms,
        }

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Facts:
        """Read what `to_json` wrote."""
        return cls(
            written["run_id"],
            written["phase"],
            Counts(**written["rows"]),
            written["bytes"],
            written["error"],
            written["ended_ms"],
            written["destruction_ms"],
        )
