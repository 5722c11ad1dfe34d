"""Accounts of a service under test: made in its own parts, used over HTTP."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, text
from werkzeug.test import TestResponse

from accounts.people import LOCAL, Account, Identity
from accounts.sessions import COOKIE
from accounts.tokens import Token
from config.accounts import AccountParts
from config.app import ACCOUNTS
from dali.caller import SCOPES, Caller, Scope

#: Who makes accounts and tokens of tests.
MAKER = Caller("local:maker", is_admin=True)
#: Moments of accounts, by table.
MOMENTS = {
    "account": ("created_ms", "seen_ms"),
    "member": ("until_ms",),
    "token": ("created_ms", "expires_ms", "used_ms", "revoked_ms"),
    "session": ("created_ms", "seen_ms", "proved_ms"),
    "failure": ("first_ms", "until_ms"),
    "quota_limit": ("until_ms",),
    "audit": ("at_ms",),
}


@dataclass(frozen=True)
class Somebody:
    """An account, one of its tokens, and the text of that."""

    account: Account
    token: Token
    text: str

    @property
    def name(self) -> str:
        return self.account.name

    @property
    def headers(self) -> dict[str, str]:
        """What a request has to show."""
        return {"Authorization": f"Bearer {self.text}"}


def parts_of(app: Flask) -> AccountParts:
    """Accounts of an application."""
    found: AccountParts = app.extensions[ACCOUNTS]
    return found


def somebody(
    app: Flask | AccountParts,
    subject: str,
    *,
    groups: tuple[str, ...] = (),
    admin: bool = False,
    may_act: bool = False,
    scopes: frozenset[Scope] = SCOPES,
    provider: str = LOCAL,
) -> Somebody:
    """Make an account with a token; one that is there gets another token."""
    parts = app if isinstance(app, AccountParts) else parts_of(app)
    identity = Identity(provider, subject, title=subject.title(), kind="service" if may_act else "person")
    if parts.people.get(identity.name) is None:
        parts.people.add(identity, by=MAKER, may_act=may_act)
    for group in groups:
        parts.people.join(identity.name, group, by=MAKER)
    role = "admin" if admin else None
    account = parts.people.change(identity.name, by=MAKER, role=role, may_act=may_act or None)
    for old in parts.tokens.of(account.name)[10:]:  # an account has so many, and no more
        parts.tokens.revoke(old.token_id, by=MAKER)
    made = parts.tokens.make(account.name, "tests", scopes, by=MAKER)
    return Somebody(account, made.token, made.text)


def sign_in(client: FlaskClient, app: Flask, name: str) -> str:
    """Have a client send the cookie of a session of this account from now on; give its key."""
    key = parts_of(app).sessions.begin(name)
    client.set_cookie(COOKIE, key)
    return key


def later(engine: Engine, seconds: float, parts: AccountParts | None = None) -> None:
    """Have so much time gone by for everything about accounts: moments in the database are moved back."""
    with engine.execution_options(writes=True).begin() as connection:
        for table, columns in MOMENTS.items():
            moved = ", ".join(f"{column} = {column} - :ms" for column in columns)
            connection.execute(text(f"UPDATE {table} SET {moved}"), {"ms": round(seconds * 1000)})
    if parts is not None:
        parts.known.forget()


def as_somebody(client: FlaskClient, who: Somebody, path: str, method: str = "GET") -> TestResponse:
    """Ask as somebody."""
    return client.open(path, method=method, headers=who.headers)
