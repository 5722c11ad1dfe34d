"""Who may do what: one function, asked whenever something is used, and never before.

What is not allowed here is forbidden. Administrators may read whatever there is, and see every job. What they
change of others they change by administration, which asks why and writes it down.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from dali.caller import Caller

#: To have data; to look at something that is somebody's; to make it, or change it; to look after the service.
Action = Literal["read", "see", "change", "administer"]


@dataclass(frozen=True, slots=True)
class Data:
    """Data that are open to some.

    Parameters
    ----------
    public
        To everybody.
    groups, users
        To members of these groups, and to accounts of these names.
    until
        From then on to everybody; None for never.
    """

    public: bool = False
    groups: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Belonging:
    """Something that is somebody's, such as a job.

    Parameters
    ----------
    owner
        Name of the account; "" for somebody unknown, whose things belong to whoever knows their address.
    groups
        Whose members may look at it too.
    """

    owner: str
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Service:
    """The service itself."""


Thing = Data | Belonging | Service


def can(caller: Caller, action: Action, thing: Thing, now: datetime) -> bool:
    """Whether somebody may do something.

    Parameters
    ----------
    caller
        As far as is known at this moment.
    now
        The time, with its offset from UTC.
    """
    if caller.is_admin and action != "change":
        return True
    match action, thing:
        case "read", Data():
            return _is_open(thing, caller, now)
        case "see", Belonging():
            return _is_own(thing, caller) or not thing.groups.isdisjoint(caller.groups)
        case "change", Belonging():
            return _is_own(thing, caller)
    return False


def _is_open(data: Data, caller: Caller, now: datetime) -> bool:
    if data.public or (data.until is not None and data.until <= now):
        return True
    return bool(caller.name) and (caller.name in data.users or not data.groups.isdisjoint(caller.groups))


def _is_own(thing: Belonging, caller: Caller) -> bool:
    return not thing.owner or thing.owner == caller.name
