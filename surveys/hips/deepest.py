"""The deepest tiles of a HiPS: planned by the index and composed by the one engine, like every mosaic."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np
from lsst.sphgeom import Region

from surveys.errors import RequestFault
from surveys.fits.header import card
from surveys.fits.source import Source
from surveys.hips.geometry import SAME_SCALE, TILE, pixel_scale_deg, wcs_text
from surveys.hips.tiles import Image, key_for
from surveys.index.catalog import MOST_CANDIDATES, Catalog
from surveys.mosaic.compose import compose
from surveys.plan import Part
from surveys.planning.limits import Limits
from surveys.planning.mosaics import draft_resampled
from surveys.planning.parts import parts_of
from surveys.planning.planes import Plane
from surveys.request import CutoutRequest, MosaicOptions, PictureOptions
from surveys.sky.pixels import PixelBox
from surveys.sky.sphere import normalized, ra_dec_deg, separation_deg
from surveys.sky.stencil import Circle
from surveys.survey import Survey

#: Raised when the same images would make other pixels.
MAKING = 2

_BOX = PixelBox(0, TILE, 0, TILE)
_LIMITS = Limits(TILE * TILE, TILE * TILE * 8, max_inputs=MOST_CANDIDATES)
#: A tile is searched for this much farther than it reaches, and by so many pixels.
_SEARCH_MARGIN, _KERNEL_PX = 1.05, 4


@dataclass(frozen=True, slots=True)
class HipsBand:
    """A band of a survey as its HiPS shows it.

    Parameters
    ----------
    survey, band
        Its name, and the label of the band.
    generation
        Of the survey's index.
    order
        Of the deepest tiles.
    photscale
        ``auto``: pixels are scaled to one zero point; ``none``: they are taken as they are.
    zeropoint_mag
        That zero point; None where there is none, or nothing needs scaling.
    """

    survey: str
    band: str
    generation: int
    order: int
    photscale: Literal["auto", "none"] = "auto"
    zeropoint_mag: float | None = None

    @property
    def dataset(self) -> str:
        """Identifier of the survey band."""
        return f"{self.survey}/{self.band}"

    @property
    def request(self) -> CutoutRequest:
        """What is asked of the engine for each tile, as for a picture.

        Pixel values stay those of the survey, whatever the size of pixels, as in a surface brightness: else
        they would differ from order to order. Cores of stars that saturated are no holes.
        """
        options = MosaicOptions(
            combine="mosaic", photscale=self.photscale, background="keep", flux="sb", resample="lanczos3"
        )
        return CutoutRequest(self.dataset, edge="pad", mosaic=options, picture=PictureOptions("image/png"))


def common_zeropoint(survey: Survey, label: str, generation: int, catalog: Catalog) -> float | None:
    """Zero point that all tiles of a HiPS are scaled to: that of the first image of the band, by identifier.

    None where the images have none of their own.

    Raises
    ------
    RequestFault
        If they should have, and that image has not.
    """
    band = survey.band(label)
    rule = band.zeropoint
    if rule is None:
        return None
    if rule.card is None and not rule.exptime:
        return rule.constant
    start = f"{survey.name}/{band.label}/"
    first = min(
        (dataset for dataset in catalog.datasets(survey.name, generation) if dataset.startswith(start)),
        default=None,
    )
    if first is None:
        return None
    return _zeropoint_of(catalog, catalog.record(first, generation).artifact_id, first)


def plan_tile(band: HipsBand, tile: int, catalog: Catalog) -> Part | None:
    """Decide what a tile is made of; None where no image reaches it.

    Raises
    ------
    RequestFault
        If its images cannot be put together.
    """
    survey = catalog.survey(band.survey)
    plane = Plane.from_text(wcs_text(band.order, tile), pixel_scale_deg(band.order), TILE, TILE)
    found = catalog.search(survey.name, [band.band], _about(plane), band.generation)
    records = [catalog.artifact(candidate.artifact_id) for candidate in found]
    if not records:
        return None
    draft = draft_resampled(band.request, survey.band(band.band), plane, _BOX, records, False, _LIMITS)
    if not draft.inputs:
        return None
    (part,) = parts_of(band.request, survey, band.generation, [draft], catalog)
    return _at_zeropoint(band, part, catalog)


def part_key(band: HipsBand, part: Part, survey: Survey) -> str:
    """Key of a tile: equal as long as the same images, as they are now, would make the same pixels."""
    fields = asdict(part)
    for piece in fields["pieces"]:
        del piece["artifact_id"]
    declared = survey.band(band.band)
    rules = (declared.nodata, declared.pixel_value, survey.linearise, sorted(survey.fix.items()))
    weight, mask = survey.layer("weight"), survey.layer("mask")
    layers = (weight and weight.weight, mask and (sorted(mask.bits.items()), mask.good))
    return key_for(MAKING, band.request, fields, rules, layers)


def make_pixels(band: HipsBand, part: Part, catalog: Catalog, source: Source) -> Image:
    """Make the pixels of a tile, shape (512, 512), first row at the bottom; NaN without data.

    Raises
    ------
    StaleImage, BrokenImage
        If an image cannot be read, or is not the one that was indexed; `dataset` names it.
    """
    scale = min(catalog.artifact(piece.artifact_id).pixel_scale_deg for piece in part.pieces)
    # Of an order that is coarser than the survey: else there are dark rings about stars. Other orders keep
    # their kernel, though some pixels of HEALPix are larger than the average: tiles are of one sharpness.
    means = pixel_scale_deg(band.order) > SAME_SCALE * scale
    made = compose(part, band.request, catalog, source, generation=band.generation, means=means)
    return np.asarray(made.image, dtype=np.float32)


def photometry_cards(band: HipsBand) -> str:
    """Cards that say what a pixel value is worth."""
    if band.zeropoint_mag is None:
        return ""
    return card("MAGZERO", band.zeropoint_mag, "[mag] of a pixel value of 1")


def _at_zeropoint(band: HipsBand, part: Part, catalog: Catalog) -> Part:
    """Scale a part, which has the zero point of its first piece, to that of the whole HiPS."""
    rule = catalog.survey(band.survey).band(band.band).zeropoint
    if rule is None or band.photscale == "none" or band.zeropoint_mag is None:
        return part
    if rule.card is None and not rule.exptime:
        return part
    first = part.pieces[0]
    own = _zeropoint_of(catalog, first.artifact_id, first.dataset)
    factor = 10.0 ** (0.4 * (band.zeropoint_mag - own))
    if factor == 1.0:
        return part
    return replace(part, pieces=tuple(replace(piece, scale=piece.scale * factor) for piece in part.pieces))


def _zeropoint_of(catalog: Catalog, artifact_id: int, dataset: str) -> float:
    zeropoint = catalog.attributes(catalog.artifact(artifact_id)).get("zeropoint_mag")
    if zeropoint is None:
        raise RequestFault(
            f"the zero point of {dataset} is not known, so that it cannot be scaled to that of the others: "
            "mend the declaration, or take pixels as they are with --photscale none"
        )
    return float(zeropoint)


def _about(plane: Plane) -> Region:
    """Circle about a tile, wide enough for a kernel."""
    # A little inside the outline: beyond it there may be no sky on this plane.
    side = np.array([-0.49, (TILE - 1) / 4, (TILE - 1) / 2, (TILE - 1) * 3 / 4, TILE - 0.51])
    x, y = (axis.ravel() for axis in np.meshgrid(side, side))
    vectors = plane.wcs.to_sky(x, y)
    vectors = vectors[np.isfinite(vectors).all(axis=1)]
    centre = normalized(vectors.mean(axis=0))
    ra, dec = ra_dec_deg(centre)
    reach = float(np.max(separation_deg(vectors, centre)))
    radius = _SEARCH_MARGIN * reach + _KERNEL_PX * plane.scale_deg * math.sqrt(2.0)
    return Circle(float(ra), float(dec), min(radius, 180.0)).region()
