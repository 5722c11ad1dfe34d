"""What will be destroyed when, and how much room that makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, case, func, select

from dali.clock import now_ms
from uws.phase import Phase
from uws.tables import JobRow

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Amount:
    """Jobs, and the bytes of their results."""

    jobs: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class DueJob:
    """A job that is destroyed soon."""

    job_id: str
    owner: str
    phase: Phase
    run_id: str
    bytes_out: int
    destruction_ms: int


@dataclass(frozen=True, slots=True)
class OwnerShare:
    """What one owner keeps."""

    owner: str
    jobs: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Retention:
    """What is kept, and until when.

    Parameters
    ----------
    now_ms
        By the clock of the jobs.
    kept
        All of it.
    day, week
        Of this, what is destroyed within 24 h, and within 7 days.
    removing
        What was destroyed already, and whose files wait for their removal.
    days
        What is destroyed in each of the next days, the first one beginning now.
    next_jobs
        Those that go first.
    owners
        Those who keep most.
    """

    now_ms: int
    kept: Amount
    day: Amount
    week: Amount
    removing: Amount
    days: tuple[Amount, ...]
    next_jobs: tuple[DueJob, ...]
    owners: tuple[OwnerShare, ...]


class Keeping:
    """What the database has of jobs that are kept.

    Parameters
    ----------
    engine
        Of the jobs.
    """

    def __init__(self, engine: Engine) -> None:
        self._reading = engine.execution_options(single_reads=True)

    def look(self, days: int, most: int) -> Retention:
        """Look ahead so many days; list `most` jobs and owners at most."""
        is_kept = JobRow.gone_ms.is_(None)
        size = (func.count(), func.coalesce(func.sum(JobRow.bytes_out), 0))
        with self._reading.connect() as connection:
            now = now_ms(connection)
            # What is overdue is destroyed within seconds: it counts as due now.
            left = case((JobRow.destruction_ms < now, 0), else_=JobRow.destruction_ms - now)
            day = (left // DAY_MS).label("day")
            by_day = select(day, *size).where(is_kept, JobRow.destruction_ms < now + days * DAY_MS)
            found = {row[0]: Amount(*map(int, row[1:])) for row in connection.execute(by_day.group_by(day))}
            kept = connection.execute(select(*size).where(is_kept)).one()
            removing = connection.execute(select(*size).where(JobRow.gone_ms.is_not(None))).one()
            due = (
                select(
                    JobRow.job_id,
                    JobRow.owner,
                    JobRow.phase,
                    JobRow.run_id,
                    JobRow.bytes_out,
                    JobRow.destruction_ms,
                )
                .where(is_kept, JobRow.hidden.is_(False))
                .order_by(JobRow.destruction_ms, JobRow.job_id)
                .limit(most)
            )
            next_jobs = [DueJob(a, b, Phase(c), d, e, f) for a, b, c, d, e, f in connection.execute(due)]
            whose = select(JobRow.owner, *size).where(is_kept).group_by(JobRow.owner)
            owners = connection.execute(whose.order_by(size[1].desc(), JobRow.owner).limit(most)).all()
        amounts = tuple(found.get(number, Amount()) for number in range(days))
        return Retention(
            now,
            Amount(*map(int, kept)),
            _sum(amounts[:1]),
            _sum(amounts[:7]),
            Amount(*map(int, removing)),
            amounts,
            tuple(next_jobs),
            tuple(OwnerShare(owner, count, int(held)) for owner, count, held in owners),
        )


def _sum(amounts: Sequence[Amount]) -> Amount:
    return Amount(sum(one.jobs for one in amounts), sum(one.bytes for one in amounts))
