"""What processes of their own do in tests of the metrics; little is imported, so that they start soon."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from prometheus_client import generate_latest

from config.logs import Answered
from config.metrics import FOLDER, Metrics, share
from vosi.availability import Monitor


def count_here(requests: int) -> tuple[int, str]:
    """Count so many cutouts in this process; give its number, and what it says of all."""
    own = Metrics(Monitor((), 60))
    for _ in range(requests):
        own.request(Answered("GET", "/sync", 200, 2880, 0.01))
    own.waiting.set(1)
    return os.getpid(), generate_latest(own).decode()


def share_here(folder: Path) -> str:
    """Begin to share, and say where."""
    share(folder)
    return os.environ[FOLDER]


def count_without_room() -> str:
    """Count where no file may be as large as it has to be."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    own = Metrics(Monitor((), 60))
    own.request(Answered("GET", "", 404, 10, 0.1))
    return generate_latest(own).decode()
