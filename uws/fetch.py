"""Fetches uploads that are named by a URL, from hosts that the settings list, and from nowhere else.

An entry of ``jobs.upload_hosts`` is a host, or host:port, for https; with ``http://`` before it, for http. An
address that is not of the public internet must be listed itself.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from dali.errors import ServiceUnavailable, UsageError, quoted
from dali.uploads import media_type_of, plain_file_name
from uws.jobtype import JobRefused

#: To connect, and between two pieces.
SILENCE_S = 10.0
LONGEST_S = 60.0
MOST_REDIRECTS = 3
CHUNK_BYTES = 1 << 18
RETRY_AFTER_S = 10
MAX_URL_LENGTH = 2000

_PORTS = {"https": 443, "http": 80}
#: Networks whose addresses have one of version 4 at their end: behind gateways, and of old.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_OLD_V6 = ipaddress.IPv6Network("::/96")
_REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was fetched."""

    path: Path
    file_name: str
    media_type: str
    size: int


@dataclass(frozen=True, slots=True)
class Site:
    """Where a URL leads."""

    scheme: str
    host: str
    port: int


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


def check_url(url: str, hosts: Collection[str]) -> None:
    """See whether a URL may be fetched, as far as that can be told from itself.

    Raises
    ------
    JobRefused
        If not; the sentence says why.
    """
    _target(url, hosts)


def fetch(
    url: str, hosts: Collection[str], path: Path, max_bytes: int, longest_s: float = LONGEST_S
) -> Fetched:
    """Fetch a file to a path, which is made, within so many seconds.

    Raises
    ------
    UsageError
        If it may not be fetched, is not there, or is too large.
    ServiceUnavailable
        If it cannot be fetched now.
    """
    end = time.monotonic() + longest_s
    first = _target(url, hosts)
    for _ in range(MOST_REDIRECTS + 1):
        site = _target(url, hosts)
        if site != first:
            raise JobRefused(
                f"UPLOAD is redirected to another host, {quoted(site.host)}", "Name its URL itself."
            )
        try:
            with _connected(site, hosts, end) as raw, _asked(url, site, raw) as response:
                if response.status in _REDIRECTS:
                    url = _joined(url, response.getheader("Location", ""))
                    continue
                _expect_file(response, site, max_bytes)
                size = _save(response, path, max_bytes, end)
                media_type = media_type_of(response.getheader("Content-Type"))
                return Fetched(path, _file_name(url), media_type, size)
        except (OSError, HTTPException) as fault:
            raise _away(site) from fault
    raise UsageError("UPLOAD is redirected again and again", "Name the URL of the file itself.", status=403)


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        return location  # it is no URL, and refused as that


def _target(url: str, hosts: Collection[str]) -> Site:
    try:
        if len(url) > MAX_URL_LENGTH or not url.isascii() or not url.isprintable() or " " in url:
            raise ValueError("no URL")
        site = _site(urlsplit(url))
    except ValueError:
        raise JobRefused(
            f"UPLOAD names {quoted(url)}, which is no https URL", "Write UPLOAD=name,https://host/path."
        ) from None
    if not hosts:
        raise JobRefused(
            "UPLOAD by URL is not taken here: this service fetches files from no host",
            "Send the file itself, as UPLOAD=name,param:t with a part t.",
        )
    if site not in {site_of(entry) for entry in hosts}:
        known = ", ".join(sorted(hosts))
        raise JobRefused(
            f"UPLOAD is not fetched from {site.scheme}://{site.host}:{site.port}",
            f"Files are fetched from {known}; or send the file itself, as UPLOAD=name,param:t with a part t.",
        )
    return site


def _site(parts: SplitResult) -> Site:
    if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None:
        raise ValueError("no URL of a host")
    return Site(parts.scheme, parts.hostname.rstrip("."), parts.port or _PORTS[parts.scheme])


@contextmanager
def _connected(site: Site, hosts: Collection[str], end: float) -> Iterator[socket.socket]:
    """Connect to the very address that was looked at: a name may lead elsewhere the next time.

    The connection is cut at the moment `end`: whoever sends a byte now and then would never be silent.
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


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):  # the other side has ended it
        connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def _asked(url: str, site: Site, raw: socket.socket) -> Iterator[HTTPResponse]:
    """Ask for a file."""
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
    headers = {"Accept-Encoding": "identity", "User-Agent": "SodaFountain"}
    with closing(connection):
        connection.request("GET", path, headers=headers)
        with closing(connection.getresponse()) as response:
            yield response


def _address(site: Site, hosts: Collection[str]) -> str:
    """Find the address of a host; all it has must be of the public internet, or be listed."""
    listed = {site_of(entry).host for entry in hosts}
    try:
        known = socket.getaddrinfo(site.host, site.port, type=socket.SOCK_STREAM)
    except UnicodeError as fault:  # a label that is no name
        raise OSError("no host has such a name") from fault
    found = [str(info[4][0]) for info in known]
    for address in found:
        if address not in listed and not is_public(address):
            raise JobRefused(
                f"UPLOAD is not fetched from {quoted(site.host)}: its address is not of the public internet",
                "Send the file itself, as UPLOAD=name,param:t with a part t.",
            )
    return found[0]


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


def _expect_file(response: HTTPResponse, site: Site, max_bytes: int) -> None:
    if response.status >= 500 or response.status == 429:
        raise _away(site)
    if response.status != 200:
        raise UsageError(
            f"{quoted(site.host)} answers {response.status} to the URL of UPLOAD",
            "Is it the URL of the file, for everybody?",
            status=403,
        )
    if response.getheader("Content-Encoding", "identity").lower() != "identity":
        raise UsageError("the file of UPLOAD is sent compressed, though nobody asked for that", status=403)
    length = response.getheader("Content-Length", "")
    if length.isascii() and length.isdigit() and int(length) > max_bytes:
        raise _too_large(max_bytes)


def _save(response: HTTPResponse, path: Path, max_bytes: int, end: float) -> int:
    size = 0
    with path.open("wb") as file:
        while chunk := response.read1(CHUNK_BYTES):
            size += len(chunk)
            if size > max_bytes:
                raise _too_large(max_bytes)
            file.write(chunk)
    if time.monotonic() > end:  # what was cut off may look like the whole
        raise TimeoutError("it takes too long")
    if response.length:
        raise ConnectionError("it broke off")
    return size


def _file_name(url: str) -> str:
    return plain_file_name(unquote(urlsplit(url).path))


def _too_large(max_bytes: int) -> UsageError:
    return UsageError(
        f"the file of UPLOAD is larger than the limit of {max_bytes} bytes",
        "Send several jobs, or a more compact format.",
        status=413,
    )


def _away(site: Site) -> ServiceUnavailable:
    return ServiceUnavailable(
        f"the file of UPLOAD cannot be fetched from {quoted(site.host)} now",
        "Try again later.",
        retry_after_s=RETRY_AFTER_S,
    )
