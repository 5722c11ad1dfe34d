"""The ledger of a job as documents, from rows that come a few at a time."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from dali.tables import csv_chunks, json_value
from dali.votable import OK, Row, votable_chunks
from uws.job import Job
from uws.packages.names import safe_path
from uws.packages.package import Column, Entry, Package

_ROWS_AT_ONCE = 200
_NOT_IN_LINES = re.compile(r"[\x00-\x20\x7f]")


def page_document(
    job: Job,
    job_url: str,
    columns: Sequence[Column],
    entries: Sequence[Entry],
    next_url: str | None,
    more: Mapping[str, Any] = {},
) -> bytes:
    """Write a page as one object of JSON: how far the job is, its rows as objects, where the next page is.

    `more` is told beside that.
    """
    counts = job.counts
    head = {
        "job": job_url,
        "phase": job.phase,
        "total": counts.total,
        "ended": counts.ended,
        "next": next_url,
        **more,
    }
    rows = ",\n".join(_objects(columns, entries))
    return f'{json.dumps(head)[:-1]},\n"rows": [\n{rows}\n]}}\n'.encode("utf-8", "replace")


def stream(
    form: str, package: Package, job: Job, entries: Iterable[Entry], columns: Sequence[Column]
) -> Iterator[bytes]:
    """Write rows in a format that has no end until there are no more."""
    match form:
        case "csv":
            yield from csv_chunks(columns, _values(columns, entries), guarded=True)
        case "votable":
            yield from votable_chunks(
                columns,
                _values(columns, entries),
                table="ledger",
                infos=(OK, *package.infos(job)),
                systems=package.systems,
            )
        case "urls":
            yield from _lines(entries, lambda entry: f"{entry.url}\n")
        case "aria2":
            yield from _lines(entries, _aria2)
        case _:
            yield from _batches(f"{line}\n" for line in _objects(columns, entries))


def _values(columns: Sequence[Column], entries: Iterable[Entry]) -> Iterator[Row]:
    for entry in entries:
        yield [column.value(entry) for column in columns]


def _objects(columns: Sequence[Column], entries: Iterable[Entry]) -> Iterator[str]:
    for entry in entries:
        row = {column.name: column.value(entry) for column in columns}
        try:
            yield json.dumps(row, ensure_ascii=False, allow_nan=False)
        except ValueError:  # NaN is seldom, and looking for it takes longer than all the rest
            yield json.dumps({name: json_value(value) for name, value in row.items()}, ensure_ascii=False)


def _lines(entries: Iterable[Entry], line_of: Callable[[Entry], str]) -> Iterator[bytes]:
    """Write of all files that there are."""
    return _batches(line_of(entry) for entry in entries if entry.row.container)


def _aria2(entry: Entry) -> str:
    # One line each: nothing in it may begin another.
    path = _NOT_IN_LINES.sub("_", safe_path(entry.path))
    return f"{entry.url}\n  out={path}\n  checksum=sha-256={entry.row.sha256}\n"


def _batches(lines: Iterable[str]) -> Iterator[bytes]:
    remaining = iter(lines)
    while batch := list(islice(remaining, _ROWS_AT_ONCE)):
        yield "".join(batch).encode("utf-8", "replace")
