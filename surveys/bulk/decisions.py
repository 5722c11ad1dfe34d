"""Which rows are a copy of one image, which are refused, and which are left to `plan_cutout`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from surveys.bulk.estimates import cost_of, covered
from surveys.bulk.matching import Integers, Pairs, Targets
from surveys.bulk.plans import Planner, Verdict
from surveys.bulk.rows import Rows
from surveys.bulk.single import Copies
from surveys.errors import AccessDenied, RequestFault
from surveys.image import ImageRecord
from surveys.plan import CutoutPlan
from surveys.planner import plan_cutout
from surveys.planning.limits import too_many_images
from surveys.planning.tiles import MOST_IMAGES, closed_here, several_exposures, too_many_exposures
from surveys.sky.sphere import Booleans
from surveys.survey import Survey


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Images with pixels of some rows.

    Parameters
    ----------
    pairs
        In the order of the rows, and of a search.
    records
        Images by number.
    bands
        Number of the band of each image.
    left
        Rows of which only `plan_cutout` knows what becomes of them.
    """

    pairs: Pairs
    records: Mapping[int, ImageRecord]
    bands: NDArray[np.int16]
    left: Booleans


class Decisions:
    """Decides what becomes of rows.

    Parameters
    ----------
    planner, survey, targets
        What is asked.
    rows
        Where it is written.
    wants_one
        Whether exposures are looked for, of which only one is wanted.
    """

    def __init__(
        self, planner: Planner, survey: Survey, targets: Targets, rows: Rows, wants_one: bool
    ) -> None:
        self._planner = planner
        self._survey = survey
        self._targets = targets
        self._rows = rows
        self._wants_one = wants_one
        self._copies = Copies(planner, targets.ra_deg, targets.dec_deg, rows)
        request = planner.template
        self._combines = request.mosaic.combine in ("mean", "weighted")
        self._copies_at_all = (
            request.picture is None and request.mosaic.grid == "native" and request.detail == "image"
        )

    def take(self, numbers: Integers, found: Found) -> None:
        """Decide on some rows, numbered from 0 in `found`."""
        rows, pairs = self._rows, found.pairs
        counts = np.bincount(pairs.rows, minlength=len(numbers))
        rows.images[numbers] = counts
        rows.found[numbers[pairs.rows], found.bands[pairs.images]] = True
        touched = np.flatnonzero(counts)
        starts = (np.cumsum(counts) - counts)[touched]
        artifacts = np.array([found.records[image].artifact_id for image in pairs.images[starts].tolist()])
        rows.nearest[numbers[touched]] = artifacts if len(artifacts) else -1
        refused = self._refuse(numbers, found, counts) | self._refuse_closed(numbers, found, counts)
        chosen = self._chosen(numbers, found, counts)
        chosen[refused | found.left] = -1
        self._copy(numbers, found, chosen)
        self._leave(numbers, found, (chosen < 0) & (counts > 0) & ~refused)
        for row in np.flatnonzero(found.left & (counts == 0)).tolist():
            self._ask(int(numbers[row]))

    def _refuse(self, numbers: Integers, found: Found, counts: Integers) -> Booleans:
        """Refuse rows that need more images than they may have; which."""
        refused = np.zeros(len(numbers), bool)
        most = 1 if self._wants_one else self._planner.limits.max_inputs
        for row in np.flatnonzero((counts > most) & ~found.left).tolist():
            start, end = np.searchsorted(found.pairs.rows, [row, row + 1])
            images = found.pairs.images[start:end]
            if self._wants_one:
                names = [found.records[image].dataset for image in images[: MOST_IMAGES + 1].tolist()]
                fault = self._several(tuple(sorted(names)))
            elif np.bincount(found.bands[images]).max() > most:
                fault = too_many_images(self._survey.name, self._planner.limits)
            else:
                continue
            self._rows.refuse(int(numbers[row]), fault)
            refused[row] = True
        return refused

    def _refuse_closed(self, numbers: Integers, found: Found, counts: Integers) -> Booleans:
        """Refuse rows that need images which are not open to whoever asks; which."""
        refused = np.zeros(len(numbers), bool)
        access, reader = self._survey.access, self._planner.reader
        closed = [
            image for image, record in found.records.items() if not access.may_read(record.dataset, reader)
        ]
        if not closed:
            return refused
        of_closed = found.pairs.rows[np.isin(found.pairs.images, closed)]
        for row, count in zip(*map(np.ndarray.tolist, np.unique(of_closed, return_counts=True)), strict=True):
            # Of several images that overlap, those that are open may be enough.
            if count == counts[row] or self._needs_closed(int(numbers[row])):
                self._rows.refuse(int(numbers[row]), closed_here(self._survey))
                refused[row] = True
        return refused

    def _needs_closed(self, row: int) -> bool:
        try:
            self._plan(row)
        except AccessDenied:
            return True
        except RequestFault:
            return False
        return False

    def _several(self, datasets: tuple[str, ...]) -> RequestFault:
        if len(datasets) > MOST_IMAGES:
            return too_many_exposures(self._survey.name, datasets)
        return several_exposures(datasets)

    def _chosen(self, numbers: Integers, found: Found, counts: Integers) -> Integers:
        """Pair by which each row is a copy; -1 where there is none."""
        chosen = np.full(len(numbers), -1)
        if not self._copies_at_all:
            return chosen
        pairs = found.pairs
        alone = np.flatnonzero(counts[pairs.rows] == 1)
        chosen[pairs.rows[alone]] = alone
        if not self._combines:
            whole = np.flatnonzero(pairs.whole)
            of_row, first = np.unique(pairs.rows[whole], return_index=True)
            chosen[of_row] = whole[first]
        chosen[self._rows.found[numbers].sum(axis=1) > 1] = -1
        return chosen

    def _copy(self, numbers: Integers, found: Found, chosen: Integers) -> None:
        pairs = found.pairs.taken(chosen[chosen >= 0])
        if not len(pairs):
            return
        order = np.argsort(pairs.images, kind="stable")
        images, first = np.unique(pairs.images[order], return_index=True)
        for image, which in zip(images.tolist(), np.split(order, first[1:]), strict=True):
            some = pairs.taken(which)
            self._copies.plan(
                found.records[image], numbers[some.rows], some.x0, some.y0, some.inside, some.whole
            )

    def _leave(self, numbers: Integers, found: Found, left: Booleans) -> None:
        """Estimate what is left to `plan_cutout`, each band for itself."""
        rows = self._rows
        pairs = found.pairs.taken(left[found.pairs.rows])
        if not len(pairs):
            return
        at = numbers[np.flatnonzero(left)]
        rows.fraction[at] = 1.0
        bands = found.bands[pairs.images]
        targets = self._targets.some(numbers)
        for band in np.unique(bands).tolist():
            of_band = pairs.taken(bands == band)
            starts = np.flatnonzero(np.diff(of_band.rows, prepend=-1))
            own = numbers[of_band.rows[starts]]
            shares = covered(of_band, starts, targets, found.records)
            rows.fraction[own] = np.minimum(rows.fraction[own], shares)
        rows.verdict[at] = np.where(rows.fraction[at] < 1.0, Verdict.PARTIAL, Verdict.COVERED)
        starts = np.flatnonzero(np.diff(pairs.rows, prepend=-1))
        counts = rows.found[at].sum(axis=1)
        request = self._planner.template
        read, made, size = cost_of(request, pairs, starts, counts, targets, found.records)
        rows.pixels_in[at], rows.pixels_out[at], rows.bytes_out[at] = read, made, size

    def _ask(self, row: int) -> None:
        """Ask `plan_cutout` what becomes of a row that no image seems to have."""
        try:
            plan = self._plan(row)
        except RequestFault as fault:
            self._rows.refuse(row, fault)
            return
        if plan.parts:
            self._rows.verdict[row] = Verdict.COVERED
            self._rows.images[row] = len(plan.pieces)

    def _plan(self, row: int) -> CutoutPlan:
        planner = self._planner
        request = planner.request(self._targets.ra_deg[row], self._targets.dec_deg[row])
        return plan_cutout(request, planner.catalog, planner.limits, planner.reader, planner.site)
