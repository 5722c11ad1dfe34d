"""Tokens of issuers that are trusted: JSON web tokens, signed by keys known beforehand (RFC 7519, 9068).

Nothing that a token says of itself decides how it is checked: the algorithms are those of the declaration,
the keys are those of its key set. Headers that bring keys (`jwk`, `jku`, `x5c`, `x5u`) are not looked at.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import ExpiredTokenError

from accounts.gate import NEW_TOKEN, WRONG_TOKEN, Borne
from accounts.people import Identity, check_identity
from accounts.providers.answers import address_in, line, words_of
from accounts.providers.keyset import MALFORMED, Keys
from accounts.providers.kinds import JwtProvider
from dali.caller import Scope
from dali.errors import AuthenticationError, UsageError

LONGEST = 8000
_WITHOUT_NAMES: frozenset[Scope] = frozenset(("read", "submit"))


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
        self._issuers = {provider.issuer: (provider, Keys.of(provider, clock)) for provider in providers}
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
        except MALFORMED as error:
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
        except MALFORMED as error:
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
    except MALFORMED as error:
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
    groups = claims.get(provider.claims.groups)
    identity = Identity(
        provider.label,
        str(client) if is_client else subject if isinstance(subject, str) else "",
        line(claims.get(provider.claims.name)),
        address_in(claims, provider.claims.email),
        # A token that says nothing of groups takes none away.
        None if groups is None else provider.groups.of(words_of(groups)),
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
