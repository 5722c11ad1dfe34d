"""OpenID providers: people sign in there, and come back with a code for a token that tells who they are.

Code flow with PKCE, state and nonce (OpenID Connect Core 1.0, section 3.1; RFC 7636). Authlib writes the
requests; what a login needs to go on is kept by the caller, and taken once. Nothing that comes by way of the
browser is believed: it brings a code, and the provider itself tells whose it is.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any
from urllib.parse import urlsplit

from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from joserfc import jws, jwt

from accounts.people import Identity, check_identity
from accounts.providers.answers import NotLetIn, ProviderAway, address_in, line, words_of
from accounts.providers.declaration import is_safe_url
from accounts.providers.keyset import MALFORMED, Keys
from accounts.providers.kinds import OidcProvider
from accounts.providers.site import WITHIN_S, read_json
from dali.errors import UsageError

#: The discovery document is asked for again after this time.
KEPT_S = 3600.0
#: Who asks within this time after it was not to be had is told so at once.
AWAY_S = 5.0
#: How far the provider's clock and ours may be apart; how long ago a password counts as asked for just now.
LEEWAY_S, JUST_NOW_S = 60, 300
LONGEST_TOKEN = 50_000
AGAIN = "Please sign in again."


@dataclass(frozen=True, slots=True)
class Begun:
    """A login that has begun.

    Parameters
    ----------
    url
        Where the browser goes.
    data
        What `finish` wants; a secret of this login.
    """

    url: str
    data: Mapping[str, str]


class OpenId:
    """A provider that people sign in with.

    Parameters
    ----------
    provider
        Its declaration.
    clock
        Seconds of a clock that is never set.
    """

    def __init__(self, provider: OidcProvider, clock: Callable[[], float] = time.monotonic) -> None:
        self.provider = provider
        self._clock = clock
        self._lock = threading.Lock()
        self._told: Mapping[str, Any] = {}
        self._told_s = 0.0
        self._away_s = float("-inf")
        self._keys = Keys(provider.title, provider.label, self._read_keys, clock)

    def begin(self, callback: str, *, again: bool = False) -> Begun:
        """Say where the browser goes.

        Parameters
        ----------
        callback
            URL it comes back to.
        again
            Whether the provider is to ask for the password although it knows the browser.

        Raises
        ------
        ProviderAway
            If the provider does not answer.
        """
        told = self._discover()
        data = {
            "state": secrets.token_urlsafe(32),
            "nonce": secrets.token_urlsafe(32),
            "verifier": secrets.token_urlsafe(48),
            "again": "yes" if again else "",
        }
        more = {"prompt": "login", "max_age": str(JUST_NOW_S)} if again else {}
        with self._session(callback) as session:
            url, _ = session.create_authorization_url(
                told["authorization_endpoint"],
                state=data["state"],
                nonce=data["nonce"],
                code_verifier=data["verifier"],
                **{**self.provider.ask, **more},
            )
        return Begun(url, data)

    def finish(self, data: Mapping[str, str], answer: Mapping[str, str], callback: str) -> Identity:
        """Tell who has signed in.

        Parameters
        ----------
        data
            Of the login that this browser began.
        answer
            What the browser brings from the provider.

        Raises
        ------
        NotLetIn
            If nobody has, or it is somebody who may not.
        ProviderAway
            If the provider does not answer, or not as it should.
        """
        told = self._discover()
        if not compare_digest(answer.get("state", "").encode(), data["state"].encode()):
            raise NotLetIn(f"This is not the login that was begun in this browser. {AGAIN}")
        # Somebody else's provider may have sent the browser here (RFC 9207).
        says_issuer = told.get("authorization_response_iss_parameter_supported") is True
        if answer.get("iss", "" if says_issuer else self.provider.issuer) != self.provider.issuer:
            raise NotLetIn(f"This answer is not from {self.provider.title}. {AGAIN}")
        if "error" in answer:
            raise NotLetIn(_refusal(self.provider.title, answer))
        if not answer.get("code"):
            raise NotLetIn(f"{self.provider.title} has told nothing. {AGAIN}")
        token = self._redeem(told, answer["code"], data["verifier"], callback)
        return self._identity(self._claims(told, token, data))

    def _redeem(self, told: Mapping[str, Any], code: str, verifier: str, callback: str) -> Mapping[str, Any]:
        try:
            with self._session(callback) as session:
                token: Mapping[str, Any] = session.fetch_token(
                    told["token_endpoint"],
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=verifier,
                    timeout=WITHIN_S,
                    allow_redirects=False,
                )
        except OAuthError as error:
            if error.error == "invalid_grant":
                raise NotLetIn(f"This login was used already, or took too long. {AGAIN}") from error
            raise self._away(f"the code was refused: {line(error.error)}") from error
        except (OSError, *MALFORMED) as error:
            raise self._away("no token", error) from error
        return token

    def _claims(
        self, told: Mapping[str, Any], token: Mapping[str, Any], data: Mapping[str, str]
    ) -> Mapping[str, Any]:
        """Check the ID token; what it lacks is asked for."""
        text, access = token.get("id_token"), token.get("access_token")
        if not isinstance(text, str) or len(text) > LONGEST_TOKEN:
            raise self._away("no ID token")
        try:
            header = jws.extract_compact(text.encode()).headers()
            key = self._keys.find(header.get("kid"))
            if key is None:
                raise ValueError("its key is not one of the provider's")
            found = jwt.decode(text, key, algorithms=list(self.provider.algorithms))
            rules: dict[str, Any] = {
                "iss": {"essential": True, "value": self.provider.issuer},
                "aud": {"essential": True, "value": self.provider.client_id},
            }
            params = {
                "nonce": data["nonce"],
                "client_id": self.provider.client_id,
                "access_token": access,
                "max_age": data["again"],
            }
            checked = CodeIDToken(found.claims, found.header, rules, params)
            checked.validate(leeway=LEEWAY_S)
            if data["again"] and time.time() - checked["auth_time"] > JUST_NOW_S + LEEWAY_S:
                raise NotLetIn(f"{self.provider.title} has not asked for your password. {AGAIN}")
            claims = dict(checked)
            endpoint = told.get("userinfo_endpoint")
            if self.provider.userinfo and isinstance(endpoint, str) and isinstance(access, str):
                claims = self._more(endpoint, access, claims["sub"]) | claims
        except (OSError, *MALFORMED) as error:
            raise self._away("its token is not valid", error) from error
        return claims

    def _more(self, endpoint: str, access: str, subject: object) -> dict[str, Any]:
        told = read_json(endpoint, access)
        # OpenID Connect Core 1.0, section 5.3.2
        if not isinstance(told, dict) or told.get("sub") != subject:
            raise ValueError("the claims are of somebody else")
        return told

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        provider, named = self.provider, self.provider.claims
        for claim, allowed in named.required.items():
            if not set(words_of(claims.get(claim))) & set(allowed):
                raise NotLetIn(f"Accounts of {provider.title} with another {claim} may not sign in here.")
        subject = claims["sub"]
        identity = Identity(
            provider.label,
            subject if isinstance(subject, str) else "",
            line(claims.get(named.name)),
            address_in(claims, named.email),
            provider.groups.of(words_of(claims.get(named.groups))),
        )
        try:
            check_identity(identity)
        except UsageError as error:
            raise self._away("its token names nobody", error) from error
        return identity

    def _session(self, callback: str) -> OAuth2Session:
        methods = self._told.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        by_post = self.provider.client_secret and "client_secret_basic" not in methods
        return OAuth2Session(
            self.provider.client_id,
            self.provider.client_secret or None,
            token_endpoint_auth_method="client_secret_post" if by_post else None,
            scope=" ".join(self.provider.scopes),
            redirect_uri=callback,
            code_challenge_method="S256",
        )

    def _discover(self) -> Mapping[str, Any]:
        """Give the discovery document (OpenID Connect Discovery 1.0, section 4)."""
        with self._lock:
            if self._told and self._clock() - self._told_s < KEPT_S:
                return self._told
            if self._clock() - self._away_s < AWAY_S:
                raise self._away("no discovery document a moment ago")
            try:
                told = read_json(f"{self.provider.issuer.rstrip('/')}/.well-known/openid-configuration")
                self._told, self._told_s = self._checked(told), self._clock()
            except (OSError, *MALFORMED) as error:
                self._away_s = self._clock()
                raise self._away("no discovery document", error) from error
            return self._told

    def _checked(self, told: Any) -> Mapping[str, Any]:
        if not isinstance(told, dict) or told.get("issuer") != self.provider.issuer:
            raise ValueError("the document is of another issuer")
        is_local = urlsplit(self.provider.issuer).scheme == "http"
        endpoints = ["authorization_endpoint", "token_endpoint", "jwks_uri"]
        if told.get("userinfo_endpoint") is not None:
            endpoints.append("userinfo_endpoint")
        for name in endpoints:
            url = str(told.get(name))
            if not is_safe_url(url.partition("?")[0]) or not (is_local or url.startswith("https:")):
                raise ValueError(f"{name} is no https URL")
        return told

    def _read_keys(self) -> Any:
        return read_json(self._discover()["jwks_uri"])

    def _away(self, what: str, error: Exception | None = None) -> ProviderAway:
        why = f" ({type(error).__name__}: {line(str(error))})" if error is not None else ""
        return ProviderAway(f"{self.provider.label}: {what}{why}")


def _refusal(title: str, answer: Mapping[str, str]) -> str:
    if answer["error"] == "access_denied":
        return f"{title} has not let you in, or you have left. {AGAIN}"
    said = line(answer.get("error_description", "")) or line(answer["error"])
    return f'{title} says: "{said}" {AGAIN}'
