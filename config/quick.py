"""GET /sync answered without Flask, where nothing but a small cutout is asked for.

Most requests are such, and Flask takes a third of their time: routing, contexts, sessions, header objects.
What this does not answer with 200 it does not answer at all: the request goes the usual way, which says the
same of errors, conditions and everything else.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from werkzeug.sansio.utils import get_host

from config.logs import RULE
from config.metering import REFUSED
from dali.caller import caller_in
from dali.parameters import Parameters, query_pairs
from dali.responses import LOG_FIELDS
from soda.heavier import Client
from soda.responses import cutout_headers, in_coding
from soda.service import SENT, SyncService
from soda.views import ASKED

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PATH = "/sync"
#: Requests with one of these are looked at more closely: conditions, scripts of other sites.
_SPECIAL = frozenset(
    (
        "HTTP_IF_NONE_MATCH",
        "HTTP_ORIGIN",
        "HTTP_TRANSFER_ENCODING",
        "CONTENT_LENGTH",
        REFUSED,
    )
)


class QuickCutouts:
    """WSGI middleware.

    Parameters
    ----------
    app
        What it wraps.
    service
        Makes the cutouts.
    base_url
        The configured public URL, or "".
    """

    def __init__(self, app: WSGIApplication, service: SyncService, base_url: str) -> None:
        self._app = app
        self._service = service
        self._base_url = base_url.rstrip("/")

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        answer = None
        if (
            environ["REQUEST_METHOD"] == "GET"
            and environ.get("PATH_INFO") == PATH
            and environ.keys().isdisjoint(_SPECIAL)
        ):
            answer = self._answer(environ)
        if answer is None:
            return self._app(environ, start_response)
        headers, chunks = answer
        start_response("200 OK", headers)
        return chunks

    def _answer(self, environ: WSGIEnvironment) -> tuple[list[tuple[str, str]], Iterable[bytes]] | None:
        base_url = self._base_url or _base_url(
            environ["wsgi.url_scheme"], environ.get("HTTP_HOST", ""), environ.get("SCRIPT_NAME", "")
        )
        if not base_url:
            return None
        try:
            pairs = query_pairs(environ.get("QUERY_STRING", ""))
            asked = self._service.ask(Parameters.from_pairs(pairs), Client(base_url, caller_in(environ)))
            if not asked.is_light:
                environ[ASKED] = asked  # planned already
                return None
            sent = in_coding(self._service.cut(asked), environ.get("HTTP_ACCEPT_ENCODING", ""))
        except Exception:  # the usual way meets it too, and tells of it
            return None
        environ[RULE] = PATH
        environ[SENT] = sent
        environ[LOG_FIELDS] = {
            "dataset": sent.asked.request.cutout.dataset,
            "run_id": sent.asked.request.run_id,
        }
        headers = [("Content-Type", sent.asked.request.media_type), *cutout_headers(sent)]
        headers.append(("Access-Control-Allow-Origin", "*"))
        return headers, sent.chunks or ()


# Clients know a service by a few names.
@lru_cache(maxsize=64)
def _base_url(scheme: str, host_header: str, root: str) -> str:
    host, root = get_host(scheme, host_header), root.rstrip("/")
    # Paths outside ASCII are for Werkzeug to write.
    return f"{scheme}://{host}{root}" if host and root.isascii() else ""
