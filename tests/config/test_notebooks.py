"""Every notebook, executed against a service with the demo survey; and what a notebook may not have."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import nbformat
import numpy as np
import pytest
from click.testing import CliRunner
from nbclient.exceptions import CellExecutionError
from PIL import Image

from config.cli import main
from config.demo import RECIPE, make_demo
from notebooks.execute import NOTEBOOKS, complaints_of, execute, figures_of, texts_of
from tests.support.server import Served, serve
from tests.support.service import index_all, settings_of, write_surveys

FIELD = replace(RECIPE, groups=(RECIPE.groups[0],), compressed=())
PATHS = {path.stem: path for path in NOTEBOOKS}
#: What must stand in what each prints, and how many figures it has.
EXPECTED: Mapping[str, tuple[tuple[str, ...], int]] = {
    "first": (("ORIG_ID  ivo://unregistered.invalid/soda-fountain?demo/r/field-ne", "FRAC_OK  1.0"), 2),
    "soda": (("#cutout", "#weight", "['r', 'i']", "radio waves: 0 bytes", "UsageError: CIRCLE"), 1),
    "lists": (("COMPLETED", "dec is -90 to 90 degrees", "a_thousand_targets", "nothing is missing"), 2),
    "gallery": (("gri/1 changed by Q", "stiff", "(250, 250) pixels; at most 0.0000 arcsec apart"), 2),
    "tokens": (("Did you mean CIRCLE?", "401 AuthenticationError", "of 5000000"), 0),
}


@pytest.mark.parametrize("name", PATHS)
def test_notebooks_are_kept_without_outputs_tokens_and_machines(name: str) -> None:
    notebook = nbformat.read(PATHS[name], as_version=4)
    nbformat.validate(notebook)
    assert notebook.cells[0].source.startswith("# ")
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    for cell in notebook.cells:
        assert not cell.metadata
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
        assert not re.search(r"sft_[A-Za-z0-9]{16}|/(home|root|Users|tmp|work)/", cell.source)


def test_every_notebook_is_executed_here() -> None:
    assert set(PATHS) == set(EXPECTED)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("notebooks") / "service"
    write_surveys(folder)
    make_demo(folder / "demo", workers=1, recipe=FIELD)
    return folder


@pytest.fixture(scope="module")
def told(folder: Path) -> dict[str, str]:
    return {
        "FOUNTAIN_DATA__FOLDER": str(folder),
        "FOUNTAIN_SURVEYS__DECLARATIONS": str(folder / "declarations"),
        "FOUNTAIN_SERVER__WORKERS": "1",
        # whoever has an account may ask three times at once, then once in a second
        "FOUNTAIN_QUOTAS__RATE": '["anonymous=1200", "user=60"]',
        "FOUNTAIN_QUOTAS__BURST_S": "3",
    }


@pytest.fixture(scope="module")
def served(folder: Path, told: Mapping[str, str]) -> Iterator[Served]:
    index_all(settings_of(folder))
    with serve(folder, told, "--port", "0") as served:
        yield served


@pytest.mark.deployment
@pytest.mark.parametrize("name", EXPECTED)
def test_a_notebook_does_what_it_says(served: Served, name: str, tmp_path: Path) -> None:
    environ = {
        "SODA_SERVICE": served.url,
        "TARGETS": "100",
        "SODA_TOKEN": "",
        "SODA_TOKEN_FILE": str(tmp_path / "none"),
    }
    notebook = execute(PATHS[name], environ)
    told, figures = EXPECTED[name]
    said = texts_of(notebook)
    assert [words for words in told if words not in said] == [], said
    assert complaints_of(notebook) == []
    assert len(figures_of(notebook)) == figures
    for figure in figures_of(notebook):
        pixels = np.asarray(Image.open(io.BytesIO(figure)).convert("L"))
        assert min(pixels.shape) > 150
        assert np.std(pixels) > 20


@pytest.fixture
def token(told: Mapping[str, str], served: Served) -> str:
    runner = CliRunner()
    assert runner.invoke(main, ["accounts", "add", "local:reader"], env=told).exit_code == 0
    made = runner.invoke(main, ["token", "make", "local:reader"], env=told)
    assert made.exit_code == 0, made.output
    return re.findall(r"sft_\S+", made.output)[0]


@pytest.mark.deployment
def test_a_token_is_used_and_never_shown(served: Served, token: str, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(f"{token}\n")
    path.chmod(0o600)
    environ = {"SODA_SERVICE": served.url, "SODA_TOKEN": "", "SODA_TOKEN_FILE": str(path)}
    notebook = execute(PATHS["tokens"], environ)
    said = texts_of(notebook)
    assert "known as local:reader" in said
    assert "429: " in said
    assert "Waiting 1 s." in said
    assert token not in nbformat.writes(notebook)
    path.chmod(0o644)
    with pytest.raises(CellExecutionError, match="can be read by others"):
        execute(PATHS["tokens"], environ)
