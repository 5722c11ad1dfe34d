"""The ledger of a job: read page by page, or from one end to the other, in the order of its rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from sqlalchemy import ColumnElement, Engine, func, select, tuple_

from uws.job import LedgerRow
from uws.store.jobs import CHUNK
from uws.store.rows import ledger_row_of
from uws.tables import ResultRow


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
        conditions: list[ColumnElement[bool]] = [ResultRow.job_id == job_id]
        if after is not None:
            conditions.append(tuple_(ResultRow.row, ResultRow.part) > after)
        if verdicts:
            conditions.append(ResultRow.verdict.in_(verdicts))
        if labels:
            conditions.append(ResultRow.label.in_(labels))
        if rows is not None:
            conditions += [ResultRow.row >= rows.start, ResultRow.row < rows.stop]
        statement = (
            select(*ResultRow.__table__.columns)
            .where(*conditions)
            .order_by(ResultRow.row, ResultRow.part)
            .limit(limit)
        )
        with self._reading.connect() as connection:
            return [ledger_row_of(found) for found in connection.execute(statement).mappings()]

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
