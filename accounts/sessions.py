"""Sessions of browsers: the cookie holds a random key, everything else is in the database.

The key changes whenever somebody signs in, so that one which was planted before is worth nothing.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Engine, and_, delete, insert, or_, select, update

from accounts.audit import Audit
from accounts.known import Known
from accounts.notes import Notes
from accounts.tables import SessionRow
from dali.caller import Caller
from dali.clock import NowMs, now_ms

#: Browsers take a cookie of such a name only over TLS, for the whole host, and from the host itself.
COOKIE = "__Host-fountain"
#: A login that has begun is waited for so long.
LOGIN_MS = 600_000
#: When a session was used last is written down so often, at most.
SEEN_EVERY_MS = 60_000
_KEY = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody is signed in; moments are in ms.

    Parameters
    ----------
    account
        Name of the account.
    proved_ms
        When the password, or the provider, was asked last.
    proved_for_s
        How long ago that was.
    """

    account: str
    created_ms: int
    seen_ms: int
    proved_ms: int | None
    proved_for_s: float | None


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """How long a session lasts that nobody uses, and one that somebody uses, in seconds."""

    idle_s: int
    absolute_s: int


def cookie_header(key: str, absolute_s: int) -> str:
    """Value of ``Set-Cookie``: the key of a session, or the end of it where the key is "".

    Notes
    -----
    SameSite=Lax, not Strict: the provider sends the browser back by a link from its own site.
    """
    age = absolute_s if key else 0
    return f"{COOKIE}={key}; Path=/; Max-Age={age}; Secure; HttpOnly; SameSite=Lax"


class Sessions:
    """Sessions in the database.

    Parameters
    ----------
    engine
        Of the database.
    limits
        How long sessions last.
    audit
        Is told when somebody ends all sessions of an account.
    known
        Forgets who was known when a session ends here.
    """

    def __init__(
        self, engine: Engine, limits: SessionLimits, audit: Audit, known: Known | None = None
    ) -> None:
        self._reading = engine.execution_options(single_reads=True)
        self._writing = engine.execution_options(writes=True)
        self._audit = audit
        self.notes = Notes()
        self._known = known or Known(0.0)
        self.limits = limits

    def begin(self, account: str, *, instead_of: str = "") -> str:
        """Give the key of a new session of an account that has just proved who it is.

        `instead_of`: the key the browser had until now, which ends.
        """
        return self._insert(account, None, instead_of)

    def expect(self, data: Mapping[str, Any], *, instead_of: str = "") -> str:
        """Give the key of a login that begins; `data` is what has to be known when it goes on."""
        return self._insert("", dict(data), instead_of)

    def take(self, key: str) -> Mapping[str, Any] | None:
        """Give the data of a login that was begun, once; None if there is none, or it is too long ago."""
        if not _KEY.fullmatch(key):
            return None
        mine = (SessionRow.sha256 == _digest(key), SessionRow.account == "")
        with self._writing.begin() as connection:
            row = connection.execute(select(SessionRow.__table__, NowMs()).where(*mine)).one_or_none()
            if row is None or not connection.execute(delete(SessionRow).where(*mine)).rowcount:
                return None
        data: Mapping[str, Any] | None = row._mapping["data"]
        return data if row[-1] - row._mapping["created_ms"] < LOGIN_MS else None

    def find(self, key: str) -> Session | None:
        """Find a session that has not ended, and take note of its use."""
        if not _KEY.fullmatch(key):
            return None
        mine = SessionRow.sha256 == _digest(key)
        query = select(SessionRow.__table__, NowMs()).where(mine, SessionRow.account != "")
        with self._reading.connect() as connection:
            found = connection.execute(query).one_or_none()
        if found is None:
            return None
        row, now = found._mapping, found[-1]
        if self._has_ended(row, now):
            return None
        if now - row["seen_ms"] >= SEEN_EVERY_MS:
            self.notes.write(row["sha256"], partial(self._note_use, row["sha256"]))
        return _session(row, now)

    def of(self, account: str) -> tuple[Session, ...]:
        """List the sessions of an account that have not ended, the one used last first."""
        query = (
            select(SessionRow.__table__, NowMs())
            .where(SessionRow.account == account)
            .order_by(SessionRow.seen_ms.desc())
        )
        with self._reading.connect() as connection:
            rows = [(row._mapping, row[-1]) for row in connection.execute(query)]
        return tuple(_session(row, now) for row, now in rows if not self._has_ended(row, now))

    def end(self, key: str) -> None:
        """End a session; nothing happens where there is none."""
        with self._writing.begin() as connection:
            self._drop(connection, key)
        self._known.forget()

    def end_all(self, account: str, *, by: Caller, reason: str = "") -> int:
        """End every session of an account; give their number."""
        with self._writing.begin() as connection:
            ended = connection.execute(delete(SessionRow).where(SessionRow.account == account)).rowcount
            self._audit.write(connection, by, "signed out", account, reason, {"sessions": ended})
        self._known.forget()
        return ended

    def sweep(self) -> int:
        """Remove what is over; give the number."""
        limits = self.limits
        over = or_(
            SessionRow.created_ms <= NowMs() - limits.absolute_s * 1000,
            SessionRow.seen_ms <= NowMs() - limits.idle_s * 1000,
            and_(SessionRow.account == "", SessionRow.created_ms <= NowMs() - LOGIN_MS),
        )
        with self._writing.begin() as connection:
            return connection.execute(delete(SessionRow).where(over)).rowcount

    def _insert(self, account: str, data: dict[str, Any] | None, instead_of: str) -> str:
        key = secrets.token_urlsafe(32)
        with self._writing.begin() as connection:
            if instead_of:
                self._drop(connection, instead_of)
            now = now_ms(connection)
            values = {"created_ms": now, "seen_ms": now, "proved_ms": now if account else None}
            row = {"sha256": _digest(key), "account": account, "data": data, **values}
            connection.execute(insert(SessionRow).values(**row))
        if instead_of:
            self._known.forget()
        return key

    def _note_use(self, digest: str) -> None:
        here = SessionRow.sha256 == digest
        with self._writing.begin() as connection:
            connection.execute(update(SessionRow).where(here).values(seen_ms=NowMs()))

    @staticmethod
    def _drop(connection: Connection, key: str) -> None:
        connection.execute(delete(SessionRow).where(SessionRow.sha256 == _digest(key)))

    def _has_ended(self, row: Mapping[Any, Any], now: int) -> bool:
        limits = self.limits
        is_idle = now - row["seen_ms"] >= limits.idle_s * 1000
        return bool(is_idle or now - row["created_ms"] >= limits.absolute_s * 1000)


def _session(row: Mapping[Any, Any], now: int) -> Session:
    proved = row["proved_ms"]
    ago = None if proved is None else (now - proved) / 1000
    return Session(row["account"], row["created_ms"], row["seen_ms"], proved, ago)


def _digest(key: str) -> str:
    return sha256(key.encode("utf-8", "replace")).hexdigest()
