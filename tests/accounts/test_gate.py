"""Every way to be known, and everything that is none, over HTTP."""

from __future__ import annotations

from base64 import b64encode

import pytest
from flask import Flask
from flask.testing import FlaskClient

from accounts.sessions import COOKIE
from tests.support.accounts import MAKER, parts_of, sign_in, somebody
from tests.support.service import did

ASKED = {"ID": did("tiny/g/a"), "CIRCLE": "150 0 0.0027"}


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(f'{name}:{password}'.encode()).decode()}"}


@pytest.mark.parametrize("path", ["/sync", "/availability"])
def test_a_token_tells_who_asks(app: Flask, client: FlaskClient, path: str) -> None:
    ada = somebody(app, "ada")
    answer = client.get(path, query_string=ASKED if path == "/sync" else {}, headers=ada.headers)
    assert answer.status_code == 200
    assert answer.headers["X-VO-Authenticated"] == "local:ada"
    assert "public" not in answer.headers.get("Cache-Control", "")
    assert "X-VO-Authenticated" not in client.get(path, query_string=ASKED).headers


def test_a_token_may_be_a_password(app: Flask, client: FlaskClient) -> None:
    ada = somebody(app, "ada")
    for name in ("x-oauth-basic", "ada", ""):
        answer = client.get("/availability", headers=basic(name, ada.text))
        assert answer.headers["X-VO-Authenticated"] == "local:ada"


@pytest.mark.parametrize(
    "header",
    [
        "Bearer sft_" + 43 * "a",
        "Bearer sft_short",
        "Bearer x",
        "Bearer ",
        "Bearer",
        "Digest username=x",
        "Basic eA==",
        "Basic eDp5",
        "Basic eDo=",
        "Basic %%%",
        "Basic /////w==",
        "",
        "x" * 4000,
        "Bearer \u00e9",
    ],
)
def test_what_is_not_valid_is_refused(client: FlaskClient, header: str) -> None:
    for path in ("/sync", "/async", "/nothing", "/healthz"):
        answer = client.get(path, query_string=ASKED, headers={"Authorization": header})
        assert answer.status_code == 401
        assert answer.text.startswith("AuthenticationError: ")
        challenges = answer.headers.getlist("WWW-Authenticate")
        assert challenges[0].startswith("ivoa_bearer ")
        assert 'error="invalid_token"' in challenges[0]
        assert len(header) < 9 or header[7:] not in answer.text


def test_two_authorization_headers_are_refused(app: Flask, client: FlaskClient) -> None:
    ada = somebody(app, "ada")
    both = f"Bearer {ada.text},Bearer {ada.text}"
    assert client.get("/healthz", headers={"Authorization": both}).status_code == 401


def test_a_token_in_the_query_is_refused(app: Flask, client: FlaskClient) -> None:
    ada = somebody(app, "ada")
    for name in ("access_token", "token", "TOKEN"):
        answer = client.get("/async", query_string={name: ada.text})
        assert answer.status_code == 400
        assert ada.text not in answer.text
        assert "X-VO-Authenticated" not in answer.headers


def test_a_revoked_token_is_refused_at_once(app: Flask, client: FlaskClient) -> None:
    ada = somebody(app, "ada")
    assert client.get("/healthz", headers=ada.headers).status_code == 200
    parts_of(app).tokens.revoke(ada.token.token_id, by=MAKER)
    assert client.get("/healthz", headers=ada.headers).status_code == 401


def test_a_disabled_account_is_refused_at_once(app: Flask, client: FlaskClient) -> None:
    eve = somebody(app, "eve")
    assert client.get("/healthz", headers=eve.headers).status_code == 200
    parts_of(app).people.change(eve.name, by=MAKER, disabled=True)
    assert client.get("/healthz", headers=eve.headers).status_code == 401


def test_a_session_tells_who_asks_until_it_ends(app: Flask) -> None:
    client, bob = app.test_client(), somebody(app, "bob")
    key = sign_in(client, app, bob.name)
    assert client.get("/healthz").headers["X-VO-Authenticated"] == "local:bob"
    parts_of(app).sessions.end(key)
    answer = client.get("/healthz")
    assert (answer.status_code, answer.headers.get("X-VO-Authenticated")) == (200, None)


def test_cookies_of_others_tell_nothing(client: FlaskClient) -> None:
    client.set_cookie("other", "1")
    client.set_cookie(COOKIE, "nonsense")
    answer = client.get("/healthz")
    assert (answer.status_code, answer.headers.get("X-VO-Authenticated")) == (200, None)
