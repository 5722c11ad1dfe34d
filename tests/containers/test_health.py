"""What the container engine asks: whether a web server answers, whether a worker was heard of."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine, update

from config.database import make_engine, prepare
from tests.containers.support import CONTAINERS, free_port
from tests.support.server import serve
from uws.store.upkeep import Upkeep
from uws.tables import WorkerRow

CALL_S = 60


def check(what: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(CONTAINERS / "healthcheck.py"), what],
        env={**os.environ, "PYTHONPATH": str(CONTAINERS.parent), **environ},
        capture_output=True,
        text=True,
        timeout=CALL_S,
        check=False,
    )


@pytest.mark.deployment
def test_a_web_server_is_well_while_it_answers(tmp_path: Path) -> None:
    environ = {"FOUNTAIN_DATA__FOLDER": str(tmp_path), "FOUNTAIN_SERVER__WORKERS": "1"}
    with serve(tmp_path, environ, "--port", "0") as served:
        port = served.url.rpartition(":")[2]
        assert check("web", FOUNTAIN_SERVER__PORT=port).returncode == 0
    gone = check("web", FOUNTAIN_SERVER__PORT=port)
    assert gone.returncode == 1
    assert "no answer" in gone.stderr


@pytest.fixture
def database(tmp_path: Path) -> Engine:
    engine = make_engine(f"sqlite:///{tmp_path}/fountain.db")
    prepare(engine)
    return engine


@pytest.mark.deployment
def test_a_worker_is_well_while_it_is_heard_of(tmp_path: Path, database: Engine) -> None:
    folder = {"FOUNTAIN_DATA__FOLDER": str(tmp_path)}
    upkeep = Upkeep(database)
    upkeep.beat("elsewhere", "another-host", 1, ("high",))
    unknown = check("worker", **folder)
    assert (unknown.returncode, unknown.stderr) == (1, "no worker of this host is known\n")
    upkeep.beat("here", socket.gethostname(), 1, ("high",))
    assert check("worker", **folder).returncode == 0
    with database.begin() as connection:
        connection.execute(update(WorkerRow).values(seen_ms=WorkerRow.seen_ms - 3_600_000))
    silent = check("worker", **folder)
    assert silent.returncode == 1
    assert "not heard of for 36" in silent.stderr
    database.dispose()


def test_a_worker_is_not_blamed_for_its_database() -> None:
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/none"
    away = check("worker", FOUNTAIN_DATA__DATABASE_URL=url)
    assert (away.returncode, away.stderr) == (0, "the database does not answer\n")


def test_anything_else_is_told_what_there_is() -> None:
    assert check("nonsense").returncode == 2
