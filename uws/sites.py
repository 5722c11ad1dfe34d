"""Hosts that settings list, and connections to these alone.

An entry of such a list is a host, or host:port, for https; with ``http://`` before it, for http. An address
that is not of the public internet must be listed itself.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from urllib.parse import SplitResult, urlsplit

#: To connect, and between two pieces.
SILENCE_S = 10.0
MAX_URL_LENGTH = 2000
#: What the service says that it is.
AGENT = "SodaFountain"

_PORTS = {"https": 443, "http": 80}
#: Networks whose addresses have one of version 4 at their end: behind gateways, and of old.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_OLD_V6 = ipaddress.IPv6Network("::/96")


@dataclass(frozen=True, slots=True)
class Site:
    """Where a URL leads."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"


class NotListed(Exception):
    """The settings do not list a site."""

    def __init__(self, site: Site) -> None:
        super().__init__(str(site))
        self.site = site


class NotPublic(Exception):
    """A host has an address that is not of the public internet, and that the settings do not list."""

    def __init__(self, site: Site) -> None:
        super().__init__(str(site))
        self.site = site


def site_of(entry: str) -> Site:
    """Read an entry of the settings.

    Raises
    ------
    ValueError
        If it is none.
    """
    if entry.count(":") > 1 and "[" not in entry and "://" not in entry:
        entry = f"[{entry}]"  # an address of version 6
    parts = urlsplit(entry if "://" in entry else f"https://{entry}")
    site = _site(parts)
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("a host has no path")
    return site


def target(url: str, hosts: Collection[str]) -> Site:
    """Tell where a URL leads, which must be listed.

    Raises
    ------
    ValueError
        If it is no URL.
    NotListed
        If `hosts` do not have it.
    """
    if len(url) > MAX_URL_LENGTH or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("no URL")
    site = _site(urlsplit(url))
    if site not in {site_of(entry) for entry in hosts}:
        raise NotListed(site)
    return site


@contextmanager
def connected(site: Site, hosts: Collection[str], end: float) -> Iterator[socket.socket]:
    """Connect to the very address that was looked at: a name may lead elsewhere the next time.

    The connection is cut at the moment `end`: whoever sends a byte now and then would never be silent.

    Raises
    ------
    NotPublic
        If it has such an address, and that is not listed.
    OSError
        If there is no connection.
    """
    address = _address(site, hosts)
    with socket.create_connection((address, site.port), SILENCE_S) as raw, raw.dup() as same:
        timer = threading.Timer(max(end - time.monotonic(), 0.0), _cut, (same,))
        timer.start()
        try:
            yield raw
        finally:
            timer.cancel()
            timer.join()


@contextmanager
def asked(
    url: str,
    site: Site,
    raw: socket.socket,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Iterator[HTTPResponse]:
    """Ask for a URL over a connection to its site: GET, or POST where there is a body."""
    connection: HTTPConnection
    if site.scheme == "https":
        context = ssl.create_default_context()
        connection = HTTPSConnection(site.host, site.port, timeout=SILENCE_S, context=context)
        connection.sock = context.wrap_socket(raw, server_hostname=site.host)
    else:
        connection = HTTPConnection(site.host, site.port, timeout=SILENCE_S)
        connection.sock = raw
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    told = {"Accept-Encoding": "identity", "User-Agent": AGENT, **(headers or {})}
    with closing(connection):
        connection.request("GET" if body is None else "POST", path, body, told)
        with closing(connection.getresponse()) as response:
            yield response


def is_public(text: str) -> bool:
    """Whether an address is of the public internet, and so is one of version 4 that is written in it."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address in _OLD_V6 or address.is_site_local:
            return False
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return address.is_global and not address.is_multicast


def _site(parts: SplitResult) -> Site:
    if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None:
        raise ValueError("no URL of a host")
    return Site(parts.scheme, parts.hostname.rstrip("."), parts.port or _PORTS[parts.scheme])


def _address(site: Site, hosts: Collection[str]) -> str:
    """Find the address of a host; all it has must be of the public internet, or be listed."""
    listed = {site_of(entry).host for entry in hosts}
    try:
        known = socket.getaddrinfo(site.host, site.port, type=socket.SOCK_STREAM)
    except UnicodeError as fault:  # a label that is no name
        raise OSError("no host has such a name") from fault
    found = [str(info[4][0]) for info in known]
    if any(address not in listed and not is_public(address) for address in found):
        raise NotPublic(site)
    return found[0]


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):  # the other side has ended it
        connection.shutdown(socket.SHUT_RDWR)
