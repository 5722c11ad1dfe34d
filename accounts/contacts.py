"""What accounts wish to be told of, and where mail to them goes."""

from __future__ import annotations

from collections.abc import Collection

from accounts.people import Account, People
from dali.errors import NotFound

#: Keys of what an account wishes: events of which it wants mail; and that it wants none, whatever is asked.
MAIL = "mail"
NEVER = "never"


class Contacts:
    """Asks accounts, and keeps what they say.

    Parameters
    ----------
    people
        The accounts.
    """

    def __init__(self, people: People) -> None:
        self._people = people

    def wishes(self, owner: str) -> frozenset[str]:
        """Events of which an account wants a mail of every job."""
        account = self._people.get(owner)
        return frozenset() if account is None else wishes_of(account)

    def address(self, owner: str) -> str:
        """Where mail goes; "" where there is no address, or no mail is wanted."""
        account = self._people.get(owner)
        if account is None or account.disabled or account.wishes.get(NEVER):
            return ""
        return account.email

    def keep(self, owner: str, events: Collection[str]) -> None:
        """Keep of which events an account wants mail; jobs may ask for more again.

        Raises
        ------
        NotFound
            If there is no such account.
        """
        self._people.wish(owner, {MAIL: sorted(events)})

    def stop(self, owner: str) -> bool:
        """Send an account no more mail, whatever its jobs ask for; False if there is none of this name."""
        try:
            self._people.wish(owner, {MAIL: [], NEVER: True})
        except NotFound:
            return False
        return True


def wishes_of(account: Account) -> frozenset[str]:
    """Events of which an account wants a mail of every job."""
    return frozenset(account.wishes.get(MAIL, ()))
