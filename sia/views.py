"""``/query``."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response, request

from dali.responses import LOG_FIELDS, answer_errors_as
from dali.views import read_parameters
from dali.votable import MEDIA_TYPE
from sia.params import errors_type
from sia.responses import query_response
from sia.service import QueryService


def make_blueprint(service: QueryService, base_url: Callable[[], str]) -> Blueprint:
    """Make the query resource; `base_url` gives the public URL of the service during a request."""
    blueprint = Blueprint("sia", __name__)

    @blueprint.route("/query", methods=["GET", "POST"])
    def query() -> Response:
        answer_errors_as(request, MEDIA_TYPE)
        parameters = read_parameters(request)
        answer_errors_as(request, errors_type(parameters))
        asked = service.ask(parameters)
        request.environ[LOG_FIELDS] = {"run_id": asked.run_id}
        return query_response(asked, service, request, base_url())

    return blueprint
