"""The page of how the service is, while database and Redis are stopped."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from accounts.sessions import COOKIE
from config.app import create_app
from config.database import make_engine, upgrade
from tests.support.databases import own_postgresql
from tests.support.redis import own_redis
from tests.support.service import index_all, settings_of, write_surveys

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

PAGE = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none"}


def test_it_answers_without_database_and_redis(tmp_path: Path) -> None:
    with own_postgresql() as server, own_redis() as redis:
        url = server.get_uri()
        engine = make_engine(url)
        upgrade(engine)
        engine.dispose()
        environ = {"FOUNTAIN_DATA__DATABASE_URL": url, "FOUNTAIN_JOBS__REDIS_URL": redis.url}
        settings = settings_of(tmp_path, environ)
        write_surveys(tmp_path)
        index_all(settings)
        before = create_app(settings).test_client()
        assert states(before)["sync"] == "ok"

        stop_at_once(server)
        redis.kill()
        # What was found before, and what a process finds that starts now.
        assert states(before)["sync"] == "ok"
        after = create_app(settings).test_client()
        assert states(after) == {
            "web": "ok",
            "sync": "down",
            "jobs": "down",
            "storage": "ok",
            "sign-in": "off",
            "mail": "off",
        }
        # Who was signed in cannot be known, and is answered all the same.
        after.set_cookie(COOKIE, "x" * 43)
        for client in (before, after):
            page = client.get("/status", headers=PAGE)
            assert page.status_code == 200
            assert "</html>" in page.text
        assert "The database does not answer" in page.text
        assert after.get("/help").status_code == 200
        # Every other page says so, as a page.
        page = before.get("/nothing", headers=PAGE)
        assert (page.status_code, "</html>" in page.text) == (404, True)
        server.ensure_postgres_running()


def states(client: Any) -> dict[str, str]:
    """Tell how each part is."""
    answer = client.get("/status", headers={"Accept": "application/json"})
    assert answer.status_code == 200
    return {part["name"]: part["state"] for part in answer.json["parts"]}


def stop_at_once(server: Any) -> None:
    """Stop the server as a power cut would."""
    program = str(server.bin_path / "pg_ctl")
    subprocess.run(
        [program, "-w", "-D", str(server.pgdata), "-m", "immediate", "stop"],
        check=True,
        stdout=subprocess.DEVNULL,
        user=server.system_user,
        timeout=60,
    )
