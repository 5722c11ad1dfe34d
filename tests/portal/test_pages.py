"""What is the same on all pages: nothing from elsewhere, nothing inline, colours that can be read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient
from flask_babel import Babel

from accounts.announcements import Announcements
from dali.caller import ANONYMOUS, CALLER, Caller
from dali.errors import ServiceUnavailable, UsageError
from portal.assets import FOR_EVER, Assets
from portal.pages import Frame, NavItem, Pages
from portal.words import chosen_language
from tests.portal.conftest import browser_of, serve
from tests.support.accounts import MAKER, sign_in, somebody

TEMPLATES = [file for file in (files("portal") / "templates").iterdir() if file.name.endswith(".html")]
#: Names of the program, of standards and of formats.
SAME_EVERYWHERE = {
    "Soda",
    "Fountain",
    "VOSI",
    "SODA",
    "OpenAPI",
    "UCD",
    "UTC",
    "JSON",
    "CSV",
    "VOTable",
    "MEF",
}
SAME_EVERYWHERE |= {"Zarr", "zip", "tar", "SHA"}
SHEET = (files("portal") / "static" / "portal.css").read_text(encoding="utf-8")
#: Text on ground, and the contrast it needs: 4.5 for text, 3 for the outlines of what one types in.
PAIRS = [
    ("text", "ground", 4.5),
    ("text", "surface", 4.5),
    ("text", "sunken", 4.5),
    ("muted", "ground", 4.5),
    ("muted", "surface", 4.5),
    ("muted", "sunken", 4.5),
    ("link", "ground", 4.5),
    ("link", "surface", 4.5),
    ("on-accent", "accent", 4.5),
    ("on-accent", "accent-hover", 4.5),
    ("danger", "surface", 4.5),
    ("danger", "danger-ground", 4.5),
    ("ok", "ok-ground", 4.5),
    ("warn", "warn-ground", 4.5),
    ("line-strong", "surface", 3),
    ("line-strong", "ok-ground", 3),
    ("good-mark", "line", 3),
    ("warn-mark", "surface", 3),
    ("bad-mark", "line", 3),
]


def colours(scheme: str) -> dict[str, tuple[int, int, int]]:
    found = re.findall(r"--([\w-]+): light-dark\(#([0-9a-f]{6}), #([0-9a-f]{6})\);", SHEET)
    chosen = {name: light if scheme == "light" else dark for name, light, dark in found}
    return {name: (int(rgb[:2], 16), int(rgb[2:4], 16), int(rgb[4:], 16)) for name, rgb in chosen.items()}


def luminance(colour: tuple[int, int, int]) -> float:
    """Relative luminance (WCAG 2.2)."""
    linear = [c / 3294 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("text", "ground", "least"), PAIRS)
def test_colours_can_be_told_apart(scheme: str, text: str, ground: str, least: float) -> None:
    found = colours(scheme)
    dim, bright = sorted((luminance(found[text]), luminance(found[ground])))
    assert (bright + 0.05) / (dim + 0.05) >= least


def test_all_colours_are_of_both_schemes() -> None:
    known = {*colours("light"), "shadow", "shade", "radius", "space", "mono"}
    assert set(re.findall(r"var\(--([\w-]+)\)", SHEET)) <= known


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda file: file.name)
def test_templates_have_nothing_inline_and_no_word_untranslated(template: object) -> None:
    text = template.read_text(encoding="utf-8")  # type: ignore[attr-defined]
    # What scripts are told is data, and the frame alone starts them.
    text = re.sub(r'<script type="application/json" id="[\w-]+">\{\{[^}]*(\}[^}]+)*\}\}</script>', "", text)
    text = text.replace(
        '<script type="module" nonce="{{ nonce }}" src="{{ asset(\'start.js\') }}"></script>', ""
    )
    assert not re.search(r"<script|<style|\sstyle=|\son\w+=|javascript:|\|\s*safe\b", text)
    assert not re.search(r'(src|href|action)="(https?:)?//', text)
    text = re.sub(r"\{% block width %\}[\w-]*", "", text)  # a class
    without = re.sub(r"\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}|<!doctype html>", "", text, flags=re.DOTALL)
    shown = re.sub(r"<(code|pre)\b.*?</\1>|<[^>]*>|/[a-z]+", " ", without, flags=re.DOTALL)
    assert set(re.findall(r"[A-Za-z]{3,}", shown)) - SAME_EVERYWHERE == set()


def test_pages_say_so_where_they_are(app: Flask, browser: FlaskClient) -> None:
    sign_in(browser, app, somebody(app, "reader").name)
    page = browser.get("/account").text
    assert re.search(r'<a class="who-name"[^>]*title="local:reader" aria-current="page">Reader</a>', page)
    assert 'action="/logout"' in page


@pytest.mark.parametrize("path", ["/login", "/logout", "/account", "/login/nobody"])
def test_pages_run_nothing_and_need_nobody_else(path: str, app: Flask, browser: FlaskClient) -> None:
    sign_in(browser, app, somebody(app, "reader").name)
    answer = browser.get(path)
    policy = answer.headers["Content-Security-Policy"]
    for rule in ("default-src 'none'", "style-src 'self'", "frame-ancestors 'none'"):
        assert rule in policy
    # Not even one of this site: it has files of everybody.
    for more in ("script-src", "connect-src", "unsafe"):
        assert more not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    for address in re.findall(r'(?:src|href|action)="([^"]+)"', answer.text):
        assert address.startswith(("/", "#")), address
        assert not address.startswith("//")


def test_files_are_kept_for_ever_by_what_is_in_them(browser: FlaskClient) -> None:
    sheet = re.search(r'href="(/static/portal\.\w{12}\.css)"', browser.get("/login").text)
    assert sheet is not None
    answer = browser.get(sheet[1])
    assert answer.headers["Cache-Control"] == FOR_EVER
    assert answer.headers["Content-Type"] == "text/css; charset=utf-8"
    assert answer.text == SHEET
    again = browser.get(sheet[1], headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    older = browser.get("/static/portal.000000000000.css")
    assert (older.text, older.headers["Cache-Control"]) == (SHEET, "no-cache")


@pytest.mark.parametrize(
    "path",
    ["/static/", "/static/portal.css.map", "/static/..%2fpages.py", "/static/x.0.css", "/static/portal"],
)
def test_there_are_no_other_files(path: str, browser: FlaskClient) -> None:
    assert browser.get(path).status_code == 404


def test_an_error_is_a_page_for_people_and_text_for_programs(browser: FlaskClient) -> None:
    page = browser.get("/login/nobody")
    assert page.status_code == 404
    assert "There is no way to sign in named &#34;nobody&#34;." in page.text
    assert re.search(r"<code>[0-9a-f]{16}</code>", page.text)
    text = browser.get("/login/nobody", headers={"Accept": "*/*"})
    assert text.text.startswith('UsageError: there is no way to sign in named "nobody".')


@dataclass(frozen=True)
class Announcement:
    text: str
    level: Literal["note", "warning"] = "note"


@pytest.fixture
def framed() -> Flask:
    """Pages alone, with a frame of tests."""
    frame = Frame(
        "A <service>",
        "1.0",
        "An <institute>",
        "",
        (NavItem("All", "/all"), NavItem("Known", "/known", "known"), NavItem("Admin", "/admin", "admin")),
        lambda name: name.upper(),
        lambda: (Announcement("Down <soon>", "warning"), Announcement("All is well")),
        can_sign_in=False,
    )
    pages, app = Pages(frame, Assets()), Flask("framed")
    Babel(app, locale_selector=chosen_language)

    @app.get("/known")
    def show() -> Response:
        return pages.render("logout.html")

    @app.get("/broken/<kind>")
    def broken(kind: str) -> Response:
        if kind == "usage":
            return pages.error(UsageError("this is <wrong>", "Do <that>."))
        return pages.error(ServiceUnavailable("not now", retry_after_s=7))

    return app


def test_the_frame_is_for_who_looks(framed: Flask) -> None:
    for caller, seen in (
        (ANONYMOUS, {"All"}),
        (Caller("local:me"), {"All", "Known"}),
        (Caller("local:me", is_admin=True), {"All", "Known", "Admin"}),
    ):
        page = framed.test_client().get("/known", environ_overrides={CALLER: caller}).text
        assert set(re.findall(r"<li><a [^>]*>(\w+)</a></li>", page)) == seen
        assert ("LOCAL:ME" in page) == bool(caller.name)


def test_everything_in_it_is_text(framed: Flask) -> None:
    page = framed.test_client().get("/known").text
    assert '<a href="/all">' in page
    assert '<a class="brand" href="/">' in page
    assert (
        '<a href="/known" aria-current="page">'
        in framed.test_client().get("/known", environ_overrides={CALLER: Caller("local:me")}).text
    )
    for text in ("A &lt;service&gt;", "An &lt;institute&gt;", "Down &lt;soon&gt;", "All is well"):
        assert text in page
    assert '<aside class="announcement warning"' in page
    assert "/login?next=" not in page


def test_announcements_are_on_all_pages(tmp_path: Path) -> None:
    app = serve(tmp_path)
    announcements: Announcements = app.extensions["fountain.announcements"]
    announcements.say("No cutouts on Sunday <morning>.", "warning", 1, by=MAKER)
    page = browser_of(app).get("/login").text
    assert '<aside class="announcement warning"' in page
    assert "No cutouts on Sunday &lt;morning&gt;." in page


def test_pages_beneath_a_path_lead_beneath_it(framed: Flask) -> None:
    page = framed.test_client().get("/known", base_url="http://localhost/soda").text
    for address in re.findall(r'(?:src|href|action)="(/[^"]*)"', page):
        assert address.startswith("/soda/"), address


def test_errors_are_pages(framed: Flask) -> None:
    client = framed.test_client()
    wrong = client.get("/broken/usage")
    assert wrong.status_code == 400
    assert "This is &lt;wrong&gt;." in wrong.text
    assert "Do &lt;that&gt;." in wrong.text
    assert client.get("/broken/away").headers["Retry-After"] == "7"


def test_a_service_beneath_a_path_brings_people_back_there(app: Flask) -> None:
    browser = browser_of(app)
    answer = browser.get("/account", base_url="https://localhost/soda")
    assert answer.headers["Location"] == "/soda/login?next=/soda/account"
    page = browser.get("/login?next=/soda/account", base_url="https://localhost/soda").text
    assert 'name="next" value="/soda/account"' in page
    assert 'action="/soda/login/institute"' in page
    stranger = browser.get("/login?next=/account", base_url="https://localhost/soda").text
    assert 'name="next" value=""' in stranger
