"""Signing in: the ways to, and what becomes of each. Pages show them, and know no provider."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import structlog

from accounts.passwords import RETRY_S, Passwords
from accounts.people import Account, People
from accounts.providers.answers import NotLetIn, ProviderAway
from accounts.providers.oidc import OpenId
from accounts.sessions import Sessions
from dali.errors import NotFound, ServiceUnavailable, quoted

#: Where people go who were not going anywhere.
HOME = "/account"
LONGEST_PATH = 2000
_PATH = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f]*")
TOO_LATE = "This login was not begun in this browser, or took too long. Please sign in again."


@dataclass(frozen=True, slots=True)
class Way:
    """A way to sign in.

    Parameters
    ----------
    label, title
        Of the provider.
    kind
        By a password that is typed here, or elsewhere.
    """

    label: str
    title: str
    kind: Literal["password", "elsewhere"]


def local_path(text: str, root: str = "") -> str:
    """Give a path of this service that somebody wants to go to; "" for what is none, and might be elsewhere.

    Parameters
    ----------
    text
        As the request has it: anybody may have made it.
    root
        Path that all pages of the service begin with.

    Notes
    -----
    Browsers take ``//host`` for another host, backslashes for slashes, and leave out tabs and line breaks.
    """
    if len(text) > LONGEST_PATH or not _PATH.fullmatch(text):
        return ""
    return text if text == root or text.startswith(f"{root}/") else ""


class SignIn:
    """Signs people in.

    Parameters
    ----------
    ways
        In the order in which they are offered.
    passwords
        Checks those that are typed here; None where there are none.
    openids
        Providers elsewhere, by their labels.
    people, sessions
        Those known, and their browsers.
    """

    def __init__(
        self,
        ways: Sequence[Way],
        passwords: Passwords | None,
        openids: Mapping[str, OpenId],
        people: People,
        sessions: Sessions,
    ) -> None:
        self.ways = tuple(ways)
        self._passwords = passwords
        self._openids = openids
        self._people = people
        self._sessions = sessions

    def way(self, label: str) -> Way:
        """Give the way of a label.

        Raises
        ------
        NotFound
            If there is none.
        """
        for way in self.ways:
            if way.label == label:
                return way
        raise NotFound(f"there is no way to sign in named {quoted(label)}", "See /login.")

    def with_password(self, label: str, name: str, password: str, address: str) -> Account:
        """Give the account of somebody who typed a password here.

        Raises
        ------
        AuthenticationError, TooManyRequests, ServiceUnavailable
            As `Passwords.check` does.
        NotLetIn
            If the account is disabled.
        NotFound
            If passwords are no way here.
        """
        if self._passwords is None or self.way(label).kind != "password":
            raise NotFound(f"{quoted(label)} takes no passwords here", "See /login.")
        return _enabled(self._passwords.sign_in(label, name, password, address))

    def begin(self, label: str, callback: str, path: str, *, again: bool) -> tuple[str, str]:
        """Begin a login elsewhere: give the URL to go to, and the key that the browser has to keep.

        Raises
        ------
        ServiceUnavailable
            If the provider does not answer.
        """
        try:
            begun = self._openids[label].begin(callback, again=again)
        except ProviderAway as error:
            raise _unavailable(self.way(label), error) from error
        return begun.url, self._sessions.expect({**begun.data, "provider": label, "path": path})

    def finish(self, label: str, key: str, answer: Mapping[str, str], callback: str) -> tuple[Account, str]:
        """Give the account of somebody who comes back, and where they were going.

        Raises
        ------
        NotLetIn
            If they may not sign in, or did not begin to, in this browser.
        ServiceUnavailable
            If the provider does not answer, or not as it should.
        """
        data = self._sessions.take(key)
        if data is None or data.get("provider") != label:
            raise NotLetIn(TOO_LATE)
        try:
            identity = self._openids[label].finish(data, answer, callback)
        except ProviderAway as error:
            raise _unavailable(self.way(label), error) from error
        return _enabled(self._people.seen(identity)), str(data["path"])


def _enabled(account: Account) -> Account:
    log = structlog.get_logger()
    if account.disabled:
        log.info("a disabled account was refused", account=account.name)
        raise NotLetIn("This account is disabled. Please ask those who run this service.")
    log.info("signed in", account=account.name)
    return account


def _unavailable(way: Way, error: ProviderAway) -> ServiceUnavailable:
    structlog.get_logger().error("a provider is away", provider=way.label, why=str(error))
    return ServiceUnavailable(
        f"{quoted(way.title)} does not answer as it should, so nobody can sign in there now",
        "Try again a little later; who is signed in, or has a token, goes on.",
        retry_after_s=RETRY_S,
    )
