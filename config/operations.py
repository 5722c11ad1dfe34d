"""Commands that run the service and look after its jobs.

What a command needs is imported when it runs, so that --help is quick.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from config.terminal import console, database, read_settings

if TYPE_CHECKING:
    import socket

    from rich.text import Text

    from config.jobs import JobParts
    from config.settings import Settings
    from config.supervisor import Role
    from uws.job import Job, Lane

#: A database that does not answer is asked again after so long.
DATABASE_RETRY_S = 2.0
SWEEP_EACH_S = 600.0
LISTED = 20
DAY_MS = 86_400_000
ASYNC_PATH = "async"
PHASES = ("PENDING", "QUEUED", "EXECUTING", "COMPLETED", "ERROR", "ABORTED")


@click.command()
@click.option("--host", help="Address to listen on.  [default: the setting server.host]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port; an error if it is taken. 0: any free one.")
@click.option("--no-workers", is_flag=True, help="Serve only: workers and the reconciler run elsewhere.")
@click.option(
    "--self-check", is_flag=True, help="Make a cutout of the demo survey through HTTP first, and save it."
)
def serve(host: str | None, port: int | None, no_workers: bool, self_check: bool) -> None:
    """Serve until Ctrl-C.

    Beside the web server run the workers that the settings ask for, the reconciler, and a private Redis
    where the setting jobs.redis_url names none.

    Without --port, the next free port is used where the one of the settings is taken. The log, JSON
    lines, goes to standard error; what people want to know goes to standard output. A stop
    (SIGTERM) lets requests finish; Ctrl-C does not.
    """
    from config import server
    from config.accounts import declared_providers
    from config.app import declared_surveys
    from config.checks import check_secret
    from config.jobs import result_store
    from config.kernels import compile_kernels
    from config.logs import configure_logs
    from config.metrics import share
    from config.redis_server import PrivateRedis, ServerNotStarted
    from config.supervisor import Role, Supervisor

    settings = read_settings()
    configure_logs(settings.log)
    _warn_unregistered(settings)
    # What is wrong is said here, once, and not by each process.
    declared_surveys(settings)
    declared_providers(settings)
    check_secret(settings, host or settings.server.host)
    result_store(settings)
    compile_kernels(click.echo)
    with database(settings):
        pass  # migrated; each process opens its own connections
    try:
        listener = server.open_socket(
            host or settings.server.host, settings.server.port if port is None else port, or_next=port is None
        )
    except (server.PortTaken, OSError) as error:
        raise click.ClickException(f"cannot listen: {error}") from error
    redis = None
    if not settings.jobs.redis_url:
        try:
            redis = PrivateRedis(settings.data.path)
            redis.start()
        except ServerNotStarted as error:
            raise click.ClickException(str(error)) from error
    share(settings.data.path / "metrics")
    url = server.url_of(listener)
    click.echo(f"Soda Fountain is served at {url}  (Ctrl-C stops it)")
    check = None
    if self_check:
        from config.selfcheck import SelfCheck

        check = SelfCheck(url, settings.identifiers.base, settings.data.path)
    web = server.Server(settings, listener, check)
    if redis is None and no_workers:
        web.run()
        return
    role = Role("the web server", web.run, settings.server.graceful_stop_s)
    others = partial(_roles, settings, listener) if not no_workers else tuple
    raise SystemExit(Supervisor(role, others, redis).run())


@click.command()
@click.option(
    "--lane",
    "lanes",
    multiple=True,
    type=click.Choice(["high", "low"]),
    help="Serve this queue only; may be repeated, the first one goes first.  [default: high, then low]",
)
def worker(lanes: tuple[Lane, ...]) -> None:
    """Do jobs until SIGTERM or Ctrl-C.

    Workers may run on any host that reaches the database, the results and the images; SQLite serves
    those of its own host only. The row in hand is finished before a worker ends. While the database
    or Redis does not answer, that is said in the log, and tried again.
    """
    from config.jobs import redis_url
    from config.kernels import compile_kernels
    from config.logs import configure_logs
    from uws.bell import Bell

    settings = read_settings()
    configure_logs(settings.log)
    compile_kernels(click.echo)
    _await_database(settings)
    bell = Bell(redis_url(settings))
    bell.check()  # says in the log if it is silent
    bell.close()
    _work(settings, lanes or ("high", "low"))


@click.command()
@click.option("--once", is_flag=True, help="Look after everything once, and end.")
def reconcile(once: bool) -> None:
    """Look after the jobs until SIGTERM or Ctrl-C.

    Tasks of lost workers are taken up again, queues are rung, jobs whose time has come are ended or
    destroyed, and files that belong to none are removed. Several at once do no harm.
    """
    from config.logs import configure_logs

    settings = read_settings()
    configure_logs(settings.log)
    _await_database(settings)
    _reconcile(settings, once=once)


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
def abort(job_id: str) -> None:
    """Abort job ID; the results it has so far stay."""
    with _job_parts() as parts:
        parts.service.abort(_find(parts, job_id))
    click.echo(f"{job_id} is aborted")


@jobs.command()
@click.argument("job_id", metavar="ID")
def retry(job_id: str) -> None:
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
def purge(job_ids: tuple[str, ...], older_than: float | None) -> None:
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
        click.echo(f"{len(dict.fromkeys(wanted))} jobs destroyed")


def _roles(settings: Settings, listener: socket.socket) -> Sequence[Role]:
    """Say who works beside the web server; called when that has been started."""
    from config.supervisor import Role

    for module in ("config.jobs", "uws.worker", "uws.reconcile"):
        import_module(module)  # once, and not by each of them

    def role(name: str, run: Callable[[], None]) -> Role:
        def run_without_socket() -> None:
            listener.close()
            run()

        # The row in hand, and as long again for what became of it.
        return Role(name, run_without_socket, 2 * settings.jobs.drain_s)

    workers = range(1, settings.jobs.workers + 1)
    high_workers = range(1, settings.jobs.high_workers + 1)
    return [
        *(role(f"worker {number}", partial(_work, settings, ("high", "low"))) for number in workers),
        *(role(f"worker {number} of high", partial(_work, settings, ("high",))) for number in high_workers),
        role("the reconciler", partial(_reconcile, settings)),
    ]


def _work(settings: Settings, lanes: Sequence[Lane]) -> None:
    """Be a worker."""
    from config.database import make_engine
    from config.jobs import job_types_of, redis_url, result_store
    from uws.bell import Bell
    from uws.worker import Worker

    engine = make_engine(settings.data.engine_url)
    bell = Bell(redis_url(settings))
    Worker(engine, job_types_of(settings), result_store(settings), bell, settings.jobs, lanes).run()
    bell.close()
    engine.dispose()


def _reconcile(settings: Settings, *, once: bool = False) -> None:
    """Be the reconciler."""
    from config.accounts import make_accounts
    from config.database import make_engine
    from config.jobs import make_job_types, package_folder, redis_url, result_store
    from config.notices import make_post
    from config.processes import each, stop_on_signals
    from config.quotas import bookkeeping, make_quotas
    from uws.bell import Bell
    from uws.reconcile import Reconciler
    from uws.store.upkeep import Upkeep

    stop = stop_on_signals()
    engine = make_engine(settings.data.engine_url)
    bell = Bell(redis_url(settings))
    reconciler = Reconciler(
        Upkeep(engine),
        result_store(settings),
        bell,
        make_job_types(settings),
        settings.jobs,
        package_folder(settings),
        (
            *bookkeeping(make_quotas(settings, engine).ledger, engine, settings.accounts.personal_days),
            ("ending sessions", each(SWEEP_EACH_S, make_accounts(settings, engine).sessions.sweep)),
        ),
        () if (post := make_post(settings, engine)) is None else post.steps(),
    )
    if once:
        reconciler.once()
    else:
        reconciler.run(stop)
    bell.close()
    engine.dispose()


def _await_database(settings: Settings) -> None:
    """Wait until there is a database that this program works with."""
    import structlog
    from sqlalchemy.exc import OperationalError

    while True:
        try:
            with database(settings):
                return
        except OperationalError as error:
            structlog.get_logger().error("the database does not answer", reason=str(error.orig))
            time.sleep(DATABASE_RETRY_S)


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


def _find(parts: JobParts, job_id: str) -> Job:
    from dali.caller import Caller

    return parts.service.find(job_id, Caller(is_admin=True))


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


def _warn_unregistered(settings: Settings) -> None:
    import structlog

    if not settings.identifiers.is_registered:
        structlog.get_logger().warning(
            "the service is not registered: set identifiers.base to the IVOID of its record",
            base=settings.identifiers.base,
        )
