"""What a dry run says of a table of targets, whose rows are planned in bulk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from soda.estimate.verdicts import Fault, Found, Verdict, spoken, verdict_of
from soda.lists.lots import lots_of
from soda.lists.service import Looked
from soda.lists.units import UNPLANNED
from soda.params import on_grid
from surveys.bulk import plans
from surveys.request import CutoutRequest
from surveys.sky.stencil import CenteredBox
from uws.pace import Expected

#: Verdicts of plans, in our words.
_WORDS = {
    plans.Verdict.COVERED: Verdict.COVERED,
    plans.Verdict.PARTIAL: Verdict.PARTIAL,
    plans.Verdict.OUTSIDE: Verdict.OUTSIDE,
    plans.Verdict.FAILED: Verdict.REJECTED,
    UNPLANNED: Verdict.UNKNOWN,
}


def found_of_list(looked: Looked) -> Found:
    """Judge all rows."""
    table, units = looked.table, looked.units
    words = np.full(UNPLANNED + 1, Verdict.REJECTED, np.uint8)
    words[list(_WORDS)] = list(_WORDS.values())
    verdicts = words[units["verdict"]]
    for unit, fault in units.faults.items():
        verdicts[unit] = verdict_of(fault)
    targets = units["target"]
    is_made = (verdicts == Verdict.COVERED) | (verdicts == Verdict.PARTIAL)
    images = np.unique(np.where(units["artifact"] >= 0, units["artifact"], units["nearest"])[is_made])
    return Found(
        verdicts=verdicts.tolist(),
        fractions=np.where(is_made | (verdicts == Verdict.UNKNOWN), units["fraction"], 0.0).tolist(),
        faults=sorted(_faults(looked), key=lambda fault: fault.row),
        images=int(np.count_nonzero(images >= 0)) + len(np.unique(units["alert"][units["alert"] >= 0])),
        size=int(units["bytes_out"][is_made].sum()),
        numbers=table.numbers[targets].tolist(),
        ids=[table.ids[target] for target in targets.tolist()] if any(table.ids) else (),
        products=_products(looked),
        targets=len(table),
        ra_deg=_places(units["ra"], table.ra_deg[targets]),
        dec_deg=_places(units["dec"], table.dec_deg[targets]),
    )


def tasks_of_list(looked: Looked) -> list[Expected]:
    """List what its tasks would say of themselves."""
    lots = lots_of(looked.table, looked.units)
    return [Expected(lot.work, lot.seconds, lot.size) for lot in lots]


def first_request(looked: Looked) -> CutoutRequest | None:
    """Return what is asked of the first target that has a place; None if none has."""
    units, table = looked.units, looked.table
    stamped = [number for number, product in enumerate(units.products) if product.is_of_alerts]
    for unit in np.flatnonzero((units["product"] >= 0) & ~np.isin(units["product"], stamped))[:1].tolist():
        product = units.products[int(units["product"][unit])]
        size = on_grid(units.sizes[int(units["size"][unit])], product.request.mosaic.pixscale_deg)
        target = int(units["target"][unit])
        box = CenteredBox(float(table.ra_deg[target]), float(table.dec_deg[target]), size)
        return replace(product.request, stencil=box)
    return None


def _places(of_alerts: NDArray[np.float64], of_targets: NDArray[np.float64]) -> list[float]:
    """Tell one coordinate of all rows: that of the alert, else that of the target."""
    places: list[float] = np.where(np.isnan(of_alerts), of_targets, of_alerts).tolist()
    return places


def _products(looked: Looked) -> list[str]:
    labels = [product.label for product in looked.units.products]
    if not any(labels):
        return []
    return [labels[number] if number >= 0 else "" for number in looked.units["product"].tolist()]


def _faults(looked: Looked) -> Iterator[Fault]:
    """Yield what is wrong with targets and their products, and what is odd about targets."""
    table, units = looked.table, looked.units
    for unit, fault in units.faults.items():
        target = int(units["target"][unit])
        yield Fault(int(table.numbers[target]), int(table.lines[target]), spoken(fault))
    for odd in table.faults:
        if odd.is_warning:
            yield Fault(odd.number, odd.line or None, odd.sentence, is_warning=True)
