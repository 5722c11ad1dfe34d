"""Public keys of an issuer, asked for when they are needed, and not too often."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey

from accounts.providers.kinds import JwtProvider
from accounts.providers.site import read_json
from dali.errors import ServiceUnavailable

#: Keys are asked for again after this time, and once in a while when a token names one that is not there.
KEPT_S = 600.0
AGAIN_S = 60.0
_ASYMMETRIC = (RSAKey, ECKey, OKPKey)
#: What a library may raise over what somebody made up; whatever it is, the token is not valid.
MALFORMED = (JoseError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


class Keys:
    """Public keys of an issuer.

    Parameters
    ----------
    title, label
        Of the provider, for people and for the log.
    read
        Gives the document of the key set; asked when a key is needed.
    clock
        Seconds of a clock that is never set.
    """

    def __init__(
        self, title: str, label: str, read: Callable[[], Any], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._title = title
        self._label = label
        self._read = read
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: tuple[Any, ...] = ()
        self._asked_s: float | None = None

    @classmethod
    def of(cls, provider: JwtProvider, clock: Callable[[], float] = time.monotonic) -> Keys:
        """Give those of a declaration: of its file, or its URL."""

        def read() -> Any:
            if provider.jwks_file:
                return json.loads(Path(provider.jwks_file).read_bytes())
            return read_json(provider.jwks_url)

        return cls(provider.title, provider.label, read, clock)

    def find(self, key_id: str | None) -> Any:
        """Give the key of an id, or the only key where none is named; None if there is no such key.

        Raises
        ------
        ServiceUnavailable
            If the issuer does not tell its keys, and has not told them before.
        """
        if self._is_old(KEPT_S):
            self._ask(KEPT_S)
        found = self._named(key_id)
        if found is None and self._is_old(AGAIN_S):
            self._ask(AGAIN_S)  # it may be new there
            found = self._named(key_id)
        if found is None and not self._keys:
            raise ServiceUnavailable(
                f"{self._title} does not answer, so its tokens cannot be checked now",
                "Try again a little later.",
                retry_after_s=10,
            )
        return found

    def _named(self, key_id: str | None) -> Any:
        if key_id is None:
            return self._keys[0] if len(self._keys) == 1 else None
        return next((key for key in self._keys if key.kid == key_id), None)

    def _is_old(self, seconds: float) -> bool:
        return self._asked_s is None or self._clock() - self._asked_s >= seconds

    def _ask(self, seconds: float) -> None:
        with self._lock:
            if not self._is_old(seconds):  # somebody else has asked meanwhile
                return
            try:
                self._keys = _public(self._read())
            except (OSError, *MALFORMED) as error:
                # What was told before still holds.
                structlog.get_logger().error("no keys", provider=self._label, exc_info=error)
            self._asked_s = self._clock()


def _public(document: Any) -> tuple[Any, ...]:
    """Read the keys for signatures; a key that two sides share is no public key."""
    return tuple(
        key
        for key in KeySet.import_key_set(document)
        if isinstance(key, _ASYMMETRIC) and key.get("use", "sig") == "sig"
    )
