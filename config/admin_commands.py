"""The areas of administration on the command line: the same to see, and the same acts, as on its pages.

What a command needs is imported when it runs, so that --help is quick.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from config.terminal import console, database, read_settings

if TYPE_CHECKING:
    from portal.admin.area import Area

AREAS = (
    "overview",
    "queues",
    "jobs",
    "failures",
    "accounts",
    "account",
    "quotas",
    "usage",
    "estimates",
    "retention",
    "announcements",
    "configuration",
    "log",
)
_reason = click.option("--reason", required=True, metavar="TEXT", help="Kept in the audit log.")


@click.group()
def admin() -> None:
    """See what the pages of administration show, and do what they do.

    \b
    fountain admin show failures hours=168
    fountain admin show usage days=90 by=user --csv
    fountain admin act jobs abort ID ID --reason "the disk is full"
    fountain admin act jobs keep ID --with days=90 --reason "for the paper"
    """  # noqa: D301  # click wants the character


@admin.command()
@click.argument("name", metavar="AREA", type=click.Choice(AREAS))
@click.argument("given", metavar="[NAME=VALUE]...", nargs=-1)
@click.option("--csv", "is_csv", is_flag=True, help="A table, of usage and log.")
def show(name: str, given: tuple[str, ...], is_csv: bool) -> None:
    """Write AREA as JSON: overview, queues, jobs, failures, accounts, account, quotas, usage, and so on.

    NAME=VALUE are those of the page: phase=ERROR, owner=ada, days=90. A name may be given several times.
    """
    from portal.admin.asked import Asked
    from portal.admin.written import as_csv, as_json

    with _areas() as areas:
        area = areas[name]
        if is_csv and area.table is None:
            raise click.UsageError(f"there is no table of {name}")
        asked = Asked(_values((*given, "format=csv") if is_csv else given))
        area.expect_known(asked)
        shown = area.look(asked)
        written = as_csv(area.table(shown)) if is_csv and area.table is not None else as_json(shown)
    click.echo(written, nl=False)


@admin.command()
@click.argument("name", metavar="AREA", type=click.Choice(AREAS))
@click.argument("act", metavar="ACT")
@click.argument("of", metavar="[OF]...", nargs=-1)
@click.option(
    "--with", "given", multiple=True, metavar="NAME=VALUE", help="What the act needs. May be repeated."
)
@_reason
def act(name: str, act: str, of: tuple[str, ...], given: tuple[str, ...], reason: str) -> None:
    """Do ACT to each OF in AREA.

    \b
    queues         pause, resume (of queues), drain, take, stop (of workers)
    jobs           abort, retry, prioritise (class, share, parallel), keep (days), destroy
    accounts       disable, enable, promote, demote, join and leave (group, days),
                   sign-out, revoke-tokens, revoke-token (of a token)
    quotas         set (subject, kind, value, days), unset (of "KIND SUBJECT")
    announcements  announce (text, level, days, in_days), withdraw
    """  # noqa: D301  # click wants the character
    from accounts.audit import OPERATOR
    from portal.admin.area import perform
    from portal.admin.asked import Asked

    with _areas() as areas:
        asked = Asked({**_values(given), "act": [act], "of": list(of), "reason": [reason]})
        outcome = perform(areas[name], asked, OPERATOR)
    for one in outcome.done or (() if outcome.refused else ("done",)):
        click.echo(one)
    for refusal in outcome.refused:
        click.echo(f"{refusal.of}: {refusal.why}", err=True)
    if outcome.refused:
        raise SystemExit(1)


@admin.command()
@click.option("--hours", type=click.IntRange(1, 2160), default=24, show_default=True)
def failures(hours: int) -> None:
    """List what failed lately, by cause."""
    from rich.table import Column, Table

    from portal.admin.asked import Asked
    from portal.figures import clock

    with _areas() as areas:
        shown = areas["failures"].look(Asked({"hours": [str(hours)]}))
    numbers = [Column(name, justify="right") for name in ("failed", "jobs", "owners")]
    table = Table(*numbers, "last", "cause", Column("sample", no_wrap=True), box=None, pad_edge=False)
    for cause in shown.causes:
        counts = (str(number) for number in (cause.failures, cause.jobs, cause.owners))
        table.add_row(*counts, clock(cause.last_ms), _plain(cause.text), cause.samples[0].job_id)
    click.echo(f"{shown.rows} rows failed, and {shown.jobs} jobs ended in ERROR")
    if shown.causes:
        console().print(table)


@admin.command()
@click.argument("text")
@click.option("--warning", is_flag=True, help="It matters more than a note.")
@click.option("--days", type=click.FloatRange(0.01, 366), help="For so long.  [default: until withdrawn]")
@_reason
def announce(text: str, warning: bool, days: float | None, reason: str) -> None:
    """Tell all users TEXT, on every page; `fountain admin act announcements withdraw N` takes it back."""
    from accounts.audit import OPERATOR
    from portal.admin.area import perform
    from portal.admin.asked import Asked

    asked = {"act": "announce", "text": text, "level": "warning" if warning else "note", "reason": reason}
    if days is not None:
        asked["days"] = str(days)
    with _areas() as areas:
        area = areas["announcements"]
        perform(area, Asked({name: [value] for name, value in asked.items()}), OPERATOR)
        number = max(one.announcement_id for one in area.look(Asked({})).announcements)
    click.echo(f"announced, with the number {number}")


@contextmanager
def _areas() -> Iterator[Mapping[str, Area]]:
    """Give all areas; what they would refuse an administrator is refused here in the same words."""
    from accounts.announcements import Announcements
    from config.accounts import make_accounts
    from config.admin import AdminParts, admin_areas
    from config.health import KEPT_S, job_checks
    from config.jobs import make_jobs
    from dali.errors import ProtocolError
    from vosi.availability import Monitor

    settings = read_settings()
    with database(settings) as engine:
        jobs, accounts = make_jobs(settings, engine), make_accounts(settings, engine)
        monitor = Monitor(job_checks(jobs.upkeep, jobs.results, jobs.bell, settings.jobs.lease_s), KEPT_S)
        announcements = Announcements(engine, accounts.audit)
        parts = AdminParts(settings, engine, jobs, accounts, announcements, lambda: monitor.look().parts)
        try:
            yield {area.name or "overview": area for area in admin_areas(parts)}
        except ProtocolError as error:
            raise click.ClickException("\n".join(filter(None, (error.sentence, error.fix)))) from error
        finally:
            jobs.close()
            accounts.signing.close()


def _values(given: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """Read NAME=VALUE."""
    values: dict[str, list[str]] = {}
    for text in given:
        name, mark, value = text.partition("=")
        if not mark or not name:
            raise click.UsageError(f"{text!r} is not NAME=VALUE")
        values.setdefault(name, []).append(value)
    return values


def _plain(text: str) -> str:
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in text).replace("[", "\\[")
