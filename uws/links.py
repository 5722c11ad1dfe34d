"""Links by which a job is seen without an account: a key in a URL, of which only the hash is kept.

Whoever has the link may look at the job, until it ends or is taken back. What the job is made of is another
matter: its results are for those to whom the data are open.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from urllib.parse import parse_qsl

from dali.errors import UsageError, quoted
from dali.parameters import Parameters
from uws.herald import Herald
from uws.job import Job
from uws.refusals import missing
from uws.store.jobs import Jobs

#: Name of the parameter.
LINK = "LINK"
#: How long links last where nothing is said, and at most.
DAYS = 30
MOST_DAYS = 366
_DAY_MS = 86_400_000
#: Longer than any key.
_LONGEST = 128


@dataclass(frozen=True, slots=True)
class Link:
    """A link that was made just now: nobody can tell its key again."""

    key: str
    until_ms: int


class Links:
    """Makes links and takes them back; a job has one at most.

    Parameters
    ----------
    jobs
        Where they are kept.
    herald
        Tells of changes.
    """

    def __init__(self, jobs: Jobs, herald: Herald) -> None:
        self._jobs = jobs
        self._herald = herald

    def make(self, job: Job, days: int) -> Link:
        """Make a link to a job; one that there was ends."""
        link = Link(secrets.token_urlsafe(32), self._jobs.now_ms() + days * _DAY_MS)
        self._change(job, _hash(link.key), link.until_ms)
        return link

    def take_back(self, job: Job) -> None:
        """Have the link of a job end, if it has one."""
        self._change(job, None, None)

    def opens(self, job: Job, key: str) -> bool:
        """Whether a key is that of the link of a job, and the link has not ended."""
        is_right = compare_digest(_hash(key[:_LONGEST]), job.link_sha256 or _hash(""))
        return is_right and bool(key) and self._jobs.now_ms() < (job.link_until_ms or 0)

    def _change(self, job: Job, hashed: str | None, until_ms: int | None) -> None:
        if not self._jobs.change_link(job.job_id, hashed, until_ms):
            raise missing(job.job_id)
        self._herald.tell(job.job_id, job.phase)


def link_in(query: bytes) -> str:
    """Find the key of a link in a query string; "" where there is none, or more than one."""
    pairs = parse_qsl(query.decode("utf-8", "replace"), errors="replace", max_num_fields=None)
    found = [value for name, value in pairs if name.upper() == LINK]
    return found[0] if len(found) == 1 else ""


def parse_days(parameters: Parameters) -> int:
    """Read DAYS: how long a link is to last.

    Raises
    ------
    UsageError
        If it is no such number.
    """
    text = parameters.one("DAYS")
    if text is None:
        return DAYS
    digits = text.strip(" ")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 6 and 0 < int(digits) <= MOST_DAYS):
        raise UsageError(
            f"DAYS is a whole number from 1 to {MOST_DAYS}; got {quoted(text)}", f"Write DAYS={DAYS}."
        )
    return int(digits)


def refused() -> UsageError:
    """Say that a key opens nothing."""
    return UsageError(
        "this link to a job is not whole, has ended, or was taken back",
        "Ask whoever sent it for a new one; or sign in, if the job is yours.",
        status=403,
    )


def _hash(key: str) -> str:
    return sha256(key.encode("utf-8", "replace")).hexdigest()
