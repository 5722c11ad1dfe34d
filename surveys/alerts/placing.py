"""Where on the sky the pixels of a stamp's picture lie, for stamps that have a WCS."""

from __future__ import annotations

from dataclasses import replace

from surveys.alerts.cut import wcs_of_stamp
from surveys.alerts.stored import StampHdu
from surveys.errors import ImageRefused
from surveys.lake import Orientation
from surveys.mosaic.grid import OutputGrid
from surveys.picture.avm import fit_plane, tan_cards
from surveys.sky.pixels import PixelBox


def placed(
    image: StampHdu, orientation: Orientation, inside: PixelBox, width: int, height: int
) -> OutputGrid | None:
    """Place the picture of a stamp on the sky.

    Parameters
    ----------
    image
        The stamp.
    orientation
        How it is turned.
    inside
        Where it stands in the picture, from the lower left corner, and how large.
    width, height
        Of the picture.

    Returns
    -------
    OutputGrid or None
        None where the stamp has no WCS, or none that a picture can have.
    """
    rows, columns = image.shape[-2:]
    try:
        wcs = wcs_of_stamp(image)
    except ImageRefused:
        return None
    plane = fit_plane(OutputGrid(wcs, 0, 0, columns, rows))
    if not plane.is_avm:
        return None
    x, y = plane.crpix
    along_x, along_y = inside.width / columns, inside.height / rows
    flips_x, flips_y = orientation in ("flip-x", "rotate-180"), orientation in ("flip-y", "rotate-180")
    if flips_x:
        x = columns + 1 - x
    if flips_y:
        y = rows + 1 - y
    # The edge of the first pixel lies half a pixel before its centre.
    crpix = (x - 0.5) * along_x + 0.5 + inside.x0, (y - 0.5) * along_y + 0.5 + inside.y0
    first = (-1.0 if flips_x else 1.0) / along_x
    second = (-1.0 if flips_y else 1.0) / along_y
    a, b, c, d = plane.cd
    turned = replace(plane, crpix=crpix, cd=(a * first, b * second, c * first, d * second))
    try:
        return OutputGrid.of_text(tan_cards(turned), width, height)
    except ImageRefused:
        return None
