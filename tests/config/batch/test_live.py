"""Lists as people make them: a service with workers, and the command."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from click.testing import CliRunner, Result

from config.batch import archive
from config.cli import main
from tests.support.server import Served, serve
from tests.support.service import index_all, settings_of, write_surveys

pytestmark = pytest.mark.deployment

OK, OUTSIDE, WRONG = 9, 2, 1
COUNT = OK + OUTSIDE + WRONG

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("live") / "service"
    write_surveys(folder)
    environ = {"FOUNTAIN_SERVER__WORKERS": "1", "FOUNTAIN_SERVER__PORT": "0"}
    settings = settings_of(folder, environ)
    index_all(settings)
    told = {
        "FOUNTAIN_DATA__FOLDER": str(folder),
        "FOUNTAIN_SURVEYS__DECLARATIONS": str(folder / "declarations"),
        "FOUNTAIN_SERVER__WORKERS": "1",
    }
    with serve(folder, told, "--port", "0") as served:
        yield served


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, served: Served) -> Run:
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, ["batch", *arguments, "--url", served.url])


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Targets in tile `a` of the survey `tiny`, some where nothing is, one that is nowhere."""
    ra = [*np.linspace(149.99, 150.01, OK), 100.0, 101.0, 150.0]
    dec = [*np.linspace(-0.01, 0.01, OK), 0.0, 0.0, 95.0]
    path = tmp_path / "stars.csv"
    Table({"id": [f"s{n}" for n in range(COUNT)], "ra": ra, "dec": dec}).write(path)
    return path


def test_a_list_from_the_table_to_the_pixels(run: Run, table: Path, tmp_path: Path) -> None:
    ran = run(
        str(table), "--survey", "tiny", "--band", "g", "--band", "r", "--size", "16px", "--label", "mine"
    )
    assert ran.exit_code == 3, ran.output
    assert "rejected" in ran.output
    with archive.opened(tmp_path / "stars.zip") as packed:
        made = [row for row in archive.manifest_of(packed) if row["path"]]
        assert len(made) == 2 * OK
        for row in made:
            with packed.open(row["path"]) as file, fits.open(file) as hdus:
                assert hdus[0].data.shape == (16, 16)
    again = run(str(table), "--survey", "tiny", "--size", "16px")
    assert again.exit_code == 2


def test_the_estimate_alone(run: Run, table: Path, tmp_path: Path) -> None:
    ran = run(str(table), "--survey", "tiny", "--band", "g", "--size", "16px", "--estimate")
    assert ran.exit_code == 0, ran.output
    assert f"{OK} covered" in ran.output
    assert "row 12" in ran.output
    assert [path.name for path in tmp_path.iterdir()] == ["stars.csv"]


def test_submit_and_come_back(run: Run, table: Path, tmp_path: Path) -> None:
    request = (str(table), "--survey", "tiny", "--band", "g", "--size", "16px", "--no-wait", "--no-estimate")
    submitted = run(*request)
    assert submitted.exit_code == 0, submitted.output
    job = submitted.output.splitlines()[0].removeprefix("Job ")
    assert [path.name for path in tmp_path.iterdir()] == ["stars.csv"]
    ran = run("--attach", job, "-o", "here", "--files")
    assert ran.exit_code == 3, ran.output
    assert len(list((tmp_path / "here").rglob("*.fits"))) == OK


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--survey", "tinny", "--size", "16px"), "tinny"),
        (("--survey", "tiny", "--size", "16.5"), "SIZE"),
        (("--survey", "tiny", "--size", "16px", "-p", "EDGES=pad"), "EDGE"),
        (("--survey", "tiny", "--size", "16px", "--onbad", "fail"), "dec"),
    ],
)
def test_requests_that_are_wrong(run: Run, table: Path, options: tuple[str, ...], said: str) -> None:
    ran = run(str(table), *options)
    assert ran.exit_code == 2, ran.output
    assert said in ran.output
    assert "Traceback" not in ran.output
