"""A small service of toy jobs: real database, Redis and results store, and a web application before them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from lxml import etree
from sqlalchemy import Engine
from werkzeug.test import TestResponse

from config.answers import answer_errors
from config.proxies import public_url
from dali.caller import ANONYMOUS, CALLER, Caller, caller_in
from tests.support.databases import postgresql, sqlite
from tests.support.redis import own_redis
from tests.support.rights import RIGHTS
from tests.support.toy import toy_settings, toy_types
from uws.bell import Bell
from uws.child import CELLS, Doer, Task
from uws.containers import ContainerWriter
from uws.documents.teller import JobTeller
from uws.job import Claim, Job, RowReport, Settlement
from uws.jobtype import Outcome, Work
from uws.phase import Phase
from uws.queue import views as queue_views
from uws.queue.board import QueueBoard
from uws.results import ResultStore
from uws.service import JobService
from uws.settings import JobSettings
from uws.splitting import SplitWork, written_facts
from uws.store.changes import Changes
from uws.store.claims import Claims
from uws.store.jobs import Jobs
from uws.store.pace import Paces
from uws.store.queues import QueueStore
from uws.store.upkeep import Upkeep
from uws.streams import views as stream_views
from uws.streams.hub import Hub
from uws.verdict import judge
from uws.views import make_blueprint
from uws.waiting import Waiting

NAMES = {"uws": "http://www.ivoa.net/xml/UWS/v1.0", "job": "urn:sodafountain:jobinfo:1.0"}
HREF = "{http://www.w3.org/1999/xlink}href"


@dataclass
class House:
    """Everything but workers: `work` does what they do, when a test says so."""

    engine: Engine
    folder: Path
    redis_url: str
    settings: JobSettings

    @cached_property
    def jobs(self) -> Jobs:
        return Jobs(self.engine)

    @cached_property
    def upkeep(self) -> Upkeep:
        return Upkeep(self.engine)

    @cached_property
    def claims(self) -> Claims:
        return Claims(self.engine, "a worker", 30.0)

    @cached_property
    def results(self) -> ResultStore:
        reserve = self.settings.results_reserve_bytes
        return ResultStore(str(self.folder / "results"), self.folder / "spool", reserve_bytes=reserve)

    @cached_property
    def bell(self) -> Bell:
        return Bell(self.redis_url)

    @cached_property
    def waiting(self) -> Waiting:
        return Waiting(self.jobs, self.bell, self.settings.max_waiters)

    @cached_property
    def hub(self) -> Hub:
        return Hub(Changes(self.engine), self.bell, self.service.may_see, self.settings.max_streams)

    @cached_property
    def service(self) -> JobService:
        return JobService(
            self.jobs, toy_types(), self.results, self.bell, self.waiting, self.settings, RIGHTS
        )

    @cached_property
    def queues(self) -> QueueStore:
        return QueueStore(self.engine, self.settings.lease_s)

    @cached_property
    def board(self) -> QueueBoard:
        return QueueBoard(self.queues, Paces(self.engine), self.settings, kept_s=0.0)

    @cached_property
    def app(self) -> Flask:
        app = Flask("toys", static_folder=None)
        app.url_map.strict_slashes = False
        app.url_map.merge_slashes = False

        @app.before_request
        def know() -> None:
            name = request.headers.get("X-Caller", "")
            request.environ[CALLER] = Caller(name, is_admin=name == "admin") if name else ANONYMOUS

        def caller() -> Caller:
            return caller_in(request.environ)

        for kind, path in (("toy", "/async"), ("other", "/others"), ("list", "/lists")):
            blueprint = make_blueprint(
                self.service,
                kind,
                lambda: public_url(request, ""),
                caller,
                path,
                results=self.results,
                settings=self.settings,
                board=self.board,
            )
            app.register_blueprint(blueprint)
        app.register_blueprint(
            stream_views.make_blueprint(
                self.service,
                JobTeller(self.service, "toy", self.board, has_ledgers=False),
                Changes(self.engine),
                self.hub,
                lambda: f"{public_url(request, '')}/async",
                caller,
            )
        )
        app.register_blueprint(
            queue_views.make_blueprint(self.board, caller, lambda: f"{public_url(request, '')}/async")
        )
        answer_errors(app)
        return app

    def client(self, caller: str = "") -> Client:
        """Give a client who is known by this name."""
        return Client(self.app.test_client(), {"X-Caller": caller} if caller else {})

    def claim(self) -> Claim:
        """Take the next task, which must be there."""
        claim = self.claims.claim(("high", "low"))
        assert claim is not None
        self.bell.tell(claim.job_id, Phase.EXECUTING)
        return claim

    def finish(self, claim: Claim) -> Phase:
        """Do the rows of a task, or split a job, and commit what became of it."""
        kind = toy_types()[claim.job_type]
        if claim.kind == "split":
            phase = self.claims.settle(claim, self.split(claim), kind.finish)
            self.results.discard(claim)
            self.bell.tell(claim.job_id, phase)
            return phase
        writer = ContainerWriter(path := self.results.spool(claim))
        outcomes = kind.run(Work(claim.job_id, claim.owner, claim.rows, claim.common))
        reports = tuple(
            _report(writer, row.n, row.result_id, outcome)
            for row, outcome in zip(claim.rows, outcomes, strict=True)
        )
        writer.seal()
        published = self.results.publish(claim, path, reports)
        phase = self.claims.settle(claim, Settlement(published), kind.finish)
        self.bell.tell(claim.job_id, phase)
        return phase

    def split(self, claim: Claim) -> Settlement:
        """Split a job, as the child does, and say what is to become of it."""
        uploads = [
            (upload, path)
            for upload in claim.uploads
            if (path := self.results.local_upload(upload.stored)) is not None
        ]
        settings = self.settings
        work = SplitWork(
            self.results.scratch(claim),
            claim.parameters,
            tuple(uploads),
            settings.upload_hosts,
            settings.max_upload_bytes,
        )
        task = Task(
            claim.job_type,
            claim.job_id,
            claim.owner,
            claim.rows,
            self.results.spool(claim),
            claim.kind,
            claim.common,
            work,
        )
        return judge(claim, Doer(toy_types(), [0] * CELLS, 0).do(task), settings)

    def work(self) -> None:
        """Do whatever there is to do."""
        while (claim := self.claims.claim(("high", "low"))) is not None:
            self.finish(claim)

    def job(self, job_id: str) -> Job:
        """Return a job that is there."""
        found = self.jobs.get(job_id)
        assert found is not None
        return found

    def close(self) -> None:
        """Let go of everything."""
        self.hub.close()
        self.waiting.close()
        self.bell.close()


@dataclass(frozen=True)
class Client:
    """Somebody who uses the job resource at `path`."""

    http: FlaskClient
    headers: dict[str, str]
    path: str = "/async"

    def at(self, path: str) -> Client:
        return replace(self, path=path)

    def get(self, url: str = "", **options: Any) -> TestResponse:
        headers = {**self.headers, **options.pop("headers", {})}
        return self.http.get(self._url(url), headers=headers, buffered=True, **options)

    def post(self, url: str = "", /, **form: Any) -> TestResponse:
        return self.http.post(self._url(url), headers=self.headers, data=form)

    def send(self, method: str, url: str = "", **options: Any) -> TestResponse:
        return self.http.open(self._url(url), method=method, headers=self.headers, **options)

    def make(self, **form: Any) -> str:
        """Make a job; return its URL."""
        made = self.post(**form)
        assert made.status_code == 303, made.text
        return made.headers["Location"]

    def phase(self, url: str) -> str:
        return self.get(f"{url}/phase").text

    def document(self, url: str) -> etree._Element:
        """Job document."""
        shown = self.get(url)
        assert shown.status_code == 200, shown.text
        return etree.fromstring(shown.data)

    def value(self, url: str, element: str) -> str | None:
        """Text of an element of the job document."""
        found = self.document(url).find(f"uws:{element}", NAMES)
        assert found is not None, element
        return found.text

    def _url(self, url: str) -> str:
        return url if url.startswith("http") else self.path + url


def id_of(url: str) -> str:
    """Job id at the end of a job URL."""
    return url.rpartition("/")[2]


def _report(writer: ContainerWriter, n: int, result_id: str, outcome: Outcome) -> RowReport:
    files = tuple(writer.add(file) for file in outcome.files)
    return RowReport(
        n,
        result_id,
        outcome.status,
        outcome.message,
        files,
        outcome.transient,
        outcome.verdict,
        outcome.label,
        written_facts(outcome.facts) or "",
    )


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    with own_redis() as server:
        yield server.url


@pytest.fixture
def settings() -> JobSettings:
    """Settings of the house; a module may have others."""
    return toy_settings(results_reserve_bytes=0)


@pytest.fixture
def house(tmp_path: Path, redis_url: str, settings: JobSettings) -> Iterator[House]:
    with sqlite(tmp_path) as engine:
        made = House(engine, tmp_path, redis_url, settings)
        yield made
        made.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def each_house(
    request: pytest.FixtureRequest, tmp_path: Path, redis_url: str, settings: JobSettings
) -> Iterator[House]:
    """Give a house on either database."""
    if request.param == "sqlite":
        database = sqlite(tmp_path)
    else:
        database = postgresql(request.getfixturevalue("postgresql_url"))
    with database as engine:
        made = House(engine, tmp_path, redis_url, settings)
        yield made
        made.close()


@pytest.fixture
def postgresql_house(
    tmp_path: Path, redis_url: str, settings: JobSettings, postgresql_url: str
) -> Iterator[House]:
    """Give a house on PostgreSQL, where transactions may end in another order than they began."""
    with postgresql(postgresql_url) as engine:
        made = House(engine, tmp_path, redis_url, settings)
        yield made
        made.close()


@pytest.fixture
def client(house: House) -> Client:
    """Somebody unknown."""
    return house.client()
