"""All jobs: found, looked into, aborted, retried, given another priority, kept longer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from accounts.audit import Audit
from dali.caller import TIERS, Tier
from dali.errors import UsageError
from portal.admin.area import Act, Area, Verb
from portal.admin.asked import Asked
from portal.admin.steering import Steering
from uws.job import Job
from uws.phase import Phase
from uws.refusals import missing
from uws.service import JobService
from uws.store.everybody import EventLine, Everybody, JobLine, TaskLine, Wanted
from uws.store.jobs import Jobs
from uws.store.ledger import Ledger

PER_PAGE = 50
FILTERS = ("owner", "phase", "type", "words", "since", "until", "hidden", "most")
DAY_MS = 86_400_000
MOST_DAYS = 3650
#: Those that jobs have here.
PHASES = (Phase.PENDING, Phase.QUEUED, Phase.EXECUTING, Phase.COMPLETED, Phase.ERROR, Phase.ABORTED)


@dataclass(frozen=True, slots=True)
class JobsShown:
    """A page of jobs.

    Parameters
    ----------
    jobs
        Of this page.
    after
        Key of the next page, "" where there is none.
    wanted
        Which jobs were asked for.
    phases
        How many jobs there are, by phase, whatever was asked for.
    types
        Of jobs that are there.
    tiers
        Classes that a job can be given.
    asked
        The filters, as they go into links.
    """

    jobs: tuple[JobLine, ...]
    after: str
    wanted: Wanted
    phases: Mapping[Phase, int]
    types: Sequence[str]
    tiers: Sequence[Tier] = field(default=TIERS, repr=False)
    asked: Mapping[str, Sequence[str]] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class JobShown:
    """A job, with what happened to it."""

    job: Job
    verdicts: Mapping[str, int]
    tasks: Sequence[TaskLine]
    events: Sequence[EventLine]
    tiers: Sequence[Tier] = field(default=TIERS, repr=False)


@dataclass(frozen=True, slots=True)
class JobActs:
    """What is done to jobs, and written down.

    Parameters
    ----------
    service
        Aborts and retries, as for their owners.
    jobs
        Knows when they are destroyed.
    steering
        Gives them another priority.
    audit
        Has it written down.
    """

    service: JobService
    jobs: Jobs
    steering: Steering
    audit: Audit

    def abort(self, act: Act) -> None:
        """Abort a job; results so far stay, and its owner is told why."""
        job = self.find(act.of)
        self.service.abort(job, None if job.owner == act.caller.name else act.reason)
        self.audit.write(None, act.caller, "job aborted", act.of, act.reason)

    def retry(self, act: Act) -> None:
        """Have done what is missing of a job, by a new one of the same owner."""
        child = self.service.submissions.retry(self.find(act.of), act.caller)
        self.audit.write(None, act.caller, "job retried", act.of, act.reason, {"as": child.job_id})

    def destroy(self, act: Act) -> None:
        """Destroy a job and its results."""
        self.service.destroy(self.find(act.of))
        self.audit.write(None, act.caller, "job destroyed", act.of, act.reason)

    def prioritise(self, act: Act) -> None:
        """Give a job another class, share, or number of tasks at a time."""
        asked = act.asked
        words: tuple[str, ...] = TIERS
        word = asked.choice("class", words, "")
        tier = next((tier for tier in TIERS if tier == word), None)
        share = asked.number("share", 0.001, 1000)
        parallel = asked.whole("parallel", 0, 0, 100_000) if asked.text("parallel") else None
        if tier is None and share is None and parallel is None:
            raise UsageError("nothing is to be changed", "Say class, share or parallel.")
        self.steering.prioritise(act.of, act.caller, act.reason, tier=tier, share=share, parallel=parallel)

    def keep(self, act: Act) -> None:
        """Have a job destroyed so many days from now, and neither sooner nor later."""
        days = act.asked.number("days", 0.01, MOST_DAYS)
        if days is None:
            raise UsageError("days is missing", "Say for how many days from now the job is kept.")
        job = self.find(act.of)
        moment_ms = self.jobs.now_ms() + round(days * DAY_MS)
        if not self.jobs.change_destruction(job.job_id, moment_ms, MOST_DAYS * DAY_MS // 1000):
            raise missing(job.job_id)
        told = {"days": days, "until_ms": moment_ms, "before_ms": job.destruction_ms}
        self.audit.write(None, act.caller, "job kept", act.of, act.reason, told)

    def find(self, job_id: str) -> Job:
        """Give a job, hidden or not.

        Raises
        ------
        NotFound
            If there is none.
        """
        # Other texts cannot be ids.
        job = self.jobs.get(job_id) if job_id.isascii() and job_id.isalnum() else None
        if job is None:
            raise missing(job_id)
        return job


def jobs_area(acts: JobActs, everybody: Everybody, ledger: Ledger) -> Area:
    """Make the area."""

    def look(asked: Asked) -> JobsShown:
        wanted = _wanted(asked)
        page = everybody.page(wanted, asked.whole("most", PER_PAGE, 1, 500), asked.text("after"))
        filters = {name: asked.all(name) for name in FILTERS if asked.all(name)}
        return JobsShown(page.jobs, page.after, wanted, everybody.phases(), everybody.types(), asked=filters)

    def one(job_id: str, asked: Asked) -> JobShown:
        return JobShown(
            acts.find(job_id), ledger.tally(job_id), everybody.tasks(job_id), everybody.events(job_id)
        )

    verbs = {
        "abort": Verb(acts.abort),
        "retry": Verb(acts.retry),
        "prioritise": Verb(acts.prioritise),
        "keep": Verb(acts.keep),
        "destroy": Verb(acts.destroy),
    }
    asks = (*FILTERS, "after", "class", "share", "parallel", "days")
    return Area("jobs", "Jobs", look, verbs, one, asks=asks)


def _wanted(asked: Asked) -> Wanted:
    phases = []
    for text in asked.all("phase"):
        one = Asked({"phase": [text.upper()]}).choice("phase", PHASES, Phase.UNKNOWN)
        phases.append(one)
    return Wanted(
        asked.text("owner"),
        tuple(phases),
        asked.text("type"),
        asked.text("words"),
        asked.moment("since"),
        asked.moment("until"),
        asked.is_on("hidden"),
    )
