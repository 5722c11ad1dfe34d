"""Lists as a kind of job: what `soda.jobtype` does with a table of targets."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection

from dali.caller import Caller
from dali.errors import ProtocolError, ServiceUnavailable, UsageError
from dali.parameters import Parameters
from soda.engine import Engine
from soda.lists.alerts import with_names
from soda.lists.levels import SIZE_COLUMNS, Levels, Resolved
from soda.lists.planning import UnitPlanner
from soda.lists.request import ListRequest, parse_list
from soda.lists.rows import LIST, VERSION
from soda.lists.split import split_list, too_many_units
from soda.lists.units import Units, units_of, wrong_targets
from soda.lists.work import run_list
from soda.making import DATABASE_RETRY_S, database_away
from soda.price import BYTE_S, CUTOUT_S, LISTED_S
from soda.refusals import TableRefused, TooManyRows
from soda.targets import Subject, TargetLimits, TargetTable, UploadRefused, read_targets
from surveys.sky.overlap import box_shape
from surveys.sky.stencil import Size
from uws import pace
from uws.job import Lane
from uws.jobtype import Expansion, JobPlan, JobRefused, Outcome, UploadSource, Work

#: To split a list: for each of its rows.
SPLIT_ROW_S = 6e-5
#: So many targets that are wrong are named.
TOLD_TARGETS = 5
#: So many rows of a table are shown to who asks what it would come to.
HEAD = 5
#: Bytes of a header, as a rule.
_HEADER_BYTES = 5760
#: Bytes of a pixel, where it is not known of which image it is.
_PIXEL_BYTES = 4
#: Arcseconds of a pixel, where no survey says it.
_PIXEL_DEG = 0.25 / 3600


@dataclass(frozen=True, slots=True)
class ListLimits:
    """What a list may ask for.

    Parameters
    ----------
    targets
        What its table may be.
    max_rows
        Cutouts: targets times their products.
    high_rows
        Lists of so many cutouts are small work.
    """

    targets: TargetLimits
    max_rows: int = 400_000
    high_rows: int = 10


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """A list whose rows are planned.

    Parameters
    ----------
    table, units
        Its targets, and their products.
    lane
        Of its tasks.
    refused
        Why it would be no job.
    """

    table: TargetTable
    units: Units
    lane: Lane
    refused: ProtocolError | None = None


def splitting(rows: int) -> dict[str, Any]:
    """Say what to expect of the splitting of a list."""
    return pace.told("split/soda", SPLIT_ROW_S * rows, 1)


class Lists:
    """Plans, splits and makes lists.

    Parameters
    ----------
    engine
        What cutouts are planned and made with.
    limits
        What a list may ask for.
    """

    def __init__(self, engine: Engine, limits: ListLimits) -> None:
        self._engine = engine
        self._limits = limits

    def parse(
        self, parameters: Parameters, caller: Caller, uploads: Mapping[str, UploadSource]
    ) -> ListRequest:
        """Make a request of what a client sent.

        Raises
        ------
        UsageError
            If a value is wrong, in the words of sync.
        """
        request = replace(parse_list(parameters, self._engine.identifiers, uploads), caller=caller)
        self._levels(request, self._engine.asked_by(caller)).check()
        if self._subject(request) == "alerts":
            _refuse_boxes(request, "RADIUS" if "RADIUS" in parameters.values else "SIZE")
        return request

    def plan(self, request: ListRequest) -> JobPlan:
        """Look at the table, and count its rows; nothing is planned but that the job is split.

        Raises
        ------
        JobRefused
            If the table cannot be read, is too large or asks for too much; or if some targets are wrong and
            that is not to be.
        UsageError
            If nothing can be made of any target.
        """
        split = {LIST: VERSION}
        if request.upload.url:  # a worker fetches it
            return JobPlan((), "low", CUTOUT_S, split, None, packaged=True)
        table = self._read(request)
        levels = self._levels(request, self._engine.asked_by(request.caller))
        resolved = Resolved(levels, table.settings, len(table))
        self._refuse_wrong(request, table, resolved)
        total = self._count(table, resolved)
        pixels = self._pixels_each(request, resolved)
        each_s = CUTOUT_S if pixels is None else LISTED_S + BYTE_S * _PIXEL_BYTES * pixels
        seconds, size = total * each_s, total * (_HEADER_BYTES + math.ceil(_PIXEL_BYTES * (pixels or 0)))
        split |= splitting(total)
        lane = self._lane(total)
        return JobPlan((), lane, seconds, split, total, packaged=True, size=size)

    def look(self, request: ListRequest) -> Looked:
        """Plan all rows without making a job of them, in vain or not.

        Raises
        ------
        JobRefused
            If the table cannot be read, or is too large.
        UsageError
            If it has to be fetched first.
        """
        if request.upload.url:
            raise UsageError(
                "/estimate does not read a table that is named by its URL: a worker fetches it for a job",
                "Send the file itself, as UPLOAD=targets,param:t, or make the job and see its estimate.",
            )
        table, engine = self._read(request, HEAD), self._engine.asked_by(request.caller)
        resolved = Resolved(self._levels(request, engine), table.settings, len(table))
        refused: ProtocolError | None = None
        self._count(table, resolved)
        try:
            self._refuse_wrong(request, table, resolved)
        except (JobRefused, UsageError) as fault:
            refused = fault
        units = UnitPlanner(table, engine).plan(units_of(table, resolved))
        if refused is None and len(units) > self._limits.max_rows:
            refused = too_many_units(len(units), self._limits.max_rows)
        return Looked(table, units, self._lane(len(units)), refused)

    def _lane(self, total: int) -> Lane:
        return "high" if total <= self._limits.high_rows else "low"

    def split(self, work: Work) -> Expansion:
        """Plan the rows of a list, and make tasks of them; raises what `plan` raises."""
        try:
            engine = self._engine.owned_by(work.owner, work.actor)
            request = parse_list(work.parameters, engine.identifiers, work.uploads)
            levels = self._levels(request, engine)
            levels.check()
            table = self._read(request)
            resolved = Resolved(levels, table.settings, len(table))
            if request.upload.url:  # nobody has looked at it before
                self._refuse_wrong(request, table, resolved)
                self._count(table, resolved)
            return split_list(table, resolved, engine, self._limits.max_rows)
        except (OperationalError, InterfaceError, NoConnection) as away:
            raise database_away() from away

    def run(self, work: Work) -> Iterator[Outcome]:
        """Make the cutouts of some rows."""
        return run_list(work, self._engine.owned_by(work.owner, work.actor))

    def _levels(self, request: ListRequest, engine: Engine) -> Levels:
        return Levels(request.job, engine.identifiers, engine.catalog.survey, engine.reader)

    def _read(self, request: ListRequest, head: int = 0) -> TargetTable:
        upload = request.upload
        try:
            table = read_targets(
                upload.path(),
                upload.file_name,
                upload.media_type,
                request.mapping,
                self._limits.targets,
                head,
                self._subject(request),
            )
            return with_names(table, self._engine.catalog.survey)
        except OSError as error:  # its file went just now, or its disk is away
            raise ServiceUnavailable(
                "the table of targets cannot be had now", retry_after_s=DATABASE_RETRY_S
            ) from error
        except UploadRefused as refused:
            # No job is made for it (section 2.2.3.1 of UWS).
            raise TableRefused(refused) from refused

    def _subject(self, request: ListRequest) -> Subject:
        """Tell what the surveys of a job are of, as far as it names them."""
        names = {dataset.partition("/")[0] for dataset in request.job.datasets}
        of_alerts = {self._engine.catalog.survey(name).kind == "alerts" for name in names}
        if True not in of_alerts:
            return "places"
        return "both" if False in of_alerts else "alerts"

    def _refuse_wrong(self, request: ListRequest, table: TargetTable, resolved: Resolved) -> None:
        """Refuse a list for targets that are wrong, if they all are, or if that is asked for."""
        wrong = wrong_targets(table, resolved)
        if not wrong:
            return
        told = "; ".join(
            f"line {int(table.lines[index])}: {wrong[index].sentence}"
            for index in sorted(wrong)[:TOLD_TARGETS]
        )
        if len(wrong) == len(table):
            first = next(iter(wrong.values()))
            which = f"none of the {len(table)} targets" if len(table) > 1 else "the only target of the table"
            can = "can be made" if len(table) > 1 else "cannot be made"
            raise UsageError(f"{which} {can}: {told}", first.fix)
        if request.on_bad == "fail":
            raise JobRefused(
                f"{len(wrong)} of the {len(table)} targets {'are' if len(wrong) > 1 else 'is'} wrong: {told}",
                "Mend them, or send ONBAD=skip to have the others made.",
            )

    def _count(self, table: TargetTable, resolved: Resolved) -> int:
        """Count the rows there will be, but for exposures."""
        counts = [1 if isinstance(one, ProtocolError) else len(one) for one in resolved.sets]
        total = sum(counts[number] for number in resolved.set_of)
        # A target that is wrong is a row alone.
        total -= sum(counts[resolved.set_of[index]] - 1 for index in wrong_targets(table, resolved))
        most = self._limits.max_rows
        if total > most:
            raise TooManyRows(
                f"this list asks for {total} cutouts of {len(table)} targets; the limit of a job is {most}",
                "Send several jobs, each with some of the targets or of the products.",
                most,
            )
        return total

    def _pixels_each(self, request: ListRequest, resolved: Resolved) -> float | None:
        """Estimate how large a cutout is, roughly: nothing has been looked up; None where nobody can."""
        first = next((size for size in resolved.sizes if isinstance(size, Size)), None)
        if first is None:
            return None
        names = {dataset.partition("/")[0] for dataset in request.job.datasets}
        scale_deg = None
        for name in sorted(names):
            scale_deg = scale_deg or self._engine.catalog.survey(name).pixel_scale_deg
        width, height = box_shape(first, scale_deg or _PIXEL_DEG)
        return width * height


def _refuse_boxes(request: ListRequest, name: str) -> None:
    """Refuse sizes where all products are stamps of alerts.

    Raises
    ------
    UsageError
        If the job says one, or says which column has them.
    """
    said = [column.upper() for column in SIZE_COLUMNS if request.mapping.names.get(column)]
    if request.job.size is not None or said:
        raise UsageError(
            f"{name if request.job.size is not None else said[0]} is that of boxes about places; stamps of "
            "alerts have their own size",
            "Leave it out.",
        )


#: Used where nothing else is configured.
DEFAULT_LIMITS = ListLimits(TargetLimits())
