"""Personal tokens: what scripts show instead of a password. Only their SHA-256 is kept."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from typing import Any, get_args

from sqlalchemy import Connection, Engine, func, insert, select, update

from accounts.audit import Audit
from accounts.known import Known
from accounts.notes import Notes
from accounts.tables import AccountRow, TokenRow
from dali.caller import Caller, Scope
from dali.clock import NowMs, now_ms
from dali.errors import AuthorizationError, NotFound, UsageError, quoted

#: Tokens begin so: those who look for secrets in what was published find them, and no other is taken for one.
PREFIX = "sft_"
DAY_MS = 86_400_000
#: When a token was used last is written down so often, at most.
USED_EVERY_MS = 60_000
LONGEST_TITLE = 80
_TOKEN = re.compile(r"sft_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it is known here; moments are in ms.

    Parameters
    ----------
    token_id
        By which it is listed and revoked; no secret.
    scopes
        What it may be used for.
    used_ms
        When it was used last, to the minute.
    """

    token_id: str
    account: str
    title: str
    scopes: frozenset[Scope]
    created_ms: int
    expires_ms: int
    used_ms: int | None
    revoked_ms: int | None


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was just made, and the text of it, which is told this once."""

    token: Token
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TokenLimits:
    """How long tokens last, and how many an account has."""

    days: int
    max_days: int
    max_tokens: int


def looks_like_token(text: str) -> bool:
    """Tell whether this may be one of our tokens."""
    return text.startswith(PREFIX)


def parse_scopes(words: Iterable[str]) -> frozenset[Scope]:
    """Read scopes; commas and spaces part them.

    Raises
    ------
    UsageError
        If one is unknown, or there is none.
    """
    asked = [word for text in words for word in re.split(r"[\s,]+", text.strip().lower()) if word]
    known = get_args(Scope)
    for word in asked:
        if word not in known:
            raise UsageError(f"there is no scope {quoted(word)}", f"Scopes are {', '.join(known)}.")
    if not asked:
        raise UsageError("a token needs a scope", f"Scopes are {', '.join(known)}.")
    return frozenset(scope for scope in known if scope in asked)


class Tokens:
    """Tokens in the database.

    Parameters
    ----------
    engine
        Of the database.
    limits
        How long tokens last, and how many an account has.
    audit
        Is told of each that is made or revoked.
    known
        Forgets who was known when a token is revoked here.
    """

    def __init__(self, engine: Engine, limits: TokenLimits, audit: Audit, known: Known | None = None) -> None:
        self._reading = engine.execution_options(single_reads=True)
        self._writing = engine.execution_options(writes=True)
        self._audit = audit
        self.notes = Notes()
        self._known = known or Known(0.0)
        self.limits = limits

    def make(
        self,
        account: str,
        title: str,
        scopes: frozenset[Scope],
        days: float | None = None,
        *,
        by: Caller,
    ) -> NewToken:
        """Make a token of an account.

        Parameters
        ----------
        account
            Whose it is; it must be there, and not be disabled.
        title
            By which its owner knows it: a line of 1 to 80 characters.
        scopes
            What it may be used for.
        days
            How long; as the settings say where it is not said.
        by
            Who makes it. The scope ``admin`` is for administrators to give.

        Raises
        ------
        UsageError
            If title or days are not as they must be, or there is no such account.
        AuthorizationError
            If the account is disabled or has as many tokens as it may, or `by` may not give a scope.
        """
        lasting = self.limits.days if days is None else days
        if not 0 < lasting <= self.limits.max_days:
            most = self.limits.max_days
            raise UsageError(f"days is more than 0 and at most {most}; got {lasting:g}", f"Ask for {most}.")
        title = title.strip()
        if not 0 < len(title) <= LONGEST_TITLE or not title.isprintable():
            raise UsageError(
                f"title is a line of 1 to {LONGEST_TITLE} characters; got {quoted(title)}",
                "Say what the token is for: laptop, pipeline.",
            )
        if "admin" in scopes and not by.is_admin:
            raise AuthorizationError(
                "the scope admin is for administrators", "Leave it out: read and submit are enough to work."
            )
        text = PREFIX + secrets.token_urlsafe(32)
        with self._writing.begin() as connection:
            token = self._insert(connection, account, title, scopes, round(lasting * DAY_MS), _sha256(text))
            told = {"account": account, "title": title, "scopes": sorted(scopes)}
            self._audit.write(connection, by, "token made", token.token_id, data=told)
        return NewToken(token, text)

    def _insert(
        self,
        connection: Connection,
        account: str,
        title: str,
        scopes: frozenset[Scope],
        lasting_ms: int,
        digest: str,
    ) -> Token:
        # Locked, so that nobody makes one token too many meanwhile.
        owner = select(AccountRow.disabled).where(AccountRow.name == account).with_for_update()
        disabled = connection.execute(owner).scalar_one_or_none()
        if disabled is None:
            raise NotFound(f"there is no account {quoted(account)}")
        if disabled:
            raise AuthorizationError(f"the account {quoted(account)} is disabled")
        active = select(func.count()).where(TokenRow.account == account, *_VALID)
        if connection.execute(active).scalar_one() >= self.limits.max_tokens:
            raise AuthorizationError(
                f"the account has {self.limits.max_tokens} tokens, which is the limit", "Revoke one first."
            )
        now = now_ms(connection)
        values: dict[str, Any] = {
            "token_id": secrets.token_hex(8),
            "account": account,
            "title": title,
            "scopes": sorted(scopes),
            "created_ms": now,
            "expires_ms": now + lasting_ms,
        }
        connection.execute(insert(TokenRow).values(**values, sha256=digest))
        return _token({**values, "used_ms": None, "revoked_ms": None})

    def of(self, account: str) -> tuple[Token, ...]:
        """List the tokens of an account that can be used, the latest first."""
        query = select(*_COLUMNS).where(TokenRow.account == account, *_VALID)
        with self._reading.connect() as connection:
            rows = connection.execute(query.order_by(TokenRow.created_ms.desc(), TokenRow.token_id))
            return tuple(_token(row) for row in rows.mappings())

    def revoke(self, token_id: str, *, by: Caller, account: str | None = None, reason: str = "") -> Token:
        """End a token at once; with `account`, only if it is its own.

        Raises
        ------
        NotFound
            If there is no such token.
        """
        if not token_id.isprintable():  # PostgreSQL fails on some
            raise _missing(token_id)
        mine = [TokenRow.token_id == token_id]
        if account is not None:
            mine.append(TokenRow.account == account)
        with self._writing.begin() as connection:
            row = connection.execute(select(*_COLUMNS).where(*mine)).mappings().one_or_none()
            if row is None:
                raise _missing(token_id)
            ending = update(TokenRow).where(*mine, TokenRow.revoked_ms.is_(None)).values(revoked_ms=NowMs())
            if connection.execute(ending).rowcount:
                told = {"account": row["account"], "title": row["title"]}
                self._audit.write(connection, by, "token revoked", token_id, reason, told)
        self._known.forget()
        return _token(row)

    def find(self, text: str) -> Token | None:
        """Find a token that is valid now by its text, and take note of its use."""
        if not _TOKEN.fullmatch(text):
            return None
        query = select(*_COLUMNS, NowMs()).where(TokenRow.sha256 == _sha256(text), *_VALID)
        with self._reading.connect() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        token, now = _token(row._mapping), row[-1]
        if token.used_ms is None or now - token.used_ms >= USED_EVERY_MS:
            self.notes.write(token.token_id, partial(self._note_use, token.token_id))
        return token

    def _note_use(self, token_id: str) -> None:
        here = TokenRow.token_id == token_id
        with self._writing.begin() as connection:
            connection.execute(update(TokenRow).where(here).values(used_ms=NowMs()))


_VALID = (TokenRow.revoked_ms.is_(None), TokenRow.expires_ms > NowMs())
_COLUMNS = tuple(column for column in TokenRow.__table__.columns if column.name != "sha256")


def _token(row: Mapping[Any, Any]) -> Token:
    keys = ("token_id", "account", "title", "created_ms", "expires_ms", "used_ms", "revoked_ms")
    return Token(**{key: row[key] for key in keys}, scopes=frozenset(row["scopes"]))


def _missing(token_id: str) -> NotFound:
    return NotFound(f"there is no token {quoted(token_id)}", "Tokens are named by their id.")


def _sha256(text: str) -> str:
    # Of 256 random bits: nothing to guess, so nothing to slow down.
    return sha256(text.encode()).hexdigest()
