"""Who may do what with jobs: asked of whoever knows that, each time."""

from __future__ import annotations

from typing import Literal, Protocol

from dali.caller import Caller
from dali.errors import AuthorizationError, quoted
from uws.job import Job

#: To look at a job; to run, change, abort or delete it.
Action = Literal["see", "change"]


class Rights(Protocol):
    """Knows what people may do, at the moment it is asked."""

    def can(self, caller: Caller, action: Action, job: Job) -> bool:
        """Whether somebody may do something with a job."""

    def may_have(self, caller: Caller, job: Job) -> bool:
        """Whether somebody may have what a job is made of, and so its results."""

    def now(self, owner: Caller) -> Caller:
        """Tell what the owner of a job, of whom the job knows this much, is and may now."""


def require(rights: Rights, caller: Caller, action: Action, job: Job) -> None:
    """See that somebody may do something with a job (section 3).

    Raises
    ------
    AuthorizationError
        If not.
    """
    if rights.can(caller, action, job):
        return
    if action == "change" and rights.can(caller, "see", job):
        raise AuthorizationError(
            "this job belongs to somebody else: it is yours to look at, its owner may change it",
            "Administrators do so by administration, which keeps why."
            if caller.is_admin
            else "Send its parameters as a job of your own.",
        )
    raise AuthorizationError("this job belongs to somebody else")


def require_results(rights: Rights, caller: Caller, job: Job) -> None:
    """See that somebody may have the results of a job that they may look at.

    Raises
    ------
    AuthorizationError
        If some of the data it is made of are not open to them, or no longer.
    """
    if not rights.may_have(caller, job):
        raise AuthorizationError(
            "the results of this job are made of data that are not open to you now",
            "Ask the people who run this service.",
        )


def require_member(caller: Caller, groups: tuple[str, ...]) -> None:
    """See that somebody is in all groups that a job is to be shared with: others are none of their business.

    Raises
    ------
    AuthorizationError
        If not, whether or not there is such a group.
    """
    foreign = [group for group in groups if group not in caller.groups]
    if foreign and not caller.is_admin:
        mine = ", ".join(sorted(caller.groups))
        raise AuthorizationError(
            f"SHARE names groups that you are in; you are not in {quoted(foreign[0])}",
            f"Your groups: {mine}." if mine else "You are in no group.",
        )
