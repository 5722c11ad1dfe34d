"""How large a picture is, and which part of the sky its pixels show."""

from __future__ import annotations

from dataclasses import dataclass

from surveys.request import LONGEST_SIDE, PictureOptions
from surveys.sky.pixels import PixelBox


@dataclass(frozen=True, slots=True)
class View:
    """Pixels of a picture on a plane.

    Parameters
    ----------
    left, bottom
        Its edge, in pixels of the plane from the outer edge of the plane's pixel 0, 0.
    zoom
        Pixels of the picture per pixel of the plane.
    width, height
        Pixels of the picture.
    """

    left: float
    bottom: float
    zoom: float
    width: int
    height: int

    def is_wider_than(self, box: PixelBox) -> bool:
        """Whether it shows more than a box of the plane, by a pixel of its own."""
        return self.width > box.width * self.zoom + 1.0 or self.height > box.height * self.zoom + 1.0

    def shows(self, box: PixelBox) -> bool:
        """Whether its pixels are those of a box of the plane."""
        return (self.left, self.bottom, self.zoom, self.width, self.height) == (
            box.x0,
            box.y0,
            1.0,
            box.width,
            box.height,
        )


def view_of(
    box: PixelBox, options: PictureOptions, scale_deg: float, pixscale_deg: float | None = None
) -> View:
    """Fit a picture to a box of pixels, about the same centre; its pixels are square.

    The scale is `pixscale_deg`, else the largest at which the box fits into the width and height asked for,
    else that of the box, made smaller until the longer side has `LONGEST_SIDE` pixels. Where the shape asked
    for is not that of the box, the picture shows more of the sky beside it.

    Parameters
    ----------
    box
        What is to be seen.
    options
        With the width and height asked for.
    scale_deg, pixscale_deg
        Pixel scale of the box, and the one asked for.
    """
    if pixscale_deg is not None:
        zoom = scale_deg / pixscale_deg
        # A scale that is the box's own but for its last digits is its own.
        zoom = 1.0 if abs(zoom - 1.0) * max(box.width, box.height) < 1e-3 else zoom
    else:
        asked = [
            wanted / there
            for wanted, there in ((options.width, box.width), (options.height, box.height))
            if wanted is not None
        ]
        zoom = min(asked) if asked else min(1.0, LONGEST_SIDE / max(box.width, box.height))
    width = options.width or max(1, round(box.width * zoom))
    height = options.height or max(1, round(box.height * zoom))
    left = box.x0 + (box.width - width / zoom) / 2.0
    bottom = box.y0 + (box.height - height / zoom) / 2.0
    if zoom == 1.0:
        # Whole pixels stay whole.
        left, bottom = float(round(left)), float(round(bottom))
    return View(left, bottom, zoom, width, height)
