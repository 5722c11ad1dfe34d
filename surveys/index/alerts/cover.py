"""Where on the sky the alerts of a file lie: cells of HEALPix, few enough to be kept with the file."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import hpgeom
import numpy as np
from numpy.typing import NDArray

#: Order of the cells (nested), a quarter of a degree wide: there are fewer than a million on the whole sky.
COVER_ORDER = 8

Cells = NDArray[np.int64]


def cover_of(ra_deg: NDArray[np.float64], dec_deg: NDArray[np.float64]) -> bytes:
    """Cells that hold one of some positions at least, packed."""
    cells = hpgeom.angle_to_pixel(2**COVER_ORDER, ra_deg, dec_deg)
    steps = np.diff(np.unique(cells), prepend=0).astype("<u4")
    return zlib.compress(steps.tobytes(), 6)


def joined(covers: Iterable[bytes]) -> Cells:
    """Cells that one of some covers has, in order, each once."""
    kept = np.zeros(hpgeom.nside_to_npixel(2**COVER_ORDER), np.bool_)
    for cover in covers:
        kept[np.cumsum(np.frombuffer(zlib.decompress(cover), "<u4"), dtype=np.int64)] = True
    return np.flatnonzero(kept)
