"""What is done to jobs from their page: to each of those that are chosen, as by the job itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from dali.caller import Caller
from dali.errors import ProtocolError, UsageError, quoted
from dali.parameters import Parameters
from uws.job import Job
from uws.links import LINK, parse_days
from uws.moment import format_moment
from uws.service import JobService

#: Their words.
ACTS = ("abort", "delete", "extend", "retry", "share", "link", "unlink")
#: At once.
MOST = 200
MOST_DAYS = 365
WEEK_DAYS = 7
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Refusal:
    """A job that something could not be done to, and why."""

    job_id: str
    why: str
    fix: str
    status: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an act.

    Parameters
    ----------
    act
        Its word.
    done
        Jobs that it was done to.
    refused
        Those that it could not be done to.
    made
        Jobs that came of it.
    links
        URLs that came of it, by job.
    """

    act: str
    done: tuple[str, ...]
    refused: tuple[Refusal, ...]
    made: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """Of the answer: that of a refusal where nothing was done."""
        return self.refused[0].status if self.refused and not self.done else 200


@dataclass(frozen=True, slots=True)
class Act:
    """Something that is done to a job.

    Parameters
    ----------
    job
        The job, which the caller may change.
    asked
        What else was told: DAYS, GROUP.
    """

    job: Job
    caller: Caller
    asked: Parameters


@dataclass(slots=True)
class _Came:
    """What comes of acts, by and by."""

    made: list[str] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)


class JobActs:
    """Does things to jobs.

    Parameters
    ----------
    service
        Knows the jobs.
    job_type
        Jobs of other types are not found.
    page_url
        Gives the URL of the page of a job.
    """

    def __init__(self, service: JobService, job_type: str, page_url: Callable[[str], str]) -> None:
        self._service = service
        self._job_type = job_type
        self._page_url = page_url
        how = (self._abort, self._delete, self._extend, self._retry, self._share, self._link, self._unlink)
        self._known: Mapping[str, Callable[[Act, _Came], None]] = dict(zip(ACTS, how, strict=True))

    def perform(self, asked: Parameters, caller: Caller) -> Outcome:
        """Do ACT to each job that OF names.

        Raises
        ------
        UsageError
            If there is no such act, or no job is named, or too many are.
        """
        word = (asked.one("ACT") or "").lower()
        act = self._known.get(word)
        if act is None:
            raise UsageError(
                f"ACT is one of {', '.join(self._known)}; got {quoted(word)}", "Say what is to be done."
            )
        done, refused, came = [], [], _Came()
        for job_id in chosen(asked):
            try:
                act(Act(self._service.find(job_id, caller, self._job_type), caller, asked), came)
            except ProtocolError as error:
                refused.append(Refusal(job_id, error.sentence, error.fix, error.status))
            else:
                done.append(job_id)
        return Outcome(word, tuple(done), tuple(refused), tuple(came.made), came.links)

    def _abort(self, act: Act, came: _Came) -> None:
        # Beside its owner only administrators may.
        is_others = act.job.owner and act.caller.name != act.job.owner
        self._service.abort(act.job, "" if is_others else None)

    def _delete(self, act: Act, came: _Came) -> None:
        self._service.destroy(act.job)

    def _extend(self, act: Act, came: _Came) -> None:
        days, job = _days(act.asked), act.job
        self._service.set_destruction(job, job.destruction_ms + days * _DAY_MS)
        kept = self._service.find(job.job_id, act.caller, self._job_type)
        if kept.destruction_ms < job.destruction_ms + _DAY_MS:
            raise UsageError(
                f"it is kept until {format_moment(job.destruction_ms)} already, as long as jobs are",
                "Download its results, or run it again later.",
                status=403,
            )

    def _retry(self, act: Act, came: _Came) -> None:
        came.made.append(self._service.submissions.retry(act.job, act.caller).job_id)

    def _share(self, act: Act, came: _Came) -> None:
        """Share it with one more group, or, where none is named, with none any more."""
        group = act.asked.one("GROUP")
        others = tuple(one for one in act.job.shared_with if one in act.caller.groups)
        groups = () if group is None else tuple(dict.fromkeys((*others, group)))
        self._service.share(act.job, groups, act.caller)

    def _link(self, act: Act, came: _Came) -> None:
        link = self._service.links.make(act.job, parse_days(act.asked))
        job_id = act.job.job_id
        came.links[job_id] = f"{self._page_url(job_id)}?{urlencode({LINK: link.key})}"

    def _unlink(self, act: Act, came: _Came) -> None:
        self._service.links.take_back(act.job)


def chosen(asked: Parameters) -> Sequence[str]:
    """Read OF: the ids of jobs.

    Raises
    ------
    UsageError
        If there are none, or too many.
    """
    job_ids = tuple(dict.fromkeys(asked.all("OF")))
    if not job_ids:
        raise UsageError("no job is chosen", "Choose one or several, by their boxes.")
    if len(job_ids) > MOST:
        raise UsageError(f"OF names {len(job_ids)} jobs; {MOST} are taken at once", "Choose fewer.")
    return job_ids


def _days(asked: Parameters) -> int:
    text = asked.one("DAYS") or str(WEEK_DAYS)
    if not (text.isascii() and text.isdigit() and len(text) < 5 and 0 < int(text) <= MOST_DAYS):
        raise UsageError(
            f"DAYS is a whole number from 1 to {MOST_DAYS}; got {quoted(text)}", f"Write DAYS={WEEK_DAYS}."
        )
    return int(text)
