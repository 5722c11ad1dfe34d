"""Quotas, put together: accounts keep count, of what jobs say that they need and have used."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from accounts.audit import Audit
from accounts.quota.buckets import Rate
from accounts.quota.document import Stand
from accounts.quota.kinds import LEDGER, Amounts, Kind, told
from accounts.quota.ledger import Ledger
from accounts.quota.limits import Limits
from accounts.quota.meter import Meter
from accounts.quota.outcomes import Execution, Outcome
from accounts.quota.records import forget_people
from accounts.quota.standing import Standing
from config.processes import each
from config.settings import Settings
from dali.caller import Caller
from dali.errors import QuotaExceeded
from uws.quota import Allowance, Need
from uws.store.use import JobUse, Uses

#: The fact of a row that names the images it was made of (`soda.lists.facts`).
SOURCES = "source_datasets"
#: What a hidden job uses: its results are not kept, and it is not one of the jobs of anybody.
_HIDDEN = (Kind.CUTOUTS, Kind.CPU)
RELEASE_EACH_S = 60.0
FORGET_EACH_S = 3600.0


@dataclass(frozen=True, slots=True)
class QuotaParts:
    """What has to do with quotas in one process."""

    limits: Limits
    ledger: Ledger
    meter: Meter
    burst_s: float

    def reserve(self, connection: Connection, job_id: str, caller: Caller, need: Need) -> None:
        """Reserve what a job needs, as `uws.quota.Quotas` has it."""
        kinds = _HIDDEN if need.hidden else LEDGER
        self.ledger.reserve(connection, job_id, caller, amounts_of(need), kinds)

    def settle(self, caller: Caller) -> bool:
        """Give back what jobs have not used, as `uws.quota.Quotas` has it."""
        return self.ledger.settle(caller)

    def look(self, caller: Caller, need: Need) -> tuple[Sequence[Allowance], QuotaExceeded | None]:
        """Tell how a job would change what is left, as `uws.quota.Quotas` has it."""
        needed = {kind: told(kind, amount) for kind, amount in amounts_of(need).items()}
        standings = self.standings(caller)
        refused = self.ledger.refusal(caller, amounts_of(need), standings)
        allowances = [
            Allowance(one.subject, one.kind, one.used + one.reserved, needed[one.kind], one.limit or None)
            for one in standings
        ]
        return allowances, refused

    def stand(self, caller: Caller) -> Stand:
        """Tell everything about the quotas of a caller."""
        per_minute = self.limits.one(caller, Kind.RATE)
        return Stand(
            caller,
            tuple(self.standings(caller)),
            self.limits.one(caller, Kind.ROWS),
            Rate(per_minute, self.burst_s) if per_minute else None,
        )

    def standings(self, caller: Caller) -> Sequence[Standing]:
        """Tell how the quotas of a caller stand, what has ended taken into account."""
        self.meter.flush()
        self.ledger.settle(caller)
        return self.ledger.standings(caller)


def make_quotas(settings: Settings, engine: Engine) -> QuotaParts:
    """Make the parts; nothing is connected to."""
    limits = Limits(engine, settings.quotas, Audit(engine))
    ledger = Ledger(engine, limits, JobOutcomes(Uses(engine, SOURCES)))
    return QuotaParts(limits, ledger, Meter(engine, ledger, limits), settings.quotas.burst_s)


class JobOutcomes:
    """Tells accounts what became of jobs, as `accounts.quota.outcomes.Outcomes` has it.

    Parameters
    ----------
    uses
        What jobs have used.
    """

    def __init__(self, uses: Uses) -> None:
        self._uses = uses

    def ended(self, job_ids: Collection[str]) -> Mapping[str, Outcome]:
        """Tell what those have used that have ended; jobs nobody knows have used nothing."""
        found = {job_id: _outcome(job_id, use) for job_id, use in self._uses.ended(job_ids).items()}
        unknown = set(job_ids) - found.keys()
        for job_id in unknown - self._uses.known(unknown):
            found[job_id] = Outcome(Amounts(), is_kept=False)
        return found

    def needs(self, job_ids: Collection[str]) -> Mapping[str, Amounts]:
        """Tell what those need that have not ended."""
        return {job_id: amounts_of(need) for job_id, need in self._uses.needs(job_ids).items()}

    def gone(self, job_ids: Collection[str]) -> Collection[str]:
        """Name those whose results are not kept any more."""
        return set(job_ids) - self._uses.live(job_ids)


def bookkeeping(
    ledger: Ledger, engine: Engine, personal_days: int
) -> Sequence[tuple[str, Callable[[], object]]]:
    """Give the steps of the reconciler that have to do with quotas, with their names.

    `personal_days`: after so many days it is forgotten who had what made.
    """

    def forget() -> None:
        ledger.forget_days()
        forget_people(engine, personal_days)

    return (
        ("settling jobs", ledger.settle_all),
        ("giving back what results held", each(RELEASE_EACH_S, ledger.release_all)),
        ("forgetting who had what made", each(FORGET_EACH_S, forget)),
    )


def amounts_of(need: Need) -> Amounts:
    """Give what a job needs as accounts count it."""
    if need.hidden:
        return Amounts(need.rows, need.seconds)
    return Amounts(need.rows, need.seconds, need.bytes, 1)


def _outcome(job_id: str, use: JobUse) -> Outcome:
    seconds = sum(task.seconds for task in use.tasks)
    rows = sum(task.rows for task in use.tasks)
    return Outcome(
        Amounts(rows, seconds, 0 if use.hidden else use.bytes),
        is_kept=not use.is_gone,
        executions=[
            Execution(
                use.owner,
                "sync" if use.hidden else "async",
                # Kinds of work end with the survey they are of (`soda.price.kind_of`).
                task.kind.rpartition("/")[2],
                task.rows,
                task.failed,
                task.sources,
                task.bytes,
                task.seconds,
                # All its tasks have waited together.
                use.wait_s if number == 0 else 0.0,
                use.actor,
                "" if use.hidden else job_id,
                task.ended_ms,
            )
            for number, task in enumerate(use.tasks)
        ],
    )
