"""Under which address clients know the service, behind proxies or not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from werkzeug.wrappers import Request

from dali.addresses import within
from dali.errors import UsageError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_HOST = re.compile(r"[A-Za-z0-9._-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+")


def public_url(request: Request, configured: str) -> str:
    """Give the base of the service's URLs, without a slash at its end: as configured, else as asked for.

    Raises
    ------
    UsageError
        If nothing is configured and the request names no host that can be told back.
    """
    if configured:
        return configured.rstrip("/")
    if not request.host:
        raise UsageError("the Host header of the request is missing or malformed")
    return f"{request.scheme}://{request.host}{request.root_path.rstrip('/')}"


class PublicAddress:
    """WSGI middleware: believes X-Forwarded-For, -Proto, -Host and -Prefix of trusted peers alone.

    Parameters
    ----------
    app
        What it wraps.
    trusted
        Addresses or networks of proxies.
    base_url
        The configured public URL; if it has a path, requests may come with or without it.
    """

    def __init__(self, app: WSGIApplication, trusted: Iterable[str], base_url: str) -> None:
        self._app = app
        self._is_trusted = within(trusted)
        self._prefix = urlsplit(base_url).path.rstrip("/")

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        if self._is_trusted(environ.get("REMOTE_ADDR", "")):
            _believe(environ)
            environ["REMOTE_ADDR"] = _client_of(environ, self._is_trusted)
        if self._prefix:
            _strip(environ, self._prefix)
        return self._app(environ, start_response)


def _believe(environ: WSGIEnvironment) -> None:
    # Proxies append; what the trusted one says stands last.
    scheme = _last(environ, "HTTP_X_FORWARDED_PROTO").lower()
    if scheme in ("http", "https"):
        environ["wsgi.url_scheme"] = scheme
    if _HOST.fullmatch(host := _last(environ, "HTTP_X_FORWARDED_HOST")):
        environ["HTTP_HOST"] = host
    prefix = _last(environ, "HTTP_X_FORWARDED_PREFIX").rstrip("/")
    if _PREFIX.fullmatch(prefix):
        environ["SCRIPT_NAME"] = prefix
        _strip(environ, prefix)


def _client_of(environ: WSGIEnvironment, is_trusted: Callable[[str], bool]) -> str:
    """Give the address of whoever the nearest proxy that is not trusted saw: each appends what it sees."""
    peer = str(environ["REMOTE_ADDR"])
    for said in reversed(str(environ.get("HTTP_X_FORWARDED_FOR", "")).split(",")):
        address = said.strip()
        if not _is_address(address):
            break
        peer = address
        if not is_trusted(peer):
            break
    return peer


@lru_cache(maxsize=1024)
def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _last(environ: WSGIEnvironment, header: str) -> str:
    return str(environ.get(header, "")).rpartition(",")[2].strip()


def _strip(environ: WSGIEnvironment, prefix: str) -> None:
    """Move a prefix that the proxy left in the path to where the application expects it."""
    path = environ.get("PATH_INFO", "")
    if path == prefix or path.startswith(f"{prefix}/"):
        environ["SCRIPT_NAME"] = prefix
        environ["PATH_INFO"] = path[len(prefix) :] or "/"
