"""The application as a whole: its log, its errors, what becomes of files that change or break."""

from __future__ import annotations

import io
import json
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import structlog
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError
from structlog.testing import CapturingLogger
from structlog.typing import Processor
from werkzeug.test import Client
from werkzeug.wrappers import Response

from config.answers import answer_errors
from config.app import MONITOR, assemble, create_app, declared_surveys
from config.logs import Answered, RequestLog
from dali.errors import ServiceUnavailable
from dali.responses import LOG_FIELDS
from soda.gate import PixelGate
from soda.habits import Habits
from soda.service import SyncService
from soda.views import make_blueprint
from surveys.errors import DeclarationError
from tests.support.accounts import somebody
from tests.support.service import did, index_all, make_service, settings_of, write_surveys

ASKED = {"ID": did("tiny/g/a"), "CIRCLE": "150 0 0.0027", "RUNID": "mine"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "service"


def lines_of(captured: CapturingLogger) -> list[dict[str, object]]:
    return [json.loads(call.args[0]) for call in captured.calls]


@pytest.fixture
def captured() -> Iterator[CapturingLogger]:
    """Every line of the log, as JSON."""
    logger = CapturingLogger()
    kept = structlog.get_config()
    as_json: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.dict_tracebacks,
        structlog.processors.JSONRenderer(),
    ]
    structlog.configure(
        processors=as_json,
        logger_factory=lambda *_: logger,
        cache_logger_on_first_use=False,
    )
    yield logger
    structlog.configure(**kept)


def test_one_line_for_each_request(folder: Path, captured: CapturingLogger) -> None:
    client = make_service(folder).test_client()
    answer = client.get("/sync", query_string=ASKED, buffered=True)
    refused = client.get("/sync?ID=x", buffered=True)
    first, second = lines_of(captured)
    assert first.pop("ms") > 0  # type: ignore[operator]
    assert first == {
        "event": "request",
        "level": "info",
        "request_id": answer.headers["X-Request-Id"],
        "method": "GET",
        "path": "/sync",
        "status": 200,
        "bytes": len(answer.data),
        "dataset": "tiny/g/a",
        "run_id": "mine",
    }
    assert (second["status"], second["bytes"]) == (404, len(refused.data))


def test_a_broken_tile_is_an_error_with_an_id_logged_in_full_and_others_are_unaffected(
    folder: Path, captured: CapturingLogger
) -> None:
    client = make_service(folder).test_client()
    (folder / "tiny" / "a_g.fits").unlink()
    answer = client.get("/sync", query_string=ASKED, buffered=True)
    assert answer.status_code == 500
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.text.startswith("Error: the image tiny/g/a cannot be read")
    assert answer.text.endswith(f"request id: {answer.headers['X-Request-Id']}\n")
    assert str(folder) not in answer.text
    error, _ = lines_of(captured)
    assert error["request_id"] == answer.headers["X-Request-Id"]
    assert "BrokenImage" in json.dumps(error["exception"])
    assert client.get("/sync", query_string=ASKED | {"ID": did("tiny/r/a")}).status_code == 200


def test_a_file_that_changed_is_served_once_it_is_indexed_again(folder: Path) -> None:
    client = make_service(folder).test_client()
    first = client.get("/sync", query_string=ASKED)
    changed = folder / "tiny" / "a_g.fits"
    os.utime(changed, ns=(0, 1_700_000_000_000_000_000))
    refused = client.get("/sync", query_string=ASKED)
    assert refused.status_code == 500
    assert refused.text.startswith("Error: ")
    index_all(settings_of(folder))
    second = client.get("/sync", query_string=ASKED)
    assert second.status_code == 200
    assert second.headers["ETag"] != first.headers["ETag"]


def test_an_unexpected_error_is_one_sentence(captured: CapturingLogger) -> None:
    app = Flask(__name__)
    answer_errors(app)
    app.wsgi_app = RequestLog(app.wsgi_app)  # type: ignore[method-assign]
    app.add_url_rule("/", view_func=lambda: str(1 / 0))
    answer = app.test_client().get("/")
    assert answer.status_code == 500
    assert answer.text == (
        "Error: the service failed on this request.\nPlease report the request id.\n"
        f"request id: {answer.headers['X-Request-Id']}\n"
    )
    assert "ZeroDivisionError" in json.dumps(lines_of(captured)[0])


def test_an_answer_cut_short_is_said(captured: CapturingLogger) -> None:
    def body() -> Iterator[bytes]:
        yield b"one"
        raise OSError("the disk is gone")

    def application(environ: object, start_response: object) -> Iterator[bytes]:
        environ[LOG_FIELDS] = {"dataset": "x"}  # type: ignore[index]
        start_response("200 OK", [])  # type: ignore[operator]
        return body()

    answer = RequestLog(application)({"REQUEST_METHOD": "GET"}, lambda *_: lambda _: None)
    with pytest.raises(OSError, match="the disk"):
        list(answer)
    answer.close()  # type: ignore[attr-defined]
    failure, line = lines_of(captured)
    assert failure["event"] == "answer cut short"
    assert (line["status"], line["bytes"], line["dataset"]) == (200, 3, "x")


def test_what_is_not_logged_is_counted(captured: CapturingLogger) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    heard: list[Answered] = []
    Client(RequestLog(Response([b"one", b"two"]), heard.append)).get("/", buffered=True)
    assert lines_of(captured) == []
    assert [(one.status, one.sent) for one in heard] == [(200, 6)]


def test_vosi_05_a_data_folder_that_is_gone(folder: Path) -> None:
    app = make_service(folder)
    (folder / "tiny").rename(folder / "away")
    answer = app.test_client().get("/availability")
    assert answer.status_code == 200
    assert b"<vosi:available>false</vosi:available>" in answer.data
    assert b"a data folder of the survey tiny cannot be read" in answer.data


def test_the_name_of_a_closed_survey_is_not_told_with_its_folder(folder: Path) -> None:
    app = make_service(folder)
    (folder / "secret").rename(folder / "away")
    told = app.test_client().get("/availability").data
    assert b"a data folder of the survey no. " in told
    assert b"secret" not in told + app.test_client().get("/metrics").data
    ada = somebody(app, "ada", admin=True)
    assert app.test_client().get("/admin", headers=ada.headers).get_json()["parts"]["survey secret"] is False


def test_vosi_06_draining_over_http(folder: Path) -> None:
    app = make_service(folder)
    app.extensions[MONITOR].drain()
    assert b"shutting down" in app.test_client().get("/availability").data


def test_http_13_too_many_at_once(folder: Path) -> None:
    gate = PixelGate(2, wait_s=0.05)
    with ExitStack() as stack:
        stack.enter_context(gate.admit())
        stack.enter_context(gate.admit())
        with pytest.raises(ServiceUnavailable) as caught:
            stack.enter_context(gate.admit())
    assert caught.value.retry_after_s == 1
    with gate.admit():
        pass


def test_http_13_too_many_at_once_over_http(folder: Path) -> None:
    settings = settings_of(folder, {"FOUNTAIN_SERVER__CORES": "1", "FOUNTAIN_SYNC__WAIT_S": "0.05"})
    write_surveys(folder)
    index_all(settings)
    parts = assemble(settings)
    gate = PixelGate(1, settings.sync.wait_s)
    busy = SyncService(parts.soda, gate, light_bytes=0)
    app = Flask(__name__)
    habits = Habits(parts.surveys, parts.identifiers)
    app.register_blueprint(make_blueprint(busy, parts.previews, habits, lambda: "http://localhost"))
    answer_errors(app)
    client = app.test_client()
    with gate.admit():
        answer = client.get("/sync", query_string=ASKED)
        # What reads no pixel needs no turn.
        assert client.head("/sync", query_string=ASKED).status_code == 200
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
    assert answer.text.startswith("ServiceUnavailable: too many cutouts are being made")
    assert client.get("/sync", query_string=ASKED).status_code == 200
    parts.engine.dispose()


def test_http_13_a_database_that_fails(folder: Path, captured: CapturingLogger) -> None:
    client = make_service(folder).test_client()
    for file in folder.glob("fountain.db*"):
        file.unlink()
    (folder / "fountain.db").mkdir()
    answer = client.get("/sync", query_string=ASKED)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "10"
    assert answer.text.startswith("ServiceUnavailable: the database does not answer")
    assert b"the database does not answer" in client.get("/availability").data


@pytest.mark.parametrize("kind", [OperationalError, InterfaceError, InternalError])
def test_http_13_whatever_a_database_that_is_away_raises_is_503(kind: type[DBAPIError]) -> None:
    app = Flask(__name__)
    answer_errors(app)

    @app.route("/")
    def read() -> str:
        raise kind("SELECT 1", {}, Exception("cannot execute UPDATE in a read-only transaction"))

    answer = app.test_client().get("/")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
    assert "read-only" not in answer.text


def test_a_begun_answer_waits_for_its_turn() -> None:
    gate = PixelGate(1, wait_s=0)
    resumed = threading.Event()

    def resume() -> None:
        with gate.resume():
            resumed.set()

    with gate.admit():
        thread = threading.Thread(target=resume)
        thread.start()
        assert not resumed.is_set()
    thread.join(10)
    assert resumed.is_set()


def test_large_cutouts_are_streamed(folder: Path) -> None:
    import numpy as np
    from astropy.io import fits

    from tests.support.service import header_at

    write_surveys(folder)
    large = np.zeros((3000, 3000), np.float32)
    large[-1, -1] = 7
    fits.PrimaryHDU(large, header_at(10.0, 10.0)).writeto(folder / "tiny" / "large_g.fits")
    settings = settings_of(folder, {"FOUNTAIN_SYNC__MAX_PIXELS": "9000000"})
    index_all(settings)
    client = create_app(settings).test_client()
    answer = client.get("/sync", query_string={"ID": did("tiny/g/large")}, buffered=False)
    parts = list(answer.iter_encoded())
    assert len(parts) > 2
    assert sum(map(len, parts)) == int(answer.headers["Content-Length"])
    with fits.open(io.BytesIO(b"".join(parts))) as hdus:
        np.testing.assert_array_equal(hdus[0].data, large)


def test_two_surveys_of_one_name(folder: Path) -> None:
    write_surveys(folder)
    (folder / "declarations" / "DEMO.toml").write_text((folder / "declarations" / "tiny.toml").read_text())
    with pytest.raises(DeclarationError, match="two surveys are named DEMO"):
        declared_surveys(settings_of(folder))


def test_declarations_that_are_not_there(folder: Path) -> None:
    settings = settings_of(folder, {"FOUNTAIN_SURVEYS__DECLARATIONS": str(folder / "nowhere")})
    with pytest.raises(DeclarationError, match="which is no folder"):
        declared_surveys(settings)


def test_http_12_post_from_a_browser_is_answered(client: FlaskClient) -> None:
    answer = client.post("/sync", data=ASKED, headers={"Origin": "https://elsewhere.example"})
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
