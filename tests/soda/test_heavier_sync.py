"""Larger cutouts of sync, which workers make: the same answers, in bytes and headers, and honest refusals."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select, text

from dali.parameters import Parameters
from tests.support.redis import OwnRedis, own_redis
from tests.support.service import did
from tests.support.soda_jobs import JobbingService, jobbing, until
from uws.tables import JobRow

SMALL = {"ID": did("tiny/g/a"), "CIRCLE": "150.0 0.0 0.0027"}
LARGE = {"ID": did("tiny/g/a"), "CIRCLE": "150.0 0.0 0.01"}
INLINE = {"FOUNTAIN_SYNC__INLINE_PIXELS": "1000"}


@pytest.fixture(scope="module")
def redis() -> Iterator[OwnRedis]:
    with own_redis() as server:
        yield server


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, redis: OwnRedis) -> Iterator[JobbingService]:
    with jobbing(tmp_path_factory.mktemp("heavier"), redis.url, INLINE) as made:
        yield made


@pytest.fixture
def client(service: JobbingService) -> FlaskClient:
    return service.app.test_client()


@pytest.fixture
def idle(tmp_path: Path, redis: OwnRedis) -> Iterator[JobbingService]:
    """A service without workers."""
    with jobbing(tmp_path, redis.url, {**INLINE, "FOUNTAIN_SYNC__JOB_WAIT_S": "0.3"}, worker=False) as made:
        yield made


def jobs(service: JobbingService) -> list[tuple[str, bool, str]]:
    with service.parts.engine.connect() as connection:
        found = connection.execute(
            select(JobRow.phase, JobRow.hidden, JobRow.lane).order_by(JobRow.created_ms)
        )
        return [(phase, hidden, lane) for phase, hidden, lane in found]


@contextmanager
def open_pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Give both ends of a connection."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def count(service: JobbingService) -> int:
    with service.parts.engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(JobRow)).scalar_one()


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"MASK": "true"},
        {"CHECKSUM": "true"},
        {"RESPONSEFORMAT": "image/fits"},
        {"RESPONSEFORMAT": "png", "LABEL": "a&b=c"},
        {"GRID": "tan"},
        {"BAND": "5e-7"},
    ],
)
def test_a_worker_gives_what_the_server_would(
    client: FlaskClient, service: JobbingService, extra: dict[str, str]
) -> None:
    before = count(service)
    parameters = {**LARGE, **extra}
    answer = client.get("/sync", query_string=parameters)
    assert answer.status_code == 200, answer.text
    assert jobs(service)[before:] == [("COMPLETED", True, "high")]
    sync = service.parts.sync
    asked = sync.ask(Parameters.from_pairs(parameters.items()))
    sent = sync.cut(asked)
    assert sent.chunks is not None
    assert answer.data == b"".join(sent.chunks)
    headers = {**client.head("/sync", query_string=parameters).headers}
    headers.pop("X-Request-Id")
    assert {name: answer.headers[name] for name in headers} == headers
    assert answer.headers["ETag"] == f'"{asked.etag}"'
    shown = "inline" if "LABEL" in extra else "attachment"
    assert answer.headers["Content-Disposition"] == f'{shown}; filename="{sent.file_name}"'
    assert answer.headers["Link"].endswith('rel="canonical"')
    assert answer.headers["X-Cutout-Clipped"] == "false"
    covered = None if "LABEL" in extra else f"{sent.facts.covered:.6g}"
    assert answer.headers.get("X-Cutout-Covered") == covered


def test_post_does_the_same(client: FlaskClient) -> None:
    assert client.post("/sync", data=LARGE).data == client.get("/sync", query_string=LARGE).data


def test_hidden_jobs_are_seen_by_nobody(client: FlaskClient, service: JobbingService) -> None:
    client.get("/sync", query_string=LARGE)
    with service.parts.engine.connect() as connection:
        job_id = connection.execute(select(JobRow.job_id).where(JobRow.hidden)).scalars().first()
    assert client.get(f"/async/{job_id}").status_code == 404


def test_head_conditions_and_empty_answers_make_no_job(client: FlaskClient, service: JobbingService) -> None:
    before = count(service)
    etag = client.head("/sync", query_string=LARGE).headers["ETag"]
    same = client.get("/sync", query_string=LARGE, headers={"If-None-Match": etag})
    assert same.status_code == 304
    nowhere = client.get("/sync", query_string={"ID": did("tiny/g/a"), "CIRCLE": "10 0 1"})
    assert nowhere.status_code == 204
    assert count(service) == before


def test_inline_sync_needs_no_redis_and_writes_nothing(tmp_path: Path) -> None:
    nowhere = f"unix://{tmp_path}/redis.sock"
    with jobbing(tmp_path, nowhere, INLINE, worker=False) as service:
        client = service.app.test_client()
        with service.parts.engine.connect() as watching:
            before = watching.execute(text("PRAGMA data_version")).scalar_one()
            assert client.get("/sync", query_string=SMALL).status_code == 200
            assert watching.execute(text("PRAGMA data_version")).scalar_one() == before
        assert client.get("/sync", query_string=LARGE).status_code == 503


def test_a_silent_redis_is_told_with_the_request_for_a_job(idle: JobbingService, redis: OwnRedis) -> None:
    redis.freeze()
    try:
        answer = idle.app.test_client().get("/sync", query_string=LARGE)
        small = idle.app.test_client().get("/sync", query_string=SMALL)
    finally:
        redis.thaw()
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.text.startswith("ServiceUnavailable: ")
    assert "curl -d 'ID=" in answer.text
    assert "&CIRCLE=150+0+0.01&PHASE=RUN' http://localhost/async" in answer.text
    assert small.status_code == 200
    assert count(idle) == 0


def test_without_workers_the_job_is_given_up(idle: JobbingService) -> None:
    answer = idle.app.test_client().get("/sync", query_string=LARGE)
    assert answer.status_code == 503
    assert "Retry-After" in answer.headers
    assert "PHASE=RUN" in answer.text
    assert jobs(idle) == [("ABORTED", True, "high")]


def test_a_client_that_leaves_has_its_job_aborted(tmp_path: Path, redis: OwnRedis) -> None:
    with jobbing(tmp_path, redis.url, INLINE, worker=False) as service, open_pair() as (ours, theirs):
        told: list[int] = []

        def ask() -> None:
            # As gunicorn hands the connection of a request on.
            environ = {"gunicorn.socket": ours}
            answer = service.app.test_client().get("/sync", query_string=LARGE, environ_overrides=environ)
            told.append(answer.status_code)

        waiting = threading.Thread(target=ask)
        waiting.start()
        until(lambda: jobs(service) == [("QUEUED", True, "high")])
        theirs.close()
        waiting.join(30)
        assert told == [503]
        assert jobs(service) == [("ABORTED", True, "high")]


def test_a_broken_file_is_an_error_as_it_is_inline(client: FlaskClient, service: JobbingService) -> None:
    file = service.folder / "tiny" / "b_g.fits"
    aside = file.rename(file.with_suffix(".aside"))
    try:
        answer = client.get("/sync", query_string={"ID": did("tiny/g/b"), "CIRCLE": "150.05 0 0.01"})
        small = client.get("/sync", query_string={"ID": did("tiny/g/b"), "CIRCLE": "150.05 0 0.001"})
    finally:
        aside.rename(file)
    assert answer.status_code == small.status_code == 500
    assert answer.text.partition("request id: ")[0] == small.text.partition("request id: ")[0]


def test_the_size_at_which_workers_are_asked(idle: JobbingService) -> None:
    sizes = {"31px 32px": 200, "32px 32px": 503}
    for size, status in sizes.items():
        asked = {"ID": did("tiny/g/a"), "CENTER": "150 0", "SIZE": size}
        assert idle.app.test_client().get("/sync", query_string=asked).status_code == status
