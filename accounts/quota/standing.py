"""How quotas stand, and what is said of one that does not suffice."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from accounts.quota.kinds import Kind, reset_of, told
from dali.errors import QuotaExceeded


@dataclass(frozen=True, slots=True)
class Standing:
    """How much of a quota is used; amounts in the units of its kind, `limit` 0 is none.

    `subject` is whose it is: ``user:…``, ``group:…`` or ``role:anonymous``; `reset_ms` is when it begins
    anew, None where it does not.
    """

    subject: str
    kind: Kind
    used: float
    reserved: float
    limit: int
    reset_ms: int | None = None


def standing_of(subject: str, kind: Kind, used: int, reserved: int, limit: int, now: int) -> Standing:
    """Tell how a quota stands, of the sums of the ledger; `now` is the moment."""
    reset = reset_of(kind, now)
    reset_ms = None if reset is None else round(reset.timestamp() * 1000)
    return Standing(subject, kind, told(kind, used), told(kind, reserved), limit, reset_ms)


def exceeded(standing: Standing, needed: float = 0) -> QuotaExceeded:
    """Say that a quota has not what is needed: how much is used, the limit, and when it begins anew."""
    kind = standing.kind
    sentence = (
        f"{whose_of(standing.subject)} quota of {WORDS[kind]} does not suffice: "
        f"{number(standing.used)} of {number(standing.limit)} used"
        + (f", {number(standing.reserved)} reserved by jobs" if standing.reserved else "")
        + (f", {number(needed)} needed" if needed else "")
    )
    reset = "" if standing.reset_ms is None else reset_text(standing.reset_ms)
    return QuotaExceeded(
        sentence, f"It begins anew at {reset}. /quota tells how it stands." if reset else _FIXES[kind]
    )


def reset_text(moment_ms: int) -> str:
    """Write when a quota begins anew."""
    return datetime.fromtimestamp(moment_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


#: What kinds are called in sentences.
WORDS = {
    Kind.CUTOUTS: "cutouts a day",
    Kind.CPU: "seconds of work a day",
    Kind.BYTES: "bytes of results kept",
    Kind.JOBS: "active jobs",
}
_FIXES = {
    Kind.BYTES: "Delete jobs whose results you have; /quota tells how it stands.",
    Kind.JOBS: "Wait until one of them has ended, or abort one; /quota tells how it stands.",
}


def number(amount: float) -> str:
    """Write an amount."""
    return f"{amount:.3f}".rstrip("0").rstrip(".")


def whose_of(subject: str) -> str:
    """Say whose a quota is."""
    kind, _, name = subject.partition(":")
    return {"group": f"the group {name}'s", "role": "the public's"}.get(kind, "your")
