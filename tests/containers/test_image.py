"""The image: what goes into it, and its steps in a clean environment. No Docker engine is needed."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from config.settings import load_settings
from tests.containers.support import CONTAINERS, REPOSITORY, compose, program

pytestmark = pytest.mark.deployment

INSTALL_S = 500
CALL_S = 60
SCRIPTS = sorted(CONTAINERS.glob("*.sh"))


def sources() -> list[Path]:
    """Files that make up the image: those that the ignore file lets through."""
    lines = (CONTAINERS / "Dockerfile.dockerignore").read_text().splitlines()
    assert {"*", "**/__pycache__"} <= set(lines)
    found: list[Path] = []
    for line in lines:
        if line.startswith("!"):
            wanted = REPOSITORY / line.removeprefix("!")
            assert wanted.exists(), line
            found += wanted.rglob("*") if wanted.is_dir() else [wanted]
    return [
        file.relative_to(REPOSITORY) for file in found if file.is_file() and "__pycache__" not in file.parts
    ]


def clean_environment(home: Path) -> dict[str, str]:
    """An environment that knows nothing but where to get packages from."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.startswith("PIP_") or "proxy" in name.lower()
    }
    # What was downloaded once is not downloaded again, if there is such a place.
    cache = subprocess.run(
        [sys.executable, "-m", "pip", "cache", "dir"], capture_output=True, text=True, check=False
    ).stdout.strip()
    if cache:
        kept.setdefault("PIP_CACHE_DIR", cache)
    python = Path(sys.base_prefix) / "bin"
    return {**kept, "HOME": str(home), "PATH": f"{python}:/usr/bin:/bin", "LANG": "C.UTF-8"}


@pytest.mark.timeout(INSTALL_S + 2 * CALL_S)
def test_the_steps_of_the_image_make_a_program_that_works(tmp_path: Path) -> None:
    for file in sources():
        (tmp_path / "source" / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / file, tmp_path / "source" / file)
    (tmp_path / "home").mkdir()
    place, environ = tmp_path / "fountain", clean_environment(tmp_path / "home")
    installed = run(["source/containers/install.sh", "application", str(place)], tmp_path, environ, INSTALL_S)
    assert installed.returncode == 0, installed.stdout + installed.stderr
    # What the image runs, without the source, a home, or a way to write beside the program.
    shutil.rmtree(tmp_path / "source")
    bare = {
        "PATH": f"{place}/bin:/usr/bin:/bin",
        "FOUNTAIN_DATA__FOLDER": str(tmp_path / "state"),
        "NUMBA_CACHE_DIR": str(tmp_path / "cache"),
    }
    for command in (["fountain", "--version"], ["fountain", "db", "upgrade"], ["fountain", "survey", "list"]):
        done = run(command, tmp_path, bare)
        assert done.returncode == 0, done.stderr
    assert "demo" in done.stdout  # the declaration that comes with the program has come with it
    assert (tmp_path / "state" / "fountain.db").is_file()
    imported = run(
        ["python", "-c", "import psycopg, s3fs, surveys.fits.compressed; psycopg.connect"], tmp_path, bare
    )
    assert imported.returncode == 0, imported.stderr
    # Nothing to build or install with, no tests.
    left = run(["python", "-m", "pip", "--version"], tmp_path, bare)
    assert left.returncode != 0
    found = {folder.name for folder in place.glob("lib/python*/site-packages/*") if folder.is_dir()}
    assert not found & {"pip", "setuptools", "tests", "benchmarks", "docs"}
    assert {"accounts", "config", "portal", "uws", "surveys"} <= found
    assert list(place.glob("lib/python*/site-packages/portal/templates/admin/*.html"))


def run(
    command: list[str], folder: Path, environ: Mapping[str, str], seconds: float = CALL_S
) -> subprocess.CompletedProcess[str]:
    """Run a program of an environment."""
    found = shutil.which(command[0], path=environ["PATH"]) or str(folder / command[0])
    return subprocess.run(
        [found, *command[1:]],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def test_every_package_goes_into_the_image() -> None:
    setup = configparser.ConfigParser()
    setup.read(REPOSITORY / "setup.cfg")
    packages = setup["options.packages.find"]["include"].replace("*", "").split()
    assert packages
    assert set(packages) <= {file.parts[0] for file in sources()}


def test_every_command_of_the_compose_file_is_one() -> None:
    from config.cli import main

    for service in compose()["services"].values():
        if service["command"][0] == "fountain":
            command = main
            for word in service["command"][1:]:
                if word.startswith("-") or not hasattr(command, "commands"):
                    options = {option for parameter in command.params for option in parameter.opts}
                    assert not word.startswith("-") or word in options, word
                else:
                    command = command.commands[word]


def test_the_settings_of_the_image_are_settings() -> None:
    dockerfile = (CONTAINERS / "Dockerfile").read_text()
    environ = dict(re.findall(r"(FOUNTAIN_\w+)=(\S+)", dockerfile))
    settings = load_settings(environ)
    folders = [str(settings.data.path), *(str(folder) for folder in settings.surveys.folders[1:])]
    assert folders == ["/var/lib/fountain", "/etc/fountain/surveys"]
    assert all(folder in re.search(r"mkdir -p (.*) ", dockerfile).group(1) for folder in folders)


def test_nothing_starts_without_secrets() -> None:
    text = (CONTAINERS / "compose.yaml").read_text()
    for name in re.findall(r"\$\{(\w+)", text):
        assert name in ("SECRETS", "IMAGES", "DECLARATIONS", "TAG", "EDGE", "HTTP_PORT", "HTTPS_PORT")
        # A name that begins like a setting would be one where the program is started by hand.
        assert not name.startswith("FOUNTAIN_")
    for name in ("SECRETS", "IMAGES", "DECLARATIONS"):
        assert f"${{{name}:?" in text
    assert not re.search(r"password\w*: *\S", text, re.IGNORECASE) or "PASSWORD_FILE" in text


def test_only_nginx_is_reached_from_outside() -> None:
    services = compose()["services"]
    assert {name for name, service in services.items() if "ports" in service} == {"nginx"}
    assert compose()["networks"]["inside"]["internal"] is True
    for name, service in services.items():
        on_edge = "edge" in service["networks"]
        assert on_edge == (name in ("web-1", "web-2", "nginx")), name
    assert (
        services["web-1"]["environment"]["FOUNTAIN_SERVER__TRUSTED_PROXIES"]
        == (services["nginx"]["networks"]["edge"]["ipv4_address"])
    )


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_scripts_are_clean(script: Path) -> None:
    assert os.access(script, os.X_OK)
    told = subprocess.run([program("shellcheck"), str(script)], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout


@pytest.mark.parametrize("arguments", [[], ["nonsense"]], ids=str)
def test_a_step_that_is_none_says_what_there_is(arguments: list[str]) -> None:
    told = subprocess.run(
        [str(CONTAINERS / "install.sh"), *arguments], capture_output=True, text=True, check=False
    )
    assert told.returncode == 2
    assert "application FOLDER" in told.stderr
