"""``/preferences``: the language and the colours that somebody wants, kept in their browser."""

from __future__ import annotations

from flask import Blueprint, redirect, request
from werkzeug.wrappers import Response

from accounts.signing import local_path
from dali.errors import UsageError, quoted
from portal.pages import THEME_COOKIE, THEMES, path_of
from portal.words import LANGUAGE_COOKIE, LANGUAGES

_KEPT_S = 365 * 86_400
_KEPT_AS = {"language": (LANGUAGE_COOKIE, tuple(LANGUAGES)), "theme": (THEME_COOKIE, THEMES)}


def make_blueprint() -> Blueprint:
    """Make the resource: it keeps what is said, and leads back to where somebody was."""
    blueprint = Blueprint("preferences", __name__)

    @blueprint.get("/preferences")
    def keep() -> Response:
        root = request.root_path.rstrip("/")
        response = redirect(local_path(request.args.get("next", ""), root) or path_of("/"), 303)
        for name, (cookie, known) in _KEPT_AS.items():
            if (chosen := request.args.get(name)) is None:
                continue
            if chosen not in known:
                raise UsageError(f"{name} is one of {', '.join(known)}; got {quoted(chosen)}")
            response.set_cookie(cookie, chosen, max_age=_KEPT_S, path=root or "/", samesite="Lax")
        response.headers["Cache-Control"] = "no-store"
        return response

    return blueprint
