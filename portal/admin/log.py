"""The audit log: who did what, when and why."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from accounts.audit import Audit, Entry
from portal.admin.area import Area, Table
from portal.admin.asked import Asked
from uws.moment import format_moment

PER_PAGE = 100
FILTERS = ("about", "by", "of_act", "words", "most")


@dataclass(frozen=True, slots=True)
class LogShown:
    """A page of the log, the last entry first; `before` is where the next page begins, 0 for nowhere."""

    entries: tuple[Entry, ...]
    before: int
    acts: tuple[str, ...]
    asked: Mapping[str, Sequence[str]] = field(default_factory=dict, repr=False)


def log_area(audit: Audit) -> Area:
    """Make the area."""

    def look(asked: Asked) -> LogShown:
        most = asked.whole("most", PER_PAGE, 1, 10_000)
        before = asked.whole("before", 0, 0, 2**62)
        entries = audit.read(
            most + 1,
            before=before or None,
            about=asked.text("about"),
            by=asked.text("by"),
            act=asked.text("of_act"),
            words=asked.text("words"),
        )
        filters = {name: asked.all(name) for name in FILTERS if asked.all(name)}
        next_page = entries[most - 1].audit_id if len(entries) > most else 0
        return LogShown(entries[:most], next_page, audit.acts(), filters)

    return Area("log", "Audit log", look, table=_table, asks=(*FILTERS, "before"))


def _table(shown: LogShown) -> Table:
    columns = ("at", "account", "actor", "act", "object", "reason", "data")
    rows = [
        (
            format_moment(one.at_ms),
            one.account,
            one.actor,
            one.act,
            one.object,
            one.reason,
            json.dumps(dict(one.data), ensure_ascii=False),
        )
        for one in shown.entries
    ]
    return Table(columns, rows)
