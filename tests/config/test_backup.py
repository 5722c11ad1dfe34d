"""Backups of a service that runs, by the commands of the guide; and what is there when they were restored."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from config.database import make_engine
from tests.conftest import REPOSITORY
from tests.support.databases import own_postgresql, postgresql
from tests.support.server import Served, serve
from tests.support.service import BASE, did, index_all, settings_of, write_surveys

pytestmark = pytest.mark.deployment

GUIDE = (REPOSITORY / "docs/backup.md").read_text(encoding="utf-8")
REGION = {"ID": did("tiny/g"), "CIRCLE": "150.0 0.0 0.0027", "PHASE": "RUN"}
TIMEOUT_S = 60


def commands_of(database: str, what: str) -> str:
    """Return the commands under a heading of the guide."""
    chapter = re.split(r"^## ", GUIDE, flags=re.MULTILINE)
    section = next(text for text in chapter if text.startswith(f"{database}\n"))
    part = section.partition(f"### {what}\n")[2].partition("\n#")[0]
    commands = re.findall(r"^    (.+)$", part, re.MULTILINE)
    assert commands
    return "\n".join(("set -eu", *commands))


@dataclass(frozen=True, slots=True)
class Site:
    """A service's folder and database, and how commands see them."""

    database: str
    data: Path
    environ: Mapping[str, str]

    def run(self, script: str) -> str:
        ran = subprocess.run(
            ["bash", "-c", script], env=self.environ, capture_output=True, text=True, timeout=120, check=False
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def lose(self, job: str) -> None:
        """Lose what `job` has made, and the database; later files stay where they are."""
        shutil.rmtree(self.data / "results" / job.rpartition("/")[2])
        if self.database == "SQLite":
            (self.data / "fountain.db").write_bytes(b"damaged" * 1000)
            (self.data / "fountain.db-wal").write_bytes(b"of another time" * 1000)
            return
        engine = make_engine(self.environ["DATABASE"])
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        engine.dispose()


@contextmanager
def site_in(folder: Path, more: Mapping[str, str], database: str) -> Iterator[Site]:
    data, backup = folder / "data", folder / "backup"
    backup.mkdir()
    write_surveys(data)
    told = {
        "FOUNTAIN_DATA__FOLDER": str(data),
        "FOUNTAIN_SURVEYS__DECLARATIONS": str(data / "declarations"),
        "FOUNTAIN_IDENTIFIERS__BASE": BASE,
        "FOUNTAIN_SERVER__WORKERS": "1",
        "FOUNTAIN_SERVER__PORT": "0",
        "DATA": str(data),
        "BACKUP": str(backup),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    } | more
    index_all(settings_of(data, told))
    yield Site(database, data, {**os.environ, **told})


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    if missing := [name for name in ("rsync", "sqlite3") if shutil.which(name) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    if request.param == "SQLite":
        with site_in(tmp_path, {}, request.param) as made:
            yield made
        return
    with own_postgresql() as server, postgresql(server.get_uri()) as engine:
        url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        more = {
            "DATABASE": url,
            "SERVER": server.get_uri(),
            "FOUNTAIN_DATA__DATABASE_URL": url,
            "PATH": f"{server.bin_path}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        engine.dispose()
        with site_in(tmp_path, more, request.param) as made:
            yield made


def submit(served: Served) -> str:
    """Make a job and run it; return its path."""
    answer = requests.post(f"{served.url}/async", data=REGION, timeout=TIMEOUT_S, allow_redirects=False)
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"].removeprefix(served.url)


def ended(served: Served, job: str) -> str:
    """Wait for a job; return the SHA-256 of its result."""
    for phase in ("QUEUED", "EXECUTING"):
        requests.get(f"{served.url}{job}", params={"WAIT": 30, "PHASE": phase}, timeout=TIMEOUT_S)
    phase = requests.get(f"{served.url}{job}/phase", timeout=TIMEOUT_S).text
    assert phase == "COMPLETED", requests.get(f"{served.url}{job}/error", timeout=TIMEOUT_S).text
    result = requests.get(f"{served.url}{job}/results/result", timeout=TIMEOUT_S)
    assert result.status_code == 200
    return hashlib.sha256(result.content).hexdigest()


@pytest.mark.timeout(300)
def test_what_the_guide_backs_up_is_there_again(site: Site, tmp_path: Path) -> None:
    with serve(tmp_path, site.environ, "--port", "0") as served:
        done = submit(served)
        content = ended(served, done)
        site.run("fountain queue pause high")
        waiting = submit(served)
        said = site.run(commands_of(site.database, "Back up"))
        assert ("ok" in said) == (site.database == "SQLite")
        site.run("fountain queue resume high")
        assert ended(served, waiting) == content
        later = submit(served)
        ended(served, later)
        assert served.stop() == 0
    backup = Path(site.environ["BACKUP"])
    assert {path.stat().st_mode & 0o077 for path in backup.glob("fountain.*")} == {0}
    site.lose(done)
    site.run(commands_of(site.database, "Restore"))
    with serve(tmp_path, site.environ, "--port", "0") as served:
        assert ended(served, done) == content
        assert requests.get(f"{served.url}{later}", timeout=TIMEOUT_S).status_code == 404
        assert requests.get(f"{served.url}{waiting}/phase", timeout=TIMEOUT_S).text == "QUEUED"
        site.run("fountain queue resume high")
        assert ended(served, waiting) == content
        region = {name: value for name, value in REGION.items() if name != "PHASE"}
        assert requests.get(f"{served.url}/sync", params=region, timeout=TIMEOUT_S).status_code == 200
