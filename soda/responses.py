"""Cutouts and previews as HTTP answers (section 5.1): headers, conditions, and the stream."""

from __future__ import annotations

from functools import lru_cache

from flask import Request, Response
from werkzeug.http import http_date

from soda.preview import Preview, PreviewService
from soda.service import SENT, Asked, Sent, SyncService
from soda.table import PICTURE_TYPES
from soda.validators import IN_GZIP
from surveys.errors import NoOverlap
from surveys.preview import MEDIA_TYPE as PREVIEW_TYPE

#: Headers of an answer that a script in a browser may read.
EXPOSED_HEADERS = (
    "Accept-Ranges",
    "Content-Disposition",
    "Content-Length",
    "Content-Range",
    "ETag",
    "Link",
    "Location",
    "Retry-After",
    "WWW-Authenticate",
    "X-Cutout-Clipped",
    "X-Cutout-Covered",
    "X-Cutout-Inputs",
    "X-Cutout-Padded",
    "X-Cutout-Recipe",
    "X-Cutout-Remark",
    "X-Cutout-Resampled",
    "X-Cutout-Status",
    "X-Request-Id",
    "X-VO-Authenticated",
)


def cutout_response(asked: Asked, service: SyncService, request: Request) -> Response:
    """Answer with the cutout of `asked`, or with as much of that as the client needs.

    204 where nothing overlaps, 304 where the client has the bytes already, no body for HEAD; none of these
    reads a pixel.
    """
    if asked.is_empty:
        return _nothing(asked)
    # As an answer to If-None-Match needs ETag and nothing else that costs.
    if request.method != "POST" and (etag := _etag_known(asked, request)):
        return Response(status=304, headers=_validators(asked, etag))
    try:
        sent = service.describe(asked) if request.method == "HEAD" else service.cut(asked)
    except NoOverlap:
        return _nothing(asked)
    sent = in_coding(sent, request.headers.get("Accept-Encoding", ""))
    request.environ[SENT] = sent
    answer = Response(sent.chunks, headers=cutout_headers(sent), content_type=sent.asked.request.media_type)
    # Of a picture that is not made the size is not known, and is not 0.
    answer.automatically_set_content_length = sent.size is not None
    return answer


def _nothing(asked: Asked) -> Response:
    nothing = Response(status=204, headers=[("X-Cutout-Status", "no-overlap"), _link(asked)])
    del nothing.headers["Content-Type"]
    return nothing


def in_coding(sent: Sent, accepted: str) -> Sent:
    """Give a cutout in the coding that a client takes: what is stored gzipped goes out so, if it may.

    `accepted`: the header ``Accept-Encoding``.
    """
    return sent.as_stored() if sent.gzip is not None and takes_gzip(accepted) else sent


def takes_gzip(accepted: str) -> bool:
    """Whether a client takes gzip, and likes nothing at all no better (RFC 9110, section 12.5.3)."""
    if not accepted:
        return False
    weights: dict[str, float] = {}
    for word in accepted.lower().split(","):
        coding, _, rest = word.partition(";")
        key, _, value = rest.partition("=")
        try:
            weights[coding.strip()] = float(value) if key.strip() == "q" else 1.0
        except ValueError:  # it says nothing that can be read
            weights[coding.strip()] = 0.0
    any_other = weights.get("*", 0.0)
    gzip = weights.get("gzip", weights.get("x-gzip", any_other))
    return gzip > 0.0 and gzip >= weights.get("identity", 0.0)


def _etag_known(asked: Asked, request: Request) -> str:
    """Tell which ETag of a cutout a client has, in whichever coding; "" if none."""
    known = (asked.etag, f"{asked.etag}{IN_GZIP}") if asked.plan.is_stored else (asked.etag,)
    return next((etag for etag in known if request.if_none_match.contains_weak(etag)), "")


def preview_response(preview: Preview, service: PreviewService, request: Request) -> Response:
    """Answer with a picture; 304 where the client has it already."""
    headers = _told_apart(preview.etag, preview.modified_s, preview.is_public)
    if request.if_none_match.contains_weak(preview.etag):
        return Response(status=304, headers=headers)
    return Response(service.draw(preview), headers=headers, content_type=PREVIEW_TYPE)


def _validators(asked: Asked, etag: str) -> list[tuple[str, str]]:
    headers = _told_apart(etag, asked.modified_s, asked.is_public)
    if asked.plan.is_stored:
        headers.append(("Vary", "Accept-Encoding"))  # also where it goes out as it is: a cache keeps both
    return headers


def _told_apart(etag: str, modified_s: float, is_public: bool) -> list[tuple[str, str]]:
    # Asked for again each time, by caches too: rights are looked at before it is said that nothing changed.
    headers = [
        ("ETag", f'"{etag}"'),
        ("Cache-Control", "public, no-cache" if is_public else "private, no-cache"),
    ]
    if modified_s:
        headers.append(("Last-Modified", _http_date(modified_s)))
    return headers


def cutout_headers(sent: Sent) -> list[tuple[str, str]]:
    """Headers of the answer that has a cutout, but for its type."""
    asked, facts = sent.asked, sent.facts
    # A picture is looked at, a file is kept.
    shown = "inline" if asked.request.media_type in PICTURE_TYPES else "attachment"
    headers = _validators(asked, f"{asked.etag}{IN_GZIP}" if sent.is_gzip else asked.etag)
    headers += (
        ("Content-Disposition", f'{shown}; filename="{sent.file_name}"'),
        ("X-Cutout-Clipped", _word(facts.clipped)),
        ("X-Cutout-Padded", _word(facts.padded)),
        ("X-Cutout-Resampled", _word(facts.resampled)),
        ("X-Cutout-Inputs", str(facts.inputs)),
    )
    headers += [("X-Cutout-Remark", remark) for remark in dict.fromkeys(map(_plain, facts.remarks))]
    headers.append(_link(asked))
    if sent.size is not None:
        headers.append(("Content-Length", str(sent.size)))
    if sent.is_gzip:
        headers.append(("Content-Encoding", "gzip"))
    if facts.recipe:
        headers.append(("X-Cutout-Recipe", _plain(facts.recipe)))
    if facts.covered is not None:
        headers.append(("X-Cutout-Covered", f"{facts.covered:.6g}"))
    return headers


# Of files, of which some are asked for again and again.
@lru_cache(maxsize=1024)
def _http_date(modified_s: float) -> str:
    return http_date(modified_s)


def _link(asked: Asked) -> tuple[str, str]:
    return "Link", f'<{asked.client.base_url}/{asked.plan.request.canonical}>; rel="canonical"'


def _word(is_so: bool) -> str:
    return "true" if is_so else "false"


def _plain(text: str) -> str:
    """Text as a header may have it: a line of ASCII."""
    return "".join(character if " " <= character <= "~" else "?" for character in text)
