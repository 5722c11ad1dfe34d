"""``/queue``: how much waits, and where one's own jobs stand."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response, request

from dali.caller import Caller
from dali.errors import UsageError, quoted
from dali.parameters import refuse_unknown
from dali.responses import JSON, TEXT
from dali.views import read_parameters
from uws.queue.board import QueueBoard
from uws.queue.document import queue_json, queue_text

_FORMATS = {"json": "json", JSON: "json", "text": "text", "text/plain": "text"}


def make_blueprint(
    board: QueueBoard, caller_of: Callable[[], Caller], jobs_url: Callable[[], str]
) -> Blueprint:
    """Make the resource.

    Parameters
    ----------
    board
        Knows the queues.
    caller_of
        Tells who asks.
    jobs_url
        Gives the public URL of the job resource during a request.
    """
    blueprint = Blueprint("queue", __name__)

    @blueprint.get("/queue")
    def queue() -> Response:
        write, content_type = (queue_text, TEXT) if _wants_text() else (queue_json, JSON)
        body = write(board.columns(caller_of()), jobs_url())
        return Response(body, headers={"Cache-Control": "no-store"}, content_type=content_type)

    return blueprint


def _wants_text() -> bool:
    """Read RESPONSEFORMAT, which goes before the header Accept; JSON where nothing is said."""
    parameters = read_parameters(request)
    if unknown := refuse_unknown(parameters, ("RESPONSEFORMAT",), ("RESPONSEFORMAT",)):
        raise unknown[0]
    asked = parameters.one("RESPONSEFORMAT")
    if asked is None:
        return request.accept_mimetypes.best_match([JSON, "text/plain"], JSON) == "text/plain"
    if (known := _FORMATS.get(asked.strip().lower())) is None:
        raise UsageError(f"RESPONSEFORMAT is json or text; got {quoted(asked)}", "Write RESPONSEFORMAT=text.")
    return known == "text"
