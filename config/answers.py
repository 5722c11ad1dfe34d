"""What all answers have in common: errors are told in one way, and scripts of other sites may read them."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from flask import Flask, request
from gunicorn.http.errors import ParseException
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnection
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from dali.caller import caller_in
from dali.errors import (
    NotFound,
    ProtocolError,
    ServerError,
    ServiceUnavailable,
    UsageError,
    quoted,
    told_to,
)
from dali.responses import REQUEST_ID, error_response, http_error_response
from dali.views import is_navigation
from soda.responses import EXPOSED_HEADERS

DATABASE_RETRY_S = 10
#: What a database gives that is away, or read-only, or has too much to do.
DATABASE_AWAY = (OperationalError, InterfaceError, InternalError, NoConnection)


def allow_scripts(response: Response) -> Response:
    """Let scripts of other sites read answers, errors too; no cookie comes with what they ask."""
    headers = response.headers
    headers["Access-Control-Allow-Origin"] = "*"
    if "Origin" in request.headers:
        headers["Access-Control-Expose-Headers"] = ", ".join(EXPOSED_HEADERS)
    if request.method == "OPTIONS" and response.status_code == 200:
        response.status_code = 204
        headers.remove("Content-Type")
        headers["Access-Control-Allow-Methods"] = headers.get("Allow", "")
        # The star does not stand for this one.
        headers["Access-Control-Allow-Headers"] = "Authorization, *"
        headers["Access-Control-Max-Age"] = "86400"
    return response


def answer_errors(app: Flask, page: Callable[[ProtocolError], Response] | None = None) -> None:
    """Have every error answered in text (or JSON), and those that are our fault logged in full.

    Whoever opens it in a browser gets a `page`, which says the same, where there are pages.
    """
    log = structlog.get_logger()

    def tell(error: ProtocolError) -> Response:
        if page is None or not is_navigation(request):
            return error_response(error, request)
        try:
            return page(error)
        except Exception as fault:  # a page needs more than a line of text, such as announcements
            log.error(
                "the page of an error failed", request_id=request.environ.get(REQUEST_ID), exc_info=fault
            )
            return error_response(error, request)

    def protocol_error(error: ProtocolError) -> Response:
        error = told_to(error, caller_in(request.environ).name)
        if error.status >= 500 and isinstance(error, ServerError):
            log.error(error.sentence, request_id=request.environ.get(REQUEST_ID), exc_info=error)
        return tell(error)

    def http_error(error: HTTPException) -> Response:
        if error.code == 404 and is_navigation(request):
            return tell(NotFound(f"there is nothing at {quoted(request.path)}"))
        return http_error_response(error, request)

    def broken_body(error: ParseException) -> Response:
        fault = UsageError("the body of the request is not valid HTTP", "Are its chunks as they must be?")
        return error_response(fault, request)

    def database_error(error: SQLAlchemyError) -> Response:
        log.error("the database failed", request_id=request.environ.get(REQUEST_ID), exc_info=error)
        fault = ServiceUnavailable(
            "the database does not answer", "Try again a little later.", retry_after_s=DATABASE_RETRY_S
        )
        return tell(fault)

    def unexpected(error: Exception) -> Response:
        log.error("unexpected error", request_id=request.environ.get(REQUEST_ID), exc_info=error)
        return tell(ServerError("the service failed on this request", "Please report the request id."))

    handlers: tuple[tuple[type[Exception], Callable[..., Response]], ...] = (
        (ProtocolError, protocol_error),
        (HTTPException, http_error),
        (ParseException, broken_body),
        *((kind, database_error) for kind in DATABASE_AWAY),
        (Exception, unexpected),
    )
    for kind, handler in handlers:
        app.register_error_handler(kind, handler)
