"""Browsers that go where one has to be known are sent to sign in, and come back afterwards."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: What is said of the body of a refusal, and how programs would be known.
_OF_REFUSAL = frozenset(("content-type", "content-length", "www-authenticate"))


class Visits:
    """WSGI middleware: makes of a 401 the way to ``/login``, where somebody opens a page.

    Programs are answered as before: a browser says that it opens a page (``Sec-Fetch-Mode``), they do not.

    Parameters
    ----------
    app
        What it wraps.
    """

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        if not _is_visit(environ):
            return self._app(environ, start_response)
        is_refused = False

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            nonlocal is_refused
            if not status.startswith("401"):
                return (
                    start_response(status, headers, exc_info) if exc_info else start_response(status, headers)
                )
            is_refused = True
            kept = [header for header in headers if header[0].lower() not in _OF_REFUSAL]
            kept += [("Location", _login(environ)), ("Content-Length", "0")]
            return start_response("303 See Other", kept)

        chunks = self._app(environ, start)
        if not is_refused:
            return chunks
        if close := getattr(chunks, "close", None):
            close()
        return ()


def _is_visit(environ: WSGIEnvironment) -> bool:
    return (
        environ["REQUEST_METHOD"] == "GET"
        and environ.get("HTTP_SEC_FETCH_MODE") == "navigate"
        and environ.get("HTTP_SEC_FETCH_DEST", "document") == "document"
        and "HTTP_AUTHORIZATION" not in environ
    )


def _login(environ: WSGIEnvironment) -> str:
    root = quote(environ.get("SCRIPT_NAME", "").encode("latin-1").rstrip(b"/"))
    where = root + quote(environ.get("PATH_INFO", "").encode("latin-1"))
    if query := environ.get("QUERY_STRING", ""):
        where += f"?{query}"
    return f"{root}/login?next={quote(where, safe='/')}"
