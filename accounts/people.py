"""People and services that are known, and the groups they are in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Engine, RowMapping, delete, func, or_, select, text, update

from accounts.audit import Audit
from accounts.known import Known
from accounts.tables import AccountRow, MemberRow, SessionRow
from dali.caller import Caller
from dali.clock import NowMs, now_ms
from dali.errors import NotFound, UsageError, quoted

#: Provider of service accounts that an operator makes.
LOCAL = "local"
#: When somebody was seen last is written down so often, at most.
SEEN_EVERY_MS = 300_000
LONGEST_SUBJECT = 255
DAY_MS = 86_400_000
_LABEL = re.compile(r"[a-z][a-z0-9-]{0,31}")
#: Names of groups: they stand in lists.
GROUP = re.compile(r"[^\s,\x00-\x1f\x7f]{1,255}")

Kind = Literal["person", "service"]
Role = Literal["user", "admin"]

#: SQLite and PostgreSQL share this syntax, SQLAlchemy has a construct for each.
_MEMBER = text(
    "INSERT INTO member (group_name, account, until_ms) VALUES (:group, :account, :until_ms)"
    " ON CONFLICT (group_name, account) DO UPDATE SET until_ms = excluded.until_ms"
)
_NEW = text(
    "INSERT INTO account (name, provider, subject, kind, groups, created_ms, seen_ms)"
    " VALUES (:name, :provider, :subject, :kind, '[]', :now, :now) ON CONFLICT DO NOTHING"
)


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody as a provider tells of them, after it has made sure.

    Who it is is the pair of provider and subject: an e-mail address is something to write to, no more.

    Parameters
    ----------
    provider
        Label of the provider: lower-case letters, digits and hyphens.
    subject
        By which the provider knows them for ever.
    title, email
        For people to read, and to write to.
    groups
        That the provider says they are in; None where it says nothing of groups this time.
    kind
        A person, or a service.
    """

    provider: str
    subject: str
    title: str = ""
    email: str = ""
    groups: frozenset[str] | None = frozenset()
    kind: Kind = "person"

    @property
    def name(self) -> str:
        """Name of the account."""
        return f"{self.provider}:{self.subject}"


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody known.

    Parameters
    ----------
    name
        ``<provider>:<subject>``.
    told_groups
        Groups as the provider told them at the last login.
    own_groups
        Groups of this service's own, those that have ended left out.
    may_act
        Whether it may act for others.
    wishes
        What it wants to be told of, and how.
    """

    name: str
    provider: str
    subject: str
    kind: Kind
    title: str
    email: str
    role: Role
    told_groups: frozenset[str]
    own_groups: frozenset[str]
    disabled: bool
    may_act: bool
    wishes: Mapping[str, Any]
    created_ms: int
    seen_ms: int

    @property
    def groups(self) -> frozenset[str]:
        """All groups it is in."""
        return self.told_groups | self.own_groups


def check_identity(identity: Identity) -> None:
    """Look whether an account may have this name.

    Raises
    ------
    UsageError
        If the label of the provider is none, or the subject is empty, too long, or no line of text.
    """
    if not _LABEL.fullmatch(identity.provider):
        raise UsageError(
            f"{quoted(identity.provider)} is no label of a provider",
            "Labels are lower-case letters, digits and hyphens.",
        )
    subject = identity.subject
    if not 0 < len(subject) <= LONGEST_SUBJECT or not subject.isprintable() or subject != subject.strip():
        raise UsageError(
            f"{quoted(subject)} cannot be the name of somebody",
            f"Names are 1 to {LONGEST_SUBJECT} characters on one line, without space around them.",
        )


class People:
    """Accounts in the database.

    Parameters
    ----------
    engine
        Of the database.
    audit
        Is told of what somebody changes.
    known
        Forgets who was known when that changes here.
    """

    def __init__(self, engine: Engine, audit: Audit, known: Known | None = None) -> None:
        self._reading = engine.execution_options(single_reads=True)
        self._writing = engine.execution_options(writes=True)
        self._audit = audit
        self._known = known or Known(0.0)

    def get(self, name: str) -> Account | None:
        """Find an account, disabled or not; the case of names matters."""
        if not name.isprintable():  # nobody is called so, and PostgreSQL fails on some
            return None
        with self._reading.connect() as connection:
            return find(connection, name)

    def all(self, matching: str = "", *, after: str = "", most: int | None = None) -> tuple[Account, ...]:
        """List accounts in the order of their names: of these words in name, title or e-mail, in any case.

        `after`: those whose names follow this one; `most`: so many of them.
        """
        with self._reading.connect() as connection:
            query = select(AccountRow.__table__).order_by(AccountRow.name).limit(most)
            if after:
                query = query.where(AccountRow.name > after)
            if matching:
                like = f"%{_escaped(matching.lower())}%"
                fields = (AccountRow.name, AccountRow.title, AccountRow.email)
                query = query.where(or_(*(func.lower(field).like(like, escape="\\") for field in fields)))
            rows = connection.execute(query).mappings().all()
            own: dict[str, set[str]] = {}
            members = _members()
            if most is not None:
                members = members.where(MemberRow.account.in_([row["name"] for row in rows]))
            for group, account in connection.execute(members):
                own.setdefault(account, set()).add(group)
        return tuple(_account(row, own.get(row["name"], set())) for row in rows)

    def memberships(self, name: str) -> Mapping[str, int | None]:
        """Tell the groups of this service's own that an account is in, and until when (ms), None for ever."""
        query = _members().with_only_columns(MemberRow.group, MemberRow.until_ms)
        with self._reading.connect() as connection:
            found = connection.execute(query.where(MemberRow.account == name).order_by(MemberRow.group))
            return {row["group_name"]: row["until_ms"] for row in found.mappings()}

    def seen(self, identity: Identity) -> Account:
        """Take note of somebody whom a provider has just made sure of; a new account is made.

        What the provider does not tell this time stays as it was. So does what an operator has said of the
        account: role, groups of its own, whether it is disabled.

        Raises
        ------
        UsageError
            If the provider gives a subject that no account may have.
        """
        check_identity(identity)
        before = self.get(identity.name)
        told: dict[str, Any] = {} if identity.groups is None else {"groups": sorted(identity.groups)}
        told |= {name: text[:LONGEST_SUBJECT] for name, text in _words(identity) if text}
        if before is not None and not _is_news(before, told):
            with self._reading.connect() as connection:
                if now_ms(connection) - before.seen_ms < SEEN_EVERY_MS:
                    return before
        with self._writing.begin() as connection:
            _add(connection, identity)
            here = AccountRow.name == identity.name
            connection.execute(update(AccountRow).where(here).values(**told, seen_ms=NowMs()))
            account = _there(connection, identity.name)
        self._known.forget()
        return account

    def add(self, identity: Identity, *, by: Caller, may_act: bool = False, reason: str = "") -> Account:
        """Make an account before it is seen.

        Raises
        ------
        UsageError
            If it is there already (409), or cannot have this name.
        """
        check_identity(identity)
        with self._writing.begin() as connection:
            if not _add(connection, identity):
                raise UsageError(f"there is an account {quoted(identity.name)} already", status=409)
            here = AccountRow.name == identity.name
            told = {"title": identity.title, "email": identity.email, "may_act": may_act}
            connection.execute(update(AccountRow).where(here).values(**told))
            data = {"kind": identity.kind, "may_act": may_act}
            self._audit.write(connection, by, "account made", identity.name, reason, data)
            return _there(connection, identity.name)

    def change(
        self,
        name: str,
        *,
        by: Caller,
        reason: str = "",
        disabled: bool | None = None,
        role: Role | None = None,
        may_act: bool | None = None,
    ) -> Account:
        """Change what is said here of an account; None leaves it. One that is disabled is signed out.

        Raises
        ------
        NotFound
            If there is no such account.
        """
        values = {"disabled": disabled, "role": role, "may_act": may_act}
        changes = {field: value for field, value in values.items() if value is not None}
        with self._writing.begin() as connection:
            if changes:
                connection.execute(update(AccountRow).where(AccountRow.name == name).values(**changes))
            account = _there(connection, name)
            if disabled:
                connection.execute(delete(SessionRow).where(SessionRow.account == name))
            self._audit.write(connection, by, "account changed", name, reason, changes)
        self._known.forget()
        return account

    def wish(self, name: str, wishes: Mapping[str, Any]) -> Account:
        """Keep what an account wants to be told of, and how.

        Raises
        ------
        NotFound
            If there is no such account.
        """
        with self._writing.begin() as connection:
            kept = update(AccountRow).where(AccountRow.name == name).values(wishes=dict(wishes))
            connection.execute(kept)
            return _there(connection, name)

    def join(
        self, name: str, group: str, days: float | None = None, *, by: Caller, reason: str = ""
    ) -> Account:
        """Have an account in a group of this service's own, for so many days or for ever.

        Raises
        ------
        NotFound
            If there is no such account.
        UsageError
            If the group has a name that none may have.
        """
        if not GROUP.fullmatch(group):
            raise UsageError(
                f"{quoted(group)} cannot be the name of a group", "Names have no spaces and no commas."
            )
        with self._writing.begin() as connection:
            _there(connection, name)
            until_ms = None if days is None else now_ms(connection) + round(days * DAY_MS)
            connection.execute(_MEMBER, {"group": group, "account": name, "until_ms": until_ms})
            account = _there(connection, name)
            data = {"group": group, "days": days}
            self._audit.write(connection, by, "group joined", name, reason, data)
        self._known.forget()
        return account

    def leave(self, name: str, group: str, *, by: Caller, reason: str = "") -> Account:
        """Have an account no longer in a group of this service's own.

        Raises
        ------
        NotFound
            If there is no such account, or it is not in the group.
        """
        with self._writing.begin() as connection:
            _there(connection, name)
            mine = (MemberRow.account == name, MemberRow.group == group)
            if not connection.execute(delete(MemberRow).where(*mine)).rowcount:
                raise NotFound(f"{quoted(name)} is not in the group {quoted(group)} of this service's own")
            account = _there(connection, name)
            self._audit.write(connection, by, "group left", name, reason, {"group": group})
        self._known.forget()
        return account


def find(connection: Connection, name: str) -> Account | None:
    """Find an account, disabled or not."""
    query = select(AccountRow.__table__).where(AccountRow.name == name)
    if (row := connection.execute(query).mappings().one_or_none()) is None:
        return None
    own = connection.execute(_members().where(MemberRow.account == name))
    return _account(row, {group for group, _ in own})


def _members() -> Any:
    now = or_(MemberRow.until_ms.is_(None), MemberRow.until_ms > NowMs())
    return select(MemberRow.group, MemberRow.account).where(now)


def _there(connection: Connection, name: str) -> Account:
    if (account := find(connection, name)) is None:
        raise NotFound(
            f"there is no account {quoted(name)}", "Names are <provider>:<subject>; their case matters."
        )
    return account


def _add(connection: Connection, identity: Identity) -> bool:
    values = {"provider": identity.provider, "subject": identity.subject, "kind": identity.kind}
    now = now_ms(connection)
    return bool(connection.execute(_NEW, {"name": identity.name, "now": now, **values}).rowcount)


def _words(identity: Identity) -> tuple[tuple[str, str], ...]:
    return ("title", identity.title), ("email", identity.email)


def _is_news(account: Account, told: Mapping[str, object]) -> bool:
    had = {"title": account.title, "email": account.email, "groups": sorted(account.told_groups)}
    return any(had[name] != value for name, value in told.items())


def _account(row: RowMapping, own: set[str]) -> Account:
    values = {key: row[key] for key in ("name", "provider", "subject", "kind", "title", "email", "role")}
    return Account(
        **values,
        told_groups=frozenset(row["groups"] or ()),
        own_groups=frozenset(own),
        disabled=row["disabled"],
        may_act=row["may_act"],
        wishes=row["wishes"] or {},
        created_ms=row["created_ms"],
        seen_ms=row["seen_ms"],
    )


def _escaped(words: str) -> str:
    return "".join(f"\\{character}" if character in "\\%_" else character for character in words)
