"""Signing in on the pages: with a password typed here, elsewhere, and everything that is not so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine
from werkzeug.test import TestResponse

from accounts.sessions import COOKIE
from accounts.signing import local_path
from portal.login import BEGUN_COOKIE
from tests.portal.conftest import browser_of, serve
from tests.support.accounts import MAKER, later, parts_of, somebody
from tests.support.oidc import OidcServer
from tests.support.service import did
from tests.support.slapd import PEOPLE, Slapd, declaration, slapd


def type_in(browser: FlaskClient, name: str, password: str, **more: str) -> TestResponse:
    return browser.post("/login/institute", data={"name": name, "password": password, **more})


def who(browser: FlaskClient) -> str:
    """Ask the service who this browser is."""
    answer = browser.get("/account", headers={"Accept": "application/json"}).get_json()
    name: str = answer["account"]
    return name


def engine_of(app: Flask) -> Engine:
    return parts_of(app).people._writing


def cookies_of(answer: TestResponse) -> dict[str, str]:
    return {cookie.partition("=")[0]: cookie for cookie in answer.headers.getlist("Set-Cookie")}


def come_back(browser: FlaskClient, url: str) -> TestResponse:
    """Have the browser go where the provider sends it: from another site, by a link."""
    parts = urlsplit(url)
    return browser.get(f"{parts.path}?{parts.query}", headers={"Sec-Fetch-Site": "cross-site"})


def target_of(answer: TestResponse) -> str:
    """Tell where the page of somebody who has signed in elsewhere leads."""
    found = re.search(r'<meta http-equiv="refresh" content="0; url=([^"]*)">', answer.text)
    assert found is not None, answer.text
    return unescape(found[1])


def test_the_page_offers_all_ways(browser: FlaskClient) -> None:
    page = browser.get("/login").text
    assert 'href="/login/sso?next=' in page
    assert 'action="/login/institute"' in page
    told = browser.get("/login", headers={"Accept": "application/json"}).get_json()
    assert [way["label"] for way in told["ways"]] == ["sso", "institute"]


def test_a_password_signs_in(browser: FlaskClient) -> None:
    answer = type_in(browser, "alice", "alicepw", next="/examples?a=b")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/examples?a=b")
    cookie = cookies_of(answer)[COOKIE]
    assert re.fullmatch(
        rf"{COOKIE}=[\w-]{{43}}; Path=/; Max-Age=604800; Secure; HttpOnly; SameSite=Lax", cookie
    )
    assert who(browser) == "institute:alice"
    account = browser.get("/account").text
    assert "Alice Ångström" in account
    assert "survey-x" in account


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("alice", "wrong"),
        ("alice", ""),
        ("", ""),
        ("*", "alicepw"),
        ("alice)(uid=*", "alicepw"),
        ("nobody", "wrong"),
        ("twin", "twinpw"),
        (f"uid=alice,{PEOPLE}", "alicepw"),
        ("alice\0", "alicepw"),
        ("<script>alert(1)</script>", "x"),
        ("x" * 5000, "x"),
    ],
)
def test_everything_else_is_told_the_same(name: str, password: str, browser: FlaskClient) -> None:
    answer = type_in(browser, name, password)
    assert answer.status_code == 401
    assert "Name and password do not fit." in answer.text
    assert "<script>" not in answer.text
    assert COOKIE not in cookies_of(answer)
    # A browser would put a window of its own over the page.
    assert not any("Basic" in value for value in answer.headers.getlist("WWW-Authenticate"))
    assert who(browser) == ""


def test_the_session_of_before_is_over(app: Flask, browser: FlaskClient) -> None:
    planted = parts_of(app).sessions.begin(somebody(app, "planter").name)
    browser.set_cookie(COOKIE, planted, domain="localhost")
    assert who(browser) == "local:planter"
    type_in(browser, "alice", "alicepw")
    assert who(browser) == "institute:alice"
    other = browser_of(app)
    other.set_cookie(COOKIE, planted, domain="localhost")
    assert who(other) == ""


def test_signing_out(app: Flask, browser: FlaskClient) -> None:
    elsewhere = browser_of(app)
    for one in (browser, elsewhere):
        type_in(one, "alice", "alicepw")
    key = browser.get_cookie(COOKIE, domain="localhost")
    assert key is not None
    answer = browser.post("/logout")
    assert answer.status_code == 303
    assert "Max-Age=0" in cookies_of(answer)[COOKIE]
    assert who(elsewhere) == "institute:alice"
    browser.set_cookie(COOKIE, key.value, domain="localhost")
    assert who(browser) == ""
    type_in(browser, "alice", "alicepw")
    elsewhere.post("/logout", data={"everywhere": "1"})
    assert who(browser) == who(elsewhere) == ""


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "", "Origin": "null"},
    ],
)
@pytest.mark.parametrize("path", ["/login/institute", "/logout"])
def test_forms_of_other_sites_do_nothing(headers: dict[str, str], path: str, browser: FlaskClient) -> None:
    type_in(browser, "bob", "bobpw")
    answer = browser.post(path, data={"name": "alice", "password": "alicepw"}, headers=headers)
    assert answer.status_code == 403
    assert who(browser) == "institute:bob"
    fresh = browser.application.test_client()
    answer = fresh.post(path, data={"name": "alice", "password": "alicepw"}, headers=headers)
    assert answer.status_code == 403
    assert not answer.headers.getlist("Set-Cookie")


def test_disabled_accounts_do_not_sign_in(app: Flask, browser: FlaskClient) -> None:
    type_in(browser, "bob", "bobpw")
    people = parts_of(app).people
    people.change("institute:bob", disabled=True, by=MAKER)
    try:
        assert who(browser) == ""
        answer = type_in(browser, "bob", "bobpw")
        assert answer.status_code == 403
        assert "disabled" in answer.text
        assert who(browser) == ""
    finally:
        people.change("institute:bob", disabled=False, by=MAKER)


def test_somebody_signs_in_elsewhere(browser: FlaskClient, provider: OidcServer) -> None:
    answer = browser.get("/login/sso?next=/examples")
    assert answer.status_code == 303
    assert urlsplit(answer.headers["Location"]).netloc == urlsplit(provider.issuer).netloc
    begun = cookies_of(answer)[BEGUN_COOKIE]
    assert begun.endswith("; Path=/; Max-Age=600; Secure; HttpOnly; SameSite=Lax")
    back = come_back(browser, provider.sign_in(answer.headers["Location"], "alice"))
    assert (back.status_code, target_of(back)) == (200, "/examples")
    assert set(cookies_of(back)) == {COOKIE, BEGUN_COOKIE}
    assert who(browser) == "sso:alice"


def test_one_name_at_two_providers_is_two_people(app: Flask, provider: OidcServer) -> None:
    here, there = browser_of(app), browser_of(app)
    type_in(here, "bob", "bobpw")
    come_back(there, provider.sign_in(there.get("/login/sso").headers["Location"], "bob"))
    assert (who(here), who(there)) == ("institute:bob", "sso:bob")
    people = parts_of(app).people
    found = [people.get(name) for name in ("institute:bob", "sso:bob")]
    assert {account.email for account in found if account} == {"shared@soda.test"}


def test_a_login_goes_on_in_the_browser_that_began_it_and_once(app: Flask, provider: OidcServer) -> None:
    victim, attacker = browser_of(app), browser_of(app)
    url = provider.sign_in(attacker.get("/login/sso").headers["Location"], "mallory")
    for browser in (victim, victim):
        answer = come_back(browser, url)
        assert answer.status_code == 403
        assert "not begun in this browser" in answer.text
        assert who(browser) == ""
    victim.get("/login/sso")
    answer = come_back(victim, url)
    assert answer.status_code == 403
    assert "not the login that was begun" in answer.text
    assert come_back(attacker, url).status_code == 200
    replayed = come_back(attacker, url)
    assert replayed.status_code == 403
    assert COOKIE not in cookies_of(replayed)


def test_a_login_that_took_too_long_begins_anew(
    app: Flask, browser: FlaskClient, provider: OidcServer
) -> None:
    url = provider.sign_in(browser.get("/login/sso").headers["Location"], "alice")
    later(engine_of(app), 601)
    assert "took too long" in come_back(browser, url).text


def test_what_a_provider_says_is_no_markup(browser: FlaskClient, provider: OidcServer) -> None:
    begun = dict(parse_qsl(urlsplit(browser.get("/login/sso").headers["Location"]).query))
    answer = {"state": begun["state"], "iss": provider.issuer}
    said = answer | {"error": "server_error", "error_description": "<img src=x onerror=alert(1)>"}
    page = browser.get(f"/login/sso/callback?{urlencode(said)}")
    assert page.status_code == 403
    assert "&lt;img src=x onerror=alert(1)&gt;" in page.text
    assert "<img src=x" not in page.text


@pytest.mark.parametrize(
    "query",
    ["", "code=c", "code=c&state=s", "state=a&state=b&code=c", "error=<b>", "code=%00&state=%ff", "iss=x"],
)
def test_callbacks_that_nobody_began(query: str, browser: FlaskClient) -> None:
    answer = browser.get(f"/login/sso/callback?{query}")
    assert answer.status_code == 403
    assert "not begun in this browser" in answer.text


def test_the_session_goes_on_until_somebody_has_signed_in(browser: FlaskClient) -> None:
    type_in(browser, "alice", "alicepw")
    browser.get("/login/sso")
    browser.get("/login/sso/callback?code=c&state=wrong")
    assert who(browser) == "institute:alice"


@pytest.mark.parametrize(
    ("text", "is_local"),
    [
        ("/examples", True),
        ("/examples?a=b#c", True),
        ("/%2F%2Fevil.example", True),
        ("/", True),
        ("examples", False),
        ("//evil.example", False),
        ("///evil.example", False),
        ("/\\evil.example", False),
        ("\\\\evil.example", False),
        ("/\t/evil.example", False),
        ("\t//evil.example", False),
        (" //evil.example", False),
        ("/a\\b", False),
        ("/a\r\nSet-Cookie: a=b", False),
        ("https://evil.example", False),
        ("https:evil.example", False),
        ("javascript:alert(1)", False),
        ("data:text/html,x", False),
        ("/" + "a" * 2000, False),
        ("/\x00", False),
    ],
)
def test_next_is_a_path_of_this_service(text: str, is_local: bool, browser: FlaskClient) -> None:
    assert (local_path(text) == text) == is_local
    answer = type_in(browser, "alice", "alicepw", next=text)
    went = answer.headers["Location"]
    if not text.startswith("/") or not is_local:
        assert went == "/account"
    assert urlsplit(went).netloc == ""


def test_next_is_beneath_the_root_of_the_service() -> None:
    assert local_path("/soda/account", "/soda") == "/soda/account"
    assert local_path("/soda", "/soda") == "/soda"
    for other in ("/", "/sodas", "/other", "//soda/account"):
        assert local_path(other, "/soda") == ""


def test_who_is_asked_again(app: Flask, browser: FlaskClient, provider: OidcServer) -> None:
    type_in(browser, "alice", "alicepw")
    page = browser.get("/login?again=1&next=/account").text
    assert "show once more who you are" in page
    answer = browser.get("/login/sso?again=1&next=/account")
    assert "prompt=login" in answer.headers["Location"]
    back = come_back(browser, provider.sign_in(answer.headers["Location"], "alice"))
    assert target_of(back) == "/account"


@pytest.mark.parametrize(
    "path", ["/login/nobody", "/login/nobody/callback", "/login/institute/callback/more"]
)
def test_ways_that_are_not_there(path: str, browser: FlaskClient) -> None:
    assert browser.get(path).status_code == 404


def test_a_way_by_password_has_no_page_of_its_own(browser: FlaskClient) -> None:
    assert browser.get("/login/institute?next=/examples").headers["Location"] == "/login?next=%2Fexamples"
    assert browser.get("/login/institute/callback").headers["Location"] == "/login"
    assert browser.post("/login/sso", data={"name": "a", "password": "b"}).headers["Location"] == "/login"


@pytest.fixture
def frail(tmp_path: Path) -> Iterator[tuple[Slapd, Flask]]:
    """A service of its own with a directory of its own: one may stop it."""
    with slapd() as server:
        yield server, serve(tmp_path, declaration(server), FOUNTAIN_ACCOUNTS__LOGIN_FAILURES="3")


def test_while_the_directory_is_down_who_is_known_goes_on(frail: tuple[Slapd, Flask]) -> None:
    server, app = frail
    browser, fresh = browser_of(app), browser_of(app)
    type_in(browser, "alice", "alicepw")
    token = somebody(app, "pipeline")
    server.stop()
    answer = type_in(fresh, "alice", "alicepw")
    assert answer.status_code == 503
    assert "does not answer" in answer.text
    assert answer.headers["Retry-After"] == "10"
    assert COOKIE not in cookies_of(answer)
    assert who(browser) == "institute:alice"
    told = fresh.get("/account", headers={**token.headers, "Accept": "application/json"}).get_json()
    assert told["account"] == token.name
    server.start()
    assert type_in(fresh, "alice", "alicepw").status_code == 303


def test_too_many_failures_wait_and_the_right_password_works_then(frail: tuple[Slapd, Flask]) -> None:
    _, app = frail
    browser = browser_of(app)
    for _ in range(3):
        assert type_in(browser, "alice", "wrong").status_code == 401
    answer = type_in(browser, "alice", "alicepw")
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 60
    assert "Too many logins have failed" in answer.text
    assert type_in(browser_of(app), "bob", "bobpw").status_code == 303
    later(engine_of(app), 61)
    assert type_in(browser, "alice", "alicepw").status_code == 303
    told = parts_of(app).audit.read(10)
    assert [(entry.act, entry.object) for entry in told] == [("login failed too often", "institute:alice")]


def test_it_is_nowhere_told_what_was_typed(
    frail: tuple[Slapd, Flask], capfd: pytest.CaptureFixture[str]
) -> None:
    server, app = frail
    browser, canary = browser_of(app), "canary-of-tests"
    answers = [type_in(browser, "alice", canary), browser.get("/login"), type_in(browser, canary, "x")]
    server.stop()
    answers.append(type_in(browser, "alice", canary))
    said = capfd.readouterr()
    assert canary not in said.out + said.err
    for position, answer in enumerate(answers):
        assert (canary in answer.text) == (position == 2)  # the name, in its field


def test_without_providers_the_page_says_so(tmp_path: Path) -> None:
    page = browser_of(serve(tmp_path)).get("/login").text
    assert "no provider of accounts is declared" in page


def test_where_nobody_unknown_is_let_in_the_page_is_there(tmp_path: Path, directory: Slapd) -> None:
    app = serve(tmp_path, declaration(directory), FOUNTAIN_ACCOUNTS__ANONYMOUS="false")
    browser = browser_of(app)
    sent = browser.get("/examples?a=b%20c&d=%C3%A9")
    assert (sent.status_code, sent.text) == (303, "")
    assert sent.headers["Location"] == "/login?next=/examples%3Fa%3Db%2520c%26d%3D%25C3%25A9"
    assert "WWW-Authenticate" not in sent.headers
    assert sent.headers["X-Content-Type-Options"] == "nosniff"
    for program in ({"Sec-Fetch-Mode": "cors"}, {"Sec-Fetch-Mode": ""}, {"Sec-Fetch-Dest": "image"}):
        assert browser.get("/examples", headers=program).status_code == 401
    assert browser.post("/sync").status_code == 401
    page = browser.get("/login")
    assert page.status_code == 200
    assert "need no account" not in page.text
    sheet = re.search(r'href="(/static/portal\.\w+\.css)"', page.text)
    assert sheet is not None
    assert browser.get(sheet[1]).status_code == 200
    asked = browser.get(sent.headers["Location"]).text
    there = re.search(r'name="next" value="([^"]*)"', asked)
    assert there is not None
    answer = type_in(browser, "alice", "alicepw", next=unescape(there[1]))
    assert answer.headers["Location"] == "/examples?a=b%20c&d=%C3%A9"
    assert browser.get(answer.headers["Location"]).status_code == 200


def test_who_opens_closed_data_signs_in_first_and_who_may_not_see_them_is_told(app: Flask) -> None:
    browser, closed = browser_of(app), f"/preview?{urlencode({'ID': did('secret/g/a')})}"
    sent = browser.get(closed)
    assert sent.headers["Location"].startswith("/login?next=/preview%3FID%3D")
    type_in(browser, "bob", "bobpw")
    assert browser.get(closed).status_code == 403
