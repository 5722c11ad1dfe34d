"""The page of one's own account."""

from __future__ import annotations

import re
from html import unescape

import pytest
from flask import Flask
from flask.testing import FlaskClient

from accounts.people import Identity
from accounts.proof import Proof
from portal.account import Wish, Wishes, account_page, make_blueprint
from tests.portal.conftest import browser_of
from tests.support.accounts import MAKER, parts_of, sign_in, somebody

TOKEN = re.compile(r"sft_[\w-]{43}")


@pytest.fixture
def alice(app: Flask, browser: FlaskClient) -> FlaskClient:
    """A browser in which somebody has signed in who has no tokens."""
    parts = parts_of(app)
    account = parts.people.seen(
        Identity("institute", "alice", "Alice <b>", "alice@soda.test", frozenset({"survey-x"}))
    )
    sign_in(browser, app, account.name)
    for token in parts.tokens.of(account.name):
        parts.tokens.revoke(token.token_id, by=MAKER)
    return browser


def make(browser: FlaskClient, **more: object) -> str:
    answer = browser.post(
        "/account/new-token", data={"title": "laptop", "days": "30", "scopes": ["read", "submit"], **more}
    )
    assert answer.status_code == 201
    found = TOKEN.search(answer.text)
    assert found is not None
    return found[0]


def test_it_tells_who_one_is(alice: FlaskClient) -> None:
    page = alice.get("/account")
    assert page.headers["Cache-Control"] == "no-store"
    for text in ("Alice &lt;b&gt;", "institute:alice", "alice@soda.test", "survey-x"):
        assert text in page.text
    assert "<b>" not in page.text
    assert re.search("cutouts a day.*\n.*>0 of 1\u202f000\u202f000<", page.text)


def test_programs_get_the_same_as_json(alice: FlaskClient) -> None:
    told = alice.get("/account", headers={"Accept": "application/json"}).get_json()
    assert told["account"] == "institute:alice"


def test_nobody_is_sent_to_sign_in(browser: FlaskClient) -> None:
    answer = browser.get("/account")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login?next=/account")


def test_a_token_is_shown_once_and_works(alice: FlaskClient, app: Flask) -> None:
    text = make(alice, title="my <laptop>")
    page = alice.get("/account").text
    assert TOKEN.search(page) is None
    assert "my &lt;laptop&gt;" in page
    script = app.test_client()
    told = script.get("/account", headers={"Authorization": f"Bearer {text}"}).get_json()
    assert (told["account"], told["way"], told["scopes"]) == ("institute:alice", "token", ["read", "submit"])


def test_a_token_is_revoked(alice: FlaskClient, app: Flask) -> None:
    text = make(alice)
    revoke = re.search(r'action="(/account/tokens/\w+/revoke)"', alice.get("/account").text)
    assert revoke is not None
    assert alice.post(revoke[1]).headers["Location"] == "/account"
    assert "laptop" not in alice.get("/account").text.replace("my laptop", "")
    answer = app.test_client().get("/account", headers={"Authorization": f"Bearer {text}"})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"title": ""}, "Title is a line of 1 to 80 characters"),
        ({"title": "x" * 81}, "Title is a line of 1 to 80 characters"),
        ({"days": "0"}, "Days is more than 0"),
        ({"days": "many"}, 'Days is a number; got "many"'),
        ({"days": "nan"}, "Days is more than 0"),
        ({"days": "inf"}, "Days is more than 0"),
        ({"days": "1e9"}, "Days is more than 0"),
        ({"scopes": []}, "A token needs a scope"),
        ({"scopes": ["everything"]}, "There is no scope"),
        ({"scopes": ["admin"]}, "The scope admin is for administrators"),
    ],
)
def test_what_is_wrong_is_told_beside_what_was_typed(
    wrong: dict[str, object], said: str, alice: FlaskClient
) -> None:
    data = {"title": "pipeline", "days": "30", "scopes": ["read"], **wrong}
    answer = alice.post("/account/new-token", data=data)
    assert 400 <= answer.status_code < 500
    assert said in unescape(answer.text)
    if "title" not in wrong:
        assert 'value="pipeline"' in answer.text
    assert TOKEN.search(answer.text) is None


def test_nobody_revokes_what_is_others(alice: FlaskClient, app: Flask) -> None:
    other = somebody(app, "other")
    assert alice.post(f"/account/tokens/{other.token.token_id}/revoke").status_code == 404
    assert app.test_client().get("/account", headers=other.headers).status_code == 200


@pytest.mark.parametrize("path", ["/account/new-token", "/account/tokens/abc/revoke", "/account/wishes"])
def test_forms_are_for_who_has_signed_in_here(path: str, browser: FlaskClient, app: Flask) -> None:
    assert browser.post(path).status_code == 401
    assert browser_of(app).post(path, headers=somebody(app, "pipeline").headers).status_code == 403
    sign_in(browser, app, somebody(app, "visitor").name)
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "", "Origin": "https://evil.example"},
    ):
        assert browser.post(path, headers=headers).status_code == 403
    assert parts_of(app).audit.read(1)[0].act != "token revoked"


def test_administrators_may_give_their_scope(browser: FlaskClient, app: Flask) -> None:
    sign_in(browser, app, somebody(app, "root", admin=True).name)
    assert 'value="admin"' in browser.get("/account").text
    make(browser, scopes=["read", "admin"])


def test_wishes_are_kept(alice: FlaskClient, app: Flask) -> None:
    """What the service will send is not this package's: wishes are handed to it."""
    kept: dict[str, frozenset[str]] = {}
    wishes = Wishes(
        (Wish("done", "is done"), Wish("failed", "has failed")),
        lambda account: kept.get(account.name, frozenset()),
        kept.__setitem__,
    )
    parts = parts_of(app)
    pages = app.extensions["fountain.pages"]
    page = account_page(pages, parts.people, parts.tokens, wishes)
    other = Flask("wishes")
    proof = Proof(parts.sessions, str, 3600)
    other.register_blueprint(make_blueprint(pages, page, parts.tokens, wishes, proof))
    caller = parts.callers.of(
        parts.people.seen(Identity("institute", "alice", "A", "a@soda.test")), "session"
    )
    client = other.test_client()
    environ = {"fountain.caller": caller, "HTTP_ACCEPT": "text/html"}
    answer = client.post("/account/wishes", data={"mail": ["done", "spam"]}, environ_overrides=environ)
    assert kept == {"institute:alice": frozenset({"done"})}
    assert "Saved." in answer.text
    assert re.search(r'value="done" checked', answer.text)
    assert not re.search(r'value="failed" checked', answer.text)
