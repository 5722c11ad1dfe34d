"""``/sync``, ``/cutout``, ``/preview`` and ``/estimate``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from urllib.parse import parse_qsl

from flask import Blueprint, Request, Response, request

from dali.caller import Caller, caller_in
from dali.parameters import Parameters
from dali.responses import JSON, LOG_FIELDS
from dali.views import expect_whole_body, read_parameters, watch_client
from soda.estimate.asked import job_command, lines_of, parse_asked, read_json, with_targets
from soda.estimate.document import estimate_document
from soda.estimate.service import EstimateService
from soda.habits import Habits, in_habit_words, outside
from soda.heavier import Client
from soda.preview import PreviewService
from soda.responses import cutout_response, preview_response
from soda.service import Asked, SyncService

#: Key of the WSGI environment: what a request for ``/sync`` comes to, if that is known before it gets here.
ASKED = "soda.asked"


def caller_of() -> Caller:
    """Tell who sent the request in hand."""
    return caller_in(request.environ)


def make_blueprint(
    service: SyncService,
    previews: PreviewService,
    habits: Habits,
    base_url: Callable[[], str],
) -> Blueprint:
    """Make the resources; during a request, `base_url` gives the service's URL."""
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
            asked = service.ask(habits.translate(read_parameters(request), client.caller), client)
        note(asked)
        if asked.is_empty:
            raise outside(asked.request.cutout)
        return cutout_response(asked, service, request)

    @blueprint.route("/preview")
    def preview() -> Response:
        parameters = read_parameters(request)
        if (of_stamps := previews.of_stamps(parameters)) is not None:
            asked = service.ask(of_stamps, Client(base_url(), caller_of(), watch_client(request)))
            note(asked)
            return cutout_response(asked, service, request)
        found = previews.find(parameters, caller_of())
        request.environ[LOG_FIELDS] = {"dataset": found.record.dataset}
        return preview_response(found, previews, request)

    return blueprint


def make_estimate_blueprint(service: EstimateService, base_url: Callable[[], str]) -> Blueprint:
    """Make the resource of dry runs."""
    blueprint = Blueprint("estimate", __name__)

    @blueprint.route("/estimate", methods=["GET", "POST"])
    def estimate() -> Response:
        client = Client(base_url(), caller_of(), watch_client(request))
        with _sent(request, service) as parameters:
            asked = parse_asked(parameters)
            found = service.estimate(asked.parameters, client)
        command = job_command(asked.parameters, client.base_url)
        document = estimate_document(found, service.terms, command, datetime.now(UTC), asked.page)
        return Response(document, headers={"Cache-Control": "no-store"}, content_type=JSON)

    return blueprint


@contextmanager
def _sent(request: Request, service: EstimateService) -> Iterator[Parameters]:
    """Read a form, or a JSON object, whose targets become a file while they are needed."""
    if request.method != "POST" or request.mimetype != JSON:
        yield read_parameters(request, spool=service.spool() if request.method == "POST" else None)
        return
    spool = service.spool()
    expect_whole_body(request)
    request.max_content_length = spool.max_bytes
    pairs, targets = read_json(request.get_data())
    query = parse_qsl(request.query_string.decode("utf-8", "replace"), keep_blank_values=True)
    if not targets:
        yield Parameters.from_pairs([*query, *pairs])
        return
    with NamedTemporaryFile(dir=spool.folder, suffix=".jsonl") as file:
        file.writelines(lines_of(targets))
        file.flush()
        yield with_targets([*query, *pairs], Path(file.name), file.tell())
