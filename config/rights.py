"""What people may do, told to those who ask: rules of surveys and owners of jobs, by `accounts.rights`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import Engine

from accounts.audit import Audit
from accounts.callers import Callers
from accounts.people import People
from accounts.rights import Data, can
from config.settings import Settings
from dali.caller import ANONYMOUS, Caller
from surveys.access import EVERYBODY, Reader, Rule

#: Finds what an account is and may at this moment; None where there is no such account any more.
Named = Callable[[str], Caller | None]


def make_rights(settings: Settings, engine: Engine) -> AccountRights:
    """Make the rights of the accounts in a database."""
    return AccountRights(Callers(People(engine, Audit(engine)), settings.accounts.admin_groups).named)


class AccountRights:
    """Rights of those who are known.

    Parameters
    ----------
    named
        Finds the owners of jobs.
    """

    def __init__(self, named: Named) -> None:
        self._named = named

    def reader(self, caller: Caller) -> Reader:
        """Tell what somebody who asks may read."""
        # Of somebody unknown there is one, so that nothing is made for each request.
        return _Asking(caller) if caller.name or caller.is_admin else EVERYBODY

    def owner(self, name: str) -> Reader:
        """Tell what the owner of a job may read now; "" is somebody unknown."""
        return _Owner(name, self._named) if name else EVERYBODY


class _Asking:
    """Somebody who asks."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def may(self, rule: Rule) -> bool:
        return _may(self._caller, rule)


class _Owner:
    """The owner of a job, who is not there: looked up when it first matters, and taken for one task."""

    def __init__(self, name: str, named: Named) -> None:
        self._name = name
        self._named = named
        self._caller: Caller | None = None

    def may(self, rule: Rule) -> bool:
        if _may(ANONYMOUS, rule):
            return True
        if self._caller is None:
            self._caller = self._named(self._name) or ANONYMOUS
        return _may(self._caller, rule)


def _may(caller: Caller, rule: Rule) -> bool:
    data = Data(rule.public, rule.groups, rule.users, rule.until)
    return can(caller, "read", data, datetime.now(UTC))
