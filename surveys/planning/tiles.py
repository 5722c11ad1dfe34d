"""Which images of a survey are there for a region."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from lsst.sphgeom import ConvexPolygon, Region, UnitVector3d

from surveys.access import EVERYBODY, Reader
from surveys.errors import AccessDenied, NeedsStencil, RequestFault, SeveralImages
from surveys.image import ImageRecord
from surveys.index.catalog import Catalog
from surveys.planning.coverage import outline
from surveys.planning.images import Overlap, overlap, passes
from surveys.planning.limits import Limits, too_many_images
from surveys.planning.planes import Plane
from surveys.request import CutoutRequest
from surveys.sky.pixels import PixelBox
from surveys.sky.stencil import CenteredBox, Circle, Size, Stencil
from surveys.survey import Band, Survey

#: A box is searched for this much wider than its nominal size.
SEARCH_MARGIN = 1.2

#: Where more exposures have data, one of them is not looked for: each takes about a millisecond.
MOST_IMAGES = 100

# Points of each side of a grid whose hull is searched.
_SIDE = 8


@dataclass(frozen=True, slots=True)
class Tiles:
    """Images of one band about a region.

    Parameters
    ----------
    band
        The band.
    records
        All that may have pixels of it, the nearest first.
    overlaps
        Of those that have.
    about
        Finds those about a box of a plane.
    """

    band: Band
    records: tuple[ImageRecord, ...]
    overlaps: tuple[Overlap, ...]
    about: Callable[[Plane, PixelBox], Sequence[ImageRecord]]


def one_image(band: Band, found: Overlap) -> Tiles:
    """Return the tiles of a request that names an image: this one, and no other."""
    records = (found.record,)
    return Tiles(band, records, (found,), lambda plane, box: records)


def wanted_bands(request: CutoutRequest, survey: Survey, label: str | None) -> list[Band]:
    """Bands that the identifier and the filters leave."""
    bands = survey.bands if label is None else [survey.band(label)]
    return [
        band
        for band in bands
        if (not request.filters or band.label in request.filters)
        and (request.band_m is None or request.band_m.overlaps(band.em_min_m, band.em_max_m))
    ]


class TileSearch:
    """Search of one survey for one request.

    Parameters
    ----------
    request
        With a stencil.
    survey, generation
        What is searched.
    catalog
        The image index.
    limits
        How many images a cutout may be made of.
    reader
        Who asks: only those exposures are looked for that are open to them.

    Raises
    ------
    NeedsStencil
        If the request has no stencil.
    """

    def __init__(
        self,
        request: CutoutRequest,
        survey: Survey,
        generation: int,
        catalog: Catalog,
        limits: Limits,
        reader: Reader = EVERYBODY,
    ) -> None:
        if request.stencil is None:
            band = " band" if "/" in request.dataset else ""
            raise NeedsStencil(
                f"{request.dataset} is a survey{band}, which has no whole: add POS, CIRCLE, POLYGON or "
                f"CENTER with SIZE, of at most {limits.max_pixels} px"
            )
        self._request = request
        self._stencil: Stencil = request.stencil
        self._survey = survey
        self._generation = generation
        self._catalog = catalog
        self._limits = limits
        #: Whether exposures are looked for, of which there may be many and only one is wanted.
        self.wants_one = survey.kind == "exposures" and request.mosaic.combine == "auto"
        self._reader = reader
        self._is_chosen = self.wants_one and not survey.is_public

    def run(self, bands: Sequence[Band]) -> list[Tiles]:
        """Find the images of some bands, in the order of the bands; those without any are left out.

        Raises
        ------
        SeveralImages
            If there are more exposures than can be told apart.
        AccessDenied
            If all that a band has here is closed to the reader.
        TooLarge
            If more images are needed than one cutout may have.
        """
        if not bands:
            return []
        region = _search_region(self._stencil, self._survey)
        records: dict[str, list[ImageRecord]] = {band.label: [] for band in bands}
        overlaps: dict[str, list[Overlap]] = {band.label: [] for band in bands}
        for record in self._records(list(records), region):
            records[record.band].append(record)
            if (found := overlap(self._stencil, record)) is not None:
                overlaps[record.band].append(found)
                self._check_number(overlaps, overlaps[record.band])
        if not self._survey.is_public:
            self._refuse_closed(overlaps.values())
        return [
            Tiles(band, tuple(records[band.label]), tuple(overlaps[band.label]), self._about(band))
            for band in bands
            if overlaps[band.label]
        ]

    def _records(self, labels: list[str], region: Region) -> Iterator[ImageRecord]:
        """Yield images about a region: where there are too many, most of them are never read."""
        for candidate in self._catalog.search(self._survey.name, labels, region, self._generation):
            record = self._catalog.artifact(candidate.artifact_id)
            if self._is_chosen and not self._survey.access.may_read(record.dataset, self._reader):
                continue
            if passes(self._request, record):
                yield record

    def _refuse_closed(self, overlaps: Iterable[list[Overlap]]) -> None:
        """Refuse what can come to nothing else, before anything is told of the images."""
        access, reader = self._survey.access, self._reader
        for some in overlaps:
            if some and not any(access.may_read(found.record.dataset, reader) for found in some):
                raise closed_here(self._survey)

    def _check_number(self, overlaps: dict[str, list[Overlap]], of_band: list[Overlap]) -> None:
        if self.wants_one:
            every = [found for some in overlaps.values() for found in some]
            if len(every) > MOST_IMAGES:
                raise too_many_exposures(self._survey.name, datasets_of(every))
        elif len(of_band) > self._limits.max_inputs:
            raise too_many_images(self._survey.name, self._limits)

    def _about(self, band: Band) -> Callable[[Plane, PixelBox], Sequence[ImageRecord]]:
        def about(plane: Plane, box: PixelBox) -> Sequence[ImageRecord]:
            hull = _hull(plane, box)
            return () if hull is None else list(self._records([band.label], hull))

        return about


def closed_here(survey: Survey) -> AccessDenied:
    """Tell that a region needs what somebody may not read."""
    return AccessDenied(f"{survey.name} has images of this region that are not open to you")


def datasets_of(overlaps: Sequence[Overlap]) -> tuple[str, ...]:
    """Name images, in order."""
    return tuple(sorted(found.record.dataset for found in overlaps))


def the_only_exposure(tiles: Sequence[Tiles]) -> Tiles:
    """Return the band whose one exposure is all there is.

    Raises
    ------
    SeveralImages
        If there are several.
    """
    overlaps = [found for of_band in tiles for found in of_band.overlaps]
    if len(overlaps) == 1:
        return tiles[0]
    raise several_exposures(datasets_of(overlaps))


def several_exposures(datasets: tuple[str, ...]) -> SeveralImages:
    """Tell that one exposure is wanted and several have data."""
    return SeveralImages(
        f"{len(datasets)} exposures have data here; name one of them as ID, leave one by TIME, or ask for "
        "COMBINE=mosaic to have them made into one image",
        datasets,
    )


def too_many_exposures(survey: str, datasets: tuple[str, ...]) -> SeveralImages:
    """Tell that more exposures have data than can be told apart."""
    return SeveralImages(
        f"more than {MOST_IMAGES} images of {survey} have data here; name one of them as ID, or ask for a "
        "smaller region or less TIME",
        datasets,
    )


def _search_region(stencil: Stencil, survey: Survey) -> Region:
    """Sky region that surely covers the stencil; candidates found in it are tested exactly afterwards."""
    if not isinstance(stencil, CenteredBox):
        return stencil.region()
    return Circle(stencil.ra_deg, stencil.dec_deg, search_radius_deg(stencil.size, survey)).region()


def search_radius_deg(size: Size, survey: Survey) -> float:
    """Radius about the centre of a box within which its images are looked for.

    Raises
    ------
    RequestFault
        If the box has pixels of an unknown scale.
    """
    scale_deg = survey.pixel_scale_deg
    width, height = size.width, size.height
    if size.in_pixels:
        if scale_deg is None:
            raise RequestFault(
                f"{survey.name} declares no pixel scale: give SIZE in arcsec, or name an image as ID"
            )
        width, height = width * scale_deg, height * scale_deg
    # Distorted images may stray from the nominal scale; a pixel more covers the rounding to whole pixels.
    radius_deg = SEARCH_MARGIN * (math.hypot(width, height) / 2 + 2 * (scale_deg or 0.0))
    return min(radius_deg, 180.0)


def _hull(plane: Plane, box: PixelBox) -> Region | None:
    """Region of the sky about a box of a plane; None where that is no hemisphere's part."""
    wide = PixelBox(box.x0 - 1, box.x1 + 1, box.y0 - 1, box.y1 + 1)
    vectors = plane.wcs.to_sky(*outline(wide, _SIDE))
    try:
        return ConvexPolygon.convexHull([UnitVector3d(*vector) for vector in vectors.tolist()])
    except ValueError:
        return None
