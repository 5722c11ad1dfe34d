"""Fixtures every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.outside import Validate, record_validator, schemas

REPOSITORY = Path(__file__).resolve().parent.parent


def real_data_folder() -> Path:
    """Folder with real survey files, which need not be there."""
    return Path(os.environ.get("FOUNTAIN_TEST_DATA", REPOSITORY.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with real survey files: FOUNTAIN_TEST_DATA, else ``../shared/data`` beside the repository."""
    folder = real_data_folder()
    if not (folder / "manifest.csv").is_file():
        pytest.skip("the folder with real survey files is not here (FOUNTAIN_TEST_DATA names it)")
    return folder


@pytest.fixture(scope="session")
def validate() -> Validate:
    """Validator of documents against the IVOA schemas."""
    found: Validate = schemas().validate
    return found


@pytest.fixture(scope="session")
def validate_record() -> Validate:
    """Validator of registry records."""
    return record_validator(schemas())
