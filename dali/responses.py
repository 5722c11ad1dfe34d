"""Errors as HTTP answers: the one place where that is decided.

``text/plain``: label and sentence on the first line, how to mend it on the second, further faults after
that, the request id on the last. Clients that accept ``application/json`` and not text get the same as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.wrappers import Request, Response

from dali.errors import NotFound, ProtocolError, ServerError, ServiceUnavailable, UsageError, quoted

#: Key in the WSGI environment of the id that log and answer of a request share.
REQUEST_ID = "fountain.request_id"
#: Key of the fields that a view adds to the log line of its request.
LOG_FIELDS = "fountain.log"

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"


def error_response(
    error: ProtocolError, request: Request, headers: Mapping[str, str] | None = None
) -> Response:
    """Tell a client of `error`."""
    request_id = str(request.environ.get(REQUEST_ID, "-"))
    as_json = request.accept_mimetypes.best_match(["text/plain", JSON]) == JSON
    body = error_json(error, request_id) if as_json else error_text(error, request_id)
    response = Response(body, error.status, headers, content_type=JSON if as_json else TEXT)
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    if isinstance(error, ServiceUnavailable):
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


def error_text(error: ProtocolError, request_id: str) -> str:
    """Body in text, one line for each thing said."""
    lines = [f"{error.label}: {error.sentence}", error.fix]
    for other in error.also:
        lines += [f"Also: {other.sentence}", other.fix]
    return "\n".join([*(line for line in lines if line), f"request id: {request_id}", ""])


def error_json(error: ProtocolError, request_id: str) -> str:
    """Body in JSON, saying the same."""
    return json.dumps(
        {
            "error": error.label,
            "status": error.status,
            "faults": [{"message": fault.sentence, "fix": fault.fix} for fault in (error, *error.also)],
            "request_id": request_id,
        },
        ensure_ascii=False,
    )


def http_error_response(error: HTTPException, request: Request) -> Response:
    """Answer to what Flask and Werkzeug refuse themselves, which they would say in HTML."""
    headers = {}
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return error_response(_protocol_error(error, request), request, headers)


def _protocol_error(error: HTTPException, request: Request) -> ProtocolError:
    match error.code:
        case 404:
            return NotFound(
                f"there is nothing at {quoted(request.path)}",
                "This service answers at /sync, /capabilities and /availability.",
            )
        case 405:
            return UsageError(
                f"{quoted(request.method)} cannot be used at {quoted(request.path)}", status=405
            )
        case 413:
            return UsageError(
                "the body of the request is too large",
                "Send parameters only, as application/x-www-form-urlencoded.",
                status=413,
            )
        case code if code is not None and 400 <= code < 500:
            return UsageError(f"the request cannot be read ({error.name})", status=code)
        case _:
            return ServerError("the service failed on this request", "Please report the request id.")
