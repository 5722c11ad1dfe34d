"""Quotas: the usual limits, those that were decided otherwise for a time, and who uses most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from accounts.quota.kinds import DAY_MS, Kind
from accounts.quota.limits import Limits, Override
from accounts.quota.standing import Standing
from accounts.quota.uses import TopUse, TopUses
from dali.caller import Caller
from dali.errors import NotFound, UsageError, quoted
from portal.admin.area import Act, Area, Verb
from portal.admin.asked import Asked
from portal.words import marked

MOST_DAYS = 3650
MOST_LIMIT = 2**53 - 1
TOP = 10
#: What kinds are called, in the order of the page.
WORDS = {
    Kind.CUTOUTS: marked("cutouts a day"),
    Kind.CPU: marked("seconds of work a day"),
    Kind.BYTES: marked("bytes of results kept"),
    Kind.JOBS: marked("active jobs"),
    Kind.ROWS: marked("rows of a job"),
    Kind.RATE: marked("requests a minute"),
}


class Quotas(Protocol):
    """What knows quotas."""

    @property
    def limits(self) -> Limits:
        """What everybody may use."""

    def standings(self, caller: Caller) -> Sequence[Standing]:
        """Tell how the quotas of a caller stand."""


@dataclass(frozen=True, slots=True)
class UsualLimit:
    """A limit of the settings: of a class of callers, a group, or an account; 0 is none."""

    kind: Kind
    subject: str
    limit: int


@dataclass(frozen=True, slots=True)
class QuotasShown:
    """Limits and use.

    Parameters
    ----------
    usual
        Of the settings.
    decided
        Set instead of those, and in force.
    account
        Whose standings are told, "" of nobody.
    standings
        Of this account.
    top
        Those who use most now, by kind.
    """

    usual: tuple[UsualLimit, ...]
    decided: tuple[Override, ...]
    account: str
    standings: tuple[Standing, ...]
    top: tuple[TopUse, ...]
    words: dict[Kind, str] = field(default_factory=lambda: WORDS, repr=False)


def quotas_area(
    quotas: Quotas,
    usual: Callable[[Kind], dict[str, int]],
    uses: TopUses,
    caller_of: Callable[[str], Caller | None],
) -> Area:
    """Make the area.

    Parameters
    ----------
    quotas
        Knows limits and standings.
    usual
        Gives the limits of the settings, by subject.
    uses
        Knows who uses most.
    caller_of
        Gives the caller of an account, None if there is none or it is disabled.
    """

    def look(asked: Asked) -> QuotasShown:
        account = asked.text("account")
        standings: Sequence[Standing] = ()
        if account:
            caller = caller_of(account)
            if caller is None:
                raise NotFound(
                    f"there is no account {quoted(account)}, or it is disabled",
                    "Names are <provider>:<subject>.",
                )
            standings = quotas.standings(caller)
        limits = [UsualLimit(kind, *entry) for kind in WORDS for entry in usual(kind).items()]
        return QuotasShown(
            tuple(limits), tuple(quotas.limits.decided()), account, tuple(standings), tuple(uses.top(TOP))
        )

    def give(act: Act) -> None:
        asked = act.asked
        if not asked.text("value"):
            raise UsageError("value is missing", "Say how much; 0 is no limit.")
        days = asked.number("days", 0.01, MOST_DAYS)
        until_ms = None if days is None else quotas.limits.now_ms() + round(days * DAY_MS)
        value = asked.whole("value", 0, 0, MOST_LIMIT)
        override = Override(
            subject_of(asked.text("subject")), _kind(asked.text("kind")), value, until_ms, act.reason
        )
        try:
            quotas.limits.decide(override, act.caller)
        except ValueError as error:
            raise UsageError(f"this limit cannot be set: {error}") from error

    def withdraw(act: Act) -> None:
        kind, _, subject = act.of.partition(" ")
        if not quotas.limits.withdraw(subject_of(subject), _kind(kind), act.caller, act.reason):
            raise NotFound(f"there is no limit {quoted(act.of)}", "of is <kind> <subject>.")

    verbs = {"set": Verb(give, to_things=False), "unset": Verb(withdraw)}
    return Area("quotas", "Quotas", look, verbs, asks=("subject", "kind", "value", "days", "account"))


def subject_of(text: str) -> str:
    """Read whom a limit is for: ``user:…``, ``group:…``, or a class of callers.

    Raises
    ------
    UsageError
        If it is for nobody.
    """
    if not text or not text.isprintable():
        raise UsageError(
            "subject is missing", "It is user:<account>, group:<name>, or a class such as anonymous."
        )
    return text if ":" in text else f"role:{text}"


def _kind(text: str) -> Kind:
    for kind in Kind:
        if kind.value == text:
            return kind
    raise UsageError(f"there is no quota {quoted(text)}", f"Kinds are {', '.join(Kind)}.")
