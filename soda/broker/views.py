"""``/api/v1/cutouts``."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qsl

from flask import Blueprint, Request, Response, request

from dali.caller import caller_in
from dali.parameters import Parameters
from dali.responses import JSON, LOG_FIELDS
from dali.views import expect_whole_body, read_parameters, watch_client
from soda.broker.call import PATH, Broker, arguments, pairs_of
from soda.heavier import Client
from soda.responses import cutout_headers, in_coding
from soda.service import SENT


def make_blueprint(broker: Broker, base_url: Callable[[], str]) -> Blueprint:
    """Make the resource; during a request, `base_url` gives the service's URL."""
    blueprint = Blueprint("broker", __name__)

    @blueprint.route(PATH, methods=["GET", "POST"])
    def cutouts() -> Response:
        parameters = _read(request)
        if request.method != "POST" and not parameters:
            return Response(arguments(), content_type=JSON)
        client = Client(base_url(), caller_in(request.environ), watch_client(request))
        answer = broker.answer(parameters, client)
        sent = in_coding(answer.sent, request.headers.get("Accept-Encoding", ""))
        request.environ[SENT] = sent
        request.environ[LOG_FIELDS] = {"dataset": sent.asked.request.cutout.dataset, "run_id": ""}
        headers = dict(cutout_headers(sent))
        headers["Content-Disposition"] = f'attachment; filename="{answer.file_name}"'
        if not answer.file_name:
            # It is no file, and not what the ETag is of.
            del headers["Content-Disposition"], headers["ETag"]
        return Response(sent.chunks, headers=headers, content_type=answer.media_type)

    return blueprint


def _read(request: Request) -> Parameters:
    """Read a query, and a form or a JSON object."""
    if request.method != "POST" or request.mimetype != JSON:
        return read_parameters(request)
    expect_whole_body(request)
    query = parse_qsl(request.query_string.decode("utf-8", "replace"), keep_blank_values=True)
    return Parameters.from_pairs([*query, *pairs_of(request.get_data())])
