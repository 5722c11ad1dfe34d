"""The splitting of a job: what the child makes of it, and how that comes to the worker.

A list may have very many rows, so neither process holds them all: the child writes what becomes of them to
two files in a folder of the claim, and the worker copies these into the database, some lines at a time. Their
JSON is copied as it is: while it is read and written anew, nobody else could write to SQLite.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from uws.fetch import fetch
from uws.job import Parameter, RowReport, Split, TaskKind, Upload
from uws.jobtype import Expansion, UploadSource
from uws.params import gathered
from uws.uploads import UPLOAD, Named, parse_uploads, source_of

_TASKS, _ENDED = "tasks.jsonl", "ended.jsonl"


class Drained(Exception):
    """The child was told to stop."""


@dataclass(frozen=True, slots=True)
class SplitWork:
    """What the child needs for a split.

    Parameters
    ----------
    folder
        Where it may write; whoever gave the work removes it.
    parameters
        Of the job.
    uploads
        Of the job, and the files these are.
    hosts, max_upload_bytes
        From where others may be fetched, and how large they may be.
    """

    folder: Path
    parameters: tuple[Parameter, ...] = ()
    uploads: tuple[tuple[Upload, Path], ...] = ()
    hosts: tuple[str, ...] = ()
    max_upload_bytes: int = 0


@dataclass(frozen=True, slots=True)
class WrittenTask:
    """The task number `n` of a split; `rows` and `common` are JSON as columns have it, None for {}."""

    kind: TaskKind
    n: int
    row_count: int
    rows: str
    common: str | None


@dataclass(frozen=True, slots=True)
class WrittenEnd:
    """A row that ended in a split; `facts` are JSON, None for {}."""

    n: int
    result_id: str
    status: str
    message: str
    verdict: str
    label: str
    facts: str | None


def sources_of(work: SplitWork) -> Mapping[str, UploadSource]:
    """Have all uploads of a job at hand; what is named by a URL is fetched.

    Raises
    ------
    ProtocolError
        If it cannot be.
    """
    named = parse_uploads(gathered(work.parameters).all(UPLOAD))
    stored = {upload.name: (upload, path) for upload, path in work.uploads}
    return {one.name: _source(one, stored, work, n) for n, one in enumerate(named)}


def write(expansion: Expansion, folder: Path, go_on: Callable[[], None]) -> Split:
    """Write what a split came to; `go_on` is called every now and then, and raises to have it stop.

    Raises
    ------
    ValueError
        If its rows are not numbered as they should be: what was left out would never end.
    """
    seen = bytearray(expansion.total)
    by_status: dict[str, int] = {}
    tasks = 0
    with (folder / _TASKS).open("w", encoding="ascii") as file:
        for task in expansion.tasks:
            go_on()
            for row in task.rows:
                _note(seen, row.n)
            if rows := [[row.n, row.result_id, row.payload] for row in task.rows]:
                file.write(_line([task.kind, tasks, len(rows)]))
                file.write(_line(rows))
                file.write(_line(task.common or None))
                tasks += 1
    with (folder / _ENDED).open("w", encoding="ascii") as file:
        for count, report in enumerate(expansion.ended):
            if count % 100 == 0:
                go_on()
            _note(seen, report.n)
            by_status[report.status.value] = by_status.get(report.status.value, 0) + 1
            file.write(_line(_written(report)))
            file.write(f"{written_facts(report.facts) or 'null'}\n")
    if not all(seen):
        raise ValueError("the rows of a split are not numbered from 0 without a gap")
    return Split(folder, expansion.total, tasks, by_status, expansion.seconds, tuple(expansion.sources))


def read_tasks(split: Split) -> Iterator[WrittenTask]:
    """Read the tasks of a split."""
    with (split.folder / _TASKS).open(encoding="ascii") as lines:
        for line in lines:
            kind, n, row_count = json.loads(line)
            rows, common = next(lines).rstrip("\n"), _json(next(lines))
            yield WrittenTask(kind, n, row_count, rows, common)


def read_ended(split: Split) -> Iterator[WrittenEnd]:
    """Read the rows of which nothing is to be done."""
    with (split.folder / _ENDED).open(encoding="ascii") as lines:
        for line in lines:
            n, result_id, status, message, verdict, label = json.loads(line)
            yield WrittenEnd(n, result_id, status, message, verdict, label, _json(next(lines)))


def storable(text: str) -> str:
    """Text as every database takes it: what none takes would cost the other rows theirs."""
    return text.encode(errors="replace").decode().replace("\0", "")


def written_facts(facts: Mapping[str, Any] | str) -> str | None:
    """Facts as their column has them: JSON that every database takes, None for {}.

    Raises
    ------
    TypeError, ValueError
        If they are no JSON.
    """
    if not facts:
        return None
    return facts if isinstance(facts, str) else _written_json(facts)


def _source(
    one: Named, stored: Mapping[str, tuple[Upload, Path]], work: SplitWork, number: int
) -> UploadSource:
    if not one.url:
        upload, path = stored[one.part]
        return source_of(one, upload, partial(Path, path))
    path = work.folder / f"fetched-{number}"
    got = fetch(one.url, work.hosts, path, work.max_upload_bytes)
    return UploadSource(one.name, got.file_name, got.media_type, got.size, one.url, partial(Path, path))


def _note(seen: bytearray, n: int) -> None:
    if not 0 <= n < len(seen) or seen[n]:
        raise ValueError(f"a split has the row {n} twice, or too high a number")
    seen[n] = 1


def _written(report: RowReport) -> list[Any]:
    if report.files:
        raise ValueError("a row that ended in a split has a file")
    return [
        report.n,
        report.result_id,
        report.status.value,
        storable(report.message),
        report.verdict,
        storable(report.label),
    ]


def _line(values: Any) -> str:
    return _written_json(values) + "\n"


def _written_json(values: Any) -> str:
    try:
        return _STRICT.encode(values)
    except ValueError:  # a number that is not finite, which JSON does not have
        plain = json.loads(json.dumps(values, default=_plain_number), parse_constant=_nothing)
        return _STRICT.encode(plain)


def _json(line: str) -> str | None:
    text = line.rstrip("\n")
    return None if text == "null" else text


def _plain_number(value: Any) -> Any:
    """Give a number of numpy as one of Python; a frozen mapping as a dict."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Iterable) and not hasattr(value, "item"):
        return list(value)
    return value.item()


def _nothing(name: str) -> None:
    return None


_STRICT = json.JSONEncoder(allow_nan=False, separators=(",", ":"), default=_plain_number)
