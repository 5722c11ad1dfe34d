"""``/capabilities``, ``/availability`` and ``/healthz``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from flask import Blueprint, request
from werkzeug.wrappers import Response

from vosi.availability import Monitor, write_availability
from vosi.capabilities import Capability, write_capabilities

# As content_type: with mimetype= Flask would append a charset to XML.
XML = "text/xml"


def make_blueprint(
    capabilities: Sequence[Capability],
    changed: datetime,
    monitor: Monitor,
    base_url: Callable[[], str],
) -> Blueprint:
    """Make the VOSI resources.

    Parameters
    ----------
    capabilities
        In the order of the document.
    changed
        When they last changed, for Last-Modified.
    monitor
        Knows whether the service is available.
    base_url
        Gives the public URL of the service during a request.
    """
    blueprint = Blueprint("vosi", __name__)

    @blueprint.get("/capabilities")
    def show_capabilities() -> Response:
        response = Response(write_capabilities(capabilities, base_url()), content_type=XML)
        response.last_modified = changed
        response.make_conditional(request)
        return response

    @blueprint.get("/availability")
    def show_availability() -> Response:
        response = Response(write_availability(monitor.look()), content_type=XML)
        response.cache_control.no_store = True
        return response

    @blueprint.get("/healthz")
    def show_health() -> Response:
        return Response("ok\n", content_type="text/plain; charset=utf-8")

    return blueprint
