"""What becomes of a task: from how its work ended to what is written down. Nothing here does anything.

Attempts are counted when a task is claimed. Those that are not the rows' fault (drained, a neighbour crashed,
no space) are taken back; so attempts grow only with faults, and each crash takes one row out of its task: a
row is begun a bounded number of times.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from uws.job import (
    Claim,
    Counts,
    JobError,
    Retry,
    Row,
    RowReport,
    RowStatus,
    Settlement,
    Split,
    ended_by_engine,
)
from uws.jobtype import Ending, JobTypes
from uws.phase import Phase
from uws.settings import JobSettings

#: A row that has brought its process down so often is set aside.
MOST_KILLS = 2


class Left(Enum):
    """Why there are rows of which the child says nothing."""

    NOTHING = "nothing"  # there are none
    DRAIN = "drained"  # it was told to stop
    STORAGE = "storage"  # the results store took no more


class Halt(Enum):
    """Why the worker killed its child."""

    CLAIM = "claim"  # the task is not its own any more, or its job has ended
    ROW_LIMIT = "row limit"
    DRAIN = "drained"  # the row in hand took too long to be waited for


@dataclass(frozen=True, slots=True)
class Answer:
    """What the child says of a task.

    Parameters
    ----------
    reports
        Rows that ended; their files are in the container, which is sealed.
    rss_bytes
        Memory the child holds after it.
    split
        What the splitting of a job came to.
    """

    reports: tuple[RowReport, ...]
    left: Left = Left.NOTHING
    rss_bytes: int = 0
    split: Split | None = None

    @property
    def has_files(self) -> bool:
        """Whether there is a container, or what a split has written."""
        return self.split is not None or any(report.files for report in self.reports)

    def without_files(self) -> Answer:
        """Say the same when the container could not be kept: its rows have not ended."""
        return replace(
            self,
            reports=tuple(report for report in self.reports if not report.files),
            left=Left.STORAGE,
            split=None,
        )


@dataclass(frozen=True, slots=True)
class Died:
    """The child died by itself: of `cause`, with the row of this index in hand, None for no row."""

    row: int | None
    cause: str


@dataclass(frozen=True, slots=True)
class Killed:
    """The worker killed the child, with the row of this index in hand, None for no row."""

    row: int | None
    halt: Halt


Ended = Answer | Died | Killed


def limit_s(claim: Claim, settings: JobSettings) -> float:
    """Tell how long a row of a task may take, in seconds; a split has one, whatever the job has."""
    return settings.split_limit_s if claim.kind == "split" else settings.row_limit_s


def judge(claim: Claim, ended: Ended, settings: JobSettings) -> Settlement:
    """Decide what becomes of the rows of a task that is still in hand."""
    match ended:
        case Answer():
            return _answered(claim, ended, settings)
        case Died(row=None) | Killed(row=None, halt=Halt.ROW_LIMIT):
            return _again(claim, claim.rows, ended, settings)
        case Died(row=int(index), cause=cause):
            guilty = _crashed(claim, claim.rows[index], cause, settings)
            return _alone(claim, index, guilty)
        case Killed(row=int(index), halt=Halt.ROW_LIMIT):
            row = claim.rows[index]
            message = f"Error: {_what(claim)} took longer than the limit of {limit_s(claim, settings):g} s"
            return _alone(claim, index, Settlement((_failed(row, message),)))
        case _:
            return Settlement(retries=(_uncounted(claim, claim.rows, "drained"),))


def give_up(claim: Claim, message: str) -> Settlement:
    """Have every row of a task fail."""
    return Settlement(tuple(_failed(row, message) for row in claim.rows))


def finish_with(types: JobTypes) -> Callable[[str], Callable[[Counts], Ending]]:
    """Have jobs end as their types decide: in ERROR where a type is unknown, or fails at that."""

    def finish_of(name: str) -> Callable[[Counts], Ending]:
        def finish(counts: Counts) -> Ending:
            try:
                return types[name].finish(counts)
            except Exception as error:
                reason = f"Error: the job could not be finished ({type(error).__name__})"
                return Ending(Phase.ERROR, JobError(reason))

        return finish

    return finish_of


def _answered(claim: Claim, answer: Answer, settings: JobSettings) -> Settlement:
    if answer.split is not None:
        return Settlement(split=answer.split)
    may_retry = claim.attempts < settings.max_attempts
    again = {report.n for report in answer.reports if report.transient} if may_retry else set()
    ended = tuple(report for report in answer.reports if report.n not in again)
    said = {report.n for report in answer.reports}
    rest = tuple(row for row in claim.rows if row.n not in said)
    retries = []
    if again:
        rows = tuple(row for row in claim.rows if row.n in again)
        retries.append(Retry(rows, claim.attempts, claim.kills, _back_off(claim, settings), "transient"))
    if rest:
        delay = settings.back_off_s * 2**settings.max_attempts if answer.left is Left.STORAGE else 0.0
        retries.append(replace(_uncounted(claim, rest, answer.left.value), delay_s=delay))
    return Settlement(ended, tuple(retries))


def _again(claim: Claim, rows: tuple[Row, ...], ended: Died | Killed, settings: JobSettings) -> Settlement:
    cause = ended.cause if isinstance(ended, Died) else ended.halt.value
    if claim.attempts >= settings.max_attempts:
        return give_up(claim, f"Error: the program crashed each time this was tried ({cause})")
    return Settlement(retries=(Retry(rows, claim.attempts, claim.kills, _back_off(claim, settings), cause),))


def _crashed(claim: Claim, row: Row, cause: str, settings: JobSettings) -> Settlement:
    kills = claim.kills + 1
    if kills >= MOST_KILLS:
        message = f"Error: {_what(claim, 'this')} made the program crash twice ({cause})"
        return Settlement((ended_by_engine(row, RowStatus.POISON, message),))
    return Settlement(retries=(Retry((row,), claim.attempts - 1, kills, settings.back_off_s, cause),))


def _alone(claim: Claim, index: int, guilty: Settlement) -> Settlement:
    """Settle one row, and have those beside it done again as if nothing had been."""
    others = claim.rows[:index] + claim.rows[index + 1 :]
    if not others:
        return guilty
    return replace(guilty, retries=(_uncounted(claim, others, "a row beside it crashed"), *guilty.retries))


def _uncounted(claim: Claim, rows: tuple[Row, ...], note: str) -> Retry:
    return Retry(rows, claim.attempts - 1, claim.kills, note=note)


def _what(claim: Claim, article: str = "the") -> str:
    return "the splitting of the job" if claim.kind == "split" else f"{article} row"


def _failed(row: Row, message: str) -> RowReport:
    return ended_by_engine(row, RowStatus.FAILED, message)


def _back_off(claim: Claim, settings: JobSettings) -> float:
    return settings.back_off_s * float(2 ** (claim.attempts - 1))
