"""Images, survey bands and alerts by the names of ObsCore, as many as there are: streamed, a page at a time.

A stream holds no transaction and no connection between two pages. It reads one generation throughout, whose
rows are kept for a day after the next one is published.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lsst.sphgeom import Region
from sqlalchemy import ColumnElement, Row, Select, and_, bindparam, case, func, or_, select, tuple_

from surveys.alert import AlertRecord
from surveys.index.catalog import Catalog
from surveys.index.cells import level_of, ranges_at
from surveys.index.hull import BandHull, make_hulls, unpacked
from surveys.index.obscore import BAND_CALIB_LEVEL, ObsBand, ObsConstraints, ObsImage
from surveys.index.queries import preferred, valid_in
from surveys.index.tables import ArtifactRow, CellRow, DatasetRow, GenerationRow
from surveys.lru import Lru
from surveys.sky.meeting import Probe
from surveys.survey import Survey

#: Rows of the first page, which somebody waits for, and of the others.
FIRST_PAGE = 100
PAGE = 1_000
#: Cells looked up at a time: several of them belong to one image.
_CELLS = 4_000

#: Of a region with thousands of images, the cells of its own size hold too many others.
_WIDE_LEVEL = 4
_FINER = 3

_HULLS_KEPT = 256

_COLUMNS = (
    DatasetRow.id,
    DatasetRow.key,
    DatasetRow.key_lower,
    DatasetRow.band,
    DatasetRow.cover,
    DatasetRow.s_ra,
    DatasetRow.s_dec,
    DatasetRow.s_fov,
    DatasetRow.s_region,
    DatasetRow.s_xel1,
    DatasetRow.s_xel2,
    DatasetRow.s_pixel_scale_deg,
    DatasetRow.t_min,
    DatasetRow.t_max,
    DatasetRow.t_exptime,
    DatasetRow.em_min,
    DatasetRow.em_max,
    DatasetRow.pol_states,
    DatasetRow.calib_level,
    DatasetRow.obs_release_date,
    ArtifactRow.shape,
    ArtifactRow.bitpix,
)
# The cards of the WCS are long, and only those of a cube say more than the other columns.
_HAS_PLANES = func.json_array_length(ArtifactRow.shape) > 2
_WCS_OF_CUBES = case((_HAS_PLANES, ArtifactRow.wcs_text), else_="").label("wcs_text")

_CELLS_AFTER = (
    select(CellRow.start, CellRow.dataset_id)
    .where(
        CellRow.survey_id == bindparam("survey_id"),
        CellRow.level == bindparam("level"),
        CellRow.start <= bindparam("last"),
        tuple_(CellRow.start, CellRow.dataset_id) > tuple_(bindparam("start"), bindparam("after")),
    )
    .order_by(CellRow.start, CellRow.dataset_id)
    .limit(_CELLS)
)
_HULLS = select(GenerationRow.hulls).where(
    GenerationRow.survey_id == bindparam("survey_id"), GenerationRow.number == bindparam("generation")
)
_PLACES = select(DatasetRow.band, DatasetRow.cover).where(
    DatasetRow.id.in_(bindparam("ids", expanding=True)), *valid_in(DatasetRow, bindparam("generation"))
)


class ObsIndex:
    """Finds images, survey bands and alerts by what ObsCore knows of them. One for all threads.

    Parameters
    ----------
    catalog
        The image index.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._hulls: Lru[tuple[str, int], Mapping[str, BandHull]] = Lru(_HULLS_KEPT)

    def holds(self, survey: Survey) -> bool:
        """Whether the index has been made for a survey."""
        return self._catalog.generation(survey.name) > 0

    def images(self, survey: Survey, wanted: ObsConstraints) -> Iterator[ObsImage]:
        """Images of a survey that satisfy constraints; of reprocessings of a tile only the preferred one."""
        generation = self._catalog.generation(survey.name)
        if not generation or wanted.targets or survey.lake is not None:
            return
        probes = [Probe(shape) for shape in wanted.shapes]
        query = _image_query(survey, wanted)
        values = {"survey_id": self._catalog.key_of(survey.name), "generation": generation}
        everywhere = not probes or any(probe.is_whole_sky for probe in probes)
        pages = (
            self._pages_by_key(query.where(DatasetRow.cover.is_not(None)) if probes else query, values)
            if everywhere or wanted.datasets
            else self._pages_by_place(query, values, survey, probes)
        )
        for row in pages:
            if probes and not _meets(probes, row.cover):
                continue
            image = _image(survey, row)
            if not wanted.product_types or image.product_type in wanted.product_types:
                yield image

    def bands(self, survey: Survey, wanted: ObsConstraints) -> Iterator[ObsBand]:
        """Survey bands that satisfy constraints, in the order declared; none of single exposures.

        A shape must meet one of the band's images, not only the hull of them all.
        """
        generation = self._catalog.generation(survey.name)
        if survey.kind != "coadd" or not generation or not _may_be_band(survey, wanted):
            return
        found = [
            ObsBand(survey, band, hull)
            for band in survey.bands
            if (hull := self.hulls(survey, generation).get(band.label)) is not None
        ]
        found = [band for band in found if _band_satisfies(band, wanted)]
        labels = {band.band.label for band in found}
        if wanted.shapes and labels:
            labels = self._bands_met(survey, generation, found, [Probe(shape) for shape in wanted.shapes])
        yield from (band for band in found if band.band.label in labels)

    def alerts(self, survey: Survey, wanted: ObsConstraints) -> Iterator[AlertRecord]:
        """Alerts that satisfy constraints; none of a survey of images."""
        if survey.lake is None or not self._catalog.generation(survey.name):
            return iter(())
        return self._catalog.alerts.search(survey, wanted)

    def hulls(self, survey: Survey, generation: int) -> Mapping[str, BandHull]:
        """Where the bands of a survey have images, by label; no entry for a band without any."""

        def read() -> Mapping[str, BandHull]:
            key = self._catalog.key_of(survey.name)
            with self._catalog.connect() as connection:
                stored = connection.execute(_HULLS, {"survey_id": key, "generation": generation}).scalar()
            if stored is not None:
                return unpacked(stored)
            return make_hulls(self._catalog.connect, key, generation)

        return self._hulls.get((survey.name, generation), read)

    def _bands_met(
        self, survey: Survey, generation: int, bands: Sequence[ObsBand], probes: Sequence[Probe]
    ) -> set[str]:
        open_labels = {
            band.band.label
            for band in bands
            if any(probe.region.overlaps(band.hull.region) is not False for probe in probes)
        }
        met: set[str] = set()
        values = {"survey_id": self._catalog.key_of(survey.name), "generation": generation}
        for ids in self._ids_by_place(values["survey_id"], survey, generation, probes):
            with self._catalog.connect() as connection:
                rows = connection.execute(_PLACES, {**values, "ids": ids}).all()
            for row in rows:
                if row.band in open_labels - met and row.cover and _meets(probes, row.cover):
                    met.add(row.band)
            if met == open_labels:
                break
        return met

    def _pages_by_key(
        self, query: Select[*tuple[Any, ...]], values: Mapping[str, object]
    ) -> Iterator[Row[Any]]:
        """Rows in the order of their identifiers, which an index of the table has."""
        query = (
            query.where(
                DatasetRow.survey_id == bindparam("survey_id"), DatasetRow.key_lower > bindparam("after")
            )
            .order_by(DatasetRow.key_lower)
            .limit(bindparam("most"))
        )
        after, most = "", FIRST_PAGE
        while True:
            with self._catalog.connect() as connection:
                rows = connection.execute(query, {**values, "after": after, "most": most}).all()
            yield from rows
            if len(rows) < most:
                return
            after, most = rows[-1].key_lower, PAGE

    def _pages_by_place(
        self,
        query: Select[*tuple[Any, ...]],
        values: Mapping[str, Any],
        survey: Survey,
        probes: Sequence[Probe],
    ) -> Iterator[Row[Any]]:
        """Rows of the images near some regions, in the order of their cells."""
        # Without the survey, which the cells have told: SQLite would go by that, not by the keys.
        query = query.where(DatasetRow.id.in_(bindparam("ids", expanding=True)))
        for ids in self._ids_by_place(values["survey_id"], survey, values["generation"], probes):
            with self._catalog.connect() as connection:
                rows = connection.execute(query, {**values, "ids": ids}).all()
            yield from rows

    def _ids_by_place(
        self, survey_id: int, survey: Survey, generation: int, probes: Sequence[Probe]
    ) -> Iterator[list[int]]:
        """Keys of datasets with a cell near one of some regions, each once, a page at a time."""
        levels = self._catalog.levels(survey.name, generation)
        seen = _Seen()
        page: list[int] = []
        most = FIRST_PAGE
        for level, first, last in _merged(found for probe in probes for found in _ranges(probe, levels)):
            for cells in self._cells(survey_id, level, first, last):
                page += [cell.dataset_id for cell in cells if seen.is_new(cell.dataset_id)]
                while len(page) >= most:
                    yield page[:most]
                    page, most = page[most:], PAGE
        if page:
            yield page

    def _cells(self, survey_id: int, level: int, first: int, last: int) -> Iterator[Sequence[Row[int, int]]]:
        values = {"survey_id": survey_id, "level": level, "start": first, "last": last, "after": -1}
        while True:
            with self._catalog.connect() as connection:
                rows = connection.execute(_CELLS_AFTER, values).all()
            yield rows
            if len(rows) < _CELLS:
                return
            values |= {"start": rows[-1].start, "after": rows[-1].dataset_id}


class _Seen:
    """Which whole numbers came before, a bit for each."""

    def __init__(self) -> None:
        self._bits = bytearray()

    def is_new(self, number: int) -> bool:
        place, bit = number >> 3, 1 << (number & 7)
        if place >= len(self._bits):
            self._bits.extend(bytes(place + 1 - len(self._bits)))
        if self._bits[place] & bit:
            return False
        self._bits[place] |= bit
        return True


def _ranges(probe: Probe, levels: Sequence[int]) -> list[tuple[int, int, int]]:
    wide = level_of(probe.region) <= _WIDE_LEVEL
    return ranges_at(probe.region, levels, _FINER if wide else 0)


def _merged(ranges: Iterator[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Ranges of cells without overlaps."""
    merged: list[tuple[int, int, int]] = []
    for level, first, last in sorted(ranges):
        if merged and merged[-1][0] == level and first <= merged[-1][2] + 1:
            merged[-1] = (level, merged[-1][1], max(last, merged[-1][2]))
        else:
            merged.append((level, first, last))
    return merged


def _meets(probes: Sequence[Probe], cover: bytes | None) -> bool:
    if cover is None:
        return False
    footprint = Region.decode(cover)
    return any(probe.meets(footprint) for probe in probes)


def _image_query(survey: Survey, wanted: ObsConstraints) -> Select[*tuple[Any, ...]]:
    """Query for images; parameters: ``survey_id``, ``generation``."""
    query: Select[*tuple[Any, ...]] = (
        select(*_COLUMNS, _WCS_OF_CUBES)
        .join(ArtifactRow, ArtifactRow.dataset_id == DatasetRow.id)
        .where(*valid_in(DatasetRow, bindparam("generation")), *_conditions(wanted))
    )
    return query if survey.prefer is None else query.where(preferred(survey.prefer.order))


def _conditions(wanted: ObsConstraints) -> Iterator[ColumnElement[bool]]:
    """Constraints in SQL, which leaves out a row whose column is null by itself."""
    row = DatasetRow
    if wanted.em_m:
        yield or_(*(and_(row.em_min <= one.upper, row.em_max >= one.lower) for one in wanted.em_m))
    if wanted.t_mjd:
        yield or_(*(and_(row.t_min <= one.upper, row.t_max >= one.lower) for one in wanted.t_mjd))
    if wanted.s_fov_deg:
        yield or_(*(row.s_fov.between(one.lower, one.upper) for one in wanted.s_fov_deg))
    if wanted.t_exptime_s:
        yield or_(*(row.t_exptime.between(one.lower, one.upper) for one in wanted.t_exptime_s))
    if wanted.pol:
        states = "/" + row.pol_states + "/"
        yield or_(*(states.like(f"%/{state}/%") for state in wanted.pol))
    if wanted.calib_levels:
        yield row.calib_level.in_(wanted.calib_levels)
    if wanted.datasets:
        yield row.key_lower.in_(wanted.datasets)
    if wanted.product_types and "image" not in wanted.product_types:
        yield _HAS_PLANES


def _may_be_band(survey: Survey, wanted: ObsConstraints) -> bool:
    """Whether a survey band can satisfy what needs no hull; it is of no time and has no exposure."""
    return (
        not wanted.t_mjd
        and not wanted.t_exptime_s
        and not wanted.targets
        and (not wanted.product_types or "image" in wanted.product_types)
        and (not wanted.calib_levels or BAND_CALIB_LEVEL in wanted.calib_levels)
        and (not wanted.pol or not set(wanted.pol).isdisjoint(survey.pol_states))
    )


def _band_satisfies(found: ObsBand, wanted: ObsConstraints) -> bool:
    band, fov = found.band, found.hull.s_fov_deg
    return (
        (not wanted.datasets or found.dataset.lower() in wanted.datasets)
        and (not wanted.em_m or any(one.overlaps(band.em_min_m, band.em_max_m) for one in wanted.em_m))
        and (not wanted.s_fov_deg or any(one.overlaps(fov, fov) for one in wanted.s_fov_deg))
    )


def _image(survey: Survey, row: Row[Any]) -> ObsImage:
    return ObsImage(
        survey=survey,
        dataset=row.key,
        band=row.band,
        s_ra_deg=row.s_ra,
        s_dec_deg=row.s_dec,
        s_fov_deg=row.s_fov,
        s_region=row.s_region,
        s_xel1=row.s_xel1,
        s_xel2=row.s_xel2,
        s_pixel_scale_deg=row.s_pixel_scale_deg,
        t_min_mjd=row.t_min,
        t_max_mjd=row.t_max,
        t_exptime_s=row.t_exptime,
        em_min_m=row.em_min,
        em_max_m=row.em_max,
        pol_states=tuple(row.pol_states.split("/")) if row.pol_states else (),
        calib_level=row.calib_level,
        obs_release_date=row.obs_release_date,
        shape=tuple(row.shape),
        bitpix=row.bitpix,
        wcs_text=row.wcs_text,
    )
