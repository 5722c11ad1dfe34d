"""Results as HTTP answers: conditions, ranges (RFC 9110, sections 13 and 14), and the stream."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain

from werkzeug.wrappers import Request, Response
from werkzeug.wsgi import wrap_file

from dali.errors import NotFound, ServiceUnavailable, UsageError, quoted
from dali.responses import error_response
from uws.job import Result
from uws.results import ResultStore, content_sha256, disposition

#: What is sent at once where the server cannot send a file by itself.
CHUNK_BYTES = 1 << 18
RETRY_AFTER_S = 10

_RANGE = re.compile(r"bytes=\s*([0-9]{0,18})\s*-\s*([0-9]{0,18})\s*", re.IGNORECASE)


class _Unsatisfiable(Exception):
    """No byte of the result is in the range."""


def result_response(result: Result, store: ResultStore, request: Request) -> Response:
    """Answer with the content of a result, or with as much of it as the client needs.

    Raises
    ------
    NotFound
        If its file is gone.
    ServiceUnavailable
        If it cannot be read now.
    UsageError
        412, if the client wants the content only while it is another.

    Notes
    -----
    UWS 1.1 leaves open how a result is sent; DALI 1.1, section 4.2, allows to redirect to it.
    """
    etag = content_sha256(result)
    size = result.size if result.container else len(result.message.encode())
    headers = {
        "ETag": f'"{etag}"',
        "Cache-Control": "private, no-cache",
        "Accept-Ranges": "bytes",
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": disposition(result),
    }
    if request.if_match and not request.if_match.contains(etag):
        raise UsageError("this result is not the one of the header If-Match", status=412)
    if request.if_none_match.contains_weak(etag):
        return Response(status=304, headers=headers)
    try:
        if request.method != "HEAD" and (url := store.signed_url(result)) is not None:
            return Response(status=307, headers={"Location": url, "Cache-Control": "no-store"})
        return _content(result, store, request, headers, size)
    except _Unsatisfiable:
        refused = UsageError(
            f"no byte of this result is in the range {quoted(request.headers['Range'])}",
            f"It has {size} bytes.",
            status=416,
        )
        return error_response(refused, request, {"Content-Range": f"bytes */{size}"})
    except FileNotFoundError as fault:
        raise NotFound("the file of this result is no longer stored") from fault
    except OSError as fault:
        raise ServiceUnavailable(
            "the result cannot be read now", "Try again a little later.", retry_after_s=RETRY_AFTER_S
        ) from fault


def _content(
    result: Result, store: ResultStore, request: Request, headers: dict[str, str], size: int
) -> Response:
    """Send all of it, or a range; nothing but headers for HEAD."""
    part = _range(request, headers["ETag"], size)
    start, stop = (0, size) if part is None else part
    headers["Content-Length"] = str(stop - start)
    if part is not None:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    body: Iterable[bytes]
    if request.method == "HEAD":
        next(store.read(result, 0, 1), b"")  # it fails as GET would
        body = ()
    elif stop - start <= CHUNK_BYTES:
        body = (b"".join(store.read(result, start, stop)),)
    elif (window := store.open(result, start, stop)) is not None:
        body = wrap_file(request.environ, window, CHUNK_BYTES)
    else:
        body = _begun(store.read(result, start, stop))
    status = 200 if part is None else 206
    return Response(body, status, headers, content_type=result.media_type, direct_passthrough=True)


def _begun(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Have the first chunk read: what fails then can still be said."""
    return chain([next(chunks, b"")], chunks)


def _range(request: Request, etag: str, size: int) -> tuple[int, int] | None:
    """First byte, and the one after the last, of the range that a client asks for; None for the whole.

    Notes
    -----
    Several ranges, other units and what cannot be read are ignored, as section 14.2 allows.
    """
    found = _RANGE.fullmatch(request.headers.get("Range", "").strip())
    if request.method != "GET" or found is None or found.groups() == ("", ""):
        return None
    if request.headers.get("If-Range", etag) != etag:
        return None
    first, last = found.groups()
    if first and last and int(first) > int(last):
        return None
    start = int(first) if first else max(size - int(last), 0)
    stop = min(int(last) + 1, size) if first and last else size
    if start >= stop:
        raise _Unsatisfiable
    return start, stop
