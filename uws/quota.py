"""What a job needs of what its owner may use: who keeps count of that is handed in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from dali.caller import Caller
from dali.errors import QuotaExceeded

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Need:
    """What a job is expected to use.

    Parameters
    ----------
    rows
        Cutouts to be made, 0 where only the worker that splits the job can tell.
    seconds
        Of work.
    bytes
        Of its results, 0 where that is unknown.
    hidden
        It serves a sync request: its results are not kept, and it is not one of the jobs of anybody.
    """

    rows: int
    seconds: float = 0.0
    bytes: int = 0
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Allowance:
    """How a quota stands before a job, and after it.

    Parameters
    ----------
    whose, kind
        Its owner, and what is counted, by their names.
    taken
        Used, or reserved by other jobs.
    needed
        By the job.
    limit
        None where there is none.
    """

    whose: str
    kind: str
    taken: float
    needed: float
    limit: int | None


class Quotas(Protocol):
    """Keeps count of what is used."""

    def reserve(self, connection: Connection, job_id: str, caller: Caller, need: Need) -> None:
        """Reserve what a job needs, in the transaction that runs it.

        Raises
        ------
        QuotaExceeded
            If that is more than there is: nothing may be committed then.
        """

    def settle(self, caller: Caller) -> bool:
        """Give back what jobs of a caller have reserved and not used; whether there was any."""

    def look(self, caller: Caller, need: Need) -> tuple[Sequence[Allowance], QuotaExceeded | None]:
        """Tell how a job would change what is left, and why it would be refused."""


class NoQuotas:
    """Lets everybody use everything."""

    def reserve(self, connection: Connection, job_id: str, caller: Caller, need: Need) -> None:
        """Reserve nothing."""

    def settle(self, caller: Caller) -> bool:
        """Find nothing."""
        return False

    def look(self, caller: Caller, need: Need) -> tuple[Sequence[Allowance], QuotaExceeded | None]:
        """Tell nothing."""
        return (), None


NO_QUOTAS = NoQuotas()


def within(quotas: Quotas, caller: Caller, run: Callable[[], T]) -> T:
    """Run a job; if a quota forbids it, look once whether jobs that have ended hold what it needs.

    Raises
    ------
    QuotaExceeded
        If they do not.
    """
    try:
        return run()
    except QuotaExceeded:
        if not quotas.settle(caller):
            raise
    return run()
