"""What a kind of job has to know; the engine knows the rest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dali.errors import ProtocolError
from dali.parameters import Parameters
from uws.job import Caller, Counts, JobError, Lane, Row, RowStatus
from uws.phase import Phase


class JobRefused(ProtocolError):
    """A limit forbids that this job is made at all (section 2.2.3.1: 403, and no job is left behind)."""

    label = "UsageError"
    fault_word = "UsageFault"
    status = 403


@dataclass(frozen=True, slots=True)
class JobPlan:
    """What a job comes to.

    Parameters
    ----------
    tasks
        Rows of each task: at most about two seconds and 256 MB of work. Rows are numbered from 0 without a
        gap.
    lane
        Small and real-time work is `high`.
    seconds
        How long it would take one worker.
    """

    tasks: Sequence[Sequence[Row]]
    lane: Lane
    seconds: float

    @property
    def total(self) -> int:
        """Number of rows."""
        return sum(len(rows) for rows in self.tasks)


@dataclass(frozen=True, slots=True)
class File:
    """A file that a row gives; its chunks are taken once."""

    result_id: str
    file_name: str
    media_type: str
    chunks: Iterable[bytes]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a row: files if `status` is DONE, else a sentence that stands for them.

    The message begins with a label of DALI. `transient`: the reason may pass, so the row may be tried again.
    """

    status: RowStatus
    files: tuple[File, ...] = ()
    message: str = ""
    transient: bool = False


@dataclass(frozen=True, slots=True)
class Work:
    """Rows to be done, and of which job."""

    job_id: str
    owner: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a job ends whose rows have all ended: COMPLETED, or ERROR and why."""

    phase: Phase = Phase.COMPLETED
    error: JobError | None = None


class JobType(Protocol):
    """A kind of job.

    `parse` and `plan` run in the web server, `run` in a process of its own, `finish` in a worker.
    """

    @property
    def name(self) -> str:
        """Short and lower case; stored with each job."""

    def describe(self) -> Mapping[str, Any]:
        """JSON Schema of its parameters."""

    def parse(self, parameters: Parameters, caller: Caller) -> Any:
        """Make a request of what a client sent.

        Raises
        ------
        ProtocolError
            If a value is wrong: the job stays PENDING until it is mended, and ends in ERROR if it is run.
        JobRefused
            If a limit forbids that the job is made.
        """

    def plan(self, request: Any) -> JobPlan:
        """Decide what a request comes to, without doing it; raises what `parse` raises."""

    def run(self, work: Work) -> Iterator[Outcome]:
        """Do the rows, one outcome for each, in their order.

        It may be stopped after any row, by drain, or with its process, by force: the next row is begun when
        its outcome is asked for. An exception ends the row in hand as failed, and the work goes on with the
        rows after it, in a new call.
        """

    def finish(self, counts: Counts) -> Ending:
        """Decide how a job ends of whose rows this became; does no work."""


class JobTypes:
    """The job types there are, by name."""

    def __init__(self, types: Iterable[JobType]) -> None:
        self._types = {kind.name: kind for kind in types}

    def __getitem__(self, name: str) -> JobType:
        return self._types[name]

    def __contains__(self, name: str) -> bool:
        return name in self._types
