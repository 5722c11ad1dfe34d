"""What a request would come to: planned as its job would be, and priced; no job is made, no pixel read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dali.errors import AuthorizationError, NotFound, ProtocolError, UsageError
from dali.parameters import Parameters
from soda.combinations import combinations
from soda.estimate.nearest import nearest_size
from soda.estimate.verdicts import Found, Verdict, found_of, spoken
from soda.heavier import JOB_TYPE, Client
from soda.jobtype import SodaJobs
from soda.lists.request import ListRequest
from soda.params import ManyCutouts
from soda.rows import PlannedRow
from soda.service import SyncService
from soda.spelling import canonical_query
from surveys.identifiers import Identifiers
from uws.jobtype import JobPlan, JobRefused
from uws.planning import Outlook

#: Tells when a job of a type and a plan would end.
Foresee = Callable[[str, JobPlan], Outlook | None]


@dataclass(frozen=True, slots=True)
class Terms:
    """What jobs may ask for, and how long their results are kept: as it is told."""

    limits: Mapping[str, int]
    max_rows: int
    kept_s: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a request would come to.

    Parameters
    ----------
    found
        What the rows are; None of a request that is refused before there are any.
    total
        Number of rows, as far as it is known.
    outlook
        When a job of it would end, None of one that is not taken or has nothing to do.
    sync
        The request as sync takes it; "" if it does not.
    not_sync
        Why sync does not take it.
    refused
        Why it would be no job.
    nearest
        The nearest request that would be one, as parameters; empty where none is known.
    """

    found: Found | None
    total: int
    outlook: Outlook | None = None
    sync: str = ""
    not_sync: str = ""
    refused: ProtocolError | None = None
    nearest: Mapping[str, str | int] = field(default_factory=dict)


class EstimateService:
    """Answers dry runs.

    Parameters
    ----------
    kind
        Parses and plans, as it does for jobs.
    foresee
        Tells when a job would end.
    sync
        What may be had at once.
    identifiers
        Publisher DIDs of this service.
    terms
        What jobs may ask for.
    """

    def __init__(
        self, kind: SodaJobs, foresee: Foresee, sync: SyncService, identifiers: Identifiers, terms: Terms
    ) -> None:
        self._kind = kind
        self._foresee = foresee
        self._sync = sync
        self._identifiers = identifiers
        self.terms = terms

    def estimate(self, parameters: Parameters, client: Client) -> Estimate:
        """Tell what a request would come to.

        Raises
        ------
        UsageError
            If a value is wrong: that is told as it is of any request.
        """
        try:
            request = self._kind.parse(parameters, client.caller)
        except JobRefused as refused:
            return Estimate(None, 0, refused=refused, nearest={"rows": self.terms.max_rows})
        if isinstance(request, ListRequest):
            raise UsageError("tables of targets are not estimated here yet", "Leave UPLOAD out.")
        return self._of_combinations(request, parameters, client)

    def _of_combinations(self, many: ManyCutouts, parameters: Parameters, client: Client) -> Estimate:
        try:
            rows = self._kind.rows_of(many)
        except JobRefused as refused:
            return Estimate(None, many.count, refused=refused, nearest={"rows": self.terms.max_rows})
        except (NotFound, AuthorizationError) as fault:
            verdict = Verdict.BAND_MISSING if isinstance(fault, NotFound) else Verdict.NO_RIGHTS
            return Estimate(_all(verdict, many.count), many.count, refused=fault)
        found = found_of(rows)
        try:
            plan = self._kind.plan_of(rows)
        except ProtocolError as fault:
            return Estimate(found, len(rows), refused=fault, nearest=self._nearest(many, rows))
        url, reason = (
            self._at_once(parameters, client) if len(rows) == 1 else ("", "it is of several cutouts")
        )
        return Estimate(found, len(rows), self._foresee(JOB_TYPE, plan), url, reason)

    def _at_once(self, parameters: Parameters, client: Client) -> tuple[str, str]:
        """Give the URL by which sync gives this at once, or why it does not."""
        try:
            asked = self._sync.ask(parameters, client)
        except UsageError as fault:
            return "", spoken(fault)
        if asked.is_empty:
            return "", "there is nothing to give"
        query = canonical_query(asked.request.cutout, self._identifiers)
        return f"{client.base_url}/sync?{query}", ""

    def _nearest(self, many: ManyCutouts, rows: list[PlannedRow]) -> Mapping[str, str | int]:
        """Find what of a single cutout would be taken, where it is too large."""
        if many.count > 1 or len(rows) != 1:
            return {}
        (only,) = combinations(many, self._identifiers)
        return nearest_size(only.request, self._kind.plan_cutout) or {}


def _all(verdict: Verdict, count: int) -> Found:
    return Found([verdict] * count, [0.0] * count, [], 0, 0)
