"""``/capabilities``, ``/availability``, ``/tables``, ``/examples``, ``/record`` and ``/healthz``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from flask import Blueprint, request
from werkzeug.wrappers import Response

from dali.errors import NotFound, UsageError, quoted
from dali.views import read_parameters
from vosi import examples
from vosi.availability import Monitor, write_availability
from vosi.capabilities import Capability, write_capabilities
from vosi.examples import Example, write_examples
from vosi.record import Record, write_record
from vosi.tables import Table, write_table, write_tableset

# As content_type: with mimetype= Flask would append a charset to XML.
XML = "text/xml"
_DETAILS = {"MIN": False, "MAX": True}


@dataclass(frozen=True, slots=True)
class Described:
    """What is told of the service.

    Parameters
    ----------
    title
        Of the page of examples.
    capabilities, tables
        In the order of the documents.
    changed
        When these last changed.
    examples, record
        Found out anew for each request; the record is told the public URL of the service.
    """

    title: str
    capabilities: Sequence[Capability]
    tables: Sequence[Table]
    changed: datetime
    examples: Callable[[], Sequence[Example]]
    record: Callable[[str], Record]


def make_blueprint(told: Described, monitor: Monitor, base_url: Callable[[], str]) -> Blueprint:
    """Make the VOSI resources.

    Parameters
    ----------
    told
        What they tell.
    monitor
        Knows whether the service is available.
    base_url
        Gives the public URL of the service during a request.
    """
    blueprint = Blueprint("vosi", __name__)

    @blueprint.get("/capabilities")
    def show_capabilities() -> Response:
        return _document(write_capabilities(told.capabilities, base_url()), told.changed)

    @blueprint.get("/availability")
    def show_availability() -> Response:
        response = Response(write_availability(monitor.look()), content_type=XML)
        response.cache_control.no_store = True
        return response

    @blueprint.get("/tables")
    def show_tables() -> Response:
        return _document(write_tableset(told.tables, columns=_wants_columns()), told.changed)

    @blueprint.get("/tables/<name>")
    def show_table(name: str) -> Response:
        for table in told.tables:
            if table.name.lower() == name.lower():
                return _document(write_table(table), told.changed)
        known = ", ".join(table.name for table in told.tables)
        raise NotFound(f"there is no table {quoted(name)}", f"There is {known}." if known else "")

    @blueprint.get("/examples")
    def show_examples() -> Response:
        page = write_examples(told.examples(), told.title, base_url())
        return Response(page, content_type=examples.MEDIA_TYPE)

    @blueprint.get("/record")
    def show_record() -> Response:
        record = told.record(base_url())
        written = write_record(record, told.capabilities, told.tables, base_url())
        return _document(written, record.updated)

    @blueprint.get("/healthz")
    def show_health() -> Response:
        return Response("ok\n", content_type="text/plain; charset=utf-8")

    return blueprint


def _document(written: bytes, changed: datetime) -> Response:
    response = Response(written, content_type=XML)
    response.last_modified = changed
    response.make_conditional(request)
    return response


def _wants_columns() -> bool:
    """Read ``detail``, ``min`` or ``max`` (VOSI 1.1, section 3.3); all is told where nothing is asked."""
    detail = read_parameters(request).one("DETAIL") or "max"
    if detail.upper() not in _DETAILS:
        raise UsageError(f"detail is min or max; got {quoted(detail)}", "Write detail=max.")
    return _DETAILS[detail.upper()]
