"""The store of jobs in real databases, of either kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.support.databases import postgresql, sqlite
from uws.store.claims import Claims
from uws.store.jobs import Jobs
from uws.store.upkeep import Upkeep
from uws.tables import Base


@pytest.fixture(scope="module")
def pg_engine(postgresql_url: str) -> Iterator[Engine]:
    with postgresql(postgresql_url) as made:
        yield made


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    if request.param == "sqlite":
        with sqlite(tmp_path) as made:
            yield made
        return
    # Making a database takes longer than most of these tests.
    emptied: Engine = request.getfixturevalue("pg_engine")
    with emptied.begin() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            connection.execute(table.delete())
    yield emptied


@pytest.fixture
def jobs(engine: Engine) -> Jobs:
    return Jobs(engine)


@pytest.fixture
def upkeep(engine: Engine) -> Upkeep:
    return Upkeep(engine)


@pytest.fixture
def claims(engine: Engine) -> Claims:
    return Claims(engine, "me", 30.0)
