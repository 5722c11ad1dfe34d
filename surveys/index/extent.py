"""What a survey covers altogether: sky, as a MOC, and time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from lsst.sphgeom import HealpixPixelization, Mq3cPixelization, RangeSet
from sqlalchemy import Engine, func, select

from surveys.index.alerts.cover import COVER_ORDER, joined
from surveys.index.catalog import Catalog
from surveys.index.cells import DEEPEST_LEVEL
from surveys.index.queries import valid_in
from surveys.index.tables import CellRow, DatasetRow, SurveyRow
from surveys.survey import Survey

#: Order of the HEALPix cells, a little less than a degree wide: what the registry asks for at least.
MOC_ORDER = 6
#: The index's cells that are looked at: as wide, and not more of them than take a second.
_LEVEL, _MOST_CELLS = 7, 5_000


@dataclass(frozen=True, slots=True)
class Extent:
    """Sky and time of a survey.

    Parameters
    ----------
    cells
        Ranges ``(first, end)`` of HEALPix cells (nested, of order `MOC_ORDER`) that hold all images, and
        some of the sky around them.
    time_mjd
        From the first image to the last, None where unknown.
    last_modified
        When the index last changed, None before there was any.
    """

    cells: tuple[tuple[int, int], ...] = ()
    time_mjd: tuple[float, float] | None = None
    last_modified: datetime | None = None


def read_extent(engine: Engine, survey: str) -> Extent:
    """Find what the current index of a survey covers.

    Notes
    -----
    Images that went less than a day ago may still count: the cells of all generations are looked at,
    without their images.
    """
    with engine.connect() as connection:
        pointer = connection.execute(select(SurveyRow).where(SurveyRow.name == survey)).first()
        if pointer is None:
            return Extent()
        coarse = select(CellRow.level, CellRow.start).where(
            CellRow.survey_id == pointer.id, CellRow.level <= _LEVEL
        )
        fine = select(CellRow.start.op(">>")(_shift(_LEVEL))).where(
            CellRow.survey_id == pointer.id, CellRow.level > _LEVEL
        )
        cells = {(row.level, row.start >> _shift(row.level)) for row in connection.execute(coarse.distinct())}
        cells |= {(_LEVEL, cell) for cell in connection.execute(fine.distinct()).scalars()}
        valid = (DatasetRow.survey_id == pointer.id, *valid_in(DatasetRow, pointer.generation))
        first, last = connection.execute(
            select(func.min(DatasetRow.t_min), func.max(DatasetRow.t_max)).where(*valid)
        ).one()
    times = None if first is None or last is None else (first, last)
    return Extent(tuple(_healpix(cells)), times, pointer.last_modified)


def extent_of_alerts(catalog: Catalog, survey: Survey) -> Extent:
    """Find what the alerts of a survey cover now: the cells that hold any."""
    held = catalog.alerts.holdings(survey)
    wide = np.unique(joined(catalog.alerts.covers(survey)) >> 2 * (COVER_ORDER - MOC_ORDER))
    times = None if held.first_mjd is None or held.last_mjd is None else (held.first_mjd, held.last_mjd)
    cells = tuple((int(cell), int(cell) + 1) for cell in wide)
    return Extent(cells, times, held.last_modified)


def moc_text(cells: Iterable[tuple[int, int]], order: int = MOC_ORDER) -> str:
    """Write ranges of nested HEALPix cells of one order as an ASCII MOC (MOC 2.0, section 4.3.2)."""
    left = {cell for first, end in cells for cell in range(first, end)}
    if not left:
        return ""
    parts = []
    for at in range(order, -1, -1):
        # four cells that make up one of the order above are written as that one
        parents = {cell >> 2 for cell in left} if at else set()
        whole = {parent for parent in parents if left.issuperset(range(4 * parent, 4 * parent + 4))}
        kept = sorted(cell for cell in left if cell >> 2 not in whole)
        if kept or at == order:
            parts.append(f"{at}/{' '.join(_runs(kept))}")
        left = whole
    return " ".join(reversed(parts))


def _healpix(cells: set[tuple[int, int]]) -> RangeSet:
    while len(cells) > _MOST_CELLS and max(level for level, _ in cells) > 0:
        deepest = max(level for level, _ in cells)
        cells = {(level - 1, cell >> 2) if level == deepest else (level, cell) for level, cell in cells}
    healpix = HealpixPixelization(MOC_ORDER)
    covered = RangeSet()
    for level, cell in cells:
        covered |= healpix.envelope(Mq3cPixelization(level).pixel(cell))
    return covered


def _shift(level: int) -> int:
    return 2 * (DEEPEST_LEVEL - level)


def _runs(cells: list[int]) -> list[str]:
    """Join numbers in order to runs: ``1-3``, ``7``."""
    runs: list[list[int]] = []
    for cell in cells:
        if runs and cell == runs[-1][1] + 1:
            runs[-1][1] = cell
        else:
            runs.append([cell, cell])
    return [str(first) if first == last else f"{first}-{last}" for first, last in runs]
