"""What people may do, told to those who ask: rules of surveys and owners of jobs, by `accounts.rights`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import Engine

from accounts.audit import Audit
from accounts.callers import Callers
from accounts.people import People
from accounts.rights import Belonging, Data, can
from config.settings import Settings
from dali.caller import ANONYMOUS, Caller
from surveys.access import EVERYBODY, Reader, Rule
from surveys.survey import Survey
from uws.job import Job
from uws.rights import Action as JobAction

#: Finds what an account is and may at this moment, by its name and that of the service that acts for it; None
#: where there is no such account any more.
Named = Callable[[str, str], Caller | None]


def make_rights(settings: Settings, engine: Engine, surveys: Sequence[Survey]) -> AccountRights:
    """Make the rights of the accounts in a database."""
    callers = Callers(People(engine, Audit(engine)), settings.accounts.admin_groups)
    return AccountRights(callers.named, surveys)


class AccountRights:
    """Rights of those who are known: to data, as `soda` asks for them, and to jobs, as `uws` does.

    Parameters
    ----------
    named
        Finds the owners of jobs.
    surveys
        Those that are declared.
    """

    def __init__(self, named: Named, surveys: Sequence[Survey]) -> None:
        self._named = named
        self._access = {survey.name.lower(): survey.access for survey in surveys}

    def reader(self, caller: Caller) -> Reader:
        """Tell what somebody who asks may read."""
        # Of somebody unknown there is one, so that nothing is made for each request.
        return _Asking(caller) if caller.name or caller.is_admin else EVERYBODY

    def owner(self, name: str, actor: str = "") -> Reader:
        """Tell what the owner of a job may read now, "" somebody unknown; `actor` made it for them."""
        return _Owner(lambda: self._named(name, actor)) if name else EVERYBODY

    def can(self, caller: Caller, action: JobAction, job: Job) -> bool:
        """Whether somebody may do something with a job."""
        return can(caller, action, Belonging(job.owner, frozenset(job.shared_with)), datetime.now(UTC))

    def may_have(self, caller: Caller, job: Job) -> bool:
        """Whether somebody may have what a job is made of; what is no longer declared nobody knows."""
        reader = self.reader(caller)
        return caller.is_admin or all(self._is_open(source, reader) for source in job.sources)

    def now(self, owner: Caller) -> Caller:
        """Tell what the owner of a job, of whom the job knows this much, is and may now."""
        found = self._named(owner.name, owner.actor) if owner.name else None
        return owner if found is None else replace(owner, is_admin=found.is_admin, groups=found.groups)

    def _is_open(self, source: str, reader: Reader) -> bool:
        access = self._access.get(re.split("[/#]", source, maxsplit=1)[0].lower())
        return access is not None and access.may_have(source, reader)


class _Asking:
    """Somebody who asks."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def may(self, rule: Rule) -> bool:
        return _may(self._caller, rule)


class _Owner:
    """The owner of a job, who is not there: looked up when it first matters, and then known for one task."""

    def __init__(self, find: Callable[[], Caller | None]) -> None:
        self._find = find
        self._caller: Caller | None = None

    def may(self, rule: Rule) -> bool:
        if _may(ANONYMOUS, rule):
            return True
        if self._caller is None:
            self._caller = self._find() or ANONYMOUS
        return _may(self._caller, rule)


def _may(caller: Caller, rule: Rule) -> bool:
    data = Data(rule.public, rule.groups, rule.users, rule.until)
    return can(caller, "read", data, datetime.now(UTC))
