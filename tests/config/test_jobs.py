"""Jobs put together from settings."""

from __future__ import annotations

import json
import logging
import multiprocessing
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from config.database import make_engine, prepare
from config.jobs import job_types_of
from config.settings import load_settings
from uws.jobtype import JobTypes

DEADLINE_S = 60.0


def be_the_child(pipe: Connection, types: Callable[[], JobTypes]) -> None:
    """Do what a process does that a worker has started, and wait for the kernels."""
    import config.jobs

    config.jobs.WARM_UP_AFTER_S = 0.0
    is_soda = "soda" in types()
    logging.getLogger("uws").warning("a row failed", extra={"row": 7})
    deadline = time.monotonic() + DEADLINE_S
    while "surveys.fits.compressed" not in sys.modules and time.monotonic() < deadline:
        time.sleep(0.01)
    pipe.send((is_soda, "surveys.fits.compressed" in sys.modules))


@pytest.mark.deployment
def test_the_process_of_a_worker_logs_as_it_does_and_has_the_kernels_loaded(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = load_settings({"FOUNTAIN_DATA__FOLDER": str(tmp_path)})
    engine = make_engine(settings.data.engine_url)
    prepare(engine)
    engine.dispose()
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=be_the_child, args=(theirs, job_types_of(settings)))
    process.start()
    assert ours.poll(DEADLINE_S)
    assert ours.recv() == (True, True)
    process.join(DEADLINE_S)
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "a row failed" in line]
    told = json.loads(line)
    assert (told["event"], told["level"], told["row"]) == ("a row failed", "warning", 7)


def test_the_worker_itself_keeps_its_own_log(tmp_path: Path) -> None:
    settings = load_settings({"FOUNTAIN_DATA__FOLDER": str(tmp_path)})
    engine = make_engine(settings.data.engine_url)
    prepare(engine)
    engine.dispose()
    handlers = logging.getLogger().handlers[:]
    assert "soda" in job_types_of(settings)()
    assert logging.getLogger().handlers == handlers
