"""Accounts as callers: what the protocols are told of who asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from accounts.people import Account, People
from dali.caller import SCOPES, Caller, Scope, Way


def as_it_is(caller: Caller) -> Caller:
    """Give every caller the usual priority."""
    return caller


class Callers:
    """Makes callers.

    Parameters
    ----------
    people
        Accounts.
    admin_groups
        Whose members administer the service, beside accounts that have the role.
    tiers
        Gives a caller its priority class.
    """

    def __init__(
        self,
        people: People,
        admin_groups: Iterable[str] = (),
        tiers: Callable[[Caller], Caller] = as_it_is,
    ) -> None:
        self._people = people
        self._admin_groups = frozenset(admin_groups)
        self._tiers = tiers

    def of(
        self, account: Account, way: Way = "", scopes: frozenset[Scope] = SCOPES, actor: str = ""
    ) -> Caller:
        """Make the caller of an account; nobody administers through a service, or without the scope."""
        may_administer = account.role == "admin" or not self._admin_groups.isdisjoint(account.groups)
        is_admin = may_administer and "admin" in scopes and not actor
        return self._tiers(Caller(account.name, is_admin, account.groups, scopes, actor, way))

    def named(self, name: str, actor: str = "") -> Caller | None:
        """Tell what an account is and may now; None if it is not there or disabled.

        This is for what goes on without its owner: a job is done with the rights its owner has then.
        """
        account = self._people.get(name)
        return None if account is None or account.disabled else self.of(account, actor=actor)
