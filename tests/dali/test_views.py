"""Who asks for a page."""

from __future__ import annotations

import pytest
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from dali.views import is_navigation

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
JAVA = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"


@pytest.mark.parametrize(
    ("method", "headers", "expected"),
    [
        ("GET", {"Accept": BROWSER, "Sec-Fetch-Mode": "navigate"}, True),
        ("POST", {"Accept": BROWSER, "Sec-Fetch-Mode": "navigate"}, True),
        ("GET", {"Accept": BROWSER, "Upgrade-Insecure-Requests": "1"}, True),
        ("GET", {"Accept": BROWSER, "Sec-Fetch-Mode": "cors", "Upgrade-Insecure-Requests": "1"}, False),
        ("GET", {"Accept": "*/*", "Sec-Fetch-Mode": "cors"}, False),
        ("GET", {"Accept": "application/json", "Sec-Fetch-Mode": "navigate"}, False),
        ("GET", {"Accept": JAVA}, False),
        ("GET", {"Accept": BROWSER}, False),
        ("GET", {}, False),
        ("PUT", {"Accept": BROWSER, "Sec-Fetch-Mode": "navigate"}, False),
    ],
)
def test_a_browser_that_goes_to_a_page_is_told_from_programs(
    method: str, headers: dict[str, str], expected: bool
) -> None:
    request = Request(EnvironBuilder("/", method=method, headers=headers).get_environ())
    assert is_navigation(request) is expected
