"""The guides as HTML: built without a warning, and complete in themselves."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from lxml import html

from tests.conftest import REPOSITORY

pytestmark = pytest.mark.deployment

FETCHED = "//script/@src | //img/@src | //link[not(@rel='canonical')]/@href | //iframe/@src | //source/@src"
ELSEWHERE = re.compile(r"(https?:)?//")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-E", "-d", folder / "trees"]
    ran = subprocess.run(
        [*command, REPOSITORY / "docs", folder / "html"], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return folder / "html"


def test_pages_fetch_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    fetched = {str(url) for page in pages for url in html.parse(page).xpath(FETCHED)}
    assert len(pages) > 30
    assert any(url.endswith(".css") or ".css?" in url for url in fetched)
    assert [url for url in fetched if ELSEWHERE.match(url)] == []
    for path in site.rglob("*.css"):
        found = re.findall(
            r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\"')]*)", path.read_text(encoding="utf-8")
        )
        assert found == [], path


def test_every_guide_every_notebook_and_every_line_is_there(site: Path) -> None:
    for page in (REPOSITORY / "docs").glob("*.md"):
        assert (site / page.with_suffix(".html").name).exists()
    for notebook in (REPOSITORY / "notebooks").glob("*.ipynb"):
        assert (site / f"generated/notebook-{notebook.stem}.html").exists()
    table = (site / "generated/conformance-table.html").read_text(encoding="utf-8")
    assert "SODA-45" in table
    assert "plan_cutout" in (site / "api.html").read_text(encoding="utf-8")
