"""What clients ask of the list of jobs as JSON."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import urlencode

from dali.errors import UsageError, quoted
from dali.parameters import Parameters, parse_boolean, refuse_unknown
from uws.moment import format_moment
from uws.params import BEYOND, FILTERS, parse_filter, refuse_changes
from uws.store.listing import Sought

#: Jobs of a page, where nothing is said, and at most.
LIMIT = 50
MOST = 500
#: So many jobs can be named.
MOST_NAMED = 100
_NAMES = (*FILTERS, *BEYOND)


@dataclass(frozen=True, slots=True)
class Asked:
    """Which jobs are listed.

    Parameters
    ----------
    sought
        What they have in common.
    limit
        So many on a page.
    page
        Key of the page, "" for the first.
    shared
        Those of others that are shared with groups of the caller, instead of the caller's own.
    job_ids
        Those of these names, instead of either; None where none is named.
    is_all
        There is no other page: so many were asked for at most.
    """

    sought: Sought
    limit: int = LIMIT
    page: str = ""
    shared: bool = False
    job_ids: tuple[str, ...] | None = None
    is_all: bool = False

    def next_query(self, after: str) -> str:
        """Write the query of the page after a key."""
        told = [("PHASE", phase.value) for phase in sorted(self.sought.phases)]
        if self.sought.after_ms is not None:
            told.append(("AFTER", format_moment(self.sought.after_ms)))
        if self.sought.words:
            told.append(("TEXT", self.sought.words))
        if self.shared:
            told.append(("SHARED", "true"))
        told += [("JOB", job_id) for job_id in self.job_ids or ()]
        return urlencode([*told, ("LIMIT", str(self.limit)), ("PAGE", after)])


def parse_listing(parameters: Parameters, job_type: str) -> Asked:
    """Read the filters of the list.

    Raises
    ------
    UsageError
        If a value is wrong, or there is a parameter of another name.
    """
    refuse_changes(parameters)
    if unknown := refuse_unknown(parameters, _NAMES, _NAMES):
        raise unknown[0]
    common = {name: values for name, values in parameters.values.items() if name in FILTERS}
    wanted = parse_filter(replace(parameters, values=common))
    limit, shared = parameters.one("LIMIT"), parameters.one("SHARED")
    words = (parameters.one("TEXT") or "").strip()
    if "\0" in words:
        raise UsageError(f"TEXT has characters that no job has; got {quoted(words)}")
    size = (LIMIT if wanted.last is None else MOST) if limit is None else parse_limit(limit, MOST)
    return Asked(
        Sought(wanted.phases, words, wanted.after_ms, job_type),
        size if wanted.last is None else min(size, wanted.last),
        parameters.one("PAGE") or "",
        shared is not None and parse_boolean(shared, "SHARED"),
        parse_job_ids(parameters) if "JOB" in parameters.values else None,
        wanted.last is not None,
    )


def parse_limit(text: str, most: int) -> int:
    """Read LIMIT: how many are told at a time."""
    digits = text.strip(" ")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10 and 0 < int(digits) <= most):
        raise UsageError(
            f"LIMIT is a whole number from 1 to {most}; got {quoted(text)}", f"Write LIMIT={LIMIT}."
        )
    return int(digits)


def parse_job_ids(parameters: Parameters) -> tuple[str, ...]:
    """Read JOB: names of jobs, one a value."""
    job_ids = tuple(dict.fromkeys(parameters.all("JOB")))
    if len(job_ids) > MOST_NAMED:
        raise UsageError(f"JOB is given {len(job_ids)} times; {MOST_NAMED} are taken", "Ask in parts.")
    for job_id in job_ids:
        if not (job_id.isascii() and job_id.isalnum() and len(job_id) <= 64):
            raise UsageError(
                f"JOB is the id of a job; got {quoted(job_id)}", "It stands at the end of the job's URL."
            )
    return job_ids
