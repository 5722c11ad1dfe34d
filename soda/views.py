"""``/sync`` and ``/preview``."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response, request

from dali.responses import LOG_FIELDS
from dali.views import read_parameters
from soda.preview import PreviewService
from soda.responses import cutout_response, preview_response
from soda.service import SyncService


def make_blueprint(service: SyncService, previews: PreviewService, base_url: Callable[[], str]) -> Blueprint:
    """Make the resources; `base_url` gives the public URL of the service during a request."""
    blueprint = Blueprint("soda", __name__)

    @blueprint.route("/sync", methods=["GET", "POST"])
    def sync() -> Response:
        asked = service.ask(read_parameters(request))
        request.environ[LOG_FIELDS] = {
            "dataset": asked.request.cutout.dataset,
            "run_id": asked.request.run_id,
        }
        return cutout_response(asked, service, request, base_url())

    @blueprint.route("/preview")
    def preview() -> Response:
        found = previews.find(read_parameters(request))
        request.environ[LOG_FIELDS] = {"dataset": found.record.dataset}
        return preview_response(found, previews, request)

    return blueprint
