"""What is counted, and for whom."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from dali.caller import Caller

#: Milliseconds of a day.
DAY_MS = 86_400_000


class Kind(StrEnum):
    """What is limited; the value is the name in settings, tables and answers."""

    CUTOUTS = "cutouts"  # made in a day
    CPU = "cpu_s"  # seconds of work in a day
    BYTES = "bytes"  # of results that are kept
    JOBS = "jobs"  # active at a time
    ROWS = "rows"  # of one job
    RATE = "rate"  # requests in a minute, weighted by what they cost


#: Counted in the ledger, in the order in which their rows are locked; the others have no count to keep.
LEDGER = (Kind.CUTOUTS, Kind.CPU, Kind.BYTES, Kind.JOBS)
#: Counted by days, which begin at 0 h UTC.
DAILY = frozenset((Kind.CUTOUTS, Kind.CPU))
#: Seconds are counted in thousandths.
_SCALES = {Kind.CPU: 1000}


def in_ledger(kind: Kind, amount: float) -> int:
    """Give an amount in the units of the ledger."""
    return round(amount * _SCALES.get(kind, 1))


def told(kind: Kind, amount: int) -> float | int:
    """Give an amount of the ledger in the units of its kind."""
    scale = _SCALES.get(kind, 1)
    return amount if scale == 1 else amount / scale


def window_of(kind: Kind, now_ms: int) -> str:
    """Name the time that an amount is counted for: a day, or "" for what is not counted by days."""
    if kind not in DAILY:
        return ""
    return datetime.fromtimestamp(now_ms / 1000, UTC).date().isoformat()


def reset_of(kind: Kind, now_ms: int) -> datetime | None:
    """Tell when counting begins anew, None where it does not."""
    if kind not in DAILY:
        return None
    return datetime.fromtimestamp((now_ms // DAY_MS) * DAY_MS / 1000, UTC) + timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Amounts:
    """What a job needs or has used, in the units of the kinds."""

    cutouts: int = 0
    cpu_s: float = 0.0
    bytes: int = 0
    jobs: int = 0

    def items(self) -> list[tuple[Kind, int]]:
        """List all amounts in the units of the ledger, in its order."""
        return [(kind, in_ledger(kind, getattr(self, kind.value))) for kind in LEDGER]


def class_of(caller: Caller) -> str:
    """Name the class of callers whose limits one has who has none of its own."""
    return caller.tier if caller.name else "anonymous"


def subject_of(caller: Caller) -> str:
    """Name whom the use of a caller is counted for; those nobody knows are counted together."""
    return f"user:{caller.name}" if caller.name else "role:anonymous"
