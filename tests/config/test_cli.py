"""The command line, as people use it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner, Result

from config.cli import main
from config.cutouts import pairs_of
from tests.support.alerts import write_lake
from tests.support.service import BASE, index_all, pixels_of, settings_of, write_surveys

Run = Callable[..., Result]
CIRCLE = "150 0 0.0027"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "service"
    write_surveys(folder)
    return folder


def environ_of(folder: Path) -> dict[str, str]:
    return {
        "FOUNTAIN_DATA__FOLDER": str(folder),
        "FOUNTAIN_SURVEYS__DECLARATIONS": str(folder / "declarations"),
        "FOUNTAIN_IDENTIFIERS__BASE": BASE,
    }


@pytest.fixture
def run(folder: Path) -> Run:
    def run(*arguments: str, **environ: str) -> Result:
        return CliRunner(env={**environ_of(folder), **environ}).invoke(main, arguments)

    return run


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["serve"],
        ["demo"],
        ["survey"],
        ["survey", "index"],
        ["survey", "check"],
        ["cutout"],
        ["batch"],
        ["db"],
    ],
)
def test_help_is_quick_since_it_loads_nothing(command: list[str]) -> None:
    code = (
        "import sys; from config.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: print('LOADED', *sorted({'numpy', 'sqlalchemy', 'flask', 'numba'} & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, *command, "--help"], capture_output=True, text=True, check=True
    )
    assert "Usage: " in ran.stdout
    assert ran.stdout.splitlines()[-1] == "LOADED"


def test_survey_index_list_check(run: Run) -> None:
    indexed = run("survey", "index", "tiny", "--workers", "1")
    assert indexed.exit_code == 0, indexed.output
    assert "tiny: 8 files (8 new, 0 changed, 0 gone), 0 left out" in indexed.output
    again = run("survey", "index", "TINY", "--workers", "1")
    assert "8 files (0 new, 0 changed, 0 gone)" in again.output
    listed = run("survey", "list", COLUMNS="160")
    assert "g 4  r 4" in listed.output
    assert "never" in listed.output
    checked = run("survey", "check", "tiny", "--stamps", "3", "--seed", "1")
    assert checked.exit_code == 0, checked.output
    assert "3 of 3 stamps are as astropy reads them" in checked.output


ALERTS = """
title = "Alerts"
kind = "alerts"
root = "lake"
path = "**/*.parquet"
pixel_scale = 1.01
stamp_radius = 32.0
[bands]
g = { em_min_m = 3.7e-7, em_max_m = 5.6e-7, word = "1" }
r = { em_min_m = 5.5e-7, em_max_m = 7.3e-7, word = "2" }
[columns]
object = "objectId"
candidate = "candid"
ra = "candidate.ra"
dec = "candidate.dec"
time = { column = "candidate.jd", format = "jd", scale = "utc" }
band = "candidate.fid"
[stamps]
Science = "cutoutScience.stampData"
Template = "cutoutTemplate.stampData"
"""


def test_a_lake_of_alerts_is_indexed_listed_and_checked(run: Run, folder: Path) -> None:
    (folder / "declarations" / "alerts.toml").write_text(ALERTS)
    first, second = write_lake(folder / "lake", 12, files=2, row_group_size=2)
    indexed = run("survey", "index", "alerts", "--workers", "1")
    assert indexed.exit_code == 0, indexed.output
    assert "alerts: 2 files (2 new, 0 changed, 0 gone), 12 alerts read, 0 left out" in indexed.output
    listed = run("survey", "list", COLUMNS="160")
    assert "g 4  r 4   4" in listed.output
    checked = run("survey", "check", "alerts", "--stamps", "5", "--seed", "1")
    assert checked.exit_code == 0, checked.output
    assert "5 of 5 stamps are as pyarrow reads them" in checked.output
    second.write_bytes(b"no Parquet")
    again = run("survey", "index", "alerts", "--file", str(second))
    assert f"left out: {second.relative_to(folder / 'lake')}: " in again.output
    assert "(0 new, 1 changed, 0 gone), 0 alerts read, 1 left out" in again.output
    summed = run("survey", "index", "alerts", "--checksum")
    assert summed.exit_code == 1
    assert "no checksums are kept" in summed.output
    first.write_bytes(first.read_bytes()[:-1] + b"X")
    stale = run("survey", "check", "alerts", "--stamps", "2", "--seed", "1")
    assert stale.exit_code == 1
    assert "0 of 2 stamps" in stale.output


def test_broken_files_are_reported_and_left_out(run: Run, folder: Path) -> None:
    (folder / "tiny" / "broken_g.fits").write_bytes(b"SIMPLE  = no")
    indexed = run("survey", "index", "tiny", "--workers", "1")
    assert indexed.exit_code == 0
    assert "left out: broken_g.fits" in indexed.output
    assert "9 files (9 new, 0 changed, 0 gone), 1 left out" in indexed.output


def test_one_new_file(run: Run, folder: Path) -> None:
    run("survey", "index", "tiny", "--workers", "1")
    new = folder / "tiny" / "new_g.fits"
    new.write_bytes((folder / "tiny" / "a_g.fits").read_bytes())
    indexed = run("survey", "index", "tiny", "--file", str(new), "--checksum", "--workers", "1")
    assert "(1 new, 0 changed, 0 gone)" in indexed.output


def test_a_check_of_nothing_fails(run: Run) -> None:
    checked = run("survey", "check", "tiny")
    assert checked.exit_code == 1
    assert "0 of 0 stamps" in checked.output


@pytest.mark.parametrize("command", [("survey", "index", "tinny"), ("survey", "check", "tinny")])
def test_an_unknown_survey_is_one_sentence(run: Run, command: tuple[str, ...]) -> None:
    failed = run(*command)
    assert failed.exit_code == 1
    assert failed.output.startswith("Error: ")
    assert "'tinny'" in failed.output
    assert "Traceback" not in failed.output


def test_a_wrong_setting_is_one_sentence(run: Run) -> None:
    failed = run("survey", "list", FOUNTAIN_SYNC__MAX_PIXEL="1")
    assert failed.exit_code == 1
    assert failed.output == (
        "Error: FOUNTAIN_SYNC__MAX_PIXEL: [sync] has no key max_pixel; did you mean max_pixels?\n"
    )


#: Whoever runs the program can read the files of closed surveys too.
@pytest.mark.parametrize("name", ["tiny/g/a", f"{BASE}?tiny/g/a", "tiny/g", "secret/g/a"])
def test_cutout_in_process(run: Run, folder: Path, tmp_path: Path, name: str) -> None:
    index_all(settings_of(folder))
    written = tmp_path / "cut.fits"
    made = run("cutout", name, "--circle", CIRCLE, "-o", str(written))
    assert made.exit_code == 0, made.output
    assert made.output == f"{written} ({written.stat().st_size} bytes)\n"
    np.testing.assert_array_equal(fits.getdata(written), pixels_of("a")[90:110, 90:110])
    assert list(tmp_path.glob(".*")) == []


def test_cutout_with_every_option(run: Run, folder: Path, tmp_path: Path) -> None:
    index_all(settings_of(folder))
    written = tmp_path / "cut.fits"
    arguments = ("--circle", CIRCLE, "--filter", "g", "--filter", "r", "--band", "5e-7", "--pol", "I")
    made = run("cutout", "tiny", *arguments, "--time", "1 2", "--mask", "--checksum", "-o", str(written))
    assert made.exit_code == 0, made.output
    with fits.open(written, checksum=True) as hdus:
        assert np.isnan(hdus[0].data[0, 0])
        assert hdus[0].verify_checksum() == 1


def test_options_are_the_parameters_of_the_request() -> None:
    options = {
        "id": "tiny",
        "rgb": "r,g,g",
        "mask": True,
        "checksum": False,
        "format": None,
        "pol": ("I", "V"),
    }
    options["param"] = ("Q=8", "LABEL=a=b")
    said = [("rgb", "r,g,g"), ("mask", "true"), ("pol", "I"), ("pol", "V"), ("Q", "8"), ("LABEL", "a=b")]
    assert pairs_of(options, BASE) == [("id", f"{BASE}?tiny"), *said]


@pytest.mark.parametrize(
    ("output", "options", "format_"),
    [
        ("a.png", {}, "png"),
        ("a.PNG", {}, "png"),
        ("a.jpg", {}, "jpeg"),
        ("a.fits", {}, None),
        ("a", {}, None),
        ("a.png", {"format": "fits"}, "fits"),
        ("a.png", {"param": ("ResponseFormat=fits",)}, "fits"),
    ],
)
def test_the_name_of_the_output_says_what_it_is(
    output: str, options: dict[str, object], format_: str | None
) -> None:
    pairs = {name.lower(): value for name, value in pairs_of(options, BASE, Path(output))}
    assert pairs.get("responseformat") == format_


@pytest.mark.parametrize("text", ["EDGE", "=pad", ""])
def test_a_parameter_has_a_name_and_a_value(run: Run, text: str) -> None:
    failed = run("cutout", "tiny/g/a", "--param", text)
    assert failed.exit_code == 2
    assert "NAME=VALUE" in failed.output


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("tiny/g/a", "--edge", "wrap"), 1, "EDGE is auto or clip or pad or error"),
        (("tiny/g/a", "-p", "EDGES=pad"), 1, "Did you mean EDGE?"),
        (("tiny/g/a", "--circle", "1 2"), 1, "Error: CIRCLE needs 3 numbers"),
        (("tiny/g/a", "--circle", "1 2", "--band", "x"), 1, "Also: BAND"),
        (("tiny/g/zz",), 1, "zz"),
        (("tiny/g/a", "--circle", "100 0 0.1"), 3, "nothing there"),
    ],
)
def test_cutouts_that_are_not(
    run: Run, folder: Path, arguments: tuple[str, ...], status: int, said: str
) -> None:
    index_all(settings_of(folder))
    failed = run("cutout", *arguments)
    assert failed.exit_code == status
    assert said in failed.output
    assert "Traceback" not in failed.output


def test_cutout_from_a_service_that_is_not_there(run: Run) -> None:
    failed = run("cutout", "tiny/g/a", "--url", "http://127.0.0.1:9")
    assert failed.exit_code == 1
    assert "http://127.0.0.1:9 does not answer" in failed.output


def test_db_upgrade(run: Run, folder: Path) -> None:
    assert run("db", "upgrade").output == "The tables are up to date.\n"
    assert (folder / "fountain.db").is_file()


def test_a_database_that_does_not_answer_is_one_sentence(run: Run) -> None:
    url = "postgresql://someone:hidden@127.0.0.1:1/nothing"
    ran = run("survey", "list", FOUNTAIN_DATA__DATABASE_URL=url)
    assert ran.exit_code == 1
    assert ran.output.startswith("Error: the database does not answer: ")
    assert "hidden" not in ran.output
    assert "SELECT" not in ran.output
