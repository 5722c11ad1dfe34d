"""Makes the cutouts of lists, a task at a time: what its rows share is worked out once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection

from dali.errors import ServiceUnavailable
from soda.engine import Engine
from soda.lists.facts import Facts, image_facts, made_facts, places, planned_places, share
from soda.lists.outcomes import failed, with_suffix
from soda.lists.rows import Common, ListRow, PlannedImage
from soda.lists.stamp_work import StampWork
from soda.making import DATABASE_RETRY_S, database_away, told
from soda.refusals import NO_ROOM, refusal, unreadable
from soda.rows import no_overlap
from surveys.bulk.plans import plan_of
from surveys.errors import BrokenImage, NoRoom, RequestFault, StaleImage, UnknownDataset
from surveys.execute import record_of
from surveys.identifiers import is_layer
from surveys.image import ImageRecord
from surveys.plan import CutoutPlan
from surveys.request import CutoutRequest
from surveys.sky.wcs import wcs_of
from uws.job import Row, RowStatus
from uws.jobtype import File, Outcome, Work


def run_list(work: Work, engine: Engine) -> Iterator[Outcome]:
    """Make the cutouts of the rows of a task, one outcome for each, in their order."""
    task = _Task(Common.of(work.common, engine.identifiers), engine)
    rows = [(row, ListRow.of(row)) for row in work.rows]
    stamps = StampWork(task.common, engine)
    for (is_of_alerts, image), group in groupby(rows, lambda pair: (bool(pair[1].name), pair[1].image)):
        of_image = list(group)
        if is_of_alerts:
            yield from stamps.outcomes(of_image)
            continue
        if image is None:
            for row, asked in of_image:
                yield task.outcome(row, asked, None)
            continue
        copied = task.copied(image, [asked for _, asked in of_image])
        for number, (row, asked) in enumerate(of_image):
            yield task.outcome(row, asked, None if copied is None else _Copy(copied, copied.places[number]))


@dataclass(frozen=True, slots=True)
class _Copied:
    """An image of which rows are copied: what is known of it, and of the place of each row."""

    record: ImageRecord
    generation: int
    facts: Facts
    places: list[Facts]


@dataclass(frozen=True, slots=True)
class _Copy:
    """A row that is copied of an image."""

    image: _Copied
    place: Facts


class _Task:
    """The rows of one task."""

    def __init__(self, common: Common, engine: Engine) -> None:
        self.common = common
        self._engine = engine
        self._images: dict[int, Facts] = {}

    def copied(self, image: int, rows: list[ListRow]) -> _Copied | None:
        """Look up an image and the places of rows in it; None if it is no longer what it was."""
        planned = self.common.images[image]
        try:
            record = self._record(planned)
            if not planned.is_still(record):
                return None
            boxes = [(row.box.x0, row.box.x1, row.box.y0, row.box.y1) for row in rows if row.box is not None]
            found = places(wcs_of(record), boxes, [row.ra_deg for row in rows], [row.dec_deg for row in rows])
            facts = {
                **self._facts_of(record),
                "band": record.band,
                "resampled": False,
                "source_datasets": record.dataset,
            }
            return _Copied(record, planned.generation, facts, found)
        except (StaleImage, OperationalError, InterfaceError, NoConnection):
            return None  # each row finds out for itself, and says so

    def outcome(self, row: Row, asked: ListRow, copy: _Copy | None) -> Outcome:
        """Make the cutout of a row, or say why there is none."""
        try:
            return self._make(row, asked, copy)
        except (OperationalError, InterfaceError, NoConnection):
            return failed(asked, database_away(), transient=True)
        except RequestFault as refused:
            return failed(asked, refusal(refused, self._engine.identifiers))
        except NoRoom:
            fault = ServiceUnavailable(NO_ROOM, retry_after_s=DATABASE_RETRY_S)
            return failed(asked, fault, transient=True)

    def _make(self, row: Row, asked: ListRow, copy: _Copy | None) -> Outcome:
        spelling = self.common.spellings[asked.product]
        request = spelling.request(asked.ra_deg, asked.dec_deg, self.common.sizes[asked.size])
        dataset = request.dataset
        try:
            try:
                plan = self._plan(request, asked, copy)
                return self._cut(plan, row, asked, copy)
            except StaleImage:
                self._engine.catalog.refresh()
                plan = self._engine.plan(request)
                dataset = plan.pieces[0].dataset if plan.pieces else dataset
                return self._cut(plan, row, asked, None)
        except (StaleImage, BrokenImage) as fault:
            return failed(asked, unreadable(fault.dataset or dataset))

    def _plan(self, request: CutoutRequest, asked: ListRow, copy: _Copy | None) -> CutoutPlan:
        if copy is None or asked.box is None:
            return self._engine.plan(request)
        image, engine = copy.image, self._engine
        return plan_of(request, image.record, asked.box, image.generation, engine.catalog, engine.site)

    def _cut(self, plan: CutoutPlan, row: Row, asked: ListRow, copy: _Copy | None) -> Outcome:
        if not plan.pieces:
            message = no_overlap(plan.request, self._engine.identifiers)
            return Outcome(
                RowStatus.EMPTY, message=message, verdict="no_overlap", label=asked.label, facts=asked.facts
            )
        self._engine.check(plan)  # rights may have gone since it was planned
        result = self._engine.execute(plan)
        clipped = plan.parts[0].clipped if copy is not None else plan.clipped
        if copy is not None:
            # One image, and no picture: this is done so often that nothing of it is looked at twice.
            facts = {
                **asked.facts,
                **copy.image.facts,
                **copy.place,
                "frac_valid": share(result.facts.covered),
                "clipped": clipped,
            }
        else:
            reference = record_of(plan.pieces[0], plan.generation, self._engine.catalog)
            facts = {
                **asked.facts,
                **made_facts(result.facts),
                **self._facts_of(reference),
                **planned_places(plan, reference, asked.ra_deg, asked.dec_deg),
            }
        file = File(
            row.result_id,
            with_suffix(result.file_name, asked.suffix),
            self.common.products[asked.product].media_type,
            told(result, plan.pieces[0].dataset),
        )
        verdict = "clipped" if clipped else "ok"
        return Outcome(RowStatus.DONE, (file,), verdict=verdict, label=asked.label, facts=facts)

    def _record(self, planned: PlannedImage) -> ImageRecord:
        catalog = self._engine.catalog
        try:
            if is_layer(planned.dataset):
                return catalog.record(planned.dataset, planned.generation)
        except UnknownDataset as gone:
            raise StaleImage(str(gone)) from gone
        return catalog.artifact(planned.artifact_id)

    def _facts_of(self, record: ImageRecord) -> Facts:
        found = self._images.get(record.artifact_id)
        if found is None:
            found = self._images[record.artifact_id] = image_facts(record, self._engine.catalog)
        return found
