"""Commands about quotas. What a command needs is imported when it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from config.terminal import console, database, read_settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from config.quotas import QuotaParts

_KINDS = ("cutouts", "cpu_s", "bytes", "jobs", "rows", "rate")
_KIND = click.Choice(_KINDS)
_reason = click.option("--reason", default="", metavar="TEXT", help="For the audit log.")


@click.group()
def quota() -> None:
    """Show how quotas stand; give somebody another limit for a while.

    A SUBJECT is user:ACCOUNT, group:NAME, or a priority class: system, internal, priority, user, anonymous.
    Kinds are cutouts and cpu_s of a day, bytes kept, jobs that are active, rows of a job, and the rate of
    requests in a minute.
    """


@quota.command()
@click.argument("account", required=False, default="")
def show(account: str) -> None:
    """Show what ACCOUNT may use and has used; without one, those nobody knows."""
    from accounts.quota.document import quota_text
    from config.accounts import make_accounts
    from dali.caller import ANONYMOUS

    with _quotas() as (quotas, engine):
        callers = make_accounts(read_settings(), engine).callers
        caller = callers.named(account) if account else ANONYMOUS
        if caller is None:
            raise click.ClickException(f"there is no account {account!r}, or it is disabled")
        click.echo(quota_text(quotas.stand(caller)), nl=False)


@quota.command("list")
def list_limits() -> None:
    """List the limits that were set, and hold still."""
    from datetime import UTC, datetime

    from rich.table import Column, Table
    from rich.text import Text

    with _quotas() as (quotas, _):
        decided = quotas.limits.decided()
    columns = ("kind", "limit", "until", "by", "reason")
    table = Table(Column("subject", no_wrap=True), *columns, box=None, pad_edge=False)
    for one in decided:
        until = (
            "-" if one.until_ms is None else f"{datetime.fromtimestamp(one.until_ms / 1000, UTC):%F %H:%MZ}"
        )
        limit = str(one.value) if one.value else "none"
        table.add_row(Text(one.subject), one.kind.value, limit, until, Text(one.account), Text(one.reason))
    console().print(table)


@quota.command("set")
@click.argument("subject")
@click.argument("kind", type=_KIND)
@click.argument("value", type=click.IntRange(0))
@click.option("--days", type=click.FloatRange(0, 36_500, min_open=True), help="It ends after so many days.")
@_reason
def set_limit(subject: str, kind: str, value: int, days: float | None, reason: str) -> None:
    """Have SUBJECT use VALUE of KIND instead of what the settings say; 0 is no limit."""
    from accounts.audit import OPERATOR
    from accounts.quota.kinds import DAY_MS, Kind
    from accounts.quota.limits import Override

    with _quotas() as (quotas, _):
        until_ms = None if days is None else quotas.limits.now_ms() + round(days * DAY_MS)
        try:
            quotas.limits.decide(Override(_subject(subject), Kind(kind), value, until_ms, reason), OPERATOR)
        except ValueError as fault:
            raise click.UsageError(str(fault)) from fault
    click.echo(f"{subject} has {value or 'no limit of'} {kind}")


@quota.command("unset")
@click.argument("subject")
@click.argument("kind", type=_KIND)
@_reason
def unset_limit(subject: str, kind: str, reason: str) -> None:
    """Have the settings say again how much of KIND SUBJECT may use."""
    from accounts.audit import OPERATOR
    from accounts.quota.kinds import Kind

    with _quotas() as (quotas, _):
        was_there = quotas.limits.withdraw(_subject(subject), Kind(kind), OPERATOR, reason)
    click.echo(f"{subject} has the {kind} of the settings" if was_there else "there was no such limit")


def _subject(text: str) -> str:
    return text if ":" in text else f"role:{text}"


@contextmanager
def _quotas() -> Iterator[tuple[QuotaParts, Engine]]:
    from config.quotas import make_quotas

    settings = read_settings()
    with database(settings) as engine:
        yield make_quotas(settings, engine), engine
