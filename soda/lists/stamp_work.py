"""Makes the rows of a task that are of alerts: looked up together, and read together, file by file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import cast

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection

from dali.errors import ProtocolError, ServiceUnavailable
from soda.engine import Engine
from soda.lists.facts import Facts, made_facts
from soda.lists.outcomes import failed, with_suffix
from soda.lists.rows import Common, ListRow
from soda.lists.stamped import LookedUp, Records, plan_named
from soda.making import DATABASE_RETRY_S, database_away, told, with_current
from soda.refusals import NO_ROOM, NoSuchAlert, out_of_reach, refusal
from soda.rows import no_overlap
from surveys.alerts.together import ReadTogether
from surveys.errors import BrokenImage, NoRoom, RequestFault, StaleImage, UnknownAlert
from surveys.execute import CutoutResult
from surveys.index.catalog import Catalog
from surveys.plan import CutoutPlan
from surveys.planner import check_access
from surveys.survey import Survey
from uws.job import Row, RowStatus
from uws.jobtype import File, Outcome

#: So many rows are looked up at a time, and so many stamps are in memory as they are stored.
_ROWS, _STAMPS = 500, 2000

Asked = tuple[Row, ListRow]


class StampWork:
    """Makes rows that are of alerts, of one task.

    Parameters
    ----------
    common
        What the rows share.
    engine
        What they are made with.
    """

    def __init__(self, common: Common, engine: Engine) -> None:
        self._common = common
        self._engine = engine

    def outcomes(self, rows: Sequence[Asked]) -> Iterator[Outcome]:
        """Make rows, one outcome for each, in their order."""
        for start in range(0, len(rows), _ROWS):
            yield from self._some(rows[start : start + _ROWS])

    def _some(self, rows: Sequence[Asked]) -> Iterator[Outcome]:
        planned = [_Planned(asked, self._survey(asked[1])) for asked in rows]
        try:
            self._look_up(planned)
        except (OperationalError, InterfaceError, NoConnection):
            yield from (failed(one.asked, database_away(), transient=True) for one in planned)
            return
        for group in _groups(planned):
            plans = [one.plan for one in group if one.plan is not None]
            records = {record.id: record for one in group for record in one.records}
            held = self._engine
            if sum(len(plan.stamps) for plan in plans) <= _STAMPS:
                together = ReadTogether(self._engine.catalog, plans, records)
                # It knows of alerts what the making of stamps asks.
                held = replace(self._engine, catalog=cast(Catalog, together))
            yield from (self._outcome(one, held) for one in group)

    def _survey(self, asked: ListRow) -> Survey:
        return self._engine.catalog.survey(self._common.products[asked.product].survey)

    def _look_up(self, planned: Sequence[_Planned]) -> None:
        """Find the alerts of rows, and plan these."""
        by_survey: dict[str, list[_Planned]] = {}
        for one in planned:
            by_survey.setdefault(one.survey.name, []).append(one)
        for of_survey in by_survey.values():
            survey, names = of_survey[0].survey, [one.asked.name for one in of_survey]
            found = LookedUp(self._engine.catalog, survey, names)
            for one in of_survey:
                one.fault = self._planned(one, found)

    def _planned(self, one: _Planned, found: LookedUp) -> ProtocolError | None:
        """Plan a row; return what is wrong with it, if anything is."""
        request = self._common.spellings[one.asked.product].named(one.asked.name)
        try:
            check_access(f"{one.survey.name}/{one.asked.name}", one.survey, self._engine.reader)
            one.records = found.records(one.asked.name)
            one.plan = plan_named(request, one.survey, one.records, self._engine)
        except UnknownAlert as fault:
            return NoSuchAlert(str(fault))
        except RequestFault as fault:
            return refusal(fault, self._engine.identifiers)
        return None

    def _outcome(self, one: _Planned, held: Engine) -> Outcome:
        """Make the product of a row, or say why there is none."""
        if one.fault is not None or one.plan is None:
            return failed(one.asked, one.fault or NoSuchAlert(f"there is no {one.asked.name}"))
        plan, engines = one.plan, iter((held,))
        try:
            return with_current(
                self._engine,
                plan,
                lambda: self._engine.plan(plan.request),
                lambda current: self._made(one, current, next(engines, self._engine)),
            )
        except (StaleImage, BrokenImage) as fault:
            is_transient = isinstance(fault, StaleImage)
            return failed(one.asked, out_of_reach(fault, plan), transient=is_transient)
        except (OperationalError, InterfaceError, NoConnection):
            return failed(one.asked, database_away(), transient=True)
        except RequestFault as refused:
            return failed(one.asked, refusal(refused, self._engine.identifiers))
        except NoRoom:
            away = ServiceUnavailable(NO_ROOM, retry_after_s=DATABASE_RETRY_S)
            return failed(one.asked, away, transient=True)

    def _made(self, one: _Planned, plan: CutoutPlan, engine: Engine) -> Outcome:
        asked = one.asked
        if plan.is_empty:
            message = no_overlap(plan.request, self._engine.identifiers)
            return Outcome(
                RowStatus.EMPTY, message=message, verdict="no_overlap", label=asked.label, facts=asked.facts
            )
        result = engine.execute(plan)
        file = File(
            one.row.result_id,
            with_suffix(result.file_name, asked.suffix),
            self._common.products[asked.product].media_type,
            told(result, plan.stamps[0].dataset),
        )
        facts = {**asked.facts, **made_facts(result.facts), **_facts(one, plan, result)}
        return Outcome(RowStatus.DONE, (file,), verdict="ok", label=asked.label, facts=facts)


class _Planned:
    """A row on its way: what was found of it."""

    def __init__(self, asked: Asked, survey: Survey) -> None:
        self.row, self.asked = asked
        self.survey = survey
        self.records: Records = ()
        self.plan: CutoutPlan | None = None
        self.fault: ProtocolError | None = None


def _groups(planned: Sequence[_Planned]) -> Iterator[list[_Planned]]:
    """Gather rows whose stamps fit in memory together; one that has more than that is alone."""
    group: list[_Planned] = []
    count = 0
    for one in planned:
        stamps = 0 if one.plan is None else sum(len(stamp.kinds) for stamp in one.plan.stamps)
        if group and count + stamps > _STAMPS:
            yield group
            group, count = [], 0
        group.append(one)
        count += stamps
    if group:
        yield group


def _facts(one: _Planned, plan: CutoutPlan, result: CutoutResult) -> Facts:
    """Tell what the index knows of the alerts of a product: place, time and bands."""
    taken = {stamp.alert_id for stamp in plan.stamps}
    records = [record for record in one.records if record.id in taken]
    bands = [band.label for band in one.survey.bands if any(record.band == band.label for record in records)]
    told: Facts = {"band": "".join(bands)} if bands else {}
    if len(records) == 1:
        told["mjd"] = records[0].mjd
    return told
