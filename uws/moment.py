"""Moments as jobs know them: whole milliseconds since 1970, UTC, always of the database's clock."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: ISO 8601 as DALI 1.1, section 3.3.3, has it, with the zone some clients add.
_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?", re.ASCII | re.IGNORECASE
)


def format_moment(moment_ms: int) -> str:
    """``2026-01-31T12:00:00.000Z`` (section 2.2.1: never without Z, and never another zone)."""
    return (_EPOCH + timedelta(milliseconds=moment_ms)).strftime("%Y-%m-%dT%H:%M:%S.") + (
        f"{moment_ms % 1000:03d}Z"
    )


def parse_moment(text: str) -> int:
    """Read an ISO 8601 time, with or without Z, a fraction or a time of day; UTC where no zone is told.

    Raises
    ------
    ValueError
        If it is no such time.
    """
    found = _ISO.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"no time: {text!r}")
    day, clock, fraction, zone = found.groups()
    moment = datetime.fromisoformat(f"{day}T{clock or '00:00'}")
    aware = f"2000-01-01T00:00{zone}" if zone and zone not in "zZ" else "2000-01-01T00:00+00:00"
    offset = datetime.fromisoformat(aware).utcoffset() or timedelta()
    try:
        whole = (moment.replace(tzinfo=UTC) - offset - _EPOCH) // timedelta(seconds=1)
    except OverflowError:  # the zone brings a time of the year 1, or 9999, out of what dates can hold
        raise ValueError(f"no time: {text!r}") from None
    return whole * 1000 + int((fraction or ".0")[1:4].ljust(3, "0"))
