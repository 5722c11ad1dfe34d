"""``/unsubscribe``: where mail is stopped, by a link that every mail has. GET only asks (RFC 8058)."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from flask import Blueprint, Response

from dali.errors import NotFound

_HTML = "text/html; charset=utf-8"
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex"><title>Mail about jobs</title></head>
<body><h1>Mail about jobs</h1>
{content}
</body></html>
"""


def make_blueprint(owner_of: Callable[[str], str], stop: Callable[[str], bool]) -> Blueprint:
    """Make the resource.

    Parameters
    ----------
    owner_of
        Tells whose link it is, by its last part; "" if it was not made here.
    stop
        Stops the mail to an account; False if there is none of this name.
    """
    blueprint = Blueprint("unsubscribe", __name__)

    @blueprint.get("/unsubscribe/<key>")
    def ask(key: str) -> Response:
        owner = escape(_owner(key, owner_of))
        return _page(
            f"<p>Shall <strong>{owner}</strong> get no more mail about jobs?</p>"
            '<form method="post"><button>No more mail</button></form>'
        )

    @blueprint.post("/unsubscribe/<key>")
    def unsubscribe(key: str) -> Response:
        owner = _owner(key, owner_of)
        if not stop(owner):
            raise _unknown()
        return _page(
            f"<p><strong>{escape(owner)}</strong> gets no more mail about jobs."
            " The page of the account turns it on again.</p>"
        )

    return blueprint


def _owner(key: str, owner_of: Callable[[str], str]) -> str:
    if not (owner := owner_of(key)):
        raise _unknown()
    return owner


def _unknown() -> NotFound:
    return NotFound(
        "this is no link of a mail of this service",
        "Is it whole? The page of your account stops mail too.",
    )


def _page(content: str) -> Response:
    return Response(_PAGE.format(content=content), headers={"Cache-Control": "no-store"}, content_type=_HTML)
