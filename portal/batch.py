"""``/batch``: many targets at once, from a table that is dropped, pasted or chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flask import Blueprint, Response, request

from dali.caller import Caller, caller_in
from portal.pages import Pages
from portal.surveys import SurveysShown

SCRIPTS = ("batch.js",)
#: The size of a cutout, until somebody says otherwise.
USUAL_SIZE = "30arcsec"
#: The band that is cut, until somebody says otherwise, where a survey has it.
USUAL_BAND = "r"
_LIMITS = ("max_targets", "max_list_rows", "max_upload_bytes", "job_max_pixels", "destruction_s")


def make_blueprint(
    pages: Pages,
    shown: SurveysShown,
    names: Sequence[str],
    sends_mail: Callable[[Caller], bool],
    base_url: Callable[[], str],
) -> Blueprint:
    """Make the page. Its form is sent to ``/async`` itself.

    Parameters
    ----------
    pages
        Renders.
    shown
        Tells of the surveys.
    names
        What a column of a table may be, in the words of ``COLUMNS``.
    sends_mail
        Tells whether there may be mail to somebody.
    base_url
        Gives the URL of the service.
    """
    blueprint = Blueprint("batch_page", __name__)

    @blueprint.get("/batch")
    def show() -> Response:
        caller = caller_in(request.environ)
        told = shown.told(caller)
        surveys = [_offered(survey) for survey in told["surveys"] if survey["images"] or survey["alerts"]]
        limits = {name: told["limits"][name] for name in _LIMITS}
        return pages.render(
            "batch.html",
            scripts=SCRIPTS,
            surveys=surveys,
            limits=limits,
            recipes=_recipes(surveys),
            usual=_usual(surveys),
            size=USUAL_SIZE,
            sends_mail=sends_mail(caller),
            known={
                "surveys": [_brief(survey) for survey in surveys],
                "columns": list(names),
                "limits": limits,
                "isKnown": bool(caller.name),
                "url": base_url(),
            },
        )

    return blueprint


def _offered(survey: dict[str, Any]) -> dict[str, Any]:
    """Survey with what a file may be of: its bands, or the kinds of stamps of its alerts."""
    return {**survey, "bands": survey["stamps"]} if survey["kind"] == "alerts" else survey


def _usual(surveys: Sequence[dict[str, Any]]) -> str:
    """Choose what is cut until somebody says otherwise: a band of the first survey."""
    if not surveys:
        return ""
    bands = surveys[0]["bands"]
    chosen = next((band for band in bands if band["name"] == USUAL_BAND), next(iter(bands), surveys[0]))
    return str(chosen["did"])


def _recipes(surveys: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """List the recipes of all surveys, each with the bands of the first that has it."""
    found: dict[str, str] = {}
    for survey in surveys:
        for recipe in survey["recipes"]:
            found.setdefault(recipe["name"], ", ".join(recipe["bands"]))
    return list(found.items())


def _brief(survey: dict[str, Any]) -> dict[str, Any]:
    told = {name: survey[name] for name in ("name", "title", "did", "kind", "pixel_scale_arcsec")}
    return {**told, "bands": [{name: band[name] for name in ("name", "did")} for band in survey["bands"]]}
