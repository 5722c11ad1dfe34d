"""Where alerts lie: mocpy is the judge."""

from __future__ import annotations

import numpy as np
from astropy import units
from mocpy import MOC

from surveys.index.alerts.cover import COVER_ORDER, cover_of, joined


def test_a_cover_has_the_healpix_cells_that_hold_alerts_and_no_other() -> None:
    rng = np.random.default_rng(3)
    ra, dec = rng.uniform(0, 360, 500), rng.uniform(-90, 90, 500)
    cells = joined([cover_of(ra[:300], dec[:300]), cover_of(ra[200:], dec[200:])])
    truth = MOC.from_lonlat(ra * units.deg, dec * units.deg, max_norder=COVER_ORDER)
    assert MOC.from_healpix_cells(cells, np.full(cells.size, COVER_ORDER), COVER_ORDER) == truth
    assert sorted(set(cells)) == list(cells)


def test_a_file_without_alerts_covers_nothing() -> None:
    none = np.array([])
    assert joined([cover_of(none, none)]).size == 0
    assert joined([]).size == 0
