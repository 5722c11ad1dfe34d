"""What clients ask of a ledger and of an archive, parsed at the door."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from dali.errors import Faults, UsageError, quoted
from dali.parameters import Parameters, refuse_unknown
from dali.tables import CSV, JSON
from dali.votable import MEDIA_TYPE as VOTABLE

LINES = "application/x-ndjson"
TEXT = "text/plain; charset=utf-8"

#: Formats of a ledger, and their media types.
LEDGER_FORMATS = {
    "json": JSON,
    "jsonl": LINES,
    "csv": f"{CSV}; charset=utf-8",  # clients take texts for Latin-1 otherwise
    "votable": VOTABLE,
    "urls": TEXT,
    "aria2": TEXT,
}
#: Media types by which Accept chooses one, the preferred first.
ACCEPTED = {
    JSON: "json",
    CSV: "csv",
    VOTABLE: "votable",
    "text/xml": "votable",
    "application/xml": "votable",
    LINES: "jsonl",
}
#: Formats of an archive, and their media types.
ARCHIVE_FORMATS = {"zip": "application/zip", "tar": "application/x-tar"}

#: Rows of a page of JSON, where LIMIT says nothing, and the most it may say: they are in memory.
PAGE_ROWS = 1000
MOST_PAGE_ROWS = 10_000
#: Of STATUS and of ID: more are not compared.
MOST_VALUES = 200
#: Smaller parts would be more than anybody wants.
LEAST_PART_BYTES = 1 << 20

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = re.compile(r"([0-9]{1,15})([kKmMgGtT]?)[bB]?")
_CURSOR = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,9}))?")
_ROWS = re.compile(r"([0-9]{1,15})\s*-\s*([0-9]{1,15})|([0-9]{1,15})")

_SELECTION = ("STATUS", "ID", "ROWS")
_OF_LEDGERS = ("FORMAT", "SORT", "AFTER", "OFFSET", "LIMIT", "TEXT", "COLUMNS")
#: Before the name of a column of the table that was sent, where the ledger has one of that name.
SENT = "sent:"
_OF_ARCHIVES = ("FORMAT", "PARTSIZE", "PART")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows of a job; all conditions hold together, and one that is empty always does.

    Parameters
    ----------
    statuses, labels
        Their words for what became of rows, and the user's names of rows.
    rows
        First and last row of the user's table.
    words
        What their name, that of their file, or what they say contains.
    """

    statuses: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    rows: tuple[int, int] | None = None
    words: str = ""


@dataclass(frozen=True, slots=True)
class Sorting:
    """In which order rows are told: by a column of the ledger, or of the table that was sent."""

    column: str
    is_descending: bool = False

    def __str__(self) -> str:
        return f"{self.column},desc" if self.is_descending else self.column


@dataclass(frozen=True, slots=True)
class LedgerQuery:
    """A page of a ledger, or with no `limit` all of it.

    `after`: the row and part before the first of the page; `offset`: how many rows are. `sorting`: None for
    the order of the table. `columns`: names of those that are told; none are all.
    """

    format: str
    selection: Selection
    after: tuple[int, int] | None
    limit: int | None
    offset: int | None = None
    sorting: Sorting | None = None
    columns: tuple[str, ...] = ()

    @property
    def is_ordered(self) -> bool:
        """Whether all rows have to be counted, or put in order, before a page is known."""
        return self.sorting is not None or self.offset is not None


@dataclass(frozen=True, slots=True)
class ArchiveQuery:
    """An archive, or a part of one; with `part_bytes` and no `part`, the list of its parts.

    `pack`: the kind of pack wanted instead of an archive of files; "" for none.
    """

    format: str
    selection: Selection
    part_bytes: int | None
    part: int | None
    pack: str = ""


def parse_ledger(
    parameters: Parameters, statuses: Collection[str], accepted: str | None, columns: Collection[str] = ()
) -> LedgerQuery:
    """Read what a client wants of a ledger.

    Parameters
    ----------
    parameters
        As sent.
    statuses
        Words that a status may be.
    accepted
        The media type of `ACCEPTED` that the client prefers, None if it says nothing of it.
    columns
        Those of the ledger.
    """
    faults = _begin(parameters, (*_OF_LEDGERS, *_SELECTION))
    form = faults.attempt(lambda: _word(parameters, "FORMAT", LEDGER_FORMATS))
    selection = _selection(parameters, statuses, faults)
    after = faults.attempt(lambda: _after(parameters))
    limit = faults.attempt(lambda: _limit(parameters))
    offset = faults.attempt(lambda: _number(parameters, "OFFSET", 0, 10**9))
    sorting = faults.attempt(lambda: _sorting(parameters))
    told = faults.attempt(lambda: _columns(parameters, columns))
    words = (parameters.one("TEXT") or "").strip().replace("\0", "\ufffd")
    if after is not None and offset is not None:
        faults.add(
            UsageError("AFTER and OFFSET both say where a page begins; one is taken", "Leave one out.")
        )
    faults.raise_any()
    form = form or ACCEPTED.get(accepted or "", "json")
    limit = PAGE_ROWS if form == "json" and limit is None else limit
    return LedgerQuery(form, replace(selection, words=words), after, limit, offset, sorting, told or ())


def parse_archive(
    parameters: Parameters, statuses: Collection[str], packs: Collection[str] = ()
) -> ArchiveQuery:
    """Read what a client wants of an archive; `packs` are the kinds that there are."""
    faults = _begin(parameters, (*_OF_ARCHIVES, *(("PACK",) if packs else ()), *_SELECTION))
    pack = faults.attempt(lambda: _word(parameters, "PACK", packs))
    for name in _OF_ARCHIVES if pack else ():
        if parameters.all(name):
            faults.add(UsageError(f"{name} is for archives; PACK={pack} is one file of one format"))
    form = faults.attempt(lambda: _word(parameters, "FORMAT", ARCHIVE_FORMATS))
    selection = _selection(parameters, statuses, faults)
    size = faults.attempt(lambda: _part_bytes(parameters))
    part = faults.attempt(lambda: _part(parameters))
    if part is not None and parameters.one("PARTSIZE") is None:
        faults.add(UsageError("PART is a part of an archive that PARTSIZE divides", "Say PARTSIZE=2G too."))
    faults.raise_any()
    return ArchiveQuery(form or "zip", selection, size, part, pack or "")


def refuse_all(parameters: Parameters) -> None:
    """Refuse parameters where none is taken."""
    faults = refuse_unknown(parameters, (), ("FORMAT=csv at /ledger",))
    if faults:
        raise faults[0]


def _begin(parameters: Parameters, known: Sequence[str]) -> Faults:
    faults = Faults()
    for fault in refuse_unknown(parameters, known, known):
        faults.add(fault)
    return faults


def _word(parameters: Parameters, name: str, words: Collection[str]) -> str | None:
    text = parameters.one(name)
    if text is None:
        return None
    word = text.strip(" ").lower()
    if word not in words:
        raise UsageError(f"{name} is one of {', '.join(words)}; got {quoted(text)}")
    return word


def _selection(parameters: Parameters, statuses: Collection[str], faults: Faults) -> Selection:
    words = faults.attempt(lambda: _statuses(parameters, statuses))
    rows = faults.attempt(lambda: _rows(parameters))
    # No database has a NUL in a text, and some fail on it.
    labels = tuple(label.replace("\0", "\ufffd") for label in parameters.all("ID"))
    if len(labels) > MOST_VALUES:
        faults.add(UsageError(f"ID is taken {MOST_VALUES} times at most here; got {len(labels)}"))
    return Selection(words or (), labels, rows)


def _statuses(parameters: Parameters, statuses: Collection[str]) -> tuple[str, ...]:
    words = [word.strip(" ") for text in parameters.all("STATUS") for word in text.split(",")]
    for word in words:
        if word not in statuses:
            raise UsageError(f"STATUS is one or several of {', '.join(statuses)}; got {quoted(word)}")
    return tuple(dict.fromkeys(words))


def _rows(parameters: Parameters) -> tuple[int, int] | None:
    text = parameters.one("ROWS")
    if text is None:
        return None
    found = _ROWS.fullmatch(text.strip(" "))
    first, last = (int(found[1] or found[3]), int(found[2] or found[3])) if found else (0, 0)
    if not 1 <= first <= last:
        raise UsageError(
            f"ROWS is the first and the last row wanted, counted from 1; got {quoted(text)}",
            "Write ROWS=1-1000.",
        )
    return first, last


def _sorting(parameters: Parameters) -> Sorting | None:
    """Read SORT; names of columns may have commas in them."""
    text = (parameters.one("SORT") or "").strip(" ")
    column, comma, order = text.rpartition(",")
    if comma and order.strip(" ").lower() in ("asc", "desc"):
        return Sorting(column.strip(" "), order.strip(" ").lower() == "desc")
    return Sorting(text) if text else None


def _columns(parameters: Parameters, known: Collection[str]) -> tuple[str, ...]:
    names = [name.strip(" ").lower() for text in parameters.all("COLUMNS") for name in text.split(",")]
    for name in names:
        if name not in known:
            raise UsageError(
                f"COLUMNS are columns of the ledger; got {quoted(name)}", f"Columns: {', '.join(known)}."
            )
    return tuple(dict.fromkeys(names))


def _after(parameters: Parameters) -> tuple[int, int] | None:
    text = parameters.one("AFTER")
    if text is None:
        return None
    found = _CURSOR.fullmatch(text.strip(" "))
    if found is None:
        raise UsageError(
            f"AFTER is where a page ended; got {quoted(text)}", "Follow the link next of the page before."
        )
    return int(found[1]), int(found[2] or 0)


def _limit(parameters: Parameters) -> int | None:
    return _number(parameters, "LIMIT", 1, MOST_PAGE_ROWS)


def _part(parameters: Parameters) -> int | None:
    return _number(parameters, "PART", 1, 10**9)


def _number(parameters: Parameters, name: str, least: int, most: int) -> int | None:
    text = parameters.one(name)
    if text is None:
        return None
    digits = text.strip(" ")
    number = int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 12 else -1
    if not least <= number <= most:
        raise UsageError(
            f"{name} is a whole number from {least} to {most}; got {quoted(text)}",
            f"Write {name}={least}.",
        )
    return number


def _part_bytes(parameters: Parameters) -> int | None:
    text = parameters.one("PARTSIZE")
    if text is None:
        return None
    found = _SIZE.fullmatch(text.strip(" "))
    size = int(found[1]) * _UNITS[found[2].upper()] if found else 0
    if size < LEAST_PART_BYTES:
        raise UsageError(
            f"PARTSIZE is a number of bytes, 1M or more, with k, M, G or T for 1024, …; got {quoted(text)}",
            "Write PARTSIZE=2G.",
        )
    return size
