"""Phases of a job, and which may follow which (section 2.1.3)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Phase(StrEnum):
    """Execution phase. HELD and SUSPENDED are read but never used: clients take them for failures."""

    PENDING = "PENDING"
    QUEUED = "QUEUED"
    EXECUTING = "EXECUTING"
    COMPLETED = "COMPLETED"
    ERROR = "ERROR"
    ABORTED = "ABORTED"
    UNKNOWN = "UNKNOWN"
    HELD = "HELD"
    SUSPENDED = "SUSPENDED"
    ARCHIVED = "ARCHIVED"


#: Phases in which a job may still change by itself or on request; WAIT blocks only in these.
ACTIVE = frozenset({Phase.PENDING, Phase.QUEUED, Phase.EXECUTING})
#: Phases in which tasks are claimed.
RUNNABLE = frozenset({Phase.QUEUED, Phase.EXECUTING})
#: Phases that never change again; a job is archived by nobody here: at destruction it is forgotten.
TERMINAL = frozenset({Phase.COMPLETED, Phase.ERROR, Phase.ABORTED, Phase.ARCHIVED})

#: What may follow each phase here.
ALLOWED: Mapping[Phase, frozenset[Phase]] = {
    Phase.PENDING: frozenset({Phase.QUEUED, Phase.ABORTED, Phase.ERROR}),
    Phase.QUEUED: frozenset({Phase.EXECUTING, Phase.ABORTED, Phase.ERROR}),
    Phase.EXECUTING: frozenset({Phase.COMPLETED, Phase.ABORTED, Phase.ERROR}),
}


def may_become(phase: Phase, following: Phase) -> bool:
    """Whether a job may go from `phase` to `following`."""
    return following in ALLOWED.get(phase, frozenset())
