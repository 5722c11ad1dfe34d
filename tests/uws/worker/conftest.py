"""Workers with databases of either kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.databases import postgresql, sqlite
from tests.support.shop import SETTINGS, Shop


@pytest.fixture(params=["sqlite"])
def shop(request: pytest.FixtureRequest, tmp_path: Path, redis_url: str) -> Iterator[Shop]:
    if request.param == "sqlite":
        database = sqlite(tmp_path)
    else:
        database = postgresql(request.getfixturevalue("postgresql_url"))
    with database as engine:
        made = Shop(engine, tmp_path, redis_url, SETTINGS)
        yield made
        made.bell.close()
