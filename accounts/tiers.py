"""Priority classes: who goes first, and who gets how much of the workers. The section [priority]."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from dali.caller import TIERS, Caller, Tier

#: Nobody is given more than so many times what others of the class get, nor less than its inverse.
MOST_SHARE = 1000.0


@dataclass(frozen=True, slots=True)
class PrioritySettings:
    """Who is in which class. ``config/default.toml`` says what each key means."""

    system: tuple[str, ...]
    internal: tuple[str, ...]
    priority: tuple[str, ...]
    shares: tuple[str, ...]


class Tiers:
    """Gives callers their class.

    Parameters
    ----------
    settings
        Who is in which.

    Raises
    ------
    ValueError
        If an entry is neither ``group:<name>`` nor ``user:<account>``, or a share is no number.
    """

    def __init__(self, settings: PrioritySettings) -> None:
        named: tuple[tuple[Tier, tuple[str, ...]], ...] = (
            ("system", settings.system),
            ("internal", settings.internal),
            ("priority", settings.priority),
        )
        self._tiers = tuple((tier, frozenset(map(_subject, entries))) for tier, entries in named)
        self._shares = dict(_share(entry) for entry in settings.shares)

    def place(self, caller: Caller) -> Caller:
        """Give a caller class, rank and share: of several that fit, the best class and the largest share."""
        if not caller.name:
            return replace(caller, tier="anonymous", rank=TIERS.index("anonymous"), share=1.0)
        subjects = {f"user:{caller.name}", *(f"group:{group}" for group in caller.groups)}
        tier: Tier = next((tier for tier, entries in self._tiers if entries & subjects), "user")
        share = max((self._shares[subject] for subject in subjects & self._shares.keys()), default=1.0)
        return replace(caller, tier=tier, rank=TIERS.index(tier), share=share)


def problems(settings: PrioritySettings) -> Iterable[tuple[str, str]]:
    """Name the settings that are wrong, each with the entry."""
    for name in ("system", "internal", "priority"):
        yield from ((name, entry) for entry in getattr(settings, name) if not _is(_subject, entry))
    yield from (("shares", entry) for entry in settings.shares if not _is(_share, entry))


def _is(read: Callable[[str], object], entry: str) -> bool:
    try:
        read(entry)
    except ValueError:
        return False
    return True


def _subject(entry: str) -> str:
    kind, _, name = entry.partition(":")
    if kind not in ("group", "user") or not name.strip():
        raise ValueError(f"{entry!r} is neither group:NAME nor user:ACCOUNT")
    return entry


def _share(entry: str) -> tuple[str, float]:
    subject, _, number = entry.rpartition("=")
    try:
        share = float(number)
        if not 1 / MOST_SHARE <= share <= MOST_SHARE:  # nor is what is no number
            raise ValueError
        return _subject(subject), share
    except ValueError:
        least = 1 / MOST_SHARE
        raise ValueError(
            f"{entry!r} is not group:NAME=NUMBER, nor user:ACCOUNT=NUMBER, of {least} to {MOST_SHARE:g}"
        ) from None
