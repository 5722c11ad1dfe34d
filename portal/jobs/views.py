"""``/jobs``: the caller's jobs, or those of others that are shared with them; and acts on several at once.

It takes the filters of the list of jobs as JSON. ``POST`` with ACT and OF does something to each job that is
named, by a form or by a program; programs are answered in JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from flask import Blueprint, Response, redirect, request
from werkzeug.wrappers import Response as BaseResponse

from dali.caller import Caller, caller_in
from dali.errors import NotFound, ProtocolError, UsageError
from dali.parameters import Parameters
from dali.responses import JSON
from dali.views import is_json_wanted, is_navigation, read_parameters
from portal.jobs.acts import MOST, WEEK_DAYS, JobActs, Outcome, chosen
from portal.jobs.lines import Line, line_of
from portal.pages import Pages, path_of
from uws.documents.asked import LIMIT, MOST_NAMED, Asked, parse_listing
from uws.documents.teller import JobTeller
from uws.phase import Phase
from uws.service import JobService
from uws.store.listing import Sought
from uws.streams.position import Position

PATH = "/jobs"
MOST_BYTES = 100_000
SCRIPTS = ("jobs.js",)
#: In the order of the page.
PHASES = (Phase.EXECUTING, Phase.QUEUED, Phase.PENDING, Phase.COMPLETED, Phase.ERROR, Phase.ABORTED)
#: What the page says of an act that was done, and is no filter.
_SAID = ("DONE", "N")


def make_blueprint(
    pages: Pages, service: JobService, teller: JobTeller, job_type: str, base_url: Callable[[], str]
) -> Blueprint:
    """Make the resource.

    Parameters
    ----------
    pages
        Renders.
    service
        Knows the jobs.
    teller
        Tells of them.
    job_type
        Of the jobs that are listed.
    base_url
        Gives the public URL of the service.
    """
    blueprint = Blueprint("jobs_page", __name__)
    acts = JobActs(service, job_type, lambda job_id: f"{base_url()}{PATH}/{job_id}")

    def page(
        status: int = 200, *, outcome: Outcome | None = None, problem: ProtocolError | None = None
    ) -> Response:
        caller, query, now_ms = caller_in(request.environ), _query(), service.now_ms()
        try:
            asked = parse_listing(_without(query, _SAID), job_type)
            if asked.job_ids is not None:
                asked = replace(asked, limit=MOST_NAMED)
            told = teller.page(asked, caller, f"{base_url()}/async")
        except UsageError as error:
            status, problem = error.status, error
            asked = Asked(Sought(job_type=job_type), LIMIT)
            told = teller.page(asked, caller, f"{base_url()}/async")
        following = urlsplit(told["next"]).query if told["next"] else ""
        return pages.render(
            "jobs.html",
            status=status,
            scripts=SCRIPTS,
            asked=asked,
            filters=_filters(asked, query),
            is_filtered=bool(asked.sought.phases or asked.sought.words or asked.sought.after_ms is not None),
            lines=[line_of(job, now_ms) for job in told["jobs"]],
            blank=Line(),
            counts={phase: told["counts"].get(phase, 0) for phase in PHASES},
            link=_link,
            older=f"{path_of(PATH)}?{following}" if following else "",
            groups=sorted(caller.groups),
            mode=_mode(caller, asked),
            cursor=str(Position(now_ms)),
            outcome=outcome,
            said=_first(query, "DONE"),
            number=_number(_first(query, "N")),
            problem=problem,
            week=WEEK_DAYS,
        )

    @blueprint.get(PATH)
    def show() -> Response:
        return page()

    @blueprint.post(PATH)
    def act() -> BaseResponse:
        request.max_content_length = request.max_form_memory_size = MOST_BYTES
        caller = caller_in(request.environ)
        form = _form()
        if form.one("ACT") == "delete" and is_navigation(request) and form.one("SURE") != "true":
            return _ask(form, caller)
        outcome = acts.perform(form, caller)
        if is_json_wanted(request):
            return _json(outcome)
        if outcome.refused or outcome.links:
            return page(outcome.status, outcome=outcome)
        return redirect(_link(_told(_query()), done=outcome.act, n=len(outcome.done)), 303)

    def _ask(form: Parameters, caller: Caller) -> Response:
        """Ask whether jobs are to be deleted: nothing brings them back."""
        wanted = Asked(Sought(job_type=job_type), MOST, job_ids=tuple(chosen(form)))
        told = teller.page(wanted, caller, f"{base_url()}/async")
        now_ms = service.now_ms()
        lines = [line_of(job, now_ms) for job in told["jobs"]]
        lines = [line for line in lines if line.can]
        if not lines:
            raise NotFound("none of these jobs is there, and yours to delete")
        return pages.render("jobs-delete.html", lines=lines, back=_link(_told(_query())))

    return blueprint


def _query() -> Parameters:
    query = request.query_string.decode("utf-8", "replace")
    return Parameters.from_pairs(parse_qsl(query, keep_blank_values=True, errors="replace"))


def _form() -> Parameters:
    """Read what a form says; the query of its address has the filters of the page."""
    query, whole = _query(), read_parameters(request)
    values = {name: tuple(values)[len(query.all(name)) :] for name, values in whole.values.items()}
    return Parameters({name: values for name, values in values.items() if values})


def _told(query: Parameters) -> Mapping[str, Any]:
    """Give what the address of the page says, without what came of an act."""
    return {name.lower(): list(values) for name, values in _without(query, _SAID).values.items()}


def _first(query: Parameters, name: str) -> str:
    return next(iter(query.all(name)), "")


def _without(parameters: Parameters, names: Sequence[str]) -> Parameters:
    return Parameters({name: values for name, values in parameters.values.items() if name not in names})


def _filters(asked: Asked, query: Parameters) -> Mapping[str, Any]:
    """Give the filters of the page as its links have them."""
    values = {
        "phase": [phase.value for phase in sorted(asked.sought.phases)],
        "text": asked.sought.words,
        "after": _first(query, "AFTER") if asked.sought.after_ms is not None else "",
        "shared": "true" if asked.shared else "",
        "job": list(asked.job_ids or ()),
    }
    return {name: value for name, value in values.items() if value}


def _link(filters: Mapping[str, Any], **changes: object) -> str:
    """Make a link to the page with some filters changed; "" takes one out."""
    values = {name: value for name, value in {**filters, **changes}.items() if value}
    query = urlencode(values, doseq=True)
    return path_of(PATH) + (f"?{query}" if query else "")


def _mode(caller: Caller, asked: Asked) -> str:
    """Tell whose jobs are shown: own, shared, those that are named, or those that the browser knows."""
    if asked.job_ids is not None:
        return "named"
    if not caller.name:
        return "browser"
    return "shared" if asked.shared else "own"


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 1


def _json(outcome: Outcome) -> Response:
    headers = {"Cache-Control": "no-store", "Vary": "Accept"}
    refused = [{"id": one.job_id, "why": one.why, "fix": one.fix} for one in outcome.refused]
    told = {
        "act": outcome.act,
        "done": outcome.done,
        "refused": refused,
        "made": outcome.made,
        "links": dict(outcome.links),
    }
    return Response(json.dumps(told, ensure_ascii=False), outcome.status, headers, content_type=JSON)
