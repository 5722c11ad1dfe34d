"""The products of all targets of a list.

A *unit* is one product of one target: a row of the ledger. Units are kept in the order of the table, the
products of a target one after the other, whatever the order in which they are made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dali.errors import ProtocolError, UsageError
from soda.lists.alerts import names_of
from soda.lists.levels import Resolved
from soda.lists.products import Product
from soda.lists.rows import PlannedImage
from soda.targets import TargetTable
from surveys.bulk.plans import Verdict
from surveys.sky.stencil import Size

#: Verdict of units that are planned when they are made.
UNPLANNED = 100

_NO_PLACE = "the target has no position"
_NO_NAME = "the row names no alert and no object"
_NOTHING = "the row has no position, and names no alert and no object"

_COLUMNS: dict[str, Any] = {
    "target": np.int32,
    "ordinal": np.int32,
    "exposure": np.int32,
    "product": np.int32,
    "size": np.int32,
    "verdict": np.uint8,
    "artifact": np.int64,
    "nearest": np.int64,
    "alert": np.int64,
    "x0": np.int32,
    "x1": np.int32,
    "y0": np.int32,
    "y1": np.int32,
    "pixels_out": np.int64,
    "bytes_out": np.int64,
    "seconds": np.float64,
    "fraction": np.float64,
    "ra": np.float64,
    "dec": np.float64,
}
Numbers = NDArray[np.int64]


@dataclass(slots=True, eq=False)
class Units:
    """Columns of units, and what is the matter with some of them.

    Parameters
    ----------
    columns
        ``target`` is the index of the row in the table, ``ordinal`` that of the product among those of the
        target, ``exposure`` that of an exposure; ``product`` and ``size`` are numbers in `products` and
        `sizes`, -1 for none. ``alert`` is the key of the first alert that a unit is of, -1 for none, and
        ``ra`` and ``dec`` are the place of the last one.
    products, sizes
        All different ones.
    faults
        Why a unit cannot be made, by its index.
    images
        What is copied, by artifact.
    datasets
        Images that pixels may be of, and surveys of which that is not known yet.
    """

    columns: dict[str, NDArray[Any]]
    products: list[Product]
    sizes: list[Size]
    faults: dict[int, ProtocolError] = field(default_factory=dict)
    images: dict[int, PlannedImage] = field(default_factory=dict)
    datasets: set[str] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.columns["target"])

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]

    def refuse(self, which: Sequence[int], fault: ProtocolError) -> None:
        """Say why some units cannot be made."""
        self.columns["verdict"][which] = Verdict.FAILED
        for unit in which:
            self.faults[unit] = fault


def empty_columns(count: int) -> dict[str, NDArray[Any]]:
    """Columns of units of which nothing is known yet."""
    columns = {name: np.zeros(count, dtype) for name, dtype in _COLUMNS.items()}
    for name in ("artifact", "nearest", "alert"):
        columns[name][:] = -1
    columns["verdict"][:] = UNPLANNED
    for name in ("fraction", "ra", "dec"):
        columns[name][:] = np.nan
    return columns


def units_of(table: TargetTable, resolved: Resolved) -> Units:
    """List the products of all targets, before anything is planned; a target that is wrong has one unit."""
    wrong = wrong_targets(table, resolved)
    numbers: dict[Product, int] = {}
    of_set = [
        []
        if isinstance(products, ProtocolError)
        else [numbers.setdefault(one, len(numbers)) for one in products]
        for products in resolved.sets
    ]
    sizes: dict[Size, int] = {}
    size_numbers = np.array(
        [
            -1 if isinstance(size, ProtocolError) else sizes.setdefault(size, len(sizes))
            for size in resolved.sizes
        ]
    )
    set_of, size_of = np.asarray(resolved.set_of, np.int64), np.asarray(resolved.size_of, np.int64)
    is_right = np.ones(len(table), bool)
    is_right[list(wrong)] = False
    targets = [np.array(sorted(wrong), np.int64)]
    products, ordinals = [np.full(len(wrong), -1)], [np.zeros(len(wrong), np.int64)]
    for number, of_target in enumerate(of_set):
        those = np.flatnonzero(is_right & (set_of == number)) if len(of_set) > 1 else np.flatnonzero(is_right)
        targets.append(np.repeat(those, len(of_target)))
        products.append(np.tile(of_target, len(those)))
        ordinals.append(np.tile(np.arange(len(of_target)), len(those)))
    target, ordinal = np.concatenate(targets), np.concatenate(ordinals)
    order = np.lexsort((ordinal, target))
    units = Units(empty_columns(len(target)), list(numbers), list(sizes))
    units["target"][:], units["ordinal"][:] = target[order], ordinal[order]
    units["product"][:] = np.concatenate(products)[order]
    units["size"][:] = size_numbers[size_of[target[order]]]
    for unit in np.flatnonzero(units["product"] < 0).tolist():
        units["verdict"][unit] = Verdict.FAILED
        units.faults[unit] = wrong[int(units["target"][unit])]
    _refuse_without_place(table, units)
    return units


def _refuse_without_place(table: TargetTable, units: Units) -> None:
    """Refuse those products of a target, of images or of alerts, for which it lacks what the others have."""
    of_alerts = np.array([product.is_of_alerts for product in units.products], bool)
    if of_alerts.all() or not of_alerts.any():
        return  # then such a target is wrong altogether
    right = np.flatnonzero(units["product"] >= 0)
    is_stamped = of_alerts[units["product"][right]]
    named, placed = _has_name(table), ~np.isnan(table.ra_deg)
    for has, which, fault in (
        (placed, right[~is_stamped], UsageError(_NO_PLACE)),
        (named, right[is_stamped], UsageError(_NO_NAME)),
    ):
        units.refuse(which[~has[units["target"][which]]].tolist(), fault)


def _has_name(table: TargetTable) -> NDArray[np.bool_]:
    """Tell which rows name an alert or an object."""
    return np.array([bool(name) for name in names_of(table)], bool)


def wrong_targets(table: TargetTable, resolved: Resolved) -> dict[int, ProtocolError]:
    """Say why targets have no products, by their index in the table."""
    found: dict[int, ProtocolError] = {}
    index_of = {int(number): index for index, number in enumerate(table.numbers)}
    for fault in table.faults:
        if not fault.is_warning and fault.number in index_of:
            found.setdefault(index_of[fault.number], UsageError(fault.sentence))
    for of_row, values in ((resolved.set_of, resolved.sets), (resolved.size_of, resolved.sizes)):
        if not any(isinstance(value, ProtocolError) for value in values):
            continue
        for index, number in enumerate(of_row):
            if isinstance(value := values[number], ProtocolError):
                found.setdefault(index, value)
    for index, sentence in _without_all(table, resolved):
        found.setdefault(index, UsageError(sentence))
    return found


def _without_all(table: TargetTable, resolved: Resolved) -> Iterator[tuple[int, str]]:
    """Yield rows that lack what each of their products needs: a place, or the name of an alert."""
    kinds = [
        frozenset() if isinstance(one, ProtocolError) else frozenset(product.is_of_alerts for product in one)
        for one in resolved.sets
    ]
    placed = ~np.isnan(table.ra_deg)
    if not any(True in of_alerts for of_alerts in kinds):
        yield from ((index, _NO_PLACE) for index in np.flatnonzero(~placed).tolist())
        return
    named = _has_name(table)
    has_alerts, has_images = (
        np.array([wanted in of_alerts for of_alerts in kinds])[np.asarray(resolved.set_of, np.int64)]
        for wanted in (True, False)
    )
    for index in np.flatnonzero(~((placed & has_images) | (named & has_alerts))).tolist():
        both = has_images[index] and has_alerts[index]
        yield index, _NOTHING if both else _NO_NAME if has_alerts[index] else _NO_PLACE
