"""Rows of the ledger: sums by subject, kind and day, and what each job has reserved."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, text, update

from accounts.quota.kinds import LEDGER, Kind, in_ledger
from accounts.tables import ReservationRow, UseRow

#: SQLite and PostgreSQL share this syntax, SQLAlchemy has a construct for each.
_OPEN = text(
    "INSERT INTO quota_use (subject, kind, day) VALUES (:subject, :kind, :window)"
    " ON CONFLICT (subject, kind, day) DO NOTHING"
)
ADD = text(
    "INSERT INTO quota_use (subject, kind, day, used) VALUES (:subject, :kind, :window, :amount)"
    " ON CONFLICT (subject, kind, day) DO UPDATE SET used = quota_use.used + excluded.used"
)


RESERVED, USED = "reserved", "used"


class Changes:
    """Changes of the sums of a subject, written at the end in one order."""

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self._sums: dict[tuple[Kind, str], tuple[int, int]] = {}

    def add(self, kind: Kind, window: str, *, used: int = 0, reserved: int = 0) -> None:
        """Note a change."""
        before = self._sums.get((kind, window), (0, 0))
        self._sums[kind, window] = (before[0] + used, before[1] + reserved)

    def write(self, connection: Connection) -> None:
        """Write all changes."""
        for (kind, window), (used, reserved) in sorted(
            self._sums.items(), key=lambda item: (LEDGER.index(item[0][0]), item[0][1])
        ):
            connection.execute(
                update(UseRow)
                .where(*is_row(self.subject, kind, window))
                .values(used=UseRow.used + used, reserved=UseRow.reserved + reserved)
            )


def place(subject: str, kind: Kind) -> tuple[bool, str, int]:
    """Where a row stands in the order of locks."""
    return subject.startswith("group:"), subject, LEDGER.index(kind)


def is_row(subject: str, kind: Kind, window: str) -> tuple[ColumnElement[bool], ...]:
    """Give the conditions of one row of sums."""
    return UseRow.subject == subject, UseRow.kind == kind.value, UseRow.window == window


def take(connection: Connection, subject: str, kind: Kind, window: str, amount: int, limit: int) -> bool:
    """Reserve an amount if the limit leaves it; one statement decides."""
    statement = update(UseRow).where(*is_row(subject, kind, window)).values(reserved=UseRow.reserved + amount)
    if limit:
        statement = statement.where(UseRow.used + UseRow.reserved + amount <= in_ledger(kind, limit))
    if connection.execute(statement).rowcount:
        return True
    # Either there is too little left, or nothing was ever used.
    connection.execute(_OPEN, {"subject": subject, "kind": kind.value, "window": window})
    return connection.execute(statement).rowcount > 0


def grow(connection: Connection, changes: Changes, job_id: str, kind: Kind, before: int, after: int) -> None:
    """Reserve what is known only now that a job needs: it runs already, so no limit is asked."""
    grown = connection.execute(
        update(ReservationRow)
        .where(
            ReservationRow.job_id == job_id,
            ReservationRow.subject == changes.subject,
            ReservationRow.kind == kind.value,
            ReservationRow.state == RESERVED,
            ReservationRow.amount == before,
        )
        .values(amount=after)
        .returning(ReservationRow.window)
    ).scalar_one_or_none()
    if grown is not None:
        changes.add(kind, grown, reserved=after - before)


def give_up(connection: Connection, subject: str, job_id: str, state: str) -> list[tuple[Kind, str, int]]:
    """Remove the reservations of a job; nothing if others have."""
    rows = connection.execute(
        delete(ReservationRow)
        .where(
            ReservationRow.job_id == job_id, ReservationRow.subject == subject, ReservationRow.state == state
        )
        .returning(ReservationRow.kind, ReservationRow.window, ReservationRow.amount)
    ).all()
    return [(Kind(kind), window, amount) for kind, window, amount in rows]


def reservation(
    job_id: str, subject: str, kind: Kind, window: str, amount: int, state: str
) -> dict[str, Any]:
    """Give the values of a row of reservations."""
    return {
        "job_id": job_id,
        "subject": subject,
        "kind": kind.value,
        "day": window,
        "amount": amount,
        "state": state,
    }
