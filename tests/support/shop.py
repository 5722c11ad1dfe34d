"""A worker in this very process, with its child: real database, Redis and files; the signals are real too."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from sqlalchemy import Engine, select

from dali.caller import Caller
from dali.parameters import Parameters
from tests.support.toy import content, toy_settings, toy_types
from uws.bell import Bell
from uws.job import LANES, Job, NewJob
from uws.phase import TERMINAL
from uws.results import ResultStore
from uws.settings import JobSettings
from uws.store.jobs import Jobs
from uws.store.upkeep import Upkeep
from uws.tables import EventRow, TaskRow
from uws.worker import Worker

PATIENCE_S = 90.0

both = pytest.mark.parametrize("shop", ["sqlite", "postgresql"], indirect=True)


@dataclass
class Shop:
    """Whatever a worker needs, and one in this very process."""

    engine: Engine
    folder: Path
    redis_url: str
    settings: JobSettings

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

    def submit(self, *, kind: str = "toy", seconds: int = 0, **parameters: object) -> str:
        """Have a job queued; nobody is rung."""
        values = {name: (str(value),) for name, value in {"FOLDER": self.folder, **parameters}.items()}
        toy = toy_types()[kind]
        plan = toy.plan(toy.parse(Parameters(values), Caller()))
        return self.jobs.create(NewJob(token_hex(16), kind, "", "", (), seconds, 3600), plan).job_id

    def job(self, job_id: str) -> Job:
        found = self.jobs.get(job_id)
        assert found is not None
        return found

    def has_ended(self, *job_ids: str) -> bool:
        return all(self.job(job_id).phase in TERMINAL for job_id in job_ids)

    def work(self, until: Callable[[], object], *, signals: int = 1) -> Worker:
        """Run a worker until the condition holds, then have it stop, by so many signals.

        Tasks that wait for their next attempt are rung for, as the reconciler does.
        """
        worker = Worker(self.engine, toy_types, self.results, self.bell, self.settings, LANES)
        faults: list[str] = []

        def supervise() -> None:
            end = time.monotonic() + PATIENCE_S
            while not until():
                if time.monotonic() > end:
                    faults.append("it did not come about")
                    break
                time.sleep(0.02)
                self.bell.top_up("high", 1)
            for _ in range(signals):
                os.kill(os.getpid(), signal.SIGTERM)

        before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
        supervisor = threading.Thread(target=supervise)
        supervisor.start()
        try:
            worker.run()
        finally:
            supervisor.join()
            for number, handler in zip((signal.SIGTERM, signal.SIGINT), before, strict=True):
                signal.signal(number, handler)
        assert faults == []
        return worker

    def run(self, **parameters: object) -> Job:
        """Have a job done."""
        job_id = self.submit(**parameters)
        self.work(lambda: self.has_ended(job_id))
        return self.job(job_id)

    def messages(self, job: Job) -> dict[int, str]:
        return {result.row: result.message for result in self.jobs.results(job.job_id)}

    def tasks(self, *columns: Any) -> list[Any]:
        with self.engine.connect() as connection:
            found = connection.execute(select(*columns).order_by(TaskRow.task_id)).all()
        return [tuple(row) for row in found]

    def files(self) -> set[str]:
        """Containers there are."""
        return {name for job_id in self.results.jobs() for name, _ in self.results.objects(job_id)}

    def check(self, job: Job) -> None:
        """Assert that files and ledger agree, and that events are numbered without a gap."""
        results = self.jobs.results(job.job_id)
        assert {of.container for of in results if of.container} == {
            name for name in self.files() if name.startswith(job.job_id)
        }
        for of in results:
            if of.container:
                assert b"".join(self.results.read(of)) == content(of.result_id, of.size)
        with self.engine.connect() as connection:
            seqs = connection.execute(select(EventRow.seq).where(EventRow.job_id == job.job_id)).scalars()
            assert sorted(seqs) == list(range(1, job.event_seq + 1))


SETTINGS = toy_settings(
    memory_bytes=1 << 30, back_off_s=0.05, lease_s=10.0, renew_s=0.2, drain_s=3.0, results_reserve_bytes=0
)
