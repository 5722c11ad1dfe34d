"""Where the pixels of an output, a mosaic or a picture, lie on the sky."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from surveys.image import ImageRecord
from surveys.plan import Grid
from surveys.sky.sphere import Floats
from surveys.sky.wcs import CelestialWcs, wcs_of


@dataclass(frozen=True, slots=True, eq=False)
class OutputGrid:
    """Pixels of an output on the sky: 0-based, centres whole.

    Parameters
    ----------
    wcs
        Of a plane of pixels.
    x0, y0
        The pixel of that plane which is the output's first.
    width, height
        Of the output.
    """

    wcs: CelestialWcs
    x0: int
    y0: int
    width: int
    height: int

    @classmethod
    def of(cls, grid: Grid, reference: ImageRecord) -> OutputGrid:
        """Return the grid of a part of a plan; `reference` is its first image.

        Raises
        ------
        ImageRefused
            If the WCS of the grid is of no use.
        """
        box = grid.box
        if grid.wcs_text:
            wcs = CelestialWcs.from_text(grid.wcs_text, 0, 1, box.x1, box.y1)
        else:
            wcs = wcs_of(reference)
        return cls(wcs, box.x0, box.y0, box.width, box.height)

    @classmethod
    def of_text(cls, wcs_text: str, width: int, height: int) -> OutputGrid:
        """Return the grid of pixels with a WCS of two axes of their own.

        Raises
        ------
        ImageRefused
            If the cards lead to no place on the sky.
        """
        return cls(CelestialWcs.from_text(wcs_text, 0, 1, width, height), 0, 0, width, height)

    @property
    def scale_deg(self) -> float:
        """Pixel scale at its centre."""
        x, y = self.x0 + (self.width - 1) / 2, self.y0 + (self.height - 1) / 2
        return float(self.wcs.pixel_scale_deg(x, y))

    def middle(self) -> Floats:
        """ICRS unit vector of its middle; the null vector where that is not on the sky."""
        middle = self.to_sky((self.width - 1) / 2, (self.height - 1) / 2)
        return middle if np.isfinite(middle).all() else np.zeros(3)

    def to_sky(self, u: ArrayLike, v: ArrayLike) -> Floats:
        """ICRS unit vectors of output pixels."""
        return self.wcs.to_sky(np.asarray(u) + self.x0, np.asarray(v) + self.y0)

    def to_pixel(self, vectors: Floats) -> tuple[Floats, Floats]:
        """Output pixels of ICRS unit vectors."""
        x, y = self.wcs.to_pixel(vectors)
        return x - self.x0, y - self.y0
