"""Aladin Lite: nothing but what was published is kept and served, and everything works without it."""

from __future__ import annotations

import tarfile
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner

from config import aladin
from config.cli import main
from tests.support.service import make_service

SCRIPT = b"export default {};\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package as npm unpacks it, with a script that is short."""
    folder = tmp_path / "aladin-lite"
    (folder / "dist").mkdir(parents=True)
    (folder / "dist" / "aladin.js").write_bytes(SCRIPT)
    (folder / "COPYING").write_text("GNU GENERAL PUBLIC LICENSE")
    monkeypatch.setattr(aladin, "SCRIPT_SHA256", sha256(SCRIPT).hexdigest())
    return folder


def test_it_is_served_as_it_is_with_its_licence(package: Path, tmp_path: Path) -> None:
    data = tmp_path / "service"
    client = make_service(data).test_client()
    assert client.get("/static/aladin/3.8.2/aladin.js").status_code == 404
    assert '"viewer": ""' in client.get("/explore").text
    # It comes while the service runs.
    aladin.install(data, package)
    script = client.get("/static/aladin/3.8.2/aladin.js")
    assert (script.status_code, script.data) == (200, SCRIPT)
    assert script.content_type == "text/javascript; charset=utf-8"
    assert "immutable" in script.headers["Cache-Control"]
    assert "GENERAL PUBLIC" in client.get("/static/aladin/3.8.2/COPYING").text
    assert '"viewer": "/static/aladin/3.8.2/aladin.js"' in client.get("/explore").text
    for other in ("3.8.1/aladin.js", "3.8.2/LICENSE", "3.8.2/other.js", "3.8.2/..%2f..%2ffountain.db"):
        assert client.get(f"/static/aladin/{other}").status_code == 404


def test_it_is_taken_from_a_file_of_npm(package: Path, tmp_path: Path) -> None:
    archive = tmp_path / "aladin-lite.tgz"
    with tarfile.open(archive, "w:gz") as made:
        made.add(package, "package")
    data = {"FOUNTAIN_DATA__FOLDER": str(tmp_path / "data")}
    ended = CliRunner().invoke(main, ["aladin", str(archive)], env=data)
    assert (ended.exit_code, aladin.is_there(tmp_path / "data")) == (0, True)
    # It is there: nothing is fetched.
    again = CliRunner().invoke(main, ["aladin"], env={**data, "PATH": ""})
    assert again.exit_code == 0
    assert "is there" in again.output


@pytest.mark.parametrize("wrong", ["script", "empty", "text"])
def test_what_was_not_published_is_refused(package: Path, tmp_path: Path, wrong: str) -> None:
    given = package
    if wrong == "script":
        (package / "dist" / "aladin.js").write_bytes(SCRIPT + b"alert(1)")
    elif wrong == "empty":
        (package / "dist" / "aladin.js").unlink()
    else:
        given = tmp_path / "text"
        given.write_text("no archive")
    data = {"FOUNTAIN_DATA__FOLDER": str(tmp_path / "data")}
    ended = CliRunner().invoke(main, ["aladin", str(given)], env=data)
    assert ended.exit_code == 1
    assert not aladin.is_there(tmp_path / "data")


def test_without_npm_it_is_said_what_to_do(tmp_path: Path) -> None:
    ended = CliRunner().invoke(main, ["aladin"], env={"FOUNTAIN_DATA__FOLDER": str(tmp_path), "PATH": ""})
    assert ended.exit_code == 1
    assert "npm is not there" in ended.output
