"""Tells callers of jobs: what each of them may know and do is told with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dali.caller import Caller
from uws.documents.asked import Asked
from uws.documents.job import job_value, parameters_value, place_value, results_value
from uws.job import Job, ResultRef
from uws.moment import format_moment
from uws.phase import Phase
from uws.queue.board import QueueBoard
from uws.service import JobService
from uws.store.listing import Whose


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The time, and places of jobs that wait: number and of how many."""

    now_ms: int
    places: Mapping[str, tuple[int, int]]


class JobTeller:
    """Tells of jobs of one type as JSON.

    Parameters
    ----------
    service
        Knows the jobs.
    job_type
        Name of the type.
    board
        Tells where jobs wait; they do not say it without.
    has_ledgers
        Rows of packaged jobs are told too.
    """

    def __init__(
        self,
        service: JobService,
        job_type: str,
        board: QueueBoard | None,
        *,
        has_ledgers: bool,
    ) -> None:
        self._service = service
        self._listing = service.listing
        self.job_type = job_type
        self._board = board
        self._has_ledgers = has_ledgers

    def page(self, asked: Asked, caller: Caller, list_url: str, link: str = "") -> dict[str, Any]:
        """List jobs that a caller may see, one of them by the key of a link perhaps."""
        whose = _whose(asked, caller)
        if whose is None:
            return {"jobs": [], "next": None, "counts": {}}
        found = self._listing.page(whose, asked.sought, asked.limit, asked.page)
        after = "" if asked.is_all else found.after
        jobs: Sequence[Job] = found.jobs
        if asked.job_ids is not None:
            jobs = [job for job in jobs if self._service.may_see(caller, job, link)]
            counts: Mapping[Phase, int] = {}
        else:
            counts = self._listing.phases(whose, self.job_type)
        return {
            "jobs": self.briefs(jobs, caller, list_url),
            "next": f"{list_url}?{asked.next_query(after)}" if after else None,
            "counts": counts,
        }

    def briefs(self, jobs: Iterable[Job], caller: Caller, list_url: str) -> list[dict[str, Any]]:
        """Tell of several jobs: of places where they wait the number alone."""
        jobs = list(jobs)
        surroundings = self.surroundings(jobs)
        return [self.brief(job, caller, list_url, surroundings) for job in jobs]

    def surroundings(self, jobs: Iterable[Job]) -> Surroundings:
        """Look once at what is told with jobs, to whomever that is."""
        return Surroundings(self._service.now_ms(), {} if self._board is None else self._board.numbers(jobs))

    def brief(self, job: Job, caller: Caller, list_url: str, surroundings: Surroundings) -> dict[str, Any]:
        """Tell of a job what lists tell of it."""
        value = self._value(job, caller, list_url, surroundings.now_ms)
        if job.job_id in surroundings.places:
            position, of = surroundings.places[job.job_id]
            value["place"] = {"position": position, "jobs": of, "start": None, "end": None}
        return value

    def whole(self, job: Job, refs: Iterable[ResultRef], caller: Caller, list_url: str) -> dict[str, Any]:
        """Tell all of a job."""
        job_url = f"{list_url}/{job.job_id}"
        value = self._value(job, caller, list_url, self._service.now_ms())
        if self._board is not None and (place := self._board.place(job)) is not None:
            value["place"] = place_value(job, place)
        value["parameters"] = parameters_value(job.parameters, job_url)
        value["results"] = results_value(refs, job_url)
        return value

    def _value(self, job: Job, caller: Caller, list_url: str, now_ms: int) -> dict[str, Any]:
        has_ledger = job.packaged and self._has_ledgers
        value = job_value(job, f"{list_url}/{job.job_id}", now_ms, has_ledger=has_ledger)
        may = self._service
        value["mine"] = job.owner == caller.name
        value["may"] = {"change": may.may(caller, "change", job), "results": may.may_have(caller, job)}
        if job.link_until_ms is not None and value["may"]["change"]:
            value["link"] = {"until": format_moment(job.link_until_ms)}
        return value


def _whose(asked: Asked, caller: Caller) -> Whose | None:
    """Tell whose jobs are listed; None where that can be none."""
    if asked.job_ids is not None:
        return Whose(caller.name, job_ids=asked.job_ids)
    if not caller.name or (asked.shared and not caller.groups):
        return None
    return Whose(caller.name, groups=caller.groups if asked.shared else None)
