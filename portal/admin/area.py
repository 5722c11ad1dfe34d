"""Areas of administration: what each shows, and what can be done there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dali.caller import Caller
from dali.errors import ProtocolError, UsageError, quoted
from portal.admin.asked import Asked

LONGEST_REASON = 500
#: At once.
MOST_THINGS = 200
#: What every area may be asked for: an act, its form, and what an answer is written as.
_USUAL = frozenset(("act", "of", "reason", "back", "done", "format"))


@dataclass(frozen=True, slots=True)
class Act:
    """Something an administrator does.

    Parameters
    ----------
    of
        What it is done to; "" of an act that makes something.
    reason
        Why; never empty.
    asked
        What else was told.
    caller
        Who does it.
    """

    of: str
    reason: str
    asked: Asked
    caller: Caller


@dataclass(frozen=True, slots=True)
class Verb:
    """An act that an area knows.

    Parameters
    ----------
    do
        Does it, and has it written down.
    to_things
        Whether it is done to things: several at once, perhaps.
    """

    do: Callable[[Act], object]
    to_things: bool = True


@dataclass(frozen=True, slots=True)
class Table:
    """What can be had as CSV: names of columns, and rows."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]


@dataclass(frozen=True, slots=True)
class Area:
    """A part of administration, at ``/admin/<name>``.

    Parameters
    ----------
    name
        In the URL, and of its template.
    title
        For people.
    look
        Gives what the page shows: a dataclass, which is the JSON too.
    verbs
        What can be done, by word.
    one
        Gives what is shown of one thing, at ``/admin/<name>/<thing>``.
    in_menu
        Whether it is in the navigation.
    table
        Gives the CSV of what `look` gave.
    asks
        What it may be asked for, when it is looked at and by its acts.
    """

    name: str
    title: str
    look: Callable[[Asked], Any]
    verbs: Mapping[str, Verb] = field(default_factory=dict)
    one: Callable[[str, Asked], Any] | None = None
    in_menu: bool = True
    table: Callable[[Any], Table] | None = None
    asks: tuple[str, ...] = ()

    def expect_known(self, asked: Asked) -> None:
        """Refuse what would be passed over: `day` for `days` would have something hold for ever.

        Raises
        ------
        UsageError
            If it is asked for something that it does not know.
        """
        for name in asked.names():
            if name not in _USUAL and name not in self.asks:
                known = ", ".join(self.asks)
                raise UsageError(
                    f"{quoted(name)} is nothing that is asked for here",
                    f"Known are {known}." if known else "Leave it out.",
                )


@dataclass(frozen=True, slots=True)
class Refusal:
    """A thing that something could not be done to, and why."""

    of: str
    why: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an act."""

    act: str
    done: tuple[str, ...]
    refused: tuple[Refusal, ...]


def perform(area: Area, asked: Asked, caller: Caller) -> Outcome:
    """Do what is asked for.

    Raises
    ------
    UsageError
        If there is no such act, or no reason, or nothing to do it to, or something nobody knows is asked for.
    ProtocolError
        If it is to be done to one thing, and cannot be.
    """
    area.expect_known(asked)
    word = asked.text("act")
    verb = area.verbs.get(word)
    if verb is None:
        known = ", ".join(area.verbs) or "there is nothing to do here"
        raise UsageError(f"act is none of this area; got {quoted(word)}", f"Acts: {known}.")
    reason = " ".join(asked.text("reason").split())
    if not 0 < len(reason) <= LONGEST_REASON:
        raise UsageError(
            f"reason has 1 to {LONGEST_REASON} characters; got {len(reason)}",
            "Say why: it is kept with what was done.",
        )
    things = tuple(dict.fromkeys(asked.all("of"))) if verb.to_things else ("",)
    if not things:
        raise UsageError("nothing is named that this is to be done to", "Choose it, or name it by of.")
    if len(things) > MOST_THINGS:
        raise UsageError(f"of names {MOST_THINGS} things at most; got {len(things)}", "Choose fewer at once.")
    done, refused = [], []
    for thing in things:
        try:
            verb.do(Act(thing, reason, asked, caller))
        except ProtocolError as error:
            if len(things) == 1:
                raise
            refused.append(Refusal(thing, error.sentence))
        else:
            done.append(thing)
    return Outcome(word, tuple(one for one in done if one), tuple(refused))
