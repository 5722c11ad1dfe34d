"""Names and passwords: whose they are is found out by directories; too many wrong ones have to wait."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Sequence
from hashlib import blake2b

import structlog

from accounts.people import Account, People
from accounts.providers.answers import ProviderAway, line
from accounts.providers.ldap import Directory
from accounts.throttle import Throttle
from dali.errors import AuthenticationError, ServiceUnavailable, quoted

#: Scripts send their password with each request: it is asked for again after this time.
KEPT_S = 60.0
#: A login that fails takes this long at least, whatever was wrong with it.
LEAST_S = 0.4
RETRY_S = 10
#: More than these are not remembered at a time.
_MOST = 10_000
_WRONG = "name and password do not fit"


class Passwords:
    """Checks names and passwords.

    Parameters
    ----------
    directories
        That are asked; scripts mean the first that takes their passwords, unless they say ``<label>/<name>``.
    throttle
        Counts what fails.
    people
        Take note of those who are known.
    least_s
        How long a failure takes at least.
    clock
        Seconds of a clock that is never set.
    """

    def __init__(
        self,
        directories: Sequence[Directory],
        throttle: Throttle,
        people: People,
        least_s: float = LEAST_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directories = {directory.provider.label: directory for directory in directories}
        self._of_scripts = [label for label, one in self._directories.items() if one.provider.basic]
        self._throttle = throttle
        self._people = people
        self._least_s = least_s
        self._clock = clock
        self._lock = threading.Lock()
        self._key = secrets.token_bytes(32)
        self._right: dict[bytes, tuple[float, str]] = {}

    @property
    def are_for_scripts(self) -> bool:
        """Whether scripts may send a password with each request."""
        return bool(self._of_scripts)

    def check(self, name: str, password: str, address: str) -> Account:
        """Give the account of a script's name and password; who was right a minute ago still is.

        Raises
        ------
        AuthenticationError
            If they do not fit, or nobody has the name: in the same words, after the same time.
        TooManyRequests
            If too many were wrong lately.
        ServiceUnavailable
            If it cannot be found out now.
        """
        label, slash, plain = name.partition("/")
        if not slash or label not in self._of_scripts:
            label, plain = self._of_scripts[0], name
        # The key of a process, so that what is in its memory helps nobody to find the password.
        key = blake2b(f"{label}\0{plain}\0{password}".encode("utf-8", "replace"), key=self._key).digest()
        found = self._right.get(key)
        if found is not None and found[0] > self._clock():
            account = self._people.get(found[1])
            if account is not None:
                return account
        account = self.sign_in(label, plain, password, address)
        with self._lock:
            if len(self._right) >= _MOST:
                self._right.clear()
            self._right[key] = (self._clock() + KEPT_S, account.name)
        return account

    def sign_in(self, label: str, name: str, password: str, address: str) -> Account:
        """Give the account of a name and password of a directory, which is asked.

        Raises
        ------
        AuthenticationError, TooManyRequests, ServiceUnavailable
            As for `check`.
        """
        began, log = time.monotonic(), structlog.get_logger()
        attempt = self._throttle.begin(f"{label}:{line(name)}", address)
        directory = self._directories[label]
        try:
            identity = directory.ask(name, password)
        except ProviderAway as error:
            self._throttle.unanswered(attempt)
            log.error("a provider is away", provider=label, why=str(error))
            raise ServiceUnavailable(
                f"{quoted(directory.provider.title)} does not answer, so nobody can sign in there now",
                "Try again a little later; who is signed in, or has a token, goes on.",
                retry_after_s=RETRY_S,
            ) from error
        if identity is None:
            log.info("a login failed", provider=label)
            time.sleep(max(0.0, began + self._least_s - time.monotonic()))
            raise AuthenticationError(_WRONG)
        self._throttle.succeeded(attempt)
        return self._people.seen(identity)
