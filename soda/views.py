"""``/sync``, ``/cutout``, ``/preview`` and ``/estimate``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from flask import Blueprint, Request, Response, request

from dali.errors import UsageError
from dali.parameters import Parameters
from dali.responses import JSON, LOG_FIELDS
from dali.views import expect_whole_body, read_parameters, watch_client
from soda.estimate.asked import job_command, parse_asked, read_json
from soda.estimate.document import estimate_document
from soda.estimate.service import EstimateService
from soda.habits import Habits, in_habit_words, outside
from soda.heavier import Client
from soda.preview import PreviewService
from soda.responses import cutout_response, preview_response
from soda.service import Asked, SyncService
from uws.job import ANONYMOUS, Caller

#: Key of the WSGI environment: what a request for ``/sync`` comes to, if that is known before it gets here.
ASKED = "soda.asked"


def anonymous() -> Caller:
    """Say that it is not known who asks: so while no accounts are configured."""
    return ANONYMOUS


def make_blueprint(
    service: SyncService,
    previews: PreviewService,
    habits: Habits,
    base_url: Callable[[], str],
    caller_of: Callable[[], Caller] = anonymous,
) -> Blueprint:
    """Make the resources; during a request, `base_url` gives the service's URL and `caller_of` who asks."""
    blueprint = Blueprint("soda", __name__)

    def note(asked: Asked) -> None:
        request.environ[LOG_FIELDS] = {
            "dataset": asked.request.cutout.dataset,
            "run_id": asked.request.run_id,
        }

    @blueprint.route("/sync", methods=["GET", "POST"])
    def sync() -> Response:
        client = Client(base_url(), caller_of(), watch_client(request))
        planned: Asked | None = request.environ.pop(ASKED, None)
        asked = replace(planned, client=client) if planned else service.ask(read_parameters(request), client)
        note(asked)
        return cutout_response(asked, service, request)

    @blueprint.route("/cutout")
    def cutout() -> Response:
        client = Client(base_url(), caller_of(), watch_client(request))
        with in_habit_words():
            asked = service.ask(habits.translate(read_parameters(request)), client)
        note(asked)
        if asked.is_empty:
            raise outside(asked.request.cutout)
        return cutout_response(asked, service, request)

    @blueprint.route("/preview")
    def preview() -> Response:
        found = previews.find(read_parameters(request))
        request.environ[LOG_FIELDS] = {"dataset": found.record.dataset}
        return preview_response(found, previews, request)

    return blueprint


def make_estimate_blueprint(
    service: EstimateService,
    max_body_bytes: int,
    base_url: Callable[[], str],
    caller_of: Callable[[], Caller] = anonymous,
) -> Blueprint:
    """Make the resource of dry runs; a body has so many bytes at most."""
    blueprint = Blueprint("estimate", __name__)

    @blueprint.route("/estimate", methods=["GET", "POST"])
    def estimate() -> Response:
        request.max_content_length = max_body_bytes
        client = Client(base_url(), caller_of(), watch_client(request))
        asked = parse_asked(_sent(request))
        found = service.estimate(asked.parameters, client)
        command = job_command(asked.parameters, client.base_url, {})
        document = estimate_document(found, service.terms, command, datetime.now(UTC), asked.page)
        return Response(document, headers={"Cache-Control": "no-store"}, content_type=JSON)

    return blueprint


def _sent(request: Request) -> Parameters:
    """Read the parameters of a form, or of a JSON object."""
    if request.mimetype != JSON:
        return read_parameters(request)
    expect_whole_body(request)
    pairs, targets = read_json(request.get_data())
    if targets:
        raise UsageError("targets are not taken here yet", "Write CENTER for each of them.")
    query = parse_qsl(request.query_string.decode("utf-8", "replace"), keep_blank_values=True)
    return Parameters.from_pairs([*query, *pairs])
