"""Commands that run the service.

What a command needs is imported when it runs, so that --help is quick.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

import click

from config.terminal import database, read_settings

if TYPE_CHECKING:
    import socket

    from config.settings import Settings
    from config.supervisor import Role
    from uws.job import Lane

#: A database that does not answer is asked again after so long.
DATABASE_RETRY_S = 2.0
SWEEP_EACH_S = 600.0


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
        *_once(settings, listener),
    ]


def _once(settings: Settings, listener: socket.socket) -> Sequence[Role]:
    """Say what is done once, beside all that."""
    from config.demo_hips import build, is_wanted
    from config.supervisor import Role

    def build_without_socket() -> None:
        listener.close()
        build(settings)

    # What was made of it so far is kept: it need not be let finish.
    return (
        [Role("the HiPS of the demo survey", build_without_socket, 1.0, once=True)]
        if is_wanted(settings)
        else []
    )


def _work(settings: Settings, lanes: Sequence[Lane]) -> None:
    """Be a worker."""
    from config.database import make_engine
    from config.jobs import job_types_of, redis_url, result_store
    from uws.bell import Bell
    from uws.memory import spare_the_collector
    from uws.worker import Worker

    engine = make_engine(settings.data.engine_url)
    bell = Bell(redis_url(settings))
    worker = Worker(engine, job_types_of(settings), result_store(settings), bell, settings.jobs, lanes)
    spare_the_collector()
    worker.run()
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


def _warn_unregistered(settings: Settings) -> None:
    import structlog

    if not settings.identifiers.is_registered:
        structlog.get_logger().warning(
            "the service is not registered: set identifiers.base to the IVOID of its record",
            base=settings.identifiers.base,
        )
