"""Writing the index of alerts: files of a generation to come, and the one flip that publishes it.

Nothing here changes what a reader of the current generation sees, until `LakeEdition.publish`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, Engine, and_, delete, insert, or_, select, update

from surveys.errors import SurveyError
from surveys.index.alerts.bulk import copy_rows, delete_pairs
from surveys.index.alerts.columns import Alerts
from surveys.index.alerts.cover import cover_of
from surveys.index.alerts.scan import LakeScan
from surveys.index.alerts.tables import (
    AlertCandidRow,
    AlertCellRow,
    AlertObjectRow,
    AlertRow,
    LakeFileRow,
    LakeKeyRow,
    LakePagesRow,
)
from surveys.index.alerts.units import DEGREE, Integers, cells_at, digest_of
from surveys.index.store import KEEP_OLD, in_chunks, inserted_key, last_published, survey_row
from surveys.index.tables import FOREVER, GenerationRow, SurveyRow
from surveys.survey import Survey

#: Alerts of one transaction: others want to write as well.
CHUNK = 50_000
#: Alerts that wait in memory for their place in the tables they are looked up by, 40 bytes each.
WAITING = 2_000_000


@dataclass(frozen=True, slots=True)
class KnownLakeFile:
    """A file as the index has it."""

    id: int
    path: str
    size: int
    version: str
    refused: tuple[tuple[int | None, str], ...]


class LakeEdition:
    """The next generation of the index of a survey of alerts, while it is written.

    Opening it clears away what an indexer that died has left behind, and generations that ended long ago.
    The caller holds the survey's lock.

    Parameters
    ----------
    engine, survey, now
        Where, of what and when.
    in_passing
        Whether somebody waits meanwhile: nothing is cleared away then, which may take minutes.

    Raises
    ------
    SurveyError
        If something has to be cleared away first, and somebody waits.
    """

    def __init__(self, engine: Engine, survey: Survey, now: datetime, *, in_passing: bool = False) -> None:
        self._engine = engine.execution_options(writes=True)
        self._now = now
        self._lookups = _Lookups()
        with self._engine.begin() as connection:
            self._id, self.current, self.declaration = survey_row(connection, survey.name, now)
        self.generation = self.current + 1
        if in_passing:
            self._expect_nothing_left(survey.name)
            return
        self._undo()
        if (last := last_published(self._engine, self._id, now - KEEP_OLD)) is not None:
            self._delete_files(LakeFileRow.gen_to <= last)

    def known_files(self, path: str | None = None) -> dict[str, KnownLakeFile]:
        """Every file of the current generation, or the one of a path, by its path."""
        row = LakeFileRow
        query = select(row.id, row.path, row.size, row.version, row.refused).where(
            row.survey_id == self._id, row.gen_to == FOREVER
        )
        if path is not None:
            query = query.where(row.path == path)
        with self._engine.connect() as connection:
            return {
                known.path: KnownLakeFile(
                    known.id,
                    known.path,
                    known.size,
                    known.version,
                    tuple((rows, why) for rows, why in known.refused),
                )
                for known in connection.execute(query)
            }

    def end_files(self, files: Sequence[KnownLakeFile]) -> None:
        """Let files end with the current generation, and their alerts with them."""
        for chunk in in_chunks(files):
            with self._engine.begin() as connection:
                connection.execute(
                    update(LakeFileRow)
                    .where(LakeFileRow.id.in_([file.id for file in chunk]), LakeFileRow.gen_to == FOREVER)
                    .values(gen_to=self.generation)
                )

    def add(self, scans: Sequence[LakeScan]) -> None:
        """Add files and their alerts: of small files all at once, of a large one a part after the other."""
        with self._engine.begin() as connection:
            firsts = [self._add_file(connection, scan) for scan in scans]
            together = sum(len(scan.alerts) for scan in scans) <= CHUNK
            if together:
                for first_id, scan in zip(firsts, scans, strict=True):
                    _copy_alerts(connection, first_id, scan.alerts, slice(None))
        for first_id, scan in zip(firsts, scans, strict=True):
            for start in range(0, 0 if together else len(scan.alerts), CHUNK):
                with self._engine.begin() as connection:
                    _copy_alerts(connection, first_id, scan.alerts, slice(start, start + CHUNK))
            self._lookups.add(first_id, scan.alerts)
        if self._lookups.waiting >= WAITING:
            self._lookups.write(self._engine)

    def publish(self, declaration: str) -> None:
        """Make the new generation the one that is read."""
        self._lookups.write(self._engine)
        values = {"survey_id": self._id, "number": self.generation, "published": self._now}
        with self._engine.begin() as connection:
            connection.execute(insert(GenerationRow).values(**values))
            connection.execute(
                update(SurveyRow)
                .where(SurveyRow.id == self._id)
                .values(generation=self.generation, last_modified=self._now, declaration=declaration)
            )
        self.current = self.generation

    def _add_file(self, connection: Connection, scan: LakeScan) -> int:
        """Add a file without its alerts: the key of its first row."""
        # A key for each row, of which there is one at least: the first keys of files differ.
        first_id = _next_keys(connection, max(scan.rows, 1))
        file_id = inserted_key(connection, LakeFileRow, **self._file(scan, first_id))
        pages = [{"file_id": file_id, "kind": kind, "packed": packed} for kind, packed in scan.pages.items()]
        if pages:
            connection.execute(insert(LakePagesRow), pages)
        return first_id

    def _file(self, scan: LakeScan, first_id: int) -> dict[str, Any]:
        alerts = scan.alerts
        mjd = alerts.mjd
        return {
            "survey_id": self._id,
            "path": scan.found.path,
            "size": scan.found.size,
            "version": scan.found.version,
            "first_id": first_id,
            "rows": scan.rows,
            "bands": [list(band) for band in scan.bands],
            "refused": [list(refusal) for refusal in scan.refused],
            "first_mjd": int(mjd.min()) if len(mjd) else None,
            "last_mjd": int(mjd.max()) if len(mjd) else None,
            "cover": cover_of(alerts.ra / DEGREE, alerts.dec / DEGREE) if len(alerts) else None,
            "gen_from": self.generation,
            "gen_to": FOREVER,
        }

    def _expect_nothing_left(self, name: str) -> None:
        row = LakeFileRow
        ended = and_(row.gen_to > self.current, row.gen_to < FOREVER)
        query = select(row.id).where(row.survey_id == self._id, or_(row.gen_from > self.current, ended))
        with self._engine.connect() as connection:
            if connection.execute(query.limit(1)).first() is not None:
                raise SurveyError(f"an indexer of {name} has died: the next one clears away what it left")

    def _undo(self) -> None:
        """Drop rows that were never published, and let files that were ended for them go on."""
        row = LakeFileRow
        self._delete_files(row.gen_from > self.current)
        with self._engine.begin() as connection:
            connection.execute(
                update(row)
                .where(row.survey_id == self._id, row.gen_to > self.current, row.gen_to < FOREVER)
                .values(gen_to=FOREVER)
            )

    def _delete_files(self, condition: ColumnElement[bool]) -> None:
        """Delete files and all that came from them, a file at a time, its alerts first."""
        row = LakeFileRow
        query = select(row.id, row.first_id, row.rows).where(row.survey_id == self._id, condition)
        with self._engine.connect() as connection:
            files = connection.execute(query).all()
        for file in files:
            for start in range(file.first_id, file.first_id + file.rows, CHUNK):
                self._delete_alerts(start, min(start + CHUNK, file.first_id + file.rows))
            with self._engine.begin() as connection:
                connection.execute(delete(LakePagesRow).where(LakePagesRow.file_id == file.id))
                connection.execute(delete(row).where(row.id == file.id))

    def _delete_alerts(self, first: int, end: int) -> None:
        alert = AlertRow
        keys = (alert.id >= first, alert.id < end)
        with self._engine.begin() as connection:
            query = select(alert.id, alert.candid, alert.object, alert.object_number, alert.ra, alert.dec)
            found = connection.execute(query.where(*keys)).all()
            ids = [gone.id for gone in found]
            cells = cells_at(np.array([gone.ra for gone in found]), np.array([gone.dec for gone in found]))
            names = [(gone.object or str(gone.object_number or ""), gone.id) for gone in found]
            named = [(digest_of(name), key) for name, key in names if name]
            delete_pairs(connection, AlertCandidRow, [(gone.candid, gone.id) for gone in found])
            delete_pairs(connection, AlertCellRow, list(zip(cells.tolist(), ids, strict=True)))
            delete_pairs(connection, AlertObjectRow, named)
            connection.execute(delete(alert).where(*keys))


class _Lookups:
    """What alerts are looked up by, until it is written in the order of its tables: each page once."""

    def __init__(self) -> None:
        self._waiting: dict[type, list[tuple[Integers, Integers]]] = {}
        self.waiting = 0

    def add(self, first_id: int, alerts: Alerts) -> None:
        ids = first_id + alerts.row
        digests, named = alerts.digests()
        for table, values, keys in (
            (AlertCandidRow, alerts.candid, ids),
            (AlertCellRow, alerts.cell, ids),
            (AlertObjectRow, digests, ids[named]),
        ):
            self._waiting.setdefault(table, []).append((values, keys))
        self.waiting += len(ids)

    def write(self, engine: Engine) -> None:
        for table, pairs in self._waiting.items():
            values, keys = (np.concatenate(column) for column in zip(*pairs, strict=True))
            order = np.lexsort((keys, values))
            for start in range(0, len(order), CHUNK):
                some = order[start : start + CHUNK]
                with engine.begin() as connection:
                    copy_rows(connection, table, [values[some].tolist(), keys[some].tolist()])
        self._waiting = {}
        self.waiting = 0


def _copy_alerts(connection: Connection, first_id: int, alerts: Alerts, some: slice) -> None:
    copy_rows(connection, AlertRow, [(first_id + alerts.row[some]).tolist(), *alerts.columns(some)])


def _next_keys(connection: Connection, count: int) -> int:
    """Take so many keys, which nobody else gets: the first of them."""
    query = update(LakeKeyRow).values(next_id=LakeKeyRow.next_id + count).returning(LakeKeyRow.next_id)
    return int(connection.execute(query).scalar_one()) - count
