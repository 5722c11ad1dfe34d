"""Databases and Redis servers of the fault tests: real ones, of their own."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine


@pytest.fixture
def database(engine: Engine) -> Engine:
    """A fresh database of each kind, with all tables."""
    return engine


@pytest.fixture
def database_url(database: Engine) -> str:
    return database.url.render_as_string(hide_password=False)
