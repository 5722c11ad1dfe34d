"""What a survey band covers of the sky, as a MOC made from the footprints of its images.

Of a survey of alerts it is the cells that hold any.
"""

from __future__ import annotations

import hashlib
import math
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import Engine, func, select

from surveys.errors import UnknownDataset
from surveys.index.alerts.cover import COVER_ORDER, joined
from surveys.index.catalog import Catalog
from surveys.index.queries import valid_in
from surveys.index.tables import DatasetRow, SurveyRow
from surveys.lru import Lru
from surveys.sky.sphere import Floats
from surveys.survey import Survey

if TYPE_CHECKING:
    from mocpy import MOC

#: The least and the greatest order of HEALPix cells that a coverage is made of.
LEAST_ORDER, GREATEST_ORDER = 6, 13
#: Cells along the side of an image, about; fewer where images are many.
CELLS_ACROSS = 16
_MOST_CELLS = 20_000_000
#: Footprints that are handed to mocpy at a time: of many it takes longer for each.
_AT_ONCE = 5_000


def coverage(engine: Engine, survey: str, bands: Sequence[str], generation: int) -> MOC:
    """Union of the footprints of the images of some bands of a survey, ICRS.

    Parameters
    ----------
    engine
        Of the image index.
    survey, bands, generation
        What of the index counts.

    Returns
    -------
    MOC
        All cells that have a part in a footprint; of such an order that about `CELLS_ACROSS` lie side by
        side in an image, between `LEAST_ORDER` and `GREATEST_ORDER`. Empty where there is no image.

    Notes
    -----
    mocpy is imported here, since that takes long and few processes need it.
    """
    from mocpy import MOC

    found = _regions(engine, survey, bands, generation)
    if not found:
        return MOC.new_empty(LEAST_ORDER)
    order = _order_for(found)
    # Bands of one survey often have the same footprints.
    polygons: list[Floats] = []
    circles: list[tuple[float, float, float]] = []
    for text in {text for text, _ in found}:
        shape, *numbers = text.replace("ICRS", "").split()
        values = [float(number) for number in numbers]
        if shape == "CIRCLE":
            circles.append((values[0], values[1], values[2]))
        else:
            polygons += [np.array(values[::2]), np.array(values[1::2])]
    whole = MOC.new_empty(order)
    for some in _chunks(polygons, 2 * _AT_ONCE):
        first, *others = MOC.from_polygons(some, max_depth=order, n_threads=1)
        whole = whole.union(first, *others)
    for ra, dec, radius in circles:
        whole = whole.union(_cone(ra, dec, radius, order))
    return whole


def degraded(moc: MOC, order: int) -> MOC:
    """Cells of an order at most, that hold all of a MOC."""
    return moc.degrade_to_order(order) if order < moc.max_order else moc


def _regions(
    engine: Engine, survey: str, bands: Sequence[str], generation: int
) -> list[tuple[str, float | None]]:
    """Footprints (STC-S) and diameters of images."""
    query = (
        select(DatasetRow.s_region, func.max(DatasetRow.s_fov))
        .join(SurveyRow, SurveyRow.id == DatasetRow.survey_id)
        .where(
            SurveyRow.name == survey,
            DatasetRow.band.in_(bands),
            DatasetRow.s_region.is_not(None),
            *valid_in(DatasetRow, generation),
        )
        .group_by(DatasetRow.s_region)
        .order_by(DatasetRow.s_region)
    )
    with engine.connect() as connection:
        return [(str(text), fov) for text, fov in connection.execute(query)]


def _order_for(found: Sequence[tuple[str, float | None]]) -> int:
    sizes = [fov for _, fov in found if fov]
    # The diameter is that of the circle about the image.
    side_deg = float(np.median(sizes)) / math.sqrt(2.0) if sizes else 1.0
    across = min(CELLS_ACROSS, max(1.0, math.sqrt(_MOST_CELLS / len(found))))
    cell_deg = side_deg / across
    order = math.ceil(math.log2(math.degrees(math.sqrt(math.pi / 3.0)) / cell_deg))
    return min(max(order, LEAST_ORDER), GREATEST_ORDER)


def _cone(ra_deg: float, dec_deg: float, radius_deg: float, order: int) -> MOC:
    from astropy.coordinates import Latitude, Longitude
    from astropy.units import Quantity
    from mocpy import MOC

    return MOC.from_cone(
        Longitude(ra_deg, "deg"),
        Latitude(dec_deg, "deg"),
        radius=Quantity(radius_deg, "deg"),
        max_depth=order,
    )


def _chunks(items: Sequence[Floats], size: int) -> Iterator[list[Floats]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


class Coverages:
    """Coverages of surveys and their bands, made once for each generation of the index.

    Parameters
    ----------
    engine, catalog
        The image index.
    folder
        Where they are kept for other processes: of many images they take a while.
    """

    def __init__(self, engine: Engine, catalog: Catalog, folder: Path) -> None:
        self._engine = engine
        self._catalog = catalog
        self._folder = folder
        self._kept: Lru[tuple[str, str | None, int], MOC] = Lru(64)
        self._lock = threading.Lock()

    def of(self, survey: str, band: str | None = None) -> MOC:
        """Coverage of a survey, or of one of its bands; empty before there is an index.

        Raises
        ------
        UnknownDataset
            If there is no such survey or band; of alerts all bands have one coverage.
        """
        declared = self._catalog.survey(survey)
        label = None if band is None else declared.band(band).label
        if label is not None and declared.lake is not None:
            raise UnknownDataset(
                f"{declared.name}, a survey of alerts, has one coverage of all bands together"
            )
        generation = self._catalog.generation(declared.name)
        key = (declared.name, label, generation)
        return self._kept.get(key, lambda: self._make(declared, label, generation))

    def _make(self, survey: Survey, label: str | None, generation: int) -> MOC:
        from mocpy import MOC

        bands = [band.label for band in survey.bands] if label is None else [label]
        name = hashlib.blake2b(repr((bands, GREATEST_ORDER)).encode(), digest_size=8).hexdigest()
        path = self._folder / survey.name / f"{generation}-{name}.fits"
        with self._lock:
            # mocpy knows no FileNotFoundError
            with suppress(OSError):
                return MOC.load(path, "fits")
            if survey.lake is not None:
                moc = self._of_alerts(survey)
            else:
                moc = coverage(self._engine, survey.name, bands, generation)
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f".{path.name}.{os.getpid()}")
            moc.save(part, "fits", overwrite=True)
            part.replace(path)
            for other in path.parent.glob("*.fits"):
                if not other.name.startswith(f"{generation}-"):
                    other.unlink(missing_ok=True)
        return moc

    def _of_alerts(self, survey: Survey) -> MOC:
        from mocpy import MOC

        cells = joined(self._catalog.alerts.covers(survey))
        if not cells.size:
            return MOC.new_empty(COVER_ORDER)
        depth = np.full(cells.size, COVER_ORDER, np.uint8)
        return MOC.from_healpix_cells(cells.astype(np.uint64), depth, COVER_ORDER)
