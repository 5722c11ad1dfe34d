"""``/links``."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response, request

from dali.caller import caller_in
from dali.responses import LOG_FIELDS, answer_errors_as
from dali.views import read_parameters
from datalink.params import LINKS_TYPE, parse_request
from datalink.service import LinksService

#: More parts than this in one body take seconds to tell apart.
MAX_FORM_PARTS = 50_000


def make_blueprint(service: LinksService, base_url: Callable[[], str], max_body_bytes: int) -> Blueprint:
    """Make the resource.

    Parameters
    ----------
    service
        Knows the links.
    base_url
        Gives the public URL of the service during a request.
    max_body_bytes
        Of a POST: clients send the identifiers of a whole table at once.
    """
    blueprint = Blueprint("datalink", __name__)

    @blueprint.route("/links", methods=["GET", "POST"])
    def links() -> Response:
        answer_errors_as(request, LINKS_TYPE)
        request.max_content_length = request.max_form_memory_size = max_body_bytes
        request.max_form_parts = MAX_FORM_PARTS
        asked = parse_request(read_parameters(request, most=max_body_bytes))
        request.environ[LOG_FIELDS] = {"ids": len(asked.ids), "run_id": asked.run_id}
        document = service.document(asked, caller_in(request.environ), base_url())
        return Response(document, content_type=asked.media_type)

    return blueprint
