"""``/quota``: how much of what the caller may use is used."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response, request

from accounts.quota.document import Stand, quota_json, quota_text
from dali.caller import Caller, caller_in
from dali.responses import JSON, TEXT


def make_blueprint(stand_of: Callable[[Caller], Stand]) -> Blueprint:
    """Make the resource; `stand_of` tells how it stands."""
    blueprint = Blueprint("quota", __name__)

    @blueprint.route("/quota")
    def quota() -> Response:
        stand = stand_of(caller_in(request.environ))
        is_text = request.accept_mimetypes.best_match([JSON, "text/plain"]) == "text/plain"
        body, kind = (quota_text(stand), TEXT) if is_text else (quota_json(stand), JSON)
        return Response(body, headers={"Cache-Control": "no-store", "Vary": "Accept"}, content_type=kind)

    return blueprint
