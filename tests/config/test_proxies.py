"""Under which address the service shows itself."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from config.proxies import PublicAddress, public_url

FORWARDED = {
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "cutouts.example.org",
    "X-Forwarded-Prefix": "/soda",
    "X-Forwarded-For": "1.2.3.4",
}


def seen(
    peer: str = "10.1.2.3",
    path: str = "/sync",
    base_url: str = "",
    trusted: tuple[str, ...] = ("10.0.0.0/8", "::1"),
    headers: dict[str, str] | None = None,
) -> tuple[str, str]:
    """Public URL and path that the application sees."""
    found: list[tuple[str, str]] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        request = Request(environ)
        found.append((public_url(request, base_url), request.path))
        return []

    builder = EnvironBuilder(
        path=path,
        headers=list((FORWARDED if headers is None else headers).items()),
        environ_base={"REMOTE_ADDR": peer},
        base_url="http://inside:8080",
    )
    PublicAddress(application, trusted, base_url)(builder.get_environ(), lambda *_: lambda _: None)
    return found[0]


@pytest.mark.parametrize("peer", ["10.1.2.3", "::1"])
def test_http_07_a_trusted_proxy_is_believed(peer: str) -> None:
    assert seen(peer) == ("https://cutouts.example.org/soda", "/sync")


@pytest.mark.parametrize("peer", ["11.1.2.3", "::2", "", "unix", "10.0.0.0/8"])
def test_http_07_nobody_else_is(peer: str) -> None:
    assert seen(peer) == ("http://inside:8080", "/sync")


def test_http_07_nobody_is_by_default() -> None:
    assert seen(trusted=()) == ("http://inside:8080", "/sync")


def test_http_07_what_the_nearest_proxy_says_counts() -> None:
    headers = {"X-Forwarded-Host": "evil.example, good.example", "X-Forwarded-Proto": "ftp, https"}
    assert seen(headers=headers) == ("https://good.example", "/sync")


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-Host": "a b"},
        {"X-Forwarded-Host": "x/y"},
        {"X-Forwarded-Host": '"><script>'},
        {"X-Forwarded-Proto": "javascript"},
        {"X-Forwarded-Prefix": "//evil.example"},
        {"X-Forwarded-Prefix": "soda"},
        {"X-Forwarded-Prefix": "/a?b"},
    ],
)
def test_http_07_nonsense_is_not_believed(headers: dict[str, str]) -> None:
    assert seen(headers=headers) == ("http://inside:8080", "/sync")


@pytest.mark.parametrize("path", ["/soda/sync", "/sync"])
def test_http_07_a_configured_url_wins_with_or_without_its_prefix(path: str) -> None:
    assert seen(path=path, base_url="https://example.org/soda/", trusted=()) == (
        "https://example.org/soda",
        "/sync",
    )


@pytest.mark.parametrize("path", ["/soda/sync", "/sync"])
def test_http_07_a_forwarded_prefix_with_or_without(path: str) -> None:
    assert seen(path=path)[1] == "/sync"


def test_a_prefix_is_whole_segments() -> None:
    assert seen(path="/sodas/sync", base_url="https://example.org/soda", trusted=())[1] == "/sodas/sync"
