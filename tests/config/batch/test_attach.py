"""Coming back to a job that has ended, or has not: real jobs, real ledgers, and no workers."""

from __future__ import annotations

import hashlib
import os
import signal
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
import requests
from click.testing import CliRunner, Result

from config.batch import archive
from config.batch.memory import Memory, Remembered, digest_of
from config.cli import main
from tests.support.listening import listening
from tests.support.packed import Toys, file_of, toys

WORDS = ["ok", "empty", "ok", "failed", "ok", "poison", "failed"]
OK = [n for n, word in enumerate(WORDS) if word == "ok"]
SIZE = 1000

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toys]:
    with toys(tmp_path_factory.mktemp("toys")) as made:
        yield made


@pytest.fixture(scope="module")
def url(served: Toys) -> Iterator[str]:
    with listening(served.app) as url:
        yield url


@pytest.fixture(scope="module")
def job(served: Toys, url: str) -> str:
    """URL of a job that has ended."""
    return f"{url}/async/{served.make(WORDS, size=SIZE)}"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, ["batch", *arguments])


def files_in(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def archived(path: Path) -> dict[str, bytes]:
    with archive.opened(path) as packed:
        return {name: packed.open(name).read() for name in packed.names}


def expected(names: dict[str, bytes]) -> None:
    """Assert that every product is there, as it was made."""
    products = {name: content for name, content in names.items() if name.startswith("bin/")}
    assert sorted(products.values()) == sorted(file_of(n, SIZE) for n in OK)
    assert hashlib.sha256(names["manifest.csv"]).hexdigest() in names.get("SHA256SUMS", b"").decode() or (
        "SHA256SUMS" not in names
    )


def test_an_archive(run: Run, job: str, tmp_path: Path) -> None:
    ran = run("--attach", job)
    assert ran.exit_code == 3, ran.output
    name = f"job-{job.rpartition('/')[2][:12]}.zip"
    assert [path.name for path in tmp_path.iterdir()] == [name]
    expected(archived(tmp_path / name))
    for said in (
        f"Job {job}",
        "COMPLETED",
        "2 × it is failed (rows 4, 7)",
        "1 × it is poison (row 6)",
        name,
    ):
        assert said in ran.output
    assert f"fountain batch --retry {job}" in ran.output
    again = run("--attach", job)
    assert again.exit_code == 2
    assert f"{name} is there already" in again.output


def test_a_job_without_faults(run: Run, served: Toys, url: str, tmp_path: Path) -> None:
    good = served.make(["ok", "empty"], size=SIZE)
    ran = run("--attach", good, "--url", url, "-o", "good.tar")
    assert ran.exit_code == 0, ran.output
    assert len(archived(tmp_path / "good.tar")) == 7
    assert zipfile.is_zipfile(tmp_path / "good.tar") is False
    assert "retry" not in ran.output


@pytest.mark.parametrize("options", [(), ("--files",)])
def test_a_folder(run: Run, job: str, tmp_path: Path, options: tuple[str, ...]) -> None:
    ran = run("--attach", job, "-o", "here", *options)
    assert ran.exit_code == 3, ran.output
    expected(files_in(tmp_path / "here"))
    assert [path.name for path in tmp_path.iterdir()] == ["here"]
    assert "the manifest is here/manifest.csv" in ran.output
    assert run("--attach", job, "-o", "here", *options).exit_code == 2


def remember(output: Path, url: str, job: str, etag: str) -> Remembered:
    """Leave what an interrupted run leaves."""
    remembered = Remembered(output)
    digest = digest_of(url, [("", job), ("ACTION", "")], None)
    remembered.save(Memory(digest, job, etag))
    return remembered


@pytest.mark.parametrize("is_the_same", [True, False])
def test_a_download_goes_on(run: Run, url: str, job: str, tmp_path: Path, is_the_same: bool) -> None:
    answer = requests.get(f"{job}/results/archive", timeout=30)
    etag = answer.headers["ETag"] if is_the_same else '"another"'
    remembered = remember(tmp_path / "a.zip", url, job, etag)
    remembered.part.write_bytes(answer.content[:3000] if is_the_same else b"x" * 3000)
    ran = run("--attach", job, "-o", "a.zip")
    assert ran.exit_code == 3, ran.output
    assert "3.0 kB are here already." in ran.output
    assert (tmp_path / "a.zip").read_bytes() == answer.content
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_what_came_damaged_is_said_and_fetched_again(run: Run, url: str, job: str, tmp_path: Path) -> None:
    answer = requests.get(f"{job}/results/archive", timeout=30)
    remembered = remember(tmp_path / "a.zip", url, job, answer.headers["ETag"])
    wrong = bytearray(answer.content)
    wrong[wrong.index(file_of(OK[0], SIZE)) + 3] ^= 1
    remembered.part.write_bytes(wrong[:-10])
    damaged = run("--attach", job, "-o", "a.zip")
    assert damaged.exit_code == 1
    assert "came damaged" in damaged.output
    assert "Run the same command again" in damaged.output
    assert "goes on without you" not in damaged.output
    assert not (tmp_path / "a.zip").exists()
    assert run("--attach", job, "-o", "a.zip").exit_code == 3
    assert (tmp_path / "a.zip").read_bytes() == answer.content


def test_single_files_that_are_there_stay(run: Run, url: str, job: str, tmp_path: Path) -> None:
    run("--attach", job, "-o", "whole", "--files")
    kept, wrong, *_ = sorted((tmp_path / "whole/bin").rglob("*.bin"))
    before = kept.stat().st_ino
    content = wrong.read_bytes()
    wrong.write_bytes(b"x" * len(content))
    remember(tmp_path / "whole", url, job, "")
    assert run("--attach", job, "-o", "whole", "--files").exit_code == 3
    assert kept.stat().st_ino == before
    assert wrong.read_bytes() == content


def test_the_output_of_another_request_is_not_touched(run: Run, url: str, job: str, tmp_path: Path) -> None:
    remember(tmp_path / "a.zip", url, f"{url}/async/other", "")
    ran = run("--attach", job, "-o", "a.zip")
    assert ran.exit_code == 2
    assert f"not done: {url}/async/other" in ran.output


def test_a_job_that_is_not_there(run: Run, url: str, tmp_path: Path) -> None:
    ran = run("--attach", f"{url}/async/none")
    assert ran.exit_code == 2
    assert "is no longer there" in ran.output
    assert list(tmp_path.iterdir()) == []


def test_an_aborted_job(run: Run, served: Toys, url: str) -> None:
    job = f"{url}/async/{served.make(WORDS, per_task=3, left=1)}"
    requests.post(f"{job}/phase", {"PHASE": "ABORT"}, timeout=30).raise_for_status()
    ran = run("--attach", job)
    assert ran.exit_code == 1
    assert "ABORTED" in ran.output
    assert f"--resume {job}" in ran.output


@pytest.mark.deployment
def test_an_interrupted_run_goes_on(run: Run, served: Toys, tmp_path: Path) -> None:
    job_id = served.make(WORDS, size=SIZE, per_task=3, left=1)

    def interrupting(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if "WAIT" in environ["QUERY_STRING"]:  # now the command waits for the answer
            os.kill(os.getpid(), signal.SIGINT)
        return served.app(environ, start_response)

    with listening(interrupting) as url:
        command = ["--attach", f"{url}/async/{job_id}", "-o", "a.zip"]
        ran = run(*command)
        assert ran.exit_code == 130
        assert "6 of 7 rows" in ran.output
        assert f"The job goes on without you: {url}/async/{job_id}" in ran.output
        assert [path.name for path in tmp_path.iterdir()] == ["a.zip.fountain.json"]
        requests.post(f"{url}/async/{job_id}/phase", {"PHASE": "ABORT"}, timeout=30)
        again = run(*command)
        assert "Going on with job" in again.output
        assert again.exit_code == 1
