"""Small pictures and headers of results, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from typing import TypeVar

from werkzeug.wrappers import Request, Response

from dali.errors import NotFound, ServiceUnavailable, UsageError, quoted
from dali.parameters import Parameters, refuse_unknown
from dali.responses import JSON
from uws.job import Result
from uws.looks.viewer import StoredFile, Viewer
from uws.results import ResultStore

#: Of a small picture: pixels of its longer side, and the most there may be.
SIDE, MOST_SIDE, LEAST_SIDE = 128, 1024, 16
#: A change of the drawing changes every ETag.
DRAWING = 1
RETRY_AFTER_S = 10
_KEPT_S = 86_400

T = TypeVar("T")


class Looks:
    """What the job resource answers for looks at results.

    Parameters
    ----------
    viewer
        Draws them; None where there are no looks.
    results
        Where they lie.
    """

    def __init__(self, viewer: Viewer | None, results: ResultStore) -> None:
        self._viewer = viewer
        self._results = results

    def thumbnail(
        self, result: Result, parameters: Parameters, request: Request, *, is_open: bool = True
    ) -> Response:
        """Show a result as a small picture; `is_open` says that everybody may have what it is made of."""
        viewer = self._expect_viewer()
        _refuse_others(parameters, ("SIZE", "STRETCH"))
        side, stretch = _side(parameters), _stretch(parameters, viewer)
        _expect_file(result)
        etag = f"{result.sha256}-{DRAWING}-{side}-{stretch}"
        headers = {
            "Cache-Control": _kept(is_open),
            "X-Content-Type-Options": "nosniff",
            "ETag": f'"{etag}"',
        }
        if request.if_none_match.contains_weak(etag):
            return Response(status=304, headers=headers)
        drawn = self._read(result, lambda file: viewer.thumbnail(file, side, stretch))
        return Response(drawn, headers=headers, content_type="image/png")

    def header(
        self, result: Result, parameters: Parameters, request: Request, *, is_open: bool = True
    ) -> Response:
        """Tell the cards of a FITS file; `is_open` as above."""
        viewer = self._expect_viewer()
        _refuse_others(parameters, ())
        _expect_file(result)
        headers = {
            "Cache-Control": _kept(is_open),
            "X-Content-Type-Options": "nosniff",
            "ETag": f'"{result.sha256}-{DRAWING}"',
        }
        if request.if_none_match.contains_weak(f"{result.sha256}-{DRAWING}"):
            return Response(status=304, headers=headers)
        told = self._read(result, viewer.header)
        return Response(json.dumps(told, ensure_ascii=False), headers=headers, content_type=JSON)

    def _expect_viewer(self) -> Viewer:
        if self._viewer is None:
            raise NotFound("results of these jobs are not drawn", "Fetch the result itself.")
        return self._viewer

    def _read(self, result: Result, look: Callable[[StoredFile], T]) -> T:
        try:
            with closing(self._results.ranges()) as ranges:
                return look(StoredFile(result, ranges))
        except FileNotFoundError as fault:
            raise NotFound("the file of this result is no longer stored") from fault
        except OSError as fault:
            raise ServiceUnavailable(
                "the result cannot be read now", "Try again a little later.", retry_after_s=RETRY_AFTER_S
            ) from fault


def _kept(is_open: bool) -> str:
    # A result is never another, but who may have it may change: of closed data browsers ask each time, also
    # when the next one sits at the same machine.
    return f"private, max-age={_KEPT_S}" if is_open else "private, no-cache"


def _refuse_others(parameters: Parameters, known: tuple[str, ...]) -> None:
    if unknown := refuse_unknown(parameters, known, known):
        raise unknown[0]


def _expect_file(result: Result) -> None:
    if not result.container:
        raise NotFound("this result is a sentence, and no file", "Fetch the result itself.")


def _side(parameters: Parameters) -> int:
    text = (parameters.one("SIZE") or str(SIDE)).strip(" ")
    side = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
    if not LEAST_SIDE <= side <= MOST_SIDE:
        raise UsageError(
            f"SIZE is the longer side of the picture, {LEAST_SIDE} to {MOST_SIDE} pixels; got {quoted(text)}",
            f"Write SIZE={SIDE}.",
        )
    return side


def _stretch(parameters: Parameters, viewer: Viewer) -> str:
    text = parameters.one("STRETCH")
    word = viewer.stretches[0] if text is None else text.strip(" ").lower()
    if word not in viewer.stretches:
        raise UsageError(f"STRETCH is one of {', '.join(viewer.stretches)}; got {quoted(text or '')}")
    return word
