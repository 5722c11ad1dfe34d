"""What is kept, what is destroyed soon, and what can be done about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from markupsafe import Markup

from portal.admin.area import Area, Verb
from portal.admin.asked import Asked
from portal.admin.charts import Bar, bars
from portal.admin.jobs import JobActs
from portal.figures import size
from portal.words import gettext as _
from portal.words import ngettext
from uws.store.retention import DAY_MS, Keeping, Retention

DAYS = 14
MOST = 50


@dataclass(frozen=True, slots=True)
class RetentionShown:
    """What is kept until when, with a picture of the next days."""

    retention: Retention
    chart: Markup = field(default=Markup(), repr=False)


def retention_area(keeping: Keeping, acts: JobActs) -> Area:
    """Make the area."""

    def look(asked: Asked) -> RetentionShown:
        found = keeping.look(asked.whole("days", DAYS, 7, 60), asked.whole("most", MOST, 1, 500))
        days = [
            Bar(
                _day(found.now_ms + number * DAY_MS + DAY_MS // 2),
                (float(amount.bytes),),
                ngettext("{n} job", "{n} jobs", amount.jobs).format(n=amount.jobs),
            )
            for number, amount in enumerate(found.days)
        ]
        return RetentionShown(found, bars(days, (_("bytes destroyed"),), size))

    return Area(
        "retention",
        "Retention",
        look,
        {"keep": Verb(acts.keep), "destroy": Verb(acts.destroy)},
        asks=("days", "most"),
    )


def _day(moment_ms: int) -> str:
    return datetime.fromtimestamp(moment_ms / 1000, UTC).date().isoformat()
