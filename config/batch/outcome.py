"""What became of the rows of a list, as its manifest tells."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

#: Statuses of rows that were to give a file and did not.
FAILED = ("failed", "poison", "no_rights")
#: What differs from row to row in sentences that mean the same.
_VARIABLE = re.compile(r"'[^']*'|\"[^\"]*\"|(?<![A-Za-z_])[+-]?\d[\d.,]*(?:[eE][+-]?\d+)?")


@dataclass(slots=True)
class Reason:
    """Why some rows failed: the sentence of the first of them, their number, and the first few."""

    sentence: str
    count: int = 0
    rows: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a list: rows by status, files and bytes, and why rows failed, most frequent first.

    `begun`: of those that failed, how many were begun; others were refused as they are.
    """

    statuses: Mapping[str, int]
    files: int
    size: int
    reasons: Sequence[Reason]
    begun: int = 0

    @property
    def failed(self) -> int:
        """How many rows were to give a file and did not."""
        return sum(self.statuses.get(status, 0) for status in FAILED)


#: So many rows are named of each reason.
NAMED = 5


def outcome_of(manifest: Iterable[Mapping[str, str]]) -> Outcome:
    """Sum up a manifest."""
    statuses: Counter[str] = Counter()
    reasons: dict[str, Reason] = {}
    files = size = begun = 0
    for row in manifest:
        status = row.get("status") or "unknown"
        statuses[status] += 1
        if row.get("path"):
            files += 1
            size += int(row.get("bytes") or 0)
        if status in FAILED:
            begun += row.get("attempts") != "0"
            told = row.get("error_message") or status
            reason = reasons.setdefault(_VARIABLE.sub("…", told), Reason(told))
            reason.count += 1
            if len(reason.rows) < NAMED:
                reason.rows.append(row.get("row") or "?")
    by_count = sorted(reasons.values(), key=lambda reason: -reason.count)
    return Outcome(statuses, files, size, by_count, begun)
