"""Priority classes of callers."""

from __future__ import annotations

import pytest

from accounts.tiers import PrioritySettings, Tiers, problems
from dali.caller import ANONYMOUS, TIERS, Caller

SETTINGS = PrioritySettings(
    system=("user:local:pipeline",),
    internal=("group:staff",),
    priority=("group:collaboration", "user:ldap:ada"),
    shares=("group:staff=2", "user:ldap:ada=5", "group:collaboration=0.5"),
)


@pytest.mark.parametrize(
    ("name", "groups", "tier", "share"),
    [
        ("local:pipeline", (), "system", 1.0),
        ("ldap:bob", ("staff", "collaboration"), "internal", 2.0),
        ("ldap:ada", (), "priority", 5.0),
        ("ldap:ada", ("staff",), "internal", 5.0),
        ("oidc:cid", ("collaboration",), "priority", 0.5),
        ("oidc:cid", ("others", "user:ldap:ada", "group:staff"), "user", 1.0),
        ("staff", (), "user", 1.0),
        ("", ("staff",), "anonymous", 1.0),
    ],
)
def test_the_best_class_and_the_largest_share_count(
    name: str, groups: tuple[str, ...], tier: str, share: float
) -> None:
    placed = Tiers(SETTINGS).place(Caller(name, groups=frozenset(groups)))
    assert (placed.tier, placed.share) == (tier, share)
    assert TIERS[placed.rank] == tier


def test_who_is_known_goes_before_who_is_not() -> None:
    assert Caller("ada").rank < ANONYMOUS.rank


@pytest.mark.parametrize(
    ("key", "entry"),
    [
        ("system", "staff"),
        ("internal", "group:"),
        ("priority", "role:admin"),
        ("shares", "group:staff"),
        ("shares", "group:staff=much"),
        ("shares", "group:staff=0"),
        ("shares", "group:staff=nan"),
        ("shares", "staff=2"),
    ],
)
def test_what_is_no_entry_is_named(key: str, entry: str) -> None:
    none: dict[str, tuple[str, ...]] = {"system": (), "internal": (), "priority": (), "shares": ()}
    settings = PrioritySettings(**{**none, key: (entry,)})
    assert list(problems(settings)) == [(key, entry)]
    with pytest.raises(ValueError, match=entry):
        Tiers(settings)
