"""The commands that look after queues and workers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine

from accounts.audit import Audit
from config.cli import main
from config.database import make_engine, prepare
from tests.support.stored import job_of, new_job, plan, run_job, take
from uws.job import LANES
from uws.store.claims import Claims
from uws.store.jobs import Jobs
from uws.store.queues import QueueStore
from uws.store.upkeep import Upkeep

Run = Callable[..., str]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = make_engine(f"sqlite:///{tmp_path / 'fountain.db'}")
    prepare(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def run(tmp_path: Path, engine: Engine) -> Run:
    def run(*arguments: str, status: int = 0) -> str:
        environ = {**os.environ, "FOUNTAIN_DATA__FOLDER": str(tmp_path), "COLUMNS": "200"}
        done: Result = CliRunner(env=environ).invoke(main, arguments)
        assert done.exit_code == status, done.output
        return done.output

    return run


@pytest.fixture
def jobs(engine: Engine) -> Jobs:
    return Jobs(engine)


def acts(engine: Engine) -> list[tuple[str, str, str, str]]:
    return [(entry.account, entry.act, entry.object, entry.reason) for entry in Audit(engine).read(9)]


def test_a_queue_is_paused_and_goes_on(run: Run, engine: Engine, jobs: Jobs) -> None:
    job_id = run_job(jobs, rows=3, owner="local:ada")
    assert run("queue", "pause", "low", "--reason", "disks are moved") == "low is paused\n"
    shown = run("queue", "show")
    assert "high: 0 jobs wait, 0 tasks run, 0 workers\n" in shown
    assert "low: 1 jobs wait, 0 tasks run, 0 workers, paused by operator: disks are moved" in shown
    assert f"{job_id}  system  3     local:ada" in shown
    assert Claims(engine, "w", 30.0).claim(LANES) is None
    assert run("queue", "resume", "low") == "low goes on\n"
    assert run("queue", "resume", "low") == "low was not paused\n"
    assert take(Claims(engine, "w", 30.0)).job_id == job_id
    assert acts(engine) == [
        ("operator", "queue resumed", "low", ""),
        ("operator", "queue paused", "low", "disks are moved"),
    ]


def test_a_job_is_moved_to_another_class(run: Run, engine: Engine, jobs: Jobs) -> None:
    job_id = jobs.create(new_job("local:ada", rank=3), plan(5)).job_id
    run("queue", "prioritise", job_id, "--class", "internal", "--share", "2.5", "--parallel", "4")
    job = job_of(jobs, job_id)
    assert (job.rank, job.share, job.parallel) == (1, 2.5, 4)
    (entry,) = Audit(engine).read(9)
    assert (entry.act, entry.object) == ("job prioritised", job_id)
    assert entry.data == {"class": "internal", "share": 2.5, "parallel": 4}
    run("queue", "prioritise", job_id, "--parallel", "0")
    assert job_of(jobs, job_id).parallel == 0
    assert "say --class, --share or --parallel" in run("queue", "prioritise", job_id, status=2)
    assert "there is no job" in run("queue", "prioritise", "nothing", "--class", "user", status=1)


def test_workers_are_listed_and_told(run: Run, engine: Engine, jobs: Jobs) -> None:
    upkeep = Upkeep(engine)
    job_id = run_job(jobs)
    claim = take(Claims(engine, "one", 30.0))
    assert upkeep.beat("one", "host", 1, LANES, 123_000_000, claim.task_id) == ""
    shown = run("workers", "list")
    assert "123 MB" in shown
    assert job_id in shown
    for order, wanted in (("drain", "drain"), ("resume", ""), ("stop", "stop")):
        assert "one is told to" in run("workers", order, "one", "--reason", "why")
        assert upkeep.beat("one", "host", 1, LANES) == wanted
        assert upkeep.live_workers("high", 60) == (not wanted)
    assert [act for _, act, _, _ in acts(engine)] == [
        "worker told to stop",
        "worker told to resume",
        "worker told to drain",
    ]
    (state,) = QueueStore(engine, 30.0).workers()
    assert (state.worker_id, state.wanted, state.task_id, state.memory_bytes) == ("one", "stop", None, None)
    assert "there is no worker" in run("workers", "drain", "two", status=1)
