"""What the cutouts of lists are planned and made with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from surveys.execute import CutoutResult, Workshop, execute
from surveys.fits.product import Site
from surveys.fits.source import Source
from surveys.identifiers import Identifiers
from surveys.index.catalog import Catalog
from surveys.plan import CutoutPlan
from surveys.planner import Limits, plan_cutout
from surveys.request import CutoutRequest
from surveys.survey import Survey


@dataclass(frozen=True, slots=True)
class Engine:
    """What cutouts are planned and made with.

    Parameters
    ----------
    catalog, source
        The image index, and the files.
    identifiers
        Publisher DIDs of this service.
    limits
        The largest cutout.
    site
        Who makes the products.
    can_read
        Whether the caller may read a survey.
    workshop
        What the making of a cutout may use.
    """

    catalog: Catalog
    source: Source
    identifiers: Identifiers
    limits: Limits
    site: Site
    can_read: Callable[[Survey], bool]
    workshop: Workshop

    def plan(self, request: CutoutRequest) -> CutoutPlan:
        """Plan one cutout; raises what `plan_cutout` raises."""
        return plan_cutout(request, self.catalog, self.limits, self.can_read, self.site)

    def execute(self, plan: CutoutPlan) -> CutoutResult:
        """Make one cutout; raises what `surveys.execute` raises."""
        return execute(plan, self.catalog, self.source, self.site, self.workshop)
