"""What all users are told: written by administrators, shown on every page for a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import structlog
from sqlalchemy import Engine, delete, insert, or_, select
from sqlalchemy.exc import SQLAlchemyError

from accounts.audit import Audit
from accounts.tables import AnnouncementRow
from dali.caller import Caller
from dali.clock import NowMs, now_ms
from dali.errors import NotFound, UsageError, quoted
from dali.trial import Trial

Level = Literal["note", "warning"]
LEVELS: tuple[Level, ...] = get_args(Level)
LONGEST = 500
DAY_MS = 86_400_000
#: What another process announces is shown after so many seconds.
KEPT_S = 5.0
#: A page waits so long for them at most.
WITHIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Announcement:
    """Something that all are told from one moment to another, in ms; for ever where there is no other."""

    announcement_id: int
    text: str
    level: Level
    from_ms: int
    until_ms: int | None
    account: str


class Announcements:
    """Announcements in the database.

    Parameters
    ----------
    engine
        Of the database.
    audit
        Is told of each that is made or taken back.
    kept_s
        So long what was read is used again.
    """

    def __init__(self, engine: Engine, audit: Audit, kept_s: float = KEPT_S) -> None:
        self._reading = engine.execution_options(single_reads=True)
        self._writing = engine.execution_options(writes=True)
        self._audit = audit
        self._kept_s = kept_s
        self._lock = threading.Lock()
        self._current: Sequence[Announcement] = ()
        self._trial = Trial(self._of_this_moment)
        self._read_at = float("-inf")

    def current(self) -> Sequence[Announcement]:
        """Give those of this moment, warnings first, up to some seconds ago.

        While the database is away, those that were read last: pages tell of that too.
        """
        with self._lock:
            if time.monotonic() - self._read_at >= self._kept_s:
                try:
                    self._trial.begin()
                    self._current = self._trial.result(WITHIN_S)
                except (SQLAlchemyError, TimeoutError) as error:
                    structlog.get_logger().warning("announcements cannot be read", exc_info=error)
                self._read_at = time.monotonic()
            return self._current

    def all(self) -> Sequence[Announcement]:
        """List those that are not over, the latest first; some have not begun."""
        return self._read(_QUERY.where(_HOLDS))

    def say(
        self,
        text: str,
        level: str,
        days: float | None,
        *,
        by: Caller,
        reason: str = "",
        in_days: float = 0.0,
    ) -> Announcement:
        """Announce something, from `in_days` days from now on, for so many days or until it is taken back.

        Raises
        ------
        UsageError
            If it is empty or too long, or of no level there is.
        """
        text = " ".join(text.split())
        if not 0 < len(text) <= LONGEST:
            raise UsageError(f"an announcement has 1 to {LONGEST} characters; got {len(text)}")
        if level not in LEVELS:
            raise UsageError(f"there is no level {quoted(level)}", f"Levels are {' and '.join(LEVELS)}.")
        with self._writing.begin() as connection:
            from_ms = now_ms(connection) + round(in_days * DAY_MS)
            until_ms = None if days is None else from_ms + round(days * DAY_MS)
            values = {"text": text, "level": level, "from_ms": from_ms, "until_ms": until_ms}
            made = connection.execute(
                insert(AnnouncementRow)
                .values(**values, account=by.name)
                .returning(*AnnouncementRow.__table__.columns)
            ).one()
            self._audit.write(connection, by, "announced", str(made.announcement_id), reason, values)
        self._forget()
        return Announcement(**made._mapping)

    def withdraw(self, announcement_id: int, *, by: Caller, reason: str = "") -> None:
        """Take an announcement back.

        Raises
        ------
        NotFound
            If there is none of this number.
        """
        with self._writing.begin() as connection:
            of_it = delete(AnnouncementRow).where(AnnouncementRow.announcement_id == announcement_id)
            if not connection.execute(of_it).rowcount:
                raise NotFound(f"there is no announcement {announcement_id}")
            self._audit.write(connection, by, "announcement withdrawn", str(announcement_id), reason)
        self._forget()

    def _of_this_moment(self) -> Sequence[Announcement]:
        found = self._read(_QUERY.where(AnnouncementRow.from_ms <= NowMs(), _HOLDS))
        return sorted(found, key=lambda one: one.level != "warning")

    def _forget(self) -> None:
        with self._lock:
            self._read_at = float("-inf")

    def _read(self, query: Any) -> Sequence[Announcement]:
        with self._reading.connect() as connection:
            found = connection.execute(query).mappings()
            return [Announcement(**row) for row in found]


_HOLDS = or_(AnnouncementRow.until_ms.is_(None), AnnouncementRow.until_ms > NowMs())
_QUERY = select(*AnnouncementRow.__table__.columns).order_by(
    AnnouncementRow.from_ms.desc(), AnnouncementRow.announcement_id.desc()
)
