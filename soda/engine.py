"""What cutouts are planned and made with, and for whom."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from dali.caller import Caller
from surveys.access import EVERYBODY, Reader
from surveys.errors import StaleImage
from surveys.execute import WORKSHOP, CutoutResult, Workshop, execute
from surveys.fits.product import Site
from surveys.fits.source import Source
from surveys.identifiers import Identifiers
from surveys.index.catalog import Catalog
from surveys.plan import CutoutPlan
from surveys.planner import Limits, check_access, check_pieces, plan_cutout
from surveys.request import CutoutRequest


class Rights(Protocol):
    """Knows what people may read, at the moment they are asked about."""

    def reader(self, caller: Caller) -> Reader:
        """Tell what somebody who asks may read."""

    def owner(self, name: str, actor: str = "") -> Reader:
        """Tell what the owner of a job may read now, "" somebody unknown; `actor` made it for them."""


class _PublicAlone:
    def reader(self, caller: Caller) -> Reader:
        return EVERYBODY

    def owner(self, name: str, actor: str = "") -> Reader:
        return EVERYBODY


#: Where nobody is known.
PUBLIC_ALONE: Rights = _PublicAlone()


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
    workshop
        What the making of a cutout may use.
    rights
        Knows what people may read.
    reader
        Who asks: everybody, until `asked_by` or `owned_by` tells.
    """

    catalog: Catalog
    source: Source
    identifiers: Identifiers
    limits: Limits
    site: Site
    workshop: Workshop = WORKSHOP
    rights: Rights = PUBLIC_ALONE
    reader: Reader = EVERYBODY

    def asked_by(self, caller: Caller) -> Engine:
        """Give one that plans for somebody who asks."""
        return self._read_by(self.rights.reader(caller))

    def owned_by(self, name: str, actor: str = "") -> Engine:
        """Give one that plans for the owner of a job, which a service may have made."""
        return self._read_by(self.rights.owner(name, actor))

    def within(self, limits: Limits) -> Engine:
        """Give one with other limits."""
        return replace(self, limits=limits)

    def plan(self, request: CutoutRequest) -> CutoutPlan:
        """Plan one cutout; raises what `plan_cutout` raises."""
        return plan_cutout(request, self.catalog, self.limits, self.reader, self.site)

    def check(self, plan: CutoutPlan) -> None:
        """Refuse what was planned before, if it is not open to whoever asks now.

        Raises
        ------
        AccessDenied
            If something of it is not.
        """
        survey = self.catalog.survey(plan.request.dataset.partition("/")[0])
        if not survey.is_public:
            check_access(plan.request.dataset, survey, self.reader)
            check_pieces(plan, survey, self.reader)

    def reindex(self, fault: StaleImage) -> bool:
        """Have the file of an alert that was replaced indexed again; tell whether that was done."""
        return bool(fault.dataset) and self.catalog.alerts.reindex(fault.dataset)

    def execute(self, plan: CutoutPlan) -> CutoutResult:
        """Make one cutout; raises what `surveys.execute` raises."""
        return execute(plan, self.catalog, self.source, self.site, self.workshop)

    def sources(self, datasets: Iterable[str]) -> tuple[str, ...]:
        """Write down of what something is made, as a job keeps it: of images, or of surveys anywhere."""
        by_survey: dict[str, set[str]] = {}
        for dataset in datasets:
            by_survey.setdefault(dataset.partition("/")[0], set()).add(dataset)
        sources: list[str] = []
        for name, found in by_survey.items():
            access = self.catalog.survey(name).access
            known = access.sources_for(name, self.reader) if name in found else access.sources(name, found)
            sources += known
        return tuple(sources)

    def _read_by(self, reader: Reader) -> Engine:
        # Most ask for what is public, and are the same.
        return self if reader is self.reader else replace(self, reader=reader)
