"""Workers and reconcilers as real processes, around a real database and a real Redis, doing toy jobs.

Whatever is done to them, `Cluster.check` says afterwards whether every promise was kept.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select

from config.database import make_engine
from dali.caller import ANONYMOUS, Caller
from dali.parameters import Parameters
from tests.support.rights import RIGHTS
from tests.support.toy import toy_settings, toy_types
from uws.bell import Bell
from uws.job import Job
from uws.phase import TERMINAL
from uws.reconcile import Reconciler
from uws.results import ResultStore
from uws.service import JobService
from uws.settings import JobSettings
from uws.store.jobs import Jobs
from uws.store.upkeep import Upkeep
from uws.tables import EventRow, JobRow, ResultRow, TaskRow
from uws.waiting import Waiting

#: Leases so short that what takes half a minute in a service takes a few seconds in a test.
QUICK = {
    "lease_s": 2.0,
    "renew_s": 0.4,
    "reconcile_s": 0.3,
    "back_off_s": 0.05,
    "drain_s": 2.0,
    "row_limit_s": 5.0,
}
PATIENCE_S = 100.0


def job_settings(**changes: Any) -> JobSettings:
    """Settings of a quick cluster."""
    return toy_settings(**{**QUICK, **changes})


@dataclass
class Cluster:
    """Everything but the web server, which is this process.

    Parameters
    ----------
    folder
        For results, settings and logs.
    database_url, redis_url
        Of the servers, which others start and stop.
    settings
        Of all processes.
    """

    folder: Path
    database_url: str
    redis_url: str
    settings: JobSettings = field(default_factory=job_settings)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @cached_property
    def engine(self) -> Engine:
        return make_engine(self.database_url)

    @cached_property
    def jobs(self) -> Jobs:
        return Jobs(self.engine)

    @cached_property
    def upkeep(self) -> Upkeep:
        return Upkeep(self.engine)

    @cached_property
    def results(self) -> ResultStore:
        return ResultStore(str(self.folder / "results"), self.folder / "spool")

    @cached_property
    def bell(self) -> Bell:
        return Bell(self.redis_url)

    @cached_property
    def service(self) -> JobService:
        waiting = Waiting(self.jobs, self.bell, self.settings.max_waiters)
        return JobService(self.jobs, toy_types(), self.results, self.bell, waiting, self.settings, RIGHTS)

    @cached_property
    def reconciler(self) -> Reconciler:
        return Reconciler(self.upkeep, self.results, self.bell, toy_types(), self.settings)

    def start_worker(self, *lanes: str, moment: str = "") -> subprocess.Popen[bytes]:
        """Start a worker, of both lanes unless some are named, that dies at a `moment` if one is named."""
        return self._start("worker", *(lanes or ("high", "low")), moment=moment)

    def start_reconciler(self) -> subprocess.Popen[bytes]:
        """Start a reconciler."""
        return self._start("reconciler")

    def submit(self, caller: Caller = ANONYMOUS, *, kind: str = "toy", **parameters: object) -> Job:
        """Create a toy job and run it."""
        values = {name: (str(value),) for name, value in parameters.items()}
        return self.service.submissions.create(kind, Parameters(values), caller, run=True)

    def job(self, job_id: str) -> Job:
        """Return a job that is there."""
        found = self.jobs.get(job_id)
        assert found is not None
        return found

    def wait(self, *job_ids: str, patience_s: float = PATIENCE_S) -> list[Job]:
        """Wait until jobs have ended."""
        until(lambda: all(self.job(job_id).phase in TERMINAL for job_id in job_ids), patience_s, self.told)
        return [self.job(job_id) for job_id in job_ids]

    def told(self) -> str:
        """Say what the processes logged last, for a failure's sake."""
        return "\n".join(log.read_text()[-3000:] for log in sorted(self.folder.glob("*.log")))

    def children_of(self, process: subprocess.Popen[bytes]) -> list[int]:
        """List the processes that a worker has started."""
        found = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        return [int(pid) for pid in found.read_text().split()] if found.exists() else []

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kill a process without a warning."""
        process.kill()
        process.wait()
        if process in self.processes:
            self.processes.remove(process)

    def stop(self) -> None:
        """End every process; those that do not end by themselves are killed."""
        stuck = []
        for process in self.processes:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                stuck.append(process.args)
        self.processes.clear()
        self.bell.close()
        self.engine.dispose()
        assert not stuck, f"they did not stop: {stuck}\n{self.told()}"

    def check(self) -> None:
        """Assert whatever must hold when everything has come to rest."""
        # A worker sees within a second that its job has ended, and clears away what it has made.
        until(lambda: not self._in_hand(), told=self.told)
        self._remove_orphans()
        with self.engine.connect() as connection:
            jobs = connection.execute(select(JobRow.__table__)).mappings().all()
            results = connection.execute(select(ResultRow.__table__)).mappings().all()
            events = connection.execute(select(EventRow.job_id, EventRow.seq)).all()
            tasks = connection.execute(select(TaskRow.attempts, TaskRow.kills)).all()
        rows = self._check_rows(results)
        for job in jobs:
            assert job["phase"] in {phase.value for phase in TERMINAL}, job["job_id"]
            ended = job["done"] + job["empty"] + job["failed"] + job["poison"]
            assert ended == len(rows.get(job["job_id"], {})), "the counters are those of the ledger"
            if job["phase"] == "COMPLETED":
                assert ended == job["total"]
            seqs = sorted(seq for job_id, seq in events if job_id == job["job_id"])
            assert seqs == list(range(1, job["event_seq"] + 1)), "events are numbered without a gap"
        for attempts, kills in tasks:
            assert attempts <= self.settings.max_attempts
            assert kills <= 2
        self._check_files(jobs, results)

    def _in_hand(self) -> bool:
        with self.engine.connect() as connection:
            some = connection.execute(select(TaskRow.task_id).where(TaskRow.state == "running").limit(1))
            return some.first() is not None

    def _check_rows(self, results: Any) -> dict[str, dict[int, set[int]]]:
        rows: dict[str, dict[int, set[int]]] = {}
        for result in results:
            parts = rows.setdefault(result["job_id"], {}).setdefault(result["row"], set())
            assert result["part"] not in parts, "no row has two results"
            parts.add(result["part"])
        for of_job in rows.values():
            for parts in of_job.values():
                assert parts == set(range(len(parts)))
        return rows

    def _check_files(self, jobs: Any, results: Any) -> None:
        live = {job["job_id"] for job in jobs}
        named: set[str] = set()
        for row in results:
            if not row["container"]:
                continue
            named.add(row["container"])
            result = self.jobs.result(row["job_id"], row["result_id"])
            assert result is not None
            content = b"".join(self.results.read(result))
            assert len(content) == row["size"]
            assert hashlib.sha256(content).hexdigest() == row["sha256"], "a file is what the ledger says"
        there = {name for job_id in self.results.jobs() for name, _ in self.results.objects(job_id)}
        assert there == named, "the files are those of the ledger, no more and no less"
        assert set(self.results.jobs()) <= live

    def _remove_orphans(self) -> None:
        """Remove what was left behind, as the reconciler does when it is old enough."""
        for job_id in list(self.results.jobs()):
            named = self.upkeep.containers(job_id)
            for container, _ in list(self.results.objects(job_id)):
                if container not in named:
                    self.results.remove(container)

    def _start(self, role: str, *lanes: str, moment: str = "") -> subprocess.Popen[bytes]:
        name = f"{role}-{len(list(self.folder.glob('*.log')))}"
        told = self.folder / f"{name}.json"
        told.write_text(
            json.dumps(
                {
                    "folder": str(self.folder),
                    "database_url": self.database_url,
                    "redis_url": self.redis_url,
                    "moment": moment,
                    "settings": dataclasses.asdict(self.settings),
                }
            )
        )
        log = (self.folder / f"{name}.log").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.process", role, str(told), *lanes],
            stdout=log,
            stderr=log,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONFAULTHANDLER": "1"},
        )
        log.close()
        self.processes.append(process)
        return process


@contextmanager
def cluster(
    folder: Path, database_url: str, redis_url: str, workers: int = 1, settings: JobSettings | None = None
) -> Iterator[Cluster]:
    """Give a cluster with workers and a reconciler, until the block ends."""
    made = Cluster(folder, database_url, redis_url, settings or job_settings())
    try:
        for _ in range(workers):
            made.start_worker()
        made.start_reconciler()
        if workers:
            until(lambda: made.upkeep.live_workers("low", 60) >= workers, 30, made.told)
        yield made
    finally:
        made.stop()


def until(holds: Callable[[], bool], patience_s: float = PATIENCE_S, told: Callable[[], str] = str) -> None:
    """Wait for something that is bound to happen."""
    end = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < end, f"it did not happen within {patience_s:g} s\n{told()}"
        time.sleep(0.02)
