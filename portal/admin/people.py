"""Accounts: roles, groups, sessions and tokens of everybody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from accounts.audit import Audit, Entry
from accounts.callers import Callers
from accounts.people import Account, People
from accounts.quota.kinds import Kind
from accounts.quota.standing import Standing
from accounts.sessions import Session, Sessions
from accounts.tokens import Token, Tokens
from dali.caller import Caller
from dali.errors import AuthorizationError, NotFound, UsageError, quoted
from portal.admin.area import Act, Area, Verb
from portal.admin.asked import Asked
from portal.admin.quotas import WORDS, Quotas

PER_PAGE = 50
MOST_DAYS = 3650
LAST_ENTRIES = 20


@dataclass(frozen=True, slots=True)
class PersonLine:
    """An account in the list."""

    name: str
    title: str
    email: str
    kind: str
    is_admin: bool
    tier: str
    groups: tuple[str, ...]
    disabled: bool
    may_act: bool
    seen_ms: int


@dataclass(frozen=True, slots=True)
class PeopleShown:
    """A page of accounts; `after` is the name after which the next page begins, "" for none."""

    accounts: tuple[PersonLine, ...]
    after: str
    words: str


@dataclass(frozen=True, slots=True)
class PersonShown:
    """An account.

    Parameters
    ----------
    account
        As it is known.
    caller
        What it may: whether it administers, and its priority.
    memberships
        Groups of this service's own, and until when.
    sessions, tokens
        That have not ended; nothing of them that is secret.
    standings
        Of its quotas.
    entries
        What was done to it, the last act first.
    """

    account: Account
    caller: Caller
    memberships: Mapping[str, int | None]
    sessions: tuple[Session, ...]
    tokens: tuple[Token, ...]
    standings: tuple[Standing, ...]
    entries: tuple[Entry, ...]
    words: dict[Kind, str] = field(default_factory=lambda: WORDS, repr=False)


@dataclass(frozen=True, slots=True)
class PeopleActs:
    """What is done to accounts; each act is in the audit log."""

    people: People
    callers: Callers
    tokens: Tokens
    sessions: Sessions
    audit: Audit
    quotas: Quotas

    def disable(self, act: Act) -> None:
        """Refuse an account from now on."""
        _expect_other(act, "disable")
        self.people.change(act.of, by=act.caller, reason=act.reason, disabled=True)

    def enable(self, act: Act) -> None:
        """Let an account in again."""
        self.people.change(act.of, by=act.caller, reason=act.reason, disabled=False)

    def promote(self, act: Act) -> None:
        """Have an account administer the service."""
        self.people.change(act.of, by=act.caller, reason=act.reason, role="admin")

    def demote(self, act: Act) -> None:
        """Take the role away; who is in a group of administrators keeps what that gives."""
        _expect_other(act, "take the role from")
        self.people.change(act.of, by=act.caller, reason=act.reason, role="user")

    def join(self, act: Act) -> None:
        """Have an account in a group, for some days or for ever."""
        days = act.asked.number("days", 0.01, MOST_DAYS)
        self.people.join(act.of, _group(act), days, by=act.caller, reason=act.reason)

    def leave(self, act: Act) -> None:
        """Have an account no longer in a group of this service's own."""
        self.people.leave(act.of, _group(act), by=act.caller, reason=act.reason)

    def sign_out(self, act: Act) -> None:
        """End all sessions of an account."""
        self._there(act.of)
        self.sessions.end_all(act.of, by=act.caller, reason=act.reason)

    def revoke_tokens(self, act: Act) -> None:
        """End all tokens of an account."""
        self._there(act.of)
        for token in self.tokens.of(act.of):
            self.tokens.revoke(token.token_id, by=act.caller, reason=act.reason)
        self.audit.write(None, act.caller, "all tokens revoked", act.of, act.reason)

    def revoke_token(self, act: Act) -> None:
        """End one token."""
        self.tokens.revoke(act.of, by=act.caller, reason=act.reason)

    def shown(self, name: str) -> PersonShown:
        """Tell of an account.

        Raises
        ------
        NotFound
            If there is none of this name.
        """
        account = self._there(name)
        caller = self.callers.of(account)
        return PersonShown(
            account,
            caller,
            self.people.memberships(name),
            self.sessions.of(name),
            self.tokens.of(name),
            tuple(self.quotas.standings(caller)),
            self.audit.read(LAST_ENTRIES, about=name),
        )

    def _there(self, name: str) -> Account:
        account = self.people.get(name)
        if account is None:
            raise NotFound(f"there is no account {quoted(name)}", "Names are <provider>:<subject>.")
        return account


def people_areas(acts: PeopleActs) -> tuple[Area, Area]:
    """Make the area of all accounts, and that of one, which ``?name=`` names."""

    def look(asked: Asked) -> PeopleShown:
        words, most = asked.text("words"), asked.whole("most", PER_PAGE, 1, 500)
        found = acts.people.all(words, after=asked.text("after"), most=most + 1)
        lines = tuple(_line(account, acts.callers.of(account)) for account in found[:most])
        return PeopleShown(lines, lines[-1].name if len(found) > most else "", words)

    def one(asked: Asked) -> PersonShown:
        return acts.shown(asked.text("name"))

    verbs = {
        "disable": Verb(acts.disable),
        "enable": Verb(acts.enable),
        "promote": Verb(acts.promote),
        "demote": Verb(acts.demote),
        "join": Verb(acts.join),
        "leave": Verb(acts.leave),
        "sign-out": Verb(acts.sign_out),
        "revoke-tokens": Verb(acts.revoke_tokens),
        "revoke-token": Verb(acts.revoke_token),
    }
    return (
        Area("accounts", "Accounts", look, verbs, asks=("words", "most", "after", "group", "days")),
        Area("account", "Account", one, in_menu=False, asks=("name",)),
    )


def _line(account: Account, caller: Caller) -> PersonLine:
    return PersonLine(
        account.name,
        account.title,
        account.email,
        account.kind,
        caller.is_admin,
        caller.tier,
        tuple(sorted(account.groups)),
        account.disabled,
        account.may_act,
        account.seen_ms,
    )


def _group(act: Act) -> str:
    group = act.asked.text("group")
    if not group:
        raise UsageError("group is missing", "Say which group.")
    return group


def _expect_other(act: Act, what: str) -> None:
    """Refuse what would leave nobody to undo it."""
    if act.of == act.caller.name:
        raise AuthorizationError(f"you cannot {what} your own account", "Another administrator can.")
