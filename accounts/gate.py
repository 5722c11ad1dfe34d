"""Who sends a request: every way in which somebody can be known, in one place.

=================================== ========= ==========================================================
what is shown                       way       known by
=================================== ========= ==========================================================
``Authorization: Bearer sft_…``     token     `accounts.tokens`
``Authorization: Basic`` with one   token     the same: clients that know passwords alone use it so
``Authorization: Bearer`` of others bearer    `accounts.bearer`: signed by an issuer that is trusted
``Authorization: Basic``            password  whatever checks passwords, where something does
cookie of a session                 session   `accounts.sessions`
=================================== ========= ==========================================================

Whoever shows what is not valid is refused, and never taken for somebody unknown. A session that has ended is
the exception: its browser is somebody unknown again.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Protocol
from urllib.parse import unquote

from accounts.callers import Callers
from accounts.known import Known
from accounts.people import Account, Identity, People
from accounts.sessions import Sessions
from accounts.tokens import Tokens, looks_like_token
from dali.caller import ANONYMOUS, SCOPES, Caller, Scope, Way
from dali.errors import AuthenticationError, AuthorizationError, quoted

#: RFC 9110, section 11.4. Of two headers a server makes one with a comma, which fits neither scheme.
_AUTHORIZATION = re.compile(r"(bearer|basic) +([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)
WRONG_TOKEN = "the token is not known here, has ended or was revoked"  # noqa: S105  # no token
NEW_TOKEN = "Make a new one on your account page, or leave the Authorization header out."  # noqa: S105
#: What a service may not do in somebody's name.
_NOT_FOR_OTHERS: frozenset[Scope] = frozenset(("admin",))


@dataclass(frozen=True, slots=True)
class Shown:
    """What a request shows of who sends it; "" for what it does not show.

    Parameters
    ----------
    authorization
        Value of that header.
    session
        Key of a session.
    on_behalf_of
        Name of the account that the sender acts for, percent-encoded.
    address
        From which the request comes.
    """

    authorization: str = field(default="", repr=False)
    session: str = field(default="", repr=False)
    on_behalf_of: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Borne:
    """Whom a token of somebody else's names, and what it is for."""

    identity: Identity
    scopes: frozenset[Scope] = SCOPES


class Passwords(Protocol):
    """What checks passwords."""

    def check(self, name: str, password: str, address: str) -> Account:
        """Give the account of a name and its password, neither of which is empty.

        Raises
        ------
        AuthenticationError
            If they do not fit, or nobody has the name: in the same words, after the same time.
        TooManyRequests
            If too many were wrong lately.
        ServiceUnavailable
            If it cannot be found out now.
        """


class Bearers(Protocol):
    """What reads tokens of others."""

    def read(self, text: str) -> Borne:
        """Tell whom a token names.

        Raises
        ------
        AuthenticationError
            If it is not valid.
        ServiceUnavailable
            If it cannot be found out now.
        """


class Gate:
    """Tells who sends a request.

    Parameters
    ----------
    people, tokens, sessions
        Those known, and what they show.
    callers
        Makes what the protocols are told.
    known
        Who was known a moment ago.
    passwords, bearers
        Further ways, where there are any.
    """

    def __init__(
        self,
        people: People,
        tokens: Tokens,
        sessions: Sessions,
        callers: Callers,
        known: Known,
        *,
        passwords: Passwords | None = None,
        bearers: Bearers | None = None,
    ) -> None:
        self._people = people
        self._tokens = tokens
        self._sessions = sessions
        self._callers = callers
        self._known = known
        self._passwords = passwords
        self._bearers = bearers

    @property
    def takes_passwords(self) -> bool:
        """Whether names and passwords are a way to be known."""
        return self._passwords is not None

    def caller(self, shown: Shown) -> Caller:
        """Tell who it is; somebody unknown where nothing is shown, or a session that has ended.

        Raises
        ------
        AuthenticationError
            If what is shown is not valid.
        AuthorizationError
            If the sender may not act for whom it says it acts for.
        TooManyRequests, ServiceUnavailable
            If it cannot be found out now.
        """
        key = _key(shown)
        if (caller := self._known.find(key)) is not None:
            return caller
        begun = self._known.begin()
        caller = self._find(shown)
        if shown.on_behalf_of:
            caller = self._acting(caller, unquote(shown.on_behalf_of))
        if caller.name:
            self._known.remember(key, caller, begun)
        return caller

    def _find(self, shown: Shown) -> Caller:
        if not shown.authorization:
            return self._of_session(shown.session) if shown.session else ANONYMOUS
        match = _AUTHORIZATION.fullmatch(shown.authorization.strip())
        if match is None:
            raise AuthenticationError(
                "the Authorization header cannot be read",
                "Send one such header: Bearer and a token, or Basic and a name with its password.",
            )
        scheme, text = match[1].lower(), match[2]
        if scheme == "basic":
            return self._of_basic(text, shown.address)
        return self._of_token(text) if looks_like_token(text) else self._of_bearer(text)

    def _of_session(self, key: str) -> Caller:
        session = self._sessions.find(key)
        account = None if session is None else self._people.get(session.account)
        if account is None or account.disabled:
            return ANONYMOUS
        return self._callers.of(account, "session")

    def _of_basic(self, text: str, address: str) -> Caller:
        try:
            name, colon, password = b64decode(text, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            colon = ""
        if not colon:
            raise AuthenticationError("the name and password of the Authorization header cannot be read")
        if looks_like_token(password):
            return self._of_token(password)
        # An empty password is none: directories take it for somebody who wants to stay unknown.
        if self._passwords is None or not name or not password:
            raise AuthenticationError(
                "name and password do not fit"
                if self._passwords
                else "this service takes no passwords in the Authorization header",
                "" if self._passwords else "Send a token instead.",
            )
        account = self._passwords.check(name, password, address)
        return self._enabled(account, "password", SCOPES)

    def _of_token(self, text: str) -> Caller:
        token = self._tokens.find(text)
        account = None if token is None else self._people.get(token.account)
        if token is None or account is None:
            raise AuthenticationError(WRONG_TOKEN, NEW_TOKEN)
        return self._enabled(account, "token", token.scopes)

    def _of_bearer(self, text: str) -> Caller:
        if self._bearers is None:
            raise AuthenticationError(WRONG_TOKEN, NEW_TOKEN)
        borne = self._bearers.read(text)
        return self._enabled(self._people.seen(borne.identity), "bearer", borne.scopes)

    def _enabled(self, account: Account, way: Way, scopes: frozenset[Scope]) -> Caller:
        if account.disabled:
            raise AuthenticationError("the account is disabled", "Ask those who run this service.")
        return self._callers.of(account, way, scopes)

    def _acting(self, service: Caller, name: str) -> Caller:
        """Make the caller that a service acts for; both are told of, everywhere."""
        if not service.name:
            raise AuthenticationError("X-On-Behalf-Of is for services that say who they are")
        actor = self._people.get(service.name)
        if actor is None or not actor.may_act or service.way == "session":
            raise AuthorizationError(
                f"{quoted(service.name)} may not act for others", "Leave X-On-Behalf-Of out."
            )
        account = self._people.get(name)
        if account is None or account.disabled or account.may_act:
            raise AuthorizationError(
                f"there is nobody {quoted(name)} to act for",
                "X-On-Behalf-Of is <provider>:<subject> of a person who is known here, percent-encoded.",
            )
        scopes = service.scopes - _NOT_FOR_OTHERS
        return self._callers.of(account, service.way, scopes, actor=service.name)


def _key(shown: Shown) -> bytes:
    # An Authorization header makes the session count for nothing.
    what = f"A{shown.authorization}" if shown.authorization else f"S{shown.session}"
    return sha256(f"{what}\n{shown.on_behalf_of}".encode("utf-8", "surrogateescape")).digest()
