"""What clients do with jobs that are there: watch, abort, share and delete them. It sees no HTTP request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from sqlalchemy.exc import OperationalError

from dali.caller import Caller
from dali.errors import (
    AuthorizationError,
    NotFound,
    UsageError,
    quoted,
)
from uws.bell import Bell
from uws.herald import Herald
from uws.hidden import HiddenJobs
from uws.job import Job, JobError, JobRef, Parameter, Result, ResultRef, Upload
from uws.jobtype import JobTypes
from uws.links import Links, refused
from uws.moment import format_moment
from uws.notices.desk import NO_NOTICES, NoticeDesk
from uws.params import Filter
from uws.phase import ACTIVE, Phase
from uws.planning import Planner
from uws.quota import NO_QUOTAS, Quotas
from uws.refusals import illegal, missing, owner_of
from uws.results import ResultStore
from uws.rights import Action, Rights, require, require_member, require_results
from uws.settings import JobSettings
from uws.store.jobs import Jobs
from uws.store.listing import Listing
from uws.submission import Submissions
from uws.waiting import Waiting

#: Longer lists end with the oldest of so many; clients ask for fewer by LAST or AFTER.
MOST_LISTED = 10_000


class JobService:
    """Jobs, as clients see them; `submissions` make, change and run them, `listing` lists them.

    Parameters
    ----------
    jobs
        Where they are kept.
    types
        What kinds there are.
    results
        Where their results lie.
    bell
        Wakes workers.
    waiting
        Waits for jobs.
    settings
        Limits.
    rights
        Who may do what.
    desk
        Takes down who wants to be told what.
    quotas
        Keeps count of what jobs need; `jobs` asks the same.
    """

    def __init__(
        self,
        jobs: Jobs,
        types: JobTypes,
        results: ResultStore,
        bell: Bell,
        waiting: Waiting,
        settings: JobSettings,
        rights: Rights,
        quotas: Quotas = NO_QUOTAS,
        desk: NoticeDesk = NO_NOTICES,
    ) -> None:
        herald, planner = Herald(bell, waiting), Planner(jobs, types, settings)
        hidden = HiddenJobs(jobs, planner, bell, herald, waiting, settings, quotas)
        self.submissions = Submissions(
            jobs, types, results, planner, herald, hidden, settings, rights, quotas, desk
        )
        self.listing = Listing(jobs.engine)
        self.links = Links(jobs, herald)
        self._jobs = jobs
        self._rights = rights
        self._herald = herald
        self._desk = desk
        self._waiting = waiting
        self._settings = settings
        self._draining = False

    def drain(self) -> None:
        """Send away those who wait for jobs, within a second or two, and let nobody wait any more.

        Sync requests go on: they need what they wait for.
        """
        # No lock: this is called from a signal handler, which may have interrupted the holder.
        self._draining = True

    def find(
        self,
        job_id: str,
        caller: Caller,
        job_type: str | None = None,
        action: Action = "change",
        link: str = "",
    ) -> Job:
        """Return a job that the caller may look at, by the key of a link perhaps, or change.

        Raises
        ------
        NotFound
            If there is none, it is not of this type, or it is hidden.
        AuthorizationError
            If the caller may not (section 3). The job of somebody unknown belongs to whoever knows its URL.
        UsageError
            With status 403, if they may not and the key opens nothing.
        """
        # Other texts cannot be ids, and PostgreSQL fails on some.
        job = self._jobs.get(job_id) if job_id.isascii() and job_id.isalnum() else None
        if job is None or job.hidden or job_type not in (None, job.type):
            raise missing(job_id)
        if action == "see" and self.may_see(caller, job, link):
            return job
        if action == "see" and (link or caller.way == "link"):
            raise refused()
        require(self._rights, caller, action, job)
        return job

    def refs(self, caller: Caller, wanted: Filter, job_type: str | None = None) -> list[JobRef]:
        """List the caller's own jobs, newest first; somebody unknown has none."""
        if not caller.name:
            return []
        return self._jobs.refs(
            caller.name, wanted.phases, wanted.after_ms, wanted.last, MOST_LISTED, job_type
        )

    def wait(
        self,
        job: Job,
        seconds: float | None,
        phase: Phase | None = None,
        is_gone: Callable[[], bool] | None = None,
    ) -> Job:
        """Wait until a job leaves its phase, and return it as it is then (section 2.2.1.2).

        Parameters
        ----------
        job
            The job.
        seconds
            At most; None for as long as possible.
        phase
            There is nothing to wait for if it is in another one.
        is_gone
            Tells whether nobody waits any more.

        Raises
        ------
        NotFound
            If the job was deleted meanwhile.
        """
        most = self._settings.max_wait_s
        seconds = most if seconds is None else min(seconds, most)
        if job.phase not in ACTIVE or phase not in (None, job.phase) or seconds <= 0 or self._draining:
            return job

        def is_over() -> bool:
            return self._draining or (is_gone is not None and is_gone())

        self._waiting.wait(job.job_id, job.phase, seconds, is_over)
        return self._again(job)

    def upload(self, job: Job, found: tuple[Parameter, ...]) -> Upload | None:
        """Return the file that a parameter of the job stands for; None if it has values."""
        if not any(parameter.by_reference for parameter in found):
            return None
        uploads = {upload.name: upload for upload in self._jobs.uploads(job.job_id)}
        return uploads.get(found[0].name)

    def abort(self, job: Job, why: str | None = None) -> None:
        """Abort an active job; its results so far stay.

        Parameters
        ----------
        why
            What its owner is told, and mail tells, if somebody else aborts it; None if the owner does.

        Raises
        ------
        UsageError
            With status 403 if it has ended already.
        """
        reason = f": {why.rstrip('.')}" if why else ""
        told = None if why is None else JobError(f"Error: who runs this service has aborted the job{reason}.")
        if not self._jobs.end(job.job_id, Phase.ABORTED, told):
            raise illegal(self._again(job), "PHASE=ABORT is taken", ACTIVE)
        self._herald.tell(job.job_id, Phase.ABORTED)

    def destroy(self, job: Job) -> None:
        """Have a job forgotten at once, and aborted if it is active; its files go later."""
        if not self._jobs.destroy(job.job_id):
            raise missing(job.job_id)
        self._herald.tell(job.job_id, Phase.ABORTED if job.phase in ACTIVE else job.phase)

    def share(self, job: Job, groups: tuple[str, ...], caller: Caller) -> None:
        """Let the members of some groups look at a job, and those of no others.

        Raises
        ------
        AuthorizationError
            If the caller is not in one of them.
        """
        require_member(caller, groups)
        if not self._jobs.change_sharing(job.job_id, groups):
            raise missing(job.job_id)
        self._herald.tell(job.job_id, job.phase)

    def owner(self, job: Job) -> Caller:
        """Tell who the owner of a job is, and may do what, now."""
        return self._rights.now(owner_of(job))

    def may(self, caller: Caller, action: Action, job: Job) -> bool:
        """Whether a caller may do something with a job."""
        return self._rights.can(caller, action, job)

    def may_see(self, caller: Caller, job: Job, link: str = "") -> bool:
        """Whether a caller, who may have come by a link, may look at a job now."""
        is_theirs = caller.way != "link" and self._rights.can(caller, "see", job)
        return is_theirs or (bool(link) and self.links.opens(job, link))

    def may_have(self, caller: Caller, job: Job) -> bool:
        """Whether a caller may have the results of a job that they may look at."""
        return caller.way != "link" and self._rights.may_have(caller, job)

    def require_results(self, job: Job, caller: Caller) -> None:
        """See that a caller may have the results of a job, now.

        Raises
        ------
        AuthorizationError
            If data it is made of are not open to them.
        """
        if caller.way == "link":  # nobody here is open to those who are not known
            raise AuthorizationError("the results of this job are for people whom this service knows")
        require_results(self._rights, caller, job)

    def set_notices(self, job: Job, notify: Sequence[str]) -> None:
        """Say anew how the owner is told what becomes of a job, by the values of NOTIFY.

        Raises
        ------
        UsageError
            If nobody can be told so.
        AuthorizationError
            If the job is nobody's.
        """
        told = self._desk.asked(notify, owner_of(job))
        if not self._jobs.change_notices(job.job_id, told):
            raise missing(job.job_id)
        self._herald.tell(job.job_id, job.phase)

    def set_duration(self, job: Job, seconds: int) -> None:
        """Set for how long a job may run, as far as policy lets it; 0 is as long as that.

        Raises
        ------
        UsageError
            With status 403 if it has ended already.
        """
        most = self._settings.max_execution_duration_s  # 0 there is no limit too
        allowed = min(seconds, most) if seconds and most else seconds or most
        if not self._jobs.change_duration(job.job_id, allowed):
            raise illegal(self._again(job), "EXECUTIONDURATION is taken", ACTIVE)
        self._herald.tell(job.job_id, job.phase)

    def set_destruction(self, job: Job, moment_ms: int) -> None:
        """Set when a job is destroyed, as late as policy lets it.

        Raises
        ------
        UsageError
            If that is past: it would be a deletion, which is asked for otherwise.
        """
        now_ms = self._jobs.now_ms()
        if moment_ms <= now_ms:
            latest = format_moment(now_ms + self._settings.max_destruction_s * 1000)
            raise UsageError(
                f"DESTRUCTION is a time to come, up to {latest}; got {format_moment(moment_ms)}",
                "DELETE the job to have it destroyed now.",
            )
        if not self._jobs.change_destruction(job.job_id, moment_ms, self._settings.max_destruction_s):
            self._again(job)
        self._herald.tell(job.job_id, job.phase)

    def failed_rows(self, job: Job) -> int:
        """Count the rows that may be tried again; those that were refused before they were begun may not."""
        return self._jobs.failed_rows(job.job_id) if job.counts.failed or job.counts.poison else 0

    def result_refs(self, job: Job) -> list[ResultRef]:
        """List the results of a job so far, in their order; those of a packaged job are not its rows."""
        return self._jobs.result_refs(job.job_id) if job.counts.ended and not job.packaged else []

    def results(self, job: Job) -> list[Result]:
        """Return the results of a job so far, in their order, with where they lie."""
        return self._jobs.results(job.job_id)

    def result(self, job: Job, result_id: str) -> Result:
        """Return a result.

        Raises
        ------
        NotFound
            If the job has none of this name.
        """
        found = self._jobs.result(job.job_id, result_id) if result_id.isprintable() else None
        if found is None:
            raise NotFound(f"the job has no result {quoted(result_id)}", "Its /results lists them.")
        return found

    def downloaded(self, job: Job, result: Result) -> None:
        """Write down that a result was sent; a database that is busy or away keeps nobody from it."""
        with suppress(OperationalError):
            self._jobs.tell(job.job_id, "download", {"result": result.result_id})

    def now_ms(self) -> int:
        """Tell the time by the clock of jobs."""
        return self._jobs.now_ms()

    def _again(self, job: Job) -> Job:
        found = self._jobs.get(job.job_id)
        if found is None:
            raise missing(job.job_id)
        return found
