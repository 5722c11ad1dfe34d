"""SODA async as a kind of job: one row, and as a rule one file, for each combination of the values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection

from dali.caller import Caller
from dali.errors import ProtocolError, ServiceUnavailable
from dali.parameters import Parameters
from soda.combinations import ONLY_RESULT
from soda.engine import Engine
from soda.lists.facts import sources
from soda.lists.request import ListRequest, is_list, refuse_without_list
from soda.lists.rows import LIST
from soda.lists.service import DEFAULT_LIMITS, ListLimits, Lists, Looked
from soda.making import DATABASE_RETRY_S, database_away, said, told, with_current
from soda.params import ManyCutouts, parse_many, parse_request
from soda.refusals import NO_ROOM, TooManyRows, out_of_reach, refusal
from soda.rows import PlannedRow, RowPlanner, no_overlap, tasks_of
from soda.table import JOB_PARAMETERS, SodaParameter
from surveys.errors import BrokenImage, NoOverlap, NoRoom, RequestFault, StaleImage
from surveys.plan import CutoutPlan
from surveys.planner import Limits
from surveys.request import CutoutRequest
from uws.job import Counts, JobError, Row, RowStatus
from uws.jobtype import Ending, Expansion, File, JobPlan, JobRefused, Outcome, UploadSource, Work
from uws.phase import Phase

#: It says nothing of the cutouts, and belongs to the job.
_CONTROL = ("RUNID",)

#: So many different faults are told of a job of which nothing can be made.
TOLD_FAULTS = 5


@dataclass(frozen=True, slots=True)
class JobLimits:
    """What a job may ask for.

    Parameters
    ----------
    cutout
        The largest of its cutouts.
    max_rows
        Cutouts of one job.
    high_rows, high_pixels
        Jobs up to this size, all cutouts together, are small work.
    lists
        What a table of targets may be.
    """

    cutout: Limits
    max_rows: int
    high_rows: int
    high_pixels: int
    lists: ListLimits = DEFAULT_LIMITS


class SodaJobs:
    """Makes the cutouts of jobs.

    Parameters
    ----------
    engine
        Plans and makes cutouts, within the limits of jobs.
    limits
        What a job may ask for.
    """

    name = "soda"
    takes_uploads = True

    def __init__(self, engine: Engine, limits: JobLimits) -> None:
        self._engine = engine.within(limits.cutout)
        self._identifiers = engine.identifiers
        self._limits = limits
        self._lists = Lists(self._engine, limits.lists)

    def describe(self) -> Mapping[str, Any]:
        """JSON Schema of the parameters."""
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "SODA cutouts",
            "description": "One cutout for each combination of the values of ID, region, BAND, TIME and RGB.",
            "type": "object",
            "properties": {p.name: _schema(p) for p in JOB_PARAMETERS if p.name not in _CONTROL},
            "required": ["ID"],
            "dependentRequired": {
                "CENTER": ["SIZE"],
                "SIZE": ["CENTER"],
                "PIXSCALE": ["GRID"],
                "POWER": ["STRETCH"],
            },
            "additionalProperties": False,
        }

    def parse(
        self, parameters: Parameters, caller: Caller, uploads: Mapping[str, UploadSource] = {}
    ) -> ManyCutouts | ListRequest:
        """Make a request of what a client sent: with a table of targets, a list.

        Raises
        ------
        UsageError
            If a value is wrong, in the words of sync.
        JobRefused
            If there are more combinations than a job may have.
        """
        if is_list(parameters):
            return self._lists.parse(parameters, caller, uploads)
        refuse_without_list(parameters)
        many = replace(parse_many(parameters, self._identifiers), caller=caller)
        if many.count > self._limits.max_rows:
            raise _too_many(many, self._limits.max_rows)
        return many

    def plan(self, request: ManyCutouts | ListRequest) -> JobPlan:
        """Decide what a job comes to, without reading a pixel.

        Raises
        ------
        NotFound, AuthorizationError
            If there is no such dataset, or not for this caller.
        UsageError
            If no combination can be made, and why.
        JobRefused
            If exposures make more of it than a job may have, or a table of targets cannot be read.
        """
        if isinstance(request, ListRequest):
            return self._lists.plan(request)
        return self.plan_of(self.rows_of(request))

    def rows_of(self, request: ManyCutouts) -> list[PlannedRow]:
        """Plan the rows of a job, those that cannot be made too.

        Raises
        ------
        NotFound, AuthorizationError
            If there is no such dataset, or not for this caller.
        JobRefused
            If exposures make more of it than a job may have.
        """
        return RowPlanner(self._engine.asked_by(request.caller)).rows(request, self._limits.max_rows)

    def plan_of(self, rows: Sequence[PlannedRow]) -> JobPlan:
        """Make a job of rows that are planned.

        Raises
        ------
        UsageError
            If none of them can be made, and why.
        """
        limits = self._limits
        _refuse_if_vain(rows)
        is_small = len(rows) <= limits.high_rows and sum(row.pixels for row in rows) <= limits.high_pixels
        datasets = (dataset for row in rows if row.plan is not None for dataset in row.plan.datasets)
        return JobPlan(
            tasks_of(rows),
            "high" if is_small else "low",
            sum(row.seconds for row in rows),
            sources=self._engine.sources(datasets),
        )

    def split(self, work: Work) -> Expansion:
        """Plan the rows of a list, and make tasks of them."""
        return self._lists.split(work)

    def look(self, request: ListRequest) -> Looked:
        """Plan all rows of a list without making a job of them; raises what `soda.lists.service` says."""
        return self._lists.look(request)

    def plan_cutout(self, request: CutoutRequest, caller: Caller) -> CutoutPlan:
        """Plan one cutout within the limits of jobs; raises what `surveys.planner.plan_cutout` raises."""
        return self._engine.asked_by(caller).plan(request)

    def run(self, work: Work) -> Iterator[Outcome]:
        """Make the cutouts of some rows."""
        if LIST in work.common:
            yield from self._lists.run(work)
            return
        maker = _Maker(self._engine.owned_by(work.owner, work.actor))
        for row in work.rows:
            yield maker.outcome(row)

    def finish(self, counts: Counts) -> Ending:
        """Decide how a job ends: in ERROR if nothing became of any row (no overlap is an answer)."""
        if counts.done or counts.empty or not counts.total:
            return Ending()
        if counts.total == 1:
            return Ending(Phase.ERROR, JobError("Error: the cutout could not be made."), as_row=True)
        where = "each result, or the ledger of a list, says why"
        return Ending(
            Phase.ERROR, JobError(f"Error: none of the {counts.total} cutouts could be made; {where}.")
        )


class _Maker:
    """Makes the cutouts of one job."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._identifiers = engine.identifiers

    def outcome(self, row: Row) -> Outcome:
        """Make the cutout of a row, or say why there is none."""
        if "message" in row.payload:
            return Outcome(RowStatus(row.payload["status"]), message=row.payload["message"])
        try:
            return self._make(row)
        except (OperationalError, InterfaceError, NoConnection):
            return _failed(database_away(), transient=True)
        except NoOverlap:
            return Outcome(RowStatus.EMPTY, message=no_overlap(self._plan_of(row).request, self._identifiers))
        except RequestFault as refused:
            return _failed(refusal(refused, self._identifiers))

    def _make(self, row: Row) -> Outcome:
        plan = self._plan_of(row)
        try:
            return with_current(
                self._engine, plan, lambda: self._plan_again(row), lambda plan: self._cut(plan, row)
            )
        except (StaleImage, BrokenImage) as fault:
            error = out_of_reach(fault, plan)
            return _failed(error, transient=isinstance(error, ServiceUnavailable))
        except NoRoom:
            return _failed(ServiceUnavailable(NO_ROOM, retry_after_s=DATABASE_RETRY_S), transient=True)

    def _plan_of(self, row: Row) -> CutoutPlan:
        try:
            return CutoutPlan.from_json(row.payload["plan"])
        except ValueError:
            return self._plan_again(row)

    def _plan_again(self, row: Row) -> CutoutPlan:
        """Plan from the request in its own spelling, which any version of this program reads."""
        asked = Parameters.from_pairs(parse_qsl(row.payload["query"]))
        return self._engine.plan(parse_request(asked, self._identifiers).cutout)

    def _cut(self, plan: CutoutPlan, row: Row) -> Outcome:
        if plan.is_empty:
            return Outcome(RowStatus.EMPTY, message=no_overlap(plan.request, self._identifiers))
        self._engine.check(plan)  # rights may have gone since it was planned
        result = self._engine.execute(plan)
        chunks = told(result, plan.datasets[0])
        name = file_name(result.file_name, row.result_id)
        file = File(row.result_id, name, row.payload["media_type"], chunks)
        return Outcome(RowStatus.DONE, (file,), facts={"source_datasets": sources(plan)})


def file_name(product_name: str, result_id: str) -> str:
    """Name a file of a job: as sync names it, with the id of its result if there are several."""
    stem, dot, suffix = product_name.rpartition(".")
    return product_name if result_id == ONLY_RESULT else f"{stem}_{result_id}{dot}{suffix}"


def _failed(fault: ProtocolError, *, transient: bool = False) -> Outcome:
    return Outcome(RowStatus.FAILED, message=said(fault), transient=transient)


def _refuse_if_vain(rows: Sequence[PlannedRow]) -> None:
    """Raise the fault of a job of which nothing can be made, with some of the others there are."""
    different = {row.fault.sentence: row.fault for row in rows if row.fault is not None}
    if all(row.fault is not None for row in rows):
        first, *others = list(different.values())[:TOLD_FAULTS]
        first.also = (*first.also, *others)
        raise first


def _too_many(many: ManyCutouts, most: int) -> JobRefused:
    lengths = {
        "ID": len(many.datasets),
        "region": len(many.regions),
        "BAND": len(many.bands_m),
        "TIME": len(many.times_mjd),
        "RGB": len(many.triplets),
    }
    factors = " x ".join(f"{length} {name}" for name, length in lengths.items() if length > 1)
    longest = max(lengths, key=lambda name: lengths[name])
    share = max(1, most * lengths[longest] // many.count)
    return TooManyRows(
        f"this job asks for {many.count} cutouts ({factors}); the limit for one job is {most}",
        f"Send several jobs, each with {share} of the {lengths[longest]} {longest} values at most.",
        most,
    )


def _schema(parameter: SodaParameter) -> dict[str, Any]:
    value: dict[str, Any] = {"type": "string"}
    if parameter.options:
        value["enum"] = list(parameter.options)
    described = {"description": parameter.description}
    if parameter.unit:
        described["description"] += f" [{parameter.unit}]"
    if not (parameter.many or parameter.product):
        return {**described, **value}
    return {**described, "type": "array", "items": value, "minItems": 1}
