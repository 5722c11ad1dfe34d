"""A dry run as JSON."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from soda.estimate.asked import Page
from soda.estimate.service import Estimate, Terms
from soda.estimate.verdicts import Found, Verdict
from soda.targets import SeenColumn
from uws.planning import Outlook
from uws.quota import Allowance

#: So many faults are told one by one.
TOLD_FAULTS = 100
DIGITS = 4
#: Of degrees: where on the sky a target is, not where it is cut.
PLACES = 6


def estimate_document(
    estimate: Estimate, terms: Terms, command: str, now: datetime, page: Page | None
) -> str:
    """Write what a request would come to.

    Parameters
    ----------
    estimate
        What was found.
    terms
        What jobs may ask for.
    command
        The command that makes a job of the request.
    now
        Where times are counted from.
    page
        Rows whose verdicts are told one by one.
    """
    found, refused = estimate.found, estimate.refused
    told: dict[str, Any] = {
        "rows": found.sums() if found else {"total": estimate.total},
        "verdicts": found.counts() if found else {},
        "columns": [_column(one) for one in estimate.columns] or None,
        "faults": [fault.written() for fault in islice(found.faults, TOLD_FAULTS)] if found else [],
        "more_faults": max(0, len(found.faults) - TOLD_FAULTS) if found else 0,
        "images": found.images if found else 0,
        "cutouts": found.cutouts if found else 0,
        "bytes": found.size if found else 0,
        **_when(estimate.outlook, now),
        "expiry": _moment(now + timedelta(seconds=terms.kept_s)),
        "limits": terms.limits,
        "quota": [_quota(allowance) for allowance in estimate.quota],
        "async": None if refused else command,
        "sync": estimate.sync or None,
        "not_sync": estimate.not_sync or None,
        "refused": None,
        "nearest": None,
    }
    if refused is not None:
        told["refused"] = {"label": refused.label, "sentence": refused.sentence, "fix": refused.fix}
        told["nearest"] = dict(estimate.nearest) or None
    if page is not None and found is not None:
        told["row_verdicts"] = _page(found, page)
    return json.dumps(told, ensure_ascii=False, allow_nan=False)


def _when(outlook: Outlook | None, now: datetime) -> dict[str, Any]:
    if outlook is None:
        return {"seconds": None, "queue": None}
    told, queue = outlook.forecast, outlook.queue
    return {
        "seconds": {"p50": round(told.p50_s, 3), "p90": round(told.p90_s, 3), "runs": told.run.runs},
        "queue": {
            "position": queue.jobs,
            "start": _moment(now + timedelta(seconds=told.start_s)),
            "end": _moment(now + timedelta(seconds=told.p90_s)),
            "workers": queue.serving,
        },
    }


def _quota(allowance: Allowance) -> dict[str, Any]:
    limit, taken = allowance.limit, allowance.taken
    return {
        "subject": allowance.whose,
        "kind": allowance.kind,
        "limit": limit,
        "needed": allowance.needed,
        "left": None if limit is None else max(0, limit - taken),
        "left_after": None if limit is None else max(0, limit - taken - allowance.needed),
    }


def _column(column: SeenColumn) -> dict[str, Any]:
    return {
        "name": column.name,
        "unit": column.unit or None,
        "ucd": column.ucd or None,
        "as": column.used_as or None,
        "found_by": column.found_by or None,
        "values": list(column.values),
    }


def _page(found: Found, page: Page) -> dict[str, Any]:
    """Tell some rows one by one: columns, as there may be many rows."""
    chosen = slice(page.after, page.after + page.limit)
    verdicts = found.verdicts[chosen]
    numbers = found.numbers[chosen] if len(found.numbers) else _count_from(page.after + 1, len(verdicts))
    columns: dict[str, Any] = {
        "words": [verdict.word for verdict in Verdict],
        "row": [int(number) for number in numbers],
        "verdict": [int(verdict) for verdict in verdicts],
        "fraction": [_rounded(fraction) for fraction in found.fractions[chosen]],
    }
    if found.ids:
        columns["id"] = list(found.ids[chosen])
    if found.ra_deg:
        columns["ra"] = [_degrees(degrees) for degrees in found.ra_deg[chosen]]
        columns["dec"] = [_degrees(degrees) for degrees in found.dec_deg[chosen]]
    if found.products:
        columns["product"] = list(found.products[chosen])
    after = page.after + len(verdicts)
    return {**columns, "next_after": after if after < len(found.verdicts) else None}


def _rounded(fraction: float | None) -> float | None:
    """Leave out what is not known, and digits that mean nothing."""
    return None if fraction is None or math.isnan(fraction) else round(float(fraction), DIGITS)


def _degrees(degrees: float) -> float | None:
    return None if math.isnan(degrees) else round(degrees, PLACES)


def _count_from(first: int, count: int) -> range:
    return range(first, first + count)


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
