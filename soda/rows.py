"""Rows of a job: each combination planned, priced and named, and gathered into tasks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dali.errors import ProtocolError, quoted
from soda.combinations import ONLY_RESULT, Combination, combinations, numbered
from soda.engine import Engine
from soda.making import said
from soda.params import ManyCutouts
from soda.price import covered_fraction, kind_of, seconds_of
from soda.refusals import TooManyRows, refusal
from soda.spelling import canonical_pairs, canonical_query, with_url
from surveys.errors import AccessDenied, RequestFault, SeveralImages, UnknownDataset
from surveys.execute import record_of
from surveys.identifiers import Identifiers
from surveys.plan import CutoutPlan
from surveys.planner import MOST_IMAGES
from surveys.request import CutoutRequest
from uws import pace
from uws.job import Row, RowStatus

#: Of a task; a cutout that is larger is a task of its own.
TASK_S = 2.0
TASK_BYTES = 256_000_000


@dataclass(frozen=True, slots=True)
class PlannedRow:
    """A row to be.

    Parameters
    ----------
    name
        Which of the combinations it is, "" if there is but one.
    payload
        What its maker is told: a plan and the request it is of, or what became of it already.
    fault
        Why it cannot be made.
    seconds, size, pixels
        Its price; `size` in bytes.
    counts_as
        So many rows, where it stands for more than there may be.
    plan
        What would be done, where something would.
    fraction
        Share of the region that has data, None where that cannot be told.
    """

    name: str
    payload: Mapping[str, Any] = field(repr=False)
    fault: ProtocolError | None = None
    seconds: float = 0.0
    size: int = 0
    pixels: int = 0
    counts_as: int = 1
    plan: CutoutPlan | None = field(default=None, repr=False)
    fraction: float | None = None


class RowPlanner:
    """Plans the rows of jobs.

    Parameters
    ----------
    engine
        What they are planned with, and for whom.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._catalog = engine.catalog
        self._identifiers = engine.identifiers

    def rows(self, many: ManyCutouts, most: int) -> list[PlannedRow]:
        """Plan every combination.

        Raises
        ------
        NotFound, AuthorizationError
            If there is no such dataset, or not for this caller.
        TooManyRows
            If there are more than `most` rows, since each exposure has one.
        """
        found: list[PlannedRow] = []
        count = 0
        for combination in combinations(many, self._identifiers):
            rows = self._rows(combination, many.media_type)
            found += rows
            count += sum(row.counts_as for row in rows)
            if count > most:
                raise TooManyRows(
                    f"this job would give more than {most} cutouts, since each exposure gives one; "
                    f"the limit for one job is {most}",
                    "Send several jobs, each with some of the regions, or with less TIME.",
                    most,
                )
        return found

    def _rows(self, combination: Combination, media_type: str) -> list[PlannedRow]:
        try:
            return [self._planned(combination, media_type)]
        except (UnknownDataset, AccessDenied) as fault:
            # Whatever region or filters: the job is wrong, as the request would be.
            raise refusal(fault, self._identifiers) from fault
        except SeveralImages as fault:
            survey = self._catalog.survey(combination.request.dataset.partition("/")[0])
            if survey.kind != "exposures":
                return [self._failed(combination, fault)]
            if len(fault.datasets) > MOST_IMAGES:
                # There are more than were looked at: to give some of them would be to withhold the others.
                return [replace(self._failed(combination, fault), counts_as=len(fault.datasets))]
            return list(self._exposures(combination, fault.datasets, media_type))
        except RequestFault as fault:
            return [self._failed(combination, fault)]

    def _exposures(
        self, combination: Combination, datasets: Sequence[str], media_type: str
    ) -> Iterator[PlannedRow]:
        for number, dataset in enumerate(datasets, start=1):
            request = with_url(replace(combination.request, dataset=dataset), self._identifiers)
            label = numbered("exposure", number, len(datasets))
            name = f"{combination.name}-{label}" if combination.name else label
            yield self._planned(Combination(name, request), media_type)

    def _planned(self, combination: Combination, media_type: str) -> PlannedRow:
        request = combination.request
        plan = self._engine.plan(request)
        if plan.is_empty:
            message = no_overlap(request, self._identifiers)
            return PlannedRow(combination.name, ended(RowStatus.EMPTY, message))
        records = [record_of(piece, plan.generation, self._catalog) for piece in plan.pieces]
        seconds, size = seconds_of(plan, records), plan.cost.bytes_out
        return PlannedRow(
            combination.name,
            {
                "plan": plan.to_json(),
                "query": canonical_query(request, self._identifiers),
                "media_type": media_type,
                **pace.told(kind_of(plan), seconds, 1, size),
            },
            seconds=seconds,
            size=size,
            pixels=plan.cost.pixels_out,
            plan=plan,
            fraction=covered_fraction(plan, records),
        )

    def _failed(self, combination: Combination, fault: RequestFault) -> PlannedRow:
        error = refusal(fault, self._identifiers)
        return PlannedRow(combination.name, ended(RowStatus.FAILED, said(error)), error)


def ended(status: RowStatus, message: str) -> dict[str, str]:
    """Write the payload of a row of which something became already."""
    return {"status": status.value, "message": message}


def no_overlap(request: CutoutRequest, identifiers: Identifiers) -> str:
    """Tell that a combination selects nothing, and which one (section 6)."""
    asked = ", ".join(f"{name} {quoted(value)}" for name, value in canonical_pairs(request, identifiers))
    return f"UsageError: no overlap: no pixel of the data is selected by {asked}."


def tasks_of(rows: Sequence[PlannedRow]) -> list[list[Row]]:
    """Give rows numbers and names, and gather them in their order."""
    tasks: list[list[Row]] = []
    seconds, size = math.inf, 0
    for n, row in enumerate(rows):
        if seconds + row.seconds > TASK_S or size + row.size > TASK_BYTES:
            tasks.append([])
            seconds, size = 0.0, 0
        result_id = row.name if len(rows) > 1 else ONLY_RESULT
        tasks[-1].append(Row(n, result_id, row.payload))
        seconds, size = seconds + row.seconds, size + row.size
    return tasks
