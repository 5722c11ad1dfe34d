"""Values: jobs, their rows and their results, as the store gives them. All are frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, NamedTuple

from dali.errors import ProtocolError, ServiceUnavailable
from uws.phase import Phase

#: Small and real-time work, and everything else: the names of the queues.
Lane = Literal["high", "low"]
LANES: tuple[Lane, ...] = ("high", "low")
#: What a task is: it makes the tasks of its job, or does rows that need little memory, or rows of any kind.
TaskKind = Literal["split", "light", "heavy"]


class RowStatus(StrEnum):
    """What became of a row."""

    DONE = "done"  # files were made
    EMPTY = "empty"  # nothing to make: no overlap
    FAILED = "failed"  # with a reason
    POISON = "poison"  # set aside: it brought its process down


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter as it was sent; its name in upper case."""

    name: str
    value: str
    by_reference: bool = False


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that came with a job.

    Parameters
    ----------
    name
        Of the part it came in, in upper case as parameters are.
    file_name
        As the client calls it, "" if it does not.
    stored
        Object of the results store: ``<job_id>/upload-<n>``, of this job or of the one it was retried from.
    """

    name: str
    file_name: str
    media_type: str
    size: int
    sha256: str
    stored: str


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job is in ERROR, or would be (sections 2.1.7 and 2.2.2.5).

    Parameters
    ----------
    message
        One line, which begins with the label of DALI.
    detail
        More lines for ``/error``; "" where there is no more to say.
    transient
        Whether trying again may help.
    """

    message: str
    detail: str = ""
    transient: bool = False

    @classmethod
    def of(cls, fault: ProtocolError) -> JobError:
        """Say what sync would say."""
        lines = [fault.fix, *(f"Also: {other.sentence} {other.fix}".rstrip() for other in fault.also)]
        return cls(
            f"{fault.label}: {fault.sentence}",
            "\n".join(line for line in lines if line),
            isinstance(fault, ServiceUnavailable),
        )


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows of a job by what became of them; `total` is 0 before it is run."""

    total: int = 0
    done: int = 0
    empty: int = 0
    failed: int = 0
    poison: int = 0

    @property
    def ended(self) -> int:
        """Rows of which something became."""
        return self.done + self.empty + self.failed + self.poison


@dataclass(frozen=True, slots=True)
class Job:
    """A job, without its results. Moments are milliseconds since 1970.

    Parameters
    ----------
    fault
        What is wrong with the parameters of a job in PENDING.
    error
        Why it ended in ERROR, or what ended it in ABORTED.
    seconds
        How long the work is expected to take, None while that is unknown.
    event_seq
        Number of the last event; it grows with every change.
    packaged
        Its results are a package, and not one result for each row.
    parent_id
        The job that this one was retried from; "" for others.
    estimate
        What was expected of it when it was made; JSON.
    actor
        Service that made it for its owner.
    rank, share, parallel
        What it is entitled to: see `uws.tables.JobRow`.
    shared_with
        Groups that may see it.
    sources
        What its pixels are of, in the words of its type.
    notify
        Who is told what becomes of it; JSON.
    link_sha256, link_until_ms
        Hash of the key of its link, "" without one; and until when that lasts.
    """

    job_id: str
    type: str
    owner: str
    phase: Phase
    run_id: str
    lane: Lane
    hidden: bool
    created_ms: int
    started_ms: int | None
    ended_ms: int | None
    destruction_ms: int
    quote_ms: int | None
    execution_duration_s: int
    parameters: tuple[Parameter, ...]
    fault: JobError | None
    error: JobError | None
    counts: Counts
    bytes_out: int
    seconds: float | None
    event_seq: int
    packaged: bool = False
    parent_id: str = ""
    estimate: Mapping[str, Any] | None = None
    queued_ms: int | None = None
    actor: str = ""
    rank: int = 0
    share: float = 1.0
    parallel: int = 0
    shared_with: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    notify: Mapping[str, Any] | None = None
    link_sha256: str = ""
    link_until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class JobRef:
    """A job in the list."""

    job_id: str
    phase: Phase
    run_id: str
    owner: str
    created_ms: int


@dataclass(frozen=True, slots=True)
class Result:
    """A file of a job, or the sentence that stands for one.

    Parameters
    ----------
    row
        Row of the job it is of; `part` counts the files of a row.
    message
        What a row without a file has to say: the content of its result.
    container, offset, size, crc32, sha256
        Where its bytes lie: in which object of the results store, from where, and how many; "" and 0 for
        a message.
    visibility, approval, hold_until_ms
        Who may see it once it is published, whether that was approved, and until when it is held back.
    """

    result_id: str
    row: int
    part: int
    status: RowStatus
    message: str
    media_type: str
    file_name: str
    container: str
    offset: int
    size: int
    crc32: int
    sha256: str
    visibility: str = "owner"
    approval: str = ""
    hold_until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class LedgerRow(Result):
    """A result with what the ledger tells beyond it.

    Parameters
    ----------
    label
        The user's name of the row.
    verdict
        The job type's own word for what became of it, or that of `status`.
    facts
        JSON of the job type.
    attempts
        How often its task was begun; 0 for a row of which something became in the splitting.
    seconds
        How long the last attempt at the row took.
    """

    label: str = ""
    verdict: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    attempts: int = 1
    seconds: float = 0.0


class ResultRef(NamedTuple):
    """A result in the list; a tuple, as jobs have thousands. `size` is None where it is not known yet."""

    result_id: str
    media_type: str
    size: int | None


@dataclass(frozen=True, slots=True)
class Row:
    """A unit of work of a task.

    Parameters
    ----------
    n
        Its number in the job, from 0: results are listed in this order.
    result_id
        Of its result, if it has but one file or none.
    payload
        What the job type wants to know; JSON. Where the job type cannot say what became of the row, as it
        failed or crashed, the ledger has the `label`, a text, and the `facts`, an object, of the payload.
    """

    n: int
    result_id: str
    payload: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Claim:
    """A task in hand: nothing about it is written without its `fence`.

    Parameters
    ----------
    kills
        How often its only row has brought a process down.
    started
        Whether its job began to execute with this claim.
    kind
        A task of kind `split` has one row, which stands for the splitting.
    common
        What the job type wants to know of all rows; for a split, `JobPlan.split`.
    parameters, uploads
        Of the job, for a split alone.
    rank, actor
        Of the job.
    """

    task_id: int
    job_id: str
    job_type: str
    owner: str
    lane: Lane
    worker_id: str
    fence: int
    attempts: int
    kills: int
    rows: tuple[Row, ...]
    started: bool = False
    kind: TaskKind = "heavy"
    common: Mapping[str, Any] = field(default_factory=dict)
    parameters: tuple[Parameter, ...] = ()
    uploads: tuple[Upload, ...] = ()
    rank: int = 0
    actor: str = ""


@dataclass(frozen=True, slots=True)
class Stored:
    """A file inside a container, as its writer knows it.

    `container` names the object of the results store, once it is there.
    """

    result_id: str
    file_name: str
    media_type: str
    offset: int
    size: int
    crc32: int
    sha256: str
    container: str = ""


@dataclass(frozen=True, slots=True)
class RowReport:
    """What became of a row: its files, or the sentence that stands for them.

    Parameters
    ----------
    transient
        It failed for a reason that may pass, and is tried again as long as its task may be.
    verdict
        The job type's own word for it; "" is that of `status`.
    label
        The user's name of the row.
    facts
        What the ledger tells of it: JSON, or the text of it, which is written once and copied from then on.
    seconds
        How long it took.
    detail
        More lines, of a splitting that failed: they become those of the error of its job.
    """

    n: int
    result_id: str
    status: RowStatus
    message: str = ""
    files: tuple[Stored, ...] = ()
    transient: bool = False
    verdict: str = ""
    label: str = ""
    facts: Mapping[str, Any] | str = field(default_factory=dict)
    seconds: float = 0.0
    detail: str = ""


def ended_by_engine(row: Row, status: RowStatus, message: str) -> RowReport:
    """Report a row of which the job type does not say what became of it: its payload says whose it is."""
    label, facts = row.payload.get("label"), row.payload.get("facts")
    return RowReport(
        row.n,
        row.result_id,
        status,
        message,
        label=label if isinstance(label, str) else "",
        facts=facts if isinstance(facts, Mapping) else {},
    )


@dataclass(frozen=True, slots=True)
class Retry:
    """Rows of a task that are to be done again, as a task of their own.

    Parameters
    ----------
    attempts, kills
        What is held against it from the start.
    delay_s
        Not before so many seconds.
    note
        Why, for those who look after the service.
    """

    rows: tuple[Row, ...]
    attempts: int = 0
    kills: int = 0
    delay_s: float = 0.0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Split:
    """What a split came to, as `uws.splitting` has written it.

    Parameters
    ----------
    folder
        Where it is written.
    total
        Rows of the job.
    tasks
        How many tasks there are.
    ended
        Rows of which nothing is to be done, by the value of their status.
    seconds
        How long the tasks would take one worker; None leaves what was said before.
    sources
        What pixels will be of.
    """

    folder: Path
    total: int
    tasks: int
    ended: Mapping[str, int]
    seconds: float | None
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Settlement:
    """What becomes of a claimed task: rows that ended, and rows that are to be done again.

    Of a split: what it came to; or the report of its only row, with which the job ends in ERROR.
    """

    reports: tuple[RowReport, ...] = ()
    retries: tuple[Retry, ...] = ()
    split: Split | None = None


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job about to be stored; it is run at once if it has a plan or an error, else PENDING.

    `estimate`: what is expected of it, as JSON; the quote is its `p90_s`, in seconds from now. `actor`: the
    service that makes it for its owner. `rank`, `share`: what its owner is entitled to. `parallel`: so many
    of its tasks run at a time at most. `shared_with`: groups that may see it. `notify`: who is told what
    becomes of it.
    """

    job_id: str
    type: str
    owner: str
    run_id: str
    parameters: tuple[Parameter, ...]
    execution_duration_s: int
    destruction_s: int
    hidden: bool = False
    fault: JobError | None = None
    seconds: float | None = None
    uploads: tuple[Upload, ...] = ()
    estimate: Mapping[str, Any] | None = None
    actor: str = ""
    rank: int = 0
    share: float = 1.0
    parallel: int = 0
    shared_with: tuple[str, ...] = ()
    notify: Mapping[str, Any] | None = None
