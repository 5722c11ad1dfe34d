"""Fetches uploads that are named by a URL, from hosts that ``jobs.upload_hosts`` lists: nowhere else."""

from __future__ import annotations

import socket
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

from dali.errors import ServiceUnavailable, UsageError, quoted
from dali.uploads import media_type_of, plain_file_name
from uws.jobtype import JobRefused
from uws.sites import NotListed, NotPublic, Site, asked, connected, target

LONGEST_S = 60.0
MOST_REDIRECTS = 3
CHUNK_BYTES = 1 << 18
RETRY_AFTER_S = 10

_REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was fetched."""

    path: Path
    file_name: str
    media_type: str
    size: int


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
            with _connected(site, hosts, end) as raw, asked(url, site, raw) as response:
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
        return target(url, hosts)
    except ValueError:
        raise JobRefused(
            f"UPLOAD names {quoted(url)}, which is no https URL", "Write UPLOAD=name,https://host/path."
        ) from None
    except NotListed as fault:
        if not hosts:
            raise JobRefused(
                "UPLOAD by URL is not taken here: this service fetches files from no host",
                "Send the file itself, as UPLOAD=name,param:t with a part t.",
            ) from None
        known = ", ".join(sorted(hosts))
        raise JobRefused(
            f"UPLOAD is not fetched from {fault.site}",
            f"Files are fetched from {known}; or send the file itself, as UPLOAD=name,param:t with a part t.",
        ) from None


@contextmanager
def _connected(site: Site, hosts: Collection[str], end: float) -> Iterator[socket.socket]:
    try:
        with connected(site, hosts, end) as raw:
            yield raw
    except NotPublic:
        raise JobRefused(
            f"UPLOAD is not fetched from {quoted(site.host)}: its address is not of the public internet",
            "Send the file itself, as UPLOAD=name,param:t with a part t.",
        ) from None


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
