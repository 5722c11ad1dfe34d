"""Tokens of issuers that are trusted: JSON web tokens, signed by keys known beforehand (RFC 7519, 9068).

Nothing that a token says of itself decides how it is checked: the algorithms are those of the declaration,
the keys are those of its key set. Headers that bring keys (`jwk`, `jku`, `x5c`, `x5u`) are not looked at.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import requests
import structlog
from joserfc import jws, jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey

from accounts.gate import NEW_TOKEN, WRONG_TOKEN, Borne
from accounts.people import Identity, check_identity
from accounts.providers.declaration import JwtProvider
from dali.caller import Scope
from dali.errors import AuthenticationError, ServiceUnavailable, UsageError

LONGEST = 8000
#: Keys are asked for again after this time, and once in a while when a token names one that is not there.
KEPT_S = 600.0
AGAIN_S = 60.0
#: The issuer has so long to answer, and so many bytes.
WITHIN_S = 2.5
MOST_BYTES = 1_000_000
_ASYMMETRIC = (RSAKey, ECKey, OKPKey)
_WITHOUT_NAMES: frozenset[Scope] = frozenset(("read", "submit"))
#: What a library may raise over what somebody made up; whatever it is, the token is not valid.
_MALFORMED = (JoseError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


class Keys:
    """Public keys of an issuer.

    Parameters
    ----------
    provider
        Its declaration: a file, or a URL that is asked when a key is needed.
    clock
        Seconds of a clock that is never set.
    """

    def __init__(self, provider: JwtProvider, clock: Callable[[], float] = time.monotonic) -> None:
        self._provider = provider
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: tuple[Any, ...] = ()
        self._asked_s: float | None = None

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
                f"{self._provider.title} does not answer, so its tokens cannot be checked now",
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
            except (OSError, *_MALFORMED) as error:
                # What was told before still holds.
                structlog.get_logger().error("no keys", provider=self._provider.label, exc_info=error)
            self._asked_s = self._clock()

    def _read(self) -> Any:
        if self._provider.jwks_file:
            return json.loads(Path(self._provider.jwks_file).read_bytes())
        until = time.monotonic() + WITHIN_S
        asked = requests.get(self._provider.jwks_url, timeout=WITHIN_S, allow_redirects=False, stream=True)
        with asked as answer:
            if answer.status_code != 200:
                raise ValueError(f"status {answer.status_code}")
            body = b""
            for chunk in answer.iter_content(65536):
                body += chunk
                if len(body) > MOST_BYTES or time.monotonic() > until:
                    raise ValueError("the key set is too large or too slow")
        return json.loads(body)


def _public(document: Any) -> tuple[Any, ...]:
    """Read the keys for signatures; a key that two sides share is no public key."""
    return tuple(
        key
        for key in KeySet.import_key_set(document)
        if isinstance(key, _ASYMMETRIC) and key.get("use", "sig") == "sig"
    )


class JwtBearers:
    """Reads tokens of several issuers.

    Parameters
    ----------
    providers
        Their declarations; no two have the same issuer.
    now
        Seconds since 1970.
    clock
        Seconds of a clock that is never set.
    """

    def __init__(
        self,
        providers: Iterable[JwtProvider],
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuers = {provider.issuer: (provider, Keys(provider, clock)) for provider in providers}
        self._now = now

    def read(self, text: str) -> Borne:
        """Tell whom a token names.

        Raises
        ------
        AuthenticationError
            If it is not valid.
        ServiceUnavailable
            If its issuer's keys are not to be had.
        """
        header, issuer = _unchecked(text)
        provider, keys = self._issuers.get(issuer, (None, None))
        if provider is None or keys is None:
            raise AuthenticationError(WRONG_TOKEN, NEW_TOKEN)
        key_id = header.get("kid")
        key = keys.find(key_id) if key_id is None or isinstance(key_id, str) else None
        if key is None or header.get("alg") not in provider.algorithms or not _has_type(header, provider):
            raise AuthenticationError(WRONG_TOKEN, NEW_TOKEN)
        if key.get("alg", header["alg"]) != header["alg"]:
            raise AuthenticationError(WRONG_TOKEN, NEW_TOKEN)
        try:
            claims = jwt.decode(text, key, algorithms=list(provider.algorithms)).claims
        except _MALFORMED as error:
            raise AuthenticationError(WRONG_TOKEN, NEW_TOKEN) from error
        self._check(claims, provider)
        return _borne(claims, provider)

    def _check(self, claims: Any, provider: JwtProvider) -> None:
        rules = jwt.JWTClaimsRegistry(
            now=int(self._now()),
            leeway=provider.leeway_s,
            iss={"essential": True, "value": provider.issuer},
            aud={"essential": True, "values": list(provider.audience)},
            exp={"essential": True},
        )
        try:
            rules.validate(claims)
        except ExpiredTokenError as error:
            raise AuthenticationError("the token has expired", "Get a new one from its issuer.") from error
        except _MALFORMED as error:
            raise AuthenticationError(
                "the token is not for this service, or not valid now",
                "It must have its issuer, this service as its audience, and an end.",
            ) from error


def _unchecked(text: str) -> tuple[Mapping[str, Any], str]:
    """Give the header, and the issuer that the token says it is of: by these alone nothing is believed."""
    try:
        if len(text) > LONGEST:
            raise ValueError
        parts = jws.extract_compact(text.encode("ascii"))
        issuer = json.loads(parts.payload)["iss"]
        header = parts.headers()
        if not isinstance(issuer, str):
            raise TypeError
    except _MALFORMED as error:
        raise AuthenticationError(WRONG_TOKEN, NEW_TOKEN) from error
    return header, issuer


def _has_type(header: Mapping[str, Any], provider: JwtProvider) -> bool:
    """Compare the type (RFC 9068, section 4): a token for something else is none for this."""
    kind = header.get("typ")
    return isinstance(kind, str) and kind.lower() in {known.lower() for known in provider.types}


def _borne(claims: Mapping[str, Any], provider: JwtProvider) -> Borne:
    client, subject = claims.get(provider.client_claim), claims.get("sub")
    # A token that a client got for itself is nobody's (RFC 9068, section 2.2).
    is_client = isinstance(client, str) and subject in (None, client)
    for claim, allowed in provider.claims.required.items():
        if not set(words_of(claims.get(claim))) & set(allowed):
            raise AuthenticationError(f"the token's claim {claim} is not one that is let in here")
    identity = Identity(
        provider.label,
        str(client) if is_client else subject if isinstance(subject, str) else "",
        _line(claims.get(provider.claims.name)),
        _line(claims.get(provider.claims.email)),
        provider.groups.of(words_of(claims.get(provider.claims.groups))),
        "service" if is_client else "person",
    )
    try:
        check_identity(identity)
    except UsageError as error:
        raise AuthenticationError("the token names nobody", "Its claim sub must be a text.") from error
    return Borne(identity, _scopes(claims, provider))


def _scopes(claims: Mapping[str, Any], provider: JwtProvider) -> frozenset[Scope]:
    if not provider.scopes:
        return _WITHOUT_NAMES
    given = {*words_of(claims.get("scope")), *words_of(claims.get("scp"))}
    known: tuple[Scope, ...] = ("read", "submit", "admin")
    return frozenset(scope for scope in known if provider.scopes.get(scope) in given)


def words_of(claim: object) -> tuple[str, ...]:
    """Read a claim of several texts: a list, or one text with spaces, commas or semicolons between them."""
    if isinstance(claim, str):
        return (claim, *claim.replace(",", " ").replace(";", " ").split())
    return tuple(word for word in claim if isinstance(word, str)) if isinstance(claim, list) else ()


def _line(claim: object) -> str:
    if not isinstance(claim, str):
        return ""
    return " ".join("".join(one if one.isprintable() else " " for one in claim[:255]).split())
