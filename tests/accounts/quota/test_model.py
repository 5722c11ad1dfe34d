"""Whatever happens to jobs in whatever order, the ledger says what a reference of a few lines says."""

from __future__ import annotations

from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from accounts.quota.kinds import Kind
from config.quotas import QuotaParts
from dali.caller import Caller
from dali.errors import QuotaExceeded
from tests.accounts.quota.conftest import MakeQuotas
from tests.accounts.quota.test_ledger import SIZE, done
from tests.support.stored import finish, new_job, plan
from uws.job import LANES
from uws.phase import Phase
from uws.quota import within
from uws.store.claims import Claims
from uws.store.jobs import Jobs

CUTOUTS, GROUP_CUTOUTS, JOBS, PER_TASK = 25, 40, 3, 5

#: An act, whose turn it is, and how many rows, or which job, that is about.
acts = st.lists(
    st.tuples(
        st.sampled_from(
            ["run"] * 4 + ["work"] * 4 + ["abort", "destroy", "retry", "sync", "settle", "release"]
        ),
        st.integers(0, 1),
        st.integers(1, 12),
    ),
    min_size=5,
    max_size=40,
)


@dataclass
class Known:
    """A job as the reference has it; `rows` is what it makes itself, `taken` what another one has made."""

    owner: Caller
    rows: int
    taken: int = 0
    made: int = 0
    is_active: bool = True
    is_gone: bool = False


@dataclass
class Reference:
    """The rules, told once more."""

    jobs: dict[str, Known] = field(default_factory=dict)
    made_at_once: dict[str, int] = field(default_factory=dict)

    def of(self, callers: list[Caller]) -> list[Known]:
        return [job for job in self.jobs.values() if job.owner in callers]

    def cutouts(self, callers: list[Caller]) -> tuple[int, int]:
        jobs = self.of(callers)
        used = sum(job.made for job in jobs if not job.is_active)
        used += sum(self.made_at_once.get(caller.name, 0) for caller in callers)
        return used, sum(job.rows for job in jobs if job.is_active)

    def active(self, caller: Caller) -> int:
        return sum(job.is_active for job in self.of([caller]))

    def bytes(self, caller: Caller) -> int:
        ended = [job for job in self.of([caller]) if not job.is_active and not job.is_gone]
        return SIZE * sum(job.made + job.taken for job in ended)

    def may(self, caller: Caller, everybody: list[Caller], rows: int) -> bool:
        return (
            sum(self.cutouts([caller])) + rows <= CUTOUTS
            and sum(self.cutouts(everybody)) + rows <= GROUP_CUTOUTS
            and self.active(caller) < JOBS
        )


class Story:
    """Jobs in the database beside those of the reference."""

    def __init__(self, engine: Engine, quotas: QuotaParts, group: str) -> None:
        self.subject = f"group:{group}"
        self.callers = [Caller(f"local:{token_hex(4)}", groups=frozenset({group})) for _ in range(2)]
        self.jobs, self.claims = Jobs(engine, quotas), Claims(engine, "me", 30.0)
        self.quotas, self.reference = quotas, Reference()

    def act(self, act: str, caller: Caller, number: int) -> None:
        getattr(self, act)(caller, number)

    def run(self, caller: Caller, rows: int) -> None:
        expected = self.reference.may(caller, self.callers, rows)
        planned = plan(rows, per_task=PER_TASK)
        try:
            job = within(self.quotas, caller, lambda: self.jobs.create(new_job(caller.name), planned, caller))
        except QuotaExceeded:
            assert not expected
        else:
            assert expected
            self.reference.jobs[job.job_id] = Known(caller, rows)

    def retry(self, caller: Caller, number: int) -> None:
        ended = [
            job_id
            for job_id, job in self.reference.jobs.items()
            if job.owner == caller and not job.is_active and not job.is_gone and job.made < job.rows
        ]
        if not ended:
            return
        parent, child = ended[number % len(ended)], token_hex(16)
        known = self.reference.jobs[parent]
        missing = known.rows - known.made
        expected = self.reference.may(caller, self.callers, missing)
        try:
            within(self.quotas, caller, lambda: self.jobs.retry(parent, child, 600, 600, caller))
        except QuotaExceeded:
            assert not expected
        else:
            assert expected
            self.reference.jobs[child] = Known(caller, missing, known.taken + known.made)

    def work(self, caller: Caller, number: int) -> None:
        claim = self.claims.claim(LANES)
        if claim is not None:
            phase = self.claims.settle(claim, done(claim), finish)
            job = self.reference.jobs[claim.job_id]
            job.made += len(claim.rows)
            job.is_active = phase is Phase.EXECUTING

    def abort(self, caller: Caller, number: int) -> None:
        active = [job_id for job_id, job in self.reference.jobs.items() if job.is_active]
        if active:
            job_id = active[number % len(active)]
            assert self.jobs.end(job_id, Phase.ABORTED)
            self.reference.jobs[job_id].is_active = False

    def destroy(self, caller: Caller, number: int) -> None:
        there = [job_id for job_id, job in self.reference.jobs.items() if not job.is_gone]
        if there:
            job_id = there[number % len(there)]
            assert self.jobs.destroy(job_id)
            self.reference.jobs[job_id].is_active = False
            self.reference.jobs[job_id].is_gone = True

    def sync(self, caller: Caller, number: int) -> None:
        for _ in range(number % 3):
            self.quotas.meter.count(caller, "tiny", 1, SIZE, 0.0, 0.0)
            made = self.reference.made_at_once
            made[caller.name] = made.get(caller.name, 0) + 1
        self.quotas.meter.flush()

    def settle(self, caller: Caller, number: int) -> None:
        self.quotas.settle(caller)

    def release(self, caller: Caller, number: int) -> None:
        self.quotas.ledger.release_all()

    def compare(self) -> None:
        """Everything is as the reference says, once it is settled."""
        self.quotas.ledger.settle_all()
        self.quotas.ledger.release_all()
        for caller in self.callers:
            told: dict[tuple[str, Kind], tuple[Any, Any]] = {
                (one.subject, one.kind): (one.used, one.reserved)
                for one in self.quotas.ledger.standings(caller)
            }
            own = f"user:{caller.name}"
            assert told[own, Kind.CUTOUTS] == self.reference.cutouts([caller])
            assert told[self.subject, Kind.CUTOUTS] == self.reference.cutouts(self.callers)
            assert told[own, Kind.JOBS] == (0, self.reference.active(caller))
            assert told[own, Kind.BYTES][0] == self.reference.bytes(caller)


def test_the_ledger_says_what_the_reference_says(engine: Engine, make: MakeQuotas) -> None:
    @settings(
        max_examples=12,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(acts)
    def tell(told: list[tuple[str, int, int]]) -> None:
        # Groups have limits by their names, and each story has a group of its own.
        group = token_hex(4)
        quotas = make(
            cutouts=f"user={CUTOUTS},group:{group}={GROUP_CUTOUTS}", jobs=f"user={JOBS}", bytes="user=0"
        )
        story = Story(engine, quotas, group)
        for act, who, number in told:
            story.act(act, story.callers[who], number)
            if act in ("settle", "destroy"):
                story.compare()
        for job_id, job in story.reference.jobs.items():
            if job.is_active:
                assert story.jobs.end(job_id, Phase.ABORTED)
                job.is_active = False
        story.compare()

    tell()
