"""Bringing alerts that came as Avro files into a lake, as Parquet of which single stamps are cheap."""

from __future__ import annotations

import fcntl
import hashlib
import math
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from surveys.alerts.avro import AvroFile, AvroSchema, read_avro
from surveys.errors import BrokenImage, ImageRefused, StaleImage, SurveyError
from surveys.lake import Lake
from surveys.parquet.arrow import pyarrow
from surveys.parquet.files import LakeFiles
from surveys.parquet.footer import open_footer
from surveys.survey import Survey
from surveys.template import PathTemplate

_AVRO = ".avro"
#: Bytes of alerts that are held before they are written: a file has hardly more.
_HELD_BYTES = 64 << 20
#: Pages end at so many bytes, which is looked at after so many values: a page has a few stamps.
_PAGE_BYTES = 48 << 10
_VALUES_AT_ONCE = 2

_JD_OF_MJD_0 = 2400000.5
_DAY_OF_MJD_0 = date(1858, 11, 17).toordinal()
_MJD_LIMITS = (15020.0, 88069.0)
#: A night is called by the day of its morning, and ends at 20 h UTC: in daylight wherever alerts come from,
#: which is Palomar, Hawaii and Chile.
_NIGHT_ENDS_DAYS = 20 / 24

Progress = Callable[[int, int], None]
Known = Callable[[Sequence[int]], Collection[int]]


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did.

    Parameters
    ----------
    files
        Number of Avro files.
    added, known
        Alerts that are in the lake now, and those that were already.
    written
        Files of the lake that were written, by their paths below its root.
    refused
        Names of Avro files that were left out, each with the reason.
    """

    files: int
    added: int
    known: int
    written: tuple[str, ...]
    refused: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _Night:
    """Alerts of one night and one schema, not written yet."""

    schema: AvroSchema
    candids: list[int]
    tables: list[Any]


def import_avro(
    survey: Survey,
    named: Sequence[Path],
    *,
    known: Known = lambda candids: (),
    progress: Progress | None = None,
) -> ImportReport:
    """Write the alerts of Avro files into the lake of a survey, each of them once.

    Parameters
    ----------
    survey
        One of alerts; its lake is in a folder, and its columns are the fields of the alerts.
    named
        Files, and folders whose ``*.avro`` are meant, at whatever depth.
    known
        Tells which alerts the survey's index has.
    progress
        Called with the number of files read and to be read.

    Raises
    ------
    SurveyError
        If nothing can be imported into the survey, or another process imports into it.
    """
    lake = survey.lake
    if lake is None:
        raise SurveyError(f"{survey.name} is a survey of images: alerts go into one of kind alerts")
    if lake.is_remote:
        raise SurveyError(f"the lake of {survey.name} is at a URL: alerts are imported into folders only")
    files = list(_files(named))
    with _locked(Path(lake.root)):
        work = _Import(lake, known)
        for number, file in enumerate(files, 1):
            work.take(file)
            if progress is not None:
                progress(number, len(files))
        work.write()
    return ImportReport(len(files), work.added, work.known, tuple(work.written), tuple(work.refused))


class _Import:
    def __init__(self, lake: Lake, known: Known) -> None:
        self._lake = lake
        self._files = LakeFiles(lake)
        self._template = PathTemplate(lake.path)
        self._is_known = known
        self._held: dict[tuple[date, bytes], _Night] = {}
        self._held_bytes = 0
        self._of_nights: dict[date, set[int]] = {}
        self.added = self.known = 0
        self.written: list[str] = []
        self.refused: list[tuple[str, str]] = []

    def take(self, file: Path) -> None:
        """Read a file; what was read is written where it becomes much."""
        try:
            found = read_avro(file)
            parts = self._by_night(found)
        except ImageRefused as refusal:
            self.refused.append((file.name, str(refusal)))
            return
        for night, (candids, table) in parts.items():
            held = self._held.setdefault((night, found.schema.text), _Night(found.schema, [], []))
            held.candids += candids
            held.tables.append(table)
        self._held_bytes += found.size
        if self._held_bytes >= _HELD_BYTES:
            self.write()

    def write(self) -> None:
        """Write what is held."""
        for (night, _), held in self._held.items():
            self._write(night, held)
        self._held.clear()
        self._held_bytes = 0

    def _by_night(self, found: AvroFile) -> dict[date, tuple[list[int], Any]]:
        columns = self._lake.columns
        if not any(found.schema.find(kind.columns) for kind in self._lake.stamps):
            raise ImageRefused("it has none of the columns of stamps")
        nights: dict[date, list[tuple[int, Any]]] = {}
        for record in found.records:
            candid = _at(record, columns.candidate)
            if type(candid) is not int:
                raise ImageRefused(f"an alert has no number in {' or '.join(columns.candidate)}")
            nights.setdefault(self._night(record), []).append((candid, record))
        try:
            return {
                night: (
                    [candid for candid, _ in alerts],
                    pyarrow().Table.from_pylist([record for _, record in alerts], found.schema.table),
                )
                for night, alerts in nights.items()
            }
        except Exception as error:  # what pyarrow raises has many names
            raise ImageRefused("its alerts do not fit its schema") from error

    def _night(self, record: Any) -> date:
        time = _at(record, self._lake.columns.time)
        mjd = time - (_JD_OF_MJD_0 if self._lake.time_format == "jd" else 0) if _is_number(time) else math.nan
        if not _MJD_LIMITS[0] <= mjd < _MJD_LIMITS[1]:
            raise ImageRefused(f"an alert has no time in {' or '.join(self._lake.columns.time)}")
        return date.fromordinal(_DAY_OF_MJD_0 + math.floor(mjd + 1 - _NIGHT_ENDS_DAYS))

    def _write(self, night: date, held: _Night) -> None:
        folder = f"year={night.year:04}/month={night.month:02}/day={night.day:02}"
        there = self._candids_of(night, folder) | set(self._is_known(held.candids))
        fresh: list[bool] = []
        for candid in held.candids:
            fresh.append(candid not in there)
            there.add(candid)
        added = sum(fresh)
        self.known += len(fresh) - added
        if not added:
            return
        candids = [candid for candid, is_fresh in zip(held.candids, fresh, strict=True) if is_fresh]
        path = f"{folder}/alerts-{_digest(candids)}.parquet"
        if self._template.match(path) is None:
            raise SurveyError(f"{self._lake.path}, where the survey looks for files, does not match {path}")
        table = pyarrow().concat_tables(held.tables)
        if not all(fresh):
            table = table.filter(pyarrow().array(fresh))
        _write_table(table, held.schema, self._lake, Path(self._lake.root) / path)
        self._of_nights[night] |= set(candids)
        self.added += added
        self.written.append(path)

    def _candids_of(self, night: date, folder: str) -> set[int]:
        """Alerts of a night that the lake has, whether they are indexed or not."""
        if night not in self._of_nights:
            self._of_nights[night] = found = set()
            place = Path(self._lake.root) / folder
            for name in sorted(os.listdir(place)) if place.is_dir() else ():
                with suppress(ImageRefused, BrokenImage, StaleImage):  # which indexing names
                    file = self._files.find(f"{folder}/{name}")
                    footer = open_footer(self._files.open(file.path, file.size, file.version))
                    if (leaf := footer.find(self._lake.columns.candidate)) is not None:
                        found.update(footer.read([leaf.name])[leaf.name].to_pylist())
        return self._of_nights[night]


def _files(named: Sequence[Path]) -> Iterator[Path]:
    for path in named:
        if path.is_dir():
            found = sorted(path.rglob(f"*{_AVRO}"))
            yield from (file for file in found if file.is_file() and not file.name.startswith("."))
        else:
            yield path


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Have no other process import into a lake meanwhile."""
    root.mkdir(parents=True, exist_ok=True)
    lock = os.open(root / ".import.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SurveyError("another process imports alerts into this lake") from None
        yield
    finally:
        os.close(lock)


def _write_table(table: Any, schema: AvroSchema, lake: Lake, place: Path) -> None:
    """Write a file at once: whoever looks sees all of it, or nothing."""
    place.parent.mkdir(parents=True, exist_ok=True)
    for rest in place.parent.glob(".import-*"):  # of an import that was killed
        rest.unlink(missing_ok=True)
    temporary = place.with_name(f".import-{place.name}")
    stamps = {leaf for kind in lake.stamps if (leaf := schema.find(kind.columns))}
    others = [leaf for leaf in schema.leaves if leaf not in stamps]
    try:
        pyarrow().parquet.write_table(
            table,
            temporary,
            # Stamps as they are, so that few bytes are read for one; they are compressed already.
            compression=dict.fromkeys(stamps, "none") | dict.fromkeys(others, "zstd"),
            use_dictionary=others,
            write_statistics=others,
            data_page_size=_PAGE_BYTES,
            write_batch_size=_VALUES_AT_ONCE,
            write_page_checksum=True,
        )
        _sync(temporary)
        os.replace(temporary, place)
    finally:
        temporary.unlink(missing_ok=True)
    _sync(place.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _digest(candids: Sequence[int]) -> str:
    text = " ".join(map(str, sorted(candids)))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _at(record: Any, names: Sequence[str]) -> Any:
    """Value of the first of some columns that a record has."""
    for name in names:
        value = record
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None:
            return value
    return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
