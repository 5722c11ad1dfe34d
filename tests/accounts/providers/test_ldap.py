"""Signing in with a directory: a real OpenLDAP judges."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from accounts.people import Identity
from accounts.providers.answers import ProviderAway
from accounts.providers.declaration import read_provider
from accounts.providers.kinds import LdapProvider
from accounts.providers.ldap import Directory
from tests.support.slapd import ADMIN_PASSWORD, GROUPS, PEOPLE, SUFFIX, Slapd, declaration, slapd

Connect = Callable[..., Directory]


@pytest.fixture
def connect(directory_server: Slapd, tmp_path: Path) -> Iterator[Connect]:
    """Give a function that makes directories, by lines that their declarations have instead of the usual."""
    made = []

    def make(server: Slapd = directory_server, password: str = ADMIN_PASSWORD, **changes: str) -> Directory:
        path = tmp_path / "ldap.toml"
        path.write_text(declaration(server, **changes), encoding="utf-8")
        provider = read_provider(path, {"SLAPD_PASSWORD": password})
        assert isinstance(provider, LdapProvider)
        made.append(Directory(provider))
        return made[-1]

    yield make
    for directory in made:
        directory.close()


def test_the_right_password_tells_who_it_is(connect: Connect) -> None:
    assert connect().ask("alice", "alicepw") == Identity(
        "institute", "alice", "Alice Ångström", "alice@soda.test", frozenset(("survey-x", "staff"))
    )


def test_the_name_is_that_of_the_entry_and_not_what_was_typed(connect: Connect) -> None:
    known = connect().ask("ALICE", "alicepw")
    assert known is not None
    assert known.subject == "alice"


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("alice", "wrong"),
        ("alice", ""),
        ("", "alicepw"),
        ("", ""),
        ("*", "alicepw"),
        ("al*", "alicepw"),
        ("alice)(uid=*", "alicepw"),
        ("*)(|(uid=*", "alicepw"),
        ("alice)(objectClass=*))(&(uid=alice", "alicepw"),
        ("alice\0", "alicepw"),
        ("\\61lice", "alicepw"),
        ("nobody", "alicepw"),
        (f"uid=alice,{PEOPLE}", "alicepw"),
        ("alice,ou=people", "alicepw"),
        ("locked", ""),
        ("locked", "anything"),
        ("alice", "alicepw\0"),
        ("a" * 256, "alicepw"),
        ("alice", "p" * 1025),
        ("élise", "naïve"),
    ],
)
def test_everything_else_is_nobody(name: str, password: str, connect: Connect) -> None:
    assert connect().ask(name, password) is None


def test_two_entries_of_one_name_are_nobody(connect: Connect) -> None:
    assert connect().ask("twin", "twinpw") is None


def test_where_one_is_out_of_scope_there_are_not_two(connect: Connect) -> None:
    known = connect(**{"people.scope": '"level"'}).ask("twin", "twinpw")
    assert known is not None
    assert known.title == "Twin One"


def test_two_values_of_what_names_an_account_are_nobody(connect: Connect) -> None:
    assert connect().ask("deux", "twopw") is None
    known = connect(**{"people.subject": '"entryUUID"'}).ask("deux", "twopw")
    assert known is not None
    assert len(known.subject) == 36


def test_referrals_are_not_followed(connect: Connect) -> None:
    # A search beneath people meets one each time; where the base is one, there is nobody.
    assert connect().ask("bob", "bobpw") is not None
    assert connect(**{"people.base": f'"ou=moved,{SUFFIX}"'}).ask("bob", "bobpw") is None


def test_groups_are_named_as_declared(connect: Connect) -> None:
    named = connect(**{"groups.take": "", "groups.names": '{"survey-x" = "x-members"}'}).ask(
        "alice", "alicepw"
    )
    assert named is not None
    assert named.groups == {"x-members"}
    without = connect(**{"groups.base": ""}).ask("alice", "alicepw")
    assert without is not None
    assert without.groups == frozenset()


def test_groups_of_unix_hold_names(connect: Connect) -> None:
    changes = {
        "groups.filter": '"(objectClass=posixGroup)"',
        "groups.member": '"memberUid"',
        "groups.members": '"login"',
    }
    known = connect(**changes).ask("bob", "bobpw")
    assert known is not None
    assert known.groups == {"unix"}


def test_people_may_name_their_groups_themselves(connect: Connect) -> None:
    # Any attribute with DNs will do: memberOf needs an overlay of the server.
    known = connect(**{"groups.base": "", "people.member_of": '"entryDN"'}).ask("alice", "alicepw")
    assert known is not None
    assert known.groups == {"alice"}


@pytest.mark.parametrize("scheme", ["ldap", "ldaps"])
def test_certificates_are_checked(scheme: str, connect: Connect, directory_server: Slapd) -> None:
    url = directory_server.url if scheme == "ldap" else directory_server.tls_url
    assert connect(urls=f'["{url}"]').ask("alice", "alicepw") is not None
    with pytest.raises(ProviderAway):  # it is not known to the system
        connect(urls=f'["{url}"]', ca_file="").ask("alice", "alicepw")
    with pytest.raises(ProviderAway):  # it is of another host
        connect(urls=f'["{url.replace("localhost", "127.0.0.1")}"]').ask("alice", "alicepw")


def test_without_tls_if_that_is_said(connect: Connect) -> None:
    assert connect(tls='"none"', ca_file="").ask("alice", "alicepw") is not None


def test_the_next_server_is_asked(connect: Connect, directory_server: Slapd) -> None:
    urls = f'["ldap://localhost:1", "{directory_server.url}"]'
    assert connect(urls=urls).ask("alice", "alicepw") is not None


def test_a_directory_that_does_not_know_this_service_is_away(connect: Connect) -> None:
    with pytest.raises(ProviderAway):
        connect(password="wrong").ask("alice", "alicepw")


@pytest.mark.faults
def test_a_directory_that_is_down_or_hangs_is_away_in_time(connect: Connect) -> None:
    with slapd() as server:
        directory = connect(server)
        assert directory.ask("alice", "alicepw") is not None
        server.freeze()
        began = time.monotonic()
        with pytest.raises(ProviderAway):
            directory.ask("alice", "alicepw")
        hung_s = time.monotonic() - began
        server.thaw()
        assert directory.ask("alice", "alicepw") is not None
        server.stop()
        with pytest.raises(ProviderAway):
            directory.ask("alice", "alicepw")
        server.start()
        assert directory.ask("alice", "alicepw") is not None
    # What is promised, and not how quick this machine is.
    assert hung_s < 3


def test_a_server_that_speaks_something_else_is_away(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ProviderAway):
            connect(urls=f'["ldap://127.0.0.1:{port}"]').ask("alice", "alicepw")


def test_somebody_unknown_costs_the_server_what_a_wrong_password_does(tmp_path: Path) -> None:
    with slapd() as server:
        path = tmp_path / "ldap.toml"
        path.write_text(declaration(server), encoding="utf-8")
        provider = read_provider(path, {"SLAPD_PASSWORD": ADMIN_PASSWORD})
        assert isinstance(provider, LdapProvider)
        directory = Directory(provider)
        asked = []
        for name in ("alice", "nobody"):
            before = server.operations()
            assert directory.ask(name, "wrong") is None
            asked.append({kind: count - before[kind] for kind, count in server.operations().items()})
        directory.close()
    assert asked[0] == asked[1]
    assert asked[0]["Bind"] >= 2


def test_groups_are_asked_of_the_base(connect: Connect) -> None:
    known = connect(**{"groups.base": f'"cn=staff,{GROUPS}"'}).ask("alice", "alicepw")
    assert known is not None
    assert known.groups == {"staff"}
