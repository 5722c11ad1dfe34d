"""Addresses of clients: which are of one client, and which are within networks that settings name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

#: Networks of one client: providers give each a whole one.
_IPV6_BITS = 64


def _read(address: str) -> IPv4Address | IPv6Address | None:
    """Read an address; one of IPv4 is so in either spelling (RFC 4291, section 2.5.5.2)."""
    try:
        found = ip_address(address)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """Name the client behind an address: by the address, or by its network of 64 bits (IPv6)."""
    found = _read(address)
    if isinstance(found, IPv6Address):
        return str(ip_network((int(found) >> _IPV6_BITS << _IPV6_BITS, _IPV6_BITS)))
    return address if found is None else str(found)


def within(networks: Iterable[str]) -> Callable[[str], bool]:
    """Give what tells whether an address is in one of some networks; what is no address is in none."""
    known = tuple(ip_network(network) for network in networks)

    @lru_cache(maxsize=4096)
    def is_within(address: str) -> bool:
        found = _read(address)
        return found is not None and any(found in network for network in known)

    return is_within
