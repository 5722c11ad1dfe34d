"""One function says who may do what; what it does not know is forbidden."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from accounts.rights import Action, Belonging, Data, Service, Thing, can
from dali.caller import ANONYMOUS, Caller

NOW = datetime(2026, 7, 1, tzinfo=UTC)
ANN, BOB = Caller("ldap:ann", groups=frozenset({"team"})), Caller("ldap:bob")
ADMIN = Caller("ldap:root", is_admin=True)
EVERYBODY = (ANONYMOUS, ANN, BOB, ADMIN)
A_SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("data", "readers"),
    [
        (Data(public=True), EVERYBODY),
        (Data(), (ADMIN,)),
        (Data(groups=frozenset({"team"})), (ANN, ADMIN)),
        (Data(users=frozenset({"ldap:bob"})), (BOB, ADMIN)),
        (Data(users=frozenset({""})), (ADMIN,)),
        (Data(users=frozenset({"LDAP:bob", "bob", "oidc:bob"})), (ADMIN,)),
        (Data(until=NOW), EVERYBODY),
        (Data(until=NOW + A_SECOND), (ADMIN,)),
        (Data(groups=frozenset({"team"}), until=NOW + A_SECOND), (ANN, ADMIN)),
    ],
)
def test_who_reads_data(data: Data, readers: tuple[Caller, ...]) -> None:
    assert tuple(who for who in EVERYBODY if can(who, "read", data, NOW)) == readers


@pytest.mark.parametrize(
    ("thing", "see", "change"),
    [
        (Belonging("ldap:bob"), (BOB, ADMIN), (BOB,)),
        (Belonging("ldap:bob", frozenset({"team"})), (ANN, BOB, ADMIN), (BOB,)),
        (Belonging(""), EVERYBODY, EVERYBODY),  # whoever knows its address
        (Belonging("oidc:bob"), (ADMIN,), ()),  # administration, which writes it down, changes it
        (Belonging("ldap:root"), (ADMIN,), (ADMIN,)),
    ],
)
def test_whose_things_are(thing: Belonging, see: tuple[Caller, ...], change: tuple[Caller, ...]) -> None:
    assert tuple(who for who in EVERYBODY if can(who, "see", thing, NOW)) == see
    assert tuple(who for who in EVERYBODY if can(who, "change", thing, NOW)) == change


@pytest.mark.parametrize("action", get_args(Action))
@pytest.mark.parametrize("thing", [Data(public=True), Belonging(""), Service()])
def test_everything_else_is_forbidden(action: Action, thing: Thing) -> None:
    known = {("read", Data), ("see", Belonging), ("change", Belonging)}
    assert can(BOB, action, thing, NOW) is ((action, type(thing)) in known)
    assert can(ADMIN, action, thing, NOW) is (action != "change" or type(thing) is Belonging)
