"""What clients want done: jobs are made, changed, run and tried again. It sees no HTTP request."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from dali.caller import Caller
from dali.errors import ProtocolError, QuotaExceeded, ServiceUnavailable, UsageError
from dali.parameters import Parameters, plain_name
from dali.uploads import Spool
from uws.herald import Herald
from uws.hidden import HiddenJobs
from uws.job import Job, NewJob, Upload
from uws.jobtype import JobRefused, JobTypes
from uws.notices.desk import NoticeDesk
from uws.params import find_parameter, flat, gathered
from uws.phase import TERMINAL, Phase
from uws.planning import Planner
from uws.quota import Quotas, within
from uws.refusals import illegal, missing, nothing_missing, owner_of, require_pending
from uws.results import ResultStore
from uws.rights import Rights, require_member
from uws.settings import JobSettings
from uws.store.jobs import Jobs
from uws.trouble import DatabaseAway
from uws.uploads import Uploads

#: A job that others change at the same time is looked at so often again.
TRIES = 10
RETRY_AFTER_S = 10


class Submissions:
    """Takes what is to be done; parameters are those of `uws.service.JobService`, which has one.

    Parameters
    ----------
    herald
        Tells workers and clients.
    hidden
        Runs jobs that nobody sees.
    """

    def __init__(
        self,
        jobs: Jobs,
        types: JobTypes,
        results: ResultStore,
        planner: Planner,
        herald: Herald,
        hidden: HiddenJobs,
        settings: JobSettings,
        rights: Rights,
        quotas: Quotas,
        desk: NoticeDesk,
    ) -> None:
        self._jobs = jobs
        self._types = types
        self._results = results
        self._uploads = Uploads(results, settings)
        self._planner = planner
        self._herald = herald
        self._hidden = hidden
        self._settings = settings
        self._rights = rights
        self._quotas = quotas
        self._desk = desk

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
        self._require_uploads_fit(parameters, caller.name)
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
        else:
            self._herald.tell(job.job_id, Phase.PENDING)
        return job

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
                self._require_uploads_fit(merged, job.owner)
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
                self._herald.tell(job.job_id, Phase.PENDING)
                self._uploads.remove([upload for upload in before.values() if upload not in after.values()])
            return changed

        try:
            self._attempt(job, attempt)
        except ProtocolError:
            self._uploads.remove(kept.values())
            raise

    def set_parameter(self, job: Job, name: str, value: str, caller: Caller) -> None:
        """Replace the values of one parameter that the job has (section 2.1.11); raises what others do."""
        if any(parameter.by_reference for parameter in find_parameter(job, name)):
            raise UsageError(
                f"{plain_name(name)} is a file", "POST it to /parameters, as a part of multipart/form-data."
            )
        if not value:
            raise UsageError(f"{plain_name(name)} needs a value", "Send it as the body of the request.")
        self.change_parameters(job, Parameters.from_pairs([(name, value)]), caller)

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

    def takes_uploads(self, job_type: str) -> bool:
        """Whether files may be sent with jobs of a type."""
        return job_type in self._types and self._types[job_type].takes_uploads

    def spool(self) -> Spool:
        """Where the files of a request go before there is a job; raises ServiceUnavailable if nowhere."""
        return self._uploads.spool()

    def _whose(self, caller: Caller, job: Job) -> Caller:
        """Whose rights a job has, and whose quota: its owner's, whoever runs it."""
        return caller if caller.name == job.owner else self._rights.now(owner_of(job))

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

    def _require_uploads_fit(self, parameters: Parameters, owner: str) -> None:
        """See that the files of one owner do not fill the disk, whatever becomes of their jobs."""
        size = sum(file.size for file in parameters.files.values())
        most = self._settings.max_uploads_bytes
        if size and (held := self._jobs.upload_bytes(owner)) + size > most:
            whose = "your jobs" if owner else "the jobs of people who are not signed in"
            raise JobRefused(
                f"the files of this request have {size} bytes, those of {whose} {held}; the limit is {most}",
                "Delete jobs that have ended, or never were run."
                if owner
                else "Sign in, or try again later.",
            )

    def _make_sure_of_room(self) -> None:
        if not self._results.has_room():
            raise ServiceUnavailable(
                "there is no room for the results of further jobs",
                "Try again later.",
                retry_after_s=RETRY_AFTER_S,
            )
