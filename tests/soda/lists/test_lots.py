"""How the rows of a list are gathered in tasks: by image and line, none too large, small ones at the end."""

from __future__ import annotations

import numpy as np
import pytest

from soda.lists.lots import TASK_ROWS, Lot, lots_of
from soda.lists.products import Product
from soda.lists.units import Units, empty_columns
from soda.rows import TASK_BYTES, TASK_S
from soda.table import FITS
from soda.targets import TargetTable
from surveys.bulk.plans import Verdict
from surveys.request import CutoutRequest


def lots(count: int, seconds: float, size: int, images: int = 3) -> tuple[Units, list[Lot]]:
    """Gather rows all over a few images, each of which costs the same."""
    random = np.random.default_rng(count)
    numbers = np.arange(count)
    table = TargetTable(
        numbers=numbers + 1,
        lines=numbers + 2,
        ids=[str(number) for number in numbers],
        ra_deg=random.uniform(10, 11, count),
        dec_deg=random.uniform(-1, 1, count),
        settings={},
        faults=[],
        columns={},
        found_by={},
    )
    units = Units(empty_columns(count), [Product("", CutoutRequest("stars/r"), FITS)], [])
    units["target"][:] = numbers
    units["verdict"][:] = Verdict.COVERED
    units["artifact"][:] = units["nearest"][:] = random.integers(0, images, count)
    units["y0"][:] = random.integers(0, 9000, count)
    units["seconds"][:], units["bytes_out"][:] = seconds, size
    return units, list(lots_of(table, units))


@pytest.mark.parametrize("count", [1, 7, 100, 30_000])
@pytest.mark.parametrize(
    ("seconds", "size"), [(1e-5, 100), (TASK_S / 900, 1000), (1e-5, TASK_BYTES // 900), (3 * TASK_S, 1)]
)
def test_every_row_is_in_one_task_that_is_not_too_large(count: int, seconds: float, size: int) -> None:
    units, found = lots(count, seconds, size)
    assert sorted(unit for lot in found for unit in lot.units) == list(range(count))
    for lot in found:
        assert len(lot.units) <= TASK_ROWS
        assert len(lot.units) == 1 or (lot.seconds <= TASK_S * 1.0001 and lot.size <= TASK_BYTES)
    order = [unit for lot in found for unit in lot.units]
    lines = list(zip(units["artifact"][order].tolist(), units["y0"][order].tolist(), strict=True))
    assert lines == sorted(lines), "files are read one after the other, from begin to end"


def test_workers_end_together() -> None:
    _, found = lots(10_000, TASK_S / 1000, 1000)
    rows = [len(lot.units) for lot in found]
    assert rows[:6] == pytest.approx([1000] * 6, abs=1)
    assert rows[6:] == sorted(rows[6:], reverse=True)
    for number in range(6, len(rows)):
        assert rows[number] <= max(126, sum(rows[number:]) / 4 + 1)
    assert min(rows[:-1]) >= 124, "each task has a price of its own"


def test_a_short_list_is_one_task() -> None:
    assert len(lots(100, TASK_S / 1000, 1000)[1]) == 1
