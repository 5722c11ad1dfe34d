"""Makes the tasks of a list: its units planned, gathered by image, named; those without a cutout end here."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import numpy as np

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
from surveys.sky.stencil import Size
from surveys.survey import Survey
from uws import pace
from uws.job import Row, RowReport, RowStatus
from uws.jobtype import Expansion, TaskPlan


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
        for unit in np.flatnonzero(self._has_ended).tolist():
            fault = self._units.faults.get(unit)
            if fault is None:
                status, verdict, message = RowStatus.EMPTY, "no_overlap", self._no_overlap(unit)
            else:
                status, verdict, message = RowStatus.FAILED, verdict_of(fault), said(fault)
            yield RowReport(
                unit,
                self._labels[unit],
                status,
                message,
                verdict=verdict,
                label=self._table.ids[self._target(unit)],
                facts=self._facts(unit),
            )

    def _task(self, lot: Lot) -> TaskPlan:
        units, writer, rows = self._units, CommonWriter(self._engine.identifiers), []
        for unit in lot.units:
            artifact = int(units["artifact"][unit])
            is_copied = artifact >= 0
            row = ListRow(
                product=writer.product(int(units["product"][unit]), units.products),
                size=writer.size(int(units["size"][unit]), units.sizes),
                image=writer.image(units.images[artifact]) if is_copied else None,
                box=units.box(unit) if is_copied else None,
                suffix=self._suffixes[unit],
                label=self._table.ids[self._target(unit)],
                facts=self._facts(unit),
                name=self._name(unit),
            )
            rows.append(Row(unit, self._labels[unit], row.to_payload()))
        told = pace.told(lot.work, lot.seconds, len(rows), lot.size)
        return TaskPlan(tuple(rows), {**writer.to_json(), **told}, lot.kind)

    def _target(self, unit: int) -> int:
        return int(self._units["target"][unit])

    def _name(self, unit: int) -> str:
        """Alert or object that a unit is of; "" of one of a place."""
        if not self._row_names:
            return ""
        product = int(self._units["product"][unit])
        is_of_alerts = product >= 0 and self._units.products[product].is_of_alerts
        return self._row_names[self._target(unit)] if is_of_alerts else ""

    def _facts(self, unit: int) -> dict[str, Any]:
        """Tell what is known of a row before it is made."""
        table, units, target = self._table, self._units, self._target(unit)
        facts: dict[str, Any] = {"row": int(table.numbers[target])}
        ra, dec = float(units["ra"][unit]), float(units["dec"][unit])
        if ra != ra:
            ra, dec = float(table.ra_deg[target]), float(table.dec_deg[target])
        if ra == ra:
            facts |= {"ra": ra, "dec": dec}
        if name := self._name(unit):
            return facts | self._said[int(units["product"][unit])].of_name(name)
        if (product := int(units["product"][unit])) >= 0:
            facts |= self._said[product].of_size(units.sizes[int(units["size"][unit])])
        elif own := {name: text for name, texts in table.settings.items() if (text := texts[target])}:
            facts["own"] = own
        return facts

    def _no_overlap(self, unit: int) -> str:
        target = self._target(unit)
        spelling = self._said[int(self._units["product"][unit])].spelling
        if name := self._name(unit):
            return no_overlap(spelling.named(name), self._engine.identifiers)
        size = self._units.sizes[int(self._units["size"][unit])]
        ra, dec = float(self._table.ra_deg[target]), float(self._table.dec_deg[target])
        return no_overlap(spelling.request(ra, dec, size), self._engine.identifiers)

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
