"""``/explore``: the page, and the same facts as JSON for its script and everybody else."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, request

from dali.caller import caller_in
from dali.responses import JSON
from dali.views import read_parameters
from portal.explore import wish
from portal.explore.code import code_of, code_of_job
from portal.explore.outcome import Estimates, Outcome, Sync, outcome_of, problems_of_preview
from portal.explore.state import EDGES, FORMATS, LOOK, SHAPES, STRETCHES, State, read_state
from portal.pages import Pages, path_of
from portal.policy import RESOLVER, PagePolicy
from portal.position import Place
from portal.surveys import SurveysShown
from soda.heavier import Client
from surveys.identifiers import Identifiers
from surveys.survey import Survey

#: Where programs of the same machine listen (SAMP 1.3, section 5.2.2).
HUB_ORIGIN = "http://127.0.0.1:21012"
POLICY = PagePolicy(connect=(RESOLVER, HUB_ORIGIN))
#: Where Aladin Lite is there, which compiles WebAssembly and has styles of its own.
WITH_VIEWER = PagePolicy(connect=POLICY.connect, wasm=True)
_REGION_FIELDS = {"circle": "radius", "box": "size", "polygon": "points"}


@dataclass(frozen=True, slots=True)
class Explorer:
    """What the page is made with.

    Parameters
    ----------
    shown
        The surveys.
    identifiers
        Publisher DIDs.
    estimates, sync
        Tell what a request comes to.
    starts
        Places to look at first, by the names of surveys; of others it is where an image is.
    viewer
        Gives the path of the script of Aladin Lite; "" where it is not there.
    """

    shown: SurveysShown
    identifiers: Identifiers
    estimates: Estimates
    sync: Sync
    starts: Mapping[str, Place]
    viewer: Callable[[], str] = lambda: ""

    def look(self, client: Client) -> tuple[State, Mapping[str, Any]]:
        """Read the request in hand, and find out what it comes to."""
        surveys = [survey for survey in self.shown.open_to(client.caller) if survey.lake is None]
        told = self.shown.told(client.caller)
        centers = {survey["name"]: survey["center"] for survey in told["surveys"]}

        def start_of(survey: Survey) -> Place | None:
            if survey.name in self.starts:
                return self.starts[survey.name]
            center = centers.get(survey.name)
            return Place(center[0], center[1], "equatorial") if center else None

        state = read_state(read_parameters(request), surveys, start_of)
        found = self._found(state, client)
        start = None if state.survey is None else start_of(state.survey)
        return state, {**found, "start": start.decimal if start else None}

    def _found(self, state: State, client: Client) -> dict[str, Any]:
        pairs, outcome, shown, code = wish.product(state, self.identifiers), Outcome(), None, {}
        problems = list(state.problems)
        if pairs is not None and state.survey is not None:
            field = _REGION_FIELDS[state.shape]
            outcome = outcome_of(pairs, client, self.estimates, self.sync, field)
            problems += outcome.problems
            small = wish.preview(state, self.identifiers, *_pixels(state, outcome))
            why_not = problems_of_preview(small, client, self.sync) if small else ()
            shown = small if why_not is None else None
            # A file has no look, but its preview has.
            problems += [one for one in why_not or () if state.format == "fits" and one.field in LOOK]
            name = outcome.file_name or f"cutout.{state.format}"
            public = state.survey.is_public
            if outcome.by == "sync":
                code = dict(code_of(client.base_url, pairs, name, is_public=public))
            elif outcome.by == "async":
                code = dict(code_of_job(client.base_url, pairs, is_public=public))
        return {
            **_written(state),
            "covered": self._covered(state),
            "problems": [problem.told() for problem in problems],
            "parameters": pairs or [],
            "outcome": outcome.told(),
            "preview": f"sync?{wish.spelled(shown)}" if shown else None,
            "download": f"sync?{wish.spelled(pairs)}" if pairs and outcome.by == "sync" else None,
            "code": code,
        }

    def _covered(self, state: State) -> dict[str, bool]:
        """Tell which bands have images where the region is."""
        if state.survey is None or state.place is None:
            return {}
        radius = max(state.extent_deg or (0.0,)) / 2
        covering = self.shown.covering(state.survey, state.place, radius)
        return {band.label: band.label in covering for band in state.survey.bands}


def make_blueprint(pages: Pages, explorer: Explorer, base_url: Callable[[], str]) -> Blueprint:
    """Make the page."""
    blueprint = Blueprint("explore", __name__)

    @blueprint.get("/explore")
    def show() -> Response:
        client = Client(base_url(), caller_in(request.environ))
        state, found = explorer.look(client)
        if request.accept_mimetypes.best_match(["text/html", JSON]) == JSON:
            headers = {"Cache-Control": "no-cache"}
            return Response(json.dumps(found, ensure_ascii=False), headers=headers, content_type=JSON)
        told = explorer.shown.told(client.caller)
        # Stamps have no place of their own to be cut at.
        told["surveys"] = [survey for survey in told["surveys"] if survey["kind"] != "alerts"]
        viewer = explorer.viewer()
        return pages.render(
            "explore.html",
            scripts=("explore.js",),
            policy=WITH_VIEWER if viewer else POLICY,
            state=state,
            found=found,
            told=told,
            place=None if state.place is None else state.place.told(),
            survey=next((one for one in told["surveys"] if one["name"] == found["survey"]), None),
            problems=_by_field(found["problems"]),
            viewer=path_of(viewer) if viewer else "",
            algorithm=wish.algorithm_of(state),
            shapes=SHAPES,
            formats=FORMATS,
            edges=EDGES,
            stretches=STRETCHES,
        )

    return blueprint


def _pixels(state: State, outcome: Outcome) -> tuple[int, int]:
    """Tell how many pixels it has, of what is too large about how many."""
    if outcome.width_px or state.survey is None or not state.survey.pixel_scale_arcsec:
        return outcome.width_px, outcome.height_px
    width, height = state.extent_deg or (1.0, 1.0)
    scale = state.survey.pixel_scale_arcsec / 3600
    return round(width / scale), round(height / scale)


def _by_field(problems: list[dict[str, str]]) -> dict[str, list[dict[str, str]]]:
    gathered: dict[str, list[dict[str, str]]] = {}
    for problem in problems:
        gathered.setdefault(problem["field"], []).append(problem)
    return gathered


def _written(state: State) -> dict[str, Any]:
    """Write a state as JSON has it."""
    place = state.place
    return {
        "query": state.query(),
        "survey": None if state.survey is None else state.survey.name,
        "bands": list(state.bands),
        "at": state.at,
        "place": None if place is None else [place.ra_deg, place.dec_deg],
        "shape": state.shape,
        "size": state.size,
        "radius": state.radius,
        "points": state.points,
        "extent": None if state.extent_deg is None else list(state.extent_deg),
        "format": state.format,
        "edge": state.edge,
        "look": dict(state.look),
        "mask": state.mask,
        "north": state.north,
        "detail": state.detail,
        "recipes": [recipe.name for recipe in state.recipes],
        "algorithm": wish.algorithm_of(state),
    }
