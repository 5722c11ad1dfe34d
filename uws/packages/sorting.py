"""Sorts the rows of a job by a column of its ledger, or of the table that was sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dali.errors import NotFound, ServiceUnavailable, UsageError, quoted
from uws.job import Job, LedgerRow, Upload
from uws.packages.asked import SENT, Selection, Sorting
from uws.packages.orders import Key, Order, Orders, in_order
from uws.packages.package import Column, Fact, Package, SentTable, entries_of
from uws.params import gathered
from uws.results import ResultStore, StorageError
from uws.store.ledger import Ledger
from uws.uploads import UPLOAD, parse_uploads

RETRY_AFTER_S = 10
_MOST_TOLD = 60
_NUMBERS = ("short", "int", "long", "float", "double")
#: Tables whose columns are remembered.
_MOST_NAMED = 200


class Sorter:
    """Puts rows in order.

    Parameters
    ----------
    ledger
        Has them.
    results
        Has the tables that were sent.
    tables
        Reads these, by job type.
    uploads
        Gives the files that came with a job.
    """

    def __init__(
        self,
        ledger: Ledger,
        results: ResultStore,
        tables: Mapping[str, SentTable],
        uploads: Callable[[str], Sequence[Upload]],
    ) -> None:
        self._ledger = ledger
        self._results = results
        self._tables = tables
        self._uploads = uploads
        self._orders = Orders()
        self._named: dict[str, Sequence[str]] = {}

    def order(
        self,
        job: Job,
        package: Package,
        selection: Selection,
        rows: range | None,
        sorting: Sorting | None,
        having: Key | None = None,
    ) -> Order:
        """Give the order of some rows.

        Parameters
        ----------
        rows
            Those of the ledger that the selection comes to.
        having
            A row that is among them.

        Raises
        ------
        UsageError
            If there is no such column.
        NotFound, ServiceUnavailable
            If the table that was sent is gone, or cannot be read now; or if too many want orders now.
        """
        chosen = selection.statuses, selection.labels, rows, selection.words
        make = partial(self._make, job, package, chosen, sorting)
        state = job.phase, job.counts.ended
        return self._orders.of(job.job_id, (selection, sorting), state, make, having)

    def sent_columns(self, job: Job) -> Sequence[str]:
        """Name the columns of the table that was sent; none where there is none, or it cannot be read."""
        table, upload = self._table(job)
        if table is None or upload is None:
            return ()
        if (known := self._named.get(upload.stored)) is not None:
            return known
        try:
            with self._at_hand(upload) as path:
                named = table.columns(path, upload)
        except (NotFound, ServiceUnavailable):
            return ()
        while len(self._named) >= _MOST_NAMED:
            self._named.pop(next(iter(self._named)), None)
        self._named[upload.stored] = named
        return named

    def _make(self, job: Job, package: Package, chosen: tuple[Any, ...], sorting: Sorting | None) -> Order:
        statuses, labels, rows, words = chosen
        if sorting is None:
            return in_order(self._ledger.keys(job.job_id, statuses, labels, rows, words))
        column = _column(package, sorting.column)
        if column is not None and isinstance(column.value, Fact):
            found = self._ledger.facts(job.job_id, column.value.name, *chosen)
            values = _as_numbers([value for _, _, value in found], column)
        elif column is not None:
            found = [
                (row.row, row.part, _told(package, column, row))
                for row in self._ledger.stream(job.job_id, statuses, labels, rows, words=words)
            ]
            values = [value for _, _, value in found]
        else:
            sent = self._sent(job, package, sorting.column)
            found = self._table_rows(job, package, chosen)
            values = [_at(sent, int(number or 0) - 1) for _, _, number in found]
        keys = [(row, part) for row, part, _ in found]
        return in_order(keys, values, descending=sorting.is_descending)

    def _table_rows(self, job: Job, package: Package, chosen: tuple[Any, ...]) -> list[tuple[int, int, Any]]:
        """Give number and part of rows, and which row of the table that was sent they are of."""
        if package.row_fact:
            return self._ledger.facts(job.job_id, package.row_fact, *chosen)
        statuses, labels, rows, words = chosen
        found = self._ledger.stream(job.job_id, statuses, labels, rows, words=words)
        return [(row.row, row.part, package.table_row(row)) for row in found]

    def _sent(self, job: Job, package: Package, name: str) -> Sequence[Any]:
        """Give the values of a column of the table that was sent, row by row."""
        names = self.sent_columns(job)
        place = _find(name[len(SENT) :] if name.lower().startswith(SENT) else name, names)
        if place is None:
            known = [*(column.name for column in package.columns), *names]
            more = f" and {len(known) - _MOST_TOLD} more" if len(known) > _MOST_TOLD else ""
            raise UsageError(
                f"SORT is a column of the ledger or of the table that was sent; got {quoted(name)}",
                f"Columns: {', '.join(quoted(one)[1:-1] for one in known[:_MOST_TOLD])}{more}.",
            )
        return self._read(job, place)

    def _read(self, job: Job, place: int) -> Sequence[Any]:
        table, upload = self._table(job)
        if table is None or upload is None:
            return ()
        with self._at_hand(upload) as path:
            return table.values(path, upload, place)

    def _table(self, job: Job) -> tuple[SentTable | None, Upload | None]:
        table = self._tables.get(job.type)
        if table is None or not (named := gathered(job.parameters).all(UPLOAD)):
            return None, None
        parts = {one.part for one in parse_uploads(named) if one.name == table.name}
        found = (upload for upload in self._uploads(job.job_id) if upload.name in parts)
        return table, next(found, None)

    @contextmanager
    def _at_hand(self, upload: Upload) -> Iterator[Path]:
        """Have an upload as a file of this machine."""
        try:
            if (path := self._results.local_upload(upload.stored)) is not None:
                if not path.is_file():
                    raise NotFound("the table that was sent is no longer stored")
                yield path
                return
            with TemporaryDirectory(dir=self._results.incoming()) as folder:
                yield self._results.fetch_upload(upload, Path(folder) / "table")
        except FileNotFoundError as fault:
            raise NotFound("the table that was sent is no longer stored") from fault
        except StorageError as fault:
            raise ServiceUnavailable(
                "the table that was sent cannot be read now",
                "Try again a little later.",
                retry_after_s=RETRY_AFTER_S,
            ) from fault


def _column(package: Package, name: str) -> Column | None:
    """Find a column of the ledger."""
    return next((column for column in package.columns if column.name == name.lower()), None)


def _as_numbers(values: list[Any], column: Column) -> list[Any]:
    """Give facts as the column has them: some databases give all of them as texts."""
    if column.datatype not in _NUMBERS:
        return values
    return [float(value) if isinstance(value, str) and value else value for value in values]


def _told(package: Package, column: Column, row: LedgerRow) -> Any:
    (entry,) = entries_of(package, "", [row])
    return column.value(entry)


def _find(name: str, names: Sequence[str]) -> int | None:
    """Find a column by its name, to the letter or else in any case."""
    if name in names:
        return list(names).index(name)
    lower = [one.lower() for one in names]
    return lower.index(name.lower()) if name.lower() in lower else None


def _at(values: Sequence[Any], place: int) -> Any:
    return values[place] if 0 <= place < len(values) else None
