"""What clients do with jobs: make, watch, run, abort and delete them. It sees no HTTP request."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from sqlalchemy.exc import OperationalError

from dali.caller import Caller
from dali.errors import (
    NotFound,
    ProtocolError,
    QuotaExceeded,
    ServiceUnavailable,
    UsageError,
    quoted,
)
from dali.parameters import Parameters, plain_name, upper_name
from dali.uploads import Spool
from uws.bell import Bell
from uws.herald import Herald
from uws.hidden import HiddenJobs
from uws.job import Job, JobRef, NewJob, Parameter, Result, ResultRef, Upload
from uws.jobtype import JobTypes
from uws.moment import format_moment
from uws.notices.desk import NO_NOTICES, NoticeDesk
from uws.params import Filter, flat, gathered
from uws.phase import ACTIVE, TERMINAL, Phase
from uws.planning import Planner
from uws.quota import NO_QUOTAS, Quotas, within
from uws.refusals import illegal, missing, nothing_missing, owner_of, require_pending
from uws.results import ResultStore
from uws.rights import Action, Rights, require, require_member, require_results
from uws.settings import JobSettings
from uws.store.jobs import Jobs
from uws.trouble import DatabaseAway
from uws.uploads import Uploads
from uws.waiting import Waiting

#: Longer lists end with the oldest of so many; clients ask for fewer by LAST or AFTER.
MOST_LISTED = 10_000
#: A job that others change at the same time is looked at so often again.
TRIES = 10
RETRY_AFTER_S = 10


class JobService:
    """Jobs, as clients see them.

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
        self._jobs = jobs
        self._rights = rights
        self._types = types
        self._uploads = Uploads(results, settings)
        self._herald = Herald(bell, waiting)
        self._planner = Planner(jobs, types, settings)
        self._hidden = HiddenJobs(jobs, self._planner, bell, self._herald, waiting, settings, quotas)
        self._quotas = quotas
        self._desk = desk
        self._results = results
        self._waiting = waiting
        self._settings = settings
        self._draining = False

    def drain(self) -> None:
        """Send away those who wait for jobs, within a second or two, and let nobody wait any more.

        Sync requests go on: they need what they wait for.
        """
        # No lock: this is called from a signal handler, which may have interrupted the holder.
        self._draining = True

    def create(
        self,
        job_type: str,
        parameters: Parameters,
        caller: Caller,
        *,
        run: bool = False,
        run_id: str = "",
        shared_with: tuple[str, ...] = (),
        notify: Sequence[str] = (),
    ) -> Job:
        """Make a job, and run it at once if `run` says so.

        Wrong parameters make a job all the same: it is PENDING until they are mended, and ends in ERROR if
        it is run.

        Raises
        ------
        JobRefused, QuotaExceeded
            If a limit or a quota forbids it.
        UsageError
            If UPLOAD and the files that were sent do not fit, or nobody can be told as NOTIFY says.
        AuthorizationError
            If it is to be shared with a group that the caller is not in, or nobody knows who is to be told.
        ServiceUnavailable
            If there is no room for results, or parameters cannot be judged now.
        """
        require_member(caller, shared_with)
        self._make_sure_of_room()
        told = self._desk.asked(notify, caller) if notify else self._desk.usual(caller)
        named = self._uploads.named(parameters, self.takes_uploads(job_type))
        with self._uploads.at_hand(named, parameters.files, {}) as sources:
            planned = self._planner.plan(job_type, parameters, caller, sources)
        job_id = secrets.token_hex(16)
        uploads = self._uploads.keep(job_id, parameters.files)
        new = NewJob(
            job_id,
            job_type,
            caller.name,
            run_id,
            flat(parameters, uploads),
            self._settings.execution_duration_s,
            self._settings.destruction_s,
            fault=planned.fault,
            seconds=planned.seconds,
            estimate=planned.estimate,
            uploads=uploads,
            actor=caller.actor,
            rank=caller.rank,
            share=caller.share,
            shared_with=shared_with,
            parallel=self._settings.max_parallel,
            notify=told,
        )
        try:
            job = within(
                self._quotas, caller, lambda: self._jobs.create(new, planned.start if run else None, caller)
            )
        except QuotaExceeded:
            self._uploads.remove(uploads)
            raise
        if run:
            self._herald.announce(job.job_id, planned)
        return job

    def takes_uploads(self, job_type: str) -> bool:
        """Whether files may be sent with jobs of a type."""
        return job_type in self._types and self._types[job_type].takes_uploads

    def spool(self) -> Spool:
        """Where the files of a request go before there is a job; raises ServiceUnavailable if nowhere."""
        return self._uploads.spool()

    def find(
        self, job_id: str, caller: Caller, job_type: str | None = None, action: Action = "change"
    ) -> Job:
        """Return a job that the caller may look at, or change.

        Raises
        ------
        NotFound
            If there is none, it is not of this type, or it is hidden.
        AuthorizationError
            If the caller may not (section 3). The job of somebody unknown belongs to whoever knows its URL.
        """
        # Other texts cannot be ids, and PostgreSQL fails on some.
        job = self._jobs.get(job_id) if job_id.isascii() and job_id.isalnum() else None
        if job is None or job.hidden or job_type not in (None, job.type):
            raise missing(job_id)
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

    def change_parameters(
        self, job: Job, parameters: Parameters, caller: Caller, run_id: str | None = None
    ) -> None:
        """Replace all values of each parameter named, and plan again; only while the job is PENDING.

        Raises
        ------
        UsageError
            With status 403 in another phase (DALI 1.1, section 2.1); if uploads do not fit any more.
        JobRefused
            If a limit forbids the job with these parameters; it stays as it is.
        """
        kept: dict[str, Upload] = {}

        def attempt(job: Job) -> bool:
            require_pending(job, "parameters can be changed")
            values = {**gathered(job.parameters).values, **parameters.values}
            merged = replace(parameters, values=values)
            before = {upload.name: upload for upload in self._jobs.uploads(job.job_id)}
            named = self._uploads.named(merged, self.takes_uploads(job.type), before)
            with self._uploads.at_hand(named, merged.files, before) as sources:
                planned = self._planner.plan(job.type, merged, self._whose(caller, job), sources)
            if not kept:
                kept.update({upload.name: upload for upload in self._uploads.keep(job.job_id, merged.files)})
            parts = {one.part for one in named}
            after = {name: upload for name, upload in {**before, **kept}.items() if name in parts}
            changed = self._jobs.change_parameters(
                job.job_id,
                flat(merged, after.values()),
                job.run_id if run_id is None else run_id,
                planned.fault,
                planned.seconds,
                estimate=planned.estimate,
                seq=job.event_seq,
                uploads=after.values(),
            )
            if changed:
                self._uploads.remove([upload for upload in before.values() if upload not in after.values()])
            return changed

        try:
            self._attempt(job, attempt)
        except ProtocolError:
            self._uploads.remove(kept.values())
            raise

    def set_parameter(self, job: Job, name: str, value: str, caller: Caller) -> None:
        """Replace the values of one parameter that the job has (section 2.1.11); raises what others do."""
        if self.upload(job, self.parameter(job, name)) is not None:
            raise UsageError(
                f"{plain_name(name)} is a file", "POST it to /parameters, as a part of multipart/form-data."
            )
        if not value:
            raise UsageError(f"{plain_name(name)} needs a value", "Send it as the body of the request.")
        self.change_parameters(job, Parameters.from_pairs([(name, value)]), caller)

    def parameter(self, job: Job, name: str) -> tuple[Parameter, ...]:
        """Return the values of a parameter.

        Raises
        ------
        NotFound
            If the job has no such parameter.
        """
        found = tuple(parameter for parameter in job.parameters if parameter.name == upper_name(name))
        if not found:
            raise NotFound(f"the job has no parameter {plain_name(name)}")
        return found

    def upload(self, job: Job, found: tuple[Parameter, ...]) -> Upload | None:
        """Return the file that a parameter of the job stands for; None if it has values."""
        if not any(parameter.by_reference for parameter in found):
            return None
        uploads = {upload.name: upload for upload in self._jobs.uploads(job.job_id)}
        return uploads.get(found[0].name)

    def start(self, job: Job, caller: Caller) -> None:
        """Run a PENDING job: it is QUEUED, or ends in ERROR at once if its parameters are wrong.

        Raises
        ------
        UsageError
            With status 403 if it is not PENDING.
        JobRefused, QuotaExceeded, ServiceUnavailable
            As from `create`; it stays PENDING.
        """
        payer = self._whose(caller, job)

        def attempt(job: Job) -> bool:
            require_pending(job, "PHASE=RUN is taken")
            self._make_sure_of_room()
            stored = {upload.name: upload for upload in self._jobs.uploads(job.job_id)}
            parameters = gathered(job.parameters)
            named = self._uploads.named(parameters, self.takes_uploads(job.type), stored)
            with self._uploads.at_hand(named, {}, stored) as sources:
                planned = self._planner.plan(job.type, parameters, payer, sources)
            if not self._jobs.start(job.job_id, planned.start, seq=job.event_seq, caller=payer):
                return False
            self._herald.announce(job.job_id, planned)
            return True

        within(self._quotas, payer, lambda: self._attempt(job, attempt))

    def retry(self, job: Job, caller: Caller) -> Job:
        """Make a job that takes over what is finished of one that has ended, and does what is missing.

        Raises
        ------
        UsageError
            With status 403 if it has not ended, or nothing is missing of it.
        QuotaExceeded
            If a quota forbids it.
        ServiceUnavailable
            If there is no room for results.
        """
        if job.phase not in TERMINAL:
            raise illegal(job, "ACTION=RETRY is taken", TERMINAL - {Phase.ARCHIVED})
        self._make_sure_of_room()
        child_id, settings = secrets.token_hex(16), self._settings
        duration_s, destruction_s = settings.execution_duration_s, settings.destruction_s
        payer = self._whose(caller, job)
        born = within(
            self._quotas,
            payer,
            lambda: self._jobs.retry(job.job_id, child_id, duration_s, destruction_s, payer),
        )
        if born is not None:
            with suppress(*DatabaseAway):  # it is there, whatever is expected of it
                self._planner.foresee(child_id)
        child = self._jobs.get(child_id) if born is not None else None
        if born is None or child is None:
            raise nothing_missing(self._again(job))
        self._herald.announce_born(child_id, born)
        return child

    def abort(self, job: Job) -> None:
        """Abort an active job; its results so far stay.

        Raises
        ------
        UsageError
            With status 403 if it has ended already.
        """
        if not self._jobs.end(job.job_id, Phase.ABORTED):
            raise illegal(self._again(job), "PHASE=ABORT is taken", ACTIVE)
        self._herald.tell(job.job_id, Phase.ABORTED)

    def destroy(self, job: Job) -> None:
        """Have a job forgotten at once, and aborted if it is active; its files go later."""
        if not self._jobs.destroy(job.job_id):
            raise missing(job.job_id)
        if job.phase in ACTIVE:
            self._herald.tell(job.job_id, Phase.ABORTED)

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

    def owner(self, job: Job) -> Caller:
        """Tell who the owner of a job is, and may do what, now."""
        return self._rights.now(owner_of(job))

    def require_results(self, job: Job, caller: Caller) -> None:
        """See that a caller may have the results of a job, now.

        Raises
        ------
        AuthorizationError
            If data it is made of are not open to them.
        """
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

    def run_hidden(
        self,
        job_type: str,
        parameters: Parameters,
        caller: Caller,
        seconds: float,
        is_gone: Callable[[], bool] | None = None,
    ) -> Job:
        """Have a job done that nobody sees, and return it when it has ended.

        Parameters
        ----------
        job_type, parameters, caller
            What is to be done, and for whom.
        seconds
            It is waited for so long at most, then aborted.
        is_gone
            Tells whether nobody waits any more: it is aborted then too.

        Raises
        ------
        ProtocolError
            If the parameters are wrong.
        ServiceUnavailable
            If no worker can be woken, the time is over, or too many wait already.
        """
        self._make_sure_of_room()
        return self._hidden.run(job_type, parameters, caller, seconds, is_gone)

    def _whose(self, caller: Caller, job: Job) -> Caller:
        """Whose rights a job has, and whose quota: its owner's, whoever runs it."""
        return caller if caller.name == job.owner else self.owner(job)

    def _attempt(self, job: Job, attempt: Callable[[Job], bool]) -> None:
        """Change a job as it is known; if it is no longer so, as it is now."""
        for _ in range(TRIES):
            if attempt(job):
                return
            job = self._again(job)
        raise ServiceUnavailable("the job is being changed by others", "Try again.", retry_after_s=1)

    def _again(self, job: Job) -> Job:
        found = self._jobs.get(job.job_id)
        if found is None:
            raise missing(job.job_id)
        return found

    def _make_sure_of_room(self) -> None:
        if not self._results.has_room():
            raise ServiceUnavailable(
                "there is no room for the results of further jobs",
                "Try again later.",
                retry_after_s=RETRY_AFTER_S,
            )
