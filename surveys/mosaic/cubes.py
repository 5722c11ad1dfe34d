"""Several bands as the planes of one cube."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from surveys.errors import RequestFault
from surveys.fits.hdus import CHECKSUM, Card, HduHeader, Late, keyword_of
from surveys.fits.header import card
from surveys.mosaic.cards import is_wcs
from surveys.mosaic.grid import OutputGrid
from surveys.mosaic.header import SATURATE, MosaicFacts, bitpix_of, history_of, mosaic_header, remarks

#: Grids are one where corners and middle are at the same pixels to this.
SAME_GRID_PX = 1e-3

_AXIS = re.compile(r"(?:CTYPE|CRVAL|CRPIX|CDELT|CUNIT)\d+([A-Z]?)\Z|(CD|PC)\d+_\d+([A-Z]?)\Z")
_NUMBERS = ("BSCALE", "BZERO", "BLANK")
_CHECKSUMS = tuple(late.keyword for late in CHECKSUM)


def check_one_grid(planes: Sequence[MosaicFacts]) -> None:
    """Check that bands can be planes of a cube.

    Raises
    ------
    RequestFault
        If their pixels are not at the same places, or they have more axes than two.
    """
    first = planes[0]
    for other in planes:
        if len(other.reference.shape) > 2 and not other.part.grid.wcs_text:
            raise RequestFault(
                f"LAYOUT=cube takes images of two axes, and {other.reference.dataset} has "
                f"{len(other.reference.shape)}: ask for LAYOUT=mef"
            )
        if not _is_one_grid(first, other):
            raise RequestFault(
                f"LAYOUT=cube takes bands on one pixel grid, and that of {other.part.band} is not that of "
                f"{first.part.band}: ask for GRID=tan, or for LAYOUT=mef"
            )


def _is_one_grid(first: MosaicFacts, other: MosaicFacts) -> bool:
    box, there = first.part.grid.box, other.part.grid.box
    if (box.width, box.height) != (there.width, there.height):
        return False
    one, two = (OutputGrid.of(facts.part.grid, facts.reference) for facts in (first, other))
    x, y = np.meshgrid(np.linspace(0, box.width - 1.0, 3), np.linspace(0, box.height - 1.0, 3))
    u, v = one.to_pixel(two.to_sky(x, y))
    return bool(np.all(np.hypot(u - x, v - y) < SAME_GRID_PX))


def cube_dtype(planes: Sequence[MosaicFacts]) -> np.dtype[np.generic]:
    """Type of the pixels of a cube: that of its planes if they have one, else floats that hold them all."""
    scales = {(plane.reference.bscale, plane.reference.bzero, plane.reference.blank) for plane in planes}
    dtypes = {plane.composition.dtype for plane in planes}
    stored = {plane.composition.stored for plane in planes}
    if stored == {True} and len(scales) == len(dtypes) == 1:
        return planes[0].composition.dtype
    floats = [
        plane.composition.dtype
        if not plane.composition.stored
        else np.dtype(np.float32 if plane.composition.dtype.itemsize < 4 else np.float64)
        for plane in planes
    ]
    return np.result_type(*floats)


def cube_header(planes: Sequence[MosaicFacts]) -> HduHeader:
    """Header of a cube, as that of a primary HDU: what all bands have in common, and an axis of bands."""
    headers = [mosaic_header(facts, ()) for facts in planes]
    bitpix = bitpix_of(cube_dtype(planes))
    promoted = bitpix < 0 and any(facts.composition.stored for facts in planes)
    first, *others = headers
    known = [set(header.cards) for header in others]
    cards: list[Card] = []
    for one in first.cards:
        keyword = keyword_of(one)
        if keyword in _CHECKSUMS or (promoted and keyword in _NUMBERS) or keyword.startswith("WCSAXES"):
            continue
        if keyword == "NAXIS2":
            cards += [one, card("NAXIS3", len(planes), "number of bands; table BANDS names them")]
        elif (other := _of_all(keyword, planes, headers, bitpix)) is not None:
            cards.append(other)
        elif isinstance(one, Late) or is_wcs(keyword) or all(one in cards_of for cards_of in known):
            cards.append(one)
    if not _has_saturation(first) and any(map(_has_saturation, others)):
        cards.append(Late(SATURATE, "lowest saturated value of any input, scaled"))
    cards = _with_axis_of_bands(cards)
    cards += remarks(_history(planes, promoted))
    return HduHeader((*cards, *(CHECKSUM if first.has_checksum else ())))


def _of_all(
    keyword: str, planes: Sequence[MosaicFacts], headers: Sequence[HduHeader], bitpix: int
) -> Card | None:
    """Card that says of all bands what the others say of one each; None where there is no such."""
    match keyword:
        case "BITPIX":
            return card("BITPIX", bitpix, "bits per pixel; negative: floating point")
        case "NAXIS":
            return card("NAXIS", 3, "number of axes")
        case "NINPUT":
            return card("NINPUT", sum(len(facts.records) for facts in planes), "number of source images")
        case "ORIG_ID":
            survey = planes[0].site.did_prefix + planes[0].reference.survey
            return card("ORIG_ID", survey, "publisher DID of the source")
        case "RESAMPLD" | "CLIPPED":
            return _any_of(keyword, headers)
    return None


def _has_saturation(header: HduHeader) -> bool:
    return any(keyword_of(one) == SATURATE for one in header.cards)


def _history(planes: Sequence[MosaicFacts], promoted: bool) -> list[str]:
    """Say what the bands are, and how all of them were made."""
    site, survey = planes[0].site, planes[0].reference.survey
    lines = [f"{site.creator}: {len(planes)} bands of {survey}, listed in the table BANDS"]
    for number, facts in enumerate(planes, start=1):
        count = len(facts.records)
        lines.append(f"Plane {number}: {facts.part.band}, {count} image{'s' if count > 1 else ''}")
    first, *others = (history_of(facts)[1:] for facts in planes)
    lines += [line for line in first if all(line in other for other in others)]
    told = dict.fromkeys(remark for facts in planes for remark in facts.part.remarks)
    lines += [remark for remark in told if remark not in lines]
    if promoted:
        lines.append("Integers made into physical floats: the bands store them differently")
    return lines


def _any_of(keyword: str, headers: Sequence[HduHeader]) -> Card:
    """Card of a logical value that is true of any of the bands, else the first's."""
    found = [one for header in headers for one in header.cards if keyword_of(one) == keyword]
    return next((one for one in found if not isinstance(one, Late) and one[29] == "T"), found[0])


def _with_axis_of_bands(cards: Sequence[Card]) -> list[Card]:
    """Add a third axis to each WCS."""
    keywords = [keyword_of(one) for one in cards]
    matrix: dict[str, str] = {}
    for keyword in keywords:
        if match := _AXIS.match(keyword):
            letter = match[1] or match[3] or ""
            matrix[letter] = matrix.get(letter) or match[2] or ""
    added = []
    for letter, kind in sorted(matrix.items()):
        added += [
            card(f"CTYPE3{letter}", "BAND", "number of the band, see table BANDS"),
            card(f"CRPIX3{letter}", 1.0),
            card(f"CRVAL3{letter}", 1.0),
            # A matrix has 0 where nothing is said, CDELT 1.
            card(f"CD3_3{letter}", 1.0) if kind == "CD" else card(f"CDELT3{letter}", 1.0),
        ]
    return [*cards, *added]
