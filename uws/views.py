"""The job resource and everything below it (sections 2.2.1 to 2.2.3).

GET changes nothing; whatever changes something answers 303 and says no more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias
from urllib.parse import quote, urlencode

from flask import Blueprint, Response, request
from werkzeug.wrappers import Response as AnyResponse

from dali.caller import ANONYMOUS, Caller
from dali.errors import NotFound, UsageError
from dali.parameters import MAX_PARAMETERS, Parameters
from dali.responses import JSON, LOG_FIELDS, TEXT
from dali.views import expect_whole_body, is_json_wanted, is_navigation, read_parameters, watch_client
from uws import texts, xml
from uws.documents.asked import parse_listing
from uws.documents.teller import JobTeller
from uws.job import Job, Result, ResultRef
from uws.links import LINK, link_in, parse_days
from uws.looks.viewer import Viewer
from uws.looks.views import Looks
from uws.moment import format_moment
from uws.packages.shop import PackageShop
from uws.packages.views import PackageViews
from uws.params import (
    find_parameter,
    parse_action,
    parse_change,
    parse_command,
    parse_creation,
    parse_destruction,
    parse_duration,
    parse_filter,
    parse_share,
    parse_wait,
    refuse_changes,
)
from uws.queue.board import QueueBoard
from uws.responses import result_response
from uws.results import ResultStore
from uws.rights import Action
from uws.service import JobService
from uws.settings import JobSettings
from uws.uploads import as_result

_View: TypeAlias = Callable[[str], AnyResponse]


def make_blueprint(
    service: JobService,
    job_type: str,
    base_url: Callable[[], str],
    caller_of: Callable[[], Caller],
    path: str = "/async",
    *,
    results: ResultStore,
    settings: JobSettings,
    packages: PackageShop | None = None,
    board: QueueBoard | None = None,
    pages: str = "",
    viewer: Viewer | None = None,
) -> Blueprint:
    """Make the job resource of one job type.

    Parameters
    ----------
    service
        Knows the jobs.
    job_type
        Name of the type; jobs of others are not found here.
    base_url
        Gives the public URL of the service during a request.
    caller_of
        Tells who asks.
    path
        Of the resource.
    results
        Has the files of results.
    settings
        Limits of what is sent.
    packages
        Ledgers and packages of jobs, where there are such jobs.
    board
        Tells where jobs wait; they do not say it without.
    pages
        Path of the page about jobs, to which browsers are led; "" where there is none.
    viewer
        Draws files and reads their headers, where that is wanted.
    """
    looks = Looks(viewer, results)
    views = None if packages is None else PackageViews(packages, results)
    teller = JobTeller(service, job_type, board, has_ledgers=packages is not None)
    tree = _Tree(
        service, job_type, base_url, caller_of, path, results, settings, views, board, teller, pages, looks
    )
    return tree.blueprint()


class _Tree:
    """The resources, as they answer requests; `make_blueprint` says what the attributes are."""

    def __init__(
        self,
        service: JobService,
        job_type: str,
        base_url: Callable[[], str],
        caller_of: Callable[[], Caller],
        path: str,
        results: ResultStore,
        settings: JobSettings,
        packages: PackageViews | None,
        board: QueueBoard | None,
        teller: JobTeller,
        pages: str,
        looks: Looks,
    ) -> None:
        self._service = service
        self._job_type = job_type
        self._base_url = base_url
        self._caller_of = caller_of
        self._path = path
        self._results = results
        self._settings = settings
        self._packages = packages
        self._board = board
        self._teller = teller
        self._pages = pages
        self._looks = looks

    def blueprint(self) -> Blueprint:
        """Say which resource answers which method; Flask refuses all others."""
        blueprint = Blueprint(f"uws-{self._job_type}", __name__)
        job = f"{self._path}/<job_id>"
        views: Mapping[str, Mapping[str, Callable[..., AnyResponse]]] = {
            self._path: {"GET": self.list, "POST": self.create},
            job: {"GET": self.show, "POST": self.act, "DELETE": self.delete},
            f"{job}/phase": {"GET": self._text(texts.phase), "POST": self.command},
            f"{job}/executionduration": {"GET": self._text(texts.duration), "POST": self.set_duration},
            f"{job}/destruction": {"GET": self._text(texts.destruction), "POST": self.set_destruction},
            f"{job}/quote": {"GET": self._text(texts.quote)},
            f"{job}/owner": {"GET": self._text(texts.owner)},
            f"{job}/error": {"GET": self._text(texts.error)},
            f"{job}/parameters": {"GET": self.list_parameters, "POST": self.change_parameters},
            f"{job}/parameters/<name>": {"GET": self.show_parameter, "PUT": self.set_parameter},
            f"{job}/results": {"GET": self.list_results},
            f"{job}/results/<result_id>": {"GET": self.show_result},
            f"{job}/results/<result_id>/thumbnail": {"GET": self.show_thumbnail},
            f"{job}/results/<result_id>/header": {"GET": self.show_header},
            f"{job}/ledger": {"GET": self.show_ledger},
            f"{job}/causes": {"GET": self.show_causes},
        }
        for rule, by_method in views.items():
            for method, view in by_method.items():
                blueprint.add_url_rule(rule, f"{method} {rule}".replace(".", "-"), view, methods=[method])
        return blueprint

    def list(self) -> AnyResponse:
        """List the caller's jobs."""
        if self._is_visit():
            return _see(f"{self._base_url()}{self._pages}")
        parameters = self._read()
        if is_json_wanted(request):
            asked = parse_listing(parameters, self._job_type)
            link = link_in(request.query_string)
            return _json(self._teller.page(asked, self._caller_of(), self._list_url(), link))
        wanted = parse_filter(parameters)
        refs = self._service.refs(self._caller_of(), wanted, self._job_type)
        return _document(xml.jobs_document(refs, self._list_url()))

    def create(self) -> AnyResponse:
        """Make a job."""
        asked = parse_creation(self._read(files=True))
        job = self._service.submissions.create(
            self._job_type,
            asked.parameters,
            self._caller_of(),
            run=asked.run,
            run_id=asked.run_id or "",
            shared_with=asked.shared_with,
            notify=asked.notify,
        )
        return self._see(job)

    def show(self, job_id: str) -> AnyResponse:
        """Show a job, at once or when it has changed."""
        if self._is_visit():
            return _see(self._page_url(job_id, link_in(request.query_string)))
        wait = parse_wait(self._read())
        job = self._find(job_id)
        if wait is not None:
            job = self._service.wait(job, wait.seconds, wait.phase, watch_client(request))
        refs, url = self._refs(job), self._job_url(job)
        if is_json_wanted(request):
            return _json(self._teller.whole(job, refs, self._caller_of(), self._list_url()))
        ledger = f"{url}/ledger" if job.packaged and self._packages else ""
        place = None if self._board is None else self._board.place(job)
        return _document(xml.job_document(job, refs, url, self._service.now_ms(), ledger, place))

    def act(self, job_id: str) -> AnyResponse:
        """Do what DELETE does, for clients that cannot; have done what is missing; or say who may see it."""
        parameters = self._read()
        job = self._find(job_id)
        match parse_action(parameters):
            case "DELETE":
                self._service.destroy(job)
            case "NOTIFY":
                self._service.set_notices(job, tuple(parameters.all("NOTIFY")))
                return self._see(job)
            case "RETRY":
                return self._see(self._service.submissions.retry(job, self._caller_of()))
            case "SHARE":
                self._service.share(job, parse_share(parameters), self._caller_of())
                return self._see(job)
            case "LINK":
                return self._link(job, parse_days(parameters))
            case "UNLINK":
                self._service.links.take_back(job)
                return self._see(job)
        return _see(self._list_url())

    def _link(self, job: Job, days: int) -> AnyResponse:
        """Make a link to a job; its key is told this once."""
        link = self._service.links.make(job, days)
        url = self._page_url(job.job_id, link.key)
        if is_json_wanted(request):
            return _json({"url": url, "until": format_moment(link.until_ms)})
        return _see(url)

    def delete(self, job_id: str) -> AnyResponse:
        """Delete a job."""
        self._service.destroy(self._find(job_id))
        return _see(self._list_url())

    def command(self, job_id: str) -> AnyResponse:
        """Run or abort a job."""
        parameters = self._read()
        job = self._find(job_id)
        match parse_command(parameters):
            case "RUN":
                self._service.submissions.start(job, self._caller_of())
            case "ABORT":
                # Beside its owner only administrators may.
                is_others = job.owner and self._caller_of().name != job.owner
                self._service.abort(job, "" if is_others else None)
        return self._see(job)

    def set_duration(self, job_id: str) -> AnyResponse:
        """Set the execution duration."""
        parameters = self._read()
        job = self._find(job_id)
        self._service.set_duration(job, parse_duration(parameters))
        return self._see(job)

    def set_destruction(self, job_id: str) -> AnyResponse:
        """Set the destruction time."""
        parameters = self._read()
        job = self._find(job_id)
        self._service.set_destruction(job, parse_destruction(parameters))
        return self._see(job)

    def list_parameters(self, job_id: str) -> AnyResponse:
        """List the parameters of a job."""
        job = self._find(job_id)
        return _document(xml.parameters_document(job.parameters, self._job_url(job)))

    def change_parameters(self, job_id: str) -> AnyResponse:
        """Replace parameters of a job."""
        parameters = self._read(files=True)
        job = self._find(job_id)
        asked = parse_change(parameters)
        self._service.submissions.change_parameters(job, asked.parameters, self._caller_of(), asked.run_id)
        return self._see(job)

    def show_parameter(self, job_id: str, name: str) -> AnyResponse:
        """Give the values of a parameter, a line for each, or the file that was uploaded as it."""
        job = self._find(job_id)
        found = find_parameter(job, name)
        if (upload := self._service.upload(job, found)) is not None:
            return result_response(as_result(upload), self._results, request)
        return _text("\n".join(parameter.value for parameter in found))

    def set_parameter(self, job_id: str, name: str) -> AnyResponse:
        """Replace the values of a parameter that the job has by the body of the request."""
        request.max_content_length = self._settings.max_body_bytes
        expect_whole_body(request)
        try:
            value = request.get_data().decode()
        except UnicodeDecodeError:
            raise UsageError("the body of the request is not UTF-8") from None
        job = self._find(job_id)
        self._service.submissions.set_parameter(job, name, value, self._caller_of())
        return self._see(job)

    def list_results(self, job_id: str) -> AnyResponse:
        """List the results of a job."""
        job = self._find(job_id)
        return _document(xml.results_document(self._refs(job), self._job_url(job)))

    def show_result(self, job_id: str, result_id: str) -> AnyResponse:
        """Send a result."""
        job = self._find(job_id)
        self._service.require_results(job, self._caller_of())
        if self._packages is not None:
            packed = self._packages.result(job, self._job_url(job), result_id, self._read(), request)
            if packed is not None:
                return packed
        result = self._service.result(job, result_id)
        response = result_response(result, self._results, request)
        if request.method == "GET" and response.status_code in (200, 307):
            self._service.downloaded(job, result)
        return response

    def show_ledger(self, job_id: str) -> AnyResponse:
        """Tell what became of the rows of a job so far."""
        parameters = self._read()
        job = self._find(job_id)
        self._service.require_results(job, self._caller_of())
        if self._packages is None:
            raise NotFound("this job has no ledger", "Its /results lists what it has.")
        return self._packages.ledger(job, self._job_url(job), parameters, request)

    def show_causes(self, job_id: str) -> AnyResponse:
        """Tell why rows of a job failed."""
        parameters = self._read()
        job = self._find(job_id)
        self._service.require_results(job, self._caller_of())
        if self._packages is None:
            raise NotFound("this job has no ledger", "Its /results lists what it has.")
        return self._packages.causes(job, parameters)

    def show_thumbnail(self, job_id: str, result_id: str) -> AnyResponse:
        """Show a result as a small picture."""
        parameters = self._read()
        job, result = self._own(job_id, result_id)
        return self._looks.thumbnail(result, parameters, request, is_open=self._is_open(job))

    def show_header(self, job_id: str, result_id: str) -> AnyResponse:
        """Tell the cards of a FITS file."""
        parameters = self._read()
        job, result = self._own(job_id, result_id)
        return self._looks.header(result, parameters, request, is_open=self._is_open(job))

    def _own(self, job_id: str, result_id: str) -> tuple[Job, Result]:
        """Find the file of a row, for whoever may have it."""
        job = self._find(job_id)
        self._service.require_results(job, self._caller_of())
        return job, self._service.result(job, result_id)

    def _is_open(self, job: Job) -> bool:
        """Whether everybody may have what a job is made of."""
        return self._service.may_have(ANONYMOUS, job)

    def _is_visit(self) -> bool:
        """Whether somebody opens in a browser what there is a page for."""
        return bool(self._pages) and is_navigation(request)

    def _refs(self, job: Job) -> Sequence[ResultRef]:
        if job.packaged and self._packages is not None:
            return self._packages.refs(job)
        return self._service.result_refs(job)

    def _text(self, said: Callable[[Job], str]) -> _View:
        """Answer GET of a resource that is one text."""

        def view(job_id: str) -> AnyResponse:
            refuse_changes(self._read())
            return _text(said(self._find(job_id)))

        return view

    def _read(self, *, files: bool = False) -> Parameters:
        # As many values as a job may have rows, and whatever else is said.
        most = self._settings.max_rows + MAX_PARAMETERS
        request.max_content_length = request.max_form_memory_size = self._settings.max_body_bytes
        request.max_form_parts = most
        takes_files = (
            files and request.method == "POST" and self._service.submissions.takes_uploads(self._job_type)
        )
        found = read_parameters(request, most, self._service.submissions.spool() if takes_files else None)
        # A key says by what right one looks; it is read in another place.
        return found if request.method == "POST" else found.without(LINK)

    def _find(self, job_id: str) -> Job:
        action: Action = "see" if request.method in ("GET", "HEAD") else "change"
        link = link_in(request.query_string)
        job = self._service.find(job_id, self._caller_of(), self._job_type, action, link)
        request.environ[LOG_FIELDS] = {"job_id": job.job_id, "run_id": job.run_id}
        return job

    def _see(self, job: Job) -> Response:
        return _see(self._job_url(job))

    def _page_url(self, job_id: str, link: str) -> str:
        """URL of the page about a job; where there are none, of the job itself."""
        url = f"{self._base_url()}{self._pages or self._path}/{quote(job_id, safe='')}"
        return f"{url}?{urlencode({LINK: link})}" if link else url

    def _list_url(self) -> str:
        return self._base_url() + self._path

    def _job_url(self, job: Job) -> str:
        return f"{self._list_url()}/{job.job_id}"


def _see(url: str) -> Response:
    """303: what was changed is at this URL, which is absolute as some clients follow no other."""
    return Response(status=303, headers={"Location": url, "Cache-Control": "no-store"}, content_type=TEXT)


def _document(content: bytes) -> Response:
    return Response(content, headers={"Cache-Control": "no-store"}, content_type=xml.MEDIA_TYPE)


def _json(value: Mapping[str, Any]) -> Response:
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Vary": "Accept"}
    return Response(json.dumps(value, ensure_ascii=False), headers=headers, content_type=JSON)


def _text(text: str) -> Response:
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return Response(text, headers=headers, content_type=TEXT)
