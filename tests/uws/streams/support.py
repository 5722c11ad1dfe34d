"""Jobs of tests of streams."""

from __future__ import annotations

from uws.job import Counts, Job
from uws.phase import Phase
from uws.store.changes import Changed


def changed(name: str, seq: int, at_ms: int) -> Changed:
    """A job whose last event is this one."""
    job = Job(
        job_id=name,
        type="toy",
        owner="ann",
        phase=Phase.EXECUTING,
        run_id="",
        lane="low",
        hidden=False,
        created_ms=0,
        started_ms=None,
        ended_ms=None,
        destruction_ms=0,
        quote_ms=None,
        execution_duration_s=0,
        parameters=(),
        fault=None,
        error=None,
        counts=Counts(),
        bytes_out=0,
        seconds=None,
        event_seq=seq,
    )
    return Changed(job, False, at_ms)
