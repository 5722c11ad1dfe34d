"""A long list while its workers are killed: what it gives is what it gives in peace."""

from __future__ import annotations

import csv
import io
import os
import random
import signal
import time
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import pytest
import requests
from sqlalchemy import select

from config.database import make_engine
from tests.support.cluster import until
from tests.support.redis import OwnRedis, own_redis
from tests.support.server import Served, serve
from tests.support.service import did, environ_of, index_all, settings_of, write_surveys
from uws.tables import WorkerRow

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]

ROWS = 5000
KILLS = 10
TIMEOUT_S = 60
#: What differs from run to run without being a product.
OF_THE_RUN = ("attempts", "seconds", "access_url")


@pytest.fixture
def redis() -> Iterator[OwnRedis]:
    with own_redis() as server:
        yield server


@pytest.fixture
def served(tmp_path: Path, redis: OwnRedis) -> Iterator[Served]:
    write_surveys(tmp_path)
    index_all(settings_of(tmp_path))
    environ = {
        **environ_of(tmp_path),
        "FOUNTAIN_JOBS__REDIS_URL": redis.url,
        "FOUNTAIN_JOBS__WORKERS": "3",
        "FOUNTAIN_JOBS__LEASE_S": "2",
        "FOUNTAIN_JOBS__RENEW_S": "0.4",
        "FOUNTAIN_JOBS__RECONCILE_S": "0.3",
        "FOUNTAIN_JOBS__BACK_OFF_S": "0.05",
        # A task is killed far more often here than any that is at fault.
        "FOUNTAIN_JOBS__MAX_ATTEMPTS": "100",
    }
    with serve(tmp_path, environ, "--port", "0") as served:
        until(lambda: len(workers_of(tmp_path)) >= 3, 60, served.log.read_text)
        yield served


def workers_of(folder: Path) -> list[int]:
    """Processes that have said of themselves that they are workers, and are there."""
    engine = make_engine(settings_of(folder).data.engine_url)
    try:
        with engine.connect() as connection:
            known = [int(pid) for (pid,) in connection.execute(select(WorkerRow.pid))]
    finally:
        engine.dispose()
    return [pid for pid in known if Path(f"/proc/{pid}").exists()]


def kill_one(folder: Path, dice: random.Random) -> str:
    """Kill a worker, whose child dies with it, or the child alone; return which."""
    alive = workers_of(folder)
    if not alive:
        return ""  # others are being started
    pid = dice.choice(alive)
    what = dice.choices(["worker", "child"], [3, 1])[0]
    children = Path(f"/proc/{pid}/task/{pid}/children")
    with suppress(ProcessLookupError, FileNotFoundError):
        victims = [pid] if what == "worker" else [int(child) for child in children.read_text().split()]
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        return what
    return ""


def table(dice: random.Random) -> str:
    """Targets over both tiles and their edges, some where there is nothing, some that are wrong."""
    lines = ["id,ra,dec,size"]
    for number in range(ROWS):
        ra, dec = dice.uniform(149.965, 150.085), dice.uniform(-0.03, 0.03)
        if number % 100 == 99:
            dec = 95.0
        lines.append(f"t{number},{ra:.6f},{dec:.6f},{dice.choice((10, 16, 24))}arcsec")
    return "\n".join(lines) + "\n"


def submit(served: Served, targets: str) -> str:
    answer = requests.post(
        f"{served.url}/async",
        {"UPLOAD": "targets,param:t", "ID": did("tiny/g"), "PHASE": "RUN"},
        files={"t": ("targets.csv", targets)},
        timeout=TIMEOUT_S,
        allow_redirects=False,
    )
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"]


def phase(job: str) -> str:
    return requests.get(f"{job}/phase", timeout=TIMEOUT_S).text


def ledger(job: str) -> dict[str, dict[str, str]]:
    text = requests.get(f"{job}/ledger", {"FORMAT": "csv"}, timeout=TIMEOUT_S).text
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len({row["result_id"] for row in rows}) == len(rows)
    return {
        row["result_id"]: {name: value for name, value in row.items() if name not in OF_THE_RUN}
        for row in rows
    }


def products(job: str) -> dict[str, str]:
    """Files of the archive, by their names in it, as their sums."""
    archive = requests.get(f"{job}/results/archive", timeout=TIMEOUT_S)
    with zipfile.ZipFile(io.BytesIO(archive.content)) as members:
        assert members.testzip() is None
        return {
            name.partition("/")[2]: sha256(members.read(name)).hexdigest()
            for name in members.namelist()
            if name.endswith(".fits")
        }


def finished(served: Served, job: str) -> str:
    """Wait for a job; have the rows made again whose child was killed twice over them, as a user would."""
    until(lambda: phase(job) in ("COMPLETED", "ERROR", "ABORTED"), 200, served.log.read_text)
    assert phase(job) == "COMPLETED", served.log.read_text()[-3000:]
    if not any(row["status"] == "poison" for row in ledger(job).values()):
        return job
    again = requests.post(job, {"ACTION": "RETRY"}, timeout=TIMEOUT_S, allow_redirects=False)
    return finished(served, again.headers["Location"])


def test_a_list_whose_workers_are_killed_gives_what_it_gives_in_peace(served: Served, tmp_path: Path) -> None:
    seed = int(os.environ.get("FOUNTAIN_TEST_SEED", "20261121"))
    dice = random.Random(seed)
    targets = table(dice)
    calm = finished(served, submit(served, targets))
    killed: list[str] = []
    jobs: list[str] = []
    while len(killed) < KILLS:
        if not jobs or phase(jobs[-1]) == "COMPLETED":
            assert len(jobs) < 20, "kills come too seldom to matter"
            jobs.append(submit(served, targets))
        time.sleep(dice.uniform(0.0, 0.3))  # the moment is what is random here
        if what := kill_one(tmp_path, dice):
            killed.append(what)
    expected, files = ledger(calm), products(calm)
    assert len(expected) == ROWS
    assert sum(row["status"] == "failed" for row in expected.values()) == ROWS // 100
    assert len(files) > 0.8 * ROWS
    for job in jobs:
        job = finished(served, job)
        assert products(job) == files, (seed, killed)
        found = ledger(job)
        assert {key: row["sha256"] for key, row in found.items()} == {
            key: row["sha256"] for key, row in expected.items()
        }
        assert found == expected
