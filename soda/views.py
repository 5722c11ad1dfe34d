"""``/sync``, ``/cutout`` and ``/preview``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from flask import Blueprint, Response, request

from dali.responses import LOG_FIELDS
from dali.views import read_parameters, watch_client
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
