"""Who may use how much: the settings, and what was decided otherwise for a while."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Engine, delete, insert, or_, select

from accounts.audit import Audit
from accounts.quota.kinds import Kind, class_of
from accounts.quota.settings import QuotaSettings, read_entry
from accounts.tables import LimitRow
from dali.caller import Caller
from dali.clock import NowMs, now_ms

#: What was decided is known everywhere after so many seconds.
KEPT_S = 5.0

_Limits = Mapping[Kind, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Override:
    """A limit that somebody has instead of the one of the settings; `value` 0 is none.

    `until_ms` is when it ends, None if it does not; `account` is who decided it.
    """

    subject: str
    kind: Kind
    value: int
    until_ms: int | None = None
    reason: str = ""
    account: str = ""


class Limits:
    """Tells who may use how much.

    Parameters
    ----------
    engine
        Database of what was decided.
    settings
        Limits of everybody else.
    audit
        Has written down what is decided.
    """

    def __init__(self, engine: Engine, settings: QuotaSettings, audit: Audit) -> None:
        self._reading = engine.execution_options(single_reads=True)
        self._writing = engine.execution_options(writes=True)
        self._settings: _Limits = {kind: settings.limits(kind) for kind in Kind}
        self._audit = audit
        #: With what was decided.
        self._known: _Limits = self._settings
        self._read_at = 0.0

    def refresh(self, connection: Connection | None = None) -> None:
        """Read what was decided, unless that was just done; `connection` is asked if there is one already."""
        if self._read_at and time.monotonic() - self._read_at < KEPT_S:
            return
        if connection is None:
            with self._reading.connect() as own:
                self._read(own)
        else:
            self._read(connection)

    def of(self, caller: Caller) -> Mapping[Kind, int]:
        """Give the limits of a caller, as they were known last; kinds without one are left out."""
        found = {kind: self.one(caller, kind) for kind in Kind}
        return {kind: limit for kind, limit in found.items() if limit}

    def one(self, caller: Caller, kind: Kind) -> int:
        """Give one limit of a caller, 0 if there is none.

        Its own goes first; then, of one job and of a minute, the largest of its groups; then that of its
        class.
        """
        if caller.name and (own := self._find(f"user:{caller.name}", kind)) is not None:
            return own
        if caller.groups and kind in (Kind.ROWS, Kind.RATE):
            found = [self._find(f"group:{group}", kind) for group in caller.groups]
            if shared := [limit for limit in found if limit is not None]:
                return 0 if 0 in shared else max(shared)
        limit = self._find(f"role:{class_of(caller)}", kind)
        if limit is None and caller.name:
            limit = self._find("role:user", kind)
        return limit or 0

    def of_groups(self, caller: Caller) -> Mapping[str, Mapping[Kind, int]]:
        """Give the limits of the groups of a caller that have some, in the order of their names."""
        found: dict[str, Mapping[Kind, int]] = {}
        for group in sorted(caller.groups):
            limits = {kind: self._find(f"group:{group}", kind) for kind in Kind}
            if told := {kind: limit for kind, limit in limits.items() if limit}:
                found[group] = told
        return found

    def decide(self, override: Override, by: Caller) -> None:
        """Give somebody a limit, instead of the one decided before; it is in the audit log.

        Raises
        ------
        ValueError
            If its subject is none, or its value is no limit.
        """
        prefix, _, name = override.subject.partition(":")
        read_entry(f"{name if prefix == 'role' else override.subject}={override.value}")
        values = {"value": override.value, "until_ms": override.until_ms}
        with self._writing.begin() as connection:
            self._remove(connection, override.subject, override.kind)
            connection.execute(
                insert(LimitRow).values(
                    subject=override.subject,
                    kind=override.kind.value,
                    reason=override.reason,
                    account=by.name,
                    **values,
                )
            )
            self._audit.write(
                connection,
                by,
                "quota set",
                override.subject,
                override.reason,
                {"kind": override.kind.value, **values},
            )
        self._read_at = 0.0

    def withdraw(self, subject: str, kind: Kind, by: Caller, reason: str = "") -> bool:
        """Have the settings hold again; False if they did."""
        with self._writing.begin() as connection:
            was_there = self._remove(connection, subject, kind)
            if was_there:
                told = {"kind": kind.value}
                self._audit.write(connection, by, "quota unset", subject, reason, told)
        self._read_at = 0.0
        return was_there

    def now_ms(self) -> int:
        """Ask for the time by which limits end."""
        with self._reading.connect() as connection:
            return now_ms(connection)

    def decided(self) -> Sequence[Override]:
        """List what was decided and holds still."""
        statement = (
            select(*LimitRow.__table__.columns).where(_holds()).order_by(LimitRow.subject, LimitRow.kind)
        )
        with self._reading.connect() as connection:
            return [
                Override(row.subject, Kind(row.kind), row.value, row.until_ms, row.reason, row.account)
                for row in connection.execute(statement)
            ]

    def _find(self, subject: str, kind: Kind) -> int | None:
        return self._known[kind].get(subject)

    def _read(self, connection: Connection) -> None:
        known: dict[Kind, dict[str, int]] = {kind: dict(limits) for kind, limits in self._settings.items()}
        for subject, kind, value in connection.execute(
            select(LimitRow.subject, LimitRow.kind, LimitRow.value).where(_holds())
        ):
            known[Kind(kind)][subject] = value
        self._known = known
        self._read_at = time.monotonic()

    @staticmethod
    def _remove(connection: Connection, subject: str, kind: Kind) -> bool:
        of_it = delete(LimitRow).where(LimitRow.subject == subject, LimitRow.kind == kind.value)
        return connection.execute(of_it).rowcount > 0


def _holds() -> ColumnElement[bool]:
    return or_(LimitRow.until_ms.is_(None), LimitRow.until_ms > NowMs())
