"""What a signed-in browser, a service, and a script with a token may do, over HTTP."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient

from accounts.people import Identity
from accounts.sessions import COOKIE, cookie_header
from accounts.tokens import PREFIX
from config.identity import DATA_POLICY, PAGE_POLICY
from tests.support.accounts import MAKER, parts_of, sign_in, somebody
from tests.support.service import did, make_service

ASKED = {"ID": did("tiny/g/a"), "CIRCLE": "150 0 0.0027"}
JOB = {"ID": did("tiny/g/a"), "CIRCLE": "150 0 0.0027"}


@pytest.fixture
def signed_in(app: Flask) -> tuple[FlaskClient, str]:
    """A browser of ada's, and the key of its session."""
    client = app.test_client()
    return client, sign_in(client, app, somebody(app, "ada").name)


def test_the_cookie_is_for_this_host_and_not_for_scripts() -> None:
    assert COOKIE.startswith("__Host-")
    assert cookie_header("k", 60) == "__Host-fountain=k; Path=/; Max-Age=60; Secure; HttpOnly; SameSite=Lax"
    assert "Max-Age=0;" in cookie_header("", 60)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, 303),
        ({"Origin": "http://localhost"}, 303),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"}, 403),
        ({"Origin": "http://localhost:8080"}, 403),
        ({"Origin": "https://localhost"}, 403),
        ({"Origin": "null"}, 403),
        ({"X-CSRF-Token": "0"}, 403),
    ],
)
def test_changes_by_cookie_come_from_own_pages(
    signed_in: tuple[FlaskClient, str], headers: Mapping[str, str], status: int
) -> None:
    client, _ = signed_in
    answer = client.post("/async", data=JOB, headers=headers)
    assert answer.status_code == status
    if status == 403:
        assert answer.text.startswith("AuthorizationError: this request comes from a page of another site")


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/sync", {}, 200),
        ("/sync", {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, 200),
        ("/sync", {"Sec-Fetch-Site": "same-origin"}, 200),
        ("/sync", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ("/sync", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 403),
        ("/sync/", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 403),
        ("/async", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 200),
        ("/async", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}, 403),
        ("/async", {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}, 403),
    ],
)
def test_work_by_cookie_is_not_for_pages_of_others(
    signed_in: tuple[FlaskClient, str], path: str, headers: Mapping[str, str], status: int
) -> None:
    client, _ = signed_in
    query = ASKED if path.startswith("/sync") else {}
    assert client.get(path, query_string=query, headers=headers).status_code == status
    # A cookie of nobody's changes nothing: what is public stays so.
    client.set_cookie(COOKIE, "nobody")
    assert client.get(path, query_string=query, headers=headers).status_code == 200


def test_scripts_with_a_token_may_be_of_any_site(app: Flask, client: FlaskClient) -> None:
    headers = somebody(app, "ada").headers | {"Sec-Fetch-Site": "cross-site", "Origin": "https://x.example"}
    assert client.post("/async", data=JOB, headers=headers).status_code == 303


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 303),
        ({"Origin": "http://localhost"}, 303),
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Sec-Fetch-Site": "none"}, 303),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://localhost"}, 403),
        ({"Origin": "https://x.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_names_and_passwords_that_a_browser_adds_are_not_for_pages_of_others(
    app: Flask, client: FlaskClient, headers: Mapping[str, str], status: int
) -> None:
    password = b64encode(f"x:{somebody(app, 'ada').text}".encode()).decode()
    answer = client.post("/async", data=JOB, headers={**headers, "Authorization": f"basic {password}"})
    assert answer.status_code == status


def test_a_token_counts_for_more_than_a_cookie(signed_in: tuple[FlaskClient, str], app: Flask) -> None:
    client, _ = signed_in
    bob = somebody(app, "bob")
    assert client.get("/healthz", headers=bob.headers).headers["X-VO-Authenticated"] == "local:bob"
    assert client.get("/healthz", headers={"Authorization": "Bearer x"}).status_code == 401


def test_a_header_that_names_nobody_is_refused(app: Flask, signed_in: tuple[FlaskClient, str]) -> None:
    """Whoever has lost what they were to send goes on neither as nobody, nor as themselves."""
    service = somebody(app, "portal", may_act=True)
    for client in (app.test_client(), signed_in[0]):
        for headers in ({"Authorization": ""}, {"Authorization": " "}, {"X-On-Behalf-Of": ""}):
            answer = client.get("/account", headers=headers)
            assert answer.status_code == 401
            assert "is empty" in answer.text
    sent = service.headers | {"X-On-Behalf-Of": ""}
    assert app.test_client().get("/account", headers=sent).status_code == 401


def test_two_cookies_of_a_session_are_none(app: Flask) -> None:
    client = app.test_client(use_cookies=False)
    key = parts_of(app).sessions.begin(somebody(app, "ada").name)
    for cookies, known in ((f"{COOKIE}={key}", True), (f"{COOKIE}={key}; {COOKIE}={key}", False)):
        answer = client.get("/healthz", headers={"Cookie": cookies})
        assert ("X-VO-Authenticated" in answer.headers) == known


@pytest.mark.parametrize(
    ("scopes", "read", "submit"),
    [
        (("read",), 200, 403),
        (("read", "submit"), 200, 303),
        (("submit",), 403, 303),
        (("admin",), 403, 403),
    ],
)
def test_scopes_of_tokens(
    app: Flask, client: FlaskClient, scopes: tuple[str, ...], read: int, submit: int
) -> None:
    ada = somebody(app, "ada", scopes=frozenset(scopes))  # type: ignore[arg-type]
    assert client.get("/sync", query_string=ASKED, headers=ada.headers).status_code == read
    assert client.post("/sync", data=ASKED, headers=ada.headers).status_code == read
    assert client.get("/async", headers=ada.headers).status_code == read
    answer = client.post("/async", data=JOB, headers=ada.headers)
    assert answer.status_code == submit
    if submit == 403:
        assert "lacks the scope submit" in answer.text
    assert client.delete("/async/x", headers=ada.headers).status_code == (403 if submit == 403 else 404)


def test_a_job_is_its_owners(app: Flask, client: FlaskClient) -> None:
    ada, bob = somebody(app, "ada"), somebody(app, "bob")
    made = client.post("/async", data=JOB, headers=ada.headers).headers["Location"]
    assert client.get(f"{made}/owner", headers=ada.headers).text == "local:ada"
    assert client.get(made, headers=bob.headers).status_code == 403


def test_a_service_acts_for_somebody_and_both_are_told(app: Flask, client: FlaskClient) -> None:
    service = somebody(app, "portal", may_act=True)
    parts_of(app).people.seen(Identity("ldap", "jörg, m.", groups=frozenset(("readers",))))
    headers = service.headers | {"X-On-Behalf-Of": quote("ldap:jörg, m.")}
    told = client.get("/account", headers=headers).get_json()
    assert (told["account"], told["actor"], told["groups"]) == ("ldap:jörg, m.", "local:portal", ["readers"])
    assert told["scopes"] == ["read", "submit"]
    made = client.post("/async", data=JOB, headers=headers)
    assert made.headers["X-VO-Authenticated"] == "ldap:j%C3%B6rg, m."
    job = made.headers["Location"]
    assert client.get(f"{job}/owner", headers=headers).text == "ldap:jörg, m."
    # Neither is it the service's own, nor anybody's for whom it may act too.
    assert client.get(job, headers=service.headers).status_code == 403
    other = service.headers | {"X-On-Behalf-Of": somebody(app, "bob").name}
    assert client.get(job, headers=other).status_code == 403


def test_who_may_not_act_for_others(app: Flask, client: FlaskClient) -> None:
    service, other = somebody(app, "portal", may_act=True), somebody(app, "tool", may_act=True)
    ada, gone = somebody(app, "ada"), somebody(app, "gone")
    boss = somebody(app, "boss", admin=True)
    parts_of(app).people.change(gone.name, by=MAKER, disabled=True)

    def status(headers: Mapping[str, str], name: str) -> int:
        return client.get("/account", headers={**headers, "X-On-Behalf-Of": name}).status_code

    assert status({}, ada.name) == 401
    assert status({"Authorization": "Bearer x"}, ada.name) == 401
    assert status(ada.headers, "local:boss") == 403
    assert status(boss.headers, ada.name) == 403
    for name in (gone.name, other.name, service.name, "local:nobody", "x", f"{ada.name}, {ada.name}", "%00"):
        assert status(service.headers, name) == 403
    told = client.get("/account", headers=service.headers | {"X-On-Behalf-Of": boss.name}).get_json()
    assert (told["account"], told["admin"]) == ("local:boss", False)
    parts_of(app).people.change(service.name, by=MAKER, may_act=False)
    assert status(service.headers, ada.name) == 403
    assert status(service.headers, boss.name) == 403


def test_a_session_acts_for_nobody(app: Flask) -> None:
    client = app.test_client()
    sign_in(client, app, somebody(app, "portal", may_act=True).name)
    headers = {"X-On-Behalf-Of": somebody(app, "ada").name}
    assert client.get("/account", headers=headers).status_code == 403


def test_an_administrator_is_one_by_role_or_group_and_scope(tmp_path: Path) -> None:
    app = make_service(tmp_path, {"FOUNTAIN_ACCOUNTS__ADMIN_GROUPS": "operators"})
    client = app.test_client()

    def is_admin(**options: object) -> bool:
        who = somebody(app, "ada", **options)  # type: ignore[arg-type]
        told: bool = client.get("/account", headers=who.headers).get_json()["admin"]
        return told

    assert not is_admin()
    assert is_admin(groups=("operators",))
    assert not is_admin(scopes=frozenset(("read", "submit")))
    parts_of(app).people.leave("local:ada", "operators", by=MAKER)
    assert not is_admin()
    assert is_admin(admin=True)
    parts_of(app).people.change("local:ada", by=MAKER, role="user")
    assert not is_admin()


def test_who_one_is(app: Flask, client: FlaskClient) -> None:
    told = client.get("/account").get_json()
    assert (told["account"], told["class"], told["admin"]) == ("", "anonymous", False)
    ada = somebody(app, "zoe", groups=("own",))
    answer = client.get("/account", headers=ada.headers)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.get_json() == {
        "account": "local:zoe",
        "title": "Zoe",
        "email": "",
        "actor": "",
        "way": "token",
        "scopes": ["admin", "read", "submit"],
        "groups": ["own"],
        "class": "user",
        "share": 1.0,
        "admin": False,
    }


OWN_PAGE = {"Sec-Fetch-Site": "same-origin"}


@pytest.mark.parametrize(
    "body",
    [
        {"data": {"title": "laptop", "scopes": "read,submit", "days": "3"}},
        {"data": {"title": "laptop", "SCOPES": ["read", "submit"], "days": "3"}},
        {"json": {"title": "laptop", "scopes": ["read", "submit"], "days": 3}},
    ],
)
def test_tokens_of_ones_own(signed_in: tuple[FlaskClient, str], app: Flask, body: dict[str, object]) -> None:
    client, _ = signed_in
    answer = client.post("/account/tokens", headers=OWN_PAGE, **body)  # type: ignore[arg-type]
    assert (answer.status_code, answer.headers["Cache-Control"]) == (201, "no-store")
    made = answer.get_json()
    assert made["token"].startswith(PREFIX)
    assert (made["title"], made["scopes"], made["used"]) == ("laptop", ["read", "submit"], None)
    headers = {"Authorization": f"Bearer {made['token']}"}
    script = app.test_client()
    assert script.get("/account", headers=headers).get_json()["account"] == "local:ada"
    parts_of(app).tokens.notes.finish()
    listed = client.get("/account/tokens")
    (mine,) = (one for one in listed.get_json()["tokens"] if one["id"] == made["id"])
    assert mine["used"] is not None
    assert made["token"] not in listed.text
    assert client.delete(f"/account/tokens/{made['id']}", headers=OWN_PAGE).status_code == 204
    assert script.get("/account", headers=headers).status_code == 401
    assert client.delete("/account/tokens/nothing", headers=OWN_PAGE).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"data": {"title": "x"}},
        {"data": {"scopes": "read"}},
        {"data": {"title": "x", "scopes": "write"}},
        {"data": {"title": "x", "scopes": "read", "days": "soon"}},
        {"data": {"title": "x", "scopes": "read", "days": "1000"}},
        {"data": {"title": "x", "scopes": "read", "days": ["1", "2"]}},
        {"json": []},
        {"json": {"title": "x", "scopes": {"read": 1}}},
        {"json": {"title": "x", "scopes": ["read"], "days": None}},
        {"json": {"title": "x", "scopes": ["read"], "owner": "local:bob"}},
        {"data": b"{", "content_type": "application/json"},
        {"data": b"[" * 9000, "content_type": "application/json"},
        {"data": b"\xff\xfe", "content_type": "application/json"},
    ],
)
def test_tokens_that_are_not_made(signed_in: tuple[FlaskClient, str], body: dict[str, object]) -> None:
    client, _ = signed_in
    answer = client.post("/account/tokens", headers=OWN_PAGE, **body)  # type: ignore[arg-type]
    assert answer.status_code == 400
    assert answer.text.startswith(("UsageError: ", "MultiValuedParamNotSupported: "))


def test_nobody_and_no_token_makes_tokens(app: Flask, client: FlaskClient) -> None:
    asked = {"title": "x", "scopes": "read"}
    assert client.post("/account/tokens", data=asked).status_code == 401
    assert client.get("/account/tokens").status_code == 401
    assert client.delete("/account/tokens/x").status_code == 401
    ada, service = somebody(app, "ada"), somebody(app, "portal", may_act=True)
    assert client.post("/account/tokens", data=asked, headers=ada.headers).status_code == 403
    acting = service.headers | {"X-On-Behalf-Of": ada.name}
    assert client.post("/account/tokens", data=asked, headers=acting).status_code == 403
    assert client.delete(f"/account/tokens/{ada.token.token_id}", headers=acting).status_code == 403


def test_the_tokens_of_others_are_not_there(signed_in: tuple[FlaskClient, str], app: Flask) -> None:
    client, _ = signed_in
    bob = somebody(app, "bob")
    assert bob.token.token_id not in client.get("/account/tokens").text
    answer = client.delete(f"/account/tokens/{bob.token.token_id}", headers=OWN_PAGE)
    assert answer.status_code == 404
    assert client.get("/healthz", headers=bob.headers).status_code == 200


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """A service for those alone whom it knows."""
    return make_service(tmp_path_factory.mktemp("closed"), {"FOUNTAIN_ACCOUNTS__ANONYMOUS": "false"})


def test_a_service_for_those_it_knows(closed: Flask) -> None:
    client, ada = closed.test_client(), somebody(closed, "ada")
    opened = ("/availability", "/capabilities", "/healthz", "/metrics", "/preferences")
    opened += ("/status", "/help", "/openapi.json", "/favicon.ico", "/robots.txt")
    paths = [str(rule) for rule in closed.url_map.iter_rules() if "<" not in str(rule)]
    assert set(opened) < set(paths)
    for path in (*paths, "/async/x", "/nothing", "/availability2"):
        if path.startswith(("/login", "/logout", "/static")):
            continue
        answer = client.get(path)
        assert (answer.status_code == 401) == (path not in opened), path
        if answer.status_code == 401:
            assert answer.headers.getlist("WWW-Authenticate")[0].startswith("ivoa_bearer ")
            assert "error=" not in answer.headers["WWW-Authenticate"]
    assert client.get("/sync", query_string=ASKED, headers=ada.headers).status_code == 200
    assert client.get("/sync", query_string=ASKED).status_code == 401
    assert client.options("/sync").status_code == 204


@pytest.mark.parametrize("origin", ["https://x.example", "null"])
def test_scripts_of_other_sites_may_send_a_token(client: FlaskClient, origin: str) -> None:
    asked = {"Origin": origin, "Access-Control-Request-Headers": "authorization"}
    answer = client.options("/async", headers=asked)
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"].split(", ")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer.headers
    refused = client.get("/async", headers={"Origin": origin, "Authorization": "Bearer x"})
    assert refused.status_code == 401
    assert refused.headers["Access-Control-Allow-Origin"] == "*"


def test_every_answer_has_security_headers(app: Flask, client: FlaskClient) -> None:
    ada = somebody(app, "ada")
    rules = {str(rule).replace("<", "").replace(">", "") for rule in app.url_map.iter_rules()}
    asked = [
        (method, path, headers)
        for path in sorted({*rules, "/nothing", "/sync?x=1"})
        for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE")
        for headers in ({}, ada.headers, {"Authorization": "Bearer x"})
    ]
    for method, path, headers in asked:
        answer = client.open(path, method=method, headers=headers, base_url="https://here.example")
        told = answer.headers
        where = (method, path, answer.status_code)
        assert answer.status_code < 500, where
        assert told["X-Content-Type-Options"] == "nosniff", where
        assert told["Referrer-Policy"] == "no-referrer", where
        assert told["Strict-Transport-Security"].startswith("max-age="), where
        policy = told["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy, where
        assert "unsafe" not in policy, where
        is_page = told.get("Content-Type", "").startswith(("text/html", "application/xhtml+xml"))
        assert is_page or policy == DATA_POLICY, where
        assert len(told.getlist("X-Content-Type-Options")) == 1, where
        if headers == ada.headers:
            assert told["X-VO-Authenticated"] == ada.name
            assert "public" not in told.get("Cache-Control", ""), where


def test_a_policy_of_pages_and_none_of_tls_without_it(client: FlaskClient) -> None:
    answer = client.get("/examples")
    assert answer.headers["Content-Security-Policy"] == PAGE_POLICY
    assert "Strict-Transport-Security" not in answer.headers
    assert "'unsafe-inline'" not in PAGE_POLICY


def test_a_name_and_password_where_none_are_taken(client: FlaskClient) -> None:
    header = {"Authorization": f"Basic {b64encode(b'ada:secret').decode()}"}
    answer = client.get("/healthz", headers=header)
    assert answer.status_code == 401
    assert "takes no passwords" in answer.text
    assert not any(value.startswith("Basic") for value in answer.headers.getlist("WWW-Authenticate"))
