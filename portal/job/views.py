"""``/jobs/<id>``: the page of a job. It changes nothing: its forms are sent to the job itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, request

from dali.caller import Caller, caller_in
from dali.views import read_parameters
from portal.job.asked import LINK, PER_PAGE, Asked, parse_asked
from portal.job.shown import JobShow, JobShown
from portal.job.tiles import BAD, EMPTY, GOOD, LARGE, SMALL
from portal.pages import Pages, path_of
from portal.words import gettext as _
from uws.documents.job import parameters_value
from uws.job import Job
from uws.packages.shop import PackageShop

#: What the page of a job needs of it beside what is shown.
STRETCHES = ("asinh", "linear", "sqrt", "log")

#: Finds a job that somebody may look at: its id, who asks, the key of a link.
Find = Callable[[str, Caller, str], Job]


def make_blueprint(
    pages: Pages, show: JobShow, shop: PackageShop, find: Find, list_url: Callable[[], str], list_path: str
) -> Blueprint:
    """Make the page.

    Parameters
    ----------
    pages
        Renders.
    show
        Gathers what is shown.
    shop
        Says which words there are for what became of rows.
    find
        Finds jobs.
    list_url, list_path
        Public URL and path of the resource of jobs.
    """
    blueprint = Blueprint("job_page", __name__)

    @blueprint.get("/jobs/<job_id>")
    def show_job(job_id: str) -> Response:
        parameters = read_parameters(request)
        caller = caller_in(request.environ)
        job = find(job_id, caller, parameters.one(LINK) or "")
        statuses = shop.package_of(job).statuses if job.packaged else ()
        asked = parse_asked(parameters, statuses)
        shown = show.look(job, asked, caller, list_url())
        link = f"?{urlencode({LINK: asked.link})}" if asked.link else ""
        base = path_of(f"{list_path}/{job.job_id}")

        def below(path: str, **query: str | int) -> str:
            """Give the path of something below the job, for links of the page."""
            told = urlencode({**query, **({LINK: asked.link} if asked.link else {})})
            return f"{base}/{path}{'?' if told else ''}{told}"

        return pages.render(
            "job.html",
            scripts=("job.js",),
            shown=shown,
            job=job,
            told=shown.told,
            asked=asked,
            per_page=PER_PAGE,
            action=base,
            link_url=f"{list_url().removesuffix(list_path)}/jobs/{job.job_id}{link}",
            below=below,
            url=f"{list_url()}/{job.job_id}",
            came=_words(),
            groups=sorted(caller.groups),
            parameters=parameters_value(job.parameters[:200], base),
            data=_data(shown, asked, f"{list_path}/{job.job_id}"),
            good=GOOD,
            empty=EMPTY,
            bad=BAD,
            small=SMALL,
            large=LARGE,
            stretches=STRETCHES,
        )

    return blueprint


def _words() -> Mapping[str, str]:
    """Say what became of rows, for people."""
    return {
        "ok": _("ok"),
        "done": _("ok"),
        "clipped": _("clipped"),
        "no_overlap": _("no data there"),
        "empty": _("no data there"),
        "no_rights": _("not open to you"),
        "failed": _("failed"),
        "poison": _("crashed"),
    }


def _phases() -> Mapping[str, str]:
    """Say how far a job is, for people."""
    return {
        "PENDING": _("not started"),
        "QUEUED": _("waiting"),
        "EXECUTING": _("running"),
        "COMPLETED": _("done"),
        "ERROR": _("failed"),
        "ABORTED": _("aborted"),
    }


def _data(shown: JobShown, asked: Asked, path: str) -> dict[str, Any]:
    """Give what the scripts of the page begin with."""
    job = shown.job
    return {
        "id": job.job_id,
        "path": path,
        "link": asked.link,
        "seq": job.event_seq,
        "phase": job.phase,
        "isActive": shown.is_active,
        "isPackaged": job.packaged,
        "isSingle": shown.single is not None,
        "mayHave": bool(shown.told["may"]["results"]),
        "words": _words(),
        "phases": _phases(),
        "statuses": dict(shown.rows.statuses),
        "counts": {
            name: shown.told[name] for name in ("total", "done", "empty", "failed", "poison", "bytes")
        },
        "sort": "" if asked.sorting is None else str(asked.sorting),
        "status": list(asked.selection.statuses),
        "text": asked.selection.words,
        "offset": asked.offset,
        "matched": shown.rows.matched,
        "explore": path_of("/explore"),
        "rows": []
        if job.packaged
        else [
            {
                "result_id": tile.result_id,
                "id": tile.name,
                "status": tile.status,
                "error_message": tile.message,
                "bytes": tile.size if tile.is_file else None,
                "sha256": tile.sha256,
                "name": tile.file_name,
                "access_format": tile.media_type if tile.is_file else None,
            }
            for tile in shown.rows.tiles
        ],
    }
