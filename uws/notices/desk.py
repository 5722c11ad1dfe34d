"""Takes down who wants to be told what of a job: the parameter NOTIFY, and what accounts wish."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from dali.caller import Caller
from dali.errors import AuthorizationError, UsageError, quoted
from uws.notices.event import EVENTS
from uws.notices.settings import NoticeSettings
from uws.sites import NotListed, target

NOTIFY = "NOTIFY"
_FIX = "Write NOTIFY=mail, NOTIFY=none, or NOTIFY=https://host/path."


class Contacts(Protocol):
    """What accounts say of themselves."""

    def wishes(self, owner: str) -> Collection[str]:
        """Events of which somebody wants a mail of every job."""

    def address(self, owner: str) -> str:
        """Where mail goes; "" where there is no address, or no mail is wanted whatever is asked for."""


class NoticeDesk:
    """Takes down wishes.

    Parameters
    ----------
    settings
        What is sent at all.
    contacts
        Asks accounts.
    """

    def __init__(self, settings: NoticeSettings, contacts: Contacts) -> None:
        self._settings = settings
        self._contacts = contacts

    @property
    def sends_mail(self) -> bool:
        """Whether there is mail."""
        return bool(self._settings.smtp_url)

    def usual(self, caller: Caller) -> Mapping[str, Any] | None:
        """Tell what the owner of a new job wants to be told, where the job itself does not say it."""
        if not self.sends_mail or not caller.name or not self._contacts.address(caller.name):
            return None
        wished = self._contacts.wishes(caller.name)
        events = [event for event in EVENTS if event in wished]
        return {"mail": events} if events else None

    def asked(self, values: Sequence[str], caller: Caller) -> Mapping[str, Any] | None:
        """Read NOTIFY, for the owner of a job.

        Raises
        ------
        UsageError
            If a value is wrong, or cannot be had here.
        AuthorizationError
            If nobody knows who asks.
        """
        given = [value.strip() for value in values]
        if [value.lower() for value in given] == ["none"]:
            return None
        if not caller.name:
            raise AuthorizationError(
                "notices are for those who are signed in", "Sign in, or leave NOTIFY out."
            )
        written: dict[str, Any] = {}
        for value in given:
            if value.lower() == "mail":
                self._expect_address(caller)
                written["mail"] = list(EVENTS)
            elif "://" in value and "webhook" not in written:
                self._expect_listed(value)
                written["webhook"] = value
            else:
                raise UsageError(f"NOTIFY is mail, none, or one URL; got {quoted(value)}", _FIX)
        return written

    def _expect_address(self, caller: Caller) -> None:
        if not self.sends_mail:
            raise UsageError("this service sends no mail", "Leave NOTIFY=mail out, and WAIT for the job.")
        if not self._contacts.address(caller.name):
            raise UsageError(
                f"there is no address for mail to {quoted(caller.name)}, or it wants none",
                "Your account page has what can be changed here.",
            )

    def _expect_listed(self, url: str) -> None:
        hosts = self._settings.webhook_hosts
        try:
            target(url, hosts)
        except ValueError:
            raise UsageError(f"NOTIFY is {quoted(url)}, which is no https URL", _FIX) from None
        except NotListed as fault:
            known = f"These may be told: {', '.join(sorted(hosts))}." if hosts else "It tells no host."
            raise UsageError(f"this service does not tell {fault.site}", known, status=403) from None


class _Nobody:
    """Contacts where there are no accounts."""

    def wishes(self, owner: str) -> Collection[str]:
        return ()

    def address(self, owner: str) -> str:
        return ""


#: Where nothing is sent.
NO_NOTICES = NoticeDesk(NoticeSettings("", "", (), "", 0, 0), _Nobody())
