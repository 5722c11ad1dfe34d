"""Jobs of one owner, or those that groups share: filtered, and read page by page."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Engine, Text, cast, func, or_, select, tuple_

from uws.job import Job
from uws.phase import Phase
from uws.store.rows import IS_RUNNABLE, job_of
from uws.store.search import has_words, key_of, parse_key
from uws.tables import JobRow

#: All but the parameters, which may be long.
COLUMNS = [column for column in JobRow.__table__.columns if column.name != "parameters"]


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose jobs: those of an owner, unless one of the others is given.

    Parameters
    ----------
    owner
        Name of the account.
    groups
        Those of others that are shared with one of these.
    job_ids
        Those of these names, whoever has them.
    """

    owner: str
    groups: frozenset[str] | None = None
    job_ids: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Sought:
    """Which of them; those meet all of it that are listed.

    Parameters
    ----------
    phases
        One of these; none is any.
    words
        Part of its identifier, its run id or its parameters, in any case.
    after_ms
        Made after this moment.
    """

    phases: frozenset[Phase] = frozenset()
    words: str = ""
    after_ms: int | None = None
    job_type: str | None = None


@dataclass(frozen=True, slots=True)
class JobPage:
    """Jobs without their parameters, the newest first; `after` is the key of the next page, "" for none."""

    jobs: tuple[Job, ...]
    after: str


class Listing:
    """Lists jobs in the database.

    Parameters
    ----------
    engine
        Its database.
    """

    def __init__(self, engine: Engine) -> None:
        self._reading = engine.execution_options(single_reads=True)

    def page(self, whose: Whose, sought: Sought, limit: int, after: str = "") -> JobPage:
        """List jobs from the one on that follows the key `after`.

        Raises
        ------
        UsageError
            If that is no key.
        """
        statement = select(*COLUMNS).where(*_of(whose), *_conditions(sought))
        if after:
            # The first of these is in the second; it is by that the index is read.
            created_ms, job_id = parse_key(after)
            statement = statement.where(
                JobRow.created_ms <= created_ms,
                tuple_(JobRow.created_ms, JobRow.job_id) < (created_ms, job_id),
            )
        statement = statement.order_by(JobRow.created_ms.desc(), JobRow.job_id.desc()).limit(limit + 1)
        with self._reading.connect() as connection:
            found = [brief_of(row._asdict()) for row in connection.execute(statement)]
        last = found[limit - 1] if len(found) > limit else None
        return JobPage(tuple(found[:limit]), "" if last is None else key_of(last.created_ms, last.job_id))

    def phases(self, whose: Whose, job_type: str | None = None) -> Mapping[Phase, int]:
        """Count jobs by phase."""
        statement = (
            select(JobRow.phase, func.count())
            .where(*_of(whose), *_conditions(Sought(job_type=job_type)))
            .group_by(JobRow.phase)
            .order_by(JobRow.phase)
        )
        with self._reading.connect() as connection:
            return {Phase(phase): count for phase, count in connection.execute(statement)}

    def running(self, owner: str) -> int:
        """Count the jobs of an owner that are worked on."""
        statement = (
            select(func.count())
            .select_from(JobRow)
            .where(IS_RUNNABLE, JobRow.phase == Phase.EXECUTING.value, JobRow.owner == owner)
            .where(*_conditions(Sought()))
        )
        with self._reading.connect() as connection:
            return connection.execute(statement).scalar_one()


def brief_of(found: Mapping[str, Any]) -> Job:
    """Read a job of which nothing but the parameters is missing."""
    return job_of({**found, "parameters": ()})


def _of(whose: Whose) -> list[ColumnElement[bool]]:
    if whose.job_ids is not None:
        return [JobRow.job_id.in_(whose.job_ids)]
    if whose.groups is not None:
        return [JobRow.owner != whose.owner, _is_shared_with(whose.groups)]
    return [JobRow.owner == whose.owner]


def _is_shared_with(groups: Collection[str]) -> ColumnElement[bool]:
    """Whether a job is shared with one of some groups.

    Notes
    -----
    The column holds JSON. No name of a group has a comma or a space, and quotes in it are escaped: what comes
    before a name tells where it begins. LIKE would take no notice of case.
    """
    written = cast(JobRow.shared_with, Text)
    names = [json.dumps(group) for group in sorted(groups)]
    marks = [f"{before}{name}" for name in names for before in ("[", ", ")]
    found = or_(*(func.replace(written, mark, "") != written for mark in marks))
    return JobRow.shared_with.is_not(None) & found


def _conditions(sought: Sought) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [JobRow.gone_ms.is_(None), JobRow.hidden.is_(False)]
    if sought.job_type is not None:
        conditions.append(JobRow.type == sought.job_type)
    if sought.phases:
        conditions.append(JobRow.phase.in_([phase.value for phase in sought.phases]))
    if sought.words:
        conditions.append(has_words(sought.words))
    if sought.after_ms is not None:
        conditions.append(JobRow.created_ms > sought.after_ms)
    return conditions
