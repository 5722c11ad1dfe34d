"""Declarations of providers: what they may say, and what is said of those that are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

import config
from accounts.providers.declaration import read_provider, read_providers
from accounts.providers.keys import ProviderError
from accounts.providers.kinds import GroupNames, JwtProvider, LdapProvider, OidcProvider

EXAMPLES = sorted((Path(config.__file__).parent / "providers" / "examples").glob("*.toml"))
LDAP = """
kind = "ldap"
label = "institute"
title = "Institute"
urls = ["ldap://localhost:389"]
[people]
base = "ou=people,dc=example,dc=org"
"""
OIDC = """
kind = "oidc"
label = "sso"
title = "Single sign-on"
issuer = "https://sso.example.org"
client_id = "fountain"
"""
JWT = """
kind = "jwt"
label = "gateway"
title = "Gateway"
issuer = "https://sso.example.org"
audience = "https://cutouts.example.org"
jwks_url = "https://sso.example.org/jwks"
"""


def declared(folder: Path, text: str) -> Path:
    path = folder / "provider.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_right(path: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2\n")
    text = path.read_text(encoding="utf-8")
    for name in ("ldap", "cilogon", "sso"):
        text = text.replace(f"/run/secrets/{name}", str(secret))
    provider = read_provider(declared(tmp_path, text))
    assert provider.label
    assert "hunter2" not in repr(provider)
    assert provider.groups.names


def test_there_is_an_example_of_each_kind() -> None:
    assert {path.stem for path in EXAMPLES} == {"ldap", "cilogon", "oidc", "jwt"}


def test_what_is_not_said_has_the_usual_value(tmp_path: Path) -> None:
    ldap = read_provider(declared(tmp_path, LDAP))
    oidc = read_provider(declared(tmp_path, OIDC))
    jwt = read_provider(declared(tmp_path, JWT))
    assert isinstance(ldap, LdapProvider)
    assert (ldap.tls, ldap.login, ldap.subject, ldap.people_scope) == ("starttls", "uid", "uid", "subtree")
    assert isinstance(oidc, OidcProvider)
    assert (oidc.scopes, oidc.client_secret) == (("openid", "profile", "email"), "")
    assert isinstance(jwt, JwtProvider)
    assert (jwt.audience, jwt.types) == (("https://cutouts.example.org",), ("at+jwt", "application/at+jwt"))
    for provider in (oidc, jwt):
        assert provider.algorithms == ("RS256", "PS256", "ES256")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LDAP.replace('"ldap"', '"nis"'), "kind: expected one of ldap, oidc, jwt"),
        (LDAP.replace("institute", "local"), "label"),
        (LDAP.replace('"institute"', '"In:stitute"'), "label"),
        (LDAP.replace("ldap://localhost:389", "http://localhost"), "urls"),
        (
            LDAP.replace("[people]", "tsl = 'none'\n[people]"),
            "tsl: unknown key; the nearest",
        ),
        (LDAP.replace("[people]", "tls = 'maybe'\n[people]"), "tls: expected one of starttls, none"),
        (LDAP.replace("[people]", "bind_dn = 'cn=x'\n[people]"), "bind_dn"),
        (LDAP + "login = 'uid)(cn=*'\n", "people.login"),
        (LDAP + "filter = 'objectClass=person'\n", "people.filter"),
        (LDAP + "[groups]\ntake = 'some'\n", "groups.take"),
        (OIDC.replace("https", "http"), "issuer: expected an https URL"),
        (OIDC.replace("client_id", "clientid"), "this key is required; it has clientid, is that meant?"),
        (OIDC + "scopes = ['email']\n", "scopes"),
        (OIDC + "algorithms = ['none']\n", "algorithms"),
        (OIDC + "algorithms = ['HS256']\n", "algorithms"),
        (OIDC + "client_secret_env = 'NOWHERE'\n", "client_secret_env"),
        (OIDC + "client_secret_env = 'SAMPLE'\n", "not the sample"),
        (OIDC + "client_secret_file = '/nowhere'\n", "client_secret_file"),
        (OIDC + "client_secret = 'in the open'\n", "client_secret: unknown key"),
        (JWT + "jwks_file = 'keys.json'\n", "jwks_url: expected one of jwks_file and jwks_url"),
        (JWT + "[scopes]\nwrite = 'w'\n", "scopes"),
        (JWT + "leeway_s = 3000\n", "leeway_s"),
        ("kind = ", "not valid TOML"),
    ],
)
def test_what_is_wrong_is_named(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ProviderError) as caught:
        read_provider(declared(tmp_path, text), {"SAMPLE": "change-me"})
    assert said in str(caught.value)
    assert "in the open" not in str(caught.value)


def test_two_of_one_label_are_refused(tmp_path: Path) -> None:
    path = declared(tmp_path, LDAP)
    with pytest.raises(ProviderError, match="two providers have the label institute"):
        read_providers([path, path])


def test_an_issuer_has_one_label(tmp_path: Path) -> None:
    for name, text in (("oidc", OIDC), ("jwt", JWT), ("same", JWT.replace('"gateway"', '"sso"'))):
        (tmp_path / name).write_text(text, encoding="utf-8")
    read_providers([tmp_path / "oidc", tmp_path / "same"])
    for second in ("jwt", "oidc"):
        with pytest.raises(ProviderError, match="is declared twice"):
            read_providers([tmp_path / "oidc", tmp_path / second])


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match="cannot be read"):
        read_provider(tmp_path / "nowhere.toml")


def test_groups_are_those_that_are_named() -> None:
    found = ("survey-x-members", "everybody")
    assert GroupNames({"survey-x-members": "x"}).of(found) == {"x"}
    assert GroupNames({"survey-x-members": "x"}, take_all=True).of(found) == {"x", "everybody"}
