"""Commands that look after jobs; what they change is in the audit log.

What a command needs is imported when it runs, so that --help is quick.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from config.terminal import console, database, read_settings

if TYPE_CHECKING:
    from rich.text import Text

    from config.jobs import JobParts
    from uws.job import Job

LISTED = 20
DAY_MS = 86_400_000
ASYNC_PATH = "async"
PHASES = ("PENDING", "QUEUED", "EXECUTING", "COMPLETED", "ERROR", "ABORTED")
_reason = click.option("--reason", default="", metavar="TEXT", help="For the audit log.")


@click.group()
def jobs() -> None:
    """List jobs, show them, abort, retry and destroy them."""


@jobs.command("list")
@click.option("--phase", type=click.Choice(PHASES, case_sensitive=False), help="In this phase only.")
@click.option(
    "--last", type=click.IntRange(1), default=LISTED, show_default=True, help="So many, the newest ones."
)
def list_jobs(phase: str | None, last: int) -> None:
    """List the jobs of everybody, the newest first."""
    from rich.table import Column, Table

    from uws.phase import Phase

    with _job_parts() as parts:
        found = parts.jobs.refs(None, (Phase(phase),) if phase else (), last=last)
    # Whole in 80 columns, which are also those of a pipe.
    names = ("job", "phase", "created")
    table = Table(
        *(Column(name, no_wrap=True) for name in names), "owner", "run id", box=None, pad_edge=False
    )
    for ref in found:
        table.add_row(
            ref.job_id,
            ref.phase,
            _moment(ref.created_ms),
            _shown(ref.owner) or "-",
            _shown(ref.run_id) or "-",
        )
    console().print(table)


@jobs.command()
@click.argument("job_id", metavar="ID")
def show(job_id: str) -> None:
    """Show job ID: what was asked for, and what became of it."""
    from rich.table import Table

    with _job_parts() as parts:
        job = _find(parts, job_id)
        results = len(parts.jobs.result_refs(job_id))
    table = Table(show_header=False, box=None)
    for name, value in _facts(job, results):
        table.add_row(_shown(name), _shown(value))
    console().print(table)


@jobs.command()
@click.argument("job_id", metavar="ID")
@_reason
def abort(job_id: str, reason: str) -> None:
    """Abort job ID; the results it has so far stay."""
    with _job_parts() as parts:
        parts.service.abort(_find(parts, job_id), reason)
        _note(parts, "job aborted", job_id, reason)
    click.echo(f"{job_id} is aborted")


@jobs.command()
@click.argument("job_id", metavar="ID")
@_reason
def retry(job_id: str, reason: str) -> None:
    """Run a new job with the parameters of job ID, for the same owner; its id is printed.

    Of a job of a list it takes over what is finished, and makes what is missing.
    """
    from uws.params import gathered

    with _job_parts() as parts:
        job = _find(parts, job_id)
        if job.packaged or parts.jobs.uploads(job_id):
            again = parts.service.submissions.retry(job, parts.service.owner(job))
        else:
            again = parts.service.submissions.create(
                job.type, gathered(job.parameters), parts.service.owner(job), run=True, run_id=job.run_id
            )
        _note(parts, "job retried", job_id, reason, {"as": again.job_id})
    click.echo(again.job_id)


@jobs.command()
@click.argument("job_id", metavar="ID")
@click.option("--to", "name", required=True, metavar="NAME", help="One of the setting delivery.folders.")
def deliver(job_id: str, name: str) -> None:
    """Unpack the package of job ID in a folder of a user, as that user.

    It needs root, or to be that user. Links are not followed, and what is there is not overwritten. A
    delivery that was interrupted is asked for again.
    """
    from config.app import assemble
    from config.jobs import make_shop, packages_with
    from uws.packages.delivery import deliver as deliver_package

    settings = read_settings()
    if (to := settings.delivery.find(name)) is None:
        raise click.UsageError(f"delivery.folders has no {name}")
    base = settings.server.base_url or f"http://{settings.server.host}:{settings.server.port}"
    # Not in the folder of packages: what root has written there, the web server could not read, nor remove.
    with _job_parts() as parts, database(settings) as engine, TemporaryDirectory() as folder:
        job = _find(parts, job_id)
        packages = packages_with(settings, assemble(settings))
        shop = make_shop(settings, engine, parts.results, packages, Path(folder))
        built = shop.built(job, f"{base}/{ASYNC_PATH}/{job.job_id}")
        done = deliver_package(built, parts.results, to)
    click.echo(f"{done.folder}: {done.written} files written, {done.there} were there")
    for path in done.others:
        click.echo(f"something else is there, and stays: {path}", err=True)
    if done.others:
        raise SystemExit(1)


@jobs.command()
@click.argument("job_ids", metavar="[ID]...", nargs=-1)
@click.option(
    "--older-than", type=click.FloatRange(0), metavar="DAYS", help="All that have ended, and are so old."
)
@_reason
def purge(job_ids: tuple[str, ...], older_than: float | None, reason: str) -> None:
    """Destroy jobs: nobody sees them any more, and their files go within the setting jobs.grace_s."""
    from uws.phase import TERMINAL

    if not job_ids and older_than is None:
        raise click.UsageError("name jobs, or say --older-than DAYS")
    with _job_parts() as parts:
        wanted = list(job_ids)
        if older_than is not None:
            before = parts.jobs.now_ms() - older_than * DAY_MS
            wanted += [ref.job_id for ref in parts.jobs.refs(None, TERMINAL) if ref.created_ms <= before]
        for job_id in dict.fromkeys(wanted):
            parts.service.destroy(_find(parts, job_id))
            _note(parts, "job destroyed", job_id, reason)
        click.echo(f"{len(dict.fromkeys(wanted))} jobs destroyed")


@contextmanager
def _job_parts() -> Iterator[JobParts]:
    """Give the jobs of the service; what it would refuse a client, it refuses here in the same words."""
    from config.jobs import make_jobs
    from dali.errors import ProtocolError

    settings = read_settings()
    with database(settings) as engine:
        parts = make_jobs(settings, engine)
        try:
            yield parts
        except ProtocolError as error:
            said = [error.sentence, error.fix, *(f"Also: {also.sentence} {also.fix}" for also in error.also)]
            raise click.ClickException("\n".join(line for line in said if line)) from error
        finally:
            parts.close()


def _note(parts: JobParts, act: str, job_id: str, reason: str, data: Mapping[str, Any] | None = None) -> None:
    from accounts.audit import OPERATOR, Audit

    Audit(parts.jobs.engine).write(None, OPERATOR, act, job_id, reason, data)


def _find(parts: JobParts, job_id: str) -> Job:
    from dali.caller import Caller

    return parts.service.find(job_id, Caller(is_admin=True), action="see")


def _facts(job: Job, results: int) -> Iterator[tuple[str, str]]:
    counts = job.counts
    yield "job", job.job_id
    yield "type", job.type
    yield "phase", job.phase
    yield "owner", job.owner or "-"
    yield "run id", job.run_id or "-"
    yield "queue", job.lane
    for name, moment_ms in (
        ("created", job.created_ms),
        ("started", job.started_ms),
        ("ended", job.ended_ms),
        ("destruction", job.destruction_ms),
    ):
        yield name, "-" if moment_ms is None else _moment(moment_ms)
    yield "rows", f"{counts.ended} of {counts.total} ended"
    for name in ("done", "empty", "failed", "poison"):
        if number := getattr(counts, name):
            yield f"  {name}", str(number)
    yield "results", f"{results}, {job.bytes_out} bytes"
    for said in filter(None, (job.error, job.fault)):
        yield "error", f"{said.message}\n{said.detail}".rstrip()
    for parameter in job.parameters:
        yield f"  {parameter.name}", parameter.value


def _shown(text: str) -> Text:
    """Text of clients as it may go to a terminal: no markup, and nothing the terminal would obey."""
    from rich.text import Text

    return Text("".join(sign if sign.isprintable() or sign == "\n" else "\ufffd" for sign in text))


def _moment(moment_ms: int) -> str:
    from uws.moment import format_moment

    return f"{format_moment(moment_ms)[:19]}Z"
