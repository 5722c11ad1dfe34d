"""What becomes of many positions, and the plan of each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from surveys.access import Reader
from surveys.errors import RequestFault
from surveys.fits.product import DEFAULT_SITE, Site
from surveys.image import ImageRecord
from surveys.index.catalog import Catalog
from surveys.plan import Cost, CutoutPlan
from surveys.planner import Limits, plan_copy, plan_cutout
from surveys.planning.images import Overlap
from surveys.request import CutoutRequest
from surveys.sky.overlap import box_shape
from surveys.sky.pixels import PixelBox
from surveys.sky.sphere import Booleans, Floats
from surveys.sky.stencil import CenteredBox, Size

Integers = NDArray[np.int64]

#: Spells a request: `canonical` of a request is not known here.
Spelling = Callable[[CutoutRequest], CutoutRequest]


class Verdict(IntEnum):
    """What footprints say of a position."""

    COVERED = 0
    PARTIAL = 1
    OUTSIDE = 2
    FAILED = 3


@dataclass(frozen=True, slots=True)
class Planner:
    """What plans are made with.

    Parameters
    ----------
    template
        What is asked of each position, but for the position.
    size
        Of each box.
    catalog, limits, reader, site
        As `plan_cutout` has them.
    spell
        Completes a request by its canonical spelling; the template's stays where it is None.
    """

    template: CutoutRequest
    size: Size
    catalog: Catalog
    limits: Limits
    reader: Reader
    site: Site = DEFAULT_SITE
    spell: Spelling | None = None

    def request(self, ra_deg: float, dec_deg: float) -> CutoutRequest:
        """Request of one position."""
        made = replace(self.template, stencil=CenteredBox(float(ra_deg), float(dec_deg), self.size))
        return made if self.spell is None else self.spell(made)


@dataclass(frozen=True, slots=True, eq=False)
class ManyPlans:
    """Plans of one request at many positions, in arrays of one element for each.

    Parameters
    ----------
    planner
        What they were made with.
    ra_deg, dec_deg
        The positions (ICRS).
    generation
        Of the survey's index.
    bands
        Labels of the bands that are asked for.
    verdict
        A `Verdict`. Of rows whose `artifact` is -1 it is what a lattice of points tells.
    fraction
        Share of the box that footprints cover, the least of all bands with images; exact for one image.
    artifact
        Image the row is copied of; -1 where there is none, or where only `plan_cutout` decides.
    nearest
        Image whose centre is the nearest of those the row touches; -1 where it touches none.
    x0, x1, y0, y1
        Pixels of the product in `artifact`; they may stick out of it. 0 where that is -1.
    images
        Number of images the row touches, of all bands.
    found
        Which of the bands have data, shape (rows, bands).
    pixels_in, pixels_out, bytes_out
        As a `Cost` has them; estimates where `artifact` is -1. The header is that of a row nearby: where
        canonical spellings differ in length by a card, `bytes_out` may be off by a block.
    faults
        Why rows are refused, by their number.
    datasets
        Images that are touched and open to whoever asks; where a survey is open to everybody, some of them.
    """

    planner: Planner
    ra_deg: Floats
    dec_deg: Floats
    generation: int
    bands: tuple[str, ...]
    verdict: NDArray[np.uint8]
    fraction: Floats
    artifact: Integers
    nearest: Integers
    x0: NDArray[np.int32]
    x1: NDArray[np.int32]
    y0: NDArray[np.int32]
    y1: NDArray[np.int32]
    images: NDArray[np.int32]
    found: Booleans
    pixels_in: Integers
    pixels_out: Integers
    bytes_out: Integers
    faults: Mapping[int, RequestFault]
    datasets: Collection[str] = ()

    def __len__(self) -> int:
        return len(self.ra_deg)

    def request(self, row: int) -> CutoutRequest:
        """Request of a row."""
        return self.planner.request(self.ra_deg[row], self.dec_deg[row])

    def box(self, row: int) -> PixelBox:
        """Pixels of a row in its image."""
        return PixelBox(int(self.x0[row]), int(self.x1[row]), int(self.y0[row]), int(self.y1[row]))

    def record(self, row: int) -> ImageRecord:
        """Image that a row is copied of.

        Raises
        ------
        ValueError
            If there is none.
        StaleImage
            If it is no longer in the index.
        """
        if self.artifact[row] < 0:
            raise ValueError(f"row {row} is not of one image")
        template, catalog = self.planner.template, self.planner.catalog
        if template.dataset.count("/") >= 2:
            return catalog.record(template.dataset, self.generation)
        return catalog.artifact(int(self.artifact[row]))

    def missing(self, row: int) -> tuple[str, ...]:
        """Bands without any data at a row."""
        return tuple(label for label, has in zip(self.bands, self.found[row], strict=True) if not has)

    def plan(self, row: int) -> CutoutPlan:
        """Return the plan that `plan_cutout` gives for a row.

        Raises
        ------
        RequestFault
            What it raises.
        """
        if (fault := self.faults.get(row)) is not None:
            raise fault
        planner, request = self.planner, self.request(row)
        if self.artifact[row] >= 0:
            record, box = self.record(row), self.box(row)
            return plan_of(request, record, box, self.generation, planner.catalog, planner.site)
        if not self.images[row]:
            return CutoutPlan(request, self.generation, (), Cost(0, 0, 0))
        return plan_cutout(request, planner.catalog, planner.limits, planner.reader, planner.site)


def plan_of(
    request: CutoutRequest,
    record: ImageRecord,
    box: PixelBox,
    generation: int,
    catalog: Catalog,
    site: Site = DEFAULT_SITE,
) -> CutoutPlan:
    """Make the plan of a row again, of which is known what is cut: without any search.

    Parameters
    ----------
    request
        Of the row, with its `CenteredBox`.
    record
        Of the image it is copied of.
    box
        Its pixels there, as `ManyPlans` has them.
    generation
        Of the index the image was found in.
    catalog, site
        As `plan_cutout` has them.

    Notes
    -----
    Limits were looked at when the box was found.
    """
    stencil = request.stencil
    if not isinstance(stencil, CenteredBox):
        raise ValueError("a row has a box of a fixed size about its position")
    inside = box.clip(record.nx, record.ny)
    if inside is None:
        raise ValueError("the box has no pixel of the image")
    whole = inside == box and (box.width, box.height) == box_shape(stencil.size, record.pixel_scale_deg)
    return plan_copy(request, generation, Overlap(record, box, inside, whole), catalog, site)
