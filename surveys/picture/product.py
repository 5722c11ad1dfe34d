"""The picture of a plan: its bands composed, one after the other, and drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from surveys.cube.ranges import label_of
from surveys.fits.naming import cutout_name
from surveys.fits.product import Site
from surveys.fits.source import Source
from surveys.image import ImageRecord
from surveys.mosaic.compose import compose
from surveys.mosaic.grid import OutputGrid
from surveys.mosaic.opening import Catalog, record_of
from surveys.picture.avm import Caption
from surveys.picture.look import Look, look_of
from surveys.picture.render import Picture, render
from surveys.plan import CutoutPlan
from surveys.request import PictureOptions
from surveys.survey import Survey

SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg"}


class PictureCatalog(Catalog, Protocol):
    """What pictures need of the image index."""

    def attributes(self, image: ImageRecord) -> Mapping[str, Any]:
        """Find what else is known of an image: its zero point (``zeropoint_mag``)."""


@dataclass(frozen=True, slots=True)
class PictureProduct:
    """A picture that is to be made; only making it tells its size.

    Parameters
    ----------
    file_name
        Name to save it under.
    plan
        What it is made of.
    look, options, survey
        How it is made.
    site
        Who makes it.
    """

    file_name: str
    plan: CutoutPlan
    look: Look
    options: PictureOptions
    survey: Survey
    site: Site

    @property
    def size(self) -> int | None:
        """Not known."""
        return None

    @property
    def remarks(self) -> tuple[str, ...]:
        """Only making it tells."""
        return ()

    def make(self, catalog: PictureCatalog, source: Source, threads: int = 1) -> Picture:
        """Make the picture.

        Raises
        ------
        StaleImage, BrokenImage
            If a file is not the one that was indexed, or cannot be read; `dataset` names it.
        RequestFault
            If marks are asked for that need a place on the sky.
        """
        plan = self.plan
        references = {part.band: record_of(part.pieces[0], catalog, plan.generation) for part in plan.parts}
        images = {
            part.band: compose(
                part, plan.request, catalog, source, threads, generation=plan.generation, means=True
            ).image
            for part in plan.parts
        }
        zeropoints = {
            band: catalog.attributes(record).get("zeropoint_mag")
            for band, record in references.items()
            if record.role == "image"
        }
        first = plan.parts[0]
        bands = self.look.bands
        return render(
            [images.get(band) for band in bands],
            self.look,
            OutputGrid.of(first.grid, references[first.band]),
            self.options,
            zeropoints=[zeropoints.get(band) for band in bands],
            caption=self._caption(),
        )

    def _caption(self) -> Caption:
        survey = self.survey
        return Caption(
            title=self.file_name.rpartition(".")[0],
            credit=survey.credit or survey.publisher.name,
            facility=survey.facility_name,
            instrument=survey.instrument_name,
            reference_url=survey.publisher.url,
            dataset=self.site.did_prefix + self.plan.request.dataset,
        )


def describe_picture(plan: CutoutPlan, catalog: Catalog, site: Site) -> PictureProduct:
    """Describe the picture of a plan; opens no image.

    Raises
    ------
    StaleImage
        If its image is no longer in the index.
    RequestFault
        If the options contradict each other, or the survey's recipe.
    """
    options = plan.request.picture
    if options is None:
        raise ValueError("the plan is of no picture")
    first = plan.parts[0]
    record = record_of(first.pieces[0], catalog, plan.generation)
    survey = catalog.survey(record.survey)
    look, box = look_of(plan.request, survey), first.grid.box
    suffix, planes = SUFFIXES[options.media_type], label_of(record, first.pieces[0].ranges)
    name = cutout_name(record, look.bands, plan.request.stencil, box.width, box.height, suffix, planes)
    return PictureProduct(name, plan, look, options, survey, site)
