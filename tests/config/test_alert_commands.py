"""Alerts that came as Avro files are served after one command."""

from __future__ import annotations

import shutil
from pathlib import Path

import fastavro
import pytest
from click.testing import CliRunner, Result

from config.app import assemble
from config.cli import main
from config.settings import load_settings
from tests.support.service import environ_of

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "alerts_ztf_avro"
EXAMPLE = Path(__file__).parents[2] / "config" / "surveys" / "examples" / "ztf-alerts.toml"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the real images are not here")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "service" / "declarations").mkdir(parents=True)
    shutil.copy(EXAMPLE, tmp_path / "service" / "declarations")
    shutil.copytree(DATA, tmp_path / "sent")
    return tmp_path / "service"


def run(folder: Path, *arguments: object) -> Result:
    return CliRunner(env=environ_of(folder)).invoke(main, [str(argument) for argument in arguments])


def test_alerts_are_imported_indexed_and_read_as_they_were_sent(folder: Path) -> None:
    sent = folder.parent / "sent"
    done = run(folder, "survey", "import-avro", "ztf-alerts", sent, "--workers", 1)
    assert done.exit_code == 0, done.output
    assert "10 Avro files, 10 alerts added in 1 files, 0 were there already, 0 left out" in done.output
    assert "1 files (1 new, 0 changed, 0 gone), 10 alerts read, 0 left out" in done.output
    parts = assemble(load_settings(environ_of(folder)))
    try:
        survey = parts.catalog.survey("ztf-alerts")
        assert survey.lake is not None
        for path in sent.iterdir():
            with path.open("rb") as file:
                (record,) = fastavro.reader(file)
            alert = parts.catalog.alerts.alert(survey, record["candid"])
            assert alert.object_id == record["objectId"]
            for kind in survey.lake.stamps:
                pages = parts.catalog.alerts.pages(alert.file, kind.name)
                assert pages is not None
                stamp = parts.catalog.alerts.lakes.value(
                    survey.lake, alert.file.path, alert.file.size, alert.file.version, pages, alert.row
                )
                assert stamp == record[f"cutout{kind.name}"]["stampData"]
    finally:
        parts.engine.dispose()


def test_an_import_again_adds_nothing_and_says_so(folder: Path) -> None:
    sent = sorted((folder.parent / "sent").iterdir())
    first = run(folder, "survey", "import-avro", "ztf-alerts", *sent[:4], "--no-index")
    assert (first.exit_code, "4 alerts added" in first.output, "new," in first.output) == (0, True, False)
    again = run(folder, "survey", "import-avro", "ztf-alerts", folder.parent / "sent", "--workers", 1)
    assert "6 alerts added in 1 files, 4 were there already" in again.output
    again = run(folder, "survey", "import-avro", "ztf-alerts", folder.parent / "sent", "--workers", 1)
    assert "0 alerts added in 0 files, 10 were there already" in again.output


def test_what_is_left_out_is_named_and_in_the_exit_status(folder: Path) -> None:
    broken = folder.parent / "sent" / "broken.avro"
    broken.write_bytes(b"no")
    done = run(folder, "survey", "import-avro", "ztf-alerts", folder.parent / "sent", "--workers", 1)
    assert done.exit_code == 1
    assert "left out: broken.avro: it is not an Avro file" in done.output
    assert "10 alerts added" in done.output


def test_a_survey_that_takes_no_alerts_is_told(folder: Path) -> None:
    done = run(folder, "survey", "import-avro", "nothing", folder.parent / "sent")
    assert (done.exit_code, "no survey 'nothing' is declared" in done.output) == (1, True)
