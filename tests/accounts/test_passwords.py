"""Names and passwords that scripts send (HTTP Basic): a real directory judges, and is not asked each time."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import Engine
from werkzeug.test import TestResponse

from accounts.passwords import KEPT_S, LEAST_S, Passwords
from accounts.providers.declaration import read_provider
from accounts.providers.kinds import LdapProvider
from accounts.providers.ldap import Directory
from accounts.throttle import Throttle
from config.accounts import AccountParts
from dali.errors import AuthenticationError, ServiceUnavailable, TooManyRequests
from tests.support.accounts import MAKER, parts_of, somebody
from tests.support.service import make_service
from tests.support.slapd import ADMIN_PASSWORD, Slapd, declaration, slapd

HERE = "192.0.2.1"


@pytest.fixture(scope="module")
def ldap() -> Iterator[Slapd]:
    with slapd() as found:
        yield found


def declared(folder: Path, server: Slapd, label: str = "institute", **changes: str) -> Path:
    (folder / "password").write_text(ADMIN_PASSWORD)
    password = {"bind_password_env": "", "bind_password_file": f'"{folder / "password"}"'}
    path = folder / f"{label}.toml"
    path.write_text(declaration(server, label, **password, **changes), encoding="utf-8")
    return path


class Time:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def passwords(
    ldap: Slapd, engine: Engine, parts: AccountParts, clock: Time, tmp_path: Path
) -> Iterator[Passwords]:
    """Of one directory."""
    provider = read_provider(declared(tmp_path, ldap))
    assert isinstance(provider, LdapProvider)
    directory = Directory(provider)
    throttle = Throttle(engine, str, parts.audit, 5, 60)
    yield Passwords([directory], throttle, parts.people, 0.0, clock)
    directory.close()


def test_who_is_right_is_known(passwords: Passwords, parts: AccountParts) -> None:
    account = passwords.check("alice", "alicepw", HERE)
    assert (account.name, account.title) == ("institute:alice", "Alice Ångström")
    assert account.groups == {"survey-x", "staff"}
    assert parts.people.get("institute:alice") == account
    assert passwords.check("institute/alice", "alicepw", HERE) == account


@pytest.mark.parametrize("name", ["alice", "nobody", "*", "institute/", "elsewhere/alice", "a/b/c"])
def test_everybody_else_is_told_the_same(name: str, passwords: Passwords) -> None:
    with pytest.raises(AuthenticationError) as caught:
        passwords.check(name, "wrong", HERE)
    assert str(caught.value) == "name and password do not fit"


def test_a_minute_long_the_directory_is_not_asked_again(
    passwords: Passwords, ldap: Slapd, clock: Time
) -> None:
    passwords.check("bob", "bobpw", HERE)
    ldap.set_password("bob", "another")
    try:
        clock.now = KEPT_S - 1
        passwords.check("bob", "bobpw", HERE)
        passwords.check("bob", "another", HERE)
        clock.now = KEPT_S + 1
        with pytest.raises(AuthenticationError):
            passwords.check("bob", "bobpw", HERE)
    finally:
        ldap.set_password("bob", "bobpw")


def test_what_was_right_says_nothing_of_what_was_wrong(passwords: Passwords) -> None:
    passwords.check("alice", "alicepw", HERE)
    for name, password in (("alice", "alicepw2"), ("alic", "ealicepw"), ("bob", "alicepw")):
        with pytest.raises(AuthenticationError):
            passwords.check(name, password, HERE)


def test_too_many_wait_and_who_is_known_does_not(passwords: Passwords) -> None:
    passwords.check("alice", "alicepw", HERE)
    for _ in range(5):
        with pytest.raises(AuthenticationError):
            passwords.check("alice", "wrong", HERE)
    with pytest.raises(TooManyRequests):
        passwords.check("alice", "another", HERE)
    assert passwords.check("alice", "alicepw", HERE).name == "institute:alice"
    assert passwords.check("bob", "bobpw", HERE).name == "institute:bob"


def test_somebody_unknown_is_told_so_after_the_time_of_a_wrong_password(
    ldap: Slapd, parts: AccountParts, engine: Engine, tmp_path: Path
) -> None:
    provider = read_provider(declared(tmp_path, ldap))
    assert isinstance(provider, LdapProvider)
    directory = Directory(provider)
    passwords = Passwords([directory], Throttle(engine, str, parts.audit, 50, 60), parts.people)
    for name, password in (("alice", "wrong"), ("nobody", "wrong"), ("alice", "")):
        began = time.monotonic()
        with pytest.raises(AuthenticationError):
            passwords.sign_in("institute", name, password, HERE)
        # No answer comes earlier, whatever it took to find out.
        assert time.monotonic() - began >= LEAST_S
    directory.close()


def test_a_directory_that_is_away_is_nobodys_failure(
    parts: AccountParts, engine: Engine, tmp_path: Path
) -> None:
    with slapd() as server:
        provider = read_provider(declared(tmp_path, server))
        assert isinstance(provider, LdapProvider)
        directory = Directory(provider)
        passwords = Passwords([directory], Throttle(engine, str, parts.audit, 2, 60), parts.people, 0.0)
        server.stop()
        for _ in range(4):
            with pytest.raises(ServiceUnavailable, match="does not answer"):
                passwords.check("alice", "alicepw", HERE)
        server.start()
        assert passwords.check("alice", "alicepw", HERE).name == "institute:alice"
        directory.close()


@pytest.fixture(scope="module")
def service(ldap: Slapd, tmp_path_factory: pytest.TempPathFactory) -> Flask:
    folder = tmp_path_factory.mktemp("basic")
    path = declared(folder, ldap)
    return make_service(folder / "service", {"FOUNTAIN_ACCOUNTS__PROVIDERS": str(path)})


def ask(app: Flask, name: str, password: str, path: str = "/account") -> TestResponse:
    shown = b64encode(f"{name}:{password}".encode()).decode()
    return app.test_client().get(path, headers={"Authorization": f"Basic {shown}"})


def test_scripts_send_it_with_each_request(service: Flask) -> None:
    answer = ask(service, "alice", "alicepw")
    assert answer.status_code == 200
    told = answer.get_json()
    assert (told["account"], told["way"]) == ("institute:alice", "password")
    assert answer.headers["X-VO-Authenticated"] == "institute:alice"
    cutout = ask(service, "alice", "alicepw", "/sync?ID=ivo://example.org/fountain?tiny/g&CIRCLE=150 0 0.002")
    assert cutout.status_code == 200
    assert cutout.headers["X-VO-Authenticated"] == "institute:alice"


def test_wrong_ones_are_challenged(service: Flask) -> None:
    for name, password in (("alice", "wrong"), ("nobody", "wrong")):
        answer = ask(service, name, password)
        assert answer.status_code == 401
        assert answer.text.startswith("AuthenticationError: name and password do not fit.")
        challenges = answer.headers.getlist("WWW-Authenticate")
        assert any(challenge.startswith("Basic realm=") for challenge in challenges)
        assert any(challenge.startswith("ivoa_bearer ") and "/login" in challenge for challenge in challenges)


def test_disabled_accounts_stay_out_at_once(service: Flask) -> None:
    assert ask(service, "bob", "bobpw").status_code == 200
    people = parts_of(service).people
    people.change("institute:bob", disabled=True, by=MAKER)
    try:
        assert ask(service, "bob", "bobpw").status_code == 401
    finally:
        people.change("institute:bob", disabled=False, by=MAKER)


def test_a_token_may_stand_in_place_of_the_password(service: Flask) -> None:
    token = somebody(service, "pipeline")
    assert ask(service, "anything", token.text).get_json()["account"] == token.name


def test_where_passwords_are_typed_alone_scripts_send_none(ldap: Slapd, tmp_path: Path) -> None:
    path = declared(tmp_path, ldap, basic="false")
    app = make_service(tmp_path / "service", {"FOUNTAIN_ACCOUNTS__PROVIDERS": str(path)})
    answer = ask(app, "alice", "alicepw")
    assert answer.status_code == 401
    assert "takes no passwords" in answer.text
    assert not any(one.startswith("Basic") for one in answer.headers.getlist("WWW-Authenticate"))
