"""The ledger of a job: read page by page, or from one end to the other, in the order of its rows."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Text, cast, func, select, tuple_

from uws.job import LedgerRow, RowStatus
from uws.store.inserts import CHUNK
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
        """
        conditions: list[ColumnElement[bool]] = []
        if verdicts:
            conditions.append(ResultRow.verdict.in_(verdicts))
        if labels:
            conditions.append(ResultRow.label.in_(labels))
        if rows is not None:
            conditions += [ResultRow.row >= rows.start, ResultRow.row < rows.stop]
        with self._reading.connect() as connection:
            if verdicts or labels:
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
    ) -> Iterator[LedgerRow]:
        """Read all such rows, as `page` does, with as many in memory as one statement gives.

        Rows that are written meanwhile may be missed.
        """
        while page := self.page(job_id, after, CHUNK, verdicts, labels, rows):
            yield from page
            if len(page) < CHUNK:
                return
            after = page[-1].row, page[-1].part

    def tally(self, job_id: str) -> Mapping[str, int]:
        """Count the rows by the word for what became of them."""
        statement = (
            select(ResultRow.verdict, func.count())
            .where(ResultRow.job_id == job_id, ResultRow.part == 0)
            .group_by(ResultRow.verdict)
        )
        with self._reading.connect() as connection:
            return {found[0]: found[1] for found in connection.execute(statement)}


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
    statement = statement.order_by(ResultRow.row, ResultRow.part).limit(limit)
    found = connection.execute(statement).all()
    # One text is read several times faster than each by itself.
    facts = json.loads(f"[{','.join([row[_FACTS] or '{}' for row in found])}]")
    return [_row_of(row, told) for row, told in zip(found, facts, strict=True)]


def _row_of(found: Sequence[Any], facts: Mapping[str, Any] | None) -> LedgerRow:
    values = list(found)
    values[_STATUS] = _STATUSES[values[_STATUS]]
    values[_FACTS] = facts or {}
    return LedgerRow(*values)
