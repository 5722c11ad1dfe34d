"""Planning one request at many positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
from numpy.typing import ArrayLike

from surveys.access import EVERYBODY, NAMED_DATASETS, Reader
from surveys.bulk.decisions import Decisions, Found
from surveys.bulk.footprints import FootprintIndex, Footprints
from surveys.bulk.matching import Integers, Pairs, Targets, boxes_on, crowded, found_of, in_order, near
from surveys.bulk.plans import ManyPlans, Planner, Spelling
from surveys.bulk.rows import Rows
from surveys.fits.product import DEFAULT_SITE, Site
from surveys.image import ImageRecord
from surveys.index.catalog import MOST_CANDIDATES, Catalog
from surveys.picture.look import look_of
from surveys.planner import check_access, check_filters, check_product
from surveys.planning.images import is_wanted
from surveys.planning.limits import Limits
from surveys.planning.tiles import search_radius_deg, wanted_bands
from surveys.request import CutoutRequest
from surveys.sky.sphere import Floats
from surveys.sky.stencil import Size

#: Positions that are looked at together, and pairs of a position and an image: bounds the memory.
CHUNK = 50_000
MOST_PAIRS = 2_000_000


def plan_many(
    template: CutoutRequest,
    size: Size,
    ra_deg: ArrayLike,
    dec_deg: ArrayLike,
    catalog: Catalog,
    limits: Limits,
    reader: Reader = EVERYBODY,
    site: Site = DEFAULT_SITE,
    spell: Spelling | None = None,
) -> ManyPlans:
    """Decide what to read for a box of one size about each of many positions.

    Parameters
    ----------
    template
        What is asked of each; its `stencil` does not matter.
    size
        Of the boxes.
    ra_deg, dec_deg
        Positions, ICRS; finite.
    catalog, limits, reader, site
        As `plan_cutout` has them.
    spell
        Completes the request of a row by its canonical spelling.

    Raises
    ------
    RequestFault
        What `plan_cutout` raises of the request wherever it is asked: no such survey, band or image, no
        access, a filter that is no band.
    ValueError
        If a position is none.
    """
    ra, dec = np.asarray(ra_deg, float).ravel(), np.asarray(dec_deg, float).ravel()
    if len(ra) != len(dec) or not (np.isfinite(ra).all() and np.isfinite(dec).all()):
        raise ValueError("each position has a right ascension and a declination")
    return _Planning(Planner(template, size, catalog, limits, reader, site, spell), ra, dec).run()


class _Planning:
    """The planning of one request at many positions."""

    def __init__(self, planner: Planner, ra_deg: Floats, dec_deg: Floats) -> None:
        self._planner, self._request, self._catalog = planner, planner.template, planner.catalog
        name, *rest = self._request.dataset.split("/")
        self._survey = self._catalog.survey(name)
        check_access(self._request.dataset, self._survey, planner.reader)
        check_filters(self._request, self._survey)
        check_product(self._request, self._survey)
        self._generation = self._catalog.generation(self._survey.name)
        self._image: ImageRecord | None = None
        self._bands: tuple[str, ...] = ()
        radius_deg = None
        if len(rest) >= 2:
            self._image = self._catalog.record(self._request.dataset, self._generation)
            self._bands = (self._image.band,)
        else:
            self._bands = self._labels(rest[0] if rest else None)
            radius_deg = search_radius_deg(planner.size, self._survey) if self._bands else None
        self._targets = Targets.of(ra_deg, dec_deg, planner.size, radius_deg)
        self._rows = Rows.empty(len(ra_deg), len(self._bands))
        wants_one = self._survey.kind == "exposures" and self._request.mosaic.combine == "auto"
        self._wants_one = wants_one and self._image is None
        self._decisions = Decisions(planner, self._survey, self._targets, self._rows, self._wants_one)
        self._datasets: set[str] = set()

    def _labels(self, label: str | None) -> tuple[str, ...]:
        bands = wanted_bands(self._request, self._survey, label)
        if self._request.picture is not None and bands:
            look = look_of(self._request, self._survey)
            bands = [self._survey.band(of) for of in dict.fromkeys(look.bands)]
        return tuple(band.label for band in bands)

    def run(self) -> ManyPlans:
        """Plan them all."""
        if self._image is not None:
            everywhere = np.arange(len(self._targets))
            for start in range(0, len(everywhere), CHUNK):
                self._plan_in_image(everywhere[start : start + CHUNK], self._image)
        elif self._targets.radius_deg is not None and len(self._targets):
            index = FootprintIndex(self._catalog, self._survey, self._bands, self._generation)
            for numbers, footprints in index.about(self._targets.vectors, self._targets.radius_deg):
                for start in range(0, len(numbers), CHUNK):
                    self._search(numbers[start : start + CHUNK], footprints)
        columns = {one.name: getattr(self._rows, one.name) for one in fields(self._rows)}
        ra, dec = self._targets.ra_deg, self._targets.dec_deg
        planner, generation = self._planner, self._generation
        return ManyPlans(planner, ra, dec, generation, self._bands, **columns, datasets=self._datasets)

    def _plan_in_image(self, numbers: Integers, record: ImageRecord) -> None:
        """Plan rows of one image that is named."""
        if not is_wanted(self._request, record):
            return
        pairs = boxes_on(0, np.arange(len(numbers)), self._targets.some(numbers), record)
        left = np.full(len(numbers), is_sliced(self._request, record))
        # There is but one, so that rows are in order once they are sorted.
        pairs = pairs.taken(np.argsort(pairs.rows, kind="stable"))
        self._note(record)
        self._decisions.take(numbers, Found(pairs, {0: record}, np.zeros(1, np.int16), left))

    def _search(self, numbers: Integers, footprints: Footprints) -> None:
        """Plan rows with the images about them; fewer at a time where there are many."""
        targets = self._targets.some(numbers)
        candidates = list(near(targets, footprints))
        if sum(len(rows) for _, rows in candidates) > MOST_PAIRS and len(numbers) > 1:
            half = len(numbers) // 2
            self._search(numbers[:half], footprints)
            self._search(numbers[half:], footprints)
            return
        found = self._found(targets, footprints, candidates)
        if len(footprints) > MOST_CANDIDATES:
            found.left[crowded(targets, footprints, MOST_CANDIDATES)] = True
        self._decisions.take(numbers, found)

    def _found(
        self, targets: Targets, footprints: Footprints, candidates: Sequence[tuple[int, Integers]]
    ) -> Found:
        records: dict[int, ImageRecord] = {}
        parts: list[Pairs] = []
        left = np.zeros(len(targets), bool)
        for image, rows in candidates:
            record = self._catalog.artifact(int(footprints.artifacts[image]))
            is_open = self._survey.access.may_read(record.dataset, self._planner.reader)
            # Exposures are chosen among those that are open; a region that needs a closed tile is refused.
            if not is_wanted(self._request, record) or (self._wants_one and not is_open):
                continue
            if is_sliced(self._request, record):
                left[rows] = True
            pairs = found_of(boxes_on(image, rows, targets, record), image, targets, footprints, record)
            if len(pairs):
                records[image] = record
                parts.append(pairs)
                if is_open:
                    self._note(record)
        return Found(in_order(Pairs.joined(parts), targets, footprints), records, footprints.bands, left)

    def _note(self, record: ImageRecord) -> None:
        # Where all is open to everybody it does not matter which of many there are.
        if not self._survey.is_public or len(self._datasets) <= NAMED_DATASETS:
            self._datasets.add(record.dataset)


def is_sliced(request: CutoutRequest, record: ImageRecord) -> bool:
    """Whether filters may choose planes of an image, which can depend on the position."""
    has_filters = request.band_m is not None or request.time_mjd is not None or bool(request.pol)
    return has_filters and len(record.shape) > 2
