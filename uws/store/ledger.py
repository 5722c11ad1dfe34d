"""The ledger of a job: read page by page, or from one end to the other, in the order of its rows."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Select, Text, cast, func, or_, select, tuple_

from uws.job import LedgerRow, RowStatus
from uws.store.failures import HAS_FAILED, Failure
from uws.store.inserts import CHUNK, chunks
from uws.store.search import contains
from uws.tables import ResultRow

_STATUSES = {status.value: status for status in RowStatus}
# By their places, not by their names: there are many rows, and names would take half of the time.
_NAMES = [field.name for field in fields(LedgerRow)]
_COLUMNS = [
    cast(ResultRow.facts, Text).label(name) if name == "facts" else getattr(ResultRow, name)
    for name in _NAMES
]
_STATUS, _FACTS = _NAMES.index("status"), _NAMES.index("facts")


class Ledger:
    """What became of the rows of jobs, while they run too.

    Parameters
    ----------
    engine
        Database of the jobs.
    """

    def __init__(self, engine: Engine) -> None:
        self._reading = engine.execution_options(single_reads=True)

    def page(
        self,
        job_id: str,
        after: tuple[int, int] | None = None,
        limit: int = CHUNK,
        verdicts: Collection[str] = (),
        labels: Collection[str] = (),
        rows: range | None = None,
        words: str = "",
    ) -> list[LedgerRow]:
        """Read some rows, in the order of their numbers and of the parts of each.

        Parameters
        ----------
        job_id
            Of the job.
        after
            Number and part of the last row that was read before.
        limit
            At most so many.
        verdicts, labels, rows
            Only those with one of these words, one of these names, or a number of this range; its step is 1.
        words
            Only those that have this in their name, in that of their file, or in what they say; in any case.
        """
        conditions = _conditions(verdicts, labels, rows, words)
        with self._reading.connect() as connection:
            if verdicts or labels or words:
                return _read(connection, job_id, after, limit, conditions)
            # Mostly no row is missing, so the page ends here; without an end a database that does not yet
            # know how large the ledger has become sorts all of it for a page.
            first = after[0] if after is not None else rows.start if rows is not None else 0
            near = [*conditions, ResultRow.row <= first + limit]
            found = _read(connection, job_id, after, limit, near)
            if len(found) < limit and (rows is None or rows.stop > first + limit + 1):
                last = (found[-1].row, found[-1].part) if found else after
                found += _read(connection, job_id, last, limit - len(found), conditions)
            return found

    def stream(
        self,
        job_id: str,
        verdicts: Collection[str] = (),
        labels: Collection[str] = (),
        rows: range | None = None,
        after: tuple[int, int] | None = None,
        words: str = "",
    ) -> Iterator[LedgerRow]:
        """Read all such rows, as `page` does, with as many in memory as one statement gives.

        Rows that are written meanwhile may be missed.
        """
        while page := self.page(job_id, after, CHUNK, verdicts, labels, rows, words):
            yield from page
            if len(page) < CHUNK:
                return
            after = page[-1].row, page[-1].part

    def keys(
        self,
        job_id: str,
        verdicts: Collection[str] = (),
        labels: Collection[str] = (),
        rows: range | None = None,
        words: str = "",
    ) -> list[tuple[int, int]]:
        """Give number and part of all rows that `page` would give."""
        statement = (
            select(ResultRow.row, ResultRow.part)
            .where(ResultRow.job_id == job_id, *_conditions(verdicts, labels, rows, words))
            .order_by(ResultRow.row, ResultRow.part)
        )
        with self._reading.connect() as connection:
            return [(row, part) for row, part in connection.execute(statement)]

    def facts(
        self,
        job_id: str,
        name: str,
        verdicts: Collection[str] = (),
        labels: Collection[str] = (),
        rows: range | None = None,
        words: str = "",
    ) -> list[tuple[int, int, Any]]:
        """Give number and part of all rows that `page` would give, with one of their facts.

        It is a text or a number, as the database has it; None where there is none.
        """
        statement = (
            select(ResultRow.row, ResultRow.part, ResultRow.facts[name].as_string())
            .where(ResultRow.job_id == job_id, *_conditions(verdicts, labels, rows, words))
            .order_by(ResultRow.row, ResultRow.part)
        )
        with self._reading.connect() as connection:
            return [tuple(found) for found in connection.execute(statement)]

    def some(self, job_id: str, keys: Sequence[tuple[int, int]]) -> list[LedgerRow]:
        """Read rows by number and part, in the order of these; those that are not there are left out."""
        found: dict[tuple[int, int], LedgerRow] = {}
        with self._reading.connect() as connection:
            for some in chunks(keys, CHUNK):
                statement = select(*_COLUMNS).where(
                    ResultRow.job_id == job_id, ResultRow.row.in_({row for row, _ in some})
                )
                found |= {(row.row, row.part): row for row in _rows(connection, statement)}
        return [found[key] for key in keys if key in found]

    def failures(self, job_id: str, owner: str, most: int) -> list[Failure]:
        """List rows of a job that failed, the last ones first, `most` of them."""
        statement = (
            select(ResultRow.status, ResultRow.row, ResultRow.label, ResultRow.message, ResultRow.created_ms)
            .where(ResultRow.job_id == job_id, HAS_FAILED)
            .order_by(ResultRow.row.desc(), ResultRow.part.desc())
            .limit(most)
        )
        with self._reading.connect() as connection:
            return [
                Failure("crash" if status == "poison" else "row", job_id, owner, row, label, message, at_ms)
                for status, row, label, message, at_ms in connection.execute(statement)
            ]

    def tally(self, job_id: str) -> Mapping[str, int]:
        """Count the rows by the word for what became of them."""
        statement = (
            select(ResultRow.verdict, func.count())
            .where(ResultRow.job_id == job_id, ResultRow.part == 0)
            .group_by(ResultRow.verdict)
        )
        with self._reading.connect() as connection:
            return {found[0]: found[1] for found in connection.execute(statement)}


def _conditions(
    verdicts: Collection[str], labels: Collection[str], rows: range | None, words: str
) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if verdicts:
        conditions.append(ResultRow.verdict.in_(verdicts))
    if labels:
        conditions.append(ResultRow.label.in_(labels))
    if rows is not None:
        conditions += [ResultRow.row >= rows.start, ResultRow.row < rows.stop]
    if words:
        told = (ResultRow.label, ResultRow.file_name, ResultRow.message)
        conditions.append(or_(*(contains(column, words) for column in told)))
    return conditions


def _read(
    connection: Connection,
    job_id: str,
    after: tuple[int, int] | None,
    limit: int,
    conditions: Sequence[ColumnElement[bool]],
) -> list[LedgerRow]:
    statement = select(*_COLUMNS).where(ResultRow.job_id == job_id, *conditions)
    if after is not None:
        # The first of these is in the second; PostgreSQL counts better by it.
        statement = statement.where(ResultRow.row >= after[0], tuple_(ResultRow.row, ResultRow.part) > after)
    return _rows(connection, statement.order_by(ResultRow.row, ResultRow.part).limit(limit))


def _rows(connection: Connection, statement: Select[Any]) -> list[LedgerRow]:
    found = connection.execute(statement).all()
    # One text is read several times faster than each by itself.
    facts = json.loads(f"[{','.join([row[_FACTS] or '{}' for row in found])}]")
    return [_row_of(row, told) for row, told in zip(found, facts, strict=True)]


def _row_of(found: Sequence[Any], facts: Mapping[str, Any] | None) -> LedgerRow:
    values = list(found)
    values[_STATUS] = _STATUSES[values[_STATUS]]
    values[_FACTS] = facts or {}
    return LedgerRow(*values)
