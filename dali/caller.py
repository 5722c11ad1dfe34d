"""Who asks: a value that the protocols hand on, and never look up again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

#: What a token may be used for: reading data and jobs, making and changing jobs, administration.
Scope = Literal["read", "submit", "admin"]
SCOPES: frozenset[Scope] = frozenset(("read", "submit", "admin"))
#: How it is known who asks; by a link to something it is not.
Way = Literal["", "session", "token", "password", "bearer", "link"]
#: Priority classes, the first one first: the number of a class in this row is the rank of its jobs.
Tier = Literal["system", "internal", "priority", "user", "anonymous"]
TIERS: tuple[Tier, ...] = get_args(Tier)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks; the name is "" for somebody unknown.

    Parameters
    ----------
    name
        Of the account: ``<provider>:<subject>``. Two accounts never share one, whatever their e-mail.
    is_admin
        Whether the service may be administered.
    groups
        That the account is in.
    scopes
        What may be done this way.
    actor
        Account of the service that acts for this one, "" where nobody does.
    way
        How it is known who asks.
    tier, rank, share
        Priority class: its name, its rank (0 goes first), and how much of the workers this account gets,
        compared with others of the class.
    """

    name: str = ""
    is_admin: bool = False
    groups: frozenset[str] = frozenset()
    scopes: frozenset[Scope] = SCOPES
    actor: str = ""
    way: Way = ""
    tier: Tier = "user"
    rank: int = TIERS.index("user")
    share: float = 1.0


ANONYMOUS = Caller(tier="anonymous", rank=TIERS.index("anonymous"))

#: Key of the caller in the WSGI environment of a request, put there before anything answers it.
CALLER = "fountain.caller"


def caller_in(environ: Mapping[str, Any]) -> Caller:
    """Tell who sent a request; somebody unknown where nobody has looked."""
    caller: Caller = environ.get(CALLER, ANONYMOUS)
    return caller
