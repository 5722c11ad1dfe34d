"""Which addresses are of one client, and which are in networks that settings name."""

from __future__ import annotations

import pytest

from dali.addresses import network_of, within


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:0:1::7", "2001:db8:0:1::/64"),
        ("2001:DB8:0:1:ffff::", "2001:db8:0:1::/64"),
        ("", ""),
        ("a socket", "a socket"),
    ],
)
def test_whose_an_address_is(address: str, network: str) -> None:
    assert network_of(address) == network


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("::1", True),
        ("11.0.0.1", False),
        ("2001:db8::1", False),
        ("10.1", False),
        ("", False),
    ],
)
def test_what_is_within_networks(address: str, inside: bool) -> None:
    assert within(("10.0.0.0/8", "::1"))(address) is inside
