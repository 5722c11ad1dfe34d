"""Cards that say where a cutout comes from, and its checksums."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from typing import Protocol

import numpy as np

from surveys.cube.axes import the_axis
from surveys.cube.ranges import AxisCut
from surveys.fits.checksum import Checksum, encode
from surveys.fits.header import CARD, Value, card, history
from surveys.fits.naming import centre_deg
from surveys.fits.template import NO_AXES, Axes, HeaderTemplate, build_template
from surveys.image import ImageRecord
from surveys.request import CutoutRequest
from surveys.sky.pixels import PixelBox
from surveys.sky.stencil import CenteredBox


@dataclass(frozen=True, slots=True)
class Site:
    """Who makes the products.

    Parameters
    ----------
    origin
        Card ORIGIN: the institute.
    creator
        Card CREATOR: the service and its version.
    did_prefix
        What precedes ``survey/band/image`` in a publisher DID, with its ``?``.
    """

    origin: str = "Soda Fountain"
    creator: str = "Soda Fountain"
    did_prefix: str = "ivo://unregistered.invalid/soda-fountain?"


DEFAULT_SITE = Site()


class HeaderTexts(Protocol):
    """What products need of the image index."""

    def header_text(self, record: ImageRecord) -> str:
        """80-character cards of the image HDU, with inherited primary cards, without END."""


def is_masked(request: CutoutRequest) -> bool:
    """Whether pixels are to be blanked; a box of pixels holds all of its own."""
    return request.mask and request.stencil is not None and not isinstance(request.stencil, CenteredBox)


def axes_of(record: ImageRecord, cut: AxisCut, extended: bool) -> Axes:
    """Say to a header which axes beside those of the sky are cut."""
    if not cut.ranges:
        return Axes(extended=True) if extended else NO_AXES
    spectral = the_axis("spectral", record.wcs_text, record.shape)
    steps = tuple((axis, step) for axis, _, _, step in cut.ranges)
    return Axes(steps, spectral.number if spectral else None, extended)


def source_template(
    record: ImageRecord,
    catalog: HeaderTexts,
    bitpix: int,
    centred: bool,
    clipped: bool,
    site: Site,
    axes: Axes,
) -> HeaderTemplate:
    """Make the template of the products of an image.

    Parameters
    ----------
    centred
        Whether the request names a place.
    clipped
        Whether that reaches beyond the image.
    """
    set_later = ["CUT_URL", "RA_OBJ", "DEC_OBJ"] if centred else ["CUT_URL"]
    provenance: list[tuple[str, Value, str]] = [
        ("ORIGIN", site.origin, "who made this file"),
        ("CREATOR", site.creator, "service that cut it"),
        ("DATE", record.indexed_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S"), "the source was indexed"),
        ("ORIG_ID", site.did_prefix + record.dataset, "publisher DID of the source"),
        ("ORIG_FLE", record.file.name, "source file"),
        ("ORIG_EXT", record.hdu, "HDU in the source file (0: primary)"),
        ("NINPUT", 1, "number of source images"),
        ("RESAMPLD", False, "pixels are as in the source"),
    ]
    if record.file.sha256:
        provenance.insert(6, ("ORIG_SHA", record.file.sha256, "SHA-256 of the source file"))
    text = catalog.header_text(record)
    return build_template(record, text, bitpix, set_later, provenance, clipped, axes)


def last_cards(
    record: ImageRecord, grid: PixelBox, request: CutoutRequest, bitpix: int, site: Site, cut: AxisCut
) -> str:
    """Write the cards whose number or text depends on the request; checksums first, where they are found."""
    cards = [checksum_cards("0" * 16, "0").decode("ascii")] if request.checksum else []
    if request.stencil is not None:
        ra, dec = centre_deg(request.stencil)
        cards.append(card("RA_OBJ", ra, "[deg] centre of the region, ICRS"))
        cards.append(card("DEC_OBJ", dec, "[deg] centre of the region, ICRS"))
    if request.canonical:
        cards.append(card("CUT_URL", request.canonical, "the request"))
    section = _section(record, grid, cut)
    cards.append(history(f"{site.creator}: pixels {section} of {record.file.name}[{record.hdu}]"))
    cards += [history(remark) for remark in cut.remarks]
    cards += [history(remark) for remark in promotion(record, bitpix)]
    if is_masked(request):
        cards.append(history("Pixels with centres outside of the region are blanked (MASK=true)"))
    return "".join(cards)


def promotion(record: ImageRecord, bitpix: int) -> tuple[str, ...]:
    """Say that integers were made into floats, if they were."""
    if bitpix == record.bitpix:
        return ()
    return (f"Integers without BLANK made into physical {-bitpix}-bit floats",)


def covered_share(product: bytes) -> float | None:
    """Read from the beginning of a FITS product which share of its pixels has data; None of others."""
    if not product.startswith(b"SIMPLE  ="):
        return None
    for place in range(0, len(product), CARD):
        keyword, _, value = product[place : place + CARD].partition(b"=")
        if keyword == b"FRAC_OK ":
            return float(value.partition(b"/")[0])
        if keyword.rstrip() == b"END":
            break
    return None


def _section(record: ImageRecord, grid: PixelBox, cut: AxisCut) -> str:
    """Write the pixels of the source as a section: ``[x1:x2,y1:y2]``, of a cube that is cut all its axes."""
    celestial = f"{grid.x0 + 1}:{grid.x1}", f"{grid.y0 + 1}:{grid.y1}"
    if not cut.ranges:
        return f"[{','.join(celestial)}]"
    parts = [f"1:{length}" for length in reversed(record.shape)]
    parts[record.x_axis], parts[record.y_axis] = celestial
    for axis, first, end, step in cut.ranges:
        parts[axis] = f"{first + 1}:{end}" + (f":{step}" if step != 1 else "")
    return f"[{','.join(parts)}]"


def with_checksums(header: bytes, start: int, data_sum: int) -> bytes:
    """Write DATASUM, then CHECKSUM, which makes the sum of the whole HDU -0; both stand at `start`."""
    cards = checksum_cards(encode(0xFFFFFFFF), str(data_sum))
    before, after = header[:start], header[start + len(cards) :]
    total = Checksum(data_sum)
    total.add(np.frombuffer(before + cards + after, np.uint8))
    return before + checksum_cards(encode(total.value), str(data_sum)) + after


def checksum_cards(checksum: str, data_sum: str) -> bytes:
    """Write both cards; of the same length whatever they say."""
    cards = card("CHECKSUM", checksum, "HDU checksum") + card("DATASUM", data_sum, "data unit checksum")
    return cards.encode("ascii")
