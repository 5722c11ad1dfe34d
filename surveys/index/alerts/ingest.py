"""Bringing the index of a survey of alerts up to date with its lake."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sqlalchemy import Engine

from surveys.errors import ImageRefused, SurveyError
from surveys.index.alerts.scan import LakeScan, scan_file
from surveys.index.alerts.store import CHUNK, KnownLakeFile, LakeEdition
from surveys.index.lock import index_lock
from surveys.index.processes import DIED, in_processes
from surveys.index.report import IndexReport, Progress, Refusal
from surveys.lake import Lake
from surveys.parquet.files import LakeFiles, StoredFile
from surveys.survey import Survey

#: Raised when the same file would be read differently: then every file is read anew.
READING = 1

#: Fewer bytes and files than these are read here: starting other processes takes longer. A store that is
#: reached by a URL lets each read wait.
_WORTH_PROCESSES = 2 * 10**9
_MANY_FILES, _MANY_REMOTE_FILES = 500, 20
#: Files of one transaction.
_MOST_TOGETHER = 100


def index_lake(
    engine: Engine,
    survey: Survey,
    *,
    workers: int = 1,
    progress: Progress | None = None,
    only_file: str | None = None,
    in_passing: bool = False,
) -> IndexReport:
    """Read what is new in the lake of a survey of alerts, and publish it at once.

    Readers see the index as it was until the very end, then all of the new one.

    Parameters
    ----------
    engine
        Of a database whose tables are up to date.
    survey
        Its declaration; where that changed in a way that matters, every file is read anew.
    workers
        Processes that read files.
    progress
        Called with the number of files read and to be read.
    only_file
        Path below the root of the one file that is looked at; its alerts end if it is gone.
    in_passing
        Whether somebody waits meanwhile: what is no longer needed is left to be cleared away by others.

    Raises
    ------
    SurveyError
        If another process indexes the survey, its root is missing, or all its files are; or what one that
        died has left behind has to be cleared away, and somebody waits.
    ImageRefused
        If `only_file` is none that the index has, and is not there.
    """
    lake = survey.lake
    if lake is None:
        raise SurveyError(f"the survey {survey.name} is not one of alerts")
    with index_lock(engine, survey.name):
        edition = LakeEdition(engine, survey, datetime.now(UTC), in_passing=in_passing)
        digest = _digest(survey)
        news = (
            _look_at(lake, edition, only_file, digest) if only_file else _look(survey, lake, edition, digest)
        )
        refused = {path: file.refused for path, file in news.kept.items()}
        alerts = done = 0
        scans = in_processes(
            partial(scan_file, survey),
            news.todo,
            workers if _is_much(lake, news.todo) else 1,
            lambda file: LakeScan(file, refused=((None, DIED),)),
            ahead=2,
        )
        if in_passing:
            scans = iter(_readable(scans))
        edition.end_files([*news.vanished, *news.changed])
        for batch in _batches(scans):
            edition.add(batch)
            refused |= {scan.found.path: scan.refused for scan in batch}
            alerts += sum(len(scan.alerts) for scan in batch)
            done += len(batch)
            if progress is not None:
                progress(done, len(news.todo))
        if news.todo or news.vanished or news.digest != edition.declaration:
            edition.publish(news.digest)
        return IndexReport(
            survey=survey.name,
            generation=edition.current,
            files=len(refused),
            added=len(news.todo) - len(news.changed),
            changed=len(news.changed),
            vanished=len(news.vanished),
            refused=tuple(
                Refusal(path, None, _told(rows, reason))
                for path, reasons in sorted(refused.items())
                for rows, reason in reasons
            )
            + tuple(Refusal(name, None, reason) for name, reason in news.hidden),
            unreadable=news.unreadable,
            alerts=alerts,
        )


def reindex_file(engine: Engine, survey: Survey, path: str) -> IndexReport:
    """Read one file of a survey of alerts anew, which is not the one that was indexed, while somebody waits.

    Parameters
    ----------
    path
        Below the root.

    Raises
    ------
    SurveyError
        If another process indexes the survey, or one has died; if the file cannot be read: then its alerts do
        not end, since it is being written, perhaps.
    """
    return index_lake(engine, survey, only_file=path, in_passing=True)


def path_in(lake: Lake, file: Path) -> str:
    """Path below the root of a lake of a file that is given by its own path, or URL, or so already."""
    if lake.is_remote:
        # A path knows no empty parts: "s3://bucket/a" has become "s3:/bucket/a".
        root, place = Path(lake.root), file
    else:
        root, place = Path(os.path.abspath(lake.root)), Path(os.path.abspath(file))
    return place.relative_to(root).as_posix() if place.is_relative_to(root) else file.as_posix()


@dataclass(frozen=True, slots=True)
class _News:
    """How the lake differs from the index: files to read, and of those known what becomes of them."""

    todo: Sequence[StoredFile]
    changed: Sequence[KnownLakeFile]
    vanished: Sequence[KnownLakeFile]
    kept: dict[str, KnownLakeFile]
    unreadable: int
    hidden: Sequence[tuple[str, str]]
    digest: str


def _look(survey: Survey, lake: Lake, edition: LakeEdition, digest: str) -> _News:
    known, anew = edition.known_files(), digest != edition.declaration
    todo, changed, kept = [], [], {}
    walk = LakeFiles(lake).walk()
    for file in walk:
        before = known.pop(file.path, None)
        if before is not None and not anew and (file.size, file.version) == (before.size, before.version):
            kept[file.path] = before
            continue
        todo.append(file)
        if before is not None:
            changed.append(before)
    vanished = []
    for path, missing in known.items():
        if path.startswith(tuple(walk.unreadable)):
            kept[path] = missing
        else:
            vanished.append(missing)
    if vanished and not todo and not kept:
        raise SurveyError(f"all files of the survey {survey.name} are gone; its index is left as it is")
    return _News(todo, changed, vanished, kept, len(walk.unreadable), walk.hidden, digest)


def _look_at(lake: Lake, edition: LakeEdition, path: str, digest: str) -> _News:
    """Look at one file. The others are still as another declaration had them read: its digest stays."""
    known = list(edition.known_files(path).values())
    digest = edition.declaration or digest
    try:
        found = LakeFiles(lake).find(path)
    except ImageRefused:
        if not known:
            raise
        return _News([], [], known, {}, 0, [], digest)
    for same in known:
        if (found.size, found.version) == (same.size, same.version):
            return _News([], [], [], {path: same}, 0, [], digest)
    return _News([found], known, [], {}, 0, [], digest)


def _readable(scans: Iterable[LakeScan]) -> list[LakeScan]:
    """Read files, and see that they can be read: one that cannot is being written, perhaps.

    Raises
    ------
    SurveyError
        If one cannot.
    """
    read = list(scans)
    for scan in read:
        if any(rows is None for rows, _ in scan.refused):
            raise SurveyError(f"{scan.found.name} cannot be read now")
    return read


def _is_much(lake: Lake, todo: Sequence[StoredFile]) -> bool:
    many = _MANY_REMOTE_FILES if lake.is_remote else _MANY_FILES
    return len(todo) > many or sum(file.size for file in todo) > _WORTH_PROCESSES


def _batches(scans: Iterable[LakeScan]) -> Iterator[list[LakeScan]]:
    """Files that are added together: each transaction waits for the disk."""
    batch: list[LakeScan] = []
    alerts = 0
    for scan in scans:
        batch.append(scan)
        alerts += len(scan.alerts)
        if alerts >= CHUNK or len(batch) >= _MOST_TOGETHER:
            yield batch
            batch, alerts = [], 0
    if batch:
        yield batch


def _told(rows: int | None, reason: str) -> str:
    return reason if rows is None else f"{rows} alert{'' if rows == 1 else 's'}: {reason}"


def _digest(survey: Survey) -> str:
    """Digest of all in a declaration that changes what the index says of a file."""
    lake = survey.lake
    assert lake is not None  # noqa: S101 -- told to the type checker
    words = [(band.label, band.words) for band in survey.bands]
    told = (words, lake.path, lake.columns, lake.stamps, lake.time_format, lake.time_scale)
    return hashlib.sha256(f"{READING} {told!r}".encode()).hexdigest()
