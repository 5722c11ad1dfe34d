"""Databases and Redis servers of the fault tests: real ones, of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.support.databases import postgresql, postgresql_server, sqlite


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    with postgresql_server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A fresh database of each kind, with all tables."""
    if request.param == "sqlite":
        with sqlite(tmp_path) as engine:
            yield engine
    else:
        with postgresql(request.getfixturevalue("postgresql_url")) as engine:
            yield engine


@pytest.fixture
def database_url(database: Engine) -> str:
    return database.url.render_as_string(hide_password=False)
