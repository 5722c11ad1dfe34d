"""Fixtures every test may use."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.support.databases import postgresql, postgresql_server, sqlite
from tests.support.outside import Validate, record_validator, schemas


def pytest_collection_finish() -> None:
    """Keep the tests that were found, all of them, out of every later look for garbage."""
    gc.collect()
    gc.freeze()


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


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """URL of a PostgreSQL server, where tests have databases of their own."""
    with postgresql_server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A fresh database of each kind, with all tables."""
    if request.param == "sqlite":
        with sqlite(tmp_path) as made:
            yield made
    else:
        with postgresql(request.getfixturevalue("postgresql_url")) as made:
            yield made
