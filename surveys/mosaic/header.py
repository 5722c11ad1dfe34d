"""Headers of mosaics: what is true of all inputs, how they were put together, and out of what."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from textwrap import wrap

import numpy as np

from surveys.cube.ranges import AxisCut, label_of
from surveys.fits.hdus import CHECKSUM, Card, HduHeader, Late, header_of, keyword_of, lines_of
from surveys.fits.header import CARD, Value, card, history
from surveys.fits.naming import centre_deg
from surveys.fits.product import Site, axes_of, is_masked
from surveys.fits.template import build_template
from surveys.image import ImageRecord
from surveys.mosaic.cards import common_cards, is_wcs, numbers_of, only, without
from surveys.mosaic.compose import Composition, Input
from surveys.mosaic.grid import OutputGrid
from surveys.plan import Part
from surveys.request import CutoutRequest
from surveys.sky.wcs import wcs_of
from surveys.survey import Survey

BITPIX = {"u1": 8, "i2": 16, "i4": 32, "i8": 64, "f4": -32, "f8": -64}

#: Late cards of every image.
FRAC_OK, SATURATE = "FRAC_OK", "SATURATE"

_NUMBERS = ("BSCALE", "BZERO", "BLANK")
_ASINH = ("BSOFTEN", "BOFFSET")
# What was true of an input's pixels, or of the file it came in, and is not of these.
_NOT_OURS = {
    *("DATAMIN", "DATAMAX", SATURATE, "ORIG_ID", "ORIG_FLE", "ORIG_EXT", "ORIG_SHA", "X0", "Y0"),
    *("CUT_URL", "RA_OBJ", "DEC_OBJ", "CASAMBM"),
}
_OVERLAP = {
    "first": "of the first image that has data, from the centre of the region outwards",
    "mean": "the mean of all images",
    "weighted": "the mean of all images, weighted with their inverse variances",
}
_NEAREST = "of the image in whose own area it lies, else of that with the nearest centre"


@dataclass(frozen=True, slots=True)
class MosaicFacts:
    """What the header of a mosaic is made of.

    Parameters
    ----------
    part, request, generation, survey, site
        Of which plan; who makes it.
    records, texts
        Of its pieces, in their order: the images and their headers.
    composition
        What its pixels will be; nothing of it need be open.
    """

    part: Part
    request: CutoutRequest
    generation: int
    survey: Survey
    site: Site
    records: Sequence[ImageRecord]
    texts: Sequence[str]
    composition: Composition

    @property
    def reference(self) -> ImageRecord:
        """The first image, whose zero point the mosaic has, and whose grid if it has none of its own."""
        return self.records[0]

    @property
    def bitpix(self) -> int:
        """BITPIX of its pixels."""
        return bitpix_of(self.composition.dtype)

    @property
    def pixel_areas(self) -> list[float]:
        """Area of an output pixel in pixels of each image, at the centres; 1 where it does not count."""
        if not self.composition.flux:
            return [1.0] * len(self.records)
        out = OutputGrid.of(self.part.grid, self.reference).scale_deg
        scales = [float(wcs_of(r).pixel_scale_deg((r.nx - 1) / 2, (r.ny - 1) / 2)) for r in self.records]
        return [(out / scale) ** 2 if scale > 0 and math.isfinite(out) else 1.0 for scale in scales]

    @property
    def saturations(self) -> list[tuple[int, float]]:
        """Saturated values that the inputs' headers tell, each after its place; none of asinh scales."""
        return [] if self.survey.linearise else list(numbers_of(self.texts, SATURATE))

    def saturation(self, inputs: Sequence[Input]) -> float | None:
        """Lowest saturated value of any input, as it is in the mosaic; None where no header tells one."""
        areas = self.pixel_areas
        levels = [(value * inputs[i].scale + inputs[i].offset) * areas[i] for i, value in self.saturations]
        return min(levels, default=None)


def bitpix_of(dtype: np.dtype[np.generic]) -> int:
    """BITPIX of pixels of a type."""
    return BITPIX[f"{dtype.kind}{dtype.itemsize}"]


def mosaic_header(facts: MosaicFacts, lines: Sequence[str] | None = None) -> HduHeader:
    """Header of a mosaic, as that of a primary HDU; FRAC_OK, SATURATE and checksums are late.

    `lines` take the place of its own HISTORY.
    """
    part, request = facts.part, facts.request
    own_grid = bool(part.grid.wcs_text)
    cut = AxisCut() if own_grid else AxisCut(part.pieces[0].ranges)
    template = build_template(
        _as_made(facts),
        _source_cards(facts),
        facts.bitpix,
        (),
        [*_provenance(facts), *_methods(facts)],
        part.clipped,
        axes_of(facts.reference, cut, extended=False),
        on_source=not own_grid,
    )
    box = part.grid.box
    values = {"nx": box.width, "ny": box.height, "x0": box.x0, "y0": box.y0, "frac_ok": 0.0}
    for axis, first, end, step in cut.ranges:
        values |= {f"n{axis}": len(range(first, end, step)), f"o{axis}": first}
    made = header_of(template.write(values))
    late = Late(FRAC_OK, "fraction of the pixels that hold data")
    cards: list[Card] = list(made.with_late(late).cards)
    if facts.saturations:
        cards.append(Late(SATURATE, "lowest saturated value of any input, scaled"))
    cards += request_cards(request)
    cards += remarks(history_of(facts) if lines is None else lines)
    return HduHeader((*cards, *(CHECKSUM if request.checksum else ())))


def remarks(lines: Iterable[str]) -> list[str]:
    """HISTORY cards of lines of text, broken between words."""
    short = [part for line in lines for part in wrap(line, CARD - len("HISTORY "))]
    return lines_of(history(part) for part in short)


def request_cards(request: CutoutRequest) -> list[str]:
    """Cards that tell what was asked."""
    cards = []
    if request.stencil is not None:
        ra, dec = centre_deg(request.stencil)
        cards.append(card("RA_OBJ", ra, "[deg] centre of the region, ICRS"))
        cards.append(card("DEC_OBJ", dec, "[deg] centre of the region, ICRS"))
    if request.canonical:
        cards.append(card("CUT_URL", request.canonical, "the request"))
    return lines_of(cards)


def layer_header(
    image: HduHeader, bitpix: int, name: str, added: Sequence[str], request: CutoutRequest
) -> HduHeader:
    """Header of a layer of an image, on the same pixels, as an extension.

    Parameters
    ----------
    image
        Header of the image, as that of a primary HDU.
    bitpix, name
        Of the layer.
    added
        Its own cards.
    request
        Of the plan.
    """
    structure = [
        one
        if keyword_of(one) != "BITPIX"
        else card("BITPIX", bitpix, "bits per pixel; negative: floating point")
        for one in image.cards
        if keyword_of(one) in ("SIMPLE", "BITPIX") or keyword_of(one).startswith("NAXIS")
    ]
    places = [one for one in image.cards if is_wcs(keyword_of(one))]
    sums = CHECKSUM if request.checksum else ()
    return HduHeader((*structure, *places, *sums)).as_extension(name, lines_of(added))


def _source_cards(facts: MosaicFacts) -> str:
    """Cards of the inputs that stay."""
    made, band = facts.composition, facts.survey.band(facts.part.band)
    own_grid = facts.part.grid.wcs_text
    kept = {"BUNIT"}
    if facts.request.mosaic.photscale != "none" and band.zeropoint is not None:
        # The pixels are on the zero point of the reference, and it is told by this.
        kept |= {band.zeropoint.card or "", *(["EXPTIME"] if band.zeropoint.exptime else [])}
    if made.stored:
        kept |= set(_NUMBERS)
    text = common_cards(facts.texts, lambda name: name in kept or (not own_grid and is_wcs(name)))
    dropped = _NOT_OURS | (set() if made.stored else set(_NUMBERS))
    if facts.survey.linearise:
        dropped |= set(_ASINH)
    text = without(text, lambda name: name in dropped or (bool(own_grid) and is_wcs(name)))
    return text + only(own_grid, is_wcs)


def _as_made(facts: MosaicFacts) -> ImageRecord:
    """Describe the output as if it were an image of the survey."""
    reference, bitpix = facts.reference, facts.bitpix
    if facts.part.grid.wcs_text:
        made = replace(reference, shape=(1, 1), x_axis=0, y_axis=1, bitpix=bitpix)
    else:
        # Degenerate axes stay.
        shape = [1] * len(reference.shape)
        made = replace(reference, shape=tuple(shape), bitpix=bitpix)
    return made if facts.composition.stored else replace(made, blank=None)


def _provenance(facts: MosaicFacts) -> list[tuple[str, Value, str]]:
    site, reference = facts.site, facts.reference
    return [
        *common_provenance(site, facts.records),
        ("ORIG_ID", f"{site.did_prefix}{reference.survey}/{reference.band}", "publisher DID of the source"),
        ("REF_ID", site.did_prefix + reference.dataset, "source of grid and zero point"),
        ("NINPUT", len(facts.records), "number of source images"),
        (
            "RESAMPLD",
            facts.part.method == "resample",
            "pixel values are interpolated"
            if facts.part.method == "resample"
            else "pixels are as in the sources",
        ),
    ]


def common_provenance(site: Site, records: Sequence[ImageRecord]) -> list[tuple[str, Value, str]]:
    """Return the cards that every product has."""
    newest = max(record.indexed_at for record in records).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return [
        ("ORIGIN", site.origin, "who made this file"),
        ("CREATOR", site.creator, "service that cut it"),
        ("DATE", newest, "the newest source was indexed"),
    ]


def _methods(facts: MosaicFacts) -> list[tuple[str, Value, str]]:
    """Say in words of the request how the images were put together."""
    options, made = facts.request.mosaic, facts.composition
    cards: list[tuple[str, Value, str]] = []
    if facts.part.method == "resample":
        cards.append(("KERNEL", options.resample, "what pixels are interpolated with"))
    if len(facts.records) > 1:
        combine = "auto" if options.combine == "mosaic" else options.combine
        cards.append(("COMBINE", combine, "which image counts in overlaps"))
        cards.append(("PHOTSCAL", options.photscale, "auto: scaled to one zero point"))
        cards.append(("BACKGRND", "match" if made.matched else "keep", "match: levels made to agree"))
    if facts.part.method == "resample":
        cards.append(("FLUX", "flux" if made.flux else "sb", "flux: values grow with a pixel's area"))
    return cards


def history_of(facts: MosaicFacts) -> list[str]:
    """Say how a mosaic was made; the first line names its inputs."""
    part, request, made = facts.part, facts.request, facts.composition
    box, reference = part.grid.box, facts.reference
    many = f"{len(facts.records)} images" if len(facts.records) > 1 else "1 image"
    lines = [f"{facts.site.creator}: {many} of {reference.survey}/{part.band}, listed in the table INPUTS"]
    if part.grid.wcs_text:
        lines.append(f"On a grid of {box.width} x {box.height} pixels made for this request")
    else:
        section = f"[{box.x0 + 1}:{box.x1},{box.y0 + 1}:{box.y1}]"
        lines.append(f"Pixels {section} of the grid of {reference.file.name}[{reference.hdu}], extended")
    if planes := label_of(reference, part.pieces[0].ranges):
        lines.append(f"Planes of {reference.file.name}[{reference.hdu}]: {planes}")
    if part.method == "resample":
        lines.append(f"Resampled ({request.mosaic.resample}): noise of neighbouring pixels is correlated")
    else:
        lines.append("Pixels copied, not resampled")
    if len(facts.records) > 1:
        lines.append(f"Where images overlap, a pixel is {_OVERLAP.get(request.mosaic.combine, _NEAREST)}")
    if any(piece.scale != 1.0 for piece in part.pieces):
        lines.append("Inputs multiplied by SCALE of INPUTS, to the zero point of REF_ID")
    if request.mosaic.photscale == "none" and len(facts.records) > 1:
        lines.append("Zero points of the inputs not looked at (PHOTSCALE=none)")
    if made.matched:
        lines.append("OFFSET of INPUTS added, so that overlaps agree (BACKGROUND=match)")
    if made.flux:
        lines.append("Values multiplied by the ratio of output to input pixel area (FLUX=flux)")
    if facts.survey.linearise:
        lines.append(f"The {facts.survey.linearise} scale of the stored pixels made linear")
    if made.promoted:
        lines.append(made.promoted)
    if part.clipped:
        fill = "BLANK" if made.stored else "NaN"
        lines.append(f"The region reaches beyond the images; pixels without data are {fill}")
    lines += part.remarks
    if is_masked(request):
        lines.append("Pixels with centres outside of the region are blanked (MASK=true)")
    return lines
