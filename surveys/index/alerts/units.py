"""How the index writes positions, times, places on the sky and names: as whole numbers."""

from __future__ import annotations

import zlib

import numpy as np
from lsst.sphgeom import Mq3cPixelization, Region, UnitVector3d
from numpy.typing import NDArray

from surveys.sky.sphere import unit_vectors

#: Of one degree and one day: six bytes hold 360 degrees and the days of centuries.
DEGREE, DAY = 10**11, 10**9
#: Times beyond these are none (MJD; 1858 to 2132).
EARLIEST_MJD, LATEST_MJD = 0.0, 100_000.0

#: Cells of 40 arcseconds; four bytes hold their numbers.
CELL_LEVEL = 13
_CELLS = Mq3cPixelization(CELL_LEVEL)

Integers = NDArray[np.int64]


def cells_at(ra: Integers, dec: Integers) -> Integers:
    """Cells of the sky that positions, as they are stored, lie in: those of `surveys.index.cells`."""
    index = _CELLS.index
    vectors = unit_vectors(ra / DEGREE, dec / DEGREE).tolist()
    return np.array([index(UnitVector3d(x, y, z)) for x, y, z in vectors], dtype=np.int64)


def cell_ranges(region: Region, at_most: int) -> list[tuple[int, int]]:
    """Ranges of cells, both ends within, that hold every position in a region."""
    return [(first, end - 1) for first, end in _CELLS.envelope(region, at_most)]


def digest_of(object_id: str) -> int:
    """Four bytes, with a sign, that the name of an object has in whatever case."""
    return zlib.crc32(object_id.lower().encode(errors="replace")) - 2**31
