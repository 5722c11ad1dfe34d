"""Writing the index: rows of a generation to come, and the one flip that publishes it.

Nothing here changes what a reader of the current generation sees, until `Edition.publish`.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Engine, delete, insert, select, update

from surveys.identifiers import safe_segment, told_apart
from surveys.index.hull import make_hulls, packed
from surveys.index.links import link_in_file, link_of
from surveys.index.scan import FileScan, ScannedHdu
from surveys.index.tables import (
    FOREVER,
    ArtifactRow,
    Base,
    CellRow,
    DatasetRow,
    FileRow,
    GenerationRow,
    HeaderRow,
    SurveyRow,
)
from surveys.survey import Survey

#: Rows of one statement, and files of one transaction: others want to write as well.
CHUNK = 500
KEEP_OLD = timedelta(hours=24)

_DIGITS = re.compile(r"\d+")
_VERSIONED = (FileRow, DatasetRow, ArtifactRow)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file as the index has it."""

    id: int
    path: str
    size: int
    mtime_ns: int
    sha256: str | None
    refused: tuple[tuple[int | None, str], ...]


class Edition:
    """The next generation of a survey's index, while it is written.

    Opening it clears away what an indexer that died has left behind, and generations that ended long ago.
    The caller holds the survey's lock.
    """

    def __init__(self, engine: Engine, survey: Survey, now: datetime) -> None:
        self._engine = engine.execution_options(writes=True)
        self._survey = survey
        self._now = now
        with self._engine.begin() as connection:
            self._id, self.current, self.declaration = survey_row(connection, survey.name, now)
        self.generation = self.current + 1
        self._undo()
        purge(self._engine, self._id, now - KEEP_OLD)

    def known_files(self) -> dict[str, KnownFile]:
        """Every file of the current generation, by its path."""
        columns = (FileRow.id, FileRow.path, FileRow.size, FileRow.mtime_ns, FileRow.sha256, FileRow.refused)
        query = select(*columns).where(FileRow.survey_id == self._id, FileRow.gen_to == FOREVER)
        with self._engine.connect() as connection:
            return {
                row.path: KnownFile(
                    row.id,
                    row.path,
                    row.size,
                    row.mtime_ns,
                    row.sha256,
                    tuple((hdu, why) for hdu, why in row.refused),
                )
                for row in connection.execute(query)
            }

    def end_files(self, files: Sequence[KnownFile]) -> None:
        """Let files end with the current generation, and all that came from them."""
        for chunk in in_chunks(files):
            ids = [file.id for file in chunk]
            with self._engine.begin() as connection:
                owned = select(ArtifactRow.dataset_id).where(
                    ArtifactRow.file_id.in_(ids), ArtifactRow.dataset_id.is_not(None)
                )
                for table, condition in (
                    (DatasetRow, DatasetRow.id.in_(owned)),
                    (ArtifactRow, ArtifactRow.file_id.in_(ids)),
                    (FileRow, FileRow.id.in_(ids)),
                ):
                    connection.execute(
                        update(table).where(condition, table.gen_to == FOREVER).values(gen_to=self.generation)
                    )

    def add(self, scans: Sequence[FileScan]) -> list[FileScan]:
        """Add files, in one transaction; they come back with what was refused of them in the end."""
        with self._engine.begin() as connection:
            return [self._add_file(connection, scan) for scan in scans]

    def publish(self, declaration: str) -> None:
        """Make the new generation the one that is read."""
        reading = self._engine.execution_options(writes=False)
        values = {"survey_id": self._id, "number": self.generation, "published": self._now}
        hulls = packed(make_hulls(reading.connect, self._id, self.generation))
        with self._engine.begin() as connection:
            connection.execute(insert(GenerationRow).values(**values, hulls=hulls))
            connection.execute(
                update(SurveyRow)
                .where(SurveyRow.id == self._id)
                .values(generation=self.generation, last_modified=self._now, declaration=declaration)
            )
        self.current = self.generation

    def _undo(self) -> None:
        """Drop rows that were never published, and let those that were ended for them go on."""
        _delete_files(self._engine, self._id, FileRow.gen_from > self.current)
        ended = (FileRow.survey_id == self._id, FileRow.gen_to > self.current, FileRow.gen_to < FOREVER)
        with self._engine.connect() as connection:
            if connection.execute(select(FileRow.id).where(*ended).limit(1)).first() is None:
                return
        with self._engine.begin() as connection:
            for table in _VERSIONED:
                connection.execute(
                    update(table)
                    .where(table.survey_id == self._id, table.gen_to > self.current, table.gen_to < FOREVER)
                    .values(gen_to=FOREVER)
                )

    def _add_file(self, connection: Connection, scan: FileScan) -> FileScan:
        refused = list(scan.refused)
        file_id = inserted_key(
            connection,
            FileRow,
            survey_id=self._id,
            path=scan.found.path,
            size=scan.found.size,
            mtime_ns=scan.found.mtime_ns,
            sha256=scan.sha256,
            refused=[],
            gen_from=self.generation,
            gen_to=FOREVER,
        )
        for hdu in scan.hdus:
            reason = (
                self._add_image(connection, scan, file_id, hdu)
                if hdu.sky is not None
                else self._add_layer(connection, scan, file_id, hdu)
            )
            if reason:
                refused.append((hdu.hdu, reason))
        if refused:
            connection.execute(update(FileRow).where(FileRow.id == file_id).values(refused=refused))
        return FileScan(scan.found, scan.sha256, scan.hdus, tuple(refused))

    def _add_image(self, connection: Connection, scan: FileScan, file_id: int, hdu: ScannedHdu) -> str | None:
        """Add an image and its dataset; the reason if its identifier is taken."""
        key, reason = self._free_key(connection, hdu)
        if key is None:
            return reason
        dataset_id = inserted_key(connection, DatasetRow, **self._dataset(key, hdu))
        assert hdu.sky is not None  # noqa: S101 -- told to the type checker
        connection.execute(
            insert(CellRow),
            [
                {"survey_id": self._id, "level": hdu.sky.level, "start": start, "dataset_id": dataset_id}
                for start in hdu.sky.cells
            ],
        )
        self._add_artifact(connection, file_id, hdu, dataset_id, None)
        return None

    def _free_key(self, connection: Connection, hdu: ScannedHdu) -> tuple[str | None, str]:
        """Find an identifier for an image, or tell why there is none."""
        folder = f"{self._survey.name}/{hdu.band}"
        plain = safe_segment(hdu.name)
        names = [plain] if plain == hdu.name else [plain, told_apart(hdu.name)]
        twin = ""
        for name in names:
            key = f"{folder}/{name}"
            holder = connection.execute(
                select(DatasetRow.key).where(
                    DatasetRow.survey_id == self._id,
                    DatasetRow.key_lower == key.lower(),
                    DatasetRow.gen_to == FOREVER,
                )
            ).scalar()
            if holder is None:
                return key, ""
            twin = holder
        if twin != key:
            return None, f"its identifier {key} differs from {twin} by case alone"
        return (
            None,
            f"another image is {twin} already; tell them apart by a `dataset` template",
        )

    def _dataset(self, key: str, hdu: ScannedHdu) -> dict[str, Any]:
        sky, survey = hdu.sky, self._survey
        assert sky is not None  # noqa: S101 -- told to the type checker
        assert hdu.band is not None  # noqa: S101
        em_min_m, em_max_m = sky.em_m or (survey.band(hdu.band).em_min_m, survey.band(hdu.band).em_max_m)
        preferred = survey.prefer.field if survey.prefer else None
        tile = {name: value for name, value in hdu.fields.items() if name != preferred}
        shape = hdu.pixels.shape
        return {
            "survey_id": self._id,
            "key": key,
            "key_lower": key.lower(),
            "band": hdu.band,
            "fields": hdu.fields,
            "tag": hdu.tag,
            "tile": json.dumps([sorted(tile.items()), hdu.tag]),
            "preference": natural_order(hdu.fields[preferred]) if preferred else "",
            "cover": sky.cover,
            "s_ra": sky.s_ra_deg,
            "s_dec": sky.s_dec_deg,
            "s_fov": sky.s_fov_deg,
            "s_region": sky.s_region,
            "s_xel1": shape[-1 - hdu.x_axis],
            "s_xel2": shape[-1 - hdu.y_axis],
            "s_pixel_scale_deg": sky.pixel_scale_deg,
            "t_min": sky.times.t_min,
            "t_max": sky.times.t_max,
            "t_exptime": sky.times.t_exptime,
            "em_min": em_min_m,
            "em_max": em_max_m,
            "pol_states": "/".join(sky.pol_states),
            "calib_level": survey.calib_level,
            "attributes": sky.attributes,
            "gen_from": self.generation,
            "gen_to": FOREVER,
        }

    def _add_layer(self, connection: Connection, scan: FileScan, file_id: int, hdu: ScannedHdu) -> str | None:
        """Add a weight, mask or psf; the reason if the image has one already."""
        layer = next(layer for layer in self._survey.layers if layer.role == hdu.role)
        if layer.own_files:
            link = link_of(hdu.role, hdu.fields, hdu.band, hdu.tag)
        else:
            link = link_in_file(hdu.role, scan.found.path, hdu.tag)
        taken = connection.execute(
            select(ArtifactRow.id).where(
                ArtifactRow.survey_id == self._id, ArtifactRow.link == link, ArtifactRow.gen_to == FOREVER
            )
        ).first()
        if taken:
            return f"another file is the {hdu.role} of the same image already"
        self._add_artifact(connection, file_id, hdu, None, link)
        return None

    def _add_artifact(
        self, connection: Connection, file_id: int, hdu: ScannedHdu, dataset_id: int | None, link: str | None
    ) -> None:
        pixels = hdu.pixels
        connection.execute(
            insert(ArtifactRow).values(
                survey_id=self._id,
                file_id=file_id,
                dataset_id=dataset_id,
                role=hdu.role,
                link=link,
                state="ready",
                hdu=hdu.hdu,
                extname=hdu.extname,
                storage=pixels.storage,
                data_offset=pixels.data_offset,
                shape=list(pixels.shape),
                x_axis=hdu.x_axis,
                y_axis=hdu.y_axis,
                bitpix=pixels.bitpix,
                bscale=pixels.bscale,
                bzero=pixels.bzero,
                blank=pixels.blank,
                wcs_text=hdu.wcs_text,
                header_id=_header_id(connection, self._id, pixels.text),
                ztiles=None if pixels.ztiles is None else asdict(pixels.ztiles),
                indexed_at=self._now.replace(microsecond=0),
                gen_from=self.generation,
                gen_to=FOREVER,
            )
        )


def purge(engine: Engine, survey_id: int, before: datetime) -> None:
    """Delete the rows that ended with a generation published before a moment, a chunk at a time.

    Who read the pointer before that moment may no longer find them.
    """
    last = last_published(engine, survey_id, before)
    if last is not None:
        _delete_files(engine, survey_id, FileRow.gen_to <= last)


def last_published(engine: Engine, survey_id: int, before: datetime) -> int | None:
    """Newest generation of a survey that was published before a moment; None where there is none."""
    newest = (
        select(GenerationRow.number)
        .where(GenerationRow.survey_id == survey_id, GenerationRow.published < before)
        .order_by(GenerationRow.number.desc())
        .limit(1)
    )
    with engine.connect() as connection:
        return connection.execute(newest).scalar()


def natural_order(value: str) -> str:
    """Text that sorts as a reader sorts `value`: numbers in it by their size."""
    return _DIGITS.sub(lambda digits: digits[0].lstrip("0").rjust(20, "0"), value)


def survey_row(connection: Connection, name: str, now: datetime) -> tuple[int, int, str]:
    """Key, generation and digest of the declaration of a survey, whose row is made where there is none."""
    row = connection.execute(select(SurveyRow).where(SurveyRow.name == name)).first()
    if row is None:
        survey_id = inserted_key(
            connection, SurveyRow, name=name, generation=0, last_modified=now, declaration=""
        )
        return survey_id, 0, ""
    return row.id, row.generation, row.declaration


def _delete_files(engine: Engine, survey_id: int, condition: ColumnElement[bool]) -> None:
    """Delete files and all that came from them; a file, its datasets and artifacts end together."""
    some = select(FileRow.id).where(FileRow.survey_id == survey_id, condition).limit(CHUNK)
    while True:
        with engine.begin() as connection:
            files = list(connection.execute(some).scalars())
            if not files:
                return
            owned = select(ArtifactRow.dataset_id, ArtifactRow.header_id).where(
                ArtifactRow.file_id.in_(files)
            )
            rows = connection.execute(owned).all()
            datasets = [row.dataset_id for row in rows if row.dataset_id is not None]
            headers = {row.header_id for row in rows}
            connection.execute(delete(ArtifactRow).where(ArtifactRow.file_id.in_(files)))
            for chunk in in_chunks(datasets):
                connection.execute(delete(CellRow).where(CellRow.dataset_id.in_(chunk)))
                connection.execute(delete(DatasetRow).where(DatasetRow.id.in_(chunk)))
            for chunk in in_chunks(sorted(headers)):
                used = select(ArtifactRow.header_id).where(ArtifactRow.header_id.in_(chunk))
                connection.execute(
                    delete(HeaderRow).where(HeaderRow.id.in_(chunk), HeaderRow.id.not_in(used))
                )
            connection.execute(delete(FileRow).where(FileRow.id.in_(files)))


def inserted_key(connection: Connection, table: type[Base], **values: Any) -> int:
    """Insert a row; the key it got."""
    result = connection.execute(insert(table).values(**values))
    key = result.inserted_primary_key
    assert key is not None  # noqa: S101 -- told to the type checker
    return int(key[0])


def _header_id(connection: Connection, survey_id: int, text: str) -> int:
    digest = hashlib.sha256(text.encode()).hexdigest()
    found = connection.execute(
        select(HeaderRow.id).where(HeaderRow.survey_id == survey_id, HeaderRow.digest == digest)
    ).scalar()
    if found is not None:
        return found
    deflated = zlib.compress(text.encode(), 6)
    return inserted_key(connection, HeaderRow, survey_id=survey_id, digest=digest, deflated=deflated)


def in_chunks(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    """Part rows into as many as one statement takes."""
    for start in range(0, len(rows), CHUNK):
        yield rows[start : start + CHUNK]
