"""Plans the products of a list that are of alerts: looked up together, by number or by object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from dali.errors import quoted
from soda.engine import Engine
from soda.lists.alerts import lake_of, names_of
from soda.lists.products import Spelling
from soda.lists.units import UNPLANNED, Units
from soda.price import CUTOUT_S, seconds_of
from soda.refusals import NoSuchAlert, refusal
from soda.targets import TargetTable
from surveys.alert import LARGEST_CANDID, AlertName, AlertRecord
from surveys.alerts.planner import plan_records
from surveys.bulk.plans import Verdict
from surveys.errors import RequestFault, TooLarge, UnknownAlert
from surveys.index.alerts.records import of_one_object
from surveys.index.catalog import Catalog
from surveys.plan import CutoutPlan
from surveys.planner import check_access, check_pieces
from surveys.request import CutoutRequest
from surveys.survey import Survey

#: So many names are looked up at a time.
AT_ONCE = 1000

Records = Sequence[AlertRecord]


def plan_alerts(table: TargetTable, units: Units, engine: Engine) -> None:
    """Plan all units that are of alerts, in place."""
    stamped = [number for number, product in enumerate(units.products) if product.is_of_alerts]
    if not stamped:
        return
    names = names_of(table)
    waiting = np.flatnonzero(np.isin(units["product"], stamped) & (units["verdict"] == UNPLANNED))
    surveys = {number: engine.catalog.survey(units.products[number].survey) for number in stamped}
    for survey in {survey.name: survey for survey in surveys.values()}.values():
        of_survey = [number for number in stamped if surveys[number] is survey]
        spellings = {number: Spelling(units.products[number], engine.identifiers) for number in of_survey}
        planner = _Planner(units, engine, survey, spellings)
        planner.plan(names, waiting[np.isin(units["product"][waiting], of_survey)])


class _Planner:
    """Plans the units of one survey of alerts."""

    def __init__(
        self, units: Units, engine: Engine, survey: Survey, spellings: Mapping[int, Spelling]
    ) -> None:
        self._units = units
        self._engine = engine
        self._survey = survey
        self._spellings = spellings

    def plan(self, names: Sequence[str], which: NDArray[np.int64]) -> None:
        """Plan units, by the names of all rows of the table."""
        units = self._units
        of_name: dict[str, list[int]] = {}
        for unit, target in zip(which.tolist(), units["target"][which].tolist(), strict=True):
            of_name.setdefault(names[target], []).append(unit)
        left = iter(of_name)
        while some := list(islice(left, AT_ONCE)):
            found = LookedUp(self._engine.catalog, self._survey, some)
            for name in some:
                self._plan_name(name, of_name[name], found)
        if len(which):
            units.datasets.add(self._survey.name)

    def _plan_name(self, name: str, which: list[int], found: LookedUp) -> None:
        units = self._units
        try:
            # What there is of what is closed is not told.
            check_access(f"{self._survey.name}/{name}", self._survey, self._engine.reader)
            records = found.records(name)
        except UnknownAlert as fault:
            units.refuse(which, NoSuchAlert(str(fault)))
            return
        except RequestFault as fault:
            units.refuse(which, refusal(fault, self._engine.identifiers))
            return
        for unit in which:
            request = self._spellings[int(units["product"][unit])].named(name)
            try:
                plan = plan_named(request, self._survey, records, self._engine)
            except RequestFault as fault:
                units.refuse([unit], refusal(fault, self._engine.identifiers))
                continue
            self._note(unit, plan, records[-1])

    def _note(self, unit: int, plan: CutoutPlan, last: AlertRecord) -> None:
        units = self._units
        units["ra"][unit], units["dec"][unit] = last.ra_deg, last.dec_deg
        if plan.is_empty:
            units["verdict"][unit] = Verdict.OUTSIDE
            return
        units["verdict"][unit], units["fraction"][unit] = Verdict.COVERED, 1.0
        units["alert"][unit] = plan.stamps[0].alert_id
        units["pixels_out"][unit], units["bytes_out"][unit] = plan.cost.pixels_out, plan.cost.bytes_out
        # They are looked up and read together.
        units["seconds"][unit] = seconds_of(plan, ()) - CUTOUT_S


class LookedUp:
    """Alerts of a survey by what rows name: ``alert/123`` or ``object/ZTF18abc``.

    Parameters
    ----------
    names
        All that will be asked for; they are looked up together.
    """

    def __init__(self, catalog: Catalog, survey: Survey, names: Sequence[str]) -> None:
        self._survey = survey
        self._faults: dict[str, RequestFault] = {}
        self._named: dict[str, AlertName] = {}
        for name in names:
            try:
                self._named[name] = _parsed(name, survey)
            except UnknownAlert as fault:
                self._faults[name] = fault
        alerts = list({one.candid for one in self._named.values() if one.what == "alert"})
        objects = list({one.key.lower() for one in self._named.values() if one.what == "object"})
        self._alerts = catalog.alerts.by_candid(survey, alerts) if alerts else {}
        self._objects: dict[str, Records] = {}
        self._find_objects(catalog, objects)
        numbers = [int(key) for key in objects if _is_number(key) and key not in self._objects]
        # Objects of some surveys are numbers too; who has mixed them up is told so, where all may be told.
        is_told = bool(numbers) and not survey.access.datasets
        self._mistaken = frozenset(catalog.alerts.by_candid(survey, numbers)) if is_told else frozenset()

    def _find_objects(self, catalog: Catalog, names: list[str]) -> None:
        """Look objects up: fewer at a time where they have very many alerts."""
        if not names:
            return
        try:
            self._objects |= catalog.alerts.by_object(self._survey, names)
        except TooLarge as fault:
            if len(names) == 1:
                self._faults[f"object/{names[0]}"] = fault
                return
            middle = len(names) // 2
            self._find_objects(catalog, names[:middle])
            self._find_objects(catalog, names[middle:])

    def records(self, name: str) -> Records:
        """Alerts of a name, in the order of time; one at least.

        Raises
        ------
        UnknownAlert, TooLarge
            If there is none; if there are too many.
        """
        if fault := self._faults.get(name) or self._faults.get(name.lower()):
            raise fault
        one = self._named[name]
        if one.what == "alert":
            if one.candid in self._alerts:
                return (self._alerts[one.candid],)
            raise UnknownAlert(f"{self._survey.name} has no alert {one.key}")
        if records := self._objects.get(one.key.lower()):
            return of_one_object(tuple(records), one.key)
        if _is_number(one.key) and int(one.key) in self._mistaken:
            raise UnknownAlert(
                f"{self._survey.name} has no object {one.key}, but an alert of this number: name the column "
                "candid or alert, or write COLUMNS=alert:…"
            )
        raise UnknownAlert(f"{self._survey.name} has no object {quoted(one.key)}")

    def all(self) -> Iterator[AlertRecord]:
        """Yield every alert that was found."""
        yield from self._alerts.values()
        for records in self._objects.values():
            yield from records


def _is_number(key: str) -> bool:
    return key.isdecimal() and len(key) <= len(str(LARGEST_CANDID)) and int(key) <= LARGEST_CANDID


def _parsed(name: str, survey: Survey) -> AlertName:
    """Read what a row names; a text that can be no name of anything is unknown."""
    what, _, key = name.partition("/")
    parsed = None
    if "/" not in key and key.isascii() and key.isprintable():
        parsed = AlertName.parse(f"{survey.name}/{name}", lake_of(survey))
    if parsed is None:
        raise UnknownAlert(f"{survey.name} has no {what} {quoted(key)}")
    return parsed


def plan_named(request: CutoutRequest, survey: Survey, records: Records, engine: Engine) -> CutoutPlan:
    """Plan the product of alerts that were looked up, for whom the engine is.

    Raises
    ------
    RequestFault
        As `surveys.planner.plan_cutout` does.
    """
    if survey.is_public:
        return plan_records(request, survey, records, engine.catalog, engine.limits)
    check_access(request.dataset, survey, engine.reader)
    plan = plan_records(request, survey, records, engine.catalog, engine.limits)
    check_pieces(plan, survey, engine.reader)
    return plan
