"""Errors as HTTP answers: the one place where that is decided.

``text/plain``: label and sentence on the first line, how to mend it on the second, further faults after
that, the request id on the last. Clients that accept ``application/json`` and not text get the same as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.wrappers import Request, Response

from dali.errors import (
    NotFound,
    ProtocolError,
    ServerError,
    ServiceUnavailable,
    TooManyRequests,
    UsageError,
    quoted,
)
from dali.votable import error_document

#: Key in the WSGI environment of the id that log and answer of a request share.
REQUEST_ID = "fountain.request_id"
#: Key of the fields that a view adds to the log line of its request.
LOG_FIELDS = "fountain.log"
#: Key of the media type of VOTable that errors of a request are to have.
_VOTABLE_ERRORS = "fountain.votable_errors"

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
#: What lies below this speaks JSON, whatever its clients say that they accept.
_JSON_PATHS = "/api/"


def answer_errors_as(request: Request, votable_type: str | None) -> None:
    """Have errors of this request answered by a VOTable of this media type; None for text."""
    request.environ[_VOTABLE_ERRORS] = votable_type


def error_response(
    error: ProtocolError, request: Request, headers: Mapping[str, str] | None = None
) -> Response:
    """Tell a client of `error`."""
    body, content_type = _body(error, request)
    response = Response(body, error.status, headers, content_type=content_type)
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    if isinstance(error, ServiceUnavailable | TooManyRequests):
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


def _body(error: ProtocolError, request: Request) -> tuple[str | bytes, str]:
    request_id = str(request.environ.get(REQUEST_ID, "-"))
    if votable_type := request.environ.get(_VOTABLE_ERRORS):
        return error_document(fault_message(error, request_id)), votable_type
    is_json = request.path.startswith(_JSON_PATHS)
    if is_json or request.accept_mimetypes.best_match(["text/plain", JSON]) == JSON:
        return error_json(error, request_id), JSON
    return error_text(error, request_id), TEXT


def fault_message(error: ProtocolError, request_id: str = "") -> str:
    """Message of a VOTable: the fault word, then everything that is wrong, on one line."""
    said = [f"{error.fault_word}: {error.sentence}", error.fix]
    for other in error.also:
        said += [f"Also: {other.sentence}", other.fix]
    said.append(f"(request id: {request_id})" if request_id else "")
    return " ".join(part for part in said if part)


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
                "This service answers at /cutout, /sync, /async, /query, /links, /capabilities, /examples.",
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
