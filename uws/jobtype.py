"""What a kind of job has to know; the engine knows the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from dali.caller import Caller
from dali.errors import ProtocolError
from dali.parameters import Parameters
from uws.job import Counts, JobError, Lane, Row, RowReport, RowStatus
from uws.phase import Phase


class JobRefused(ProtocolError):
    """A limit forbids that this job is made at all (section 2.2.3.1: 403, and no job is left behind)."""

    label = "UsageError"
    fault_word = "UsageFault"
    status = 403


def _not_here() -> Path:
    raise FileNotFoundError("this upload is fetched when its job is split")


@dataclass(frozen=True, slots=True)
class UploadSource:
    """A file that is uploaded with a job, for a job type to read.

    Parameters
    ----------
    name
        As UPLOAD calls it, in lower case: `targets` of ``UPLOAD=targets,param:t``.
    file_name
        As the client calls it, or the last segment of its URL; "" if that is unknown.
    size
        Bytes; 0 while that is unknown.
    url
        Where it is fetched from; "" if it came with the job. Before its job is split such a file is not here.
    locate
        Has it at hand as a file of this machine.
    """

    name: str
    file_name: str
    media_type: str
    size: int
    url: str = ""
    locate: Callable[[], Path] = _not_here

    def path(self) -> Path:
        """Path of the file, which is only to be read, and stays as long as what it was given for lasts.

        Raises
        ------
        OSError
            If it cannot be had now, or is at `url` and the job is not being split.
        """
        return self.locate()


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
    split
        If the tasks are to be made by a worker: what `JobType.split` wants to know, as `Work.common`; JSON.
        `tasks` is empty then, and `lane` is that of the tasks to come.
    total_rows
        Number of rows where it is known before the split.
    packaged
        The results are a package (ledger, archive), and not one result of the job for each row.
    estimate
        What is expected of the job, kept with it; JSON.
    sources
        What its pixels are of, in words of the job type: who may not read that may not have the results.
    size
        Bytes of its results, as far as that can be said; 0 where rows say it, or nobody can.
    """

    tasks: Sequence[Sequence[Row]]
    lane: Lane
    seconds: float
    split: Mapping[str, Any] | None = None
    total_rows: int | None = None
    packaged: bool = False
    estimate: Mapping[str, Any] | None = None
    sources: tuple[str, ...] = ()
    size: int = 0

    @property
    def total(self) -> int:
        """Number of rows, 0 while it is unknown."""
        return self.total_rows or sum(len(rows) for rows in self.tasks)

    @property
    def has_work(self) -> bool:
        """Whether there is anything to do."""
        return self.split is not None or any(self.tasks)


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """A task that a split makes.

    Parameters
    ----------
    rows
        What it does, in this order.
    common
        What `JobType.run` wants to know of all of them, as `Work.common`; JSON.
    kind
        Light rows are done with less memory (``jobs.light_memory_bytes``).
    """

    rows: tuple[Row, ...]
    common: Mapping[str, Any] = field(default_factory=dict)
    kind: Literal["light", "heavy"] = "heavy"

    @property
    def row_count(self) -> int:
        """Number of its rows."""
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class Expansion:
    """What a split comes to; both iterables are taken once, and may be generators.

    Parameters
    ----------
    tasks
        Tasks of the rows to be done; tasks are claimed in the order of the number of their first row.
    ended
        Rows of which nothing is to be done: refused ones, and those without overlap.
    total
        Number of rows, of both: they are numbered from 0 without a gap.
    seconds
        How long the tasks would take one worker; None leaves what was said before.
    sources
        As a `JobPlan` has them.
    """

    tasks: Iterable[TaskPlan]
    ended: Iterable[RowReport]
    total: int
    seconds: float | None = None
    sources: tuple[str, ...] = ()


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

    The message begins with a label of DALI.

    Parameters
    ----------
    transient
        The reason may pass, so the row may be tried again.
    verdict
        The job type's own word for what became of the row; "" is that of `status`.
    label
        The user's name of the row.
    facts
        What the ledger is to tell of it; JSON, without numbers that are not finite.
    """

    status: RowStatus
    files: tuple[File, ...] = ()
    message: str = ""
    transient: bool = False
    verdict: str = ""
    label: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Work:
    """Rows to be done, and of which job.

    Parameters
    ----------
    rows
        () for a split.
    common
        What its `TaskPlan`, or for a split its `JobPlan`, says of all rows.
    uploads
        By `UploadSource.name`, for a split alone.
    parameters
        Of the job, for a split alone.
    actor
        The service that made the job for its owner, "" for none.
    """

    job_id: str
    owner: str
    rows: tuple[Row, ...]
    common: Mapping[str, Any] = field(default_factory=dict)
    uploads: Mapping[str, UploadSource] = field(default_factory=dict)
    parameters: Parameters = field(default_factory=lambda: Parameters({}))
    actor: str = ""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a job ends whose rows have all ended: COMPLETED, or ERROR and why.

    Parameters
    ----------
    as_row
        Its one row says why, and the job in the same words; `error` is for a row that says nothing.
    """

    phase: Phase = Phase.COMPLETED
    error: JobError | None = None
    as_row: bool = False


class JobType(Protocol):
    """A kind of job.

    `parse` and `plan` run in the web server, `split` and `run` in a process of its own, `finish` in a worker.
    """

    @property
    def name(self) -> str:
        """Short and lower case; stored with each job."""

    @property
    def takes_uploads(self) -> bool:
        """Whether files may be sent with a job; else UPLOAD is refused."""

    def describe(self) -> Mapping[str, Any]:
        """JSON Schema of its parameters."""

    def parse(self, parameters: Parameters, caller: Caller, uploads: Mapping[str, UploadSource] = {}) -> Any:
        """Make a request of what a client sent; files are in `uploads` by their names in UPLOAD.

        Raises
        ------
        ProtocolError
            If a value is wrong: the job stays PENDING until it is mended, and ends in ERROR if it is run.
        JobRefused
            If a limit forbids that the job is made.
        """

    def plan(self, request: Any) -> JobPlan:
        """Decide what a request comes to, without doing it; raises what `parse` raises."""

    def split(self, work: Work) -> Expansion:
        """Make the tasks of a job whose plan has a `split`; others never ask for it.

        It is stopped by drain or by force between two things it yields, and done again from the start.

        Raises
        ------
        ProtocolError
            The job ends in ERROR with it; a `ServiceUnavailable` is tried again first.
        """

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
