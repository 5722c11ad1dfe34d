"""The tables of a package, all of them written in one pass over the rows of a job.

Cells are formatted once: CSV and VOTable have the same texts.
"""

from __future__ import annotations

import csv
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from dali.tables import guarded_csv_cell
from dali.votable import OK, format_of, legal, votable_chunks
from uws.job import Job, LedgerRow, RowStatus
from uws.packages.names import Names
from uws.packages.package import (
    ERROR_CODE,
    ERROR_MESSAGE,
    STATUS,
    Column,
    Entry,
    Fact,
    Package,
    status_of,
)

MANIFEST_CSV = "manifest.csv"
MANIFEST_VOT = "manifest.vot"
FAILED_CSV = "failed.csv"
ERRORS_CSV = "errors.csv"
REGIONS = "regions.reg"

_TEXTS = ("char", "unicodeChar")
_REALS = ("float", "double")
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
    with ExitStack() as stack:

        def file(name: str) -> IO[str]:
            made = open(folder / name, "w", encoding="utf-8", errors="replace", newline="")  # noqa: SIM115
            return stack.enter_context(made)

        manifest = _Manifest(file(MANIFEST_CSV), file(MANIFEST_VOT), package, job)
        failed = _Csv(file(FAILED_CSV), [*package.failed_columns, *package.failed_settings])
        errors = _Csv(file(ERRORS_CSV), _error_columns(package))
        regions = file(REGIONS) if package.region_head else None
        if regions is not None:
            regions.write(package.region_head.rstrip("\n") + "\n")
        names, written, base = Names(), Written(), f"{job_url}/results/"
        for row in rows:
            path = names.take(package.path(row), row.result_id) if row.container else ""
            entry = Entry(row, base + quote(row.result_id, safe=""), path)
            manifest.write(entry)
            written.counts[status_of(row)] += 1
            if path:
                written.files.add(path, row)
            if row.status in _FAILED:
                written.failed += 1
                failed.write(entry)
                errors.write(entry)
            if regions is not None and (line := package.region(row)):
                regions.write(line + "\n")
        manifest.end()
    _leave_out_empty(folder / FAILED_CSV, len(package.failed_columns))
    return written


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


class _Cells:
    """Rows of some columns, as lists of texts."""

    def __init__(self, columns: Sequence[Column]) -> None:
        # Most cells are facts, and most of these texts or plain numbers: so no function is called for them.
        self._cells: list[tuple[str, Callable[[Entry], Any], Callable[[Any], str], bool]] = [
            (
                column.value.name if isinstance(column.value, Fact) else "",
                column.value,
                format_of(column),
                column.datatype in _REALS and column.arraysize is None,
            )
            for column in columns
        ]
        self._texts = [index for index, column in enumerate(columns) if column.datatype in _TEXTS]

    def texts(self, entry: Entry) -> list[str]:
        facts, texts = entry.row.facts, []
        for name, value_of, form, is_real in self._cells:
            value = facts.get(name) if name else value_of(entry)
            if value is None:
                texts.append("")
            elif type(value) is str:
                texts.append(value)
            elif is_real and type(value) is float and value - value == 0.0:  # it is finite
                texts.append(repr(value))
            else:
                texts.append(form(value))
        return texts

    def guard(self, texts: list[str]) -> list[str]:
        for index in self._texts:
            if texts[index][:1] < "A":  # what begins a formula is among these
                texts[index] = guarded_csv_cell(texts[index])
        return texts


class _Csv:
    def __init__(self, file: IO[str], columns: Sequence[Column]) -> None:
        self._cells = _Cells(columns)
        self._writer = csv.writer(file)
        self._writer.writerow([column.name for column in columns])

    def write(self, entry: Entry) -> None:
        self._writer.writerow(self._cells.guard(self._cells.texts(entry)))


class _Manifest:
    """The manifest in both formats."""

    def __init__(self, table: IO[str], document: IO[str], package: Package, job: Job) -> None:
        self._cells = _Cells(package.columns)
        self._writer = csv.writer(table)
        self._writer.writerow([column.name for column in package.columns])
        self._document = document
        chunks = votable_chunks(package.columns, (), infos=(OK, *package.infos(job)), systems=package.systems)
        head, _, self._tail = b"".join(chunks).decode().partition(_END)
        document.write(head)

    def write(self, entry: Entry) -> None:
        texts = self._cells.texts(entry)
        self._document.write(f"<TR><TD>{'</TD><TD>'.join(_escaped(texts))}</TD></TR>\n")
        self._writer.writerow(self._cells.guard(texts))

    def end(self) -> None:
        self._document.write(_END + self._tail)


def _escaped(texts: list[str]) -> list[str]:
    """Texts as XML has them; most rows have nothing to escape."""
    joined = "".join(texts)
    if not joined.isprintable():
        texts = [legal(text) for text in texts]
    if "&" not in joined and "<" not in joined and ">" not in joined:
        return texts
    return [text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for text in texts]
