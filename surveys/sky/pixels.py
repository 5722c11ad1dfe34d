"""Pixel conventions, and their only home.

A pixel has the 0-based index ``i`` and covers ``i - 1/2 .. i + 1/2``; FITS ``CRPIX`` is 1-based. A
`PixelBox` is half-open. `x` is the first celestial pixel axis of the file in FITS order, `y` the second.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PixelBox:
    """Rectangle of pixels, 0-based, half-open: ``x0 <= x < x1``, ``y0 <= y < y1``."""

    x0: int
    x1: int
    y0: int
    y1: int

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.x1 - self.x0

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.y1 - self.y0

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.width * self.height

    def clip(self, nx: int, ny: int) -> PixelBox | None:
        """Part of the box inside an image of `nx` by `ny` pixels: itself if that is all, None if none is."""
        if 0 <= self.x0 < self.x1 <= nx and 0 <= self.y0 < self.y1 <= ny:
            return self
        x0, x1 = max(self.x0, 0), min(self.x1, nx)
        y0, y1 = max(self.y0, 0), min(self.y1, ny)
        return PixelBox(x0, x1, y0, y1) if x0 < x1 and y0 < y1 else None
