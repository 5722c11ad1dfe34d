"""Commands about accounts and their tokens, for whoever has the database in hand.

What a command needs is imported when it runs, so that --help is quick.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from config.terminal import console, database, read_settings

if TYPE_CHECKING:
    from accounts.people import Account, Kind, Role
    from accounts.tokens import Token
    from config.accounts import AccountParts

_REASON = click.option("--reason", default="", metavar="TEXT", help="Kept with what is written down of this.")


@click.group()
def token() -> None:
    """Make, list and revoke tokens, by which scripts are known.

    People make their own on their account page, or at /account/tokens.
    """


@token.command("make")
@click.argument("account")
@click.option("--title", default="made by an operator", show_default=True, help="What it is for.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(["read", "submit", "admin"]),
    default=("read", "submit"),
    show_default=True,
    help="What it may be used for. May be repeated.",
)
@click.option("--days", type=float, help="How long.  [default: the setting accounts.token_days]")
def make_token(account: str, title: str, scopes: tuple[str, ...], days: float | None) -> None:
    """Make a token of ACCOUNT and write it to standard output, this once."""
    from accounts.audit import OPERATOR
    from accounts.tokens import parse_scopes

    with _accounts() as parts:
        made = parts.tokens.make(account, title, parse_scopes(scopes), days, by=OPERATOR)
    click.echo(f"token {made.token.token_id} of {account}, until {_day(made.token.expires_ms)}", err=True)
    click.echo(made.text)


@token.command("list")
@click.argument("account")
def list_tokens(account: str) -> None:
    """List the tokens of ACCOUNT that can be used."""
    from rich.table import Column, Table

    with _accounts() as parts:
        _there(parts, account)
        found = parts.tokens.of(account)
    table = Table(Column("id", no_wrap=True), "title", "scopes", "made", "ends", "used", box=None)
    for one in found:
        table.add_row(*_cells(one))
    console().print(table)


@token.command("revoke")
@click.argument("token_id", metavar="ID")
def revoke_token(token_id: str) -> None:
    """End the token ID. It is refused at once, or when the setting accounts.kept_s has gone by."""
    from accounts.audit import OPERATOR

    with _accounts() as parts:
        ended = parts.tokens.revoke(token_id, by=OPERATOR)
    click.echo(f"{ended.token_id} of {ended.account} is revoked")


@click.group()
def accounts() -> None:
    """Look after accounts: those of people come by themselves when they sign in."""


@accounts.command("list")
@click.argument("words", default="")
def list_accounts(words: str) -> None:
    """List accounts: all of them, or those with WORDS in name, title or e-mail."""
    from rich.table import Column, Table

    with _accounts() as parts:
        found = parts.people.all(words)
        # Groups make administrators, too.
        roles = ["admin" if parts.callers.of(one).is_admin else one.role for one in found]
    name = Column("account", overflow="fold", min_width=20)
    table = Table(name, "title", "kind", "role", "groups", "seen", "", box=None)
    for one, role in zip(found, roles, strict=True):
        marks = [word for word, holds in (("disabled", one.disabled), ("acts", one.may_act)) if holds]
        groups = ", ".join(sorted(one.groups))
        table.add_row(one.name, one.title, one.kind, role, groups, _day(one.seen_ms), ", ".join(marks))
    console().print(table)


@accounts.command("show")
@click.argument("account")
def show_account(account: str) -> None:
    """Show what is known of ACCOUNT, and what was done to it."""
    with _accounts() as parts:
        one = _there(parts, account)
        caller = parts.callers.of(one)
        count = len(parts.tokens.of(account))
        entries = parts.audit.read(20, about=account)
    told = {
        "account": one.name,
        "title": one.title,
        "e-mail": one.email,
        "kind": one.kind,
        "administers": "yes" if caller.is_admin else "no",
        "acts for others": "yes" if one.may_act else "no",
        "disabled": "yes" if one.disabled else "no",
        "groups there": ", ".join(sorted(one.told_groups)),
        "groups here": ", ".join(sorted(one.own_groups)),
        "priority": f"{caller.tier}, share {caller.share:g}",
        "tokens": str(count),
        "made": _day(one.created_ms),
        "seen": _day(one.seen_ms),
    }
    for name, value in told.items():
        click.echo(f"{name:16}{value}")
    for entry in entries:
        changed = ", ".join(f"{name}: {json.dumps(value)}" for name, value in entry.data.items())
        done = " ".join(part for part in (entry.act, changed and f"({changed})", entry.reason) if part)
        click.echo(f"{_day(entry.at_ms)}  {entry.account}: {done}")


@accounts.command("add")
@click.argument("account")
@click.option("--title", default="", help="For people to read.")
@_REASON
def add_account(account: str, title: str, reason: str) -> None:
    """Make ACCOUNT, <provider>:<subject>, before its owner signs in: services may act for it then."""
    _add(account, title, "person", False, reason)


@accounts.command("add-service")
@click.argument("account")
@click.option("--title", default="", help="For people to read.")
@click.option("--act-for-others", is_flag=True, help="It may name a user with X-On-Behalf-Of.")
@_REASON
def add_service(account: str, title: str, act_for_others: bool, reason: str) -> None:
    """Make the account of a service: NAME, or <provider>:<subject> where an issuer of tokens knows it.

    Give it a token with `fountain token make local:NAME`.
    """
    _add(account, title, "service", act_for_others, reason)


@accounts.command("disable")
@click.argument("account")
@_REASON
def disable(account: str, reason: str) -> None:
    """Refuse ACCOUNT from now on: its sessions end, its tokens are not valid. Its jobs stay."""
    _change(account, reason, disabled=True)


@accounts.command("enable")
@click.argument("account")
@_REASON
def enable(account: str, reason: str) -> None:
    """Let ACCOUNT in again."""
    _change(account, reason, disabled=False)


@accounts.command("sign-out")
@click.argument("account")
@_REASON
def sign_out(account: str, reason: str) -> None:
    """End the sessions of ACCOUNT in all browsers; its tokens stay valid."""
    from accounts.audit import OPERATOR

    with _accounts() as parts:
        _there(parts, account)
        ended = parts.sessions.end_all(account, by=OPERATOR, reason=reason)
    click.echo(f"{account}: {ended} sessions have ended")


@accounts.command("admin")
@click.argument("account")
@click.option("--revoke", is_flag=True, help="Take the role away.")
@_REASON
def admin(account: str, revoke: bool, reason: str) -> None:
    """Have ACCOUNT administer the service."""
    _change(account, reason, admin=not revoke)


@accounts.command("act-for-others")
@click.argument("account")
@click.option("--revoke", is_flag=True, help="Take the right away.")
@_REASON
def act_for_others(account: str, revoke: bool, reason: str) -> None:
    """Have ACCOUNT, of a service, act for those whom it names with X-On-Behalf-Of."""
    _change(account, reason, may_act=not revoke)


@accounts.group("group")
def group() -> None:
    """Look after the groups of this service's own; others come from those who sign people in."""


@group.command("add")
@click.argument("name", metavar="GROUP")
@click.argument("account")
@click.option("--days", type=click.FloatRange(0, min_open=True), help="How long.  [default: for ever]")
@_REASON
def join(name: str, account: str, days: float | None, reason: str) -> None:
    """Have ACCOUNT in GROUP."""
    from accounts.audit import OPERATOR

    with _accounts() as parts:
        _say(parts.people.join(account, name, days, by=OPERATOR, reason=reason))


@group.command("remove")
@click.argument("name", metavar="GROUP")
@click.argument("account")
@_REASON
def leave(name: str, account: str, reason: str) -> None:
    """Have ACCOUNT in GROUP no longer."""
    from accounts.audit import OPERATOR

    with _accounts() as parts:
        _say(parts.people.leave(account, name, by=OPERATOR, reason=reason))


@contextmanager
def _accounts() -> Iterator[AccountParts]:
    """Give the accounts; what they refuse is told as one sentence."""
    from config.accounts import make_accounts
    from dali.errors import ProtocolError

    settings = read_settings()
    try:
        with database(settings) as engine:
            yield make_accounts(settings, engine)
    except ProtocolError as error:
        raise click.ClickException(" ".join(filter(None, (error.sentence, error.fix)))) from error


def _there(parts: AccountParts, name: str) -> Account:
    if (account := parts.people.get(name)) is None:
        raise click.ClickException(f"there is no account {name}; fountain accounts list tells all")
    return account


def _add(account: str, title: str, kind: Kind, may_act: bool, reason: str) -> None:
    from accounts.audit import OPERATOR
    from accounts.people import LOCAL, Identity

    provider, colon, subject = account.partition(":")
    if not colon:
        provider, subject = LOCAL, account
    identity = Identity(provider, subject, title, kind=kind)
    with _accounts() as parts:
        _say(parts.people.add(identity, by=OPERATOR, may_act=may_act, reason=reason))


def _change(
    account: str,
    reason: str,
    *,
    disabled: bool | None = None,
    admin: bool | None = None,
    may_act: bool | None = None,
) -> None:
    from accounts.audit import OPERATOR

    with _accounts() as parts:
        role: Role | None = None if admin is None else "admin" if admin else "user"
        _say(
            parts.people.change(
                account, by=OPERATOR, reason=reason, disabled=disabled, role=role, may_act=may_act
            )
        )


def _say(account: Account) -> None:
    words = [
        account.kind,
        "disabled" if account.disabled else "enabled",
        *(["administrator"] if account.role == "admin" else []),
        *(["acts for others"] if account.may_act else []),
        f"groups: {', '.join(sorted(account.groups)) or 'none'}",
    ]
    click.echo(f"{account.name}: {', '.join(words)}")


def _cells(one: Token) -> tuple[str, ...]:
    moments = (_day(one.created_ms), _day(one.expires_ms), _day(one.used_ms))
    return (one.token_id, one.title, " ".join(sorted(one.scopes)), *moments)


def _day(ms: int | None) -> str:
    return "never" if ms is None else time.strftime("%Y-%m-%d %H:%M", time.gmtime(ms / 1000))
