"""All pages, in both languages, light and dark, on a telephone and on a desk, with scripts and without."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import product

import pytest
from playwright.sync_api import Browser

from tests.browser.chromium import Axe, Look, Visitor, screenshot, visiting
from tests.browser.pages import PAGES, Seen, Things
from tests.browser.stand import Stand

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

#: Each page is seen in every language, theme and width with every other of them; with FOUNTAIN_TEST_LOOKS=all
#: in all combinations, which takes a quarter of an hour.
_ALL = [
    Look(language, theme, width, scripts)
    for scripts in (True, False)
    for language, theme, width in product(("en", "pt-BR"), ("light", "dark"), (360, 1400))
]
_FEW = [
    Look("en", "light", 1400, True),
    Look("en", "dark", 360, True),
    Look("pt-BR", "light", 360, True),
    Look("pt-BR", "dark", 1400, True),
    Look("en", "light", 360, False),
    Look("pt-BR", "dark", 1400, False),
]
LOOKS = _ALL if os.environ.get("FOUNTAIN_TEST_LOOKS") == "all" else _FEW
CASES = [(look, seen) for look in LOOKS for seen in PAGES if look.scripts or seen.scripts]


@pytest.fixture(scope="module")
def things(service: Stand) -> Things:
    return Things.made_at(service)


@pytest.fixture(scope="module")
def visitors(browser: Browser, service: Stand) -> Iterator[Visitors]:
    with ExitStack() as stack:
        yield Visitors(browser, service, stack)


class Visitors:
    """Everybody who has come, by how they look at pages and who they are."""

    def __init__(self, browser: Browser, service: Stand, stack: ExitStack) -> None:
        self._browser, self._service, self._stack = browser, service, stack
        self._known: dict[tuple[Look, str], Visitor] = {}

    def get(self, look: Look, who: str) -> Visitor:
        """Give the visitor who looks so; only one look is kept at a time."""
        if any(known != look for known, _ in self._known):
            self._stack.close()
            self._known.clear()
        if (look, who) not in self._known:
            cookie = self._service.cookies[who] if who else ""
            made = visiting(self._browser, self._service.base, look, cookie)
            self._known[look, who] = self._stack.enter_context(made)
        return self._known[look, who]


@pytest.mark.parametrize(("look", "seen"), CASES, ids=str)
def test_page(
    look: Look, seen: Seen, visitors: Visitors, things: Things, request: pytest.FixtureRequest
) -> None:
    visitor = visitors.get(look, seen.who)
    page = visitor.page
    visitor.take_complaints()  # of a test that has failed
    answer = visitor.open(things.path(seen))
    assert answer.status == seen.status
    if seen.settled and look.scripts:
        page.locator(seen.settled).first.wait_for()
    screenshot(visitor, seen.name)
    shown = page.evaluate(_SHOWN)
    assert shown["lang"] == (seen.language or look.language)
    assert shown["wide"] <= shown["window"], f"it is wider than the window: {shown['widest']}"
    assert bool(shown["scripts"]) == seen.scripts
    if look.scripts:
        checker: Axe = request.getfixturevalue("axe")
        assert checker.problems(page) == []
    assert visitor.take_complaints() == []


_SHOWN = """
() => {
  const root = document.documentElement;
  const window = root.clientWidth;
  const widest = [...document.querySelectorAll("body *")]
    .filter((one) => one.getBoundingClientRect().right > window + 1)
    .slice(-5)
    .map((one) => `${one.tagName.toLowerCase()}.${one.className}`);
  const scripts = document.scripts.length;
  return {lang: root.lang, window, wide: root.scrollWidth, widest: widest.join(", "), scripts};
}
"""
