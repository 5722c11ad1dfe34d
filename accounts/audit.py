"""What was done by whom: acts of administrators, tokens made and revoked, logins that failed too often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, or_, select

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

    def read(
        self,
        most: int,
        *,
        before: int | None = None,
        about: str = "",
        by: str = "",
        act: str = "",
        words: str = "",
    ) -> tuple[Entry, ...]:
        """Give the latest entries first, `most` of them.

        Parameters
        ----------
        most
            So many.
        before
            Those with a lower number.
        about, act
            Those about an object (the quotas of an account are about that), or of an act.
        by
            Those of somebody, or of a service that acted for others.
        words
            Those with these in object or reason, in any case.
        """
        query = select(AuditRow.__table__).order_by(AuditRow.audit_id.desc()).limit(most)
        if before is not None:
            query = query.where(AuditRow.audit_id < before)
        if about:
            query = query.where(AuditRow.object.in_((about, f"user:{about}")))
        if by:
            query = query.where(or_(AuditRow.account == by, AuditRow.actor == by))
        if act:
            query = query.where(AuditRow.act == act)
        if words:
            query = query.where(
                or_(
                    *(
                        func.lower(column).contains(words.lower(), autoescape=True)
                        for column in (AuditRow.object, AuditRow.reason)
                    )
                )
            )
        with self._reading.connect() as connection:
            rows = connection.execute(query).mappings().all()
        return tuple(Entry(**{**row, "data": row["data"] or {}}) for row in rows)

    def acts(self) -> tuple[str, ...]:
        """Name the acts of which there are entries."""
        with self._reading.connect() as connection:
            return tuple(connection.execute(select(AuditRow.act).distinct().order_by(AuditRow.act)).scalars())
