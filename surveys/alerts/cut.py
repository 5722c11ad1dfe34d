"""A region cut out of a stamp that has a place on the sky, by the rules of images."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from surveys.alerts.stored import CARD, StampHdu
from surveys.errors import ImageRefused, NoOverlap, RequestFault
from surveys.fits.header import Value, card
from surveys.fits.naming import centre_deg
from surveys.index.cards import celestial_axes, split_cards, wcs_cards
from surveys.index.fitsfile import parse_cards
from surveys.request import CutoutRequest
from surveys.sky.overlap import box_and_rest, centered_box, full_box
from surveys.sky.pixels import PixelBox
from surveys.sky.stencil import CenteredBox, Stencil
from surveys.sky.wcs import CelestialWcs
from surveys.survey import Survey

#: Physical values of 8 and 16 bits are exact enough in a 32-bit float.
_PROMOTED = {8: ">f4", 16: ">f4", 32: ">f8", 64: ">f8"}
_REFERENCE = re.compile(r"CRVAL([12])[A-Z]?")
_PIXEL_CARD = re.compile(r"(?:CRPIX|LTV)([12])[A-Z]?")


Beyond = Literal["", "clipped", "padded"]


@dataclass(frozen=True, slots=True)
class Cut:
    """What is left of a stamp.

    Parameters
    ----------
    hdu
        Its image.
    box
        Pixels of the stamp that it has, which may stick out; None for all of it.
    facts
        Cards that tell so.
    beyond
        What became of a part of the region beyond the stamp.
    """

    hdu: StampHdu
    box: PixelBox | None = None
    facts: list[tuple[str, Value, str]] = field(default_factory=list)
    beyond: Beyond = ""

    @property
    def remarks(self) -> list[str]:
        """What is to be known of it."""
        return ["The region reaches beyond the stamp"] if self.beyond else []

    def also(self, hdu: StampHdu) -> StampHdu:
        """Cut another image of the same pixels alike."""
        return hdu if self.box is None else taken(hdu, self.box)


def wcs_of_stamp(hdu: StampHdu) -> CelestialWcs:
    """WCS of the image of a stamp.

    Raises
    ------
    ImageRefused
        If it has none, with the reason.
    """
    header = parse_cards(hdu.text)
    x_axis, y_axis = celestial_axes(header, len(hdu.shape))
    if (x_axis, y_axis) != (0, 1):
        raise ImageRefused("the sky is not on its first two axes")
    height, width = hdu.shape[-2:]
    return CelestialWcs.from_text(wcs_cards(hdu.text), x_axis, y_axis, width, height)


def cut_stamp(hdu: StampHdu, request: CutoutRequest, survey: Survey, dataset: str) -> Cut:
    """Cut the region of a request out of the image of a stamp.

    Raises
    ------
    RequestFault
        If the stamp has no place on the sky, or not all of the region where that is asked.
    NoOverlap
        If it has nothing of the region.
    """
    stencil = request.stencil
    if stencil is None:
        return Cut(hdu)
    try:
        wcs = wcs_of_stamp(hdu)
    except ImageRefused as refusal:
        raise RequestFault(
            f"the stamps of {survey.name} have no place on the sky ({dataset}: {refusal}), so that no region "
            "can be cut out of them: leave the region out, to have the whole stamp"
        ) from refusal
    box, clipped = _box(stencil, wcs, request, survey, dataset)
    ra, dec = centre_deg(stencil)
    facts: list[tuple[str, Value, str]] = [
        ("RA_OBJ", ra, "[deg] centre of the region, ICRS"),
        ("DEC_OBJ", dec, "[deg] centre of the region, ICRS"),
        ("X0", box.x0 + 1, "first column of this, in the stamp (1-based)"),
        ("Y0", box.y0 + 1, "first row of this, in the stamp (1-based)"),
        ("CLIPPED", clipped, "the region reaches beyond the stamp"),
    ]
    padded = box.clip(wcs.nx, wcs.ny) != box
    beyond: Beyond = "padded" if padded else "clipped" if clipped else ""
    return Cut(taken(hdu, box), box, facts, beyond)


def _box(
    stencil: Stencil, wcs: CelestialWcs, request: CutoutRequest, survey: Survey, dataset: str
) -> tuple[PixelBox, bool]:
    """Pixels of the stamp that are taken, and whether the region reaches beyond it."""
    nothing = NoOverlap(f"the region has no pixel of {dataset}")
    if isinstance(stencil, CenteredBox):
        scale = survey.pixel_scale_deg or float(wcs.pixel_scale_deg((wcs.nx - 1) / 2, (wcs.ny - 1) / 2))
        found = centered_box(stencil, wcs, scale)
        inside = None if found is None else found.clip(wcs.nx, wcs.ny)
        if found is None or inside is None:
            raise nothing
        box, clipped = inside, inside != found
        padded: PixelBox | None = found
    else:
        shape = box_and_rest(stencil, wcs)
        if shape is None:
            raise nothing
        box, clipped = shape
        padded = full_box(stencil, wcs) if clipped and request.edge == "pad" else box
    if not clipped:
        return box, False
    if request.edge == "error":
        raise RequestFault(
            f"the region reaches beyond the stamp {dataset}, which EDGE=error does not allow: ask for "
            "EDGE=clip to have what there is, EDGE=pad to have the rest without data, or for a smaller region"
        )
    if request.edge == "pad" or (request.edge == "auto" and isinstance(stencil, CenteredBox)):
        if padded is None:
            raise RequestFault(
                f"the pixels of {dataset} do not reach over all of the region: ask for EDGE=clip"
            )
        return padded, True
    return box, True


def taken(hdu: StampHdu, box: PixelBox) -> StampHdu:
    """Take a box of pixels out of an image, with no data where it sticks out; its WCS goes with it."""
    stored = hdu.stored
    inside = box.clip(stored.shape[1], stored.shape[0])
    rest, left = {"BITPIX": hdu.bitpix}, set()
    if inside == box:
        pixels = stored[box.y0 : box.y1, box.x0 : box.x1]
    else:
        fill: float
        if hdu.bitpix > 0 and hdu.blank is None:
            # No stored value says that there is no data.
            stored, fill = hdu.physical().astype(_PROMOTED[hdu.bitpix]), np.nan
            rest, left = {"BITPIX": -8 * stored.itemsize}, {"BSCALE", "BZERO"}
        else:
            fill = np.nan if hdu.blank is None else hdu.blank
        pixels = np.full((box.height, box.width), fill, stored.dtype)
        if inside is not None:
            part = stored[inside.y0 : inside.y1, inside.x0 : inside.x1]
            x, y = inside.x0 - box.x0, inside.y0 - box.y0
            pixels[y : y + inside.height, x : x + inside.width] = part
    text = _shifted(hdu, box, rest | {"NAXIS1": box.width, "NAXIS2": box.height}, left)
    numbers = {key: value for key, value in hdu.numbers.items() if key not in left}
    shape = (*hdu.shape[:-2], box.height, box.width)
    return StampHdu(hdu.number, text, numbers, rest["BITPIX"], shape, pixels.tobytes())


def _shifted(hdu: StampHdu, box: PixelBox, changed: Mapping[str, int], left: Set[str]) -> str:
    """Shift the reference pixels of a header to the first pixel of a box.

    Parameters
    ----------
    changed, left
        Cards that have another value, and those that go.
    """
    origin = {"1": box.x0, "2": box.y0}
    lines = []
    cards = [(keyword, line) for keyword, line in split_cards(hdu.text) if keyword not in left]
    for keyword, line in cards:
        comment = line[10:CARD].partition("/")[2].strip()
        found, number = _PIXEL_CARD.fullmatch(keyword), hdu.numbers.get(keyword)
        if keyword in changed:
            line = card(keyword, changed[keyword], comment)
        elif found is not None and number is not None:
            line = card(keyword, float(number) - origin[found[1]], comment)
        lines.append(line)
    told = {keyword for keyword, _ in cards}
    for keyword in sorted(told):
        described = _REFERENCE.fullmatch(keyword)
        missing = f"CRPIX{keyword.removeprefix('CRVAL')}"
        if described is not None and missing not in told:
            # A reference pixel that is not told is 0.
            lines.append(card(missing, -float(origin[described[1]]), "reference pixel"))
    return "".join(lines)
