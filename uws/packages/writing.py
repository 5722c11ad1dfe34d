"""The tables of a package, all of them written in one pass over the rows of a job.

Cells are formatted once, column by column (`uws.packages.texts`): CSV and VOTable have the same texts.
"""

from __future__ import annotations

import csv
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from urllib.parse import quote

from dali.votable import OK, votable_chunks
from uws.job import Job, LedgerRow, RowStatus
from uws.packages.names import Names
from uws.packages.package import ERROR_CODE, ERROR_MESSAGE, STATUS, Column, Entry, Package, status_of
from uws.packages.texts import Texts, csv_cells, xml_cells
from uws.store.inserts import chunks

MANIFEST_CSV = "manifest.csv"
MANIFEST_VOT = "manifest.vot"
FAILED_CSV = "failed.csv"
ERRORS_CSV = "errors.csv"
REGIONS = "regions.reg"

_ROWS_AT_ONCE = 500
_FAILED = (RowStatus.FAILED, RowStatus.POISON)
_END = "</TABLEDATA>"


@dataclass(slots=True)
class Files:
    """The files of a package, in columns: whole rows would take a hundred times the memory."""

    paths: list[str] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)
    sources: array[int] = field(default_factory=lambda: array("i"))
    offsets: array[int] = field(default_factory=lambda: array("q"))
    sizes: array[int] = field(default_factory=lambda: array("q"))
    crc32s: array[int] = field(default_factory=lambda: array("I"))
    sha256s: bytearray = field(default_factory=bytearray)

    def add(self, path: str, row: LedgerRow) -> None:
        """Add the file of a row."""
        self.paths.append(path)
        self.sources.append(self.places.setdefault(row.container, len(self.places)))
        self.offsets.append(row.offset)
        self.sizes.append(row.size)
        self.crc32s.append(row.crc32)
        self.sha256s += bytes.fromhex(row.sha256)


@dataclass(slots=True)
class Written:
    """What the rows came to: how many of each status, how many that failed, and the files."""

    counts: Counter[str] = field(default_factory=Counter)
    failed: int = 0
    files: Files = field(default_factory=Files)

    def add(self, entries: Iterable[Entry]) -> None:
        """Count rows, and add their files."""
        for entry in entries:
            self.counts[status_of(entry.row)] += 1
            self.failed += entry.row.status in _FAILED
            if entry.path:
                self.files.add(entry.path, entry.row)


def write_tables(
    folder: Path, package: Package, job: Job, job_url: str, rows: Iterable[LedgerRow]
) -> Written:
    """Write all tables of a package into a folder.

    Parameters
    ----------
    folder
        Where they are written.
    package, job
        Whose rows they are, and how these are told.
    job_url
        URL of the job.
    rows
        In their order.
    """
    written, names, base = Written(), Names(), f"{job_url}/results/"
    with ExitStack() as stack:

        def file(name: str) -> IO[str]:
            made = open(folder / name, "w", encoding="utf-8", errors="replace", newline="")  # noqa: SIM115
            return stack.enter_context(made)

        manifest = _Manifest(file(MANIFEST_CSV), file(MANIFEST_VOT), package, job)
        failed = _Csv(file(FAILED_CSV), Texts([*package.failed_columns, *package.failed_settings]))
        errors = _Csv(file(ERRORS_CSV), Texts(_error_columns(package)))
        regions = file(REGIONS) if package.region_head else None
        if regions is not None:
            regions.write(package.region_head.rstrip("\n") + "\n")
        for some in chunks(rows, _ROWS_AT_ONCE):
            entries = [_entry(row, package, names, base) for row in some]
            manifest.write(entries)
            written.add(entries)
            wrong = [entry for entry in entries if entry.row.status in _FAILED]
            failed.write(wrong)
            errors.write(wrong)
            if regions is not None:
                regions.writelines(f"{line}\n" for row in some if (line := package.region(row)))
        manifest.end()
    _leave_out_empty(folder / FAILED_CSV, len(package.failed_columns))
    return written


def _entry(row: LedgerRow, package: Package, names: Names, base: str) -> Entry:
    path = names.take(package.path(row), row.result_id) if row.container else ""
    return Entry(row, base + quote(row.result_id, safe=""), path)


def _leave_out_empty(path: Path, kept: int) -> None:
    """Write a table again without the columns that no row has a value in, but the first `kept`."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        count = len(next(rows))
        used = {index for row in rows for index, text in enumerate(row) if text}
        indexes = [index for index in range(count) if index < kept or index in used]
        if len(indexes) == count:
            return
        file.seek(0)
        shorter = path.with_suffix(".new")
        with shorter.open("w", encoding="utf-8", newline="") as new:
            csv.writer(new).writerows([row[index] for index in indexes] for row in csv.reader(file))
    shorter.replace(path)


def _error_columns(package: Package) -> list[Column]:
    there = {column.name for column in package.failed_columns}
    said = [column for column in (STATUS, ERROR_CODE, ERROR_MESSAGE) if column.name not in there]
    return [*package.failed_columns, *said]


class _Csv:
    """A table of CSV, of columns of texts."""

    def __init__(self, file: IO[str], texts: Texts) -> None:
        self._file = file
        self._texts = texts
        file.write(",".join(csv_cells(texts.names)) + "\r\n")

    def write(self, entries: Sequence[Entry]) -> None:
        if entries:
            self.write_texts(self._texts.of(entries))

    def write_texts(self, columns: Sequence[list[str]]) -> None:
        cells = [csv_cells(column) for column in self._texts.guarded(columns)]
        self._file.writelines(f"{','.join(row)}\r\n" for row in zip(*cells, strict=True))


class _Manifest:
    """The manifest in both formats."""

    def __init__(self, table: IO[str], document: IO[str], package: Package, job: Job) -> None:
        self._texts = Texts(package.columns)
        self._table = _Csv(table, self._texts)
        self._document = document
        parts = votable_chunks(package.columns, (), infos=(OK, *package.infos(job)), systems=package.systems)
        head, _, self._tail = b"".join(parts).decode().partition(_END)
        document.write(head)

    def write(self, entries: Sequence[Entry]) -> None:
        columns = self._texts.of(entries)
        cells = [xml_cells(column) for column in columns]
        self._document.writelines(
            f"<TR><TD>{'</TD><TD>'.join(row)}</TD></TR>\n" for row in zip(*cells, strict=True)
        )
        self._table.write_texts(columns)

    def end(self) -> None:
        self._document.write(_END + self._tail)
