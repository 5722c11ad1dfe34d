"""``/hips/hipslist``, ``/hips/<survey>/<band>/…`` and ``/moc/<survey>[/<band>]``."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response, request, send_file

from dali.caller import caller_in
from dali.views import read_parameters
from hips.pages import page_of
from hips.service import JSON, MOC_TYPES, TEXT, HipsService, HipsText, MocAnswer, MocFormat

#: Seconds that tiles are taken for the newest, and texts about them.
TILES_KEPT_S, TEXTS_KEPT_S = 3600, 300


def make_blueprint(service: HipsService, base_url: Callable[[], str]) -> Blueprint:
    """Make the resources.

    Parameters
    ----------
    service
        Knows what there is.
    base_url
        Gives the public URL of the service during a request.
    """
    blueprint = Blueprint("hips", __name__)

    @blueprint.get("/hips/hipslist")
    def list_hips() -> Response:
        return _text(service.listing(base_url(), caller_in(request.environ)))

    @blueprint.get("/hips/<survey>/<name>/properties")
    def show_properties(survey: str, name: str) -> Response:
        return _text(service.properties(survey, name, base_url(), caller_in(request.environ)))

    @blueprint.get("/hips/<survey>/<name>")
    @blueprint.get("/hips/<survey>/<name>/index.html")
    def show_page(survey: str, name: str) -> Response:
        told = service.properties(survey, name, base_url(), caller_in(request.environ))
        return _kept(Response(page_of(told.text), content_type="text/html; charset=utf-8"), told)

    @blueprint.get("/hips/<survey>/<name>/<path:path>")
    def show_file(survey: str, name: str, path: str) -> Response:
        file = service.find(survey, name, path, caller_in(request.environ))
        response = send_file(file.path, file.media_type, conditional=True, max_age=TILES_KEPT_S)
        return _for_whom(response, file.public)

    @blueprint.get("/moc/<survey>")
    @blueprint.get("/moc/<survey>/<band>")
    def show_moc(survey: str, band: str | None = None) -> Response:
        caller = caller_in(request.environ)
        return _moc(service.moc(survey, band, read_parameters(request), _accepted(), caller))

    return blueprint


def _text(told: HipsText) -> Response:
    return _kept(Response(told.text, content_type=TEXT), told)


def _kept(response: Response, told: HipsText) -> Response:
    response.last_modified = int(told.modified_s)  # type: ignore[assignment]  # Werkzeug takes seconds too
    response.add_etag()
    response.cache_control.max_age = TEXTS_KEPT_S
    response.make_conditional(request)
    return _for_whom(response, told.public)


def _moc(answer: MocAnswer) -> Response:
    response = Response(answer.content, content_type=answer.media_type)
    response.set_etag(answer.etag)
    response.headers["Content-Disposition"] = f'inline; filename="{answer.file_name}"'
    response.cache_control.max_age = TEXTS_KEPT_S
    response.vary.add("Accept")
    response.make_conditional(request)
    return _for_whom(response, answer.public)


def _for_whom(response: Response, public: bool) -> Response:
    response.cache_control.public = public
    if not public:
        # Whoever has it asks again each time: rights may have gone.
        response.cache_control.private = True
        response.cache_control.max_age = None
        response.cache_control.no_cache = True
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _accepted() -> MocFormat:
    """Format by the header Accept; FITS where it says nothing of these."""
    types = {TEXT.partition(";")[0] if kind == TEXT else kind: name for name, kind in MOC_TYPES.items()}
    offered = ["application/fits", JSON, "text/plain"]
    best = request.accept_mimetypes.best_match(offered, default="application/fits")
    return types[best]
