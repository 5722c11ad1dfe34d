"""Footprints of the images of some bands: read at once, kept for a while."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from lsst.sphgeom import Angle, Circle, Region, UnitVector3d
from numpy.typing import NDArray
from sqlalchemy import BigInteger, Integer, Select, Values, bindparam, column, select, values

from surveys.index.catalog import Catalog
from surveys.index.cells import ranges_at
from surveys.index.queries import footprints, valid_in
from surveys.index.tables import CellRow, DatasetRow
from surveys.lru import Lru
from surveys.sky.sphere import Floats, normalized, separation_deg, unit_vectors
from surveys.survey import Survey

#: Bands of more images are asked for by place, each time; fewer are read once, and kept.
KEPT_IMAGES = 20_000
#: So many bands are kept.
_KEPT_BANDS = 8
#: Ranges of cells in one query; SQLite takes no more than 32,766 values.
_RANGES_AT_ONCE = 2_000
#: Side of the patches of sky that positions are gathered in, degrees; wider for wide boxes.
_PATCH_DEG = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Footprints:
    """Where images lie on the sky.

    Parameters
    ----------
    artifacts
        Keys in the index.
    datasets
        What follows ``?`` in their identifiers.
    bands
        Number of the band of each among those asked for.
    ra_deg, dec_deg, centres
        Centres, and their unit vectors.
    hulls, radii_rad
        Circles that surely hold the footprints.
    ranks
        Place in the order of `datasets`.
    covers
        Encoded regions.
    """

    artifacts: NDArray[np.int64]
    datasets: Sequence[str]
    bands: NDArray[np.int16]
    ra_deg: Floats
    dec_deg: Floats
    centres: Floats
    hulls: Floats
    radii_rad: Floats
    ranks: NDArray[np.int64]
    covers: Sequence[bytes]

    def __len__(self) -> int:
        return len(self.artifacts)

    @classmethod
    def of(cls, rows: Sequence[Sequence[Any]], bands: Sequence[str]) -> Footprints:
        """Gather rows of ``(artifact, dataset, band, ra, dec, cover)``."""
        numbers = {label: number for number, label in enumerate(bands)}
        circles = [Region.decode(row[5]).getBoundingCircle() for row in rows]
        datasets = [row[1] for row in rows]
        ra, dec = np.array([row[3:5] for row in rows], float).reshape(-1, 2).T
        ranks = np.empty(len(rows), np.int64)
        ranks[sorted(range(len(rows)), key=datasets.__getitem__)] = np.arange(len(rows))
        return cls(
            np.array([row[0] for row in rows], np.int64),
            datasets,
            np.array([numbers[row[2]] for row in rows], np.int16),
            ra,
            dec,
            unit_vectors(ra, dec),
            np.array([_vector(circle) for circle in circles], float).reshape(-1, 3),
            np.array([circle.getOpeningAngle().asRadians() for circle in circles], float),
            ranks,
            [row[5] for row in rows],
        )

    def may_overlap(self, image: int, region: Region) -> bool:
        """Whether a search of a region finds an image."""
        return Region.decode(self.covers[image]).overlaps(region) is not False


class FootprintIndex:
    """Footprints of the bands of a survey about positions.

    Parameters
    ----------
    catalog
        The image index.
    survey, bands, generation
        What of it counts.
    """

    def __init__(self, catalog: Catalog, survey: Survey, bands: Sequence[str], generation: int) -> None:
        self._catalog = catalog
        self._survey = survey
        self._bands = tuple(bands)
        self._generation = generation
        key = (survey.name, self._bands, generation)
        self._all = _kept_for(catalog).get(key, lambda: (self._read_all(),))[0]

    def about(self, vectors: Floats, radius_deg: float) -> Iterator[tuple[NDArray[np.int64], Footprints]]:
        """Yield positions, all of them in some order, with the images that may lie within a radius of them.

        Parameters
        ----------
        vectors
            Unit vectors.
        """
        if self._all is not None:
            yield np.arange(len(vectors)), self._all
            return
        for patches in _gathered(vectors, max(_PATCH_DEG, 2.0 * radius_deg)):
            regions = [_circle_about(vectors[patch], radius_deg) for patch in patches]
            yield np.concatenate(patches), self._read_about(regions)

    def _read_all(self) -> Footprints | None:
        """Read all there are, unless that is too many."""
        query = self._query().limit(KEPT_IMAGES + 1)
        with self._catalog.connect() as connection:
            rows = connection.execute(query, self._values()).all()
        return None if len(rows) > KEPT_IMAGES else Footprints.of(rows, self._bands)

    def _read_about(self, regions: Iterable[Region]) -> Footprints:
        levels = self._catalog.levels(self._survey.name, self._generation)
        ranges = sorted({limits for region in regions for limits in ranges_at(region, levels)})
        found: dict[int, Sequence[Any]] = {}
        with self._catalog.connect() as connection:
            for start in range(0, len(ranges), _RANGES_AT_ONCE):
                cells = _cells_in(ranges[start : start + _RANGES_AT_ONCE])
                query = self._query().where(DatasetRow.id.in_(cells))
                found |= {row[0]: row for row in connection.execute(query, self._values())}
        return Footprints.of(list(found.values()), self._bands)

    def _query(self) -> Select[*tuple[Any, ...]]:
        prefer = self._survey.prefer
        return footprints(prefer.order if prefer else None).where(
            DatasetRow.survey_id == bindparam("survey_id"),
            DatasetRow.band.in_(self._bands),
            DatasetRow.cover.is_not(None),
            *valid_in(DatasetRow, bindparam("generation")),
        )

    def _values(self) -> dict[str, object]:
        return {"survey_id": self._catalog.key_of(self._survey.name), "generation": self._generation}


_kept: WeakKeyDictionary[Catalog, Lru[object, tuple[Footprints | None]]] = WeakKeyDictionary()


def _kept_for(catalog: Catalog) -> Lru[object, tuple[Footprints | None]]:
    return _kept.setdefault(catalog, Lru(_KEPT_BANDS))


def _cells_in(ranges: Sequence[tuple[int, int, int]]) -> Select[*tuple[Any, ...]]:
    """Query for the datasets with a cell in one of many ranges ``(level, first, last)``."""
    table: Values = values(
        column("level", Integer), column("first", BigInteger), column("last", BigInteger), name="ranges"
    ).data(list(ranges))
    limits = table.cte("ranges")
    return select(CellRow.dataset_id).where(
        CellRow.survey_id == bindparam("survey_id"),
        CellRow.level == limits.c.level,
        CellRow.start.between(limits.c.first, limits.c.last),
    )


#: Patches of sky that are looked up together: bounds what is in memory of a large index.
_PATCHES_AT_ONCE = 500


def _gathered(vectors: Floats, side_deg: float) -> Iterator[list[NDArray[np.int64]]]:
    """Gather positions by patches of sky, and yield some patches at a time."""
    dec = np.degrees(np.arcsin(np.clip(vectors[:, 2], -1.0, 1.0)))
    ra = np.degrees(np.arctan2(vectors[:, 1], vectors[:, 0])) % 360.0
    row = np.floor((dec + 90.0) / side_deg).astype(np.int64)
    # As many patches along a parallel as its shorter edge has room for.
    lowest = np.minimum(np.abs(row * side_deg - 90.0), np.abs((row + 1) * side_deg - 90.0))
    columns = np.maximum(1, np.floor(360.0 * np.cos(np.radians(lowest)) / side_deg)).astype(np.int64)
    patch = (row << 32) + np.floor(ra / 360.0 * columns).astype(np.int64)
    order = np.argsort(patch, kind="stable")
    ends = np.flatnonzero(np.diff(patch[order])) + 1
    patches = np.split(order, ends)
    for start in range(0, len(patches), _PATCHES_AT_ONCE):
        yield patches[start : start + _PATCHES_AT_ONCE]


def _circle_about(vectors: Floats, radius_deg: float) -> Region:
    """Region that holds everything within a radius of some positions."""
    middle = vectors.mean(axis=0)
    if np.linalg.norm(middle) < 1e-6:
        return Circle(UnitVector3d(0.0, 0.0, 1.0), Angle.fromDegrees(180.0))
    middle = normalized(middle)
    reach = float(np.max(separation_deg(vectors, middle))) + radius_deg + 1e-6
    return Circle(UnitVector3d(*middle.tolist()), Angle.fromDegrees(min(reach, 180.0)))


def _vector(circle: Circle) -> tuple[float, float, float]:
    center = circle.getCenter()
    return center.x(), center.y(), center.z()
