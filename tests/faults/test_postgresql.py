"""PostgreSQL is stopped without a warning while jobs are submitted: what was acknowledged is there."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from config.database import make_engine, upgrade
from tests.support.cluster import cluster, until
from tests.support.databases import own_postgresql
from tests.support.redis import own_redis
from uws.phase import Phase

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

RESTARTS = 5


def test_every_acknowledged_job_survives_restarts(tmp_path: Path) -> None:
    with own_postgresql() as server, own_redis() as redis:
        url = server.get_uri()
        engine = make_engine(url)
        upgrade(engine)
        engine.dispose()
        with cluster(tmp_path, url, redis.url, workers=2) as made:
            acknowledged: list[str] = []
            stop = threading.Event()

            def submit() -> None:
                while not stop.is_set():
                    try:
                        acknowledged.append(made.submit(DO="ok", ROWS=4, PER_TASK=2).job_id)
                    except DBAPIError:
                        stop.wait(0.05)  # a client that tries again

            clients = [threading.Thread(target=submit) for _ in range(3)]
            for client in clients:
                client.start()
            try:
                for _ in range(RESTARTS):
                    before = len(acknowledged)
                    until(lambda: len(acknowledged) >= before + 5, told=made.told)  # noqa: B023
                    restart_at_once(server)
            finally:
                stop.set()
                for client in clients:
                    client.join()
            ended = made.wait(*acknowledged, patience_s=150)
            assert {job.phase for job in ended} == {Phase.COMPLETED}
            assert all(job.counts.done == 4 for job in ended)
            made.check()


def restart_at_once(server: Any) -> None:
    """Stop the server as a power cut would, and start it again: it recovers from its log."""
    program = str(server.bin_path / "pg_ctl")
    subprocess.run(
        [program, "-w", "-D", str(server.pgdata), "-m", "immediate", "stop"],
        check=True,
        stdout=subprocess.DEVNULL,
        user=server.system_user,
        timeout=60,
    )
    server.ensure_postgres_running()
