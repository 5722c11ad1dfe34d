"""Results as HTTP answers: conditions, ranges (RFC 9110, sections 13 and 14), and the stream."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from werkzeug.wrappers import Request, Response
from werkzeug.wsgi import wrap_file

from dali.errors import NotFound, ServiceUnavailable, UsageError, quoted
from dali.responses import error_response
from uws.job import Result
from uws.packages.archives import Archive
from uws.packages.joined import read_archive
from uws.results import ResultStore, content_sha256, disposition
from uws.shelves import Window

#: What is sent at once where the server cannot send a file by itself.
CHUNK_BYTES = 1 << 18
RETRY_AFTER_S = 10

_RANGE = re.compile(r"bytes=\s*([0-9]{0,18})\s*-\s*([0-9]{0,18})\s*", re.IGNORECASE)


class _Unsatisfiable(Exception):
    """No byte of the result is in the range."""


@dataclass(frozen=True, slots=True)
class Content:
    """What is sent, all of it or a range.

    Parameters
    ----------
    etag
        Differs if a byte does.
    disposition
        How it is to be shown or saved.
    body
        Gives the bytes from one to before another; it raises, or its first step does, if they cannot be read.
    """

    etag: str
    size: int
    media_type: str
    disposition: str
    body: Callable[[int, int], Iterable[bytes]]


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

    def body(start: int, stop: int) -> Iterable[bytes]:
        if request.method == "HEAD":
            next(store.read(result, 0, 1), b"")  # it fails as GET would
            return ()
        if stop - start <= CHUNK_BYTES:
            return (b"".join(store.read(result, start, stop)),)
        if (window := store.open(result, start, stop)) is not None:
            return wrap_file(request.environ, window, CHUNK_BYTES)
        return store.read(result, start, stop)

    size = result.size if result.container else len(result.message.encode())
    content = Content(content_sha256(result), size, result.media_type, disposition(result), body)
    return content_response(content, request, lambda: store.signed_url(result))


def archive_response(
    archive: Archive, etag: str, name: str, media_type: str, store: ResultStore, request: Request
) -> Response:
    """Answer with an archive, as it is joined from what is stored; raises what `result_response` raises."""

    def body(start: int, stop: int) -> Iterable[bytes]:
        return () if request.method == "HEAD" else read_archive(archive, store, start, stop)

    return content_response(Content(etag, archive.size, media_type, _attached(name), body), request)


def file_response(path: Path, etag: str, size: int, name: str, media_type: str, request: Request) -> Response:
    """Answer with a file of this machine; raises what `result_response` raises."""

    def body(start: int, stop: int) -> Iterable[bytes]:
        if request.method == "HEAD":
            return ()
        return wrap_file(request.environ, Window(path, start, stop), CHUNK_BYTES)

    return content_response(Content(etag, size, media_type, _attached(name), body), request)


def content_response(
    content: Content, request: Request, elsewhere: Callable[[], str | None] = lambda: None
) -> Response:
    """Answer with some content, or with as much of it as the client needs, or send the client `elsewhere`."""
    headers = {
        "ETag": f'"{content.etag}"',
        "Cache-Control": "private, no-cache",
        "Accept-Ranges": "bytes",
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": content.disposition,
    }
    if request.if_match and not request.if_match.contains(content.etag):
        raise UsageError("this result is not the one of the header If-Match", status=412)
    if request.if_none_match.contains_weak(content.etag):
        return Response(status=304, headers=headers)
    try:
        if request.method != "HEAD" and (url := elsewhere()) is not None:
            return Response(status=307, headers={"Location": url, "Cache-Control": "no-store"})
        return _sent(content, request, headers)
    except _Unsatisfiable:
        refused = UsageError(
            f"no byte of this result is in the range {quoted(request.headers['Range'])}",
            f"It has {content.size} bytes.",
            status=416,
        )
        return error_response(refused, request, {"Content-Range": f"bytes */{content.size}"})
    except FileNotFoundError as fault:
        raise NotFound("the file of this result is no longer stored") from fault
    except OSError as fault:
        raise ServiceUnavailable(
            "the result cannot be read now", "Try again a little later.", retry_after_s=RETRY_AFTER_S
        ) from fault


def _sent(content: Content, request: Request, headers: dict[str, str]) -> Response:
    """Send all of it, or a range; nothing but headers for HEAD."""
    part = _range(request, headers["ETag"], content.size)
    start, stop = (0, content.size) if part is None else part
    headers["Content-Length"] = str(stop - start)
    if part is not None:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{content.size}"
    body = content.body(start, stop)
    if isinstance(body, Generator):
        body = _begun(body)
    status = 200 if part is None else 206
    return Response(body, status, headers, content_type=content.media_type, direct_passthrough=True)


def _attached(name: str) -> str:
    return f'attachment; filename="{name}"'


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
