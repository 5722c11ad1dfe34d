"""How the service is: found out part by part, remembered, and told whatever is away."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from portal.status import Found, Name, Snapshot, StatusKeeper
from tests.support.redis import own_redis
from tests.support.service import make_service

FILE = "status.json"


class Looks:
    """What is found out: by hand."""

    def __init__(self) -> None:
        self.found: dict[Name, Found] = {"sync": Found("ok"), "mail": Found("ok")}
        self.count = 0
        self.hangs = threading.Event()
        self.hangs.set()

    def __call__(self) -> Mapping[Name, Found]:
        self.count += 1
        self.hangs.wait(20)
        return dict(self.found)


@pytest.fixture
def looks() -> Iterator[Looks]:
    made = Looks()
    yield made
    made.hangs.set()


def test_the_worst_of_what_matters_is_the_state_of_all(looks: Looks, tmp_path: Path) -> None:
    def state() -> str:
        found = StatusKeeper(looks, tmp_path / FILE).now()
        assert found is not None
        return found.state

    assert state() == "ok"
    looks.found["mail"] = Found("down")
    assert state() == "limited"
    looks.found["mail"] = Found("off")
    assert state() == "ok"
    looks.found["sync"] = Found("down")
    assert state() == "down"


def test_what_was_found_is_there_for_a_new_process(looks: Looks, tmp_path: Path) -> None:
    first = StatusKeeper(looks, tmp_path / FILE).now()
    assert first is not None
    looks.hangs.clear()
    assert StatusKeeper(looks, tmp_path / FILE).now(patience_s=0.01) == first
    looks.found["mail"] = Found("down", "why")
    looks.hangs.set()
    second = StatusKeeper(looks, tmp_path / FILE).now()
    assert second is not None
    assert second.parts[0].since_ms == first.parts[0].since_ms
    # Whichever of the two processes saw it first.
    assert first.at_ms <= second.parts[1].since_ms <= second.at_ms
    assert second.parts[1].note == "why"


def test_a_look_that_hangs_is_not_begun_again_nor_waited_for(looks: Looks, tmp_path: Path) -> None:
    looks.hangs.clear()
    keeper = StatusKeeper(looks, tmp_path / FILE)
    assert keeper.last() is None
    assert keeper.now(patience_s=0.01) is None
    assert looks.count == 1


def test_a_broken_file_is_nothing(looks: Looks, tmp_path: Path) -> None:
    looks.hangs.clear()
    for text in ("", "[]", '{"at_ms": 1, "parts": [{"name": "x"}]}'):
        (tmp_path / FILE).write_text(text)
        assert StatusKeeper(looks, tmp_path / FILE).last() is None


def test_a_snapshot_is_read_as_it_was_written(looks: Looks, tmp_path: Path) -> None:
    found = StatusKeeper(looks, tmp_path / FILE).now()
    assert found is not None
    assert Snapshot.parse(found.written()) == found


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    with own_redis() as redis:
        environ = {"FOUNTAIN_JOBS__REDIS_URL": redis.url, "FOUNTAIN_ACCOUNTS__ANONYMOUS": "false"}
        yield make_service(tmp_path_factory.mktemp("status"), environ)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def test_everybody_is_told_by_a_cutout_that_is_made(client: FlaskClient) -> None:
    told = client.get("/status").json
    parts = {part["name"]: part for part in told["parts"]}
    assert list(parts) == ["web", "sync", "jobs", "storage", "sign-in", "mail"]
    assert parts["sync"]["state"] == "ok"
    assert "32 × 32 pixels" in parts["sync"]["note"]
    # No worker is here.
    assert parts["jobs"]["state"] == "down"
    assert told["state"] == "down"
    page = client.get("/status", headers={"Accept": "text/html"})
    assert "Cutouts at once" in page.text
    assert "Secret" not in page.text
    assert "secret" not in page.text
