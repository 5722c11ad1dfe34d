"""What a request would come to: planned as its job would be, and priced; no job is made, no pixel read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dali.caller import Caller
from dali.errors import AuthorizationError, NotFound, ProtocolError, UsageError, told_to
from dali.parameters import Parameters
from dali.uploads import Spool
from soda.combinations import combinations
from soda.estimate.lists import first_request, found_of_list, tasks_of_list
from soda.estimate.nearest import nearest_size
from soda.estimate.verdicts import Found, Verdict, found_of, spoken, verdict_of
from soda.heavier import JOB_TYPE, Client
from soda.jobtype import SodaJobs
from soda.lists.request import ListRequest
from soda.lists.service import splitting
from soda.params import ManyCutouts
from soda.refusals import TableRefused, TooManyRows
from soda.rows import PlannedRow
from soda.service import SyncService
from soda.spelling import canonical_query
from soda.targets import SeenColumn
from surveys.identifiers import Identifiers
from surveys.plan import CutoutPlan
from surveys.request import CutoutRequest
from uws.forecast import Workload
from uws.jobtype import JobRefused
from uws.pace import expectation_of_all
from uws.planning import Outlook, Planner
from uws.quota import NO_QUOTAS, Allowance, Need, Quotas
from uws.uploads import Uploads


@dataclass(frozen=True, slots=True)
class Terms:
    """What jobs may ask for, and how long their results are kept: as it is told."""

    limits: Mapping[str, int]
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
    quota
        What is left of what the caller may use, before it and after.
    columns
        Those of the table of targets.
    """

    found: Found | None
    total: int
    outlook: Outlook | None = None
    sync: str = ""
    not_sync: str = ""
    refused: ProtocolError | None = None
    nearest: Mapping[str, str | int] = field(default_factory=dict)
    quota: Sequence[Allowance] = ()
    columns: Sequence[SeenColumn] = ()


class EstimateService:
    """Answers dry runs.

    Parameters
    ----------
    kind
        Parses and plans, as it does for jobs.
    planner
        Tells when a job would end.
    uploads
        Has the files of a request at hand.
    sync
        What may be had at once.
    identifiers
        Publisher DIDs of this service.
    terms
        What jobs may ask for.
    quotas
        Keeps count of what callers use.
    """

    def __init__(
        self,
        kind: SodaJobs,
        planner: Planner,
        uploads: Uploads,
        sync: SyncService,
        identifiers: Identifiers,
        terms: Terms,
        quotas: Quotas = NO_QUOTAS,
    ) -> None:
        self._kind = kind
        self._planner = planner
        self._uploads = uploads
        self._sync = sync
        self._identifiers = identifiers
        self.terms = terms
        self._quotas = quotas

    def spool(self) -> Spool:
        """Where the files of a request go; raises ServiceUnavailable if nowhere."""
        return self._uploads.spool()

    def estimate(self, parameters: Parameters, client: Client) -> Estimate:
        """Tell what a request would come to.

        Raises
        ------
        UsageError
            If a value is wrong: that is told as it is of any request.
        """
        try:
            named = self._uploads.named(parameters, self._kind.takes_uploads)
            with self._uploads.at_hand(named, parameters.files, {}) as sources:
                request = self._kind.parse(parameters, client.caller, sources)
                if isinstance(request, ListRequest):
                    found = self._of_list(request, client)
                else:
                    found = self._of_combinations(request, parameters, client)
                return self._with_quota(found, client)
        except JobRefused as refused:
            nearest = {"rows": refused.most} if isinstance(refused, TooManyRows) else {}
            columns = refused.columns if isinstance(refused, TableRefused) else ()
            return Estimate(None, 0, refused=refused, nearest=nearest, columns=columns)
        except (NotFound, AuthorizationError) as refused:
            return Estimate(None, 0, refused=told_to(refused, client.caller.name))

    def _with_quota(self, estimate: Estimate, client: Client) -> Estimate:
        """Add how the job would change what is left of what the caller may use."""
        if estimate.refused is not None or estimate.outlook is None:
            return estimate
        size = 0 if estimate.found is None else estimate.found.size
        need = Need(estimate.total, estimate.outlook.forecast.run.work_s, size)
        quota, refused = self._quotas.look(client.caller, need)
        return replace(estimate, quota=quota, refused=refused)

    def _of_combinations(self, many: ManyCutouts, parameters: Parameters, client: Client) -> Estimate:
        try:
            rows = self._kind.rows_of(many)
        except (NotFound, AuthorizationError) as fault:
            return Estimate(
                _all(verdict_of(fault), many.count), many.count, refused=told_to(fault, client.caller.name)
            )
        found = found_of(rows)
        try:
            plan = self._kind.plan_of(rows)
        except ProtocolError as fault:
            return Estimate(found, len(rows), refused=fault, nearest=self._nearest(many, rows))
        url, reason = (
            self._at_once(parameters, client) if len(rows) == 1 else ("", "it is of several cutouts")
        )
        outlook = self._planner.outlook(JOB_TYPE, plan, client.caller.rank)
        return Estimate(found, len(rows), outlook, url, reason)

    def _of_list(self, request: ListRequest, client: Client) -> Estimate:
        looked = self._kind.look(request)
        found, total = found_of_list(looked), len(looked.units)
        refused, columns = looked.refused, looked.table.seen
        nearest: Mapping[str, str | int] = {}
        if refused is None and not found.cutouts and looked.units.faults:
            refused = next(iter(looked.units.faults.values()))
        if refused is not None:
            if isinstance(refused, TooManyRows):
                nearest = {"rows": refused.most}
            elif (largest := first_request(looked)) is not None:
                nearest = nearest_size(largest, self._planning(request.caller)) or {}
            return Estimate(found, total, refused=refused, nearest=nearest, columns=columns)
        tasks = tasks_of_list(looked)
        split = expectation_of_all(1, splitting(total))
        work = Workload.of(tasks, split)
        outlook = self._planner.outlook_of(JOB_TYPE, looked.lane, total, work, client.caller.rank)
        return Estimate(found, total, outlook, not_sync="it is of a table of targets", columns=columns)

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
        return nearest_size(only.request, self._planning(many.caller)) or {}

    def _planning(self, caller: Caller) -> Callable[[CutoutRequest], CutoutPlan]:
        return lambda request: self._kind.plan_cutout(request, caller)


def _all(verdict: Verdict, count: int) -> Found:
    return Found([verdict] * count, [0.0] * count, [], 0, 0)
