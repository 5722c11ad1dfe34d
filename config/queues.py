"""Commands about queues and workers. What a command needs is imported when it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from config.terminal import console, database, read_settings
from dali.caller import TIERS, Tier

if TYPE_CHECKING:
    from portal.admin.steering import Steering
    from uws.job import Lane
    from uws.queue.board import QueueBoard

_LANE = click.Choice(["high", "low"])
_reason = click.option("--reason", default="", metavar="TEXT", help="For the audit log, and for users.")


@click.group()
def queue() -> None:
    """Show what waits; pause and resume a queue; have a job go first."""


@queue.command()
def show() -> None:
    """Show what waits in which order, and whose it is."""
    from rich.table import Column, Table
    from rich.text import Text

    with _acts() as (_, board):
        seen = board.look()
    for lane, state in seen.queues.lanes.items():
        pause = state.pause
        paused = "" if pause is None else f", paused by {pause.account}: {pause.reason or 'no reason told'}"
        crew = f"{state.running} tasks run, {state.workers} workers"
        click.echo(f"{lane}: {len(state.waiting)} jobs wait, {crew}{paused}")
        if not state.waiting:
            continue
        table = Table(Column("place"), Column("job", no_wrap=True), "class", "rows", "owner", box=None)
        for number, job in enumerate(seen.ordered[lane], 1):
            owner = Text("".join(sign if sign.isprintable() else "\ufffd" for sign in job.owner) or "-")
            table.add_row(str(number), job.job_id, TIERS[job.rank], str(job.total), owner)
        console().print(table)


@queue.command()
@click.argument("lane", type=_LANE)
@_reason
def pause(lane: Lane, reason: str) -> None:
    """Have nothing taken from queue LANE; what workers have in hand goes on.

    While `high` is paused, large cutouts of /sync are refused when their time is over, and lists are not
    split. Jobs say that their queue is paused, and the reason.
    """
    from accounts.audit import OPERATOR

    with _acts() as (steering, _):
        steering.pause(lane, OPERATOR, reason)
    click.echo(f"{lane} is paused")


@queue.command()
@click.argument("lane", type=_LANE)
@_reason
def resume(lane: Lane, reason: str) -> None:
    """Have workers take from queue LANE again."""
    from accounts.audit import OPERATOR

    with _acts() as (steering, _):
        was_paused = steering.resume(lane, OPERATOR, reason)
    click.echo(f"{lane} goes on" if was_paused else f"{lane} was not paused")


@queue.command()
@click.argument("job_id", metavar="ID")
@click.option("--class", "tier", type=click.Choice(TIERS), help="Its priority class.")
@click.option(
    "--share", type=click.FloatRange(0.001, 1000), help="Of the workers, within the class; 1 is usual."
)
@click.option("--parallel", type=click.IntRange(0), help="So many of its tasks at a time; 0 is no limit.")
@_reason
def prioritise(
    job_id: str, tier: Tier | None, share: float | None, parallel: int | None, reason: str
) -> None:
    """Give job ID another class, share, or number of tasks at a time."""
    from accounts.audit import OPERATOR

    if tier is None and share is None and parallel is None:
        raise click.UsageError("say --class, --share or --parallel")
    with _acts() as (steering, _):
        steering.prioritise(job_id, OPERATOR, reason, tier=tier, share=share, parallel=parallel)
    click.echo(f"{job_id} is changed")


@click.group()
def workers() -> None:
    """List workers; have one take no more tasks, or end."""


@workers.command("list")
def list_workers() -> None:
    """List the workers: when they were heard of, memory, the job in hand, what they were told."""
    from rich.table import Column, Table

    with _acts() as (steering, _):
        found = steering.queues.workers()
    columns = ("lanes", "heard of", "memory", "told", "job in hand")
    table = Table(Column("worker", no_wrap=True), *columns, box=None, pad_edge=False)
    for worker in found:
        memory = "-" if worker.memory_bytes is None else f"{worker.memory_bytes / 1e6:.0f} MB"
        table.add_row(
            worker.worker_id,
            " ".join(worker.lanes),
            f"{worker.silent_s:.0f} s ago",
            memory,
            worker.wanted or "-",
            worker.job_id or "-",
        )
    console().print(table)


@workers.command()
@click.argument("worker_id", metavar="ID")
@_reason
def drain(worker_id: str, reason: str) -> None:
    """Have worker ID finish the task in hand, and take no other until it is resumed."""
    _tell(worker_id, "drain", reason)


@workers.command("resume")
@click.argument("worker_id", metavar="ID")
@_reason
def resume_worker(worker_id: str, reason: str) -> None:
    """Have worker ID take tasks again."""
    _tell(worker_id, "resume", reason)


@workers.command()
@click.argument("worker_id", metavar="ID")
@_reason
def stop(worker_id: str, reason: str) -> None:
    """Have worker ID finish the row in hand, and end.

    `fountain serve` starts another in its place, as other supervisors do.
    """
    _tell(worker_id, "stop", reason)


def _tell(worker_id: str, act: str, reason: str) -> None:
    from accounts.audit import OPERATOR

    with _acts() as (steering, _):
        steering.order(worker_id, act, OPERATOR, reason)
    click.echo(f"{worker_id} is told to {act}; it hears of it within some seconds")


@contextmanager
def _acts() -> Iterator[tuple[Steering, QueueBoard]]:
    """Give what acts, and what shows; a refusal becomes a sentence."""
    from accounts.audit import Audit
    from dali.errors import ProtocolError
    from portal.admin.steering import Steering
    from uws.queue.board import QueueBoard
    from uws.store.pace import Paces
    from uws.store.queues import QueueStore

    settings = read_settings()
    with database(settings) as engine:
        store = QueueStore(engine, settings.jobs.lease_s)
        try:
            yield Steering(store, Audit(engine)), QueueBoard(store, Paces(engine), settings.jobs)
        except ProtocolError as error:
            raise click.ClickException("\n".join(filter(None, (error.sentence, error.fix)))) from error
