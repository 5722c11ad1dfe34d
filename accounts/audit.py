"""What was done by whom: acts of administrators, tokens made and revoked, logins that failed too often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, insert, select

from accounts.tables import AuditRow
from dali.caller import Caller
from dali.clock import NowMs

#: Account that commands are written down as: who may run them has the database in hand.
OPERATOR = Caller("operator", is_admin=True)


@dataclass(frozen=True, slots=True)
class Entry:
    """An act.

    Parameters
    ----------
    account, actor
        Who did it, and the service that acted for them.
    act
        Such as ``token made``.
    object
        What it was done to: a token, a job, an account.
    reason
        As it was given.
    data
        What else is to be known; never a secret.
    """

    audit_id: int
    at_ms: int
    account: str
    actor: str
    act: str
    object: str
    reason: str
    data: Mapping[str, Any]


class Audit:
    """The log of acts in the database; nothing here changes or removes an entry.

    Parameters
    ----------
    engine
        Of the database.
    """

    def __init__(self, engine: Engine) -> None:
        self._reading = engine.execution_options(single_reads=True)
        self._writing = engine.execution_options(writes=True)

    def write(
        self,
        connection: Connection | None,
        caller: Caller,
        act: str,
        object: str,  # the column's name
        reason: str = "",
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Write an entry, with a `connection` in its transaction: act and entry are there together."""
        values = {
            "at_ms": NowMs(),
            "account": caller.name,
            "actor": caller.actor,
            "act": act,
            "object": object,
            "reason": reason,
            "data": dict(data) if data else None,
        }
        if connection is not None:
            connection.execute(insert(AuditRow).values(**values))
            return
        with self._writing.begin() as own:
            own.execute(insert(AuditRow).values(**values))

    def read(self, most: int, *, before: int | None = None, about: str = "") -> tuple[Entry, ...]:
        """Give the latest entries first: those with a lower number than `before`, those about an object."""
        query = select(AuditRow.__table__).order_by(AuditRow.audit_id.desc()).limit(most)
        if before is not None:
            query = query.where(AuditRow.audit_id < before)
        if about:
            query = query.where(AuditRow.object == about)
        with self._reading.connect() as connection:
            rows = connection.execute(query).mappings().all()
        return tuple(Entry(**{**row, "data": row["data"] or {}}) for row in rows)
