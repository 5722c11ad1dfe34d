"""Colours of levels: grey, or a colour map of matplotlib."""

from __future__ import annotations

import difflib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

#: Colour of a pixel without data, which is transparent in PNG. No pixel with data has it.
NO_DATA = (64, 64, 64)


def is_colormap(name: str) -> bool:
    """Whether matplotlib has a colour map of this name."""
    return name in _names()


def nearest_colormap(name: str) -> str:
    """Name of a colour map that is most like a wrong one."""
    return difflib.get_close_matches(name, sorted(_names()), 1, cutoff=0)[0]


@lru_cache(maxsize=64)
def paint_of(colormap: str, invert: bool) -> NDArray[np.uint8]:
    """Colours of the levels 0 to 255.

    Parameters
    ----------
    colormap
        Name of a map of matplotlib; "" for grey.
    invert
        From white to black, or the map from its other end.

    Returns
    -------
    array
        Shape (256, 1) for grey, (256, 3) for maps. Where it would be `NO_DATA`, the last number is one more.
    """
    paint = np.arange(256, dtype=np.uint8)[:, None] if not colormap else _table(colormap).copy()
    if invert:
        paint = paint[::-1].copy()
    paint[(paint == NO_DATA[: paint.shape[1]]).all(axis=1), -1] += 1
    return paint


def _table(colormap: str) -> NDArray[np.uint8]:
    # Imported late: only pictures in a colour map need matplotlib, and it takes a while.
    import matplotlib as mpl

    table: NDArray[np.uint8] = mpl.colormaps[colormap].resampled(256)(np.arange(256), bytes=True)
    return table[:, :3]


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    import matplotlib as mpl

    return frozenset(mpl.colormaps)
