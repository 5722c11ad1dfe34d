"""Workers that come from batch systems: the scripts themselves, and a real Slurm of one node."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from tests.containers.support import (
    CONTAINERS,
    PATIENCE_S,
    REPOSITORY,
    free_port,
    make_secrets,
    program,
    redis,
    started,
    until,
)
from tests.support.databases import postgresql
from uws.tables import WorkerRow

pytestmark = pytest.mark.deployment

WORKERS = 2
PILOTS = ("slurm-worker.sh", "htcondor-worker.sh")


@pytest.fixture(scope="module")
def fountain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The installed command beside its Python, as the scripts expect it."""
    folder = tmp_path_factory.mktemp("bin")
    (folder / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (folder / "fountain").write_text(
        f'#!/bin/sh\nexec {sys.executable} -c "from config.cli import main; main()" "$@"\n'
    )
    for script in folder.iterdir():
        script.chmod(0o755)
    return folder / "fountain"


@pytest.fixture(scope="module")
def database(postgresql_url: str) -> Iterator[Engine]:
    with postgresql(postgresql_url) as engine:
        yield engine


@pytest.fixture(scope="module")
def environ(
    tmp_path_factory: pytest.TempPathFactory, database: Engine, fountain: Path
) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("pilot")
    secrets = make_secrets(folder / "secrets")
    with redis(folder, secrets) as port:
        password = (secrets / "redis-password").read_text()
        yield {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(REPOSITORY),
            "PROGRAM": str(fountain),
            "FOUNTAIN_DATA__FOLDER": str(folder),
            "FOUNTAIN_DATA__DATABASE_URL": database.url.set(drivername="postgresql").render_as_string(
                hide_password=False
            ),
            "FOUNTAIN_JOBS__REDIS_URL": f"redis://fountain:{password}@127.0.0.1:{port}/0",
        }


def workers_of(database: Engine) -> list[str]:
    with database.connect() as connection:
        return list(connection.execute(select(WorkerRow.lanes)).scalars())


@pytest.mark.parametrize("script", PILOTS)
def test_sqlite_is_refused(script: str, tmp_path: Path, fountain: Path) -> None:
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), "PROGRAM": str(fountain)}
    refused = subprocess.run(
        [str(CONTAINERS / script), "2", "60"],
        env={**environ, "FOUNTAIN_DATA__FOLDER": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert refused.returncode == 1
    assert "need PostgreSQL (data.database_url)" in refused.stderr
    assert not list(tmp_path.iterdir())


def test_a_pilot_ends_well_when_it_is_sent_away(
    tmp_path: Path, environ: dict[str, str], database: Engine
) -> None:
    command = [str(CONTAINERS / "htcondor-worker.sh"), str(WORKERS), "3600", "--lane", "low"]
    log = tmp_path / "pilot.log"
    with started(command, log, env=environ, alone=True) as pilot:
        until(lambda: workers_of(database) == ["low"] * WORKERS or pilot.poll() is not None, log.read_text)
        pilot.send_signal(signal.SIGTERM)
        assert pilot.wait(PATIENCE_S) == 0, log.read_text()
    assert workers_of(database) == []


def test_a_pilot_ends_well_when_its_time_is_over(
    tmp_path: Path, environ: dict[str, str], database: Engine
) -> None:
    log = tmp_path / "pilot.log"
    # Longer than a worker takes to come up, on a busy machine too: what counts is that it ends, and how.
    with started([str(CONTAINERS / "htcondor-worker.sh"), "1", "12"], log, env=environ, alone=True) as pilot:
        until(lambda: workers_of(database) or pilot.poll() is not None, log.read_text)
        assert pilot.wait(PATIENCE_S) == 0, log.read_text()
    assert workers_of(database) == []


def test_the_submit_file_knows_the_script() -> None:
    text = (CONTAINERS / "htcondor-worker.sub").read_text()
    told = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    values = {name.strip(): value.strip() for name, value in told.items()}
    assert os.access(CONTAINERS / values["executable"], os.X_OK)
    workers, seconds = values["arguments"].strip('"').split()
    assert int(workers) == int(values["request_cpus"])
    assert f"> {int(seconds) + 600}" in values["periodic_remove"]
    assert values["kill_sig"] == "SIGTERM"


@pytest.mark.timeout(240)
def test_workers_come_from_slurm_and_end_well(
    tmp_path: Path, environ: dict[str, str], database: Engine
) -> None:
    with slurm(tmp_path) as conf:
        tools = {**environ, "SLURM_CONF": str(conf)}
        out = tmp_path / "job.out"
        submit = ["sbatch", "--parsable", f"--output={out}", "--export=ALL", "--mem-per-cpu=0"]
        size = [f"--ntasks-per-node={WORKERS}", "--overcommit"]
        script = str(CONTAINERS / "slurm-worker.sh")
        job = asked([*submit, *size, "--time=2", script], tools)

        def told() -> str:
            return asked(["scontrol", "show", "job", job], tools) + (out.read_text() if out.exists() else "")

        until(lambda: len(workers_of(database)) == WORKERS, told)
        assert workers_of(database) == ["high low"] * WORKERS
        # What Slurm sends a minute before the time is over, to the script alone.
        asked(["scancel", "--batch", "--signal=TERM", job], tools)
        until(lambda: "JobState=COMPLETED" in told(), told)
        assert workers_of(database) == []


def asked(command: list[str], environ: dict[str, str]) -> str:
    """Run a tool of Slurm."""
    done = subprocess.run(
        [program(command[0]), *command[1:]],
        env=environ,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@contextmanager
def slurm(folder: Path) -> Iterator[Path]:
    """Run a Slurm of this machine alone; give its configuration."""
    if os.geteuid() != 0:
        pytest.skip("slurmd wants to be root")
    daemons = {name: program(name) for name in ("munged", "slurmctld", "slurmd")}
    host, cores = socket.gethostname().partition(".")[0], os.cpu_count() or 1
    for name in ("state", "spool", "munge"):
        (folder / name).mkdir(mode=0o700)
    (folder / "munge" / "key").write_bytes(os.urandom(1024))
    (folder / "munge" / "key").chmod(0o400)
    conf = folder / "slurm.conf"
    values = {
        "ClusterName": "test",
        "SlurmctldHost": f"{host}(127.0.0.1)",
        "SlurmUser": "root",
        "SlurmdUser": "root",
        "SlurmctldPort": free_port(),
        "SlurmdPort": free_port(),
        "AuthType": "auth/munge",
        "AuthInfo": f"socket={folder}/munge/socket",
        "CredType": "cred/munge",
        "StateSaveLocation": folder / "state",
        "SlurmdSpoolDir": folder / "spool",
        "SlurmctldPidFile": folder / "slurmctld.pid",
        "SlurmdPidFile": folder / "slurmd.pid",
        "ProctrackType": "proctrack/linuxproc",
        "TaskPlugin": "task/none",
        "SelectType": "select/cons_tres",
        "SelectTypeParameters": "CR_Core",
        "ReturnToService": 2,
        "MpiDefault": "none",
        "JobAcctGatherType": "jobacct_gather/none",
        "AccountingStorageType": "accounting_storage/none",
    }
    node = f"NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory=1000 State=UNKNOWN\n"
    queue = f"PartitionName=debug Nodes={host} Default=YES MaxTime=10 State=UP\n"
    conf.write_text("".join(f"{name}={value}\n" for name, value in values.items()) + node + queue)
    tools = {**os.environ, "SLURM_CONF": str(conf)}
    files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    munged = [f"--{option}={folder}/munge/{file}" for option, file in files.items()]
    with ExitStack() as running:
        running.enter_context(started([daemons["munged"], "-F", "-f", *munged], folder / "munged.log"))
        until((folder / "munge" / "socket").exists, lambda: "munged does not answer")
        for name, options in (("slurmctld", ["-D", "-c"]), ("slurmd", ["-D"])):
            log = folder / f"{name}.log"
            running.enter_context(started([daemons[name], *options], log, env=tools))
        until(lambda: "idle" in asked_if_up(tools), (folder / "slurmctld.log").read_text)
        yield conf


def asked_if_up(environ: dict[str, str]) -> str:
    """Ask for the state of the node; nothing while nobody answers."""
    command = [program("sinfo"), "--noheader", "--format=%T"]
    return subprocess.run(
        command, env=environ, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    ).stdout
