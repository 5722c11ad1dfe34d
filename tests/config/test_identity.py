"""Who sends a request: what fails closed, what is remembered how long, and that secrets stay secret."""

from __future__ import annotations

import json
import logging
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from flask import Flask
from sqlalchemy import Engine, inspect, text
from structlog.testing import CapturingLogger

from accounts.gate import Gate, Shown
from accounts.known import Known
from accounts.sessions import COOKIE
from config.accounts import AccountParts, make_accounts
from config.logs import _TRACEBACKS, RequestLog
from dali.errors import AuthenticationError
from tests.support.accounts import MAKER, parts_of, sign_in, somebody
from tests.support.databases import sqlite
from tests.support.service import did, make_service, settings_of

ASKED = {"ID": did("tiny/g/a"), "CIRCLE": "150 0 0.0027"}


def gate_of(parts: AccountParts, known: Known) -> Gate:
    return Gate(parts.people, parts.tokens, parts.sessions, parts.callers, known)


def test_what_another_process_changes_is_noticed_in_time(engine: Engine, tmp_path: Path) -> None:
    mine, other = (make_accounts(settings_of(tmp_path), engine) for _ in range(2))
    clock = [0.0]
    gate = gate_of(mine, Known(5.0, lambda: clock[0]))
    ada = somebody(other, "ada")
    shown = Shown(f"Bearer {ada.text}")
    assert gate.caller(shown).name == ada.name
    other.tokens.revoke(ada.token.token_id, by=MAKER)
    clock[0] = 4.9
    assert gate.caller(shown).name == ada.name
    clock[0] = 5.0
    with pytest.raises(AuthenticationError):
        gate.caller(shown)
    mine.close()


def test_what_changes_during_a_look_up_is_not_remembered() -> None:
    known, key = Known(60.0), b"x"
    caller = MAKER
    begun = known.begin()
    known.forget()
    known.remember(key, caller, begun)
    assert known.find(key) is None
    known.remember(key, caller, known.begin())
    assert known.find(key) is caller
    known.forget()
    assert known.find(key) is None


def test_a_new_token_is_known_at_once_although_it_was_refused_before(tmp_path: Path) -> None:
    with sqlite(tmp_path) as engine:
        parts = make_accounts(settings_of(tmp_path), engine)
        ada = somebody(parts, "ada")
        parts.people.change(ada.name, by=MAKER, disabled=True)
        with pytest.raises(AuthenticationError, match="disabled"):
            parts.gate.caller(Shown(f"Bearer {ada.text}"))
        parts.people.change(ada.name, by=MAKER, disabled=False)
        assert parts.gate.caller(Shown(f"Bearer {ada.text}")).name == ada.name
        parts.close()


@pytest.mark.faults
def test_without_a_database_nobody_is_let_in_and_nobody_unknown_is_kept_out(tmp_path: Path) -> None:
    client = make_service(tmp_path / "service").test_client()
    with sqlite(tmp_path / "service") as engine:
        ada = somebody(make_accounts(settings_of(tmp_path), engine), "ada")
    for file in (tmp_path / "service").glob("fountain.db*"):
        file.unlink()
    (tmp_path / "service" / "fountain.db").mkdir()
    answer = client.get("/healthz", headers=ada.headers)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
    assert answer.text.startswith("ServiceUnavailable: the database does not answer")
    assert "X-VO-Authenticated" not in answer.headers
    assert client.get("/healthz").status_code == 200


def test_what_nobody_expected_lets_nobody_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_service(tmp_path / "service")
    ada = somebody(app, "ada")

    def fail(text: str) -> None:
        raise ZeroDivisionError(text)

    monkeypatch.setattr(parts_of(app).tokens, "find", fail)
    answer = app.test_client().get("/healthz", headers=ada.headers)
    assert answer.status_code == 500
    assert answer.text.startswith("Error: the service failed on this request")
    assert ada.text not in answer.text


def test_a_database_that_only_reads_still_knows_who_asks(tmp_path: Path) -> None:
    app = make_service(tmp_path / "service")
    ada = somebody(app, "ada")
    with parts_of(app).tokens._writing.begin() as connection:
        connection.execute(
            text("CREATE TRIGGER no_use BEFORE UPDATE ON token BEGIN SELECT RAISE(ABORT, 'no'); END")
        )
    assert app.test_client().get("/healthz", headers=ada.headers).headers["X-VO-Authenticated"] == ada.name


@pytest.fixture
def logged() -> Iterator[CapturingLogger]:
    """Everything that is logged by structlog, as JSON with tracebacks."""
    logger, kept = CapturingLogger(), structlog.get_config()
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.ExceptionRenderer(_TRACEBACKS),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=lambda *_: logger,
        cache_logger_on_first_use=False,
    )
    yield logger
    structlog.configure(**kept)


def test_no_secret_is_told_anywhere(
    tmp_path: Path,
    logged: CapturingLogger,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    secret, password, jwt = (
        "canary-of-the-service-and-32-long",
        "canary-password",
        "eyJhbGciOiJub25lIn0.canary.jwt",
    )
    environ = {"FOUNTAIN_ACCOUNTS__SECRET": secret, "FOUNTAIN_ACCOUNTS__KEPT_S": "0"}
    folder = tmp_path / "service"
    app = make_service(folder, environ)
    ada = somebody(app, "ada")
    client = app.test_client()
    key = sign_in(client, app, ada.name)
    basic = b64encode(f"ada:{password}".encode()).decode()
    answers = []

    def ask() -> None:
        bare = app.test_client(use_cookies=False)
        cookie = f"{COOKIE}={key}"
        for path in ("/healthz", "/sync", "/account", "/account/tokens", "/async", "/nothing", "/metrics"):
            for headers in (
                ada.headers,
                {"Authorization": f"Basic {basic}"},
                {"Authorization": f"Bearer {jwt}"},
                {"Authorization": f"Bearer {ada.text}x"},
                {"Authorization": f"{ada.text}"},
                {"Cookie": cookie},
                {"Cookie": cookie, "Sec-Fetch-Site": "cross-site"},
                {**ada.headers, "X-On-Behalf-Of": "local:bob"},
            ):
                for method in ("GET", "POST"):
                    answers.append(
                        bare.open(path, method=method, headers=headers, query_string=ASKED, buffered=True)
                    )
            in_query = {"access_token": ada.text, "token": ada.text}
            answers.append(bare.get(path, query_string=in_query, buffered=True))

    ask()
    with monkeypatch.context() as broken:
        broken.setattr(parts_of(app).tokens, "_reading", None)
        broken.setattr(parts_of(app).sessions, "_reading", None)
        ask()
    assert any(answer.status_code == 500 for answer in answers)
    made = client.post(
        "/account/tokens", data={"title": "x", "scopes": "read"}, headers={"Sec-Fetch-Site": "same-origin"}
    ).get_json()["token"]
    told = [str(answer.headers) + answer.data.decode("latin-1") for answer in answers]
    told += [call.args[0] for call in logged.calls]
    told.append(caplog.text)
    told.append(_dump(app))
    told += [repr(settings_of(folder, environ)), repr(parts_of(app)), repr(app.extensions), str(app.config)]
    assert len(logged.calls) > len(answers)
    for canary in (ada.text, made, key, basic, password, jwt, secret):
        found = [text for text in told if canary in text]
        # A key that somebody sends as a parameter that nobody knows is not said back either.
        assert found == []


def _dump(app: Flask) -> str:
    """Everything in the database, by SQLite's own words."""
    rows = []
    engine = parts_of(app).people._reading
    with engine.connect() as connection:
        for table in inspect(connection).get_table_names():
            rows.append(str(connection.execute(text(f"SELECT * FROM {table}")).all()))
    return "\n".join(rows)


def test_the_log_says_who_asked_and_who_for(tmp_path: Path, logged: CapturingLogger) -> None:
    app = make_service(tmp_path / "service")
    service, bob = somebody(app, "portal", may_act=True), somebody(app, "bob")
    assert isinstance(app.wsgi_app, RequestLog)
    client = app.test_client()
    client.get("/healthz", headers=service.headers | {"X-On-Behalf-Of": bob.name}, buffered=True)
    client.get("/healthz", buffered=True)
    known, unknown = (json.loads(call.args[0]) for call in logged.calls)
    assert (known["account"], known["actor"]) == (bob.name, service.name)
    assert "account" not in unknown


def test_the_log_has_no_links_that_stop_mail(tmp_path: Path, logged: CapturingLogger) -> None:
    """Whoever has one may follow it."""
    client = make_service(tmp_path / "service").test_client()
    for path in ("/unsubscribe/canary.0123", "/prefix/unsubscribe/canary", "/canary"):
        client.get(path, buffered=True)
    paths = [json.loads(call.args[0])["path"] for call in logged.calls]
    assert paths == ["/unsubscribe/…", "/prefix/unsubscribe/…", "/canary"]
