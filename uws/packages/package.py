"""How a job type tells of its rows: the columns of the ledger, and what stands in a package.

A row is told by what the ledger has of it alone, mostly by its `facts`: its task is forgotten, and what was
asked may have come in another form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from dali.errors import UsageError
from dali.votable import Coosys, Field, Info, Timesys, Value
from uws.job import Job, LedgerRow, RowStatus, Upload


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the ledger, as columns are asked about it.

    Parameters
    ----------
    row
        What is known.
    url
        Where its file is to be had, or the sentence in its place.
    path
        Of its file in a package, "" if it has none.
    """

    row: LedgerRow
    url: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Column(Field):
    """A column of the ledger: a field, and what it says of a row. None is null."""

    value: Callable[[Entry], Value]


class Package(Protocol):
    """How the rows of one job type are told. All of it is asked in the web server, and reads no files."""

    @property
    def columns(self) -> Sequence[Column]:
        """Of the ledger and of manifests: a fixed order, to which columns are only ever added."""

    @property
    def failed_columns(self) -> Sequence[Column]:
        """Of the table of rows that failed, which can be sent again as it is: id, ra, dec and what else."""

    @property
    def failed_settings(self) -> Sequence[Column]:
        """Of the same table after these, as far as some row says something in them."""

    @property
    def statuses(self) -> Sequence[str]:
        """Words that the column status may have, which is what STATUS chooses by."""

    @property
    def systems(self) -> Sequence[Coosys | Timesys]:
        """Coordinate systems that fields refer to."""

    @property
    def row_fact(self) -> str:
        """Name of the fact that is `table_row`; "" where it is none."""

    def table_row(self, row: LedgerRow) -> int:
        """Row of the user's table that a row of the ledger is of, from 1; it never falls along the ledger."""

    def path(self, row: LedgerRow) -> str:
        """Path of the file of a row in a package, such as ``fits/survey/g/NAME.fits``; unique in its job."""

    def infos(self, job: Job) -> Sequence[Info]:
        """Tell of the job at the head of VOTables, beside their status."""

    def readme(self, job: Job, job_url: str, counts: Mapping[str, int]) -> str:
        """Text of README.txt: what it is, of which versions, how to cite it; rows by status in `counts`.

        It says nothing that changes while the job is kept, or downloads of packages could not be resumed.
        """

    def request(self, job: Job) -> Mapping[str, Any]:
        """Tell what was asked, resolved, so that it can be sent again: request.json."""

    @property
    def region_head(self) -> str:
        """Lines at the head of regions.reg; "" if there are no regions, and no such file."""

    def region(self, row: LedgerRow) -> str:
        """Line of regions.reg for a row, without an end of line; "" for none."""


class SentTable(Protocol):
    """Reads the tables that lists are sent as."""

    @property
    def name(self) -> str:
        """What the table is called in UPLOAD."""

    def columns(self, path: Path, upload: Upload) -> Sequence[str]:
        """Name the columns of a table; none of one that cannot be read."""

    def values(self, path: Path, upload: Upload, column: int) -> Sequence[object]:
        """Read a column, by its place: a value of each row, as it is stored or as a text."""


@dataclass(frozen=True, slots=True)
class Fact:
    """The value of a column that is a fact of the row."""

    name: str

    def __call__(self, entry: Entry) -> Value:
        """Give the value of a row."""
        value: Value = entry.row.facts.get(self.name)
        return value


def fact(name: str) -> Fact:
    """Give the value of a column that is a fact of the row."""
    return Fact(name)


def entries_of(package: Package, job_url: str, rows: Iterable[LedgerRow]) -> Iterator[Entry]:
    """Give rows as columns are asked about them."""
    base = f"{job_url}/results/"
    for row in rows:
        yield Entry(row, base + quote(row.result_id, safe=""), package.path(row) if row.container else "")


def status_of(row: LedgerRow) -> str:
    """Status in a word: that of the job type, else what became of the row at all."""
    return row.verdict or row.status.value


def error_code(row: LedgerRow) -> str | None:
    """Label of the sentence of a row that was not done; None for one that was."""
    if row.status is RowStatus.DONE or not row.message:
        return None
    label, colon, _ = row.message.partition(":")
    return label if colon and label.isidentifier() else UsageError.label


def error_message(row: LedgerRow) -> str | None:
    """Sentence of a row that was not done; None for one that was."""
    if row.status is RowStatus.DONE or not row.message:
        return None
    label, colon, sentence = row.message.partition(":")
    return sentence.strip() if colon and label.isidentifier() else row.message


#: Columns that every job type has, to be taken among its own.
ACCESS_URL = Column(
    name="access_url",
    ucd="meta.ref.url;meta.dataset",
    utype="obscore:Access.Reference",
    description="Where the file is",
    value=lambda entry: entry.url if entry.row.container else None,
)
ACCESS_FORMAT = Column(
    name="access_format",
    ucd="meta.code.mime",
    utype="obscore:Access.Format",
    description="Media type of the file",
    value=lambda entry: entry.row.media_type if entry.row.container else None,
)
ACCESS_ESTSIZE = Column(
    name="access_estsize",
    datatype="long",
    unit="kbyte",
    ucd="phys.size;meta.file",
    utype="obscore:Access.Size",
    description="Size of the file, rounded up",
    value=lambda entry: -(-entry.row.size // 1000) if entry.row.container else None,
)
RESULT_ID = Column(
    name="result_id",
    ucd="meta.id",
    description="Under this name in /results of the job",
    value=lambda entry: entry.row.result_id,
)
PATH = Column(
    name="path",
    ucd="meta.id;meta.file",
    description="File in packages",
    value=lambda entry: entry.path or None,
)
BYTES = Column(
    name="bytes",
    datatype="long",
    unit="byte",
    ucd="phys.size;meta.file",
    description="Size of the file",
    value=lambda entry: entry.row.size if entry.row.container else None,
)
SHA256 = Column(
    name="sha256",
    ucd="meta.checksum",
    description="SHA-256 of the file",
    value=lambda entry: entry.row.sha256 or None,
)
STATUS = Column(
    name="status",
    ucd="meta.code.status",
    description="What became of the row",
    value=lambda entry: status_of(entry.row),
)
ERROR_CODE = Column(
    name="error_code",
    ucd="meta.code.error",
    description="Kind of fault",
    value=lambda entry: error_code(entry.row),
)
ERROR_MESSAGE = Column(
    name="error_message",
    ucd="meta.note",
    description="What is wrong, and how to mend it",
    value=lambda entry: error_message(entry.row),
)
ATTEMPTS = Column(
    name="attempts",
    datatype="int",
    ucd="meta.number",
    description="How often it was tried",
    value=lambda entry: entry.row.attempts,
)
SECONDS = Column(
    name="seconds",
    datatype="double",
    unit="s",
    ucd="time.duration",
    description="How long it took",
    value=lambda entry: entry.row.seconds,
)
