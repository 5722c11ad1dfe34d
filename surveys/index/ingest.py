"""Bringing the index of a survey up to date with its files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path

from sqlalchemy import Engine

from surveys.errors import SurveyError
from surveys.index.files import FoundFile, Walk, find_file
from surveys.index.lock import index_lock
from surveys.index.processes import DIED, in_processes
from surveys.index.report import IndexReport, Progress, Refusal
from surveys.index.scan import FileScan, file_sha256, scan_file
from surveys.index.store import CHUNK, Edition, KnownFile
from surveys.index.unique import UniqueAreas
from surveys.survey import Survey

#: Raised when the same file would be read differently: then every file is read anew.
READING = 3

#: What a declaration tells about files; the rest of it is not in the index.
_TOLD = (
    *("kind", "bands", "layers", "calib_level", "dataset", "band_card"),
    *("unique", "prefer", "fix", "time", "pol_states"),
)

#: Fewer files than this are read here: starting other processes takes longer.
_WORTH_PROCESSES = 64


def index_survey(
    engine: Engine,
    survey: Survey,
    *,
    workers: int = 1,
    progress: Progress | None = None,
    only_file: Path | None = None,
    checksum: bool = False,
) -> IndexReport:
    """Read what is new in the folders of a survey, and publish it at once.

    Readers see the index as it was until the very end, then all of the new one.

    Parameters
    ----------
    engine
        Of a database whose tables are up to date.
    survey
        Its declaration; where that changed in a way that matters, every file is read anew.
    workers
        Processes that read headers.
    progress
        Called with the number of files read and to be read.
    only_file
        Look at this file only.
    checksum
        Keep a SHA-256 of every file read, and compare it before a file counts as changed; not of a lake.

    Raises
    ------
    SurveyError
        If another process indexes the survey, a folder of it is missing, or all its files are.
    ImageRefused
        If `only_file` is not one of the survey's.
    """
    if survey.lake is not None:
        return _index_lake(engine, survey, workers, progress, only_file, checksum)
    with index_lock(engine, survey.name):
        edition = Edition(engine, survey, datetime.now(UTC))
        news = _look(survey, edition, only_file, checksum)
        edition.end_files([*news.vanished, *news.changed])
        refused = {path: file.refused for path, file in news.kept.items()}
        for scan in _scan_all(edition, survey, news.todo, workers, progress, checksum):
            refused[scan.found.path] = scan.refused
        if news.todo or news.vanished or news.declaration != edition.declaration:
            edition.publish(news.declaration)
        return IndexReport(
            survey=survey.name,
            generation=edition.current,
            files=len(refused),
            added=len(news.todo) - len(news.changed),
            changed=len(news.changed),
            vanished=len(news.vanished),
            refused=tuple(
                Refusal(path.rpartition("/")[2], hdu, reason)
                for path, reasons in sorted(refused.items())
                for hdu, reason in reasons
            )
            + tuple(Refusal(name, None, reason) for name, reason in news.hidden),
            unreadable=news.unreadable,
        )


def _index_lake(
    engine: Engine,
    survey: Survey,
    workers: int,
    progress: Progress | None,
    only_file: Path | None,
    checksum: bool,
) -> IndexReport:
    # Parquet is read for surveys of alerts alone: its library is large, and need not be installed.
    from surveys.parquet.arrow import pyarrow

    pyarrow()
    from surveys.index.alerts.ingest import index_lake, path_in

    assert survey.lake is not None  # noqa: S101 -- told to the type checker
    if checksum:
        raise SurveyError(
            f"no checksums are kept of the files of {survey.name}: all of its lake would be read"
        )
    path = None if only_file is None else path_in(survey.lake, only_file)
    return index_lake(engine, survey, workers=workers, progress=progress, only_file=path)


@dataclass(frozen=True, slots=True)
class _News:
    """How the folders differ from the index: files to read, and of those known what becomes of them."""

    todo: list[FoundFile]
    changed: list[KnownFile]
    vanished: list[KnownFile]
    kept: dict[str, KnownFile]
    unreadable: int
    hidden: list[tuple[str, str]]
    declaration: str


def _look(survey: Survey, edition: Edition, only_file: Path | None, checksum: bool) -> _News:
    known, declaration = edition.known_files(), _digest(survey)
    todo: list[FoundFile] = []
    if only_file is not None:
        # The other files are still as another declaration had them read: its digest stays.
        todo = [find_file(survey, only_file)]
        changed = [known.pop(file.path) for file in todo if file.path in known]
        return _News(todo, changed, [], known, 0, [], edition.declaration or declaration)
    anew = declaration != edition.declaration
    kept: dict[str, KnownFile] = {}
    changed = []
    walk = Walk(survey)
    for file in walk:
        before = known.pop(file.path, None)
        if before is not None and not anew and not _is_changed(file, before, checksum):
            kept[file.path] = before
            continue
        todo.append(file)
        if before is not None:
            changed.append(before)
    vanished: list[KnownFile] = []
    for path, missing in known.items():
        if path.startswith(tuple(walk.unreadable)):
            kept[path] = missing
        else:
            vanished.append(missing)
    if vanished and not todo and not kept:
        raise SurveyError(f"all files of the survey {survey.name} are gone; its index is left as it is")
    return _News(todo, changed, vanished, kept, len(walk.unreadable), walk.hidden, declaration)


def _is_changed(file: FoundFile, before: KnownFile, checksum: bool) -> bool:
    if (file.size, file.mtime_ns) != (before.size, before.mtime_ns):
        return True
    return checksum and file.refusal is None and file_sha256(file.location) != before.sha256


def _scan_all(
    edition: Edition,
    survey: Survey,
    todo: Sequence[FoundFile],
    workers: int,
    progress: Progress | None,
    checksum: bool,
) -> Iterator[FileScan]:
    """Read files and add them, many at a time; they come back with all that was refused of them."""
    areas = UniqueAreas.of(survey)
    done = 0
    scans = scan_files(survey, todo, workers, checksum=checksum)
    while chunk := [areas.add_to(scan) for scan in islice(scans, CHUNK)]:
        yield from edition.add(chunk)
        done += len(chunk)
        if progress is not None:
            progress(done, len(todo))


def scan_files(
    survey: Survey, todo: Sequence[FoundFile], workers: int, *, checksum: bool
) -> Iterator[FileScan]:
    """Scan files by `workers` processes; the scans come in the order of the files."""
    return in_processes(
        partial(scan_file, survey, checksum=checksum),
        todo,
        workers if len(todo) >= _WORTH_PROCESSES else 1,
        lambda file: FileScan(file, None, (), ((None, DIED),)),
    )


def _digest(survey: Survey) -> str:
    """Digest of all in a declaration that changes what the index says of a file."""
    told = [getattr(survey, name) for name in _TOLD]
    return hashlib.sha256(f"{READING} {told!r}".encode()).hexdigest()
