"""Parts of a worker that end its process, or hang, at a moment of the test's choosing.

The moments: `claimed`, between the claim of a task and its work; `published`, when its container is there,
but nothing is committed; `committed`, before anybody is told; `hangs`, while the container is being
published.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from pathlib import Path

from uws.bell import Bell
from uws.job import Claim, RowReport
from uws.phase import TERMINAL, Phase
from uws.results import ResultStore


def die() -> None:
    """End without a word."""
    os.kill(os.getpid(), signal.SIGKILL)


class DyingResults(ResultStore):
    """A results store that is not left alive at `moment`."""

    moment = ""

    def spool(self, claim: Claim) -> Path:
        if self.moment == "claimed":
            die()
        return super().spool(claim)

    def publish(self, claim: Claim, path: Path, reports: Sequence[RowReport]) -> tuple[RowReport, ...]:
        if self.moment == "hangs":
            threading.Event().wait()
        published = super().publish(claim, path, reports)
        if self.moment == "published":
            die()
        return published


class DyingBell(Bell):
    """A bell whose ringer dies when he is to tell that a job has ended, if that is the `moment`."""

    moment = ""

    def tell(self, job_id: str, phase: Phase) -> None:
        if self.moment == "committed" and phase in TERMINAL:
            die()
        super().tell(job_id, phase)
