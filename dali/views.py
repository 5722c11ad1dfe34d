"""What views share: the parameters of a request, what its client wants, and whether it is still there."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace

from werkzeug.wrappers import Request

from dali.errors import UsageError, quoted
from dali.parameters import MAX_PARAMETERS, Parameters, query_pairs
from dali.responses import JSON
from dali.spool import SLACK_BYTES, Forms, SpooledForms, spooled
from dali.uploads import Spool, too_large

FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")


def read_parameters(request: Request, most: int = MAX_PARAMETERS, spool: Spool | None = None) -> Parameters:
    """Parameters of query string and body together, `most` of them at most.

    Files go to the spool; without one they are named, and nothing else.

    Raises
    ------
    UsageError
        If the body is no form (415, or 400 where it says that it is one), or there is too much of it.
    ServiceUnavailable
        If files cannot be stored.

    Notes
    -----
    Section 2.2 has GET with a query string and POST with either form encoding do the same; UWS clients
    also send a query string with a POST.
    """
    # Werkzeug's request.args fails on bytes that are not UTF-8.
    query = request.query_string.decode("utf-8", "replace")
    pairs = query_pairs(query)
    if request.method != "POST" or not _has_body(request):
        return Parameters.from_pairs(pairs, most=most)
    if request.mimetype not in FORM_TYPES:
        raise UsageError(
            f"a body of type {quoted(request.mimetype)} cannot be read here",
            f"Send parameters as {' or '.join(FORM_TYPES)}.",
            status=415,
        )
    expect_whole_body(request)
    takes_files = spool is not None and request.mimetype == FORM_TYPES[1]
    request.form_data_parser_class = Forms
    if spool is not None and takes_files:
        _expect_files(request, spool)
    try:
        form = request.form
    except ValueError as fault:
        raise UsageError(
            f"the body cannot be read as {request.mimetype}", "Is it complete, and its boundary named?"
        ) from fault
    # A part of a multipart body may have no name.
    body = [(name or "", value) for name, value in form.items(multi=True)]
    found = Parameters.from_pairs([*pairs, *body], [name or "" for name in request.files], most)
    return replace(found, files=spooled(request.files)) if takes_files else found


def _expect_files(request: Request, spool: Spool) -> None:
    """Have files of the body written to the spool, and values no longer than they may be."""
    request.max_content_length = spool.max_value_bytes + SLACK_BYTES + spool.max_bytes
    # Of one value, and of what is not understood yet; the spool looks at their sum.
    request.max_form_memory_size = spool.max_value_bytes + SLACK_BYTES
    if (request.content_length or 0) > request.max_content_length:
        raise too_large(spool.max_bytes)
    request.form_data_parser_class = SpooledForms.of(spool)


def expect_whole_body(request: Request) -> None:
    """Have a body that breaks off refused with 400, and not taken for what came of it."""
    # A server that says it ends the body by itself is believed, and gunicorn ends it with the connection.
    if request.content_length is not None:
        request.environ.pop("wsgi.input_terminated", None)


def _has_body(request: Request) -> bool:
    return bool(request.content_length) or "chunked" in request.headers.get("Transfer-Encoding", "")


def is_navigation(request: Request) -> bool:
    """Whether a browser opens a page, or sends a form of one; whoever else asks is a program.

    Notes
    -----
    ``Accept`` alone does not tell: clients written in Java ask for HTML too. Browsers say what a request is
    for by ``Sec-Fetch-Mode``; on a plain connection they do not, but still offer to use a safe one.
    """
    mode, offer = request.headers.get("Sec-Fetch-Mode"), request.headers.get("Upgrade-Insecure-Requests")
    return (
        request.method in ("GET", "POST")
        and request.accept_mimetypes["text/html"] > 0
        and (mode == "navigate" if mode is not None else offer == "1")
    )


def is_json_wanted(request: Request) -> bool:
    """Whether a client asks for JSON by its name, and for no page or XML rather."""
    wanted = {media_type.lower(): quality for media_type, quality in request.accept_mimetypes}
    others = max((wanted.get(one, 0) for one in ("text/html", "text/xml", "application/xml")), default=0)
    return wanted.get(JSON, 0) > 0 and wanted[JSON] >= others


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
