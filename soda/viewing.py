"""How products look, and what their headers say, as jobs have made them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dali.errors import NotFound
from soda.gate import PixelGate
from soda.table import FITS
from surveys.errors import ImageRefused
from surveys.thumbnail import STRETCHES, draw_fits, draw_picture, read_headers
from uws.looks.viewer import StoredFile

_FITS = (FITS, "image/fits")


class ProductViewer:
    """Draws products and reads their headers (`uws.looks.viewer.Viewer`).

    Parameters
    ----------
    gate
        Bounds the requests that work on pixels at a time.
    """

    stretches = STRETCHES

    def __init__(self, gate: PixelGate) -> None:
        self._gate = gate

    def thumbnail(self, file: StoredFile, side: int, stretch: str) -> bytes:
        """Draw a product."""
        media_type = file.result.media_type
        with self._gate.admit():
            try:
                if media_type in _FITS:
                    return draw_fits(file, side, stretch)
                if media_type.startswith("image/"):
                    return draw_picture(file, side)
            except ImageRefused as fault:
                raise NotFound(f"this result cannot be drawn: {fault}", "Fetch the result itself.") from fault
        raise NotFound(f"results of type {media_type} are not drawn", "Fetch the result itself.")

    def header(self, file: StoredFile) -> Mapping[str, Any]:
        """Tell the cards of a product."""
        if file.result.media_type not in _FITS:
            raise NotFound("this result is no FITS file, and has no header", "Fetch the result itself.")
        try:
            found, is_more = read_headers(file)
        except ImageRefused as fault:
            raise NotFound(f"the header cannot be read: {fault}", "Fetch the result itself.") from fault
        return {
            "hdus": [
                {
                    "number": hdu.number,
                    "name": hdu.name,
                    "kind": hdu.kind,
                    "shape": list(hdu.shape),
                    "cards": [
                        {"keyword": keyword, "value": value, "comment": comment}
                        for keyword, value, comment in hdu.cards
                    ],
                }
                for hdu in found
            ],
            "more": is_more,
        }
