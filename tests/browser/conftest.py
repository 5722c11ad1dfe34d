"""One browser and one service for all; visitors come and go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser

from tests.browser import chromium
from tests.browser.chromium import Axe, Look, Visitor, visiting
from tests.browser.stand import Stand, stand
from tests.support.slapd import slapd

Visit = Callable[..., Visitor]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium.chromium() as running:
        yield running


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with slapd() as directory, stand(tmp_path_factory.mktemp("service"), directory) as running:
        yield running


@pytest.fixture(scope="session")
def axe() -> Axe:
    return chromium.axe()


@pytest.fixture
def visit(browser: Browser, service: Stand) -> Iterator[Visit]:
    """Give what makes visitors: ``visit("bob", Look(…))``; "" is somebody whom nobody knows."""
    with ExitStack() as visitors:

        def make(who: str = "", look: Look | None = None) -> Visitor:
            cookie = service.cookies[who] if who else ""
            return visitors.enter_context(visiting(browser, service.base, look, cookie))

        yield make
