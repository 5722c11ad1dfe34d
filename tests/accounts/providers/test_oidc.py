"""Signing in with an OpenID provider: a real one judges, and a false one is caught."""

from __future__ import annotations

import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from accounts.people import Identity
from accounts.providers.answers import NotLetIn, ProviderAway
from accounts.providers.declaration import read_provider
from accounts.providers.kinds import OidcProvider
from accounts.providers.oidc import AWAY_S, OpenId
from tests.support.listening import listening
from tests.support.oidc import CLIENT, CLIENT_SECRET, OidcServer, declaration, oidc

CALLBACK = "http://127.0.0.1:9/login/sso/callback"


@pytest.fixture(scope="module")
def server() -> Iterator[OidcServer]:
    with oidc(CALLBACK) as found:
        yield found


def connect(folder: Path, server: OidcServer, **changes: str) -> OpenId:
    path = folder / "oidc.toml"
    path.write_text(declaration(server, **changes), encoding="utf-8")
    provider = read_provider(path, {"OIDC_SECRET": CLIENT_SECRET})
    assert isinstance(provider, OidcProvider)
    return OpenId(provider)


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


def test_somebody_signs_in(server: OidcServer, tmp_path: Path) -> None:
    provider = connect(tmp_path, server)
    begun = provider.begin(CALLBACK)
    asked = query_of(begun.url)
    assert asked["code_challenge_method"] == "S256"
    assert asked["response_type"] == "code"
    assert begun.data["verifier"] not in begun.url
    answer = query_of(server.sign_in(begun.url, "alice"))
    who = provider.finish(begun.data, answer, CALLBACK)
    assert who == Identity("sso", "alice", "alice of SSO", "shared@soda.test", frozenset({"survey-x"}))


def test_one_address_is_not_one_person(server: OidcServer, tmp_path: Path) -> None:
    provider, found = connect(tmp_path, server), []
    for login in ("alice", "bob"):
        begun = provider.begin(CALLBACK)
        found.append(provider.finish(begun.data, query_of(server.sign_in(begun.url, login)), CALLBACK))
    assert found[0].email == found[1].email
    assert found[0].name != found[1].name


def test_who_was_asked_again_has_just_been_asked(server: OidcServer, tmp_path: Path) -> None:
    provider = connect(tmp_path, server)
    begun = provider.begin(CALLBACK, again=True)
    assert query_of(begun.url)["prompt"] == "login"
    assert (
        provider.finish(begun.data, query_of(server.sign_in(begun.url, "alice")), CALLBACK).subject == "alice"
    )


def test_a_code_counts_once(server: OidcServer, tmp_path: Path) -> None:
    provider = connect(tmp_path, server)
    begun = provider.begin(CALLBACK)
    answer = query_of(server.sign_in(begun.url, "alice"))
    provider.finish(begun.data, answer, CALLBACK)
    with pytest.raises(NotLetIn, match="used already"):
        provider.finish(begun.data, answer, CALLBACK)


def test_state_nonce_and_verifier_are_those_of_this_login(server: OidcServer, tmp_path: Path) -> None:
    provider = connect(tmp_path, server)
    mine, theirs = provider.begin(CALLBACK), provider.begin(CALLBACK)
    answer = query_of(server.sign_in(theirs.url, "mallory"))
    with pytest.raises(NotLetIn, match="not the login that was begun"):
        provider.finish(mine.data, answer, CALLBACK)
    with pytest.raises(NotLetIn, match="not the login that was begun"):
        provider.finish(mine.data, answer | {"state": ""}, CALLBACK)
    # Even with the right state, a code of another login is refused: by the provider, which has the challenge,
    with pytest.raises(NotLetIn, match="used already"):
        provider.finish(mine.data, answer | {"state": mine.data["state"]}, CALLBACK)
    # and by the nonce of the token.
    fourth = provider.begin(CALLBACK)
    answer = query_of(server.sign_in(fourth.url, "mallory"))
    with pytest.raises(ProviderAway, match="nonce"):
        provider.finish({**fourth.data, "nonce": mine.data["nonce"]}, answer, CALLBACK)


def test_an_answer_of_another_issuer_is_refused(server: OidcServer, tmp_path: Path) -> None:
    provider = connect(tmp_path, server)
    begun = provider.begin(CALLBACK)
    answer = query_of(server.sign_in(begun.url, "alice"))
    assert answer["iss"] == server.issuer
    without = {key: value for key, value in answer.items() if key != "iss"}
    for wrong in (answer | {"iss": "https://evil.example"}, without):
        with pytest.raises(NotLetIn, match="not from Single sign-on"):
            provider.finish(begun.data, wrong, CALLBACK)


def test_who_leaves_is_told_so(server: OidcServer, tmp_path: Path) -> None:
    provider = connect(tmp_path, server)
    begun = provider.begin(CALLBACK)
    with pytest.raises(NotLetIn, match="you have left"):
        provider.finish(begun.data, query_of(server.refuse(begun.url)), CALLBACK)


def test_claims_that_must_be(server: OidcServer, tmp_path: Path) -> None:
    provider = connect(tmp_path, server, **{"require.organisation": '["example"]'})
    for login, is_let_in in (("alice", True), ("mallory", False)):
        begun = provider.begin(CALLBACK)
        answer = query_of(server.sign_in(begun.url, login))
        if is_let_in:
            assert provider.finish(begun.data, answer, CALLBACK).subject == login
            continue
        with pytest.raises(NotLetIn, match="another organisation"):
            provider.finish(begun.data, answer, CALLBACK)


def test_a_client_that_the_provider_does_not_know_is_the_operators_fault(
    server: OidcServer, tmp_path: Path
) -> None:
    path = tmp_path / "oidc.toml"
    path.write_text(declaration(server), encoding="utf-8")
    provider = read_provider(path, {"OIDC_SECRET": "another"})
    assert isinstance(provider, OidcProvider)
    openid = OpenId(provider)
    begun = openid.begin(CALLBACK)
    with pytest.raises(ProviderAway, match="invalid_client"):
        openid.finish(begun.data, query_of(server.sign_in(begun.url, "alice")), CALLBACK)


def test_further_words_of_the_request(server: OidcServer, tmp_path: Path) -> None:
    idp = "https://idp.example.edu/idp?a=b&c"
    begun = connect(tmp_path, server, **{"ask.selected_idp": f'"{idp}"'}).begin(CALLBACK)
    assert query_of(begun.url)["selected_idp"] == idp


def test_a_provider_that_is_gone_is_away(tmp_path: Path) -> None:
    gone = OidcServer("http://127.0.0.1:9", CALLBACK)
    began = time.monotonic()
    with pytest.raises(ProviderAway, match="no discovery document"):
        connect(tmp_path, gone).begin(CALLBACK)
    assert time.monotonic() - began < 3  # what is promised


def test_while_it_is_away_not_everybody_waits_for_it(tmp_path: Path) -> None:
    asked, now = [], [0.0]

    def broken(environ: Any, start_response: Any) -> list[bytes]:
        asked.append(environ["PATH_INFO"])
        start_response("500 Internal Server Error", [])
        return []

    with listening(broken) as url:
        provider = connect(tmp_path, OidcServer(url, CALLBACK)).provider
        openid = OpenId(provider, lambda: now[0])
        for moment, requests in ((0.0, 1), (AWAY_S - 1, 1), (AWAY_S + 1, 2)):
            now[0] = moment
            with pytest.raises(ProviderAway):
                openid.begin(CALLBACK)
            assert len(asked) == requests


# A provider that lies: it answers over HTTP what a test says, with its own keys.

KEY = RSAKey.generate_key(2048, parameters={"kid": "one", "use": "sig"})
OTHER = RSAKey.generate_key(2048, parameters={"kid": "one", "use": "sig"})
Change = Callable[[dict[str, Any]], object]


class PublicAsSecret:
    """A public key, used for what a secret is for; libraries do not do so any longer."""

    def __init__(self, key: RSAKey) -> None:
        self._key = key.as_pem(private=False)

    def sign(self, header: dict[str, Any], claims: dict[str, Any]) -> str:
        text = ".".join(_base64(json.dumps(part).encode()) for part in (header, claims))
        return f"{text}.{_base64(hmac.digest(self._key, text.encode(), 'sha256'))}"


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


class Liar:
    """What a false provider answers."""

    def __init__(self) -> None:
        self.url = ""
        self.discovery: dict[str, Any] = {}
        self.claims: dict[str, Any] = {}
        self.header: dict[str, Any] = {"alg": "RS256", "kid": "one"}
        self.key: Any = KEY
        self.token: dict[str, Any] = {}
        self.userinfo: dict[str, Any] = {"sub": "alice"}

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        path = environ["PATH_INFO"]
        if path.endswith("openid-configuration"):
            told: Any = {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/auth",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/keys",
                "userinfo_endpoint": f"{self.url}/me",
            } | self.discovery
        elif path == "/keys":
            told = KeySet([KEY]).as_dict(private=False)
        elif path == "/me":
            told = self.userinfo
        else:
            told = {"access_token": "opaque", "token_type": "Bearer", "id_token": self.signed()} | self.token
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(told).encode()]

    def signed(self) -> str:
        now = int(time.time())
        claims = {"iss": self.url, "aud": CLIENT, "sub": "alice", "iat": now, "exp": now + 300} | self.claims
        given = {name: value for name, value in claims.items() if value is not None}
        if isinstance(self.key, PublicAsSecret):
            return self.key.sign(self.header, given)
        return str(jwt.encode(self.header, given, self.key, algorithms=[self.header["alg"]]))


@contextmanager
def liar(folder: Path) -> Iterator[tuple[Liar, Callable[[], Identity]]]:
    """Give a false provider, and a function that signs in there."""
    false = Liar()
    with listening(false) as url:
        false.url = url
        provider = connect(folder, OidcServer(url, CALLBACK), client_secret_env="")

        def sign_in() -> Identity:
            begun = provider.begin(CALLBACK)
            false.claims = {"nonce": begun.data["nonce"]} | false.claims
            return provider.finish(begun.data, {"code": "c", "state": begun.data["state"]}, CALLBACK)

        yield false, sign_in


def set_up(false: Liar, name: str, value: Any) -> None:
    getattr(false, name).update(value)


def test_the_false_provider_is_believed_where_it_does_not_lie(tmp_path: Path) -> None:
    with liar(tmp_path) as (_, sign_in):
        assert sign_in().name == "sso:alice"


@pytest.mark.parametrize(
    ("part", "lie"),
    [
        ("claims", {"iss": "https://evil.example"}),
        ("claims", {"aud": "another client"}),
        ("claims", {"aud": [CLIENT, "another client"]}),
        ("claims", {"aud": [CLIENT, "another client"], "azp": "another client"}),
        ("claims", {"aud": None}),
        ("claims", {"exp": int(time.time()) - 300}),
        ("claims", {"exp": None}),
        ("claims", {"iat": int(time.time()) + 3000}),
        ("claims", {"nonce": "another"}),
        ("claims", {"nonce": ""}),
        ("claims", {"sub": None}),
        ("claims", {"sub": ""}),
        ("claims", {"sub": 7}),
        ("claims", {"sub": "a" * 256}),
        ("claims", {"sub": "alice\nbob"}),
        ("claims", {"at_hash": "wrong"}),
        ("header", {"kid": "two"}),
        ("header", {"alg": "RS512"}),
        ("token", {"id_token": None}),
        ("token", {"id_token": "a.b.c"}),
        ("token", {"id_token": "eyJhbGciOiJub25lIn0.e30."}),
        ("token", {"id_token": 7}),
        ("userinfo", {"sub": "bob"}),
        ("discovery", {"issuer": "https://evil.example"}),
        ("discovery", {"jwks_uri": "http://evil.example/keys"}),
        ("discovery", {"token_endpoint": "file:///etc/passwd"}),
        ("discovery", {"authorization_endpoint": None}),
    ],
)
def test_lies_are_not_believed(part: str, lie: dict[str, Any], tmp_path: Path) -> None:
    with liar(tmp_path) as (false, sign_in):
        set_up(false, part, lie)
        with pytest.raises(ProviderAway):
            sign_in()


@pytest.mark.parametrize(
    ("key", "header"),
    [
        (OTHER, {"alg": "RS256", "kid": "one"}),
        (PublicAsSecret(KEY), {"alg": "HS256", "kid": "one"}),
    ],
    ids=["another key", "a public key as a secret"],
)
def test_signatures_of_others_are_not_believed(key: Any, header: dict[str, str], tmp_path: Path) -> None:
    with liar(tmp_path) as (false, sign_in):
        false.key, false.header = key, header
        with pytest.raises(ProviderAway, match="its token is not valid"):
            sign_in()


@pytest.mark.parametrize(
    ("verified", "address"),
    [({}, "a@b.c"), ({"email_verified": True}, "a@b.c"), ({"email_verified": False}, "")],
)
def test_nobody_is_written_to_whose_address_is_not_known_to_be_theirs(
    verified: dict[str, bool], address: str, tmp_path: Path
) -> None:
    with liar(tmp_path) as (false, sign_in):
        set_up(false, "claims", {"email": "a@b.c", **verified})
        assert sign_in().email == address


def test_what_the_provider_says_is_on_one_line_and_short(tmp_path: Path) -> None:
    with liar(tmp_path) as (false, _):
        provider = connect(tmp_path, OidcServer(false.url, CALLBACK), client_secret_env="")
        begun = provider.begin(CALLBACK)
        said = {"error": "server_error", "error_description": "<script>\r\nalert(1)" + "x" * 5000}
        with pytest.raises(NotLetIn) as caught:
            provider.finish(begun.data, said | {"state": begun.data["state"]}, CALLBACK)
    assert '"<script> alert(1)xxx' in str(caught.value)
    assert len(str(caught.value)) < 400


def test_discovery_is_asked_for_once(server: OidcServer, tmp_path: Path) -> None:
    with liar(tmp_path) as (false, _):
        provider = connect(tmp_path, OidcServer(false.url, CALLBACK), client_secret_env="")
        first = provider.begin(CALLBACK)
        false.discovery = {"issuer": "https://evil.example"}
        second = provider.begin(CALLBACK)
    assert first.data["state"] != second.data["state"]
    assert urlencode({"client_id": CLIENT}) in second.url
