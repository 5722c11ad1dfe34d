"""The small service with jobs: SODA sync and async in this process, workers as processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from flask import Flask, request

from config.app import Parts, answer_errors, assemble, site_of
from config.settings import Settings
from soda import views as soda_views
from soda.gate import PixelGate
from soda.heavier import Heavier
from soda.jobtype import JobLimits, SodaJobs
from soda.service import SyncService
from surveys.planner import Limits
from tests.support.service import index_all, settings_of, write_surveys
from uws import views as uws_views
from uws.bell import Bell
from uws.job import ANONYMOUS
from uws.jobtype import JobTypes
from uws.results import ResultStore
from uws.service import JobService
from uws.store.jobs import Jobs
from uws.store.upkeep import Upkeep
from uws.waiting import Waiting
from uws.worker import Worker

PATIENCE_S = 60.0


def soda_jobs(settings: Settings, parts: Parts) -> SodaJobs:
    """SODA's kind of job, from settings."""
    async_ = settings.cutout_jobs
    return SodaJobs(
        parts.catalog,
        parts.source,
        parts.identifiers,
        JobLimits(
            Limits(async_.max_pixels, async_.max_bytes),
            settings.jobs.max_rows,
            settings.jobs.high_rows,
            async_.high_pixels,
        ),
        site_of(settings, parts.identifiers),
    )


def types_of(folder: Path, environ: Mapping[str, str]) -> JobTypes:
    """Make the job types, in whatever process."""
    settings = settings_of(folder, environ)
    return JobTypes([soda_jobs(settings, assemble(settings))])


def results_of(folder: Path) -> ResultStore:
    """Results store of a service."""
    return ResultStore(str(folder / "results"), folder / "spool")


@dataclass
class JobbingService:
    """A service whose surveys are written and indexed.

    Parameters
    ----------
    folder
        Of its data.
    redis_url
        Of a Redis that others start and stop.
    environ
        Further settings.
    """

    folder: Path
    redis_url: str
    environ: Mapping[str, str] = field(default_factory=dict)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @cached_property
    def settings(self) -> Settings:
        return settings_of(self.folder, self.environ)

    @cached_property
    def parts(self) -> Parts:
        return assemble(self.settings)

    @cached_property
    def kind(self) -> SodaJobs:
        return soda_jobs(self.settings, self.parts)

    @cached_property
    def bell(self) -> Bell:
        return Bell(self.redis_url)

    @cached_property
    def jobs(self) -> JobService:
        jobs = Jobs(self.parts.engine)
        self.waiting = Waiting(jobs, self.bell, 16)
        return JobService(
            jobs, JobTypes([self.kind]), results_of(self.folder), self.bell, self.waiting, self.settings.jobs
        )

    @cached_property
    def sync(self) -> SyncService:
        parts, sync, cutout = self.parts, self.settings.sync, self.settings.cutout_jobs
        return SyncService(
            parts.catalog,
            parts.source,
            parts.identifiers,
            Limits(sync.max_pixels, sync.max_bytes),
            PixelGate(2, sync.wait_s),
            site_of(self.settings, parts.identifiers),
            heavier=Heavier(
                self.jobs,
                results_of(self.folder),
                Limits(cutout.max_pixels, cutout.max_bytes),
                sync.inline_pixels,
                sync.job_wait_s,
            ),
        )

    @cached_property
    def app(self) -> Flask:
        app = Flask("soda")
        app.register_blueprint(soda_views.make_blueprint(self.sync, self.parts.previews, _base_url))
        app.register_blueprint(
            uws_views.make_blueprint(
                self.jobs,
                "soda",
                _base_url,
                lambda: ANONYMOUS,
                results=results_of(self.folder),
                settings=self.settings.jobs,
            )
        )
        answer_errors(app)
        return app

    def start_worker(self) -> None:
        """Start a worker of both lanes, and wait until it lives."""
        said = json.dumps([str(self.folder), self.redis_url, dict(self.environ)])
        with (self.folder / "worker.log").open("ab") as log:
            self.processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "tests.support.soda_jobs", said],
                    stdout=log,
                    stderr=log,
                    cwd=Path(__file__).parents[2],
                    env=os.environ,
                )
            )

        def lives() -> bool:
            assert all(process.poll() is None for process in self.processes), self.told()
            return Upkeep(self.parts.engine).live_workers("low", 60) >= 1

        until(lives, self.told)

    def told(self) -> str:
        """Say what the workers logged last."""
        return (self.folder / "worker.log").read_text()[-3000:]

    def stop(self) -> None:
        """End everything."""
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(30)
        if "waiting" in vars(self):
            self.waiting.close()
        self.bell.close()
        self.parts.engine.dispose()


@contextmanager
def jobbing(
    folder: Path, redis_url: str, environ: Mapping[str, str] | None = None, *, worker: bool = True
) -> Iterator[JobbingService]:
    """Give a service with jobs, and a worker, until the block ends."""
    write_surveys(folder)
    service = JobbingService(folder, redis_url, environ or {})
    index_all(service.settings)
    try:
        if worker:
            service.start_worker()
        yield service
    finally:
        service.stop()


def until(holds: Callable[[], bool], told: Callable[[], str] = str, patience_s: float = PATIENCE_S) -> None:
    """Wait for something that is bound to happen."""
    end = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < end, f"it did not happen within {patience_s:g} s\n{told()}"
        time.sleep(0.02)


def _base_url() -> str:
    return request.url_root.rstrip("/")


def main(said: str) -> None:
    """Be a worker."""
    folder, redis_url, environ = json.loads(said)
    settings = settings_of(Path(folder), environ)
    parts = assemble(settings)
    results, bell = results_of(Path(folder)), Bell(redis_url)
    types = partial(types_of, Path(folder), environ)
    Worker(parts.engine, types, results, bell, settings.jobs, ("high", "low")).run()


if __name__ == "__main__":
    main(sys.argv[1])
