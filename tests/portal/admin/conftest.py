"""A service to administer: its database, and browsers and scripts of administrators."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine
from werkzeug.test import TestResponse

from accounts.audit import Audit, Entry
from config.accounts import AccountParts
from config.database import make_engine
from tests.portal.conftest import browser_of
from tests.support.accounts import parts_of, sign_in, somebody
from tests.support.redis import own_redis
from tests.support.service import make_service
from uws.store.claims import Claims
from uws.store.jobs import Jobs

AREAS = (
    "",
    "/queues",
    "/jobs",
    "/failures",
    "/accounts",
    "/quotas",
    "/usage",
    "/estimates",
    "/retention",
    "/announcements",
    "/configuration",
    "/log",
)


@dataclass(frozen=True)
class Site:
    """A service, and what is behind it."""

    app: Flask
    engine: Engine

    @property
    def accounts(self) -> AccountParts:
        return parts_of(self.app)

    @property
    def jobs(self) -> Jobs:
        return Jobs(self.engine)

    @property
    def claims(self) -> Claims:
        return Claims(self.engine, "worker-1", 30.0)

    def browser(self, subject: str = "root", *, admin: bool = True) -> FlaskClient:
        """A browser in which somebody has just signed in."""
        browser = browser_of(self.app)
        sign_in(browser, self.app, somebody(self.app, subject, admin=admin).name)
        return browser

    def log(self, most: int = 1) -> list[tuple[str, str, str, str]]:
        """The last entries of the audit log: who, what, to what, why."""
        return [_told(entry) for entry in Audit(self.engine).read(most)]


def _told(entry: Entry) -> tuple[str, str, str, str]:
    return entry.account, entry.act, entry.object, entry.reason


@dataclass(frozen=True)
class Script:
    """An administrator's token, used by a program."""

    client: FlaskClient
    headers: dict[str, str]

    def get(self, path: str, **options: object) -> TestResponse:
        return self.client.get(path, headers=self.headers, **options)  # type: ignore[arg-type]

    def act(self, area: str, act: str, *of: str, status: int = 200, **more: object) -> TestResponse:
        """Do something; the reason is `why`."""
        data = {"act": act, "of": list(of), "reason": "why", **more}
        answer = self.client.post(f"/admin/{area}", json=data, headers=self.headers)
        assert answer.status_code == status, answer.text
        return answer


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    with own_redis() as server:
        yield server.url


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("admin")
    app = make_service(
        folder,
        {
            "FOUNTAIN_JOBS__REDIS_URL": redis_url,
            "FOUNTAIN_PUBLISHER__NAME": "Institute",
            "FOUNTAIN_ACCOUNTS__SECRET": "canary-of-the-secret-that-nobody-sees",
        },
    )
    app.config["PREFERRED_URL_SCHEME"] = "https"
    engine = make_engine(f"sqlite:///{folder}/fountain.db")
    yield Site(app, engine)
    engine.dispose()


@pytest.fixture
def root(site: Site) -> FlaskClient:
    """The browser of an administrator."""
    return site.browser()


@pytest.fixture(scope="session")
def script(site: Site) -> Script:
    return Script(site.app.test_client(), somebody(site.app, "robot", admin=True).headers)
