"""How quotas stand, as JSON and as text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from accounts.quota.buckets import Rate
from accounts.quota.kinds import Kind, class_of
from accounts.quota.standing import WORDS, Standing, number, reset_text, whose_of
from dali.caller import Caller


@dataclass(frozen=True, slots=True)
class Stand:
    """How the quotas of a caller stand.

    Parameters
    ----------
    rows
        Cutouts that a job may ask for; 0 is no limit of the caller's own.
    rate
        How fast requests may come; None is no limit.
    """

    caller: Caller
    standings: tuple[Standing, ...]
    rows: int
    rate: Rate | None


def quota_json(stand: Stand) -> str:
    """Write it as JSON."""
    rate = stand.rate
    told: Mapping[str, Any] = {
        "account": stand.caller.name,
        "class": class_of(stand.caller),
        "quotas": [_one(standing) for standing in stand.standings],
        "rows_of_a_job": {"limit": stand.rows or None},
        "rate": None
        if rate is None
        else {"limit": rate.per_minute, "seconds": 60, "at_once": max(1, int(rate.burst_s / rate.each_s))},
    }
    return json.dumps(told, ensure_ascii=False)


def _one(standing: Standing) -> Mapping[str, Any]:
    limit = standing.limit or None
    taken = standing.used + standing.reserved
    return {
        "subject": standing.subject,
        "kind": standing.kind.value,
        "used": standing.used,
        "reserved": standing.reserved,
        "limit": limit,
        "left": None if limit is None else max(0, limit - taken),
        "resets": None if standing.reset_ms is None else reset_text(standing.reset_ms),
    }


def quota_text(stand: Stand) -> str:
    """Write it as text, one line for each quota."""
    return "\n".join([*_lines(stand), ""])


def _lines(stand: Stand) -> Iterable[str]:
    who = stand.caller.name or "all whom nobody knows, together"
    yield f"Quotas of {who} (class {class_of(stand.caller)})"
    for one in stand.standings:
        limit = f"of {number(one.limit)}" if one.limit else "without a limit"
        reserved = f", {number(one.reserved)} reserved by jobs" if one.reserved else ""
        anew = "" if one.reset_ms is None else f"; anew at {reset_text(one.reset_ms)}"
        yield f"{whose_of(one.subject)} {WORDS[one.kind]}: {number(one.used)} used {limit}{reserved}{anew}"
    yield f"{Kind.ROWS.value} of one job: {stand.rows or 'as many as any job'}"
    yield f"requests a minute: {'any' if stand.rate is None else stand.rate.per_minute}"
