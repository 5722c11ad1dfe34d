"""What views share: the parameters of a request, and whether its client is still there."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qsl

from werkzeug.formparser import FormDataParser
from werkzeug.wrappers import Request

from dali.errors import UsageError, quoted
from dali.parameters import MAX_PARAMETERS, Parameters

FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")


def read_parameters(request: Request, most: int = MAX_PARAMETERS) -> Parameters:
    """Parameters of query string and body together, `most` of them at most.

    Raises
    ------
    UsageError
        If the body is no form (415, or 400 where it says that it is one), or there is too much of it.

    Notes
    -----
    Section 2.2 has GET with a query string and POST with either form encoding do the same; UWS clients
    also send a query string with a POST.
    """
    # Werkzeug's request.args fails on bytes that are not UTF-8.
    query = request.query_string.decode("utf-8", "replace")
    pairs: Iterable[tuple[str, str]] = parse_qsl(query, keep_blank_values=True, errors="replace")
    if request.method != "POST" or not _has_body(request):
        return Parameters.from_pairs(pairs, most=most)
    if request.mimetype not in FORM_TYPES:
        raise UsageError(
            f"a body of type {quoted(request.mimetype)} cannot be read here",
            f"Send parameters as {' or '.join(FORM_TYPES)}.",
            status=415,
        )
    expect_whole_body(request)
    request.form_data_parser_class = _Forms
    try:
        form = request.form
    except ValueError as fault:
        raise UsageError(
            f"the body cannot be read as {request.mimetype}", "Is it complete, and its boundary named?"
        ) from fault
    # A part of a multipart body may have no name.
    body = [(name or "", value) for name, value in form.items(multi=True)]
    return Parameters.from_pairs([*pairs, *body], [name or "" for name in request.files], most)


def expect_whole_body(request: Request) -> None:
    """Have a body that breaks off refused with 400, and not taken for what came of it."""
    # A server that says it ends the body by itself is believed, and gunicorn ends it with the connection.
    if request.content_length is not None:
        request.environ.pop("wsgi.input_terminated", None)


class _Forms(FormDataParser):
    """Reads forms. One that cannot be read is not taken for an empty one: parameters would be ignored."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{**options, "silent": False})


def _has_body(request: Request) -> bool:
    return bool(request.content_length) or "chunked" in request.headers.get("Transfer-Encoding", "")


def watch_client(request: Request) -> Callable[[], bool]:
    """Give a function that tells, at any time during the request and in any thread, whether the client left.

    Notes
    -----
    It looks at the connection as gunicorn hands it on; under another server nobody ever seems to leave.
    """
    connection = request.environ.get("gunicorn.socket")

    def is_gone() -> bool:
        if not isinstance(connection, socket.socket):
            return False
        try:
            return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True
        except ValueError:  # a TLS connection cannot be looked into
            return False

    return is_gone
