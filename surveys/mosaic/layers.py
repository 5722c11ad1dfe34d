"""Weight, mask and point spread function beside an image (``DETAIL=full``)."""

from __future__ import annotations

import math
import re
from dataclasses import replace

from surveys.cube.ranges import WHOLE, AxisCut
from surveys.errors import BrokenImage, StaleImage, UnknownDataset
from surveys.fits.hdus import CHECKSUM, HduHeader, Late, header_of, lines_of
from surveys.fits.header import CARD, card
from surveys.fits.product import Product, Site, describe
from surveys.image import ImageRecord
from surveys.mosaic.compose import nodata_bits
from surveys.mosaic.header import FRAC_OK
from surveys.mosaic.opening import Catalog
from surveys.plan import Companion, Part
from surveys.request import CutoutRequest
from surveys.sky.pixels import PixelBox
from surveys.survey import Role, Survey

#: Their EXTNAME, after ``<band>_`` where there are several bands.
EXTNAMES: dict[Role, str] = {"weight": "WEIGHT", "mask": "MASK", "psf": "PSF"}

_MEANINGS = {
    "invvar": "inverse variance of the pixel values",
    "variance": "variance of the pixel values",
    "stddev": "standard deviation of the pixel values",
    "relative": "relative weight of the pixels",
}
_UNSAFE = re.compile(r"[^A-Z0-9_-]")


def layer_cards(role: Role, survey: Survey, band: str) -> list[str]:
    """Cards that say what the pixels of a layer mean."""
    layer = survey.layer(role)
    if layer is None:
        return []
    if role == "weight":
        meaning = layer.weight or "relative"
        return [card("WEIGHTIS", meaning, _MEANINGS[meaning])]
    if role == "mask":
        bits = [_bit_card(name, bit) for name, bit in sorted(layer.bits.items(), key=lambda item: item[1])]
        return [
            card("MASKGOOD", layer.good, "value of a good pixel"),
            card("MASKNONE", nodata_bits(survey, band), "bits of a pixel without data"),
            *bits,
        ]
    return []


def _bit_card(name: str, bit: int) -> str:
    """Name a bit of a mask: ``MP_SAT = 1``; HIERARCH where that does not fit into eight characters."""
    keyword = f"MP_{_UNSAFE.sub('_', name.upper())}"
    if len(keyword) <= 8:
        return card(keyword, bit, "number of the bit")
    return f"HIERARCH {keyword[:50]} = {bit} / number of the bit"[:CARD].ljust(CARD)


def layer_products(
    part: Part,
    request: CutoutRequest,
    generation: int,
    catalog: Catalog,
    site: Site,
    roles: tuple[Role, ...],
) -> list[tuple[Role, Product]]:
    """Describe layers of the first image of a part, as they are stored.

    Weight and mask have the pixels of the part, and where these do not exist no weight, and the bits of no
    data; a point spread function is whole.

    Raises
    ------
    StaleImage, BrokenImage
        If one was indexed again, or has not the size of the image; `dataset` names it.
    """
    piece = part.pieces[0]
    if not piece.companions:  # as a layer has none, to whose record no key leads
        return []
    image = catalog.artifact(piece.artifact_id)
    survey = catalog.survey(image.survey)
    found: list[tuple[Role, Product]] = []
    for role in roles:
        for companion in piece.companions:
            if companion.role != role:
                continue
            record = companion_record(companion, generation, catalog)
            if role == "psf":
                whole = PixelBox(0, record.nx, 0, record.ny)
                as_it_is = replace(request, stencil=None, mask=False)
                found.append((role, describe(record, whole, as_it_is, catalog, site)))
                continue
            if (record.nx, record.ny) != (image.nx, image.ny):
                raise _named(
                    BrokenImage(f"{record.file.name} has not the size of {image.file.name}."), record.dataset
                )
            # A layer of a cube may have all its axes, or those of the sky alone.
            cut = AxisCut(piece.ranges) if record.shape == image.shape else WHOLE
            box, fill = part.grid.box, _fill(role, survey, part.band, record)
            found.append((role, describe(record, box, request, catalog, site, part.clipped, cut, fill)))
    return found


def _fill(role: Role, survey: Survey, band: str, record: ImageRecord) -> float:
    if role == "mask":
        return float(nodata_bits(survey, band))
    layer = survey.layer("weight")
    is_noise = layer is not None and layer.weight in ("variance", "stddev")
    return math.nan if is_noise and record.bitpix < 0 else 0.0


def companion_record(companion: Companion, generation: int, catalog: Catalog) -> ImageRecord:
    """Record of a layer, which must be as it was planned with.

    Raises
    ------
    StaleImage
        It is not, or is no longer in the index.
    """
    try:
        record = catalog.record(companion.dataset, generation)
    except UnknownDataset as gone:
        raise _named(
            StaleImage(f"{companion.dataset} is no longer in the index"), companion.dataset
        ) from gone
    if (record.file.size, record.file.mtime_ns) != (companion.file_size, companion.mtime_ns):
        raise _named(
            StaleImage(f"{record.file.name} was indexed again since the cutout was planned."),
            companion.dataset,
        )
    return record


def _named(error: StaleImage | BrokenImage, dataset: str) -> StaleImage | BrokenImage:
    error.dataset = dataset
    return error


def copied_header(product: Product) -> HduHeader:
    """Header of a copied image, whose late cards are those of the pixels."""
    made = header_of(product.header(0, 0).decode("ascii"))
    return made.with_late(Late(FRAC_OK, "fraction of the pixels that hold data"), *CHECKSUM)


def as_layer(header: HduHeader, name: str, cards: list[str]) -> HduHeader:
    """Make a layer's header that of an extension, with what its pixels mean."""
    return header.as_extension(name, lines_of(cards))
