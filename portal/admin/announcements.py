"""What all users are told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from accounts.announcements import LEVELS, LONGEST, Announcement, Announcements, Level
from dali.errors import NotFound, quoted
from portal.admin.area import Act, Area, Verb
from portal.admin.asked import Asked

MOST_DAYS = 366


@dataclass(frozen=True, slots=True)
class AnnouncementsShown:
    """Announcements that are not over; `current` are the numbers of those that are shown now."""

    announcements: tuple[Announcement, ...]
    current: tuple[int, ...]
    levels: Sequence[Level] = field(default=LEVELS, repr=False)
    longest: int = field(default=LONGEST, repr=False)


def announcements_area(announcements: Announcements) -> Area:
    """Make the area."""

    def look(asked: Asked) -> AnnouncementsShown:
        current = tuple(one.announcement_id for one in announcements.current())
        return AnnouncementsShown(tuple(announcements.all()), current)

    def say(act: Act) -> None:
        asked = act.asked
        announcements.say(
            asked.text("text"),
            asked.choice("level", LEVELS, "note"),
            asked.number("days", 0.01, MOST_DAYS),
            by=act.caller,
            reason=act.reason,
            in_days=asked.number("in_days", 0, MOST_DAYS) or 0.0,
        )

    def withdraw(act: Act) -> None:
        if not (act.of.isascii() and act.of.isdigit() and len(act.of) < 19):
            raise NotFound(f"there is no announcement {quoted(act.of)}")
        announcements.withdraw(int(act.of), by=act.caller, reason=act.reason)

    verbs = {"announce": Verb(say, to_things=False), "withdraw": Verb(withdraw)}
    return Area("announcements", "Announcements", look, verbs, asks=("text", "level", "days", "in_days"))
