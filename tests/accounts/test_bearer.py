"""JSON web tokens: one way to be right, and the many that are not."""

from __future__ import annotations

import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, RSAKey

from accounts.bearer import JwtBearers
from accounts.gate import Borne
from accounts.providers.declaration import read_provider
from accounts.providers.keyset import KEPT_S, Keys
from accounts.providers.kinds import JwtProvider
from dali.errors import AuthenticationError, ServiceUnavailable
from tests.support.accounts import parts_of
from tests.support.listening import listening
from tests.support.service import make_service

NOW = 1_800_000_000
SIMPLE = st.none() | st.booleans() | st.integers()
ISSUER, AUDIENCE = "https://sso.example.org", "https://cutouts.example.org"
RSA, OTHER = RSAKey.generate_key(2048, {"kid": "one"}), RSAKey.generate_key(2048, {"kid": "one"})
EC = ECKey.generate_key("P-256", {"kid": "two"})
SHARED = OctKey.generate_key(256, {"kid": "shared"})
HEADER = {"alg": "RS256", "typ": "at+jwt", "kid": "one"}
CLAIMS = {"iss": ISSUER, "aud": AUDIENCE, "sub": "248289761001", "iat": NOW, "exp": NOW + 300}
DECLARATION = """
kind = "jwt"
label = "sso"
title = "Single sign-on"
issuer = "{issuer}"
audience = ["{audience}", "https://other.example.org"]
{keys}
algorithms = ["RS256", "ES256"]
{more}
"""


def key_set() -> str:
    public = [RSA.as_dict(private=False), EC.as_dict(private=False), SHARED.as_dict()]
    return json.dumps({"keys": public})


def declared(folder: Path, more: str = "", keys: str = "") -> JwtProvider:
    (folder / "keys.json").write_text(key_set())
    keys = keys or f'jwks_file = "{folder}/keys.json"'
    text = DECLARATION.format(issuer=ISSUER, audience=AUDIENCE, keys=keys, more=more)
    (folder / "sso.toml").write_text(text)
    provider = read_provider(folder / "sso.toml")
    assert isinstance(provider, JwtProvider)
    return provider


@pytest.fixture(scope="module")
def bearers(tmp_path_factory: pytest.TempPathFactory) -> JwtBearers:
    return JwtBearers([declared(tmp_path_factory.mktemp("sso"))], now=lambda: NOW)


def signed(claims: Mapping[str, Any] = CLAIMS, header: Mapping[str, Any] = HEADER, key: Any = RSA) -> str:
    registry = jws.JWSRegistry(algorithms=[header["alg"]], strict_check_header=False)
    return jws.serialize_compact(dict(header), json.dumps(claims), key, registry=registry)


def unsigned(header: Mapping[str, Any], claims: Mapping[str, Any] = CLAIMS, signature: str = "") -> str:
    parts = (urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (header, claims))
    return f"{'.'.join(parts)}.{signature}"


def test_whom_it_names(bearers: JwtBearers) -> None:
    borne = bearers.read(signed())
    assert (borne.identity.name, borne.identity.kind) == ("sso:248289761001", "person")
    assert borne.scopes == {"read", "submit"}
    assert bearers.read(signed(header=HEADER | {"alg": "ES256", "kid": "two"}, key=EC)) == borne
    assert bearers.read(signed(CLAIMS | {"aud": ["https://x.example", AUDIENCE]})) == borne
    assert bearers.read(signed(header=HEADER | {"typ": "application/AT+JWT"})) == borne


def test_a_client_that_is_nobody_is_a_service(bearers: JwtBearers) -> None:
    claims = {key: value for key, value in CLAIMS.items() if key != "sub"} | {"client_id": "pipeline"}
    for more in ({}, {"sub": "pipeline"}):
        borne = bearers.read(signed(claims | more))
        assert (borne.identity.name, borne.identity.kind) == ("sso:pipeline", "service")


def by_hand(header: Mapping[str, Any], sign: Callable[[bytes], bytes]) -> str:
    """Sign what the library would not."""
    start = unsigned(header).rpartition(".")[0]
    return f"{start}.{urlsafe_b64encode(sign(start.encode())).decode().rstrip('=')}"


def with_shared_key() -> str:
    """Sign with the public key as if it were a secret that both sides have."""
    pem: bytes = RSA.as_pem(private=False)
    return by_hand(HEADER | {"alg": "HS256"}, lambda text: hmac.digest(pem, text, "sha256"))


def with_crit() -> str:
    """Sign a header that says that something must be understood which nobody knows."""
    header = HEADER | {"crit": ["x-much"], "x-much": 1}
    return by_hand(header, lambda text: RSA.private_key.sign(text, PKCS1v15(), SHA256()))


def altered(text: str) -> str:
    head, body, signature = text.split(".")
    return f"{head}.{body}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"


WRONG: dict[str, Callable[[], str]] = {
    "none": lambda: unsigned(HEADER | {"alg": "none"}),
    "None": lambda: unsigned(HEADER | {"alg": "None"}),
    "none with a signature": lambda: unsigned(HEADER | {"alg": "none"}, signature=signed().split(".")[2]),
    "no signature": lambda: signed().rpartition(".")[0] + ".",
    "altered signature": lambda: altered(signed()),
    "the public key as a secret": with_shared_key,
    "a secret of the key set": lambda: signed(header=HEADER | {"alg": "HS256", "kid": "shared"}, key=SHARED),
    "an algorithm that is not believed": lambda: signed(header=HEADER | {"alg": "RS512"}),
    "an algorithm of another kind of key": lambda: unsigned(HEADER | {"alg": "ES256"}, signature="AAAA"),
    "no algorithm": lambda: unsigned({"typ": "at+jwt", "kid": "one"}, signature="AAAA"),
    "a key of somebody else": lambda: signed(key=OTHER),
    "a key it brings along": lambda: signed(header=HEADER | {"jwk": OTHER.as_dict(private=False)}, key=OTHER),
    "a key at its own address": lambda: signed(header=HEADER | {"jku": "http://127.0.0.1:1/x"}, key=OTHER),
    "a certificate it brings along": lambda: signed(
        header=HEADER | {"x5u": "http://127.0.0.1:1/"}, key=OTHER
    ),
    "kid: a path": lambda: signed(header=HEADER | {"kid": "../../../../dev/null"}, key=OTHER),
    "kid: SQL": lambda: signed(header=HEADER | {"kid": "x' UNION SELECT 'one"}),
    "kid: unknown": lambda: signed(header=HEADER | {"kid": "three"}),
    "kid: another key": lambda: signed(header=HEADER | {"kid": "two"}),
    "kid: a number": lambda: unsigned(HEADER | {"kid": 1}, signature=signed().split(".")[2]),
    "kid: a list": lambda: unsigned(HEADER | {"kid": ["one"]}, signature=signed().split(".")[2]),
    "kid: none of several": lambda: signed(header={"alg": "RS256", "typ": "at+jwt"}),
    "crit": with_crit,
    "wrong iss": lambda: signed(CLAIMS | {"iss": "https://evil.example"}),
    "iss with a slash": lambda: signed(CLAIMS | {"iss": f"{ISSUER}/"}),
    "iss: a list": lambda: signed(CLAIMS | {"iss": [ISSUER]}),
    "no iss": lambda: signed({**CLAIMS, "iss": None}),
    "wrong aud": lambda: signed(CLAIMS | {"aud": "https://evil.example"}),
    "aud: a part": lambda: signed(CLAIMS | {"aud": AUDIENCE[:-1]}),
    "no aud": lambda: signed({**CLAIMS, "aud": None}),
    "aud: nobody": lambda: signed({**CLAIMS, "aud": []}),
    "typ of another token": lambda: signed(header=HEADER | {"typ": "JWT"}),
    "no typ": lambda: signed(header={"alg": "RS256", "kid": "one"}),
    "expired": lambda: signed(CLAIMS | {"exp": NOW - 30}),
    "exp: never": lambda: signed({**CLAIMS, "exp": None}),
    "exp: a text": lambda: signed(CLAIMS | {"exp": str(NOW + 300)}),
    "exp: no number": lambda: signed(CLAIMS | {"exp": float("nan")}),
    "not yet valid": lambda: signed(CLAIMS | {"nbf": NOW + 31}),
    "issued later": lambda: signed(CLAIMS | {"iat": NOW + 31}),
    "no sub": lambda: signed({**CLAIMS, "sub": None}),
    "sub: empty": lambda: signed(CLAIMS | {"sub": ""}),
    "sub: a number": lambda: signed(CLAIMS | {"sub": 7}),
    "sub: two lines": lambda: signed(CLAIMS | {"sub": "a\nb"}),
    "sub: too long": lambda: signed(CLAIMS | {"sub": 256 * "a"}),
    "claims: a list": lambda: jws.serialize_compact(dict(HEADER), "[]", RSA, algorithms=["RS256"]),
    "claims: no JSON": lambda: jws.serialize_compact(dict(HEADER), "hello", RSA, algorithms=["RS256"]),
    "too long": lambda: signed(CLAIMS | {"x": 9000 * "x"}),
    "two dots": lambda: "..",
    "five parts": lambda: f"{signed()}.a.b",
    "nothing": lambda: "",
    "not ASCII": lambda: "é.é.é",
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_valid_is_refused(bearers: JwtBearers, name: str) -> None:
    text = WRONG[name]()
    with pytest.raises(AuthenticationError) as caught:
        bearers.read(text)
    assert not text or text not in str(caught.value)


def test_clocks_may_differ_a_little(bearers: JwtBearers) -> None:
    for claims in ({"exp": NOW - 29}, {"nbf": NOW + 30}, {"iat": NOW + 30}):
        assert bearers.read(signed(CLAIMS | claims)).identity.subject == "248289761001"


@settings(deadline=None)
@given(
    st.text(alphabet="ABCabc019-_.=", max_size=60) | st.binary(max_size=60).map(lambda b: b.decode("latin-1"))
)
def test_whatever_is_sent_is_refused(bearers: JwtBearers, text: str) -> None:
    with pytest.raises(AuthenticationError):
        bearers.read(text)


@settings(deadline=None)
@given(
    header=st.dictionaries(
        st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "x5c"]),
        st.none()
        | st.booleans()
        | st.integers()
        | st.sampled_from(["RS256", "one", "at+jwt", "none"])
        | st.lists(st.text()),
    ),
    claims=st.dictionaries(
        st.sampled_from(["iss", "aud", "exp", "sub", "nbf"]),
        st.none()
        | st.integers()
        | st.floats()
        | st.sampled_from([ISSUER, AUDIENCE])
        | st.lists(st.integers()),
    ),
)
def test_whatever_it_says_without_a_signature_it_is_refused(
    bearers: JwtBearers, header: dict[str, Any], claims: dict[str, Any]
) -> None:
    with pytest.raises(AuthenticationError):
        bearers.read(unsigned(header, claims, "AAAA"))


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({}, set()),
        ({"scope": "openid cut:read"}, {"read"}),
        ({"scope": "cut:read cut:submit"}, {"read", "submit"}),
        ({"scp": ["cut:submit"]}, {"submit"}),
        ({"scope": "read submit admin"}, set()),
    ],
)
def test_scopes_are_those_it_has_there(tmp_path: Path, claims: dict[str, Any], scopes: set[str]) -> None:
    more = '[scopes]\nread = "cut:read"\nsubmit = "cut:submit"\nadmin = "cut:admin"'
    bearers = JwtBearers([declared(tmp_path, more)], now=lambda: NOW)
    assert bearers.read(signed(CLAIMS | claims)).scopes == scopes


def test_groups_have_their_names_here(tmp_path: Path) -> None:
    bearers = JwtBearers([declared(tmp_path, '[groups.names]\n"/there" = "here"')], now=lambda: NOW)
    for groups in (["/there", "/other", 7], "/there /other"):
        assert bearers.read(signed(CLAIMS | {"groups": groups})).identity.groups == {"here"}
    assert bearers.read(signed(CLAIMS | {"groups": []})).identity.groups == frozenset()
    assert bearers.read(signed()).identity.groups is None  # it says nothing of them, and takes none away


def test_claims_that_must_be(tmp_path: Path) -> None:
    bearers = JwtBearers([declared(tmp_path, '[require]\nidp = ["a", "b"]')], now=lambda: NOW)
    assert bearers.read(signed(CLAIMS | {"idp": "a"})).identity.provider == "sso"
    for wrong in ({}, {"idp": "c"}, {"idp": 1}):
        with pytest.raises(AuthenticationError, match="claim idp"):
            bearers.read(signed(CLAIMS | wrong))


def test_a_new_key_is_asked_for_but_not_for_every_token(tmp_path: Path) -> None:
    clock = [0.0]
    provider = declared(tmp_path)
    keys = Keys.of(provider, clock=lambda: clock[0])
    (tmp_path / "keys.json").write_text('{"keys": []}')
    with pytest.raises(ServiceUnavailable):
        keys.find("one")
    (tmp_path / "keys.json").write_text(key_set())
    with pytest.raises(ServiceUnavailable):
        keys.find("one")  # it has just been asked
    clock[0] = 60.0
    assert keys.find("one") is not None
    assert keys.find("shared") is None
    assert keys.find(None) is None
    (tmp_path / "keys.json").unlink()
    clock[0] = 60.0 + KEPT_S
    assert keys.find("one") is not None  # what was told before still holds


def test_keys_are_asked_for_once_by_many(tmp_path: Path) -> None:
    asked: list[str] = []

    def answer(environ: Any, start_response: Any) -> list[bytes]:
        asked.append(environ["PATH_INFO"])
        start_response("200 OK", [])
        return [key_set().encode()]

    with listening(answer) as url:
        provider = declared(tmp_path, keys=f'jwks_url = "{url}/keys"')
        bearers, start = JwtBearers([provider], now=lambda: NOW), Barrier(8)
        read: list[Borne] = []

        def ask() -> None:
            start.wait()
            read.append(bearers.read(signed()))

        threads = [Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert asked == ["/keys"]
    assert len(read) == 8


def test_over_http(tmp_path: Path) -> None:
    declared(tmp_path)
    environ = {"FOUNTAIN_ACCOUNTS__PROVIDERS": str(tmp_path / "sso.toml")}
    app = make_service(tmp_path / "service", environ)
    client: FlaskClient = app.test_client()
    claims = CLAIMS | {
        "iat": int(time.time()),
        "exp": int(time.time()) + 300,
        "name": "Ada",
        "email": "a@b.c",
    }
    headers = {"Authorization": f"Bearer {signed(claims)}"}
    assert client.get("/healthz", headers=headers).headers["X-VO-Authenticated"] == "sso:248289761001"
    account = parts_of(app).people.get("sso:248289761001")
    assert account is not None
    assert (account.title, account.email, account.kind) == ("Ada", "a@b.c", "person")
    for name in WRONG:
        sent = {"Authorization": f"Bearer {WRONG[name]()}"}
        assert client.get("/healthz", headers=sent).status_code == 401, name
