"""What looks at pages sees what is wrong there."""

from __future__ import annotations

import pytest

from tests.browser.chromium import Axe
from tests.browser.conftest import Visit

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


@pytest.mark.parametrize(
    ("deed", "complaint"),
    [
        ("document.body.setAttribute('style', 'color: red')", "content policy: style-src-attr inline"),
        ("document.body.append(Object.assign(new Image(), {src: 'http://example.org'}))", "example.org"),
        ("setTimeout(() => { throw new Error('broken'); })", "error of a script: Error: broken"),
        ("console.error('odd')", "console: odd"),
        ("document.body.append(Object.assign(new Image(), {src: '/static/none.svg'}))", "404: GET"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_heard(deed: str, complaint: str, visit: Visit) -> None:
    visitor = visit()
    visitor.open("/login")
    assert visitor.take_complaints() == []
    visitor.page.evaluate(f"() => {{ {deed}; }}")
    for _ in range(1000):
        if any(complaint in heard for heard in visitor.complaints):
            return
        visitor.page.wait_for_timeout(5)
    raise AssertionError(visitor.complaints)


def test_nothing_is_asked_of_anybody_else(visit: Visit) -> None:
    visitor = visit()
    visitor.page.goto("about:blank")
    visitor.page.set_content("<img src='http://example.org/x.png'>")
    visitor.page.wait_for_load_state("load")
    assert visitor.take_complaints() == ["request to elsewhere: http://example.org/x.png"]


def test_what_cannot_be_read_or_used_is_found(visit: Visit, axe: Axe) -> None:
    visitor = visit()
    visitor.open("/login")
    visitor.page.evaluate("() => { document.querySelector('label').remove(); }")
    (problem,) = axe.problems(visitor.page)
    assert "label" in problem
