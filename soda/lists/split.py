"""Makes the tasks of a list: its units planned, gathered by image, named; those without a cutout end here."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from soda.engine import Engine
from soda.lists.alerts import names_of
from soda.lists.levels import Resolved
from soda.lists.lots import Lot, has_ended, lots_of
from soda.lists.names import Namer, places_of
from soda.lists.outcomes import verdict_of
from soda.lists.planning import UnitPlanner
from soda.lists.products import Product, Spelling
from soda.lists.rows import CommonWriter, ListRow
from soda.lists.units import Units, units_of
from soda.making import said
from soda.params import on_grid
from soda.refusals import TooManyRows
from soda.rows import no_overlap
from soda.spelling import spell_size
from soda.targets import TargetTable
from surveys.errors import UnknownDataset
from surveys.sky.overlap import box_shape
from surveys.sky.pixels import PixelBox
from surveys.sky.stencil import Size
from surveys.survey import Survey
from uws import pace
from uws.job import Row, RowReport, RowStatus
from uws.jobtype import Expansion, TaskPlan

#: Units that are taken out of their columns at a time.
_AT_ONCE = 10_000


def split_list(table: TargetTable, resolved: Resolved, engine: Engine, most: int) -> Expansion:
    """Plan all rows of a list, and make tasks of them.

    Parameters
    ----------
    table
        The targets.
    resolved
        Settings of their rows.
    engine
        What they are planned with.
    most
        Cutouts there may be.

    Raises
    ------
    TooManyRows
        If exposures make more of it.
    """
    units = UnitPlanner(table, engine).plan(units_of(table, resolved))
    if len(units) > most:
        raise too_many_units(len(units), most)
    made = _Split(table, units, engine)
    return Expansion(
        made.tasks(), made.ended(), len(units), made.seconds, engine.sources(sorted(units.datasets))
    )


def too_many_units(count: int, most: int) -> TooManyRows:
    """Refuse a list that comes to more than a job may have."""
    return TooManyRows(
        f"this list asks for {count} cutouts, since each exposure gives one; the limit of a job is {most}",
        "Send several jobs, each with some of the targets, or with less TIME.",
        most,
    )


class _Unit(NamedTuple):
    """A unit in plain numbers, which are taken out of arrays many at a time."""

    unit: int
    number: int
    target: int
    product: int
    size: int
    artifact: int
    box: PixelBox
    ra_deg: float
    dec_deg: float


class _Split:
    """Units that are planned, as tasks and as ended rows."""

    def __init__(self, table: TargetTable, units: Units, engine: Engine) -> None:
        self._table = table
        self._units = units
        self._engine = engine
        self._said = [_ProductFacts(product, engine) for product in units.products]
        self._has_ended = has_ended(units)
        self._row_names = names_of(table) if any(one.is_of_alerts for one in units.products) else []
        self._labels, self._suffixes = self._names()
        self.seconds = float(units["seconds"][~self._has_ended].sum())

    def tasks(self) -> Iterator[TaskPlan]:
        """Yield tasks: first rows that are copied of one image, gathered by it, then the others."""
        for lot in lots_of(self._table, self._units):
            yield self._task(lot)

    def ended(self) -> Iterator[RowReport]:
        """Yield rows that have ended, with what became of them."""
        for one in self._taken(np.flatnonzero(self._has_ended)):
            fault = self._units.faults.get(one.unit)
            if fault is None:
                status, verdict, message = RowStatus.EMPTY, "no_overlap", self._no_overlap(one)
            else:
                status, verdict, message = RowStatus.FAILED, verdict_of(fault), said(fault)
            yield RowReport(
                one.unit,
                self._labels[one.unit],
                status,
                message,
                verdict=verdict,
                label=self._table.ids[one.target],
                facts=self._facts(one),
            )

    def _task(self, lot: Lot) -> TaskPlan:
        units, writer, rows = self._units, CommonWriter(self._engine.identifiers), []
        for one in self._taken(np.asarray(lot.units)):
            is_copied = one.artifact >= 0
            row = ListRow(
                product=writer.product(one.product, units.products),
                size=writer.size(one.size, units.sizes),
                image=writer.image(units.images[one.artifact]) if is_copied else None,
                box=one.box if is_copied else None,
                suffix=self._suffixes[one.unit],
                label=self._table.ids[one.target],
                facts=self._facts(one),
                name=self._name(one),
            )
            rows.append(Row(one.unit, self._labels[one.unit], row.to_payload()))
        told = pace.told(lot.work, lot.seconds, len(rows), lot.size)
        return TaskPlan(tuple(rows), {**writer.to_json(), **told}, lot.kind)

    def _taken(self, which: NDArray[np.int64]) -> Iterator[_Unit]:
        """Take some units, each with the place it is of."""
        table, units = self._table, self._units
        for start in range(0, len(which), _AT_ONCE):
            some = which[start : start + _AT_ONCE]
            target, ra = units["target"][some], units["ra"][some]
            of_table = np.isnan(ra)
            numbers = (
                some,
                table.numbers[target],
                target,
                *(units[name][some] for name in ("product", "size", "artifact")),
            )
            boxes = map(PixelBox, *(units[name][some].tolist() for name in ("x0", "x1", "y0", "y1")))
            places = (
                np.where(of_table, table.ra_deg[target], ra),
                np.where(of_table, table.dec_deg[target], units["dec"][some]),
            )
            yield from map(
                _Unit, *(one.tolist() for one in numbers), boxes, *(one.tolist() for one in places)
            )

    def _name(self, one: _Unit) -> str:
        """Alert or object that a unit is of; "" of one of a place."""
        is_of_alerts = one.product >= 0 and self._units.products[one.product].is_of_alerts
        return self._row_names[one.target] if is_of_alerts else ""

    def _facts(self, one: _Unit) -> dict[str, Any]:
        """Tell what is known of a row before it is made."""
        facts: dict[str, Any] = {"row": one.number}
        if one.ra_deg == one.ra_deg:
            facts |= {"ra": one.ra_deg, "dec": one.dec_deg}
        if name := self._name(one):
            facts |= self._said[one.product].of_name(name)
        elif one.product >= 0:
            facts |= self._said[one.product].of_size(self._units.sizes[one.size])
        elif own := {
            name: text for name, texts in self._table.settings.items() if (text := texts[one.target])
        }:
            facts["own"] = own
        return facts

    def _no_overlap(self, one: _Unit) -> str:
        spelling = self._said[one.product].spelling
        if name := self._name(one):
            return no_overlap(spelling.named(name), self._engine.identifiers)
        size = self._units.sizes[one.size]
        return no_overlap(spelling.request(one.ra_deg, one.dec_deg, size), self._engine.identifiers)

    def _names(self) -> tuple[list[str], list[str]]:
        """Name the results of all units, and tell their files apart."""
        table, units = self._table, self._units
        right = sorted(set(units["target"][units["product"] >= 0].tolist()))
        placed = [target for target in right if table.ra_deg[target] == table.ra_deg[target]]
        places = dict(
            zip(placed, places_of(table.ra_deg[placed].tolist(), table.dec_deg[placed].tolist()), strict=True)
        )
        names = [self._row_names[target].lower() for target in right] if self._row_names else []
        namer = Namer(units.products, [*places.values(), *names])
        labels: list[str] = []
        suffixes: list[str] = []
        pairs = zip(units["target"].tolist(), units["product"].tolist(), strict=True)
        for target, group in groupby(pairs, key=lambda pair: pair[0]):
            products = tuple(product for _, product in group)
            row = int(table.numbers[target])
            if products[0] < 0:
                labels.append(f"r{row}")
                suffixes.append("")
                continue
            place = places.get(target, "")
            if self._row_names:
                suffixes += namer.suffixes_of_both(place, self._row_names[target].lower(), row, products)
            else:
                suffixes += namer.suffixes(place, row, products)
            if len(products) == 1:
                labels.append(f"r{row}")
            else:
                labels += [f"r{row}-{units.products[product].label}" for product in products]
        return labels, suffixes


class _ProductFacts:
    """What the ledger tells of all rows of a product."""

    def __init__(self, product: Product, engine: Engine) -> None:
        self.spelling = Spelling(product, engine.identifiers)
        self._request = product.request
        self._sizes: dict[Size, dict[str, Any]] = {}
        survey = engine.catalog.survey(product.survey)
        self.survey = survey
        self._facts: dict[str, Any] = {"survey": survey.name}
        if survey.obs_collection:
            self._facts["release"] = survey.obs_collection
        if bands := "".join(_spelled(survey, label) for label in product.bands):
            self._facts["band"] = bands
        self._facts |= {"format": product.format, "dataset": product.request.dataset}
        if product.own:
            self._facts["own"] = dict(product.own)

    def of_name(self, name: str) -> dict[str, Any]:
        """Facts of a row of an alert, or of an object."""
        return {**self._facts, "dataset": self.spelling.named(name).dataset}

    def of_size(self, size: Size) -> dict[str, Any]:
        """Facts of a row with a box of this size."""
        facts = self._sizes.get(size)
        if facts is None:
            facts = self._sizes[size] = {**self._facts, **self._size_facts(size)}
        return facts

    def _size_facts(self, size: Size) -> dict[str, Any]:
        told: dict[str, Any] = {"size": spell_size(size)}
        pixscale_deg = self._request.mosaic.pixscale_deg
        scale_deg = pixscale_deg or self.survey.pixel_scale_deg
        box = on_grid(size, pixscale_deg)
        if scale_deg is not None or box.in_pixels:
            told["requested_w"], told["requested_h"] = box_shape(box, scale_deg or 1.0)
        return told


def _spelled(survey: Survey, label: str) -> str:
    """Label of a band as its survey has it, whatever was written."""
    try:
        return survey.band(label).label
    except UnknownDataset:
        return label
