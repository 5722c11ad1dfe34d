"""Reading the image index: the few questions a cutout asks, each answered by one query or from memory."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from lsst.sphgeom import Region
from sqlalchemy import Connection, Engine, Row, Select, func, select

from surveys.access import EVERYBODY, Reader
from surveys.errors import BrokenImage, ImageRefused, StaleImage, TooLarge, UnknownDataset
from surveys.identifiers import is_layer
from surveys.image import ImageRecord
from surveys.index.alerts.catalog import AlertCatalog
from surveys.index.alerts.facts import describe_alerts
from surveys.index.candidates import CELLS_KEPT, FEW, Candidate, Neighbour, overlapping
from surveys.index.cells import DEEPEST_LEVEL, ranges_at
from surveys.index.companions import read_companions, rows_of_images
from surveys.index.facts import PLACE_BY_KEY, PLACE_IN_BAND, DatasetFacts, facts_of_bands, facts_of_image
from surveys.index.files import resolve
from surveys.index.queries import (
    HEADER,
    IMAGE_BY_ID,
    IMAGE_BY_KEY,
    POINTER,
    Order,
    band_names,
    candidates_in,
    candidates_sql,
    range_names,
    valid_in,
)
from surveys.index.records import image_of
from surveys.index.tables import (
    CellRow,
    DatasetRow,
    FileRow,
    SurveyRow,
)
from surveys.lru import Lru
from surveys.survey import Survey

#: More images than this are not looked at for one region.
MOST_CANDIDATES = 10_000

_RECORDS_KEPT = 20_000
HEADERS_KEPT = 2_000


@dataclass(frozen=True, slots=True)
class Holdings:
    """How much the index has of a survey: images by band, files, and files of which something was refused."""

    generation: int
    last_modified: datetime | None
    images: Mapping[str, int]
    files: int
    refused: int


class Catalog:
    """The index of some surveys: of images, and by `alerts` of alerts. One for all threads.

    Parameters
    ----------
    engine
        Of a database whose tables are up to date.
    surveys
        The surveys declared; whatever else is in the index does not exist.
    kept_s
        How long an answer of `generation` is taken to hold: a new index appears after this time at the
        latest. 0 asks the database each time.
    overviews
        Folder of the overviews of images; None where there are none.
    maps_lakes
        Whether files of lakes are mapped.
    """

    def __init__(
        self,
        engine: Engine,
        surveys: Sequence[Survey],
        kept_s: float = 0.0,
        overviews: Path | None = None,
        *,
        maps_lakes: bool = False,
    ) -> None:
        self.overviews = overviews
        self._engine = _with_single_reads(engine)
        self.surveys = tuple(surveys)
        self._surveys = {survey.name.lower(): survey for survey in surveys}
        self._kept_s = kept_s
        self._generations: dict[str, tuple[int, float]] = {}
        self._ids: dict[str, int] = {}
        self._levels: Lru[tuple[str, int], tuple[int, ...]] = Lru(256)
        self._neighbours: Lru[object, tuple[Neighbour, ...]] = Lru(CELLS_KEPT)
        self._by_key: Lru[tuple[str, int], ImageRecord] = Lru(_RECORDS_KEPT)
        self._by_id: Lru[int, ImageRecord] = Lru(_RECORDS_KEPT)
        self._headers: Lru[int, str] = Lru(HEADERS_KEPT)
        self.alerts = AlertCatalog(self, self._engine, engine, is_mapped=maps_lakes)

    def survey(self, name: str) -> Survey:
        """Survey of this name; case does not matter.

        Raises
        ------
        UnknownDataset
            If there is none.
        """
        try:
            return self._surveys[name.lower()]
        except KeyError:
            raise UnknownDataset(f"there is no survey {name!r}") from None

    def generation(self, survey: str) -> int:
        """Read which generation of a survey's index counts now; 0 before there is any.

        Read it once for a request and hand it to every other question.
        """
        kept, now = self._generations, time.monotonic()
        generation, until = kept.get(survey, (0, 0.0))
        if now < until:
            return generation
        row = self._one(POINTER, name=survey)
        if row is None:
            return 0
        self._ids[survey] = row.id
        kept[survey] = row.generation, now + self._kept_s
        return int(row.generation)

    def refresh(self) -> None:
        """Forget the generations that are kept, since one of them has shown to be old."""
        # A new dictionary: who is asking the database at this moment keeps the answer in the old one.
        self._generations = {}

    def record(self, dataset: str, generation: int) -> ImageRecord:
        """Image of a dataset ``survey/band/image``, or its layer ``…/weight``; case does not matter.

        Raises
        ------
        UnknownDataset
            If there is none in this generation.
        """
        key = dataset.lower()
        return self._by_key.get((key, generation), lambda: self._read_record(dataset, generation))

    def artifact(self, artifact_id: int) -> ImageRecord:
        """Image by its key in the index, of any generation that is kept; other layers have no such way.

        Raises
        ------
        StaleImage
            If it is no longer there.
        """
        return self._by_id.get(artifact_id, lambda: self._read_artifact(artifact_id))

    def companions(self, image: ImageRecord, generation: int) -> dict[str, ImageRecord]:
        """Weight, mask and psf of an image, as far as there are any, by role."""
        return self.companions_of([image], generation)[image.artifact_id]

    def companions_of(
        self, images: Sequence[ImageRecord], generation: int
    ) -> dict[int, dict[str, ImageRecord]]:
        """Weight, mask and psf of images of one survey, where there are any: by artifact, then by role."""
        survey = self.survey(images[0].survey)
        with self._engine.connect() as connection:
            return read_companions(connection, survey, self.key_of(survey.name), images, generation)

    def attributes(self, image: ImageRecord) -> Mapping[str, Any]:
        """Find what else is known of an image: its zero point (``zeropoint_mag``), its ``unique`` area."""
        return self.attributes_of([image])[image.artifact_id]

    def attributes_of(self, images: Sequence[ImageRecord]) -> dict[int, Mapping[str, Any]]:
        """Find the `attributes` of some images, by artifact."""
        with self._engine.connect() as connection:
            rows = rows_of_images(connection, images, DatasetRow.attributes)
        return {
            key: {name: value for name, value in row.attributes.items() if name != "tables"}
            for key, row in rows.items()
        }

    def describe(self, dataset: str, reader: Reader = EVERYBODY) -> DatasetFacts:
        """Tell what can be had of an image, a survey band, a survey or an alert; case does not matter.

        Parameters
        ----------
        dataset
            That the reader may read, but for single alerts of an object.
        reader
            Who asks.

        Raises
        ------
        AccessDenied
            If an object has no alert that is open to them.
        UnknownDataset
            If there is none of this name, or it has no image.
        TooLarge
            If an object has more alerts than are looked up.
        """
        name, *rest = dataset.split("/")
        survey = self.survey(name)
        if survey.lake is not None:
            return describe_alerts(survey, survey.lake, dataset, self.alerts, reader)
        generation = self.generation(survey.name)
        known = {"survey_id": self.key_of(survey.name), "generation": generation}
        if len(rest) >= 2:
            image = self.record(dataset, generation)
            own = image.dataset.rpartition("/")[0] if is_layer(image.dataset) else image.dataset
            place = self._one(PLACE_BY_KEY, key=own.lower(), **known)
            if place is None:
                raise UnknownDataset(f"there is no image {dataset!r}")
            return facts_of_image(survey, image, place)
        bands = [survey.band(rest[0])] if rest else survey.bands
        found = [self._one(PLACE_IN_BAND, band=band.label, **known) for band in bands]
        places = [place for place in found if place is not None]
        if not places:
            raise UnknownDataset(f"{dataset} has no images")
        spelled = f"{survey.name}/{bands[0].label}" if rest else survey.name
        return facts_of_bands(survey, spelled, places)

    def header_text(self, record: ImageRecord) -> str:
        """Cards of an image's header, 80 characters each, inherited ones among them, without END."""
        return self._headers.get(record.header_key, lambda: self._read_header(record))

    def search(
        self,
        survey: str,
        bands: Sequence[str],
        region: Region,
        generation: int,
        at_most: int = MOST_CANDIDATES,
    ) -> list[Candidate]:
        """Images of some bands of a survey whose footprints overlap a region, the nearest first.

        Between reprocessings of a tile only the preferred one is found.

        Raises
        ------
        TooLarge
            If more than `at_most` images may overlap it.
        """
        declared = self.survey(survey)
        ranges = tuple(ranges_at(region, self.levels(declared.name, generation)))
        if not ranges or not bands:
            return []
        # Small regions have the cells of the images about them, so that others have had the same before. What
        # a generation has of them never changes.
        neighbours = self._neighbours.get(
            (declared.name, generation, tuple(bands), ranges, at_most),
            lambda: self._read_neighbours(declared, bands, ranges, generation, at_most),
            worth=lambda found: len(found) <= FEW,
        )
        return overlapping(neighbours, region)

    def _read_neighbours(
        self,
        survey: Survey,
        bands: Sequence[str],
        ranges: Sequence[tuple[int, int, int]],
        generation: int,
        at_most: int,
    ) -> tuple[Neighbour, ...]:
        values: dict[str, object] = {"survey_id": self.key_of(survey.name), "generation": generation}
        values["most"] = at_most + 1
        values |= zip(band_names(len(bands)), bands, strict=True)
        for number, limits in enumerate(ranges):
            values |= zip(range_names(number), limits, strict=True)
        rows = self._rows_near(
            len(ranges), len(bands), survey.prefer.order if survey.prefer else None, values
        )
        if len(rows) > at_most:
            raise TooLarge(f"the region touches more than {at_most} images: ask for a smaller region")
        return tuple(map(Neighbour.of, rows))

    def _rows_near(
        self, ranges: int, bands: int, prefer: Order | None, values: dict[str, object]
    ) -> Sequence[Sequence[Any]]:
        if self._engine.dialect.name != "sqlite":
            with self._engine.connect() as connection:
                return connection.execute(candidates_in(ranges, bands, prefer), values).all()
        # What SQLAlchemy does around this query takes ten times as long as SQLite.
        sql, own_values = candidates_sql(ranges, bands, prefer)
        with closing(self._engine.raw_connection()) as connection:
            cursor = connection.cursor()
            cursor.execute(sql, own_values | values)
            return cursor.fetchall()

    def levels(self, survey: str, generation: int) -> tuple[int, ...]:
        """Levels of the cells under which the images of a survey are kept."""
        return self._levels.get((survey, generation), lambda: self._read_levels(survey))

    def key_of(self, survey: str) -> int:
        """Key of a survey in the index, -1 if it is not in it."""
        if survey not in self._ids:
            self.generation(survey)
        return self._ids.get(survey, -1)

    def place(self, record: ImageRecord) -> str:
        """Where the file of an image is to be found; symbolic links may stand in the way."""
        *others, last = [f"{root}/{record.file.path}" for root in self.survey(record.survey).roots]
        return next(filter(os.path.exists, others), last)

    def path(self, record: ImageRecord) -> Path:
        """Where the file of an image really lies, inside the survey's folders.

        Raises
        ------
        BrokenImage
            If it is gone, or a symbolic link now leads elsewhere.
        """
        try:
            return resolve(self.survey(record.survey).roots, record.file.path)
        except ImageRefused as refusal:
            raise BrokenImage(f"{record.file.name} cannot be read: {refusal}") from refusal

    def holdings(self, survey: str) -> Holdings:
        """Count what the index has of a survey; of one of alerts, those are its images."""
        declared = self.survey(survey)
        name = declared.name
        with self._engine.connect() as connection:
            row = connection.execute(select(SurveyRow).where(SurveyRow.name == name)).first()
            if row is None:
                return Holdings(0, None, {}, 0, 0)
            if declared.lake is not None:
                held = self.alerts.holdings(declared)
                return Holdings(row.generation, row.last_modified, held.alerts, held.files, held.refused)
            images = connection.execute(
                select(DatasetRow.band, func.count())
                .where(DatasetRow.survey_id == row.id, *valid_in(DatasetRow, row.generation))
                .group_by(DatasetRow.band)
            )
            counts = {band: int(count) for band, count in images}
            files = connection.execute(
                select(FileRow.refused).where(FileRow.survey_id == row.id, *valid_in(FileRow, row.generation))
            )
            refused = [bool(reasons) for (reasons,) in files]
        in_order = {band.label: counts.get(band.label, 0) for band in declared.bands}
        return Holdings(row.generation, row.last_modified, in_order, len(refused), sum(refused))

    def datasets(self, survey: str, generation: int) -> list[str]:
        """List the identifiers of every image of a survey, in the order they were added."""
        name = self.survey(survey).name
        query = select(DatasetRow.key).where(
            DatasetRow.survey_id == self.key_of(name), *valid_in(DatasetRow, generation)
        )
        with self._engine.connect() as connection:
            return list(connection.execute(query.order_by(DatasetRow.id)).scalars())

    def _read_record(self, dataset: str, generation: int) -> ImageRecord:
        survey = self.survey(dataset.partition("/")[0])
        survey_id = self.key_of(survey.name)
        row = self._one(IMAGE_BY_KEY, survey_id=survey_id, key=dataset.lower(), generation=generation)
        if row is None:
            return self._read_layer(dataset, generation)
        return self._by_id.get(row.id, lambda: image_of(survey, row))

    def _read_layer(self, dataset: str, generation: int) -> ImageRecord:
        image, _, role = dataset.rpartition("/")
        if is_layer(dataset):
            found = self.companions(self.record(image, generation), generation)
            if (layer := found.get(role.lower())) is not None:
                return layer
        raise UnknownDataset(f"there is no image {dataset!r}")

    def _read_artifact(self, artifact_id: int) -> ImageRecord:
        row = self._one(IMAGE_BY_ID, id=artifact_id)
        if row is None:
            raise StaleImage("the image is no longer in the index")
        return image_of(self.survey(row.key.partition("/")[0]), row)

    def _read_header(self, record: ImageRecord) -> str:
        row = self._one(HEADER, id=record.header_key)
        if row is None:
            raise StaleImage(f"{record.file.name} is no longer in the index")
        return zlib.decompress(row.deflated).decode()

    def _read_levels(self, survey: str) -> tuple[int, ...]:
        """Levels of the cells in use, by seeking from one to the next: the table may be long."""
        levels: list[int] = []
        with self._engine.connect() as connection:
            while not levels or levels[-1] < DEEPEST_LEVEL:
                below = levels[-1] if levels else -1
                level = connection.execute(
                    select(CellRow.level)
                    .where(CellRow.survey_id == self.key_of(survey), CellRow.level > below)
                    .order_by(CellRow.level)
                    .limit(1)
                ).scalar()
                if level is None:
                    break
                levels.append(level)
        return tuple(levels)

    def connect(self) -> Connection:
        """Open a connection on which every query is a transaction of its own; the caller closes it."""
        return self._engine.connect()

    def _one(self, query: Select[*tuple[Any, ...]], **values: object) -> Row[Any] | None:
        with self._engine.connect() as connection:
            return connection.execute(query, values).first()


def _with_single_reads(engine: Engine) -> Engine:
    """Make every query a transaction of its own: a generation never changes once it is read."""
    if engine.dialect.name == "sqlite":
        # It does so where none is begun; to switch its isolation level takes longer than most queries.
        return engine.execution_options(single_reads=True)
    return engine.execution_options(isolation_level="AUTOCOMMIT")
