"""Fixtures every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with real survey files: FOUNTAIN_TEST_DATA, else ``../shared/data`` beside the repository."""
    folder = Path(os.environ.get("FOUNTAIN_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "manifest.csv").is_file():
        pytest.skip("the folder with real survey files is not here (FOUNTAIN_TEST_DATA names it)")
    return folder
