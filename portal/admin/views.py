"""``/admin``: each area as a page, as JSON and, where it is a table, as CSV; and what is done there.

``?format=json`` or ``Accept: application/json`` give JSON. ``POST /admin/<area>`` with act, of, reason and
what the act needs, as a form or as a JSON object, does something; programs are answered in JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, redirect, request
from werkzeug.wrappers import Response as BaseResponse

from accounts.audit import Audit, Entry
from accounts.proof import Proof
from dali.caller import Caller, caller_in
from dali.errors import AuthenticationError, ProtocolError, UsageError, quoted
from dali.responses import JSON, error_response
from dali.views import expect_whole_body
from portal import figures
from portal.admin.area import Area, Outcome, perform
from portal.admin.asked import Asked
from portal.admin.charts import meter
from portal.admin.door import expect_administrator
from portal.admin.written import as_csv, as_json
from portal.pages import Pages, is_for_people, path_of

MOST_BYTES = 100_000
CSV = "text/csv; charset=utf-8"
FORMATS = ("", "html", "json", "csv")
#: Of what was just done, so many entries of the log are shown.
MOST_DONE = 5
#: Where a form may lead back to.
_BACK = re.compile(r"/admin(/[^\s\\]*)?")


def make_blueprint(areas: Sequence[Area], proof: Proof, audit: Audit, pages: Pages) -> Blueprint:
    """Make the resources; the first area is at ``/admin`` itself."""
    blueprint = Blueprint("admin", __name__)
    views = AdminViews(areas, proof, audit, pages)
    for area in areas:
        path = f"/admin/{area.name}".rstrip("/")
        name = area.name or "overview"
        blueprint.add_url_rule(path, name, views.looker(area), methods=["GET"])
        if area.verbs:
            blueprint.add_url_rule(path, f"{name}_act", views.actor(area), methods=["POST"])
        if area.one is not None:
            blueprint.add_url_rule(
                f"{path}/<thing>", f"{name}_one", views.teller(area, area.one), methods=["GET"]
            )
    blueprint.register_error_handler(ProtocolError, views.refuse)
    return blueprint


class AdminViews:
    """Reads requests, and answers them.

    Parameters
    ----------
    areas
        All of them, in the order of the navigation.
    proof
        Knows who has shown lately who they are: only they act.
    audit
        Knows what was just done.
    pages
        Renders.
    """

    def __init__(self, areas: Sequence[Area], proof: Proof, audit: Audit, pages: Pages) -> None:
        self._areas = areas
        self._proof = proof
        self._audit = audit
        self._pages = pages

    def looker(self, area: Area) -> Callable[[], BaseResponse]:
        """Make the view that shows an area."""

        def show() -> BaseResponse:
            caller, asked = self._enter(), Asked(_query())
            area.expect_known(asked)
            kind, shown = _format(area, asked), area.look(asked)
            if kind == "csv" and area.table is not None:
                response = Response(as_csv(area.table(shown)), content_type=CSV)
                response.headers["Content-Disposition"] = f'attachment; filename="{area.name}.csv"'
                response.headers["Cache-Control"] = "no-store"
                return response
            if kind == "json":
                return _json(shown)
            return self._page(area, f"admin/{area.name or 'overview'}.html", caller, shown)

        return show

    def teller(self, area: Area, tell: Callable[[str, Asked], Any]) -> Callable[[str], BaseResponse]:
        """Make the view that shows one thing of an area."""

        def show(thing: str) -> BaseResponse:
            caller, asked = self._enter(), Asked(_query())
            area.expect_known(asked)
            kind, shown = _format(area, asked), tell(thing, asked)
            if kind == "json":
                return _json(shown)
            return self._page(area, f"admin/{area.name}-one.html", caller, shown)

        return show

    def actor(self, area: Area) -> Callable[[], BaseResponse]:
        """Make the view that does something."""

        def act() -> BaseResponse:
            request.max_content_length = MOST_BYTES
            caller = self._enter()
            if not self._proof.is_given(caller) and is_for_people():
                return redirect(
                    f"{path_of('/login')}?{urlencode({'again': 1, 'next': _back(area, {})})}", 303
                )
            self._proof.expect(caller)
            given = _given()
            outcome = perform(area, Asked(given), caller)
            if not is_for_people():
                return _json(outcome, 200 if outcome.done or not outcome.refused else 409)
            if outcome.refused:
                return self._told(area, outcome, caller)
            query = urlencode({"done": max(1, len(outcome.done))})
            back = _back(area, given)
            return redirect(f"{back}{'&' if '?' in back else '?'}{query}", 303)

        return act

    def refuse(self, error: ProtocolError) -> BaseResponse:
        """Tell of a refusal: people whom nobody knows are sent to sign in."""
        if not is_for_people():
            return error_response(error, request)
        if isinstance(error, AuthenticationError) and request.method == "GET":
            return redirect(f"{path_of('/login')}?{urlencode({'next': path_of(request.path)})}", 303)
        return self._pages.error(error)

    def _enter(self) -> Caller:
        caller = caller_in(request.environ)
        expect_administrator(caller)
        return caller

    def _page(self, area: Area, template: str, caller: Caller, shown: Any) -> BaseResponse:
        return self._pages.render(
            template,
            areas=self._areas,
            area=area,
            shown=shown,
            figures=figures,
            meter=meter,
            query=request.args,
            link=_link,
            is_proved=self._proof.is_given(caller),
            again=f"/login?{urlencode({'again': 1, 'next': path_of(request.full_path.rstrip('?'))})}",
            done=self._done(caller),
        )

    def _done(self, caller: Caller) -> Sequence[Entry]:
        """Give what the caller has just done, where the page is shown after that."""
        text = request.args.get("done", "")
        if not (text.isascii() and text.isdigit() and len(text) < 4):
            return ()
        return self._audit.read(min(int(text), MOST_DONE), by=caller.name)

    def _told(self, area: Area, outcome: Outcome, caller: Caller) -> BaseResponse:
        return self._pages.render(
            "admin/outcome.html",
            status=200 if outcome.done else 409,
            areas=self._areas,
            area=area,
            outcome=outcome,
            back=f"/admin/{area.name}",
            done=(),
        )


def _query() -> Mapping[str, Sequence[str]]:
    return dict(request.args.lists())


def _given() -> Mapping[str, Sequence[str]]:
    """Read a form, or a JSON object whose values are texts, numbers, or lists of them.

    Raises
    ------
    UsageError
        If it is neither.
    """
    expect_whole_body(request)
    if request.mimetype != JSON:
        return dict(request.form.lists())
    try:
        given = json.loads(request.get_data())
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise UsageError("the body is no JSON object", 'Send {"act": "…", "of": ["…"], "reason": "…"}.')
    found = {}
    for name, value in given.items():
        several = value if isinstance(value, list) else [value]
        if not all(isinstance(one, str | int | float) for one in several):
            raise UsageError(
                f"{quoted(name)} is of no type that it may have", "Send texts, numbers, or lists."
            )
        found[name] = [str(one) for one in several]
    return found


def _format(area: Area, asked: Asked) -> str:
    """Tell what is to be answered."""
    kind: str = asked.choice("format", FORMATS[1:], "")
    if kind == "csv" and area.table is None:
        raise UsageError("there is no CSV of this", "Ask for format=json.")
    return kind or ("html" if is_for_people() else "json")


def _json(shown: object, status: int = 200) -> Response:
    return Response(as_json(shown), status, {"Cache-Control": "no-store"}, content_type=JSON)


def _link(path: str, given: Mapping[str, Any], **changes: object) -> str:
    """Make a link to a page of the same filters, some of them changed; None takes one out."""
    values = {name: value for name, value in {**given, **changes}.items() if value not in (None, "", 0)}
    query = urlencode(values, doseq=True)
    return path_of(path) + (f"?{query}" if query else "")


def _back(area: Area, given: Mapping[str, Sequence[str]]) -> str:
    """Give where to go after an act: a page of administration."""
    # As the page has it: beneath the path of the service.
    wanted = (given.get("back") or [""])[-1].removeprefix(request.root_path.rstrip("/"))
    if "//" in wanted or ".." in wanted or not _BACK.fullmatch(wanted):
        wanted = f"/admin/{area.name}".rstrip("/")
    return path_of(wanted)
