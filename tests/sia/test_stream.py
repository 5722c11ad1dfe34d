"""Answers of many rows: bounded memory, all rows, and what happens when the index fails amid them."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from flask import Flask
from lxml import etree
from sqlalchemy.exc import OperationalError

from benchmarks.discovery import write_index
from config.answers import answer_errors
from config.app import assemble, create_app
from config.settings import Settings
from sia.access import LINKS_TYPE, SyncLimits
from sia.service import QueryService, RowLimits
from sia.views import make_blueprint
from surveys.index.catalog import Catalog
from surveys.index.obscore import ObsConstraints, ObsImage
from surveys.index.obsindex import ObsIndex
from surveys.survey import Survey

V = {"v": "http://www.ivoa.net/xml/VOTable/v1.3"}
ROWS = 20_000


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return write_index(tmp_path_factory.mktemp("many"), ROWS)


@pytest.fixture(scope="module")
def app(settings: Settings) -> Flask:
    return create_app(settings)


def chunks(app: Flask, query: str) -> Iterator[bytes]:
    response = app.test_client().get(f"/query?{query}")
    assert response.status_code == 200
    return iter(response.iter_encoded())


def identifiers(content: bytes) -> list[str | None]:
    return [row[4].text for row in etree.fromstring(content).iterfind(".//v:TR", V)]


@pytest.mark.parametrize("query", ["", "&POS=CIRCLE 0 -90 60", "&POS=CIRCLE 0 0 180", "&CALIB=3"])
def test_many_rows_are_all_sent_each_once(app: Flask, query: str) -> None:
    found = identifiers(b"".join(chunks(app, f"MAXREC=1000000{query}")))
    assert len(found) == len(set(found)) == ROWS + 3


def test_many_rows_take_bounded_memory(app: Flask) -> None:
    for _ in chunks(app, "MAXREC=100"):
        pass
    tracemalloc.start()
    try:
        size = sum(map(len, chunks(app, "MAXREC=1000000")))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > 500 * ROWS
    assert peak < 10_000_000


def test_csv_and_json_are_streams_too(app: Flask) -> None:
    for form in ("csv", "json"):
        pieces = list(chunks(app, f"MAXREC=1000000&RESPONSEFORMAT={form}"))
        assert len(pieces) > 50
        assert max(map(len, pieces)) < 300_000


def test_a_client_may_leave_at_any_time(app: Flask) -> None:
    stream = app.test_client().get("/query?MAXREC=1000000", buffered=False)
    next(stream.iter_encoded())
    stream.close()


class FailingIndex(ObsIndex):
    """Fails after so many images, as a database does that goes away."""

    def __init__(self, catalog: Catalog, images: int) -> None:
        super().__init__(catalog)
        self._left = images

    def images(self, survey: Survey, wanted: ObsConstraints) -> Iterator[ObsImage]:
        for image in super().images(survey, wanted):
            if not self._left:
                raise OperationalError("SELECT", {}, OSError("gone"))
            self._left -= 1
            yield image


def failing(settings: Settings, images: int) -> Flask:
    """Application whose index fails after so many images."""
    parts = assemble(settings)
    service = QueryService(
        parts.surveys,
        FailingIndex(parts.catalog, images),
        parts.identifiers,
        RowLimits(10_000, 10_000),
        SyncLimits(1, 1),
        lambda field, url: (),
        parts.rights.reader,
    )
    app = Flask("failing")
    app.register_blueprint(make_blueprint(service, lambda: "http://localhost"))
    answer_errors(app)
    return app


def test_vot_04_a_failure_amid_the_rows_is_said_at_the_end(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    response = failing(settings, 1000).test_client().get("/query")
    assert response.status_code == 200
    root = etree.fromstring(response.data)
    last = root.findall(".//v:INFO[@name='QUERY_STATUS']", V)[-1]
    assert last.get("value") == "ERROR"
    assert str(last.text).startswith("FatalFault: the service failed here; rows are missing.")
    assert "gone" not in str(last.text)
    assert 0 < len(identifiers(response.data)) <= 1003
    assert "a query failed amid its rows" in caplog.text


def test_http_13_a_failure_before_the_first_row_is_an_error(settings: Settings) -> None:
    response = (
        failing(settings, 0).test_client().get("/query?FORMAT=" + quote(LINKS_TYPE) + "&CALIB=3&FOV=0.1 1")
    )
    assert (response.status_code, response.content_type) == (503, "application/x-votable+xml")
    assert response.headers["Retry-After"]
    (info,) = etree.fromstring(response.data).iterfind(".//v:INFO", V)
    assert info.get("value") == "ERROR"
    assert str(info.text).startswith("TransientFault: ")


def test_a_failure_in_text_breaks_the_answer_off(settings: Settings) -> None:
    response = failing(settings, 1000).test_client().get("/query?RESPONSEFORMAT=csv", buffered=False)
    with pytest.raises(OperationalError):
        for _ in response.iter_encoded():
            pass
