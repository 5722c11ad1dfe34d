"""Where the pixels of a picture lie on the sky."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from surveys.image import ImageRecord
from surveys.plan import Grid
from surveys.sky.sphere import Floats
from surveys.sky.wcs import CelestialWcs, wcs_of


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Pixels of a picture: 0-based, counted from the lowest row, centres whole.

    Parameters
    ----------
    wcs
        Of a plane of pixels.
    x0, y0
        The pixel of that plane which is the picture's first.
    width, height
        Of the picture.
    """

    wcs: CelestialWcs
    x0: int
    y0: int
    width: int
    height: int

    @classmethod
    def of(cls, grid: Grid, reference: ImageRecord) -> Place:
        """Place of the grid of a part of a plan, whose first image is `reference`."""
        box = grid.box
        wcs = (
            CelestialWcs.from_text(grid.wcs_text, 0, 1, box.x1, box.y1)
            if grid.wcs_text
            else wcs_of(reference)
        )
        return cls(wcs, box.x0, box.y0, box.width, box.height)

    @classmethod
    def of_text(cls, wcs_text: str, width: int, height: int) -> Place:
        """Place of pixels with a WCS of two axes of their own.

        Raises
        ------
        ImageRefused
            If the cards lead to no place on the sky.
        """
        return cls(CelestialWcs.from_text(wcs_text, 0, 1, width, height), 0, 0, width, height)

    def to_sky(self, x: ArrayLike, y: ArrayLike) -> Floats:
        """ICRS unit vectors of pixels, shape ``(..., 3)``."""
        return self.wcs.to_sky(np.asarray(x) + self.x0, np.asarray(y) + self.y0)

    def to_pixel(self, vectors: Floats) -> tuple[Floats, Floats]:
        """Pixels of ICRS unit vectors; NaN where they have none."""
        x, y = self.wcs.to_pixel(vectors)
        return x - self.x0, y - self.y0

    @property
    def scale_deg(self) -> float:
        """Pixel scale at its centre."""
        x, y = self.x0 + (self.width - 1) / 2, self.y0 + (self.height - 1) / 2
        return float(self.wcs.pixel_scale_deg(x, y))
