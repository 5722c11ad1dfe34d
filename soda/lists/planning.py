"""Plans the products of all targets of a list in bulk: of images here, of alerts in `soda.lists.stamped`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dali.errors import ProtocolError, UsageError
from soda.combinations import numbered
from soda.engine import Engine
from soda.lists.products import Product
from soda.lists.rows import PlannedImage
from soda.lists.stamped import plan_alerts
from soda.lists.units import UNPLANNED, Numbers, Units
from soda.params import on_grid
from soda.price import (
    BYTE_S,
    CUTOUT_S,
    DECODED_S,
    INPUT_S,
    LISTED_S,
    PICTURE_S,
    READ_S,
    RESAMPLED_S,
    decoded_pixels,
)
from soda.refusals import refusal
from soda.spelling import with_url
from soda.targets import TargetTable
from surveys.bulk.planning import plan_many
from surveys.bulk.plans import ManyPlans
from surveys.errors import RequestFault, SeveralImages
from surveys.image import ImageRecord
from surveys.sky.overlap import box_shape
from surveys.sky.pixels import PixelBox
from surveys.sky.stencil import Size
from surveys.survey import Survey

#: A target of a survey of single exposures has a product of each, as long as there are no more than these.
MOST_EXPOSURES = 24
#: Where there are more different products and sizes than these, those of few targets are planned by the
#: workers, each by itself.
MOST_GROUPS, FEW = 2000, 4
#: Columns that a plan of many positions has by the same names.
_OF_PLANS = ("verdict", "artifact", "nearest", "x0", "x1", "y0", "y1", "pixels_out", "bytes_out", "fraction")


class UnitPlanner:
    """Plans units, in place.

    Parameters
    ----------
    table
        The targets.
    engine
        What they are planned with.
    """

    def __init__(self, table: TargetTable, engine: Engine) -> None:
        self._table = table
        self._engine = engine

    def plan(self, units: Units) -> Units:
        """Plan all of them; those of several exposures become one for each."""
        several = self._plan_groups(units, self._of_images(units))
        if several:
            units = _with_exposures(units, several, self._engine)
            new = np.flatnonzero((units["exposure"] > 0) & (units["verdict"] == UNPLANNED))
            self._plan_groups(units, new)
        plan_alerts(self._table, units, self._engine)
        return units

    def _of_images(self, units: Units) -> Numbers:
        """Units that are cut out of images."""
        is_right = (units["product"] >= 0) & (units["verdict"] == UNPLANNED)
        stamped = [number for number, product in enumerate(units.products) if product.is_of_alerts]
        return np.flatnonzero(is_right & ~np.isin(units["product"], stamped))

    def _plan_groups(self, units: Units, which: Numbers) -> dict[int, SeveralImages]:
        """Plan some units; return those that are of several exposures."""
        several: dict[int, SeveralImages] = {}
        groups = list(self._groups(units, which))
        for product, size, group in groups:
            if len(groups) > MOST_GROUPS and len(group) < FEW and self._can_wait(product):
                units["seconds"][group] = CUTOUT_S
                units.datasets.add(self._survey(product).name)
                continue
            several |= self._plan_group(units, product, size, group)
        return several

    def _groups(self, units: Units, which: Numbers) -> Iterator[tuple[Product, Size, Numbers]]:
        """Gather units of one product whose boxes have one shape in pixels."""
        pairs = units["product"][which].astype(np.int64) * len(units.sizes) + units["size"][which]
        different, inverse = np.unique(pairs, return_inverse=True)
        shapes: dict[object, int] = {}
        first: list[tuple[Product, Size]] = []
        group_of = np.empty(len(different), np.int64)
        for index, pair in enumerate(different.tolist()):
            number, size_number = divmod(pair, len(units.sizes))
            product = units.products[number]
            size = on_grid(units.sizes[size_number], product.request.mosaic.pixscale_deg)
            scale_deg = None if size.in_pixels else self._survey(product).pixel_scale_deg
            key = (number, size if scale_deg is None else box_shape(size, scale_deg))
            if key not in shapes:
                first.append((product, size))
            group_of[index] = shapes.setdefault(key, len(shapes))
        groups = group_of[inverse]
        order = np.argsort(groups, kind="stable")
        parts = np.split(which[order], np.flatnonzero(np.diff(groups[order])) + 1)
        for (product, size), part in zip(first, parts if len(which) else [], strict=True):
            yield product, size, part

    def _survey(self, product: Product) -> Survey:
        return self._engine.catalog.survey(product.survey)

    def _can_wait(self, product: Product) -> bool:
        """Whether a product gives one result wherever it is."""
        named = product.request.dataset.count("/") >= 2
        return named or self._survey(product).kind == "coadd" or product.request.mosaic.combine != "auto"

    def _plan_group(
        self, units: Units, product: Product, size: Size, group: Numbers
    ) -> dict[int, SeveralImages]:
        engine, targets = self._engine, units["target"][group]
        try:
            plans = plan_many(
                product.request,
                size,
                self._table.ra_deg[targets],
                self._table.dec_deg[targets],
                engine.catalog,
                engine.limits,
                engine.reader,
                engine.site,
                lambda request: with_url(request, engine.identifiers),
            )
        except RequestFault as fault:
            units.refuse(group.tolist(), refusal(fault, engine.identifiers))
            return {}
        for name in _OF_PLANS:
            units[name][group] = getattr(plans, name)
        units["seconds"][group] = _seconds(product, plans, units)
        units.datasets.update(plans.datasets)
        several: dict[int, SeveralImages] = {}
        for row, refused in plans.faults.items():
            unit = int(group[row])
            if isinstance(refused, SeveralImages) and self._gives_each(product, refused):
                several[unit] = refused
            else:
                units.refuse([unit], self._words(product, refused))
        return several

    def _gives_each(self, product: Product, fault: SeveralImages) -> bool:
        return self._survey(product).kind == "exposures" and 0 < len(fault.datasets) <= MOST_EXPOSURES

    def _words(self, product: Product, fault: RequestFault) -> ProtocolError:
        if isinstance(fault, SeveralImages) and self._survey(product).kind == "exposures":
            return UsageError(
                f"{len(fault.datasets)} exposures of {product.survey} have data at this target; a list gives "
                f"a file of each for {MOST_EXPOSURES} at most",
                "Name images in a column obs_publisher_did, send less TIME, or COMBINE=mosaic.",
            )
        return refusal(fault, self._engine.identifiers)


def _with_exposures(units: Units, several: dict[int, SeveralImages], engine: Engine) -> Units:
    """Put a unit of each exposure in the place of those that have several."""
    numbers = {product: number for number, product in enumerate(units.products)}
    counts = np.ones(len(units), np.int64)
    for unit, exposures in several.items():
        counts[unit] = len(exposures.datasets)
    source = np.repeat(np.arange(len(units)), counts)
    first = np.cumsum(counts) - counts
    columns = {name: values[source] for name, values in units.columns.items()}
    made = Units(columns, units.products, units.sizes, images=units.images, datasets=units.datasets)
    made.faults = {int(first[unit]): fault for unit, fault in units.faults.items()}
    for unit, exposures in several.items():
        product = units.products[int(units["product"][unit])]
        for number, dataset in enumerate(exposures.datasets, start=1):
            label = numbered("exposure", number, len(exposures.datasets))
            exposure = replace(
                product,
                label="-".join(part for part in (product.label, label) if part),
                request=replace(product.request, dataset=dataset),
            )
            place = int(first[unit]) + number - 1
            columns["exposure"][place] = number
            columns["product"][place] = numbers.setdefault(exposure, len(numbers))
            columns["verdict"][place] = UNPLANNED
    made.products = list(numbers)
    return made


def _seconds(product: Product, plans: ManyPlans, units: Units) -> NDArray[np.float64]:
    """Estimate how long each row takes, as `soda.price` does; note the images that rows are copied of."""
    copied = plans.artifact >= 0
    seconds = np.where(copied, LISTED_S, CUTOUT_S) + BYTE_S * np.maximum(plans.bytes_out, 0)
    order = np.argsort(plans.artifact, kind="stable")
    order = order[np.count_nonzero(~copied) :]  # those of no image come first
    for rows in np.split(order, np.flatnonzero(np.diff(plans.artifact[order])) + 1) if len(order) else ():
        record = plans.record(int(rows[0]))
        units.images[int(plans.artifact[rows[0]])] = PlannedImage.of(record, plans.generation)
        if record.storage != "plain":
            seconds[rows] += [DECODED_S * _decoded(plans.box(row), record) for row in rows.tolist()]
    made = ~copied
    seconds[made] += INPUT_S * plans.images[made] + READ_S * plans.pixels_in[made]
    seconds[made] += RESAMPLED_S[product.request.mosaic.resample] * plans.pixels_out[made]
    if product.request.picture is not None:
        seconds[made] += PICTURE_S * plans.pixels_out[made]
    return seconds


def _decoded(box: PixelBox, record: ImageRecord) -> int:
    inside = box.clip(record.nx, record.ny)
    return 0 if inside is None else decoded_pixels(inside, record)
