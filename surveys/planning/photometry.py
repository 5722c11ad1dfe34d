"""Factors that bring the images of one band to one zero point."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from surveys.errors import RequestFault
from surveys.fits.header import CARD
from surveys.image import ImageRecord
from surveys.request import CutoutRequest
from surveys.survey import Band

#: Cards that tell a zero point in the headers of many surveys.
CARDS = ("MAGZERO", "MAGZPT", "MAGZP", "MAG0", "ZEROPNT", "ZEROPOIN", "PHOTZP", "ZPMAG", "ZP")
# Undeclared zero points that differ by less (magnitudes) are within the errors of calibrations.
SAME_MAG = 0.01
# So many zero points are named.
_NAMED = 4


def scales_of(
    request: CutoutRequest,
    band: Band,
    records: Sequence[ImageRecord],
    attributes: Callable[[], Mapping[int, Mapping[str, Any]]],
    header_text: Callable[[ImageRecord], str],
) -> tuple[float, ...]:
    """Factor of each image, 1 for the first; all 1 where no zero point is declared, or ``PHOTSCALE=none``.

    Parameters
    ----------
    band
        Whose `zeropoint` is declared, or not.
    records
        The first is the reference.
    attributes
        What the index knows of the images, by artifact.
    header_text
        Cards of an image.

    Raises
    ------
    RequestFault
        If some images have a zero point that is not known, or several that no declaration explains.
    """
    same = (1.0,) * len(records)
    if len(records) < 2 or request.mosaic.photscale == "none":
        return same
    if band.zeropoint is None:
        _check_cards(records, header_text)
        return same
    if band.zeropoint.card is None and not band.zeropoint.exptime:
        return same
    known = attributes()
    zeropoints = [known[record.artifact_id].get("zeropoint_mag") for record in records]
    told = [zeropoint for zeropoint in zeropoints if zeropoint is not None]
    if len(told) < len(zeropoints):
        raise RequestFault(
            f"the zero points of these images are not all known ({_named(records, zeropoints)}), so that "
            "they make no mosaic: name one of them as ID, or ask for PHOTSCALE=none to have them as they are"
        )
    return tuple(10.0 ** (0.4 * (told[0] - zeropoint)) for zeropoint in told)


def _check_cards(records: Sequence[ImageRecord], header_text: Callable[[ImageRecord], str]) -> None:
    """Refuse images whose headers tell different zero points while the declaration has no rule for them."""
    headers = [_zeropoints_in(header_text(record)) for record in records]
    for keyword in CARDS:
        values = [header.get(keyword) for header in headers]
        numbers = [value for value in values if value is not None]
        if numbers and (len(numbers) < len(values) or max(numbers) - min(numbers) > SAME_MAG):
            raise RequestFault(
                f"these images differ in {keyword} ({_named(records, values)}) and the survey declares no "
                "zero point to scale them by: name one of them as ID, or ask for PHOTSCALE=none to have them "
                "as they are"
            )


def _zeropoints_in(text: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for start in range(0, len(text), CARD):
        keyword = text[start : start + 8].rstrip()
        if keyword in CARDS and text[start + 8] == "=":
            with suppress(ValueError):  # a text, which tells no number
                found[keyword] = float(text[start + 9 : start + CARD].partition("/")[0].replace("D", "E"))
    return found


def _named(records: Sequence[ImageRecord], zeropoints: Sequence[float | None]) -> str:
    told: dict[str, str] = {}
    for record, zeropoint in zip(records, zeropoints, strict=True):
        value = "none" if zeropoint is None else f"{zeropoint:.6g}"
        told.setdefault(value, record.dataset)
    named = [f"{dataset}: {value}" for value, dataset in told.items()]
    return ", ".join(named[:_NAMED]) + (f" and {len(named) - _NAMED} more" if len(named) > _NAMED else "")
