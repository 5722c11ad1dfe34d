"""The small service with jobs: its application in this process, workers by their real command."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from flask import Flask

from config.app import Parts, assemble, create_app
from config.settings import Settings
from tests.support.service import environ_of, index_all, settings_of, write_surveys
from uws.store.upkeep import Upkeep

PATIENCE_S = 60.0


@dataclass
class JobbingService:
    """A service whose surveys are written and indexed.

    Parameters
    ----------
    folder
        Of its data.
    environ
        Further settings.
    """

    folder: Path
    environ: Mapping[str, str]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @cached_property
    def settings(self) -> Settings:
        return settings_of(self.folder, self.environ)

    @cached_property
    def parts(self) -> Parts:
        """Parts that know no jobs: all cutouts are made inline."""
        return assemble(self.settings)

    @cached_property
    def app(self) -> Flask:
        return create_app(self.settings)

    def start_worker(self) -> None:
        """Start a worker of both lanes, and wait until it lives."""
        with (self.folder / "worker.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", "from config.cli import main; main()", "worker"],
                stdout=log,
                stderr=log,
                env={**os.environ, **environ_of(self.folder, self.environ)},
            )
        self.processes.append(process)

        def lives() -> bool:
            assert process.poll() is None, self.told()
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
        self.parts.engine.dispose()


@contextmanager
def jobbing(
    folder: Path, redis_url: str, environ: Mapping[str, str] | None = None, *, worker: bool = True
) -> Iterator[JobbingService]:
    """Give a service with jobs, and a worker, until the block ends."""
    write_surveys(folder)
    service = JobbingService(folder, {"FOUNTAIN_JOBS__REDIS_URL": redis_url, **(environ or {})})
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
